#include "clients/pmpoctl/import.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define TICK_LINES 1024
#define MESSAGE_SLACK 65536 /* of a message: envelope, fields, actor state */

/* The chunk under construction; its last group may still grow. */
struct pass {
  const struct pmp_outcome_form *form;
  const struct pmp_import_sink *sink;
  struct pmp_import_result *result;
  uint64_t skip;
  uint32_t rows_max, rows_soft; /* no more rows in a chunk; enough of them */
  void *memory;                 /* owned: the columns below */
  float *x;                     /* (groups x obs) */
  float *y;                     /* (rows x dim) */
  int32_t *index;               /* (rows x dim) with bins */
  float *weight, *f;            /* (rows) */
  uint32_t *group;              /* (rows) */
  int8_t *verdict;              /* (rows) */
  uint32_t rows, groups;
  uint32_t group_first; /* row of the chunk where the last group begins */
  bool has_f;           /* of the last group */
  bool open;            /* the last group takes further rows */
  bool implicit;        /* it is one by its x, not by a name */
  size_t name_size;
  char name[PMP_OUTCOME_GROUP_MAX + 1];
  uint64_t name_line; /* where the last group begins */
  XXH3_state_t *hash; /* owned */
};

/* ---- memory ---- */

static size_t row_bytes(const struct pmp_outcome_form *form) {
  return (form->obs + form->dim) * sizeof(float) + 3 * sizeof(float) + 1;
}

static enum pmp_err pass_init(struct pass *p, const struct pmp_wire_limits *limits,
                              struct pmp_errmsg *msg) {
  const size_t row = row_bytes(p->form);
  size_t max = limits->message_bytes > 2 * MESSAGE_SLACK ? limits->message_bytes - MESSAGE_SLACK
                                                         : limits->message_bytes / 2;
  max /= row;
  const size_t widest = p->form->obs > p->form->dim ? p->form->obs : p->form->dim;
  if (max > limits->tensor_elements / widest) max = (size_t)(limits->tensor_elements / widest);
  if (max > limits->chunk_rows) max = limits->chunk_rows;
  if (max == 0)
    return pmp_fail(msg, PMP_ETOOLARGE,
                    "a row of %zu bytes does not fit the run's limits (limits.message_bytes)", row);
  p->rows_max = (uint32_t)max;
  const size_t soft = PMP_IMPORT_CHUNK_BYTES / row;
  p->rows_soft = soft < 1 ? 1 : soft < max ? (uint32_t)soft : (uint32_t)max;
  const size_t dim = p->form->dim, obs = p->form->obs;
  p->memory = malloc(max * (obs + 2 * dim + 3) * sizeof(float) + max);
  p->hash = XXH3_createState();
  if (p->memory == NULL || p->hash == NULL) return pmp_fail(msg, PMP_ENOMEM, "out of memory");
  XXH3_128bits_reset(p->hash);
  p->x = p->memory;
  p->y = p->x + max * obs;
  p->index = (int32_t *)(void *)(p->y + max * dim);
  p->weight = (float *)(void *)(p->index + max * dim);
  p->f = p->weight + max;
  p->group = (uint32_t *)(void *)(p->f + max);
  p->verdict = (int8_t *)(p->group + max);
  return PMP_OK;
}

static void pass_fini(struct pass *p) {
  XXH3_freeState(p->hash);
  free(p->memory);
}

/* ---- chunks ---- */

