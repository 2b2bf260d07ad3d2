#include "daemon/limiter.h"

#include <math.h>
#include <string.h>

void pmp_limiter_init(struct pmp_limiter *l, double spi, double tolerance, uint64_t min_size,
                      uint64_t batch, bool lockstep, bool people) {
  memset(l, 0, sizeof *l);
  pthread_mutex_init(&l->lock, NULL);
  l->spi = spi;
  l->tolerance = tolerance;
  l->min_size = min_size;
  l->batch = batch;
  l->need = min_size > batch ? min_size : batch;
  l->lockstep = lockstep;
  l->people = people;
}

/* Without a limit to the drift nothing is owed either way, and D stays where it is: so a later
 * start with a limit finds no debt of a million rows. Lockstep and people know no such freedom. */
static bool is_untied(const struct pmp_limiter *l) {
  return isinf(l->tolerance) && !l->lockstep && !l->people;
}

void pmp_limiter_fini(struct pmp_limiter *l) {
  pthread_mutex_destroy(&l->lock);
}

bool pmp_limiter_admit(struct pmp_limiter *l, uint64_t n) {
  pthread_mutex_lock(&l->lock);
  const double due = (double)(l->reserved + n) * l->spi;
  const bool yes = n == 0 || l->lockstep || l->trainable < l->need || l->d + due <= l->tolerance;
  if (yes) l->reserved += n;
  pthread_mutex_unlock(&l->lock);
  return yes;
}

void pmp_limiter_release(struct pmp_limiter *l, uint64_t n) {
  pthread_mutex_lock(&l->lock);
  l->reserved -= n < l->reserved ? n : l->reserved;
  pthread_mutex_unlock(&l->lock);
}

void pmp_limiter_arrive(struct pmp_limiter *l, uint64_t n, double each) {
  pthread_mutex_lock(&l->lock);
  const uint64_t before = l->arrived, free_rows = before > l->min_size ? before : l->min_size;
  l->arrived += n;
  if (l->arrived > free_rows) l->paid += l->arrived - free_rows;
  if (is_untied(l)) {
    /* pays nothing */
  } else if (isnan(each)) { /* rows up to min_size are free */
    if (l->arrived > free_rows) l->d += (double)(l->arrived - free_rows) * l->spi;
  } else {
    l->d += (double)n * each;
  }
  pthread_mutex_unlock(&l->lock);
}

void pmp_limiter_pay(struct pmp_limiter *l, double rows) {
  pthread_mutex_lock(&l->lock);
  l->d += rows;
  pthread_mutex_unlock(&l->lock);
}

void pmp_limiter_trainable(struct pmp_limiter *l, uint64_t n) {
  pthread_mutex_lock(&l->lock);
  l->trainable = n;
  pthread_mutex_unlock(&l->lock);
}

bool pmp_limiter_may_step(struct pmp_limiter *l) {
  pthread_mutex_lock(&l->lock);
  const double floor_rows = l->lockstep || l->people ? 0.0 : -l->tolerance;
  const bool yes = l->trainable >= l->need && l->d - (double)l->batch >= floor_rows;
  pthread_mutex_unlock(&l->lock);
  return yes;
}

void pmp_limiter_stepped(struct pmp_limiter *l, uint64_t rows) {
  pthread_mutex_lock(&l->lock);
  if (!is_untied(l)) l->d -= (double)rows;
  if (l->paid > 0) l->trained += rows;
  pthread_mutex_unlock(&l->lock);
}

void pmp_limiter_set_spi(struct pmp_limiter *l, double spi, double tolerance) {
  pthread_mutex_lock(&l->lock);
  l->spi = spi;
  l->tolerance = tolerance;
  pthread_mutex_unlock(&l->lock);
}

void pmp_limiter_get(struct pmp_limiter *l, struct pmp_limiter_state *s) {
  pthread_mutex_lock(&l->lock);
  *s = (struct pmp_limiter_state){
      .d = l->d,
      .reserved = (double)l->reserved * l->spi,
      .spi = l->spi,
      .arrived = l->arrived,
      .trainable = l->trainable,
      .achieved = l->paid > 0 && !l->people ? (double)l->trained / (double)l->paid : NAN};
  pthread_mutex_unlock(&l->lock);
}

void pmp_limiter_restore(struct pmp_limiter *l, double d, double spi, double tolerance,
                         uint64_t arrived) {
  pthread_mutex_lock(&l->lock);
  l->d = d;
  l->spi = spi;
  l->tolerance = tolerance;
  l->arrived = arrived;
  pthread_mutex_unlock(&l->lock);
}
