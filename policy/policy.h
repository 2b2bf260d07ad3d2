/* A policy: a family (policy/dist) and what makes its head out of a condition: a network, or, for a
 * bandit without condition, the free parameters themselves (the flat buffer is the head).
 *
 * The same struct serves the learner (with gradients) and actors (evaluation). `struct pmp_policy`
 * is immutable after init; any thread may read it. It is said by a `struct pmp_policy_spec`, which
 * travels as JSON in hello replies, checkpoints and exports, so that an actor can build the policy
 * that the daemon trains. */
#ifndef PMP_POLICY_POLICY_H
#define PMP_POLICY_POLICY_H

#include "policy/dist/dist.h"
#include "policy/nn/net.h"
#include "policy/params.h"

struct pmp_policy_spec {
  struct pmp_dist dist;
  uint32_t obs; /* floats of a condition; 0: no condition */
  bool network; /* false: free parameters (obs must be 0) */
  uint32_t hidden[PMP_NET_HIDDEN_MAX];
  uint32_t hidden_count;
  bool first_layer_norm;
  bool layer_norm_all; /* LayerNorm before the other hidden layers' ELU too */
  /* Initial std of a gaussian. Network: the bias of std_raw that says it; 0 leaves that bias at 0.
   */
  float init_std;
  float init_mean_range; /* free parameters: mean starts uniform in [-r, r] */
  /* Network: the observation goes in as clip((x - mean) * scale, -10, 10), with mean and scale that
   * travel with the parameters and are not trained (0 and 1 at the start). */
  bool normalize;
};

struct pmp_policy {
  struct pmp_policy_spec spec;
  struct pmp_net net; /* when spec.network */
  struct pmp_manifest manifest;
  size_t head;        /* H */
  size_t trained;     /* floats that have gradients: all, or those before mean and scale */
  size_t mean, scale; /* where they lie (obs each), when spec.normalize */
};

/* Views: "policy/linear_0/weight" and so on for a network. For free parameters "policy/mean_raw"
 * and "policy/std_raw" (full covariance: "policy/chol_raw", D (D + 1) / 2), or "policy/logits"
 * (D x bins). With spec.normalize the last two are "policy/observation/mean" and
 * "policy/observation/scale" (obs each). PMP_EINVALID with the reason. */
PMP_MUST_CHECK enum pmp_err
pmp_policy_init(struct pmp_policy *p, const struct pmp_policy_spec *spec, struct pmp_errmsg *msg);
void pmp_policy_init_params(const struct pmp_policy *p, struct pmp_rng *rng, float *params);
/* Floats of scratch for forward and backward of b conditions. */
size_t pmp_policy_cache_floats(const struct pmp_policy *p, size_t b);
/* head (B x H) of x (B x obs, as the environment gives it; NULL when obs is 0: the same head B
 * times). */
PMP_MUST_CHECK enum pmp_err pmp_policy_forward(const struct pmp_policy *p,
                                               struct pmp_compute *compute, const float *params,
                                               size_t b, const float *x, float *cache, float *head);
/* Adds to dparams, but nothing to those that are not trained; cache is the forward's. */
PMP_MUST_CHECK enum pmp_err pmp_policy_backward(const struct pmp_policy *p,
                                                struct pmp_compute *compute, const float *params,
                                                size_t b, const float *x, float *cache,
                                                const float *dhead, float *dparams);

/* out (B x obs) = x as the network sees it; without spec.normalize a copy. out may be x. */
void pmp_policy_normalize(const struct pmp_policy *p, const float *params, size_t b, const float *x,
                          float *out);

/* The spec as compact JSON with sorted keys (malloc'd, caller frees), and back. Unknown keys are
 * refused: an actor that does not understand a policy must not act with it. */
PMP_MUST_CHECK enum pmp_err pmp_policy_spec_to_json(const struct pmp_policy_spec *spec,
                                                    char **json);
PMP_MUST_CHECK enum pmp_err pmp_policy_spec_from_json(struct pmp_policy_spec *spec,
                                                      const char *json, size_t size,
                                                      struct pmp_errmsg *msg);

#endif
