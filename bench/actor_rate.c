/* Control steps of our environments against a bare mj_step loop of the same model: both from the
 * same start with the same actions, in turns of a hundred steps; and the share that a 256-256-256
 * policy over 32 environments takes of acting. One thread, its own time on the core. */
#include "actors/control/env.h"
#include "bench/bench.h"
#include "policy/policy.h"

enum { EPISODES_MAX = 41, TURN = 100, ENVS = 32, ROUNDS_MAX = 41 };

struct world {
  struct pmp_env_model model;
  const struct pmp_task *task;
  struct pmp_rng rng;
  float *action; /* (TURN x act) */
  float obs[PMP_TASK_OBS_MAX];
};

static void open_world(struct world *w, const char *name) {
  struct pmp_errmsg msg = {{0}};
  char bin[400], suite[512];
  bench_bin(bin, sizeof bin);
  snprintf(suite, sizeof suite, "%s/../share/pmpo/dm_control/suite", bin);
  bench_must(pmp_task_find(name, &w->task, &msg), "task", &msg);
  bench_must(pmp_env_model_load(&w->model, w->task, suite, &msg), "model", &msg);
  pmp_rng_init(&w->rng, 11, 0);
  w->action = bench_need((size_t)TURN * (size_t)w->task->act_dim, sizeof *w->action);
}

static void close_world(struct world *w) {
  free(w->action);
  pmp_env_model_free(&w->model);
}

static struct pmp_env *open_env(struct world *w, uint64_t stream) {
  struct pmp_errmsg msg = {{0}};
  struct pmp_env *env = NULL;
  struct pmp_env_options options = {.seed = 5, .stream = stream};
  bench_must(pmp_env_create(&env, &w->model, &options, &msg), "environment", &msg);
  bench_must(pmp_env_reset(env, w->obs, &msg), "reset", &msg);
  return env;
}

/* ---------------------------------------------------------------- against mj_step */

static double ours(struct world *w, struct pmp_env *env, int steps) {
  struct pmp_errmsg msg = {{0}};
  struct pmp_env_result result;
  double start = bench_cpu_seconds();
  for (int i = 0; i < steps; i++) {
    if (pmp_env_step(env, w->action + i * w->task->act_dim, w->obs, &result, &msg) != PMP_OK)
      bench_fail("step", &msg);
    if (result.diverged) bench_fail("the physics diverged", &msg);
  }
  return bench_cpu_seconds() - start;
}

static double bare(struct world *w, mjData *d, int steps) {
  const mjModel *m = w->model.load.m;
  double start = bench_cpu_seconds();
  for (int i = 0; i < steps; i++) {
    for (int k = 0; k < w->task->act_dim; k++)
      d->ctrl[k] = (double)w->action[i * w->task->act_dim + k];
    for (int k = 0; k < w->task->substeps; k++) mj_step(m, d);
  }
  return bench_cpu_seconds() - start;
}

/* One episode: the same actions for both, a turn each, who comes first changes. */
static double episode(struct world *w, struct pmp_env *env, mjData *d, double *rate) {
  struct pmp_errmsg msg = {{0}};
  const mjModel *m = w->model.load.m;
  double a = 0.0, b = 0.0;
  int done = 0;
  bench_must(pmp_env_reset(env, w->obs, &msg), "reset", &msg);
  mj_copyData(d, m, env->p.d);
  for (int turn = 0; done < w->task->step_limit; turn++) {
    int steps = w->task->step_limit - done < TURN ? w->task->step_limit - done : TURN;
    bench_random_unit(&w->rng, w->action, (size_t)steps * (size_t)w->task->act_dim);
    if (turn % 2 == 0) a += ours(w, env, steps);
    b += bare(w, d, steps);
    if (turn % 2 == 1) a += ours(w, env, steps);
    done += steps;
  }
  *rate = done / a;
  return b / a;
}

static void against_mj_step(const struct bench *b, struct world *w, const char *name, double goal) {
  const int episodes = b->quick ? 7 : EPISODES_MAX;
  double ratio[EPISODES_MAX], rate[EPISODES_MAX];
  struct pmp_env *env = open_env(w, 0);
  mjData *d = mj_makeData(w->model.load.m);
  char figure[64];
  if (d == NULL) abort();
  episode(w, env, d, &rate[0]);
  for (int i = 0; i < episodes; i++) ratio[i] = episode(w, env, d, &rate[i]);
  snprintf(figure, sizeof figure, "actor_rate.%s", name);
  bench_at_least(b, figure, bench_median(ratio, (size_t)episodes), "ratio", goal,
                 "see docs/benchmarks.md for where the rest goes");
  snprintf(figure, sizeof figure, "actor_rate.%s.steps", name);
  bench_note(b, figure, bench_median(rate, (size_t)episodes), "steps/s");
  mj_deleteData(d);
  pmp_env_free(env);
}

/* ---------------------------------------------------------------- with a policy */

struct crew {
  struct pmp_policy policy;
  struct pmp_compute compute;
  struct pmp_env *env[ENVS];
  float *params, *cache, *head, *obs, *y, *action;
  double policy_s, env_s;
};

