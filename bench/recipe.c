/* Learns one control task in this process, without a daemon, and prints a line every few thousand
 * steps: what a recipe reaches, in environment steps and in seconds.
 *
 *   bench_recipe --task cartpole_swingup --seed 1 --steps 120000 [--stop 800] [--spi 32] ...
 *
 * The defaults are the fastest recipe found for cartpole_swingup: 40k to 70k steps to a return of
 * 800 on ten seeds.
 *
 * Environments and learner take turns in one thread; their seconds are counted apart. */
#include "actors/control/env.h"
#include "learner/trainer.h"

#include <getopt.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ENVS_MAX = 256, EVAL_EPISODES = 10, ROWS_MAX = 4096 };

struct options {
  char task[64], suite[512];
  uint64_t seed, steps, eval_every, min_size;
  uint32_t envs, chunk_steps;
  double spi, stop, rho; /* rho: correlation of the actors' noise from step to step */
  int threads;
  struct pmp_trainer_config trainer;
};

/* Rows on their way to the ring. */
struct rows {
  uint32_t count, *env, *episode, *t;
  float *obs, *act, *reward, *discount;
  uint8_t *flags;
  uint64_t *version, chunks;
};

struct bench {
  struct options o;
  struct pmp_env_model model;
  struct pmp_env *env[ENVS_MAX];
  struct pmp_trainer *trainer;
  struct pmp_clock clock;
  struct pmp_rng rng;
  uint32_t obs, act, episode[ENVS_MAX], t[ENVS_MAX];
  float *x, *y, *head, *cache, *grid; /* of a batch of environments; grid: what they get */
  float *noise, *mean, *std;
  struct rows rows;
  uint64_t env_steps;
  double debt; /* rows that the learner owes */
  int64_t act_ns, learn_ns, eval_ns;
};

static void fail(const char *what, const struct pmp_errmsg *msg) {
  fprintf(stderr, "bench_recipe: %s: %s\n", what, msg->text);
  exit(1);
}

static void must(enum pmp_err err, const char *what, const struct pmp_errmsg *msg) {
  if (err != PMP_OK) fail(what, msg);
}

static void *need(size_t count, size_t size) {
  void *memory = calloc(count > 0 ? count : 1, size);
  if (memory == NULL) abort();
  return memory;
}

/* ---------------------------------------------------------------- options */

static void default_options(struct options *o) {
  *o = (struct options){
      .task = "cartpole_swingup", .seed = 1, .steps = 120000, .eval_every = 5000, .min_size = 1000};
  o->envs = 8;
  o->chunk_steps = 8;
  o->spi = 32;
  o->rho = 0.9;
  o->stop = 1e9;
  struct pmp_trainer_config *t = &o->trainer;
  t->threads = 1;
  t->judge = PMP_JUDGE_CRITIC;
  t->label_k = t->label_k_rejected = 2;
  t->label_samples = 4;
  snprintf(t->objective, sizeof t->objective, "pmpo");
  t->loss = (struct pmp_objective_config){.alpha = 0.5F, .beta = {1.0F, 100.0F}};
  t->guard = PMP_GUARD_SKIP;
  t->kl_max = 10.0;
  t->policy_optim =
      (struct pmp_adam_config){.lr = 2e-3F, .beta1 = 0.9F, .beta2 = 0.999F, .eps = 1e-8F};
  t->critic_optim = t->policy_optim;
  t->value_samples = 1;
  t->critic_target_period = 100;
  t->refresh_period = 100;
  t->batch = 128;
  t->policy = (struct pmp_policy_spec){
      .network = true, .hidden = {128, 128}, .hidden_count = 2, .first_layer_norm = true};
  t->policy.init_std = 1.0F;
  t->policy.dist = (struct pmp_dist){.kind = PMP_DIST_DIAG_GAUSSIAN,
                                     .split = true,
                                     .squash_mean = true,
                                     .std_scale = 0.721347520444481703F,
                                     .std_min = 0.01F,
                                     .low = -1.0F,
                                     .high = 1.0F};
  t->critic = (struct pmp_critic_config){.hidden = {256, 256},
                                         .hidden_count = 2,
                                         .first_layer_norm = true,
                                         .atoms = 51,
                                         .v_min = 0.0F,
                                         .v_max = 100.0F};
  t->replay = (struct pmp_replay_config){.shape = PMP_REPLAY_TRAJECTORIES,
                                         .capacity = 1000000,
                                         .n_step = 5,
                                         .discount = 0.99F,
                                         .streams_max = ENVS_MAX};
}

