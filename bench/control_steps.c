/* Control steps of every task against a bare mj_step loop: same model, as many substeps, the same
 * start and actions, in turns of a hundred steps. One thread, its own time on the core. */
#include "bench/support/control_world.h"

enum { TURN = 100, EPISODES_MAX = 25 };
#define FAST_LOOP 250e3 /* control steps/s: above, what a step costs beside its physics shows */
#define GOAL_SLOW 0.95
#define GOAL_FAST 0.85

struct race {
  const struct pmp_task *task;
  struct pmp_env *env;
  mjModel *m; /* the environment's own */
  mjData *bare;
  struct pmp_rng rng;
  float action[TURN * PMP_TASK_ACT_MAX], obs[PMP_TASK_OBS_MAX];
};

struct outcome {
  double ratio, rate, bare_rate; /* medians over the episodes; control steps/s */
  double goal;
};

static double ours(struct race *r, int steps) {
  struct pmp_errmsg msg = {{0}};
  struct pmp_env_result result;
  double start = bench_cpu_seconds();
  for (int i = 0; i < steps; i++) {
    bench_must(pmp_env_step(r->env, r->action + i * r->task->act_dim, r->obs, &result, &msg),
               "step", &msg);
    if (result.diverged) bench_fail("the physics diverged", &msg);
  }
  return bench_cpu_seconds() - start;
}

static double bare(struct race *r, int steps) {
  double start = bench_cpu_seconds();
  for (int i = 0; i < steps; i++) {
    for (int k = 0; k < r->task->act_dim; k++)
      r->bare->ctrl[k] = (double)r->action[i * r->task->act_dim + k];
    for (int k = 0; k < r->task->substeps; k++) mj_step(r->m, r->bare);
  }
  return bench_cpu_seconds() - start;
}

/* Both went through the same states, else they did not do the same work. */
static void check_same(const struct race *r) {
  const struct pmp_errmsg msg = {{0}};
  const mjData *a = r->env->p.d, *b = r->bare;
  if (memcmp(a->qpos, b->qpos, (size_t)r->m->nq * sizeof(double)) != 0 ||
      memcmp(a->qvel, b->qvel, (size_t)r->m->nv * sizeof(double)) != 0)
    bench_fail("the two loops went different ways", &msg);
}

/* A turn each; who comes first changes. */
static void episode(struct race *r, double *seconds, double *bare_seconds) {
  struct pmp_errmsg msg = {{0}};
  bench_must(pmp_env_reset(r->env, r->obs, &msg), "reset", &msg);
  mj_copyData(r->bare, r->m, r->env->p.d);
  *seconds = *bare_seconds = 0.0;
  for (int done = 0, turn = 0; done < r->task->step_limit; done += TURN, turn++) {
    int steps = r->task->step_limit - done < TURN ? r->task->step_limit - done : TURN;
    bench_random_unit(&r->rng, r->action, (size_t)steps * (size_t)r->task->act_dim);
    if (turn % 2 == 0) *seconds += ours(r, steps);
    *bare_seconds += bare(r, steps);
    if (turn % 2 == 1) *seconds += ours(r, steps);
  }
  check_same(r);
}

/* The environment is the first of its model, or the model's last user: with `own`, the model is a
 * copy of its own, as for every task that changes it. */
static void open_race(struct race *r, const struct control_world *w) {
  struct pmp_errmsg msg = {{0}};
  const struct pmp_env_options options = {.seed = 5};
  r->task = w->task;
  bench_must(pmp_env_create(&r->env, &w->model, &options, &msg), "environment", &msg);
  r->m = r->env->p.m;
  r->bare = mj_makeData(r->m);
  if (r->bare == NULL) abort();
  pmp_rng_init(&r->rng, 11, 0);
}

static void close_race(struct race *r) {
  mj_deleteData(r->bare);
  pmp_env_free(r->env);
}

static struct outcome measure(struct race *r, int episodes) {
  double ratio[EPISODES_MAX], rate[EPISODES_MAX], bare_rate[EPISODES_MAX], a, b;
  struct outcome o;
  episode(r, &a, &b);
  for (int i = 0; i < episodes; i++) {
    episode(r, &a, &b);
    ratio[i] = b / a;
    rate[i] = r->task->step_limit / a;
    bare_rate[i] = r->task->step_limit / b;
  }
  o.ratio = bench_median(ratio, (size_t)episodes);
  o.rate = bench_median(rate, (size_t)episodes);
  o.bare_rate = bench_median(bare_rate, (size_t)episodes);
  o.goal = o.bare_rate > FAST_LOOP ? GOAL_FAST : GOAL_SLOW;
  return o;
}

static struct outcome task_figures(const struct bench *b, const struct pmp_task *task) {
  struct control_world w;
  struct race *r = bench_need(1, sizeof *r);
  char figure[80];
  control_open(&w, task);
  open_race(r, &w);
  const struct outcome o = measure(r, b->quick ? 5 : EPISODES_MAX);
  close_race(r);
  control_close(&w);
  free(r);
  snprintf(figure, sizeof figure, "control_steps.%s", task->name);
  bench_at_least(b, figure, o.ratio, "ratio", o.goal, "beside its physics a step costs too much");
  snprintf(figure, sizeof figure, "control_steps.%s.rate", task->name);
  bench_note(b, figure, o.rate, "steps/s");
  return o;
}

int main(int argc, char **argv) {
  struct bench b;
  const char *name = control_task_option(&argc, argv);
  int code = bench_begin(&b, argc, argv, "control_steps",
                         "Control steps a second of every task (or of --task NAME) against a bare "
                         "mj_step loop of the same\nmodel from the same start with the same "
                         "actions. One thread.");
  if (code >= 0) return code;
  control_check_name(name);
  double margin = INFINITY;
  char worst[80] = "";
  for (size_t i = 0; i < pmp_task_count(); i++) {
    const struct pmp_task *task = pmp_task_at(i);
    if (!control_asked(task, name)) continue;
    const struct outcome o = task_figures(&b, task);
    if (o.ratio / o.goal >= margin) continue;
    margin = o.ratio / o.goal;
    snprintf(worst, sizeof worst, "the nearest to its goal, or below it, is %s", task->name);
  }
  /* Its name is said also when all hold. */
  bench_line(&b, "control_steps", margin, "of goal", ">=1", margin >= 1.0, worst);
  return 0;
}
