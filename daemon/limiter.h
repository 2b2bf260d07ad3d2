/* The rate limiter: one running number D that ties rows trained on to rows that came in
 * (protocol.md, "Rate limiting").
 *
 * D grows by n * samples_per_insert when n trainable rows beyond min_size arrive and falls by each
 * step's rows. Admission reserves; the learner settles. Any thread; a mutex, never held for long.
 */
#ifndef PMP_DAEMON_LIMITER_H
#define PMP_DAEMON_LIMITER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct pmp_limiter {
  pthread_mutex_t lock;
  double d;              /* rows */
  uint64_t reserved;     /* admitted rows that have not arrived yet: each is worth spi then */
  double spi, tolerance; /* samples per insert; rows, INFINITY: the two are not tied together */
  uint64_t need;         /* max(min_size, batch) */
  uint64_t min_size, batch;
  uint64_t trainable; /* now */
  uint64_t arrived;   /* trainable rows ever */
  /* by this process: rows that samples_per_insert counts, and rows trained on once the first of
   * them had come */
  uint64_t paid, trained;
  bool lockstep, people;
};

void pmp_limiter_init(struct pmp_limiter *l, double spi, double tolerance, uint64_t min_size,
                      uint64_t batch, bool lockstep, bool people);
void pmp_limiter_fini(struct pmp_limiter *l);
/* Loop: may n further trainable rows come in now? Reserves room for them when the answer is yes. In
 * lockstep always yes. */
bool pmp_limiter_admit(struct pmp_limiter *l, uint64_t n);
/* The n rows of an admission are settled or will not come (failed commit, duplicate): their
 * reservation is given back. */
void pmp_limiter_release(struct pmp_limiter *l, uint64_t n);
/* Learner: n rows became trainable (worth `each` rows of training; NaN: samples_per_insert). */
void pmp_limiter_arrive(struct pmp_limiter *l, uint64_t n, double each);
/* Learner: a verdict pays `rows` rows of training. */
void pmp_limiter_pay(struct pmp_limiter *l, double rows);
/* Learner: rows that can be drawn now. */
void pmp_limiter_trainable(struct pmp_limiter *l, uint64_t n);
/* Learner: may it step? */
bool pmp_limiter_may_step(struct pmp_limiter *l);
/* Learner: a step of `rows` rows was made. */
void pmp_limiter_stepped(struct pmp_limiter *l, uint64_t rows);
/* Later rows only. The tolerance may follow from the ratio. */
void pmp_limiter_set_spi(struct pmp_limiter *l, double spi, double tolerance);
/* For checkpoints and status. */
struct pmp_limiter_state {
  double d, reserved, spi;
  uint64_t arrived, trainable;
  double achieved; /* samples per insert so far; NaN: none was inserted, or another rule pays */
};
void pmp_limiter_get(struct pmp_limiter *l, struct pmp_limiter_state *s);
void pmp_limiter_restore(struct pmp_limiter *l, double d, double spi, double tolerance,
                         uint64_t arrived);

#endif
