#include "actors/control/evaluate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Returns seen so far: Welford's running mean and sum of squared deviations from it. */
struct tally {
  double mean, squares;
};

struct wave {
  struct pmp_env_batch *b;
  struct pmp_actions *actions;
  const struct pmp_stop *stop;
  struct pmp_progress *progress;
  float *action; /* owned, (envs x act) */
  double *ret;   /* owned, (envs) */
};

static uint32_t running(const struct pmp_env_batch *b, uint32_t n) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < n; i++) count += !b->env[i]->done;
  return count;
}

/* One episode of each of the first n environments; the others stay between episodes. */
static enum pmp_err run_wave(struct wave *w, uint32_t n, uint32_t episodes,
                             struct pmp_evaluation *out, struct pmp_errmsg *msg) {
  struct pmp_env_batch *b = w->b;
  const double limit = b->task->step_limit;
  for (uint32_t i = 0; i < n; i++) {
    PMP_TRY(pmp_env_batch_reset(b, i, msg));
    w->ret[i] = 0;
  }
  for (int step = 0; running(b, n) > 0; step++) {
    if (pmp_stop_requested(w->stop)) return pmp_fail(msg, PMP_ECLOSED, "stopped");
    PMP_TRY(pmp_actions_next(w->actions, b->envs, b->observation, w->action, msg));
    memset(b->result, 0, b->envs * sizeof *b->result); /* of those that do not run */
    PMP_TRY(pmp_env_batch_step(b, w->action, msg));
    for (uint32_t i = 0; i < n; i++) {
      w->ret[i] += b->result[i].reward;
      out->diverged += b->result[i].diverged;
    }
    pmp_progress_show(w->progress, (out->episodes + (double)n * step / limit) / episodes);
  }
  return PMP_OK;
}

static void count(struct pmp_evaluation *out, struct tally *t, double ret) {
  if (out->episodes == 0 || ret < out->min) out->min = ret;
  if (out->episodes == 0 || ret > out->max) out->max = ret;
  out->episodes++;
  const double off = ret - t->mean;
  t->mean += off / out->episodes;
  t->squares += off * (ret - t->mean);
}

enum pmp_err pmp_evaluate(struct pmp_env_batch *b, struct pmp_actions *actions,
                          const struct pmp_stop *stop, uint32_t episodes,
                          struct pmp_progress *progress, struct pmp_evaluation *out,
                          struct pmp_errmsg *msg) {
  struct tally tally = {0, 0};
  struct wave w = {.b = b,
                   .actions = actions,
                   .stop = stop,
                   .progress = progress,
                   .action = calloc((size_t)b->envs * b->act, sizeof(float)),
                   .ret = calloc(b->envs, sizeof(double))};
  memset(out, 0, sizeof *out);
  enum pmp_err err = w.action != NULL && w.ret != NULL
                         ? PMP_OK
                         : pmp_fail(msg, PMP_ENOMEM, "no memory for an evaluation");
  while (err == PMP_OK && out->episodes < episodes) {
    uint32_t left = episodes - out->episodes, n = left < b->envs ? left : b->envs;
    err = run_wave(&w, n, episodes, out, msg);
    for (uint32_t i = 0; err == PMP_OK && i < n; i++) count(out, &tally, w.ret[i]);
  }
  out->mean = tally.mean;
  if (out->episodes > 1) out->std_error = sqrt(tally.squares / (out->episodes - 1) / out->episodes);
  out->version = pmp_actions_version(actions, &out->learner_step);
  free(w.action);
  free(w.ret);
  return err;
}
