/* Q(x, a): a network over (observation, action), scalar or over atoms (Bellemare et al. 2017, C51),
 * trained on n-step returns towards a target network's expectation over actions of the reference.
 *
 * Or two such networks, initialised independently and trained on the same targets, of which each
 * answer takes the lower one (Fujimoto et al. 2018, clipped double Q): a value that one of them
 * overestimates neither ranks an action nor enters a target. The flat parameters, gradients and
 * moments then hold both, one after the other.
 *
 * Immutable struct, caller's memory, one thread a call. Actions are what the environment gets
 * (pmp_dist_action). */
#ifndef PMP_LEARNER_CRITIC_CRITIC_H
#define PMP_LEARNER_CRITIC_CRITIC_H

#include "base/arena.h"
#include "policy/nn/net.h"

#define PMP_CRITIC_ATOMS_MAX 256
#define PMP_CRITIC_COUNT_MAX 2

struct pmp_critic_config {
  uint32_t obs, act; /* floats; act may be 0: V(x), actions NULL then */
  uint32_t hidden[PMP_NET_HIDDEN_MAX];
  uint32_t hidden_count;
  bool first_layer_norm;
  bool layer_norm_all; /* LayerNorm before the other hidden layers' ELU too */
  uint32_t atoms; /* 1: scalar, squared error; else 2..PMP_CRITIC_ATOMS_MAX atoms on [v_min, v_max],
                     cross-entropy */
  float v_min, v_max;
  uint32_t count; /* networks: 1 or 2; 0 means 1 */
};

struct pmp_critic {
  struct pmp_critic_config config; /* count: 1 or 2 */
  struct pmp_net net;              /* each network's; the second's parameters lie net.floats on */
  struct pmp_manifest manifest;    /* of all networks: count * net.floats */
};

/* The manifest names the parameters "critic/..." and, of a second network, "critic_2/...".
 * PMP_EINVALID. */
PMP_MUST_CHECK enum pmp_err pmp_critic_init(struct pmp_critic *q,
                                            const struct pmp_critic_config *config,
                                            struct pmp_errmsg *msg);
void pmp_critic_init_params(const struct pmp_critic *q, struct pmp_rng *rng, float *params);

/* q (states*per) = expected value at (obs[s], action[s*per + i]), of two networks the lower one.
 * obs (states x obs), action (states*per x act). Scratch from the arena, released before return.
 * PMP_ENOMEM, PMP_ENONFINITE.
 */
PMP_MUST_CHECK enum pmp_err pmp_critic_values(const struct pmp_critic *q,
                                              struct pmp_compute *compute, const float *params,
                                              size_t states, size_t per, const float *obs,
                                              const float *action, struct pmp_arena *arena,
                                              float *values);
/* target (states x atoms): the bootstrap at boot_obs averaged over `per` actions a state (for
 * atoms: the mean of the distributions), then moved by ret + disc * z and projected on the atoms;
 * for a scalar critic (states x 1): ret + disc * mean. Of two networks each action counts with the
 * lower value; for atoms with the distribution whose expectation is lower. ret, disc (states):
 * n-step return and the product of discounts (0 after termination). PMP_ENOMEM, PMP_ENONFINITE. */
PMP_MUST_CHECK enum pmp_err pmp_critic_target(const struct pmp_critic *q,
                                              struct pmp_compute *compute,
                                              const float *target_params, size_t states, size_t per,
                                              const float *boot_obs, const float *boot_action,
                                              const float *ret, const float *disc,
                                              struct pmp_arena *arena, float *target);
/* Adds dL/dparams to dparams; *loss: mean over states of 1/2 squared error, or of the
 * cross-entropy. *mean_q (nullable): mean value. Of two networks each gets the gradient of its own
 * loss, and *loss and *mean_q are the means of the two. action (states x act), target (states x
 * atoms; each row of atoms sums to 1). states >= 1. PMP_ENOMEM; PMP_ENONFINITE: dparams is as
 * before. */
PMP_MUST_CHECK enum pmp_err pmp_critic_loss(const struct pmp_critic *q, struct pmp_compute *compute,
                                            const float *params, size_t states, const float *obs,
                                            const float *action, const float *target,
                                            struct pmp_arena *arena, float *dparams, double *loss,
                                            double *mean_q);
/* C51's projection alone (Bellemare et al. 2017, eq. 7): prob (states x atoms) on clip(ret + disc *
 * z, v_min, v_max), onto the atoms; out (states x atoms), must not overlap prob. A row whose ret or
 * disc is not finite becomes NaN. */
void pmp_critic_project(size_t states, uint32_t atoms, float v_min, float v_max, const float *prob,
                        const float *ret, const float *disc, float *out);
/* Arena bytes that the three calls above need at most for `states` and `per`. */
size_t pmp_critic_scratch(const struct pmp_critic *q, size_t states, size_t per);

#endif
