#include "actors/control/evaluate.h"

#include <stdlib.h>
#include <string.h>

/* Scratch of one evaluation, (envs x act) and (envs). */
struct scratch {
  float *y, *action;
  double *ret;
};

static bool any_running(const struct pmp_env_batch *b, uint32_t n) {
  for (uint32_t i = 0; i < n; i++)
    if (!b->env[i]->done) return true;
  return false;
}

/* One episode of each of the first n environments; the others stay between episodes. */
static enum pmp_err run_wave(struct pmp_env_batch *b, struct pmp_actor_session *s, uint32_t n,
                             struct pmp_rng *rng, struct scratch *m, struct pmp_errmsg *msg) {
  for (uint32_t i = 0; i < n; i++) {
    PMP_TRY(pmp_env_batch_reset(b, i, msg));
    m->ret[i] = 0;
  }
  while (any_running(b, n)) {
    if (pmp_stop_requested(&s->stop)) return pmp_fail(msg, PMP_ECLOSED, "stopped");
    if (rng != NULL)
      PMP_TRY(pmpo_policy_sample(s->policy, b->envs, 1, b->observation, rng, m->y, msg));
    else
      PMP_TRY(pmpo_policy_mode(s->policy, b->envs, b->observation, m->y, msg));
    pmpo_policy_action(s->policy, b->envs, m->y, m->action);
    memset(b->result, 0, b->envs * sizeof *b->result); /* of those that do not run */
    PMP_TRY(pmp_env_batch_step(b, m->action, msg));
    for (uint32_t i = 0; i < n; i++) m->ret[i] += b->result[i].reward;
  }
  return PMP_OK;
}

enum pmp_err pmp_evaluate(struct pmp_env_batch *b, struct pmp_actor_session *s, uint32_t episodes,
                          struct pmp_rng *rng, struct pmp_evaluation *out, struct pmp_errmsg *msg) {
  size_t cells = (size_t)b->envs * b->act;
  struct scratch m = {.y = calloc(cells, sizeof(float)),
                      .action = calloc(cells, sizeof(float)),
                      .ret = calloc(b->envs, sizeof(double))};
  double sum = 0;
  memset(out, 0, sizeof *out);
  enum pmp_err err = m.y != NULL && m.action != NULL && m.ret != NULL ? PMP_OK : PMP_ENOMEM;
  while (err == PMP_OK && out->episodes < episodes) {
    uint32_t left = episodes - out->episodes, n = left < b->envs ? left : b->envs;
    err = run_wave(b, s, n, rng, &m, msg);
    for (uint32_t i = 0; err == PMP_OK && i < n; i++) {
      if (out->episodes == 0 || m.ret[i] < out->min) out->min = m.ret[i];
      if (out->episodes == 0 || m.ret[i] > out->max) out->max = m.ret[i];
      sum += m.ret[i];
      out->episodes++;
    }
  }
  if (err == PMP_OK && out->episodes > 0) out->mean = sum / out->episodes;
  out->version = pmpo_policy_version(s->policy, &out->learner_step);
  free(m.y);
  free(m.action);
  free(m.ret);
  return err;
}
