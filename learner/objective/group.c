#include "learner/objective/group.h"

#include <math.h>

enum pmp_err pmp_objective_groups_check(const struct pmp_objective_in *in) {
  unsigned bad = 0;
  if (in->x_of_y != NULL) {
    for (size_t j = 0; j < in->n; j++) {
      bad |= (unsigned)(in->x_of_y[j] >= in->b);
      if (j > 0) bad |= (unsigned)(in->x_of_y[j] < in->x_of_y[j - 1]);
    }
  }
  if (bad != 0) return PMP_EINVALID;
  if (in->f != NULL) {
    for (size_t j = 0; j < in->n; j++) bad |= (unsigned)(fabs(in->f[j]) == INFINITY);
  }
  return bad != 0 ? PMP_ENONFINITE : PMP_OK;
}

bool pmp_objective_next_group(const struct pmp_objective_in *in, struct pmp_objective_group *g) {
  if (g->last >= in->n) return false;
  g->first = g->last;
  if (in->x_of_y == NULL) {
    const size_t per = in->n / in->b;
    g->x = g->first / per;
    g->last = g->first + per;
    return true;
  }
  g->x = in->x_of_y[g->first];
  while (g->last < in->n && in->x_of_y[g->last] == g->x) g->last++;
  return true;
}

bool pmp_objective_tilt(const struct pmp_objective_in *in, const struct pmp_objective_group *g,
                        const double *value, double slope, struct pmp_objective_tilt *t) {
  *t = (struct pmp_objective_tilt){.value = value, .slope = slope};
  bool any = false;
  for (size_t j = g->first; j < g->last; j++) {
    if (!pmp_objective_is_judged(in, j)) continue;
    if (!any || (slope > 0.0 ? value[j] > t->top : value[j] < t->top)) t->top = value[j];
    any = true;
  }
  for (size_t j = g->first; j < g->last; j++) {
    if (!pmp_objective_is_judged(in, j)) continue;
    const double w = pmp_objective_weight(in, j), e = slope * (value[j] - t->top);
    const double q = w * exp(e);
    t->weight += w;
    t->sum += q;
    if (q > 0.0) {
      t->mean += q * e;
      t->square += q * e * e;
    }
  }
  if (any) {
    t->mean /= t->sum;
    t->square /= t->sum;
  }
  return any;
}

double pmp_objective_tilt_share(const struct pmp_objective_in *in,
                                const struct pmp_objective_tilt *t, size_t j) {
  if (!pmp_objective_is_judged(in, j)) return 0.0;
  return pmp_objective_weight(in, j) * exp(t->slope * (t->value[j] - t->top)) / t->sum;
}

double pmp_objective_count_judged(const struct pmp_objective_in *in) {
  double count = 0.0;
  for (struct pmp_objective_group g = {0}; pmp_objective_next_group(in, &g);) {
    bool any = false;
    for (size_t j = g.first; j < g.last; j++) any |= pmp_objective_is_judged(in, j);
    count += any ? 1.0 : 0.0;
  }
  return count;
}
