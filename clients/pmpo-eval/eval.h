/* A question's answer: log-probabilities and KL from the policy's family, the objective on top of
 * them, the gradient back to the policy's numbers. Puts together, computes nothing itself.
 *
 * Memory of its own, no I/O; any thread. */
#ifndef PMP_CLIENTS_PMPO_EVAL_EVAL_H
#define PMP_CLIENTS_PMPO_EVAL_EVAL_H

#include "base/err.h"
#include "clients/pmpo-eval/request.h"

#include <stdint.h>

struct pmp_eval_answer {
  double loss;
  double policy_term; /* the loss without the weighted KL */
  /* What the betas multiply: one number, or with the split loss the mean's and the spread's. Of an
   * objective without a KL term: mean KL(ref||pi). */
  double kl[2];
  uint32_t kl_count; /* 0: no reference was given, and none was needed */
  double kl_margin;  /* objective.h; NaN unless pmpo */
  uint32_t parts;    /* P */
  double *grad;      /* (B x natural) owned: dL/dpi */
  double *lp;        /* (N x P) owned: log pi(y|x), outcomes as in the request */
  double *lp_ref;    /* (N x P) owned; NULL when the objective does not read it */
  double *c;         /* (N x P) owned: dL/dlp */
};

/* PMP_ENONFINITE with the first place that is not finite; PMP_EINVALID, PMP_ENOMEM. `a` needs no
 * init, and no fini after a failure. */
PMP_MUST_CHECK enum pmp_err pmp_eval_answer_make(struct pmp_eval_answer *a,
                                                 const struct pmp_eval_request *q,
                                                 struct pmp_errmsg *msg);
/* Safe on a zeroed struct. */
void pmp_eval_answer_fini(struct pmp_eval_answer *a);

#endif
