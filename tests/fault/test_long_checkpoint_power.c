/* Power cuts under checkpoints, many. */
#include "tests/fault/checkpoint_power.h"

int main(void) {
  return power_main(600);
}
