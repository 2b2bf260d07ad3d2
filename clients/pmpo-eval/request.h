/* One line's question, read from JSON and checked: an objective with its settings, a policy and its
 * reference in natural parameters, and outcomes in the order that objectives want.
 *
 * Memory of its own, no I/O; any thread. Every fault is answered with what is wrong, where, and
 * what would be right. Knows no formula of an objective or of a policy. */
#ifndef PMP_CLIENTS_PMPO_EVAL_REQUEST_H
#define PMP_CLIENTS_PMPO_EVAL_REQUEST_H

#include "base/err.h"
#include "learner/objective/objective.h"
#include "policy/dist/dist.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct pmp_eval_request {
  const struct pmp_objective *objective;
  struct pmp_objective_config config;
  struct pmp_dist dist;
  size_t b, n;     /* B conditions (rows of pi), N outcomes */
  size_t natural;  /* float64 a condition */
  double *pi;      /* (B x natural) owned */
  double *ref;     /* (B x natural) owned; NULL: not given */
  double *y;       /* (N x D) owned; by condition, within one as given */
  uint32_t *x;     /* (N) owned; non-decreasing */
  int8_t *verdict; /* (N) owned; zeros when not given */
  double *weight;  /* (N) owned; NULL: not given */
  double *f;       /* (N) owned; NULL: not given */
  size_t *given;   /* (N) owned; outcome j was the given[j]-th of the line */
};

/* The i-th objective that a line may ask for, NULL past the end. Those with variables of their own
 * beside the policy (mpo) are not among them: what they answer depends on where a run stands. */
const char *pmp_eval_objective(size_t i);
/* `line` is borrowed. PMP_EINVALID, PMP_ENOMEM. `q` needs no init, and no fini after a failure. */
PMP_MUST_CHECK enum pmp_err pmp_eval_request_read(struct pmp_eval_request *q, json_t *line,
                                                  struct pmp_errmsg *msg);
/* Safe on a zeroed struct. */
void pmp_eval_request_fini(struct pmp_eval_request *q);

#endif
