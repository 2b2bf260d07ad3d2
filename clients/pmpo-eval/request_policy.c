/* pi and ref: natural parameters out of nested lists. */
#include "clients/pmpo-eval/field.h"
#include "clients/pmpo-eval/request_parts.h"
#include "clients/pmpo-eval/tensor.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a policy says, before it is put in one array. */
struct said {
  struct pmp_tensor mean, spread; /* spread: std (rank 2) or chol (rank 3) */
  struct pmp_tensor logits;
};

static void said_fini(struct said *s) {
  pmp_tensor_fini(&s->mean);
  pmp_tensor_fini(&s->spread);
  pmp_tensor_fini(&s->logits);
}

static enum pmp_err read_member(struct pmp_tensor *t, const json_t *policy, const char *whose,
                                const char *name, const char *shape, unsigned rank,
                                struct pmp_errmsg *msg) {
  char full[32];
  snprintf(full, sizeof full, "%s.%s", whose, name);
  const json_t *value = pmp_field(policy, name);
  if (value == NULL) return pmp_fail(msg, PMP_EINVALID, "%s is missing: it is %s", full, shape);
  PMP_TRY(pmp_tensor_read(t, value, full, shape, rank, strcmp(name, "logits") == 0, msg));
  if (t->dims[0] == 0) return pmp_fail(msg, PMP_EINVALID, "%s is empty: it is %s", full, shape);
  return PMP_OK;
}

#define SHAPE_ROWS "a list of conditions, each a list of D numbers"
#define SHAPE_CHOL "a list of conditions, each D rows of D numbers with zeros above the diagonal"
#define SHAPE_LOGITS "a list of conditions, each a list of dimensions, each a list of bins"

static enum pmp_err read_said(struct said *s, enum pmp_dist_kind kind, json_t *policy,
                              const char *whose, struct pmp_errmsg *msg) {
  static const char *const diag[] = {"mean", "std", NULL}, *const full[] = {"mean", "chol", NULL},
                           *const table[] = {"logits", NULL};
  const char *const *names = kind == PMP_DIST_DIAG_GAUSSIAN ? diag
                             : kind == PMP_DIST_GAUSSIAN    ? full
                                                            : table;
  char place[16];
  snprintf(place, sizeof place, "%s: ", whose);
  if (!json_is_object(policy))
    return pmp_fail(msg, PMP_EINVALID, "%s is %s: it must be an object with %s%s%s", whose,
                    pmp_tensor_kind(policy), names[0], names[1] ? " and " : "",
                    names[1] ? names[1] : "");
  PMP_TRY(pmp_field_known(policy, place, names, msg));
  if (kind == PMP_DIST_CATEGORICAL)
    return read_member(&s->logits, policy, whose, "logits", SHAPE_LOGITS, 3, msg);
  PMP_TRY(read_member(&s->mean, policy, whose, "mean", SHAPE_ROWS, 2, msg));
  if (kind == PMP_DIST_DIAG_GAUSSIAN)
    return read_member(&s->spread, policy, whose, "std", SHAPE_ROWS, 2, msg);
  return read_member(&s->spread, policy, whose, "chol", SHAPE_CHOL, 3, msg);
}

/* What policy/dist takes as natural parameters: beyond these its numbers would leave float64. */
#define SPREAD_RANGE "1e-100 to 1e100"
static bool is_spread(double x) {
  return x >= 1e-100 && x <= 1e100;
}

/* Mean and spread have the same B and D. */
static enum pmp_err check_spread(const struct said *s, const char *whose, struct pmp_errmsg *msg) {
  const struct pmp_tensor *m = &s->mean, *v = &s->spread;
  const bool chol = v->rank == 3;
  const char *name = chol ? "chol" : "std";
  if (v->dims[0] != m->dims[0])
    return pmp_fail(msg, PMP_EINVALID, "%s.%s has %zu conditions and %s.mean has %zu", whose, name,
                    v->dims[0], whose, m->dims[0]);
  if (v->dims[1] != m->dims[1] || (chol && v->dims[2] != m->dims[1]))
    return pmp_fail(msg, PMP_EINVALID, "%s.%s has %zu %s and %s.mean has %zu dimensions", whose,
                    name, v->dims[1] != m->dims[1] ? v->dims[1] : v->dims[2],
                    v->dims[1] != m->dims[1] ? (chol ? "rows" : "dimensions") : "columns", whose,
                    m->dims[1]);
  const size_t d = m->dims[1], rows = m->dims[0] * d;
  for (size_t i = 0; !chol && i < rows; i++) {
    if (!is_spread(v->data[i]))
      return pmp_fail(msg, PMP_EINVALID,
                      "%s.std[%zu][%zu] is %.10g: it must be above 0 (" SPREAD_RANGE ")", whose,
                      i / d, i % d, v->data[i]);
  }
  for (size_t i = 0; chol && i < rows; i++) {
    const double *row = v->data + i * d;
    const size_t r = i % d;
    if (!is_spread(row[r]))
      return pmp_fail(msg, PMP_EINVALID,
                      "%s.chol[%zu][%zu][%zu] is %.10g: the diagonal must be above 0 (" SPREAD_RANGE
                      ")",
                      whose, i / d, r, r, row[r]);
    for (size_t k = r + 1; k < d; k++) {
      if (row[k] != 0.0)
        return pmp_fail(msg, PMP_EINVALID,
                        "%s.chol[%zu][%zu][%zu] is %.10g: chol is lower triangular, with zeros "
                        "above the diagonal",
                        whose, i / d, r, k, row[k]);
    }
  }
  return PMP_OK;
}

