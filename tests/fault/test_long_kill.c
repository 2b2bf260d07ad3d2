/* kill -9 of daemon and actors, 300 rounds (PMP_KILLS: another number). */
#include "tests/fault/kill_rounds.h"

int main(int argc, char **argv) {
  const char *kills = getenv("PMP_KILLS");
  return kill_rounds_main(argc, argv, kills ? atoi(kills) : 300);
}