static uint32_t parse_widths(const char *text, uint32_t width[PMP_NET_HIDDEN_MAX]) {
  uint32_t count = 0;
  while (*text != 0 && count < PMP_NET_HIDDEN_MAX) {
    char *end;
    width[count++] = (uint32_t)strtoul(text, &end, 10);
    text = *end == ',' ? end + 1 : end;
    if (text == end && *end != 0) break;
  }
  return count;
}

enum kind { KIND_TEXT, KIND_U64, KIND_U32, KIND_F64, KIND_F32, KIND_WIDTHS };

static const struct setting {
  const char *name;
  enum kind kind;
  size_t offset, extra; /* extra: bytes of a text, or where the number of widths is */
} SETTINGS[] = {
#define AT(field) offsetof(struct options, field)
    {"task", KIND_TEXT, AT(task), sizeof((struct options *)0)->task},
    {"suite", KIND_TEXT, AT(suite), sizeof((struct options *)0)->suite},
    {"seed", KIND_U64, AT(seed), 0},
    {"steps", KIND_U64, AT(steps), 0},
    {"eval-every", KIND_U64, AT(eval_every), 0},
    {"min-size", KIND_U64, AT(min_size), 0},
    {"envs", KIND_U32, AT(envs), 0},
    {"chunk-steps", KIND_U32, AT(chunk_steps), 0},
    {"spi", KIND_F64, AT(spi), 0},
    {"stop", KIND_F64, AT(stop), 0},
    {"rho", KIND_F64, AT(rho), 0},
    {"lr", KIND_F32, AT(trainer.policy_optim.lr), 0},
    {"decay-steps", KIND_U64, AT(trainer.decay_steps), 0},
    {"decay-to", KIND_F64, AT(trainer.decay_to), 0},
    {"critic-lr", KIND_F32, AT(trainer.critic_optim.lr), 0},
    {"hidden", KIND_WIDTHS, AT(trainer.policy.hidden), AT(trainer.policy.hidden_count)},
    {"critic-hidden", KIND_WIDTHS, AT(trainer.critic.hidden), AT(trainer.critic.hidden_count)},
    {"atoms", KIND_U32, AT(trainer.critic.atoms), 0},
    {"v-max", KIND_F32, AT(trainer.critic.v_max), 0},
    {"beta-mean", KIND_F32, AT(trainer.loss.beta[0]), 0},
    {"beta-std", KIND_F32, AT(trainer.loss.beta[1]), 0},
    {"alpha", KIND_F32, AT(trainer.loss.alpha), 0},
    {"refresh", KIND_U32, AT(trainer.refresh_period), 0},
    {"target", KIND_U32, AT(trainer.critic_target_period), 0},
    {"batch", KIND_U32, AT(trainer.batch), 0},
    {"n-step", KIND_U32, AT(trainer.replay.n_step), 0},
    {"value-samples", KIND_U32, AT(trainer.value_samples), 0},
    {"label-samples", KIND_U32, AT(trainer.label_samples), 0},
    {"label-k", KIND_U32, AT(trainer.label_k), 0},
    {"init-std", KIND_F32, AT(trainer.policy.init_std), 0},
    {"std-min", KIND_F32, AT(trainer.policy.dist.std_min), 0},
    {"clip-norm", KIND_F32, AT(trainer.policy_optim.clip_norm), 0},
    {"discount", KIND_F32, AT(trainer.replay.discount), 0},
    {"capacity", KIND_U64, AT(trainer.replay.capacity), 0},
#undef AT
};
enum { SETTINGS_COUNT = sizeof SETTINGS / sizeof SETTINGS[0] };