static void open_crew(struct crew *c, struct world *w) {
  struct pmp_errmsg msg = {{0}};
  struct pmp_policy_spec spec = {.obs = (uint32_t)w->task->obs_dim,
                                 .network = true,
                                 .hidden = {256, 256, 256},
                                 .hidden_count = 3,
                                 .first_layer_norm = true,
                                 .init_std = 0.5F};
  spec.dist = (struct pmp_dist){.kind = PMP_DIST_DIAG_GAUSSIAN,
                                .dim = (uint32_t)w->task->act_dim,
                                .squash_mean = true,
                                .std_scale = 0.721347520444481703F,
                                .std_min = 0.01F,
                                .low = -1.0F,
                                .high = 1.0F};
  *c = (struct crew){.policy_s = 0.0};
  bench_must(pmp_policy_init(&c->policy, &spec, &msg), "policy", &msg);
  bench_must(pmp_compute_cpu(&c->compute, 1), "compute", &msg);
  c->params = bench_need(c->policy.manifest.floats, sizeof(float));
  pmp_policy_init_params(&c->policy, &w->rng, c->params);
  c->cache = bench_need(pmp_policy_cache_floats(&c->policy, ENVS), sizeof(float));
  c->head = bench_need(ENVS * c->policy.head, sizeof(float));
  c->obs = bench_need((size_t)ENVS * spec.obs, sizeof(float));
  c->y = bench_need((size_t)ENVS * spec.dist.dim, sizeof(float));
  c->action = bench_need((size_t)ENVS * spec.dist.dim, sizeof(float));
  for (uint32_t i = 0; i < ENVS; i++) {
    c->env[i] = open_env(w, i + 1);
    pmp_env_obs_f32(c->env[i], c->obs + i * spec.obs);
  }
}

static void close_crew(struct crew *c) {
  float *owned[] = {c->params, c->cache, c->head, c->obs, c->y, c->action};
  for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) free(owned[i]);
  for (int i = 0; i < ENVS; i++) pmp_env_free(c->env[i]);
}

/* One step of all environments. */
static void act(struct crew *c, struct world *w) {
  struct pmp_errmsg msg = {{0}};
  const struct pmp_dist *dist = &c->policy.spec.dist;
  double start = bench_cpu_seconds();
  bench_must(
      pmp_policy_forward(&c->policy, &c->compute, c->params, ENVS, c->obs, c->cache, c->head),
      "policy", &msg);
  bench_must(pmp_dist_sample(dist, ENVS, 1, c->head, &w->rng, c->y), "actions", &msg);
  pmp_dist_action(dist, ENVS, c->y, c->action);
  double between = bench_cpu_seconds();
  for (size_t i = 0; i < ENVS; i++) {
    struct pmp_env_result result;
    float *obs = c->obs + i * c->policy.spec.obs;
    bench_must(pmp_env_step(c->env[i], c->action + i * dist->dim, obs, &result, &msg), "step",
               &msg);
    if (result.done) bench_must(pmp_env_reset(c->env[i], obs, &msg), "reset", &msg);
  }
  c->policy_s += between - start;
  c->env_s += bench_cpu_seconds() - between;
}

static void with_policy(const struct bench *b, struct world *w, const char *name) {
  const int rounds = b->quick ? 7 : ROUNDS_MAX;
  double share[ROUNDS_MAX], rate[ROUNDS_MAX];
  struct crew c;
  char figure[64];
  open_crew(&c, w);
  for (int i = 0; i < TURN; i++) act(&c, w);
  for (int i = 0; i < rounds; i++) {
    c.policy_s = c.env_s = 0.0;
    for (int k = 0; k < TURN; k++) act(&c, w);
    share[i] = c.policy_s / (c.policy_s + c.env_s);
    rate[i] = ENVS * TURN / (c.policy_s + c.env_s);
  }
  snprintf(figure, sizeof figure, "actor_rate.%s.policy_share", name);
  bench_note(b, figure, bench_median(share, (size_t)rounds), "ratio");
  snprintf(figure, sizeof figure, "actor_rate.%s.with_policy", name);
  bench_note(b, figure, bench_median(rate, (size_t)rounds), "steps/s");
  close_crew(&c);
}

int main(int argc, char **argv) {
  static const struct {
    const char *name, *task;
    double goal;
  } model[] = {{"cheetah", "cheetah_run", 0.95}, {"cartpole", "cartpole_swingup", 0.9}};
  struct bench b;
  int code = bench_begin(&b, argc, argv, "actor_rate",
                         "Control steps a second against a bare mj_step loop of the same model "
                         "with the same actions;\nand what share of acting a 256-256-256 policy "
                         "over 32 environments takes. One thread.");
  if (code >= 0) return code;
  for (size_t i = 0; i < sizeof model / sizeof model[0]; i++) {
    struct world w = {.task = NULL};
    open_world(&w, model[i].task);
    against_mj_step(&b, &w, model[i].name, model[i].goal);
    with_policy(&b, &w, model[i].name);
    close_world(&w);
  }
  return 0;
}