/* The first `rows` rows (whole groups) as a chunk. */
static enum pmp_err send(struct pass *p, uint32_t rows, uint32_t groups, bool has_f,
                         uint64_t rows_end, struct pmp_errmsg *msg) {
  const struct pmp_outcome_form *form = p->form;
  if (rows == 0 || p->sink->chunk == NULL) return PMP_OK;
  struct pmp_chunk c = {.source = PMP_SOURCE_IMPORT,
                        .shape = PMP_SHAPE_OUTCOMES,
                        .rows = rows,
                        .groups = groups,
                        .group = p->group,
                        .verdict = p->verdict,
                        .weight = p->weight,
                        .f = has_f ? p->f : NULL};
  if (form->rank > 0) {
    c.obs_parts = 1;
    c.obs[0] = (struct pmp_tensor){.dtype = PMP_F32,
                                   .rank = form->rank + 1,
                                   .shape = {groups},
                                   .data = p->x,
                                   .bytes = groups * form->obs * sizeof(float)};
    memcpy(&c.obs[0].shape[1], form->shape, form->rank * sizeof form->shape[0]);
  }
  const size_t numbers = (size_t)rows * form->dim;
  c.action = (struct pmp_tensor){.dtype = form->bins > 0 ? PMP_I32 : PMP_F32,
                                 .rank = 2,
                                 .shape = {rows, form->dim},
                                 .data = p->y,
                                 .bytes = numbers * sizeof(float)};
  if (form->bins > 0) {
    for (size_t i = 0; i < numbers; i++) p->index[i] = (int32_t)p->y[i];
    c.action.data = p->index;
  }
  return p->sink->chunk(p->sink->ctx, &c, rows_end, msg);
}

/* Sends what is before the last group, which moves to the front. */
static enum pmp_err send_before(struct pass *p, struct pmp_errmsg *msg) {
  const uint32_t first = p->group_first, rest = p->rows - first;
  const size_t dim = p->form->dim, obs = p->form->obs;
  PMP_TRY(send(p, first, p->groups - 1, p->has_f, p->result->rows - rest, msg));
  if (obs > 0) memmove(p->x, p->x + (p->groups - 1) * obs, obs * sizeof(float));
  memmove(p->y, p->y + first * dim, rest * dim * sizeof(float));
  memmove(p->weight, p->weight + first, rest * sizeof(float));
  memmove(p->f, p->f + first, rest * sizeof(float));
  memmove(p->verdict, p->verdict + first, rest);
  for (uint32_t i = 0; i < rest; i++) p->group[i] = 0;
  p->rows = rest;
  p->groups = 1;
  p->group_first = 0;
  return PMP_OK;
}

static enum pmp_err send_all(struct pass *p, struct pmp_errmsg *msg) {
  PMP_TRY(send(p, p->rows, p->groups, p->has_f, p->result->rows, msg));
  p->rows = p->groups = p->group_first = 0;
  return PMP_OK;
}

/* ---- groups ---- */

static bool same_name(const struct pass *p, const struct pmp_outcome *o) {
  return !p->implicit && o->group_size > 0 && o->group_size == p->name_size &&
         memcmp(o->group, p->name, o->group_size) == 0;
}

/* Does the row belong to the last group? An error: by its name it does, but it must not. */
static enum pmp_err joins(const struct pass *p, const struct pmp_outcome *o, bool *yes,
                          struct pmp_errmsg *msg) {
  const bool by_rule = o->has_f && o->verdict == 0;
  const float *x = p->groups > 0 ? p->x + (p->groups - 1) * p->form->obs : NULL;
  *yes = false;
  if (o->group_size == 0 && by_rule && p->form->rank == 0)
    return pmp_fail(msg, PMP_EINVALID,
                    "has f and neither verdict nor group: say by \"group\" which rows it is to be "
                    "compared with");
  if (!p->open) return PMP_OK;
  const bool same_x = p->form->obs == 0 || memcmp(x, o->x, p->form->obs * sizeof(float)) == 0;
  if (o->group_size == 0) {
    *yes = p->implicit && by_rule && same_x;
    return PMP_OK;
  }
  if (!same_name(p, o)) return PMP_OK;
  if (!same_x)
    return pmp_fail(msg, PMP_EINVALID,
                    "has another x than line %" PRIu64 " of the same group; a group is outcomes of "
                    "one x",
                    p->name_line);
  if (o->has_f != p->has_f)
    return pmp_fail(msg, PMP_EINVALID,
                    "has %s f, unlike line %" PRIu64 " of the same group: all of a group or none",
                    o->has_f ? "an" : "no", p->name_line);
  *yes = true;
  return PMP_OK;
}

