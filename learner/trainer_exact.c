/* Improvement in closed form: outcomes are collected until the reference is refreshed, then the
 * policy moves at once (objectives.md 7; learner/improve). For policies without a network, whose
 * parameters are the head itself. */
#include "learner/trainer_work.h"

#include <string.h>

/* Natural parameters of a head, in the arena. */
static double *natural_of(struct pmp_trainer *t, const float *head) {
  const struct pmp_dist *dist = &t->config.policy.dist;
  double *natural = pmp_trainer_doubles(t, pmp_dist_natural(dist));
  if (natural == NULL || pmp_dist_to_natural(dist, 1, head, natural) != PMP_OK) return NULL;
  return natural;
}

enum pmp_err pmp_trainer_collect(struct pmp_trainer *t, struct pmp_trainer_work *w,
                                 struct pmp_step_metrics *m) {
  const struct pmp_improve_config improve = pmp_trainer_improve(&t->config);
  const size_t dim = t->config.policy.dist.dim;
  const double *ref = natural_of(t, t->buffer[PMP_BUFFER_REF]);
  double *y = pmp_trainer_doubles(t, w->n * dim), *weight = pmp_trainer_doubles(t, w->n);
  int8_t *verdict = pmp_arena_array(&t->arena, w->n, sizeof *verdict);
  if (y == NULL || weight == NULL || verdict == NULL) return PMP_ENOMEM;
  if (ref == NULL) return PMP_ENONFINITE;
  size_t n = 0;
  for (size_t j = 0; j < w->n; j++) {
    /* The closed form is of draws of one reference. */
    if (w->batch.version[j] != t->counters.version) continue;
    for (size_t i = 0; i < dim; i++) y[n * dim + i] = (double)w->y[j * dim + i];
    weight[n] = w->weight != NULL ? w->weight[j] : 1.0;
    verdict[n++] = w->verdict[j];
  }
  struct pmp_objective_in in = {.n = n, .verdict = verdict, .weight = weight};
  pmp_objective_sums(n, verdict, weight, &in.accepted, &in.rejected);
  m->informative = pmp_trainer_informs(t, &in);
  pmp_trainer_describe(t, 1, t->buffer[PMP_BUFFER_PI], m);
  return n > 0 ? pmp_improve_add(&improve, t->improve, ref, n, y, verdict, weight) : PMP_OK;
}

/* Spreads no smaller than a head can say. */
static void keep_above_least(const struct pmp_dist *dist, double *natural) {
  const size_t dim = dist->dim, step = dist->kind == PMP_DIST_GAUSSIAN ? dim + 1 : 1;
  const double least = (double)dist->std_min * (1.0 + 1e-6);
  if (dist->kind == PMP_DIST_CATEGORICAL) return;
  for (size_t i = 0; i < dim; i++) {
    double *spread = natural + dim + i * step;
    if (*spread < least) *spread = least;
  }
}

bool pmp_trainer_improve_now(struct pmp_trainer *t) {
  if (t->improve_doubles == 0) return false;
  const struct pmp_improve_config improve = pmp_trainer_improve(&t->config);
  const struct pmp_dist *dist = &t->config.policy.dist;
  const size_t mark = pmp_arena_mark(&t->arena), head_floats = t->floats[PMP_BUFFER_PI];
  double *natural = natural_of(t, t->buffer[PMP_BUFFER_REF]);
  double *state = pmp_trainer_doubles(t, t->improve_doubles);
  float *head = pmp_trainer_floats(t, head_floats);
  bool moved = natural != NULL && state != NULL && head != NULL;
  if (moved) {
    memcpy(state, t->improve, t->improve_doubles * sizeof *state);
    moved = pmp_improve_step(&improve, state, natural, NULL) == PMP_OK;
  }
  if (moved) {
    keep_above_least(dist, natural);
    moved = pmp_dist_from_natural(dist, 1, natural, head) == PMP_OK &&
            pmp_trainer_all_finite(head, head_floats);
  }
  if (moved) {
    memcpy(t->improve, state, t->improve_doubles * sizeof *state);
    memcpy(t->buffer[PMP_BUFFER_PI], head, head_floats * sizeof *head);
  }
  pmp_arena_release(&t->arena, mark);
  return moved;
}
