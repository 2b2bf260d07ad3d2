#include "actors/control/recording.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC 1196250436.0 /* 0x474D5544 */
#define VERSION 1.0
#define HEADER_COUNT 10
#define SIZE_MAX_EACH 1000000 /* of every count in the header */
#define EDITS_MAX 4096

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "files are read as they lie");
_Static_assert(0x474D5544 == 1196250436, "the magic number");

/* Walks through the values; what is not there is an error, found once at the end. */
struct cursor {
  const double *at, *end;
  bool short_of;
};

static const double *take(struct cursor *c, size_t n) {
  static const double none = 0.0;
  if ((size_t)(c->end - c->at) < n) {
    c->short_of = true;
    c->at = c->end;
    return &none;
  }
  const double *v = c->at;
  c->at += n;
  return v;
}

/* A count: whole and in [low, high]. */
static bool to_count(double v, int low, int high, int *out) {
  if (!(v >= low && v <= high) || v != floor(v)) return false;
  *out = (int)v;
  return true;
}

static enum pmp_err read_header(struct pmp_recording *r, struct cursor *c, struct pmp_errmsg *msg) {
  static const char *const names[] = {"episodes", "steps", "nq",       "nv",
                                      "nu",       "nobs",  "substeps", "integrator"};
  static const int low[] = {1, 0, 1, 1, 1, 1, 1, 0};
  int *const into[] = {&r->episodes, &r->steps,   &r->nq,       &r->nv,
                       &r->nu,       &r->obs_dim, &r->substeps, &r->integrator};
  const double *h = take(c, HEADER_COUNT);
  if (c->short_of || h[0] != MAGIC) return pmp_fail(msg, PMP_EINVALID, "not a trajectory file");
  if (h[1] != VERSION)
    return pmp_fail(msg, PMP_EINVALID, "trajectory file of version %g, not 1", h[1]);
  for (int i = 0; i < 8; i++)
    if (!to_count(h[2 + i], low[i], SIZE_MAX_EACH, into[i]))
      return pmp_fail(msg, PMP_EINVALID, "trajectory file: %s is %g", names[i], h[2 + i]);
  return PMP_OK;
}

static bool all_finite(const double *v, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (!isfinite(v[i])) return false;
  return true;
}

static enum pmp_err read_episode(const struct pmp_recording *r, struct pmp_recording_episode *ep,
                                 struct cursor *c, int number, struct pmp_errmsg *msg) {
  size_t rows = (size_t)r->steps + 1;
  double k = *take(c, 1);
  if (!c->short_of && !to_count(k, 0, EDITS_MAX, &ep->edit_count))
    return pmp_fail(msg, PMP_EINVALID, "trajectory file, episode %d: %g model edits", number, k);
  const double *first = c->at;
  ep->edits = take(c, 3 * (size_t)ep->edit_count);
  ep->actions = take(c, (size_t)r->steps * (size_t)r->nu);
  ep->qpos = take(c, rows * (size_t)r->nq);
  ep->qvel = take(c, rows * (size_t)r->nv);
  ep->obs = take(c, rows * (size_t)r->obs_dim);
  const double *last = c->at;
  ep->rewards = take(c, rows);
  if (c->short_of)
    return pmp_fail(msg, PMP_EINVALID, "trajectory file ends inside episode %d", number);
  if (!all_finite(first, (size_t)(last - first)) || !all_finite(ep->rewards + 1, rows - 1))
    return pmp_fail(msg, PMP_EINVALID, "trajectory file, episode %d: a number is not finite",
                    number);
  return PMP_OK;
}

