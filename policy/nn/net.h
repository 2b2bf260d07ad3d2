/* A multi-layer perceptron with explicit forward and backward, over flat parameters.
 *
 * Layer 1 may be followed by LayerNorm and tanh (DMPO's first layer), every other hidden layer by
 * ELU, before which there may be a LayerNorm too; the output is linear. The input has two parts:
 * `shared` (a state) and `own` (an action). Several rows may share one state: the state's part of
 * the first product is then computed once for all of them.
 *
 * When the backend multiplies bfloat16 (compute.h), weights, layers' outputs and the gradients that
 * go into products are rounded for them; everything else stays float32, the parameters and their
 * gradients too.
 *
 * A `struct pmp_net` is immutable after init; any thread may read it. Scratch is the caller's. */
#ifndef PMP_POLICY_NN_NET_H
#define PMP_POLICY_NN_NET_H

#include "base/err.h"
#include "base/rng.h"
#include "policy/nn/compute.h"
#include "policy/params.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PMP_NET_HIDDEN_MAX 8

struct pmp_net_config {
  uint32_t in_shared, in_own; /* floats; in_own may be 0 */
  uint32_t hidden[PMP_NET_HIDDEN_MAX];
  uint32_t hidden_count; /* 0: one linear map */
  uint32_t out;
  bool first_layer_norm; /* LayerNorm (eps 1e-5, gain and bias) and tanh after layer 1, else ELU */
  bool layer_norm_all;   /* LayerNorm before the other hidden layers' ELU too; needs the first's */
  float out_scale; /* variance scale of the output layer's initial weights (1e-2 for policies, 1 for
                      critics) */
};

struct pmp_net {
  struct pmp_net_config config;
  /* Weights (in x out), row major, biases (out); all in floats from the start of this net's
   * parameters. */
  size_t weight[PMP_NET_HIDDEN_MAX + 1], bias[PMP_NET_HIDDEN_MAX + 1];
  size_t norm[PMP_NET_HIDDEN_MAX]; /* LayerNorm of a hidden layer: its gain, then its shift */
  size_t gain, shift;              /* the first's */
  size_t floats;                   /* total */
};

/* Checks the configuration, computes offsets, and appends this net's views, named
 * "PREFIX/linear_0/weight" and so on, to `manifest` (nullable). The net's parameters start at the
 * manifest's size before the call. PMP_EINVALID. */
PMP_MUST_CHECK enum pmp_err pmp_net_init(struct pmp_net *net, const struct pmp_net_config *config,
                                         const char *prefix, struct pmp_manifest *manifest,
                                         struct pmp_errmsg *msg);
/* Truncated-normal fan-in initialisation (Sonnet's VarianceScaling, scale 1; output layer
 * out_scale), biases 0. */
void pmp_net_init_params(const struct pmp_net *net, struct pmp_rng *rng, float *params);

/* Whether hidden layer `layer` has a LayerNorm. */
bool pmp_net_has_norm(const struct pmp_net *net, uint32_t layer);

/* Scratch for one forward (kept for its backward) of `rows` rows with `states` distinct states, in
 * floats. It must be aligned to 8 bytes; to 64 (an arena's) is faster. */
size_t pmp_net_cache_floats(const struct pmp_net *net, size_t rows, size_t states);

/* out (rows x out). shared (states x in_shared), own (rows x in_own; NULL when in_own is 0); row r
 * uses state r / per, rows = states * per. cache holds what backward needs. Blocks for the products
 * only. */
PMP_MUST_CHECK enum pmp_err pmp_net_forward(const struct pmp_net *net, struct pmp_compute *compute,
                                            const float *params, const float *shared,
                                            const float *own, size_t states, size_t per,
                                            float *cache, float *out);
/* Adds dL/dparams to dparams; overwrites dshared (states x in_shared) and down (rows x in_own)
 * where not NULL; dparams may be NULL too. `cache` is that of the forward with the same arguments
 * and is used as scratch. dout (rows x out) is not changed. */
PMP_MUST_CHECK enum pmp_err pmp_net_backward(const struct pmp_net *net, struct pmp_compute *compute,
                                             const float *params, const float *shared,
                                             const float *own, size_t states, size_t per,
                                             float *cache, const float *dout, float *dparams,
                                             float *dshared, float *down);

/* Floats of scratch for pmp_net_evaluate. */
size_t pmp_net_evaluate_floats(const struct pmp_net *net, size_t rows, size_t states);
/* The forward alone, as above, with little scratch and less memory traffic: nothing is kept for a
 * backward. */
PMP_MUST_CHECK enum pmp_err pmp_net_evaluate(const struct pmp_net *net, struct pmp_compute *compute,
                                             const float *params, const float *shared,
                                             const float *own, size_t states, size_t per,
                                             float *scratch, float *out);

#endif