static enum pmp_err check_size(const struct pass *p, struct pmp_errmsg *msg) {
  const uint32_t rows = p->rows - p->group_first;
  const uint32_t max = p->rows_max < PMP_IMPORT_GROUP_MAX ? p->rows_max : PMP_IMPORT_GROUP_MAX;
  if (rows < max) return PMP_OK;
  return pmp_fail(msg, PMP_ETOOLARGE,
                  "is row %u of the group that begins at line %" PRIu64 "; at most %u fit "
                  "(limits.chunk_rows, and %u in any case)",
                  rows + 1, p->name_line, max, PMP_IMPORT_GROUP_MAX);
}

static void begin_group(struct pass *p, const struct pmp_outcome *o, uint64_t line) {
  if (p->form->obs > 0)
    memcpy(p->x + (size_t)p->groups * p->form->obs, o->x, p->form->obs * sizeof(float));
  p->groups++;
  p->group_first = p->rows;
  p->has_f = o->has_f;
  p->implicit = o->group_size == 0;
  p->open = o->group_size > 0 || (o->has_f && o->verdict == 0);
  p->name_size = o->group_size;
  memcpy(p->name, o->group, o->group_size);
  p->name_line = line;
  p->result->groups++;
}

/* ---- rows ---- */

static void count_row(struct pass *p, const struct pmp_outcome *o, bool joined) {
  struct pmp_import_result *r = p->result;
  const bool by_rule = o->has_f && o->verdict == 0;
  r->rows++;
  r->accepted += o->verdict > 0;
  r->rejected += o->verdict < 0;
  r->evaluated += by_rule;
  r->unlabelled += o->verdict == 0 && !o->has_f;
  if (!joined) r->alone += by_rule;
  if (joined && p->rows - p->group_first == 1)
    r->alone -= p->verdict[p->group_first] == 0 && p->has_f;
}

static void hash_row(struct pass *p, const struct pmp_outcome *o, bool joined) {
  const struct {
    float weight, f;
    int32_t verdict, has_f, joined;
  } head = {o->weight, o->has_f ? o->f : 0, o->verdict, o->has_f, joined};
  XXH3_128bits_update(p->hash, &head, sizeof head);
  if (p->form->obs > 0) XXH3_128bits_update(p->hash, o->x, p->form->obs * sizeof(float));
  XXH3_128bits_update(p->hash, o->y, p->form->dim * sizeof(float));
}

static void put_row(struct pass *p, const struct pmp_outcome *o) {
  const uint32_t r = p->rows++;
  memcpy(p->y + (size_t)r * p->form->dim, o->y, p->form->dim * sizeof(float));
  p->weight[r] = o->weight;
  p->f[r] = o->f;
  p->verdict[r] = o->verdict;
  p->group[r] = p->groups - 1;
}

/* Rows that are there already: only their group is followed. */
static void pass_over(struct pass *p, const struct pmp_outcome *o, bool joined, uint64_t line) {
  if (!joined) {
    p->rows = p->groups = 0;
    begin_group(p, o, line);
  }
  count_row(p, o, joined);
  put_row(p, o);
  if (p->result->rows < p->skip) return;
  p->rows = p->groups = p->group_first = 0; /* whatever comes next begins a group */
  p->open = false;
}

static enum pmp_err take_row(struct pass *p, const struct pmp_outcome *o, bool joined,
                             uint64_t line, struct pmp_errmsg *msg) {
  hash_row(p, o, joined);
  if (p->result->rows < p->skip) {
    pass_over(p, o, joined, line);
    return PMP_OK;
  }
  if (!joined) {
    if (p->rows >= p->rows_soft || (p->rows > 0 && p->has_f != o->has_f)) PMP_TRY(send_all(p, msg));
    begin_group(p, o, line);
  } else if (p->rows == p->rows_max) {
    PMP_TRY(send_before(p, msg));
  }
  count_row(p, o, joined);
  put_row(p, o);
  return PMP_OK;
}

static bool is_blank(const char *text, size_t size) {
  for (size_t i = 0; i < size; i++)
    if (text[i] != ' ' && text[i] != '\t' && text[i] != '\r') return false;
  return true;
}

