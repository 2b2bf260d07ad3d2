/* Running mean and variance of observations (policy.normalize).
 *
 * They are of the batches as they are drawn, not of rows as they come into the ring: a resume then
 * needs the numbers alone (a refilled ring would bring its rows a second time), and they are of
 * what the networks are trained on, with the replay's own weights. A step that was refused adds
 * nothing; one whose batch was skipped by the guard does.
 *
 * Sums in float64, batch by batch (Chan, Golub & LeVeque 1983):
 * mean += d n / (N + n), M2 += m2 + d^2 N n / (N + n), with d the difference of the two means. */
#include "learner/trainer_state.h"

#include <math.h>
#include <string.h>

/* Added to a variance: an observation that never changes keeps a finite scale. */
static const double VARIANCE_LEAST = 1e-6;

void pmp_trainer_moments_add(struct pmp_trainer *t, size_t b, const float *x) {
  const size_t obs = t->config.policy.obs;
  if (t->moments_doubles == 0 || b == 0) return;
  double *count = t->moments, *mean = t->moments + 1, *squares = t->moments + 1 + obs;
  const double old = *count, more = (double)b, all = old + more;
  for (size_t i = 0; i < obs; i++) {
    double sum = 0.0, about = 0.0;
    for (size_t r = 0; r < b; r++) sum += (double)x[r * obs + i];
    const double centre = sum / more, d = centre - mean[i];
    for (size_t r = 0; r < b; r++) {
      const double off = (double)x[r * obs + i] - centre;
      about += off * off;
    }
    mean[i] += d * more / all;
    squares[i] += about + d * d * old * more / all;
  }
  *count = all;
}

void pmp_trainer_moments_use(struct pmp_trainer *t) {
  const size_t obs = t->config.policy.obs;
  if (t->moments_doubles == 0 || !(t->moments[0] > 0.0)) return;
  const double *mean = t->moments + 1, *squares = t->moments + 1 + obs;
  float *pi = t->buffer[PMP_BUFFER_PI];
  for (size_t i = 0; i < obs; i++) {
    pi[t->policy.mean + i] = (float)mean[i];
    pi[t->policy.scale + i] = (float)(1.0 / sqrt(squares[i] / t->moments[0] + VARIANCE_LEAST));
  }
}
