/* The trainer's inside, for its own files and the checkpoint. Private to learner/. */
#ifndef PMP_LEARNER_TRAINER_STATE_H
#define PMP_LEARNER_TRAINER_STATE_H

#include "learner/trainer.h"

/* The flat buffers that a resume restores, in a fixed order. */
enum pmp_trainer_buffer_id {
  PMP_BUFFER_PI,
  PMP_BUFFER_REF,
  PMP_BUFFER_PI_M, /* Adam's moments */
  PMP_BUFFER_PI_V,
  PMP_BUFFER_CRITIC, /* these four: where values are learned */
  PMP_BUFFER_TARGET,
  PMP_BUFFER_CRITIC_M,
  PMP_BUFFER_CRITIC_V,
  PMP_BUFFER_DUAL, /* from here on: objectives with dual variables only */
  PMP_BUFFER_DUAL_M,
  PMP_BUFFER_DUAL_V,
  PMP_BUFFERS
};

/* What changes in a step besides the buffers. */
struct pmp_trainer_counters {
  uint64_t step, version;
  struct pmp_rng batch_rng, action_rng;
  double shown, rejected; /* running sums for beta: auto */
};

struct pmp_trainer {
  struct pmp_trainer_config config; /* live settings are changed in here */
  struct pmp_clock clock;
  struct pmp_policy policy;
  struct pmp_critic critic;
  const struct pmp_objective *objective;
  struct pmp_manifest dual_manifest; /* "objective/dual" */
  struct pmp_compute compute;
  struct pmp_replay *replay; /* owned */
  struct pmp_arena params;   /* owns the buffers and gradients */
  struct pmp_arena arena;    /* a step's scratch */
  float *buffer[PMP_BUFFERS];
  size_t floats[PMP_BUFFERS]; /* 0 without a critic */
  float *pi_grad, *critic_grad, *dual_grad;
  struct pmp_adam pi_adam, critic_adam, dual_adam;
  double *improve; /* [improve_doubles] improvement exact: what the closed form has seen */
  size_t improve_doubles;
  double *moments; /* [moments_doubles] of observations drawn so far: count, mean, sum of squared
                      deviations; only where they are normalised */
  size_t moments_doubles;
  struct pmp_trainer_counters counters;
  struct pmp_trainer_times times;
  void (*reduce)(void *ctx, float *buffer, size_t n);
  void *reduce_ctx;
  enum pmp_err (*reward)(void *ctx, size_t n, const float *obs, const float *act, float *out);
  void *reward_ctx;
  char fingerprint[65]; /* empty until asked for */
};

/* "pi", "ref", "pi.adam_m", ... */
const char *pmp_trainer_buffer_name(enum pmp_trainer_buffer_id id);
/* The manifest that a buffer's parameters follow. */
const struct pmp_manifest *pmp_trainer_buffer_manifest(const struct pmp_trainer *t,
                                                       enum pmp_trainer_buffer_id id);

/* Everything besides the buffers as words, and back: what a checkpoint stores and what the hash
 * covers. */
#define PMP_TRAINER_WORDS (4 + 2 * 6 + 9)
void pmp_trainer_pack(const struct pmp_trainer *t, uint64_t words[PMP_TRAINER_WORDS]);
void pmp_trainer_unpack(struct pmp_trainer *t, const uint64_t words[PMP_TRAINER_WORDS]);

/* The closed form's configuration: kind, sizes, alpha and betas from the rest. */
struct pmp_improve_config pmp_trainer_improve(const struct pmp_trainer_config *config);
/* Improvement exact: pi by the closed form from what has been seen of this reference
 * (trainer_exact.c). False: there was nothing to improve by, or no finite policy came of it, or
 * improvement is by gradient: pi is as before. */
bool pmp_trainer_improve_now(struct pmp_trainer *t);

/* Adds b observations, in their order, to the moments; and writes what these say into pi
 * (trainer_moments.c). Nothing where observations are not normalised. */
void pmp_trainer_moments_add(struct pmp_trainer *t, size_t b, const float *x);
void pmp_trainer_moments_use(struct pmp_trainer *t);

/* Most conditions and outcomes that a step sees. */
size_t pmp_trainer_conditions_max(const struct pmp_trainer_config *config);
size_t pmp_trainer_outcomes_max(const struct pmp_trainer_config *config);
/* Arena bytes that a step needs at most (trainer_step.c). */
size_t pmp_trainer_scratch(const struct pmp_trainer *t);

#endif
