/* The parts of pmp_eval_request_read, one file each. */
#ifndef PMP_CLIENTS_PMPO_EVAL_REQUEST_PARTS_H
#define PMP_CLIENTS_PMPO_EVAL_REQUEST_PARTS_H

#include "clients/pmpo-eval/request.h"

/* pi and ref, dist's dim and bins, b, natural. Reads dist.kind. */
PMP_MUST_CHECK enum pmp_err pmp_eval_request_policies(struct pmp_eval_request *q, json_t *line,
                                                      struct pmp_errmsg *msg);
/* y, x, verdict, weight, f, given, n. Reads dist and b. */
PMP_MUST_CHECK enum pmp_err pmp_eval_request_outcomes(struct pmp_eval_request *q, json_t *line,
                                                      struct pmp_errmsg *msg);

#endif