enum line { LINE_TAKEN, LINE_BAD, LINE_NONE, LINE_FAILED };

/* A bad line is left out and changes nothing; *err and msg say why, as for LINE_FAILED. */
static enum line take_line(struct pass *p, struct pmp_lines *lines, struct pmp_outcome *o,
                           enum pmp_err *err, struct pmp_errmsg *msg) {
  const char *text;
  size_t size;
  bool joined = false;
  *err = pmp_lines_next(lines, &text, &size, msg);
  if (*err == PMP_ECLOSED) return LINE_NONE;
  if (*err == PMP_ETOOLARGE) return LINE_BAD;
  if (*err != PMP_OK) return LINE_FAILED;
  if (lines->number == 1 && size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) { /* UTF-8's mark */
    text += 3;
    size -= 3;
  }
  if (is_blank(text, size)) return LINE_TAKEN;
  *err = pmp_outcome_parse(p->form, text, size, o, msg);
  if (*err == PMP_OK) *err = joins(p, o, &joined, msg);
  if (*err == PMP_OK && joined) *err = check_size(p, msg);
  if (*err != PMP_OK) return LINE_BAD;
  *err = take_row(p, o, joined, lines->number, msg);
  return *err == PMP_OK ? LINE_TAKEN : LINE_FAILED;
}

static void finish_hash(struct pass *p) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(p->hash));
  for (size_t i = 0; i < sizeof canonical.digest; i++)
    snprintf(p->result->hash + 2 * i, 3, "%02x", canonical.digest[i]);
}

static enum pmp_err run(struct pass *p, struct pmp_lines *lines, const char *path,
                        struct pmp_outcome *o, struct pmp_errmsg *msg) {
  for (;;) {
    enum pmp_err err = PMP_OK;
    struct pmp_errmsg why = {{0}};
    const enum line got = take_line(p, lines, o, &err, &why);
    if (got == LINE_NONE) return send_all(p, msg);
    if (got == LINE_FAILED) return pmp_fail(msg, err, "%s", why.text);
    if (got == LINE_BAD && p->sink->refused == NULL)
      return pmp_fail(msg, PMP_EINVALID, "%.200s:%" PRIu64 ": %s", path, lines->number, why.text);
    if (got == LINE_BAD) {
      p->result->refused++;
      p->sink->refused(p->sink->ctx, lines->number, &why);
    }
    if (lines->number % TICK_LINES == 0 && p->sink->tick != NULL &&
        !p->sink->tick(p->sink->ctx, lines))
      return pmp_fail(msg, PMP_ECLOSED, "stopped");
  }
}

enum pmp_err pmp_import_pass(struct pmp_lines *lines, const char *path,
                             const struct pmp_outcome_form *form,
                             const struct pmp_wire_limits *limits, uint64_t skip,
                             const struct pmp_import_sink *sink, struct pmp_import_result *result,
                             struct pmp_errmsg *msg) {
  struct pass p = {.form = form, .sink = sink, .result = result, .skip = skip};
  memset(result, 0, sizeof *result);
  struct pmp_outcome *o = calloc(1, sizeof *o + (form->obs + form->dim) * sizeof(float));
  enum pmp_err err =
      o != NULL ? pass_init(&p, limits, msg) : pmp_fail(msg, PMP_ENOMEM, "no memory");
  if (err != PMP_OK) goto out;
  o->x = (float *)(void *)(o + 1);
  o->y = o->x + form->obs;
  err = pmp_lines_rewind(lines, msg);
  if (err == PMP_OK) err = run(&p, lines, path, o, msg);
  result->lines = lines->number;
  if (err != PMP_OK) goto out;
  finish_hash(&p);
  if (result->rows < skip)
    err = pmp_fail(msg, PMP_ECONFLICT,
                   "has %" PRIu64 " rows, fewer than the %" PRIu64 " that were sent of it",
                   result->rows, skip);
out:
  pass_fini(&p);
  free(o);
  return err;
}
