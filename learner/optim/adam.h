/* Adam and AdamW over one flat buffer (Kingma & Ba 2015; Loshchilov & Hutter 2019), and clipping by
 * global norm. One thread; the caller owns all memory. State is 2 floats a parameter and a step
 * count: what a checkpoint keeps. */
#ifndef PMP_LEARNER_OPTIM_ADAM_H
#define PMP_LEARNER_OPTIM_ADAM_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define PMP_ADAM_ENTRY_MAX 1.8e19f /* entries of a gradient below it have a square in float32 */

struct pmp_adam_config {
  float lr, beta1, beta2, eps; /* > 0; betas in [0,1) */
  float weight_decay;          /* 0: Adam; else decoupled, AdamW */
  float clip_norm; /* 0: off; else the gradient is scaled to at most this global L2 norm */
};

struct pmp_adam {
  float *m, *v; /* [n], caller's, zero at start */
  size_t n;
  uint64_t step;
};

PMP_MUST_CHECK enum pmp_err pmp_adam_check(const struct pmp_adam_config *config,
                                           struct pmp_errmsg *msg);
/* *norm: the gradient's global norm. PMP_ENONFINITE when it is not finite, or an entry (as it would
 * be after clipping) is PMP_ADAM_ENTRY_MAX or more: then a step would refuse it. */
PMP_MUST_CHECK enum pmp_err pmp_adam_measure(const struct pmp_adam_config *config, size_t n,
                                             const float *grad, double *norm);
/* One step in place with a gradient of which pmp_adam_measure said `norm`. grad is scaled in place
 * when clipped. */
void pmp_adam_apply(struct pmp_adam *a, const struct pmp_adam_config *config, float *params,
                    float *grad, double norm);
/* The same by `threads` OpenMP threads where there is enough to do; the same bits. */
void pmp_adam_apply_by(int threads, struct pmp_adam *a, const struct pmp_adam_config *config,
                       float *params, float *grad, double norm);
/* Both. *norm (nullable): global norm before clipping. PMP_ENONFINITE: nothing is changed. */
PMP_MUST_CHECK enum pmp_err pmp_adam_step(struct pmp_adam *a, const struct pmp_adam_config *config,
                                          float *params, float *grad, double *norm);

#endif
