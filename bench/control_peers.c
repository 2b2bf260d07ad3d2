/* Control steps of every task, stepped in batches on one thread and on two, against EnvPool's on as
 * many threads, and of a single environment against dm_control's Python; with drawn actions, in
 * turns, each side at the same place of its episodes. The peers' own starts and actions, so the
 * states are alike but not the same. */
#include "actors/control/batch.h"
#include "bench/support/control_world.h"
#include "bench/support/peer_process.h"

#include <sched.h>

enum { ROUNDS_MAX = 9, ENVS_MAX = 64, DRAWN = 64, WARM = 10, STEPS_MAX = 500 };
enum { ENVPOOL_1, ENVPOOL_2, DM_CONTROL, RIVALS };
#define TURN_SECONDS 0.12 /* of the peer, about */

static const struct rival {
  const char *figure, *name, *threads;
  uint32_t count;         /* of threads */
  double goal, goal_bare; /* where a control step is one physics step */
} rivals[RIVALS] = {{"envpool_1", "envpool", "1", 1, 1.25, 2.0},
                    {"envpool_2", "envpool", "2", 2, 1.25, 2.0},
                    {"dm_control", "dm_control", "1", 1, 2.0, 2.0}};

/* What the runs so far have in common. */
struct program {
  struct bench bench;
  cpu_set_t allowed;
  char setting[RIVALS][64]; /* the peer's best one for the model below */
  const char *xml;
  double margin[RIVALS]; /* least ratio over its goal; NAN when one is missing */
  char worst[RIVALS][PMP_TASK_NAME_MAX], missing[RIVALS][160];
};

/* Ours. */
struct side {
  struct pmp_env_batch batch;
  float *action; /* owned, (DRAWN x envs x act) */
  size_t at;
};

/* This thread, and those that it starts, on the core with this number among the allowed ones. */
static void pin(const cpu_set_t *allowed, uint32_t number) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (size_t core = 0; core < CPU_SETSIZE && CPU_COUNT(&set) == 0; core++)
    if (CPU_ISSET(core, allowed) && number-- == 0) CPU_SET(core, &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) abort();
}

static double busy_seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void open_side(struct side *s, const struct control_world *w, uint32_t envs,
                      uint32_t threads) {
  struct pmp_errmsg msg = {{0}};
  uint64_t stream[ENVS_MAX];
  struct pmp_rng rng;
  for (uint32_t i = 0; i < envs; i++) stream[i] = i;
  const struct pmp_env_batch_config config = {
      .model = &w->model, .envs = envs, .threads = threads, .seed = 5, .stream = stream};
  bench_must(pmp_env_batch_init(&s->batch, &config, &msg), "batch", &msg);
  for (uint32_t i = 0; i < envs; i++)
    bench_must(pmp_env_batch_reset(&s->batch, i, &msg), "reset", &msg);
  const size_t cells = (size_t)DRAWN * envs * s->batch.act;
  s->action = bench_need(cells, sizeof *s->action);
  s->at = 0;
  pmp_rng_init(&rng, 11, 0);
  bench_random_unit(&rng, s->action, cells);
}

static void close_side(struct side *s) {
  pmp_env_batch_fini(&s->batch);
  free(s->action);
}

/* As the peers: what is over begins anew, within the time that is taken. */
static struct peer_seconds run_side(struct side *s, int steps) {
  struct pmp_errmsg msg = {{0}};
  struct pmp_env_batch *b = &s->batch;
  const size_t set = (size_t)b->envs * b->act;
  const double busy = busy_seconds();
  const int64_t start = bench_now();
  for (int i = 0; i < steps; i++) {
    bench_must(pmp_env_batch_step(b, s->action + s->at++ % DRAWN * set, &msg), "step", &msg);
    for (uint32_t k = 0; k < b->envs; k++)
      if (b->env[k]->done) bench_must(pmp_env_batch_reset(b, k, &msg), "reset", &msg);
  }
  return (struct peer_seconds){bench_seconds(start), busy_seconds() - busy};
}

/* ---------------------------------------------------------------- one task, one peer */

struct outcome {
  double ratio, by_core, rate, peer_rate; /* medians; steps/s */
};

static void race(struct side *s, struct peer_process *p, int rounds, struct outcome *o) {
  double ratio[ROUNDS_MAX], by_core[ROUNDS_MAX], rate[ROUNDS_MAX], peer_rate[ROUNDS_MAX];
  const double envs = s->batch.envs;
  run_side(s, WARM);
  struct peer_seconds theirs = peer_process_run(p, WARM), mine = {0};
  double steps = WARM * TURN_SECONDS / theirs.wall;
  if (!(steps < STEPS_MAX)) steps = STEPS_MAX;
  if (steps < 2) steps = 2;
  for (int i = 0; i < rounds; i++) {
    if (i % 2 == 0) mine = run_side(s, (int)steps);
    theirs = peer_process_run(p, (int)steps);
    if (i % 2 == 1) mine = run_side(s, (int)steps);
    ratio[i] = theirs.wall / mine.wall;
    by_core[i] = theirs.busy / mine.busy;
    rate[i] = (int)steps * envs / mine.wall;
    peer_rate[i] = (int)steps * envs / theirs.wall;
  }
  o->ratio = bench_median(ratio, (size_t)rounds);
  o->by_core = bench_median(by_core, (size_t)rounds);
  o->rate = bench_median(rate, (size_t)rounds);
  o->peer_rate = bench_median(peer_rate, (size_t)rounds);
}

