#include "learner/objective/pairs.h"

#include "learner/objective/group.h"
#include "learner/objective/terms.h"

#include <math.h>

#define NONE SIZE_MAX

/* Where the search for pairs stands. */
struct walk {
  struct pmp_objective_group group;
  bool by_f;
  size_t left;          /* pairs still to come in this group */
  size_t better, worse; /* the last pair's; NONE: no pair yet */
};

/* Order of outcomes, best first: a larger f, or the same and earlier. */
static bool is_before(const double *f, size_t i, size_t j) {
  return f[i] > f[j] || (f[i] == f[j] && i < j);
}

/* The best outcome after `last` in that order, or the worst one before it. */
static size_t select_by_f(const struct pmp_objective_in *in, const struct walk *w, bool best,
                          size_t last) {
  size_t chosen = NONE;
  for (size_t j = w->group.first; j < w->group.last; j++) {
    if (!pmp_objective_is_judged(in, j)) continue;
    if (last != NONE && !(best ? is_before(in->f, last, j) : is_before(in->f, j, last))) continue;
    if (chosen == NONE || is_before(in->f, j, chosen) == best) chosen = j;
  }
  return chosen;
}

/* The next outcome of a verdict after `last`. */
static size_t select_by_verdict(const struct pmp_objective_in *in, const struct walk *w,
                                int verdict, size_t last) {
  for (size_t j = last == NONE ? w->group.first : last + 1; j < w->group.last; j++) {
    if (in->verdict[j] == verdict && pmp_objective_weight(in, j) > 0.0) return j;
  }
  return NONE;
}

static void enter_group(const struct pmp_objective_config *config,
                        const struct pmp_objective_in *in, struct walk *w) {
  size_t judged = 0, accepted = 0, rejected = 0;
  for (size_t j = w->group.first; j < w->group.last; j++) {
    if (!(pmp_objective_weight(in, j) > 0.0)) continue;
    judged += pmp_objective_is_judged(in, j);
    accepted += in->verdict[j] > 0;
    rejected += in->verdict[j] < 0;
  }
  w->by_f = judged > 0;
  w->left = accepted < rejected ? accepted : rejected;
  if (w->by_f) w->left = judged / 2;
  if (w->left > config->pairs) w->left = config->pairs;
  w->better = w->worse = NONE;
}

/* The next pair of the batch in better and worse; false at the end. */
static bool next_pair(const struct pmp_objective_config *config, const struct pmp_objective_in *in,
                      struct walk *w) {
  while (w->left == 0) {
    if (!pmp_objective_next_group(in, &w->group)) return false;
    enter_group(config, in, w);
  }
  w->left--;
  w->better =
      w->by_f ? select_by_f(in, w, true, w->better) : select_by_verdict(in, w, 1, w->better);
  w->worse = w->by_f ? select_by_f(in, w, false, w->worse) : select_by_verdict(in, w, -1, w->worse);
  return true;
}

static double weight_of(const struct pmp_objective_in *in, const struct walk *w) {
  return sqrt(pmp_objective_weight(in, w->better)) * sqrt(pmp_objective_weight(in, w->worse));
}

void pmp_objective_pairs_sums(const struct pmp_objective_config *config,
                              struct pmp_objective_in *in) {
  pmp_objective_own_sums(config, in);
  for (struct walk w = {0}; next_pair(config, in, &w);) in->pairs += weight_of(in, &w);
}

enum pmp_err pmp_objective_pairs_eval(const struct pmp_objective_config *config,
                                      const struct pmp_objective_in *in,
                                      pmp_objective_pair_loss *loss,
                                      struct pmp_objective_out *out) {
  PMP_TRY(pmp_objective_in_check(in));
  PMP_TRY(pmp_objective_groups_check(in));
  if (in->parts != 1 || (in->n > 0 && (in->lp == NULL || in->lp_ref == NULL))) return PMP_EINVALID;
  pmp_objective_clear(in, out);
  if (!(in->pairs > 0.0)) return PMP_OK;
  for (struct walk w = {0}; next_pair(config, in, &w);) {
    const size_t i = w.better, j = w.worse;
    const double h = (in->lp[i] - in->lp_ref[i]) - (in->lp[j] - in->lp_ref[j]);
    const double share = weight_of(in, &w) / in->pairs;
    double slope;
    out->accepted += share * loss(config->tau, h, &slope);
    if (out->c == NULL) continue;
    out->c[i] = share * slope;
    out->c[j] = -share * slope;
  }
  out->loss = out->accepted;
  return pmp_objective_out_check(config, in, out);
}

enum pmp_err pmp_objective_pairs_check(const struct pmp_objective_config *config, uint32_t parts,
                                       uint32_t kl_parts, struct pmp_errmsg *msg) {
  (void)parts;
  (void)kl_parts;
  if (!(config->tau > 0.0 && isfinite(config->tau) && isfinite(1.0 / config->tau))) {
    return pmp_fail(msg, PMP_EINVALID, "tau is %g: it must be finite and > 0", config->tau);
  }
  if (config->pairs == 0) {
    return pmp_fail(msg, PMP_EINVALID, "pairs is 0: a condition gives at least one");
  }
  return PMP_OK;
}