enum pmp_err pmp_recording_parse(struct pmp_recording *r, const void *bytes, size_t size,
                                 struct pmp_errmsg *msg) {
  enum pmp_err err = PMP_OK;
  memset(r, 0, sizeof(*r));
  if (size % sizeof(double) != 0 || size > PMP_RECORDING_BYTES_MAX)
    return pmp_fail(msg, PMP_EINVALID, "not a trajectory file: %zu bytes", size);
  size_t count = size / sizeof(double);
  r->values = malloc(size + sizeof(double));
  if (r->values == NULL) return pmp_fail(msg, PMP_ENOMEM, "no memory for a trajectory file");
  memcpy(r->values, bytes, size);
  struct cursor c = {.at = r->values, .end = r->values + count};
  err = read_header(r, &c, msg);
  if (err != PMP_OK) goto out;
  /* An episode has at least one number for each of its parts, so a file bounds its episodes. */
  if ((size_t)r->episodes > count) {
    err = pmp_fail(msg, PMP_EINVALID, "trajectory file: too short for %d episodes", r->episodes);
    goto out;
  }
  r->episode = calloc((size_t)r->episodes, sizeof(*r->episode));
  if (r->episode == NULL) {
    err = pmp_fail(msg, PMP_ENOMEM, "no memory for a trajectory file");
    goto out;
  }
  for (int e = 0; e < r->episodes && err == PMP_OK; e++)
    err = read_episode(r, &r->episode[e], &c, e + 1, msg);
  if (err == PMP_OK && c.at != c.end)
    err = pmp_fail(msg, PMP_EINVALID, "trajectory file: %zu numbers too many",
                   (size_t)(c.end - c.at));
out:
  if (err != PMP_OK) pmp_recording_free(r);
  return err;
}

enum pmp_err pmp_recording_read(struct pmp_recording *r, const struct pmp_fs *fs, const char *path,
                                struct pmp_errmsg *msg) {
  void *bytes = NULL;
  size_t size = 0;
  memset(r, 0, sizeof(*r));
  PMP_TRY(fs->read_all(fs->self, path, PMP_RECORDING_BYTES_MAX, &bytes, &size, msg));
  enum pmp_err err = pmp_recording_parse(r, bytes, size, msg);
  free(bytes);
  return err;
}

void pmp_recording_free(struct pmp_recording *r) {
  free(r->values);
  free(r->episode);
  memset(r, 0, sizeof(*r));
}

void pmp_deviation_add(struct pmp_deviation *d, const double *a, const double *b, int n) {
  for (int i = 0; i < n; i++) {
    double off = fabs(a[i] - b[i]);
    double scale = fmax(fabs(a[i]), fabs(b[i]));
    if (off == 0.0) continue;
    double relative = isfinite(a[i]) ? off / scale : INFINITY;
    if (isnan(off)) off = INFINITY; /* no comparison would see it */
    if (off > d->absolute) d->absolute = off;
    if (relative > d->relative) d->relative = relative;
  }
}

static enum pmp_err check_fit(const struct pmp_recording *r, const struct pmp_env_model *em,
                              struct pmp_errmsg *msg) {
  const struct pmp_task *task = em->load.task;
  const mjModel *m = em->load.m;
  const struct {
    const char *name;
    int file, ours;
  } pairs[] = {
      {"nq", r->nq, (int)m->nq},
      {"nv", r->nv, (int)m->nv},
      {"nu", r->nu, (int)m->nu},
      {"nobs", r->obs_dim, task->obs_dim},
      {"substeps", r->substeps, task->substeps},
      {"integrator", r->integrator, (int)m->opt.integrator},
  };
  for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
    if (pairs[i].file != pairs[i].ours)
      return pmp_fail(msg, PMP_EINVALID,
                      "the trajectories are not of %s: %s is %d there and %d here", task->name,
                      pairs[i].name, pairs[i].file, pairs[i].ours);
  if (r->steps > task->step_limit)
    return pmp_fail(msg, PMP_EINVALID, "trajectories of %d steps; an episode of %s ends after %d",
                    r->steps, task->name, task->step_limit);
  return PMP_OK;
}