static void note(const struct bench *b, const char *figure, const char *part, double value,
                 const char *unit) {
  char name[120];
  snprintf(name, sizeof name, "%s.%s", figure, part);
  bench_note(b, name, value, unit);
}

static void report(struct program *g, size_t r, const struct pmp_task *task,
                   const struct outcome *o, const char *reason) {
  const double goal = task->substeps == 1 ? rivals[r].goal_bare : rivals[r].goal;
  char figure[100], bound[32];
  snprintf(figure, sizeof figure, "control_peers.%s.%s", rivals[r].figure, task->name);
  if (reason[0] != 0) {
    snprintf(bound, sizeof bound, ">=%.10g", goal);
    bench_missing(&g->bench, figure, "ratio", bound, reason);
    snprintf(g->missing[r], sizeof g->missing[r], "%s: %.100s", task->name, reason);
    return;
  }
  bench_at_least(&g->bench, figure, o->ratio, "ratio", goal, "the peer is nearer than that");
  note(&g->bench, figure, "by_core", o->by_core, "ratio");
  note(&g->bench, figure, "rate", o->rate, "steps/s");
  note(&g->bench, figure, "peer_rate", o->peer_rate, "steps/s");
  if (o->ratio / goal >= g->margin[r]) return;
  g->margin[r] = o->ratio / goal;
  snprintf(g->worst[r], sizeof g->worst[r], "%s", task->name);
}

/* The peer's setting is looked for once for all tasks of a model. */
static void compare(struct program *g, size_t r, const struct control_world *w) {
  struct peer_process p;
  struct outcome o = {0};
  struct side s;
  const char *setting = g->setting[r][0] != 0 ? g->setting[r] : g->bench.quick ? "quick" : "best";
  const char *const args[] = {rivals[r].name, w->task->name, rivals[r].threads, setting, NULL};
  if (rivals[r].count > (uint32_t)CPU_COUNT(&g->allowed)) {
    report(g, r, w->task, &o, "this machine has fewer cores");
    return;
  }
  if (sched_setaffinity(0, sizeof g->allowed, &g->allowed) != 0) abort();
  if (peer_process_start(&p, rivals[r].name, "control_peers.py", args)) {
    const uint32_t envs = (uint32_t)p.said.value;
    snprintf(g->setting[r], sizeof g->setting[r], "%.63s", p.rest);
    if (envs < 1 || envs > ENVS_MAX) abort();
    /* Two threads: each on a core of its own. One goes where the system likes it best. */
    if (rivals[r].count > 1) pin(&g->allowed, 1);
    open_side(&s, w, envs, rivals[r].count);
    if (rivals[r].count > 1) pin(&g->allowed, 0);
    race(&s, &p, g->bench.quick ? 3 : ROUNDS_MAX, &o);
    close_side(&s);
  }
  report(g, r, w->task, &o, p.said.reason);
  peer_process_stop(&p);
}

static void summary(const struct program *g, size_t r) {
  char figure[64], reason[256];
  snprintf(figure, sizeof figure, "control_peers.%s", rivals[r].figure);
  snprintf(reason, sizeof reason, "the nearest to its goal, or below it, is %s", g->worst[r]);
  if (g->missing[r][0] != 0)
    bench_missing(&g->bench, figure, "of goal", ">=1", g->missing[r]);
  else
    bench_line(&g->bench, figure, g->margin[r], "of goal", ">=1", g->margin[r] >= 1.0, reason);
}

int main(int argc, char **argv) {
  struct program g = {.xml = "", .margin = {INFINITY, INFINITY, INFINITY}};
  const char *name = control_task_option(&argc, argv);
  int code = bench_begin(&g.bench, argc, argv, "control_peers",
                         "Control steps a second of every task (or of --task NAME) against "
                         "EnvPool's on one thread and on two, with\nthe setting that suits it "
                         "best, and against dm_control's Python. In turns.");
  if (code >= 0) return code;
  control_check_name(name);
  if (sched_getaffinity(0, sizeof g.allowed, &g.allowed) != 0) abort();
  for (size_t i = 0; i < pmp_task_count(); i++) {
    struct control_world w;
    if (!control_asked(pmp_task_at(i), name)) continue;
    control_open(&w, pmp_task_at(i));
    if (strcmp(g.xml, w.task->xml) != 0) memset(g.setting, 0, sizeof g.setting);
    g.xml = w.task->xml;
    for (size_t r = 0; r < RIVALS; r++) compare(&g, r, &w);
    control_close(&w);
  }
  for (size_t r = 0; r < RIVALS; r++) summary(&g, r);
  return 0;
}
