/* Time as an interface, so that tests can turn it. */
#ifndef PMP_BASE_CLOCK_H
#define PMP_BASE_CLOCK_H

#include <stdint.h>

struct pmp_clock {
  int64_t (*mono_ns)(void *ctx); /* never goes back */
  int64_t (*wall_ns)(void *ctx); /* since 1970, may jump */
  void *ctx;
};

/* The machine's clocks. Any thread. */
struct pmp_clock pmp_clock_real(void);

/* A clock that a test sets. */
struct pmp_clock_fake {
  int64_t mono_ns, wall_ns;
};
struct pmp_clock pmp_clock_fake(struct pmp_clock_fake *state);

static inline int64_t pmp_clock_mono(const struct pmp_clock *c) {
  return c->mono_ns(c->ctx);
}
static inline int64_t pmp_clock_wall(const struct pmp_clock *c) {
  return c->wall_ns(c->ctx);
}

#endif
