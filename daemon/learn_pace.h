/* How fast the learner goes, what its time goes into and when the run ends, from counters looked at
 * once a second.
 *
 * Plain data of fixed size; the learner's thread. Pure: the times are the caller's. */
#ifndef PMP_DAEMON_LEARN_PACE_H
#define PMP_DAEMON_LEARN_PACE_H

#include <stdint.h>

#define PMP_PACE_SAMPLES 64 /* a second apart: how far the time left looks back */
#define PMP_PACE_RECENT 10  /* and how far rates and shares do */

struct pmp_pace_sample { /* counters since some start */
  int64_t at_ns;         /* monotonic */
  int64_t run_ns;        /* of it neither paused nor finished */
  int64_t wait_ns;       /* of that, waiting for data */
  int64_t product_ns;    /* of that, in products of matrices */
  uint64_t steps, env_steps, rows;
};

struct pmp_pace {
  struct pmp_pace_sample sample[PMP_PACE_SAMPLES]; /* sample i at i % PMP_PACE_SAMPLES */
  uint64_t samples;
};

struct pmp_pace_rates { /* NaN: not known yet */
  double steps_per_s, env_per_s, rows_per_s;
  double wait_share, product_share, rest_share; /* of run_ns: they add up to 1 */
  double left_s;                                /* NaN: no end, or no steps */
};

/* Keeps the sample if the last one kept is a second old. */
void pmp_pace_add(struct pmp_pace *p, const struct pmp_pace_sample *now);
/* From what is kept to `now`; end: the run's last step, 0: none. */
void pmp_pace_rates(const struct pmp_pace *p, const struct pmp_pace_sample *now, uint64_t end,
                    struct pmp_pace_rates *out);

#endif
