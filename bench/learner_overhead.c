/* Steps a second of the daemon's learner, alone on core 0 with everything else on core 1, against
 * the same steps in this process on rows that are in memory, on the same core, in turns; and what
 * the rest of the daemon costs in processor time. */
#include "bench/support/load.h"

enum { ROUNDS_MAX = 7, RING_ROWS = 100000, LEARNER_CORE = 0, OTHERS_CORE = 1 };

/* The in-process learner: a thread on the learner's core that steps while it is told to. */
struct twin {
  struct pmp_trainer *trainer;
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  double seconds; /* asked for; 0: rest */
  bool end;
  double rate, cpu_rate; /* steps a second of the last turn, by the wall and by the core */
};

static void turn(struct twin *t, double seconds) {
  struct pmp_step_metrics m;
  struct pmp_errmsg msg = {{0}};
  bool refreshed;
  double steps = 0.0, cpu = bench_cpu_seconds();
  int64_t start = bench_now();
  while (bench_seconds(start) < seconds) {
    bench_must(pmp_trainer_step(t->trainer, &m, &refreshed, &msg), "step", &msg);
    steps += 1.0;
  }
  t->rate = steps / bench_seconds(start);
  t->cpu_rate = steps / (bench_cpu_seconds() - cpu);
}

static void *twin_main(void *arg) {
  struct twin *t = arg;
  if (!daemon_pin_self(LEARNER_CORE)) abort(); /* it could before */
  pthread_mutex_lock(&t->lock);
  while (!t->end) {
    if (t->seconds > 0.0) turn(t, t->seconds);
    t->seconds = 0.0;
    pthread_cond_broadcast(&t->changed);
    pthread_cond_wait(&t->changed, &t->lock);
  }
  pthread_mutex_unlock(&t->lock);
  return NULL;
}

/* Blocks for about `seconds`. */
static void twin_run(struct twin *t, double seconds) {
  pthread_mutex_lock(&t->lock);
  t->seconds = seconds;
  pthread_cond_broadcast(&t->changed);
  while (t->seconds > 0.0) pthread_cond_wait(&t->changed, &t->lock);
  pthread_mutex_unlock(&t->lock);
}

static void twin_open(struct twin *t) {
  struct pmp_trainer_config config;
  recipe_cartpole(&config);
  t->trainer = recipe_open(&config, pmp_clock_real(), RING_ROWS);
  pthread_mutex_init(&t->lock, NULL);
  pthread_cond_init(&t->changed, NULL);
  if (pthread_create(&t->thread, NULL, twin_main, t) != 0) abort();
}

static void twin_close(struct twin *t) {
  pthread_mutex_lock(&t->lock);
  t->end = true;
  pthread_cond_broadcast(&t->changed);
  pthread_mutex_unlock(&t->lock);
  pthread_join(t->thread, NULL);
  pthread_cond_destroy(&t->changed);
  pthread_mutex_destroy(&t->lock);
  pmp_trainer_close(t->trainer);
}

/* ---------------------------------------------------------------- rounds */

struct numbers {
  double steps, learner, store, loop, process, entry;
};

struct outcome {
  double ratio[ROUNDS_MAX], cpu_ratio[ROUNDS_MAX], share[ROUNDS_MAX], rate[ROUNDS_MAX];
  struct numbers sum;
};

static void read_numbers(struct load *l, struct numbers *n) {
  struct pmp_errmsg msg = {{0}};
  bench_must(daemon_ask(l->desk, &l->status, &msg), "status", &msg);
  *n = (struct numbers){
      daemon_number(&l->status, "learner.steps"), daemon_number(&l->status, "learner.cpu_s"),
      daemon_number(&l->status, "store.cpu_s"),   daemon_number(&l->status, "process.loop_cpu_s"),
      daemon_number(&l->status, "process.cpu_s"), daemon_number(&l->status, "learner.entry_s"),
  };
}

static void add(struct numbers *sum, const struct numbers *from, const struct numbers *to) {
  sum->learner += to->learner - from->learner;
  sum->store += to->store - from->store;
  sum->loop += to->loop - from->loop;
  sum->process += to->process - from->process;
  sum->entry += to->entry - from->entry;
}