static void set_value(struct options *o, const struct setting *s, const char *value) {
  char *at = (char *)o + s->offset;
  const uint64_t whole = strtoull(value, NULL, 10);
  const uint32_t half = (uint32_t)whole;
  const double number = strtod(value, NULL);
  const float single = (float)number;
  switch (s->kind) {
  case KIND_TEXT:
    snprintf(at, s->extra, "%s", value);
    break;
  case KIND_U64:
    memcpy(at, &whole, sizeof whole);
    break;
  case KIND_U32:
    memcpy(at, &half, sizeof half);
    break;
  case KIND_F64:
    memcpy(at, &number, sizeof number);
    break;
  case KIND_F32:
    memcpy(at, &single, sizeof single);
    break;
  case KIND_WIDTHS: {
    uint32_t width[PMP_NET_HIDDEN_MAX] = {0}, count = parse_widths(value, width);
    memcpy(at, width, sizeof width);
    memcpy((char *)o + s->extra, &count, sizeof count);
  }
  }
}

static void parse_options(struct options *o, int argc, char **argv) {
  struct option table[SETTINGS_COUNT + 1] = {{0}};
  int which = 0;
  for (int i = 0; i < SETTINGS_COUNT; i++)
    table[i] = (struct option){.name = SETTINGS[i].name, .has_arg = required_argument};
  for (int c; (c = getopt_long_only(argc, argv, "", table, &which)) != -1;) {
    if (c != 0) {
      fprintf(stderr, "bench_recipe: the options are:");
      for (int i = 0; i < SETTINGS_COUNT; i++) fprintf(stderr, " --%s", SETTINGS[i].name);
      fprintf(stderr, "\n");
      exit(2);
    }
    set_value(o, &SETTINGS[which], optarg);
  }
  if (o->envs < 1) o->envs = 1;
  if (o->envs > ENVS_MAX) o->envs = ENVS_MAX;
  if (o->chunk_steps < 1) o->chunk_steps = 1;
  if (2 * (uint64_t)o->envs * o->chunk_steps > ROWS_MAX) o->chunk_steps = ROWS_MAX / (2 * o->envs);
  o->trainer.critic_optim.clip_norm = o->trainer.policy_optim.clip_norm;
}

/* Task models lie at ../share/pmpo from the program's folder. */
static void default_suite(char *out, size_t size) {
  char self[400];
  ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
  if (length < 0) length = 0;
  self[length] = 0;
  char *slash = strrchr(self, '/');
  if (slash != NULL) *slash = 0;
  snprintf(out, size, "%s/../share/pmpo/dm_control/suite", self);
}

/* ---------------------------------------------------------------- set-up */

static void open_envs(struct bench *b) {
  struct pmp_errmsg msg;
  const struct pmp_task *task;
  must(pmp_task_find(b->o.task, &task, &msg), "task", &msg);
  must(pmp_env_model_load(&b->model, task, b->o.suite, &msg), "model", &msg);
  b->obs = (uint32_t)task->obs_dim;
  b->act = (uint32_t)task->act_dim;
  for (uint32_t i = 0; i < b->o.envs; i++) {
    struct pmp_env_options options = {.seed = b->o.seed, .stream = i};
    must(pmp_env_create(&b->env[i], &b->model, &options, &msg), "environment", &msg);
  }
}