static enum pmp_err check_logits(const struct said *s, const char *whose, struct pmp_errmsg *msg) {
  const struct pmp_tensor *t = &s->logits;
  for (size_t i = 0; i < t->dims[0] * t->dims[1]; i++) {
    size_t possible = 0;
    for (size_t k = 0; k < t->dims[2]; k++)
      possible += isfinite(t->data[i * t->dims[2] + k]) ? 1 : 0;
    if (possible == 0)
      return pmp_fail(msg, PMP_EINVALID,
                      "%s.logits[%zu][%zu] is null throughout: one bin at least "
                      "must be possible",
                      whose, i / t->dims[1], i % t->dims[1]);
  }
  return PMP_OK;
}

/* One array of natural parameters (policy/dist/dist.h), condition by condition. */
static double *natural_of(const struct said *s, size_t *b, size_t *natural) {
  if (s->logits.data != NULL) {
    *b = s->logits.dims[0];
    *natural = s->logits.dims[1] * s->logits.dims[2];
  } else {
    *b = s->mean.dims[0];
    *natural = s->mean.dims[1] * (s->spread.rank == 3 ? 1 + s->mean.dims[1] : 2);
  }
  double *out = malloc(*b * *natural * sizeof *out);
  if (out == NULL) return NULL;
  if (s->logits.data != NULL) {
    memcpy(out, s->logits.data, *b * *natural * sizeof *out);
    return out;
  }
  const size_t d = s->mean.dims[1], spread = *natural - d;
  for (size_t i = 0; i < *b; i++) {
    memcpy(out + i * *natural, s->mean.data + i * d, d * sizeof *out);
    memcpy(out + i * *natural + d, s->spread.data + i * spread, spread * sizeof *out);
  }
  return out;
}

/* Reads `whose` ("pi" or "ref"); dim and bins of the policy go to *shape. */
static enum pmp_err read_policy(json_t *line, const char *whose, enum pmp_dist_kind kind,
                                double **out, size_t *b, size_t *natural, struct pmp_dist *shape,
                                struct pmp_errmsg *msg) {
  struct said s;
  memset(&s, 0, sizeof s);
  enum pmp_err err = read_said(&s, kind, json_object_get(line, whose), whose, msg);
  if (err != PMP_OK) goto out;
  const bool table = kind == PMP_DIST_CATEGORICAL;
  err = table ? check_logits(&s, whose, msg) : check_spread(&s, whose, msg);
  if (err != PMP_OK) goto out;
  const size_t dim = table ? s.logits.dims[1] : s.mean.dims[1];
  const size_t bins = table ? s.logits.dims[2] : 0;
  if (dim > UINT32_MAX || bins > UINT32_MAX) {
    err = pmp_fail(msg, PMP_ETOOLARGE, "%s has %zu dimensions of %zu bins", whose, dim, bins);
    goto out;
  }
  shape->dim = (uint32_t)dim;
  shape->bins = (uint32_t)bins;
  *out = natural_of(&s, b, natural);
  if (*out == NULL) err = pmp_fail(msg, PMP_ENOMEM, "%s: no memory", whose);
out:
  said_fini(&s);
  return err;
}

enum pmp_err pmp_eval_request_policies(struct pmp_eval_request *q, json_t *line,
                                       struct pmp_errmsg *msg) {
  struct pmp_dist *d = &q->dist, other = {0};
  if (pmp_field(line, "pi") == NULL) return pmp_fail(msg, PMP_EINVALID, "pi is missing");
  PMP_TRY(read_policy(line, "pi", d->kind, &q->pi, &q->b, &q->natural, d, msg));
  struct pmp_errmsg why = {{0}};
  if (pmp_dist_check(d, &why) != PMP_OK) return pmp_fail(msg, PMP_EINVALID, "pi: %.400s", why.text);
  if (pmp_field(line, "ref") == NULL) return PMP_OK;
  size_t b = 0, natural = 0;
  PMP_TRY(read_policy(line, "ref", d->kind, &q->ref, &b, &natural, &other, msg));
  if (b != q->b)
    return pmp_fail(msg, PMP_EINVALID, "ref has %zu conditions and pi has %zu", b, q->b);
  if (other.dim != d->dim)
    return pmp_fail(msg, PMP_EINVALID, "ref has %u dimensions and pi has %u", other.dim, d->dim);
  if (other.bins != d->bins)
    return pmp_fail(msg, PMP_EINVALID, "ref has %u bins and pi has %u", other.bins, d->bins);
  return PMP_OK;
}
