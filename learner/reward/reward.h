/* A reward that people's verdicts on clips imply: r(x, a), fitted so that P(accept clip) =
 * sigmoid(mean_t r(x_t, a_t)) (a Bradley-Terry-like model of single clips: Christiano et al. 2017,
 * eq. 1, with a constant in the second clip's place).
 *
 * A few networks of the same shape, initialised and fed independently, whose mean is the reward and
 * whose disagreement says how uncertain a clip is. Kept clips are a ring of fixed size; the oldest
 * leaves. What a critic gets is sigmoid((r - m) / s), in (0, 1) as a control task's reward: m and s
 * are the running mean and standard deviation of r over the rows that it is fitted to, for r itself
 * grows without end where verdicts have no noise.
 *
 * The learner's thread; all memory is taken at open. Same clips, in the same order, with the same
 * calls of fit between them: the same bits. */
#ifndef PMP_LEARNER_REWARD_REWARD_H
#define PMP_LEARNER_REWARD_REWARD_H

#include "base/arena.h"
#include "base/rng.h"
#include "policy/nn/net.h"

#define PMP_REWARD_NETS_MAX 8

struct pmp_reward_config {
  uint32_t obs, act; /* floats; actions are what the environment gets */
  uint32_t hidden[PMP_NET_HIDDEN_MAX];
  uint32_t hidden_count;
  uint32_t nets;      /* 1..PMP_REWARD_NETS_MAX */
  uint32_t clips_max; /* kept */
  uint32_t clip_rows; /* most rows of a clip */
  uint32_t batch;     /* clips of one step of a fit */
  float lr, weight_decay;
  double memory; /* verdicts after which a clip is drawn half as often; 0: all alike */
  uint64_t seed;
};

/* Where a clip lives in the store: its first row. */
struct pmp_reward_clip {
  uint64_t chunk;
  uint32_t row;
};

struct pmp_reward_stats {
  uint32_t clips, accepted, rejected; /* kept */
  uint64_t verdicts;                  /* taken, replaced ones too */
  uint64_t steps;                     /* of fits */
  double loss;                        /* of the last fit's steps, in nats; NaN: none yet */
  /* Of the last (at most 100) clips, the share that was foretold before it was learned; NaN: none.
   */
  double accuracy;
};

struct pmp_reward; /* opaque */

/* PMP_EINVALID, PMP_ENOMEM. */
PMP_MUST_CHECK enum pmp_err pmp_reward_open(struct pmp_reward **r,
                                            const struct pmp_reward_config *config,
                                            struct pmp_errmsg *msg);
void pmp_reward_close(struct pmp_reward *r); /* NULL is fine */

/* The verdict on a clip: obs (rows x obs), act (rows x act); label 1, -1, or 0 (none any more: the
 * clip is forgotten), weight in (0, 1]. A clip that is known takes the new label. PMP_ETOOLARGE:
 * more rows than clip_rows. */
PMP_MUST_CHECK enum pmp_err pmp_reward_judge(struct pmp_reward *r, struct pmp_compute *compute,
                                             struct pmp_reward_clip id, uint32_t rows,
                                             const float *obs, const float *act, int8_t label,
                                             float weight, struct pmp_errmsg *msg);
/* `steps` steps of Adam of every network, each on `batch` clips drawn anew. Nothing happens while
 * only one of accept and reject is there. PMP_ENONFINITE: the networks are as before the step. */
PMP_MUST_CHECK enum pmp_err pmp_reward_fit(struct pmp_reward *r, struct pmp_compute *compute,
                                           uint32_t steps, struct pmp_errmsg *msg);
/* Has there been a fit? Before, values are 0.5. */
bool pmp_reward_known(const struct pmp_reward *r);
/* out (n) = sigmoid((r - m) / s), r the mean of the networks', at obs (n x obs), act (n x act). */
PMP_MUST_CHECK enum pmp_err pmp_reward_values(struct pmp_reward *r, struct pmp_compute *compute,
                                              size_t n, const float *obs, const float *act,
                                              float *out);
/* *accept: the probability that the clip is accepted; *spread: the standard deviation of the
 * networks' logits. */
PMP_MUST_CHECK enum pmp_err pmp_reward_foretell(struct pmp_reward *r, struct pmp_compute *compute,
                                                uint32_t rows, const float *obs, const float *act,
                                                double *accept, double *spread);
void pmp_reward_stats(const struct pmp_reward *r, struct pmp_reward_stats *out);

#endif