static void open_trainer(struct bench *b) {
  struct pmp_trainer_config *t = &b->o.trainer;
  struct pmp_errmsg msg;
  t->seed = b->o.seed;
  t->policy.obs = t->critic.obs = t->replay.obs = b->obs;
  t->policy.dist.dim = t->critic.act = t->replay.act = b->act;
  must(pmp_trainer_open(&b->trainer, t, b->clock, &msg), "trainer", &msg);
  pmp_trainer_compute(b->trainer)->timed = true;
  const struct pmp_policy *policy = pmp_trainer_policy(b->trainer);
  b->x = need(ENVS_MAX * b->obs, sizeof(float));
  b->y = need(ENVS_MAX * b->act, sizeof(float));
  b->grid = need(ENVS_MAX * b->act, sizeof(float));
  b->noise = need(ENVS_MAX * b->act, sizeof(float));
  b->mean = need(ENVS_MAX * b->act, sizeof(float));
  b->std = need(ENVS_MAX * b->act, sizeof(float));
  b->head = need(ENVS_MAX * policy->head, sizeof(float));
  b->cache = need(pmp_policy_cache_floats(policy, ENVS_MAX), sizeof(float));
  struct rows *r = &b->rows;
  r->env = need(ROWS_MAX, sizeof *r->env);
  r->episode = need(ROWS_MAX, sizeof *r->episode);
  r->t = need(ROWS_MAX, sizeof *r->t);
  r->obs = need(ROWS_MAX * b->obs, sizeof(float));
  r->act = need(ROWS_MAX * b->act, sizeof(float));
  r->reward = need(ROWS_MAX, sizeof *r->reward);
  r->discount = need(ROWS_MAX, sizeof *r->discount);
  r->flags = need(ROWS_MAX, sizeof *r->flags);
  r->version = need(ROWS_MAX, sizeof *r->version);
}

static void close_all(struct bench *b) {
  struct rows *r = &b->rows;
  void *owned[] = {b->noise, b->mean,   b->std,      b->x,       b->y,      b->grid,
                   b->head,  b->cache,  r->env,      r->episode, r->t,      r->obs,
                   r->act,   r->reward, r->discount, r->flags,   r->version};
  for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) free(owned[i]);
  for (uint32_t i = 0; i < b->o.envs; i++) pmp_env_free(b->env[i]);
  pmp_env_model_free(&b->model);
  pmp_trainer_close(b->trainer);
}

/* ---------------------------------------------------------------- acting */

static void flush_rows(struct bench *b) {
  struct rows *r = &b->rows;
  struct pmp_errmsg msg;
  uint32_t trainable = 0;
  struct pmp_replay_rows in = {.chunk = r->chunks + 1,
                               .commit = r->chunks + 1,
                               .rows = r->count,
                               .obs = r->obs,
                               .act = r->act,
                               .ref_version = r->version,
                               .env = r->env,
                               .episode = r->episode,
                               .t = r->t,
                               .reward = r->reward,
                               .discount = r->discount,
                               .flags = r->flags};
  must(pmp_replay_add(pmp_trainer_replay(b->trainer), &in, &trainable, &msg), "rows", &msg);
  r->chunks++;
  r->count = 0;
  struct pmp_replay_stats stats;
  pmp_replay_stats(pmp_trainer_replay(b->trainer), &stats);
  if (stats.became_trainable > b->o.min_size) b->debt += b->o.spi * trainable;
}

static void put_row(struct bench *b, uint32_t i, const float *obs, const float *act, double reward,
                    uint8_t flags) {
  struct rows *r = &b->rows;
  uint32_t at = r->count++;
  r->env[at] = i;
  r->episode[at] = b->episode[i];
  r->t[at] = b->t[i];
  r->reward[at] = (float)reward;
  r->discount[at] = 1.0F;
  r->flags[at] = flags;
  r->version[at] = pmp_trainer_version(b->trainer);
  memcpy(r->obs + at * b->obs, obs, b->obs * sizeof(float));
  memcpy(r->act + at * b->act, act, b->act * sizeof(float));
}

