/* libpmpo-policy: the run's reference (or policy) at an actor, and what it says about conditions.
 *
 * A `struct pmpo_policy` builds the policy that the daemon's hello describes, keeps a mirror of its
 * weights that one thread of its own follows by a long poll, and evaluates it. New weights are
 * checked (hash, names, shapes, finite numbers) before anybody sees them and are swapped in whole,
 * at the moment that the evaluating thread asks for it. All functions are for one thread, the
 * evaluating one, unless said otherwise. */
#ifndef PMPO_POLICY_H
#define PMPO_POLICY_H

#include "base/rng.h"
#include "clients/libpmpo/pmpo.h"
#include "policy/policy.h"

#ifdef __cplusplus
extern "C" {
#endif

struct pmpo_policy; /* opaque */

struct pmpo_policy_options {
  enum pmp_which which;
  uint32_t rows_max; /* conditions in one evaluation, >= 1; 1 when the policy takes none */
  bool follow;       /* a thread follows new versions; false: only pmpo_policy_fetch brings them */
};

/* Builds the policy of the client's run. The client must outlive the mirror and its pmpo_weights is
 * taken. PMP_EINVALID (not a policy that this library understands), PMP_ENOMEM. Does not wait for
 * weights. */
PMP_MUST_CHECK enum pmp_err pmpo_policy_open(struct pmpo_policy **p, struct pmpo *client,
                                             const struct pmpo_policy_options *options,
                                             struct pmp_errmsg *msg);
/* NULL is fine. The client can fetch no weights afterwards. */
void pmpo_policy_close(struct pmpo_policy *p);

/* What is evaluated: sizes, family, the box of actions. Any thread. */
const struct pmp_policy *pmpo_policy_model(const struct pmpo_policy *p);
/* Version of the weights in use; 0: none yet. learner_step (nullable): the learner's step that made
 * them. */
uint64_t pmpo_policy_version(const struct pmpo_policy *p, uint64_t *learner_step);

/* Takes the newest weights that have arrived into use: a few nanoseconds when there are none.
 * PMP_ECORRUPT, PMP_ECONFLICT when weights arrived that are not this policy's; then the mirror is
 * dead. */
PMP_MUST_CHECK enum pmp_err pmpo_policy_update(struct pmpo_policy *p, struct pmp_errmsg *msg);
/* Waits until a version >= `version` has arrived (1: any) and takes it into use. `exactly`: it must
 * be that one (lockstep), else PMP_ECONFLICT. timeout_ms -1: for ever. PMP_ETIMEOUT, PMP_ECLOSED.
 * Needs `follow`. */
PMP_MUST_CHECK enum pmp_err pmpo_policy_wait(struct pmpo_policy *p, uint64_t version, bool exactly,
                                             int timeout_ms, struct pmp_errmsg *msg);
/* Fetches the newest weights now and takes them into use; waits up to wait_ms for one above the
 * version in use, then PMP_ENOTFOUND. Not with `follow`. */
PMP_MUST_CHECK enum pmp_err pmpo_policy_fetch(struct pmpo_policy *p, uint32_t wait_ms,
                                              struct pmp_errmsg *msg);

/* head (rows x H) of x (rows x obs; NULL when the policy takes no condition). The pointer is valid
 * until the next evaluation. PMP_EINVALID (too many rows, no weights yet), PMP_ENONFINITE. */
PMP_MUST_CHECK enum pmp_err pmpo_policy_head(struct pmpo_policy *p, uint32_t rows, const float *x,
                                             const float **head, struct pmp_errmsg *msg);
/* y (rows * draws x dim), condition-major: draws from the policy, as they are sent to the daemon (a
 * Gaussian's are not clipped, a categorical's are bin indices). */
PMP_MUST_CHECK enum pmp_err pmpo_policy_sample(struct pmpo_policy *p, uint32_t rows, uint32_t draws,
                                               const float *x, struct pmp_rng *rng, float *y,
                                               struct pmp_errmsg *msg);
/* y (rows x dim): the mean, or the likeliest bins. */
PMP_MUST_CHECK enum pmp_err pmpo_policy_mode(struct pmpo_policy *p, uint32_t rows, const float *x,
                                             float *y, struct pmp_errmsg *msg);
/* Outcomes (n x dim) to what an environment takes (n x dim): clipped to the box, or the bins'
 * values. May be in place. */
void pmpo_policy_action(const struct pmpo_policy *p, uint32_t n, const float *y, float *action);

#ifdef __cplusplus
}
#endif
#endif
