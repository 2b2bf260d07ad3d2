/* A learner's first steps as files, for others to repeat: its sizes and settings (case.json), its
 * initial parameters and the batches with the noise of the actions that it will draw (case.f32),
 * what its first steps said (ours.f64) and the parameters after each of them (after.f32). Little-
 * endian, in the order of learner_peers.py.
 *
 * Reads the trainer's generators to say beforehand what it will draw, and leaves them as they are:
 * a trainer that draws otherwise disagrees with every peer. */
#ifndef PMP_BENCH_LEARNER_CASE_H
#define PMP_BENCH_LEARNER_CASE_H

#include "bench/bench.h"
#include "learner/trainer_state.h"

enum { CASE_BATCHES = 16, CASE_CHECKS = 4 };

/* What a step says, in the order of learner_peers.py. */
enum { CASE_LOSS = 3, CASE_REJECTED = 5, CASE_NUMBERS = 9 };
struct case_said {
  double step[CASE_CHECKS][CASE_NUMBERS];
};

static inline void case_write(FILE *f, const void *data, size_t size) {
  if (fwrite(data, 1, size, f) != size) {
    fprintf(stderr, "bench: a case cannot be written\n");
    exit(1);
  }
}

static inline FILE *case_open(const char *folder, const char *name) {
  char path[700];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *f = fopen(path, "wb");
  if (f != NULL) return f;
  fprintf(stderr, "bench: %s cannot be made\n", path);
  exit(1);
}

static inline json_t *case_shapes(const struct pmp_manifest *m) {
  json_t *views = json_array();
  for (uint32_t i = 0; i < m->views; i++) {
    json_t *shape = json_array();
    for (uint32_t k = 0; k < m->view[i].rank; k++)
      json_array_append_new(shape, json_integer((json_int_t)m->view[i].shape[k]));
    json_array_append_new(views, json_pack("[s, o]", m->view[i].name, shape));
  }
  return views;
}

static inline void case_settings(const struct pmp_trainer *t, const char *folder) {
  const struct pmp_trainer_config *c = &t->config;
  const struct pmp_dist *d = &c->policy.dist;
  const struct pmp_adam_config *adam = &c->policy_optim;
  json_t *all =
      json_pack("{s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i}", "obs",
                c->policy.obs, "act", d->dim, "batch", c->batch, "value_samples", c->value_samples,
                "label_samples", c->label_samples, "label_k", c->label_k, "atoms", c->critic.atoms,
                "policy_hidden", c->policy.hidden_count, "critic_hidden", c->critic.hidden_count,
                "period", c->refresh_period, "batch_count", CASE_BATCHES, "checks", CASE_CHECKS);
  json_t *more =
      json_pack("{s:f, s:f, s:f, s:[f, f], s:f, s:f, s:f, s:f, s:f, s:f, s:o, s:o}", "v_min",
                (double)c->critic.v_min, "v_max", (double)c->critic.v_max, "alpha", c->loss.alpha,
                "beta", c->loss.beta[0], c->loss.beta[1], "std_scale", (double)d->std_scale,
                "std_min", (double)d->std_min, "lr", (double)adam->lr, "beta1", (double)adam->beta1,
                "beta2", (double)adam->beta2, "eps", (double)adam->eps, "policy",
                case_shapes(&t->policy.manifest), "critic", case_shapes(&t->critic.manifest));
  FILE *f = case_open(folder, "case.json");
  if (all == NULL || more == NULL || json_object_update(all, more) != 0 ||
      json_dumpf(all, f, JSON_INDENT(2)) != 0)
    abort();
  json_decref(all);
  json_decref(more);
  fclose(f);
}

/* The parameters that a step changes. */
static inline void case_parameters(const struct pmp_trainer *t, FILE *f) {
  case_write(f, t->buffer[PMP_BUFFER_PI], t->floats[PMP_BUFFER_PI] * sizeof(float));
  case_write(f, t->buffer[PMP_BUFFER_CRITIC], t->floats[PMP_BUFFER_CRITIC] * sizeof(float));
}