static void heads(struct bench *b, size_t envs) {
  struct pmp_errmsg msg = {"policy"};
  must(pmp_policy_forward(pmp_trainer_policy(b->trainer), pmp_trainer_compute(b->trainer),
                          pmp_trainer_ref(b->trainer), envs, b->x, b->cache, b->head),
       "policy", &msg);
}

/* Actions of the reference for every environment. With rho the noise of one environment's steps is
 * correlated; each action by itself is still one of the reference. */
static void draw_actions(struct bench *b) {
  const struct pmp_dist *dist = &b->o.trainer.policy.dist;
  struct pmp_errmsg msg = {"actions"};
  if (b->o.rho == 0.0) {
    must(pmp_dist_sample(dist, b->o.envs, 1, b->head, &b->rng, b->y), "actions", &msg);
    return;
  }
  must(pmp_dist_moments(dist, b->o.envs, b->head, b->mean, b->std), "moments", &msg);
  for (uint32_t i = 0; i < b->o.envs * b->act; i++) {
    double fresh = pmp_rng_normal(&b->rng), rho = b->t[i / b->act] == 0 ? 0.0 : b->o.rho;
    b->noise[i] = (float)(rho * (double)b->noise[i] + sqrt(1.0 - rho * rho) * fresh);
    b->y[i] = b->mean[i] + b->std[i] * b->noise[i];
  }
}

/* One control step of every environment. */
static void act_once(struct bench *b) {
  const struct pmp_dist *dist = &b->o.trainer.policy.dist;
  struct pmp_errmsg msg = {"actions"};
  for (uint32_t i = 0; i < b->o.envs; i++) {
    if (!b->env[i]->done) continue;
    must(pmp_env_reset(b->env[i], b->x + i * b->obs, &msg), "reset", &msg);
    b->episode[i]++;
    b->t[i] = 0;
  }
  heads(b, b->o.envs);
  draw_actions(b);
  pmp_dist_action(dist, b->o.envs, b->y, b->grid);
  for (uint32_t i = 0; i < b->o.envs; i++) {
    float *obs = b->x + i * b->obs, *act = b->y + i * b->act;
    struct pmp_env_result result;
    put_row(b, i, obs, act, 0.0, b->t[i] == 0 ? PMP_ROW_FIRST : 0);
    must(pmp_env_step(b->env[i], b->grid + i * b->act, obs, &result, &msg), "step", &msg);
    b->rows.reward[b->rows.count - 1] = (float)result.reward;
    b->t[i]++;
    if (result.done) put_row(b, i, obs, act, 0.0, PMP_ROW_LAST | PMP_ROW_TRUNCATED);
  }
  b->env_steps += b->o.envs;
}

/* Mean return of the reference's mean action over ten episodes. */
static double evaluate(struct bench *b) {
  const struct pmp_dist *dist = &b->o.trainer.policy.dist;
  struct pmp_env *env[EVAL_EPISODES];
  struct pmp_errmsg msg = {"evaluation"};
  float *x = b->x;
  double total = 0.0;
  b->x = need(ENVS_MAX * b->obs, sizeof(float));
  for (uint32_t i = 0; i < EVAL_EPISODES; i++) {
    struct pmp_env_options options = {.seed = b->o.seed ^ 0xe7a1u,
                                      .stream = b->env_steps * EVAL_EPISODES + i};
    must(pmp_env_create(&env[i], &b->model, &options, &msg), "environment", &msg);
    must(pmp_env_reset(env[i], b->x + i * b->obs, &msg), "reset", &msg);
  }
  for (bool done = false; !done;) {
    heads(b, EVAL_EPISODES);
    must(pmp_dist_mode(dist, EVAL_EPISODES, b->head, b->y), "mode", &msg);
    pmp_dist_action(dist, EVAL_EPISODES, b->y, b->grid);
    for (uint32_t i = 0; i < EVAL_EPISODES; i++) {
      struct pmp_env_result result;
      must(pmp_env_step(env[i], b->grid + i * b->act, b->x + i * b->obs, &result, &msg), "step",
           &msg);
      total += result.reward;
      done = result.done;
    }
  }
  for (uint32_t i = 0; i < EVAL_EPISODES; i++) pmp_env_free(env[i]);
  free(b->x);
  b->x = x;
  return total / EVAL_EPISODES;
}

