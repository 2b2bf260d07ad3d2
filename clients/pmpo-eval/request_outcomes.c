/* Outcomes and what is said of each, sorted by condition. */
#include "clients/pmpo-eval/field.h"
#include "clients/pmpo-eval/request_parts.h"
#include "clients/pmpo-eval/tensor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The condition of the i-th outcome of the line. */
static enum pmp_err condition_of(const struct pmp_eval_request *q, const struct pmp_tensor *x,
                                 size_t i, uint32_t *out, struct pmp_errmsg *msg) {
  if (x->data == NULL) {
    *out = q->b == 1 ? 0 : (uint32_t)i;
    return PMP_OK;
  }
  const double v = x->data[i];
  if (!(v >= 0.0 && v < (double)q->b) || v != floor(v))
    return pmp_fail(msg, PMP_EINVALID, "x[%zu] is %.10g: it must be a row of pi, 0 to %zu", i, v,
                    q->b - 1);
  *out = (uint32_t)v;
  return PMP_OK;
}

/* Fills x and given: outcomes by condition, those of one condition in the line's order. */
static enum pmp_err sort_outcomes(struct pmp_eval_request *q, const struct pmp_tensor *x,
                                  struct pmp_errmsg *msg) {
  enum pmp_err err = PMP_OK;
  size_t *next = calloc(q->b + 1, sizeof *next);
  if (next == NULL) return pmp_fail(msg, PMP_ENOMEM, "x: no memory");
  for (size_t i = 0; i < q->n; i++) {
    uint32_t row = 0;
    err = condition_of(q, x, i, &row, msg);
    if (err != PMP_OK) goto out;
    next[row + 1]++;
  }
  for (size_t row = 0; row < q->b; row++) next[row + 1] += next[row];
  for (size_t i = 0; i < q->n; i++) {
    uint32_t row = 0;
    err = condition_of(q, x, i, &row, msg);
    if (err != PMP_OK) goto out;
    q->given[next[row]] = i;
    q->x[next[row]++] = row;
  }
out:
  free(next);
  return err;
}

static enum pmp_err read_x(struct pmp_eval_request *q, json_t *line, struct pmp_errmsg *msg) {
  struct pmp_tensor x = {0};
  const json_t *value = pmp_field(line, "x");
  q->x = calloc(q->n + 1, sizeof *q->x);
  q->given = calloc(q->n + 1, sizeof *q->given);
  if (q->x == NULL || q->given == NULL) return pmp_fail(msg, PMP_ENOMEM, "x: no memory");
  if (value == NULL && q->b != 1 && q->n != q->b && q->n != 0)
    return pmp_fail(
        msg, PMP_EINVALID,
        "x is missing: with %zu rows of pi and %zu outcomes it must say the row that each "
        "belongs to (it may be left out for one row, or for one outcome a row)",
        q->b, q->n);
  if (value != NULL) {
    PMP_TRY(pmp_tensor_read(&x, value, "x", "a list with the row of pi of each outcome", 1, false,
                            msg));
    if (x.dims[0] != q->n) {
      const size_t got = x.dims[0];
      pmp_tensor_fini(&x);
      return pmp_fail(msg, PMP_EINVALID, "x has %zu entries and y has %zu", got, q->n);
    }
  }
  const enum pmp_err err = sort_outcomes(q, &x, msg);
  pmp_tensor_fini(&x);
  return err;
}

/* One number an outcome, sorted as x is; *out stays NULL when the field is not given. */
static enum pmp_err read_column(const struct pmp_eval_request *q, json_t *line, const char *name,
                                const char *shape, double **out, struct pmp_errmsg *msg) {
  struct pmp_tensor t;
  const json_t *value = pmp_field(line, name);
  *out = NULL;
  if (value == NULL) return PMP_OK;
  PMP_TRY(pmp_tensor_read(&t, value, name, shape, 1, false, msg));
  enum pmp_err err = PMP_OK;
  if (t.dims[0] != q->n) {
    err = pmp_fail(msg, PMP_EINVALID, "%s has %zu entries and y has %zu", name, t.dims[0], q->n);
  } else if ((*out = malloc((q->n + 1) * sizeof **out)) == NULL) {
    err = pmp_fail(msg, PMP_ENOMEM, "%s: no memory", name);
  }
  for (size_t j = 0; err == PMP_OK && j < q->n; j++) (*out)[j] = t.data[q->given[j]];
  pmp_tensor_fini(&t);
  return err;
}