/* The next batches and their noise, in the order in which a step draws. */
static inline void case_batches(struct pmp_trainer *t, FILE *f) {
  const struct pmp_trainer_config *c = &t->config;
  const size_t dim = c->policy.dist.dim, b = c->batch;
  const size_t noise[2] = {b * c->value_samples * dim, b * c->label_samples * dim};
  struct pmp_rng rows = t->counters.batch_rng, actions = t->counters.action_rng;
  struct pmp_arena arena = {.base = NULL};
  struct pmp_batch batch;
  float *z = bench_need(noise[0] + noise[1], sizeof *z);
  if (pmp_arena_init(&arena, pmp_replay_scratch(&t->config.replay, b) + 4096) != PMP_OK) abort();
  for (int i = 0; i < CASE_BATCHES; i++) {
    pmp_arena_release(&arena, 0);
    if (pmp_replay_draw(t->replay, &rows, b, t->counters.version, &arena, &batch) != PMP_OK)
      abort();
    pmp_rng_normal_fill(&actions, z, noise[0]);
    pmp_rng_normal_fill(&actions, z + noise[0], noise[1]);
    case_write(f, batch.obs, b * c->policy.obs * sizeof(float));
    case_write(f, batch.boot_obs, b * c->policy.obs * sizeof(float));
    case_write(f, batch.act, b * dim * sizeof(float));
    case_write(f, batch.ret, b * sizeof(float));
    case_write(f, batch.disc, b * sizeof(float));
    case_write(f, z, (noise[0] + noise[1]) * sizeof(float));
  }
  pmp_arena_fini(&arena);
  free(z);
}

/* One of a trainer's first CASE_CHECKS steps. */
static inline void case_step(struct pmp_trainer *t, double said[CASE_NUMBERS]) {
  struct pmp_errmsg msg = {{0}};
  struct pmp_step_metrics m;
  bool refreshed;
  bench_must(pmp_trainer_step(t, &m, &refreshed, &msg), "step", &msg);
  const double row[CASE_NUMBERS] = {m.critic_loss, m.q_mean,        m.critic_grad_norm,
                                    m.loss,        m.loss_accepted, m.loss_rejected,
                                    m.kl[0],       m.kl[1],         m.grad_norm};
  memcpy(said, row, sizeof row);
}

/* Of a trainer that has not stepped; makes its first CASE_CHECKS steps. */
static inline void case_save(struct pmp_trainer *t, const char *folder, struct case_said *said) {
  case_settings(t, folder);
  FILE *f = case_open(folder, "case.f32");
  case_parameters(t, f);
  case_batches(t, f);
  fclose(f);
  FILE *numbers = case_open(folder, "ours.f64"), *after = case_open(folder, "after.f32");
  for (int i = 0; i < CASE_CHECKS; i++) {
    case_step(t, said->step[i]);
    case_write(numbers, said->step[i], sizeof said->step[i]);
    case_parameters(t, after);
  }
  fclose(numbers);
  fclose(after);
}

/* The largest deviation of the losses (the critic's, its mean value, the policy's and its two
 * sets'), each over its own size, the policy's over the size of the largest of them: what they add
 * up to may be near zero. */
static inline double case_losses_apart(const struct case_said *a, const struct case_said *b) {
  double worst = 0.0;
  for (int i = 0; i < CASE_CHECKS; i++) {
    double terms = 0.0;
    for (int k = CASE_LOSS; k <= CASE_REJECTED; k++) terms = fmax(terms, fabs(a->step[i][k]));
    for (int k = 0; k <= CASE_REJECTED; k++) {
      const double size = k >= CASE_LOSS ? terms : fabs(a->step[i][k]);
      if (k != CASE_LOSS - 1) /* a norm of a gradient */
        worst = fmax(worst, fabs(b->step[i][k] - a->step[i][k]) / size);
    }
  }
  return worst;
}

#endif
