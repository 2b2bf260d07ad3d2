/* Power cuts under checkpoints, the short run. */
#include "tests/fault/checkpoint_power.h"

int main(void) {
  return power_main(60);
}