static enum pmp_err read_verdict(struct pmp_eval_request *q, json_t *line, struct pmp_errmsg *msg) {
  double *v = NULL;
  q->verdict = calloc(q->n + 1, sizeof *q->verdict);
  if (q->verdict == NULL) return pmp_fail(msg, PMP_ENOMEM, "verdict: no memory");
  PMP_TRY(read_column(q, line, "verdict", "a list of 1, -1 or 0, one an outcome", &v, msg));
  enum pmp_err err = PMP_OK;
  for (size_t j = 0; err == PMP_OK && v != NULL && j < q->n; j++) {
    if (v[j] != 1.0 && v[j] != -1.0 && v[j] != 0.0) {
      err = pmp_fail(msg, PMP_EINVALID,
                     "verdict[%zu] is %.10g: it must be 1 (accepted), -1 (rejected) or 0 (neither)",
                     q->given[j], v[j]);
    } else {
      q->verdict[j] = (int8_t)v[j];
    }
  }
  free(v);
  return err;
}

static enum pmp_err read_y(struct pmp_eval_request *q, json_t *line, struct pmp_errmsg *msg) {
  const json_t *value = pmp_field(line, "y");
  const bool table = q->dist.kind == PMP_DIST_CATEGORICAL;
  const char *shape = table ? "a list of outcomes, each a list of D bin indices"
                            : "a list of outcomes, each a list of D numbers";
  struct pmp_tensor y;
  if (value == NULL) return pmp_fail(msg, PMP_EINVALID, "y is missing: it is %s", shape);
  /* Of one dimension, a plain list says as much. */
  const unsigned rank = q->dist.dim == 1 && json_is_number(json_array_get(value, 0)) ? 1 : 2;
  PMP_TRY(pmp_tensor_read(&y, value, "y", shape, rank, false, msg));
  enum pmp_err err = PMP_OK;
  const size_t d = q->dist.dim;
  q->n = y.dims[0];
  if (rank == 2 && q->n > 0 && y.dims[1] != d) {
    err =
        pmp_fail(msg, PMP_EINVALID, "y[0] has %zu entries and pi has %zu dimensions", y.dims[1], d);
    goto out;
  }
  for (size_t i = 0; table && i < q->n * d; i++) {
    if (y.data[i] >= 0.0 && y.data[i] < q->dist.bins && y.data[i] == floor(y.data[i])) continue;
    err = pmp_fail(msg, PMP_EINVALID, "y[%zu][%zu] is %.10g: it must be a bin, 0 to %u", i / d,
                   i % d, y.data[i], q->dist.bins - 1);
    goto out;
  }
  err = read_x(q, line, msg);
  if (err != PMP_OK) goto out;
  q->y = malloc((q->n * d + 1) * sizeof *q->y);
  if (q->y == NULL) {
    err = pmp_fail(msg, PMP_ENOMEM, "y: no memory");
    goto out;
  }
  for (size_t j = 0; j < q->n; j++)
    memcpy(q->y + j * d, y.data + q->given[j] * d, d * sizeof *q->y);
out:
  pmp_tensor_fini(&y);
  return err;
}

enum pmp_err pmp_eval_request_outcomes(struct pmp_eval_request *q, json_t *line,
                                       struct pmp_errmsg *msg) {
  PMP_TRY(read_y(q, line, msg));
  PMP_TRY(read_verdict(q, line, msg));
  PMP_TRY(read_column(q, line, "f", "a list of evaluations, one an outcome", &q->f, msg));
  PMP_TRY(read_column(q, line, "weight", "a list of weights, one an outcome", &q->weight, msg));
  for (size_t j = 0; q->weight != NULL && j < q->n; j++) {
    if (!(q->weight[j] >= 0.0))
      return pmp_fail(msg, PMP_EINVALID, "weight[%zu] is %.10g: it must be 0 or above", q->given[j],
                      q->weight[j]);
  }
  return PMP_OK;
}
