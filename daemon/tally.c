#include "daemon/tally.h"

#include <math.h>
#include <string.h>

static double named(const struct pmp_report *r, const char *name) {
  for (uint32_t i = 0; i < r->count; i++)
    if (strcmp(r->value[i].name, name) == 0) return r->value[i].value;
  return NAN;
}

static void take_episode(struct pmp_tally *t, double ret, double diverged) {
  t->best = t->episodes == 0 ? ret : fmax(t->best, ret);
  t->recent[t->episodes++ % PMP_TALLY_RECENT] = ret;
  t->diverged += diverged > 0;
}

static void take_evaluation(struct pmp_tally *t, const struct pmp_report *r, double value,
                            uint64_t step, int64_t now_ns) {
  t->eval_best = t->evaluations == 0 ? value : fmax(t->eval_best, value);
  t->evaluations++;
  t->eval = value;
  t->eval_min = named(r, "eval_return_min");
  t->eval_max = named(r, "eval_return_max");
  t->eval_stderr = named(r, "eval_return_stderr");
  t->eval_episodes = named(r, "eval_episodes");
  t->eval_env_steps = r->env_steps;
  t->eval_version = r->ref_version;
  t->eval_step = step;
  t->eval_ns = now_ns;
}

void pmp_tally_report(struct pmp_tally *t, const struct pmp_report *r, uint64_t step,
                      int64_t now_ns) {
  const double ret = named(r, "return"), eval = named(r, "eval_return");
  if (!isnan(ret)) take_episode(t, ret, named(r, "diverged"));
  if (!isnan(eval)) take_evaluation(t, r, eval, step, now_ns);
}

double pmp_tally_mean(const struct pmp_tally *t, uint32_t *of) {
  const uint32_t n =
      t->episodes < PMP_TALLY_RECENT ? (uint32_t)t->episodes : (uint32_t)PMP_TALLY_RECENT;
  double sum = 0;
  for (uint32_t i = 0; i < n; i++) sum += t->recent[i];
  *of = n;
  return n ? sum / n : NAN;
}

double pmp_tally_last(const struct pmp_tally *t) {
  return t->episodes ? t->recent[(t->episodes - 1) % PMP_TALLY_RECENT] : NAN;
}
