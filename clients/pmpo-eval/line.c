#include "clients/pmpo-eval/line.h"

#include "clients/pmpo-eval/eval.h"
#include "clients/pmpo-eval/request.h"
#include "clients/pmpo-eval/tensor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS 17 /* enough for any float64 to read back as itself */

/* ---- answers ---- */

/* `count` numbers of each of the B rows of the gradient, from `offset` on, as lists. */
static json_t *gradient_part(const struct pmp_eval_request *q, const double *grad, size_t offset,
                             unsigned rank, const size_t *dims) {
  size_t count = dims[1] * (rank == 3 ? dims[2] : 1);
  double *part = malloc(q->b * count * sizeof *part);
  if (part == NULL) return NULL;
  for (size_t i = 0; i < q->b; i++)
    memcpy(part + i * count, grad + i * q->natural + offset, count * sizeof *part);
  json_t *list = pmp_tensor_write(part, rank, dims);
  free(part);
  return list;
}

static json_t *gradient(const struct pmp_eval_request *q, const double *grad) {
  const size_t d = q->dist.dim;
  const size_t rows[] = {q->b, d}, square[] = {q->b, d, d}, table[] = {q->b, d, q->dist.bins};
  switch (q->dist.kind) {
  case PMP_DIST_CATEGORICAL:
    return json_pack("{s:o}", "logits", gradient_part(q, grad, 0, 3, table));
  case PMP_DIST_GAUSSIAN:
    return json_pack("{s:o, s:o}", "mean", gradient_part(q, grad, 0, 2, rows), "chol",
                     gradient_part(q, grad, d, 3, square));
  default:
    return json_pack("{s:o, s:o}", "mean", gradient_part(q, grad, 0, 2, rows), "std",
                     gradient_part(q, grad, d, 2, rows));
  }
}

/* (N x P) numbers in the line's own order: a list, or for P = 2 a list of pairs. */
static json_t *column(const struct pmp_eval_request *q, const double *values, uint32_t parts) {
  if (values == NULL) return json_null();
  double *own = malloc((q->n * parts + 1) * sizeof *own);
  if (own == NULL) return NULL;
  for (size_t j = 0; j < q->n; j++)
    memcpy(own + q->given[j] * parts, values + j * parts, parts * sizeof *own);
  const size_t dims[] = {q->n, parts};
  json_t *list = pmp_tensor_write(own, parts == 1 ? 1 : 2, dims);
  free(own);
  return list;
}

static json_t *answer_of(const struct pmp_eval_request *q, const struct pmp_eval_answer *a,
                         bool verbose) {
  const size_t parts = a->kl_count;
  json_t *kl = parts == 0   ? json_null()
               : parts == 1 ? json_real(a->kl[0])
                            : pmp_tensor_write(a->kl, 1, &parts);
  json_t *answer = json_pack("{s:f, s:f, s:o, s:o}", "loss", a->loss, "policy_term", a->policy_term,
                             "kl", kl, "grad", gradient(q, a->grad));
  if (answer == NULL || !verbose) return answer;
  json_t *more =
      json_pack("{s:o, s:o, s:o, s:o}", "log_pi", column(q, a->lp, a->parts), "log_ref",
                column(q, a->lp_ref, a->parts), "c", column(q, a->c, a->parts), "kl_margin",
                isfinite(a->kl_margin) ? json_real(a->kl_margin) : json_null());
  if (json_object_update(answer, more) != 0) {
    json_decref(answer);
    answer = NULL;
  }
  json_decref(more);
  return answer;
}

/* ---- errors ---- */

static json_t *error_of(struct pmp_errmsg *msg) {
  json_t *text = json_string(msg->text);
  /* A sentence cut within a character of several bytes is no text to JSON. */
  for (char *c = msg->text; text == NULL && *c != '\0'; c++) {
    if ((unsigned char)*c >= 0x80) *c = '?';
  }
  if (text == NULL) text = json_string(msg->text);
  return json_pack("{s:o}", "error", text);
}

static void explain_json(const json_error_t *error, const char *text, size_t size,
                         struct pmp_errmsg *msg) {
  static const char infinity[] = "Infinity", nan_word[] = "NaN";
  const char *hint = "";
  if (memmem(text, size, infinity, sizeof infinity - 1) != NULL)
    hint = "; JSON has no Infinity: a logit of minus infinity (probability 0) is null";
  else if (memmem(text, size, nan_word, sizeof nan_word - 1) != NULL)
    hint = "; JSON has no NaN";
  (void)pmp_fail(msg, PMP_EINVALID, "not JSON at column %d: %s%s", error->column, error->text,
                 hint);
}

json_t *pmp_eval_line(const char *text, size_t size, bool verbose, bool *failed) {
  struct pmp_errmsg msg = {{0}};
  struct pmp_eval_request q;
  struct pmp_eval_answer a;
  json_error_t error;
  json_t *answer = NULL;
  json_t *line = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
  *failed = true;
  if (line == NULL) {
    explain_json(&error, text, size, &msg);
    return error_of(&msg);
  }
  if (pmp_eval_request_read(&q, line, &msg) == PMP_OK) {
    if (pmp_eval_answer_make(&a, &q, &msg) == PMP_OK) {
      *failed = false;
      answer = answer_of(&q, &a, verbose);
      pmp_eval_answer_fini(&a);
    }
    pmp_eval_request_fini(&q);
  }
  if (*failed) answer = error_of(&msg);
  json_t *id = json_object_get(line, "id");
  if (answer != NULL && id != NULL && json_object_set(answer, "id", id) != 0) {
    json_decref(answer);
    answer = NULL;
  }
  json_decref(line);
  return answer;
}

char *pmp_eval_text(const json_t *answer) {
  return json_dumps(answer, JSON_COMPACT | JSON_REAL_PRECISION(DIGITS));
}
