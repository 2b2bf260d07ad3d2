/* kill -9 of daemon and actors, the short run. */
#include "tests/fault/kill_rounds.h"

int main(int argc, char **argv) {
  return kill_rounds_main(argc, argv, 20);
}