/* The daemon's turn: from the resume to the pause, between which the counters are exact. */
static void daemon_turn(struct load *l, struct twin *t, double seconds, struct outcome *o, int i) {
  struct pmp_errmsg msg = {{0}};
  struct numbers from, to;
  read_numbers(l, &from);
  int64_t start = bench_now();
  bench_must(daemon_control(l->operator_, PMP_CONTROL_RESUME, &msg), "resume", &msg);
  usleep((useconds_t)(seconds * 1e6));
  bench_must(daemon_control(l->operator_, PMP_CONTROL_PAUSE, &msg), "pause", &msg);
  double took = bench_seconds(start);
  usleep(50000); /* the learner shows its last numbers when it rests */
  read_numbers(l, &to);
  double steps = to.steps - from.steps, learner = to.learner - from.learner;
  o->rate[i] = steps / took;
  o->ratio[i] = o->rate[i] / t->rate;
  o->cpu_ratio[i] = steps / learner / t->cpu_rate;
  o->share[i] = (to.process - from.process - learner) / learner;
  add(&o->sum, &from, &to);
}

static void report(const struct bench *b, struct outcome *o, size_t rounds) {
  const struct numbers *s = &o->sum;
  bench_at_least(b, "learner_overhead", bench_median(o->ratio, rounds), "ratio", 0.95,
                 "by_core says what the learner's thread itself does more, the rest is waiting");
  bench_at_most(b, "learner_overhead.rest_cpu", bench_median(o->share, rounds), "of_learner", 0.05,
                "the lines store_cpu, loop_cpu and sockets_cpu say which thread");
  bench_note(b, "learner_overhead.by_core", bench_median(o->cpu_ratio, rounds), "ratio");
  bench_note(b, "learner_overhead.rate", bench_median(o->rate, rounds), "steps/s");
  bench_note(b, "learner_overhead.entries", s->entry / s->learner, "of_learner");
  bench_note(b, "learner_overhead.store_cpu", s->store / s->learner, "of_learner");
  bench_note(b, "learner_overhead.loop_cpu", s->loop / s->learner, "of_learner");
  bench_note(b, "learner_overhead.sockets_cpu",
             (s->process - s->learner - s->store - s->loop) / s->learner, "of_learner");
}

static void missing(const struct bench *b, const char *reason) {
  bench_missing(b, "learner_overhead", "ratio", ">=0.95", reason);
  bench_missing(b, "learner_overhead.rest_cpu", "of_learner", "<=0.05", reason);
}

int main(int argc, char **argv) {
  struct bench b;
  int code = bench_begin(&b, argc, argv, "learner_overhead",
                         "Steps a second of the daemon's learner, pinned to core 0 with everything "
                         "else on core 1,\nagainst the same steps on data in memory; and the rest "
                         "of the daemon's processor time.");
  if (code >= 0) return code;
  static struct load l;
  static struct twin t;
  static struct outcome o;
  static const char *const extra[] = {"learner.core=1", NULL};
  struct pmp_errmsg msg = {{0}};
  const int rounds = b.quick ? 3 : ROUNDS_MAX;
  const double seconds = b.quick ? 1.5 : 2.5;
  if (!daemon_pin_self(LEARNER_CORE) || !daemon_pin_self(OTHERS_CORE)) {
    missing(&b, "this needs two cores that threads may be pinned to");
    return 0;
  }
  enum pmp_err err = load_open(&l, "learner_overhead", RING_ROWS, OTHERS_CORE, extra, &msg);
  if (err == PMP_OK) err = daemon_control(l.operator_, PMP_CONTROL_PAUSE, &msg);
  if (err != PMP_OK) {
    missing(&b, msg.text);
  } else {
    twin_open(&t);
    twin_run(&t, 1.0);
    usleep(50000);
    for (int i = 0; i < rounds; i++) {
      twin_run(&t, seconds);
      daemon_turn(&l, &t, seconds, &o, i);
    }
    err = load_alive(&l, &msg);
    if (err == PMP_OK)
      report(&b, &o, (size_t)rounds);
    else
      missing(&b, msg.text);
    twin_close(&t);
  }
  load_close(&l);
  return 0;
}
