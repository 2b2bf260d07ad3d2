#include "actors/control/actions.h"

#include "base/fs.h"
#include "policy/safetensors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FILE_BYTES_MAX ((size_t)1 << 30)
enum { ALIGNMENT = 64 };

enum pmp_err pmp_actions_fit(const struct pmp_policy *p, const struct pmp_task *task,
                             const char *whose, struct pmp_errmsg *msg) {
  if (p->spec.obs == (uint32_t)task->obs_dim && p->spec.dist.dim == (uint32_t)task->act_dim)
    return PMP_OK;
  return pmp_fail(msg, PMP_ECONFLICT,
                  "%s policy takes %u numbers and gives %u; task %s has %d and %d", whose,
                  p->spec.obs, p->spec.dist.dim, task->name, task->obs_dim, task->act_dim);
}

/* ---- weights in a file ---- */

static float *floats(size_t n) {
  size_t bytes = (n * sizeof(float) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  return aligned_alloc(ALIGNMENT, bytes > 0 ? bytes : ALIGNMENT);
}

static enum pmp_err take_views(struct pmp_actions *a, const struct pmp_st_file *f,
                               struct pmp_errmsg *msg) {
  const struct pmp_manifest *m = &a->model.manifest;
  for (uint32_t i = 0; i < m->views; i++) {
    const struct pmp_view *v = &m->view[i];
    const struct pmp_st_tensor *t = pmp_st_find(f, v->name);
    bool same = t != NULL && t->dtype == PMP_ST_F32 && t->rank == v->rank;
    for (uint32_t k = 0; same && k < v->rank; k++) same = t->shape[k] == v->shape[k];
    if (!same)
      return pmp_fail(msg, PMP_ECORRUPT, "%.256s: tensor \"%s\" is missing or has another shape",
                      a->config.path, v->name);
    memcpy(a->params + v->offset, t->data, v->count * sizeof(float));
  }
  for (size_t i = 0; i < m->floats; i++)
    if (!isfinite(a->params[i]))
      return pmp_fail(msg, PMP_ECORRUPT, "%.256s: a weight is not finite", a->config.path);
  return PMP_OK;
}

static uint64_t meta_number(const struct pmp_st_file *f, const char *key) {
  const char *text = pmp_st_meta_get(f, key);
  return text != NULL ? strtoull(text, NULL, 10) : 0;
}

static enum pmp_err take_file(struct pmp_actions *a, const struct pmp_st_file *f,
                              struct pmp_errmsg *msg) {
  const char *json = pmp_st_meta_get(f, "policy");
  struct pmp_policy_spec spec;
  if (json == NULL)
    return pmp_fail(msg, PMP_ECORRUPT,
                    "%.256s does not say what policy it holds: use what pmpoctl export writes",
                    a->config.path);
  PMP_TRY(pmp_policy_spec_from_json(&spec, json, strlen(json), msg));
  PMP_TRY(pmp_policy_init(&a->model, &spec, msg));
  PMP_TRY(pmp_actions_fit(&a->model, a->config.task, "the file's", msg));
  PMP_TRY(pmp_compute_cpu(&a->compute, 1));
  a->params = floats(a->model.manifest.floats);
  a->cache = floats(pmp_policy_cache_floats(&a->model, a->config.rows_max));
  a->head = floats(a->config.rows_max * a->model.head);
  if (a->params == NULL || a->cache == NULL || a->head == NULL)
    return pmp_fail(msg, PMP_ENOMEM, "no memory for the policy");
  a->version = meta_number(f, "version");
  a->learner_step = meta_number(f, "learner_step");
  return take_views(a, f, msg);
}

static enum pmp_err load_file(struct pmp_actions *a, struct pmp_errmsg *msg) {
  const struct pmp_fs *fs = pmp_fs_real();
  struct pmp_st_file f = {0};
  void *bytes = NULL;
  size_t size = 0;
  PMP_TRY(fs->read_all(fs->self, a->config.path, FILE_BYTES_MAX, &bytes, &size, msg));
  enum pmp_err err = pmp_st_parse(&f, bytes, size, msg);
  if (err == PMP_OK) err = take_file(a, &f, msg);
  pmp_st_fini(&f);
  free(bytes);
  return err;
}

/* ---- life ---- */

enum pmp_err pmp_actions_init(struct pmp_actions *a, const struct pmp_actions_config *config,
                              struct pmp_errmsg *msg) {
  memset(a, 0, sizeof *a);
  a->config = *config;
  a->y = calloc((size_t)config->rows_max * (size_t)config->task->act_dim, sizeof *a->y);
  enum pmp_err err = a->y != NULL ? PMP_OK : pmp_fail(msg, PMP_ENOMEM, "no memory for actions");
  if (err == PMP_OK && config->kind == PMP_ACTIONS_FILE) err = load_file(a, msg);
  if (err != PMP_OK) pmp_actions_fini(a);
  return err;
}

void pmp_actions_fini(struct pmp_actions *a) {
  free(a->params);
  free(a->cache);
  free(a->head);
  free(a->y);
  memset(a, 0, sizeof *a);
}

uint64_t pmp_actions_version(const struct pmp_actions *a, uint64_t *learner_step) {
  if (a->config.kind == PMP_ACTIONS_SERVED)
    return pmpo_policy_version(a->config.served, learner_step);
  *learner_step = a->learner_step;
  return a->version;
}

/* ---- acting ---- */

static enum pmp_err outcomes_of_file(struct pmp_actions *a, uint32_t rows, const float *x,
                                     struct pmp_errmsg *msg) {
  const struct pmp_dist *dist = &a->model.spec.dist;
  enum pmp_err err =
      pmp_policy_forward(&a->model, &a->compute, a->params, rows, x, a->cache, a->head);
  if (err == PMP_OK)
    err = a->config.sample ? pmp_dist_sample(dist, rows, 1, a->head, &a->config.rng, a->y)
                           : pmp_dist_mode(dist, rows, a->head, a->y);
  return err == PMP_OK ? PMP_OK : pmp_fail(msg, err, "the file's policy cannot be evaluated");
}

enum pmp_err pmp_actions_next(struct pmp_actions *a, uint32_t rows, const float *observation,
                              float *action, struct pmp_errmsg *msg) {
  struct pmp_actions_config *c = &a->config;
  const uint32_t n = rows * (uint32_t)c->task->act_dim;
  switch (c->kind) {
  case PMP_ACTIONS_SERVED:
    PMP_TRY(c->sample ? pmpo_policy_sample(c->served, rows, 1, observation, &c->rng, a->y, msg)
                      : pmpo_policy_mode(c->served, rows, observation, a->y, msg));
    pmpo_policy_action(c->served, rows, a->y, action);
    return PMP_OK;
  case PMP_ACTIONS_FILE:
    PMP_TRY(outcomes_of_file(a, rows, observation, msg));
    pmp_dist_action(&a->model.spec.dist, rows, a->y, action);
    return PMP_OK;
  case PMP_ACTIONS_RANDOM:
    for (uint32_t i = 0; i < n; i++) action[i] = 2.0f * pmp_rng_float(&c->rng) - 1.0f;
    return PMP_OK;
  case PMP_ACTIONS_ZERO:
    memset(action, 0, n * sizeof *action);
    return PMP_OK;
  }
  return PMP_EINTERNAL;
}