static enum pmp_err apply_edits(const struct pmp_recording_episode *ep, mjModel *m,
                                struct pmp_errmsg *msg) {
  for (int i = 0; i < ep->edit_count; i++) {
    const double *edit = ep->edits + 3 * i;
    int field, index, count;
    if (!to_count(edit[0], 0, PMP_FIELD_COUNT - 1, &field))
      return pmp_fail(msg, PMP_EINVALID, "trajectories: a model edit of field %g", edit[0]);
    mjtNum *cells = pmp_field_cells(m, (enum pmp_field)field, &count);
    if (!to_count(edit[1], 0, count - 1, &index))
      return pmp_fail(msg, PMP_EINVALID, "trajectories: a model edit of cell %g of %d", edit[1],
                      count);
    cells[index] = edit[2];
  }
  return PMP_OK;
}

static enum pmp_err run_episode(const struct pmp_recording *r,
                                const struct pmp_recording_episode *ep, struct pmp_env *env,
                                struct pmp_deviations *out, struct pmp_errmsg *msg) {
  const mjData *d = env->p.d;
  PMP_TRY(apply_edits(ep, env->p.m, msg));
  PMP_TRY(pmp_env_reset_to(env, ep->qpos, ep->qvel, NULL, msg));
  for (int t = 0; t <= r->steps; t++) {
    struct pmp_env_result result = {.reward = 0.0};
    if (t > 0) PMP_TRY(pmp_env_step_f64(env, ep->actions + (t - 1) * r->nu, &result, msg));
    if (result.diverged) return pmp_fail(msg, PMP_ENONFINITE, "the physics diverged in step %d", t);
    pmp_deviation_add(&out->qpos, d->qpos, ep->qpos + t * r->nq, r->nq);
    pmp_deviation_add(&out->qvel, d->qvel, ep->qvel + t * r->nv, r->nv);
    pmp_deviation_add(&out->observation, env->obs, ep->obs + t * r->obs_dim, r->obs_dim);
    if (t > 0) pmp_deviation_add(&out->reward, &result.reward, ep->rewards + t, 1);
  }
  return PMP_OK;
}

enum pmp_err pmp_recording_run(const struct pmp_recording *r, const struct pmp_env_model *em,
                               struct pmp_deviations *out, struct pmp_errmsg *msg) {
  const struct pmp_env_options options = {.own_model = true};
  struct pmp_env *env = NULL;
  memset(out, 0, sizeof(*out));
  PMP_TRY(check_fit(r, em, msg));
  enum pmp_err err = pmp_env_create(&env, em, &options, msg);
  for (int e = 0; e < r->episodes && err == PMP_OK; e++)
    err = run_episode(r, &r->episode[e], env, out, msg);
  pmp_env_free(env);
  return err;
}

enum pmp_err pmp_deviations_print(const struct pmp_deviations *d, FILE *out,
                                  struct pmp_errmsg *msg) {
  const struct {
    const char *name;
    struct pmp_deviation value;
  } parts[] = {
      {"qpos", d->qpos}, {"qvel", d->qvel}, {"observation", d->observation}, {"reward", d->reward}};
  json_t *line = json_object();
  int rc = line == NULL;
  for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]) && rc == 0; i++) {
    const struct pmp_deviation *v = &parts[i].value;
    if (!isfinite(v->absolute) || !isfinite(v->relative)) {
      json_decref(line);
      return pmp_fail(msg, PMP_ENONFINITE, "the deviation of %s is not finite", parts[i].name);
    }
    rc = json_object_set_new(
        line, parts[i].name,
        json_pack("{s:f, s:f}", "absolute", v->absolute, "relative", v->relative));
  }
  if (rc == 0) rc = json_dumpf(line, out, JSON_REAL_PRECISION(17));
  json_decref(line);
  if (rc != 0 || fputc('\n', out) == EOF || fflush(out) != 0)
    return pmp_fail(msg, PMP_EIO, "the deviations cannot be written");
  return PMP_OK;
}