/* ---------------------------------------------------------------- the loop */

static void learn(struct bench *b, struct pmp_step_metrics *m) {
  struct pmp_errmsg msg;
  bool refreshed;
  int64_t start = pmp_clock_mono(&b->clock);
  while (b->debt >= b->o.trainer.batch) {
    must(pmp_trainer_step(b->trainer, m, &refreshed, &msg), "step", &msg);
    b->debt -= b->o.trainer.batch;
  }
  b->learn_ns += pmp_clock_mono(&b->clock) - start;
}

static void print_times(const struct bench *b) {
  struct pmp_trainer_times t;
  const struct pmp_compute *c = pmp_trainer_compute(b->trainer);
  pmp_trainer_times(b->trainer, &t);
  double step = (double)b->learn_ns / 1e3 / (double)t.steps;
  printf("step_us=%.0f gemm_share=%.3f gflops=%.0f us: sample=%.1f reference=%.1f target=%.1f "
         "critic=%.1f label=%.1f "
         "policy=%.1f optimiser=%.1f\n",
         step, (double)c->busy_ns / (double)b->learn_ns, (double)c->flops / (double)c->busy_ns,
         (double)t.sample / 1e3 / (double)t.steps, (double)t.reference / 1e3 / (double)t.steps,
         (double)t.target / 1e3 / (double)t.steps, (double)t.critic / 1e3 / (double)t.steps,
         (double)t.label / 1e3 / (double)t.steps, (double)t.policy / 1e3 / (double)t.steps,
         (double)t.optimiser / 1e3 / (double)t.steps);
}

static void run(struct bench *b) {
  struct pmp_step_metrics m = {0};
  int64_t begin = pmp_clock_mono(&b->clock);
  uint64_t next = b->o.eval_every;
  while (b->env_steps < b->o.steps) {
    int64_t start = pmp_clock_mono(&b->clock);
    for (uint32_t k = 0; k < b->o.chunk_steps; k++) act_once(b);
    flush_rows(b);
    b->act_ns += pmp_clock_mono(&b->clock) - start;
    learn(b, &m);
    if (b->env_steps < next) continue;
    next += b->o.eval_every;
    start = pmp_clock_mono(&b->clock);
    double mean = evaluate(b);
    int64_t now = pmp_clock_mono(&b->clock);
    b->eval_ns += now - start;
    printf("env_steps=%llu steps=%llu wall_s=%.1f learn_s=%.1f act_s=%.2f eval_s=%.2f return=%.1f "
           "q=%.1f std=%.3f kl=%.4f,%.5f "
           "critic=%.3f skipped=%d\n",
           (unsigned long long)b->env_steps, (unsigned long long)pmp_trainer_steps(b->trainer),
           (double)(now - begin) / 1e9, (double)b->learn_ns / 1e9, (double)b->act_ns / 1e9,
           (double)b->eval_ns / 1e9, mean, m.q_mean, m.std, m.kl[0], m.kl[1], m.critic_loss,
           m.skipped_step || m.skipped_rejected);
    fflush(stdout);
    if (mean >= b->o.stop) break;
  }
  print_times(b);
}

int main(int argc, char **argv) {
  static struct bench b;
  default_options(&b.o);
  default_suite(b.o.suite, sizeof b.o.suite);
  parse_options(&b.o, argc, argv);
  b.clock = pmp_clock_real();
  pmp_rng_init(&b.rng, b.o.seed, 100);
  open_envs(&b);
  open_trainer(&b);
  run(&b);
  close_all(&b);
  return 0;
}
