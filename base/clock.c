#include "base/clock.h"

#include <assert.h>
#include <stddef.h>
#include <time.h>

static int64_t read_clock(clockid_t id) {
  struct timespec t;
  int rc = clock_gettime(id, &t);
  assert(rc == 0);
  (void)rc;
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t real_mono_ns(void *ctx) {
  (void)ctx;
  return read_clock(CLOCK_MONOTONIC);
}

static int64_t real_wall_ns(void *ctx) {
  (void)ctx;
  return read_clock(CLOCK_REALTIME);
}

static int64_t fake_mono_ns(void *ctx) {
  const struct pmp_clock_fake *state = ctx;
  return state->mono_ns;
}

static int64_t fake_wall_ns(void *ctx) {
  const struct pmp_clock_fake *state = ctx;
  return state->wall_ns;
}

struct pmp_clock pmp_clock_real(void) {
  return (struct pmp_clock){.mono_ns = real_mono_ns, .wall_ns = real_wall_ns, .ctx = NULL};
}

struct pmp_clock pmp_clock_fake(struct pmp_clock_fake *state) {
  return (struct pmp_clock){.mono_ns = fake_mono_ns, .wall_ns = fake_wall_ns, .ctx = state};
}
