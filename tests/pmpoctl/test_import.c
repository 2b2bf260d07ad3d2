/* A file of outcomes: which lines are rows, which rows are groups, and that a pass which goes on
 * somewhere gives exactly the rest. */
#include "clients/pmpoctl/import.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define ROWS_MAX 256
#define OBS_MAX 4
#define DIM_MAX 3

static struct pmp_errmsg msg;

/* ---- lines ---- */

static const char *file_of(const void *data, size_t size) {
  static char path[64];
  strcpy(path, "/tmp/pmp-import-XXXXXX");
  const int fd = mkstemp(path);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, data, size), (ssize_t)size);
  close(fd);
  return path;
}

static struct pmp_lines lines_of(const char *text, size_t line_max) {
  struct pmp_lines l;
  const char *path = file_of(text, strlen(text));
  if (pmp_lines_open(&l, path, line_max, &msg) != PMP_OK) fail_msg("%s", msg.text);
  unlink(path);
  return l;
}

static void expect_line(struct pmp_lines *l, uint64_t number, const char *want) {
  const char *text = NULL;
  size_t size = 999;
  assert_int_equal(pmp_lines_next(l, &text, &size, &msg), PMP_OK);
  assert_int_equal(size, strlen(want));
  assert_memory_equal(text, want, size);
  assert_int_equal(l->number, number);
}

static void lines_come_one_by_one(void **state) {
  (void)state;
  struct pmp_lines l = lines_of("a\n\nbcd\r\nlast", 100);
  for (int again = 0; again < 2; again++) {
    const char *text;
    size_t size;
    assert_int_equal(pmp_lines_rewind(&l, &msg), PMP_OK);
    expect_line(&l, 1, "a");
    expect_line(&l, 2, "");
    expect_line(&l, 3, "bcd\r");
    expect_line(&l, 4, "last");
    assert_int_equal(pmp_lines_next(&l, &text, &size, &msg), PMP_ECLOSED);
    assert_int_equal(pmp_lines_next(&l, &text, &size, &msg), PMP_ECLOSED);
    assert_int_equal(l.bytes, 12);
    assert_int_equal(l.total, 12);
  }
  pmp_lines_close(&l);
  pmp_lines_close(&l);
}

static void a_line_too_long_is_passed_over(void **state) {
  (void)state;
  for (size_t length = 8; length < 40; length++) {
    char text[128] = "";
    const char *got;
    size_t size;
    memset(text, 'x', length);
    strcpy(text + length, "\nnext\n");
    struct pmp_lines l = lines_of(text, 10);
    const enum pmp_err err = pmp_lines_next(&l, &got, &size, &msg);
    assert_int_equal(err, length <= 10 ? PMP_OK : PMP_ETOOLARGE);
    expect_line(&l, 2, "next");
    assert_int_equal(pmp_lines_next(&l, &got, &size, &msg), PMP_ECLOSED);
    assert_int_equal(pmp_lines_rewind(&l, &msg), PMP_OK);
    text[length] = '\0';
    pmp_lines_close(&l);
    l = lines_of(text, 10); /* and as the last one, without a break */
    assert_int_equal(pmp_lines_next(&l, &got, &size, &msg), length <= 10 ? PMP_OK : PMP_ETOOLARGE);
    assert_int_equal(pmp_lines_next(&l, &got, &size, &msg), PMP_ECLOSED);
    pmp_lines_close(&l);
  }
}

static void a_block_ends_anywhere(void **state) {
  (void)state;
  const size_t size = (size_t)3 << 18; /* three of the reader's blocks */
  char *text = malloc(size + 1);
  assert_non_null(text);
  uint64_t lines = 0, seen = 0;
  for (size_t at = 0; at < size; lines++) {
    size_t n = (lines * 7919) % 977 + 1;
    if (n > size - at) n = size - at;
    memset(text + at, 'a' + (int)(lines % 26), n - 1);
    text[at + n - 1] = '\n';
    at += n;
  }
  text[size] = '\0';
  struct pmp_lines l = lines_of(text, 1000);
  const char *got;
  for (size_t n; pmp_lines_next(&l, &got, &n, &msg) == PMP_OK; seen++) {
    for (size_t i = 0; i < n; i++) assert_int_equal(got[i], 'a' + (int)(seen % 26));
  }
  assert_int_equal(seen, lines);
  pmp_lines_close(&l);
  free(text);
}

static void what_is_no_text_file_is_told(void **state) {
  (void)state;
  struct pmp_lines l;
  assert_int_equal(pmp_lines_open(&l, "/no/such/file", 10, &msg), PMP_ENOTFOUND);
  assert_int_equal(pmp_lines_open(&l, "/tmp", 10, &msg), PMP_EINVALID);
  const char *path = file_of("\x1f\x8b\x08\x00", 4);
  assert_int_equal(pmp_lines_open(&l, path, 10, &msg), PMP_EINVALID);
  assert_non_null(strstr(msg.text, "zcat"));
  unlink(path);
  path = file_of("\x28\xb5\x2f\xfd", 4);
  assert_int_equal(pmp_lines_open(&l, path, 10, &msg), PMP_EINVALID);
  assert_non_null(strstr(msg.text, "zstdcat"));
  unlink(path);
}

/* ---- rows ---- */

static struct pmp_outcome_form box(uint32_t obs, uint32_t dim) {
  struct pmp_outcome_form f = {.obs = obs, .dim = dim};
  f.rank = obs > 0;
  f.shape[0] = obs;
  return f;
}

static void good_rows_are_read(void **state) {
  (void)state;
  float x[OBS_MAX], y[DIM_MAX];
  struct pmp_outcome o = {.x = x, .y = y};
  struct pmp_outcome_form form = box(2, 1);
  const struct {
    const char *text;
    int verdict;
    float weight, f;
    const char *group;
  } row[] = {
      {"{\"x\":[0.5,-2],\"y\":[3]}", 0, 1, 999, ""},
      {"{\"x\":[0.5,-2],\"y\":3,\"verdict\":1}", 1, 1, 999, ""},
      {"{\"x\":[0.5,-2],\"y\":3.0,\"verdict\":\"accept\",\"weight\":0}", 1, 0, 999, ""},
      {"{\"x\":[0.5,-2],\"y\":3,\"verdict\":true,\"weight\":2.5}", 1, 2.5F, 999, ""},
      {"{\"x\":[0.5,-2],\"y\":3,\"verdict\":-1,\"f\":0}", -1, 1, 0, ""},
      {"{\"x\":[0.5,-2],\"y\":3,\"verdict\":\"reject\",\"group\":7}", -1, 1, 999, "i7"},
      {"{\"x\":[0.5,-2],\"y\":3,\"verdict\":false,\"group\":\"7\"}", -1, 1, 999, "s7"},
      {"{\"x\":[0.5,-2],\"y\":3,\"verdict\":0,\"f\":-1.5e3,\"group\":\"\"}", 0, 1, -1500, "s"},
      {" {\"f\":null,\"verdict\":null,\"x\":[0.5,-2],\"y\":[3],\"weight\":null,\"group\":null}\r",
       0, 1, 999, ""},
  };
  for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
    memset(x, 0x7f, sizeof x);
    memset(y, 0x7f, sizeof y);
    const enum pmp_err err = pmp_outcome_parse(&form, row[i].text, strlen(row[i].text), &o, &msg);
    if (err != PMP_OK) fail_msg("%s: %s", row[i].text, msg.text);
    assert_true(x[0] == 0.5F && x[1] == -2 && y[0] == 3);
    assert_int_equal(o.verdict, row[i].verdict);
    assert_true(o.weight == row[i].weight);
    assert_int_equal(o.has_f, row[i].f != 999);
    if (o.has_f) assert_true(o.f == row[i].f);
    assert_int_equal(o.group_size, strlen(row[i].group));
    assert_memory_equal(o.group, row[i].group, o.group_size);
  }
}

static void conditions_may_be_nested_as_the_spec_says(void **state) {
  (void)state;
  float x[OBS_MAX], y[DIM_MAX];
  struct pmp_outcome o = {.x = x, .y = y};
  struct pmp_outcome_form form = {.rank = 2, .shape = {2, 2}, .obs = 4, .dim = 3, .bins = 5};
  const char *good[] = {"{\"x\":[[1,2],[3,4]],\"y\":[0,4,2]}", "{\"x\":[1,2,3,4],\"y\":[0,4.0,2]}"};
  for (int i = 0; i < 2; i++) {
    memset(x, 0, sizeof x);
    const enum pmp_err err = pmp_outcome_parse(&form, good[i], strlen(good[i]), &o, &msg);
    if (err != PMP_OK) fail_msg("%s", msg.text);
    for (int k = 0; k < 4; k++) assert_true(x[k] == (float)(k + 1));
    assert_true(y[0] == 0 && y[1] == 4 && y[2] == 2);
  }
  const char *bad[] = {"{\"x\":[[1,2],[3]],\"y\":[0,0,0]}", "{\"x\":[[1,2]],\"y\":[0,0,0]}",
                       "{\"x\":[[1,2],3],\"y\":[0,0,0]}", "{\"x\":[1,2,3],\"y\":[0,0,0]}",
                       "{\"x\":[[[1],2],[3,4]],\"y\":[0,0,0]}"};
  for (int i = 0; i < 5; i++)
    assert_int_equal(pmp_outcome_parse(&form, bad[i], strlen(bad[i]), &o, &msg), PMP_EINVALID);
}

/* What is wrong is named, and what would be right. */
static void bad_rows_say_why(void **state) {
  (void)state;
  float x[OBS_MAX], y[DIM_MAX];
  struct pmp_outcome o = {.x = x, .y = y};
  const struct {
    uint32_t obs, dim, bins;
    const char *text, *say[2];
  } row[] = {
      {0, 2, 0, "{\"y\":[1,2]", {"no JSON", "'}'"}},
      {0, 2, 0, "{\"y\":[1,NaN]}", {"no JSON", "NaN"}},
      {0, 2, 0, "{\"y\":[1,1e999]}", {"no JSON", "overflow"}},
      {0, 2, 0, "{\"y\":[1,2],\"y\":[1,2]}", {"no JSON", "duplicate"}},
      {0, 2, 0, "[1,2]", {"is a list", "object"}},
      {0, 2, 0, "null", {"is null", "object"}},
      {0, 2, 0, "{}", {"no \"y\"", "2 numbers"}},
      {0, 2, 0, "{\"y\":[1]}", {"has 1 numbers", "takes 2"}},
      {0, 2, 0, "{\"y\":[1,2,3]}", {"has 3 numbers", "takes 2"}},
      {0, 2, 0, "{\"y\":1}", {"\"y\" is a number", "list of 2"}},
      {0, 2, 0, "{\"y\":[1,\"2\"]}", {"text", "only numbers"}},
      {0, 2, 0, "{\"y\":[1,null]}", {"null", "only numbers"}},
      {0, 2, 0, "{\"y\":[1,1e39]}", {"1e+39", "float32"}},
      {0, 2, 0, "{\"y\":[1,2],\"x\":[1]}", {"no condition", "[]"}},
      {2, 1, 0, "{\"y\":[1]}", {"no \"x\"", "2 numbers"}},
      {2, 1, 0, "{\"y\":[1],\"x\":[1]}", {"has 1 numbers", "takes 2"}},
      {0, 1, 4, "{\"y\":4}", {"4 is no bin", "0 to 3"}},
      {0, 1, 4, "{\"y\":[-1]}", {"-1 is no bin", "0 to 3"}},
      {0, 1, 4, "{\"y\":[1.5]}", {"1.5 is no bin", "0 to 3"}},
      {0, 1, 4, "{\"y\":[]}", {"has 0 numbers", "takes 1"}},
      {0, 1, 0, "{\"y\":1,\"verdict\":2}", {"is 2", "1, -1, 0"}},
      {0, 1, 0, "{\"y\":1,\"verdict\":\"yes\"}", {"is \"yes\"", "\"accept\""}},
      {0, 1, 0, "{\"y\":1,\"verdict\":[1]}", {"is [1]", "true or false"}},
      {0, 1, 0, "{\"y\":1,\"weight\":-0.5}", {"is -0.5", "at least 0"}},
      {0, 1, 0, "{\"y\":1,\"weight\":\"1\"}", {"text", "only numbers"}},
      {0, 1, 0, "{\"y\":1,\"f\":true}", {"true or false", "only numbers"}},
      {0, 1, 0, "{\"y\":1,\"f\":1e40}", {"\"f\"", "float32"}},
      {0, 1, 0, "{\"y\":1,\"group\":1.5}", {"a number", "whole"}},
      {0, 1, 0, "{\"y\":1,\"verdct\":1}", {"\"verdct\"", "verdict, weight"}},
  };
  for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
    struct pmp_outcome_form form = box(row[i].obs, row[i].dim);
    form.bins = row[i].bins;
    if (pmp_outcome_parse(&form, row[i].text, strlen(row[i].text), &o, &msg) != PMP_EINVALID)
      fail_msg("%s was taken", row[i].text);
    for (int k = 0; k < 2; k++)
      if (!strstr(msg.text, row[i].say[k]))
        fail_msg("%s: \"%s\" does not say %s", row[i].text, msg.text, row[i].say[k]);
  }
  struct pmp_outcome_form form = box(0, 1);
  form.ignore_unknown = true;
  const char *text = "{\"y\":1,\"id\":\"ab\"}";
  assert_int_equal(pmp_outcome_parse(&form, text, strlen(text), &o, &msg), PMP_OK);
  char name[400];
  snprintf(name, sizeof name, "{\"y\":1,\"group\":\"%0300d\"}", 1);
  assert_int_equal(pmp_outcome_parse(&form, name, strlen(name), &o, &msg), PMP_EINVALID);
}

static void a_run_without_such_rows_is_told(void **state) {
  (void)state;
  struct pmp_outcome_form form;
  struct pmp_spec spec = {.shape = PMP_SHAPE_TRAJECTORIES};
  assert_int_equal(pmp_outcome_form(&spec, &form, &msg), PMP_EUNAVAILABLE);
  spec = (struct pmp_spec){.shape = PMP_SHAPE_OUTCOMES,
                           .obs_parts = 1,
                           .action = {.kind = PMP_ACTION_BINS, .dim = 3, .bins = 7}};
  spec.obs[0] = (struct pmp_tensor_spec){.dtype = PMP_F32, .rank = 2, .shape = {3, 4}};
  assert_int_equal(pmp_outcome_form(&spec, &form, &msg), PMP_OK);
  assert_int_equal(form.obs, 12);
  assert_int_equal(form.rank, 2);
  assert_int_equal(form.dim, 3);
  assert_int_equal(form.bins, 7);
  spec.action.kind = PMP_ACTION_TOKENS;
  assert_int_equal(pmp_outcome_form(&spec, &form, &msg), PMP_EUNAVAILABLE);
}

/* ---- groups and chunks ---- */

struct got {
  uint32_t rows, chunks;
  float x[ROWS_MAX], y[ROWS_MAX], f[ROWS_MAX]; /* x: of the row's group */
  int verdict[ROWS_MAX];
  uint32_t group[ROWS_MAX]; /* over all chunks */
  uint64_t end[ROWS_MAX];   /* of each chunk */
  uint32_t groups, refused;
  uint64_t bad[ROWS_MAX]; /* lines */
};

static enum pmp_err keep_chunk(void *ctx, const struct pmp_chunk *c, uint64_t rows,
                               struct pmp_errmsg *why) {
  struct got *g = ctx;
  struct pmp_arena arena;
  const void *data;
  size_t size;
  assert_int_equal(c->source, PMP_SOURCE_IMPORT);
  assert_int_equal(pmp_arena_init(&arena, 1 << 20), PMP_OK); /* what is sent must be a chunk */
  if (pmp_wire_encode_chunk(c, &arena, &data, &size, why) != PMP_OK) return PMP_EINTERNAL;
  struct pmp_wire_limits limits = pmp_wire_limits_default();
  struct pmp_chunk again;
  if (pmp_wire_decode_chunk(data, size, NULL, &limits, &arena, &again, why) != PMP_OK)
    return PMP_EINTERNAL;
  assert_int_equal(again.rows, c->rows);
  for (uint32_t i = 0; i < again.rows; i++) {
    assert_true(g->rows < ROWS_MAX);
    g->x[g->rows] = again.obs_parts ? ((const float *)again.obs[0].data)[again.group[i]] : 999;
    g->y[g->rows] = again.action.dtype == PMP_I32 ? (float)((const int32_t *)again.action.data)[i]
                                                  : ((const float *)again.action.data)[i];
    g->f[g->rows] = again.f ? again.f[i] : 999;
    g->verdict[g->rows] = again.verdict[i];
    g->group[g->rows] = g->groups + (again.group ? again.group[i] : i);
    g->rows++;
  }
  g->groups += again.groups;
  g->end[g->chunks++] = rows;
  pmp_arena_fini(&arena);
  return PMP_OK;
}

static void keep_bad(void *ctx, uint64_t line, const struct pmp_errmsg *why) {
  struct got *g = ctx;
  assert_true(strlen(why->text) > 5);
  g->bad[g->refused++] = line;
}

static enum pmp_err pass(const char *text, const struct pmp_outcome_form *form, uint32_t chunk_rows,
                         uint64_t skip, bool skip_bad, struct got *g, struct pmp_import_result *r) {
  struct pmp_lines l = lines_of(text, 10000);
  struct pmp_wire_limits limits = pmp_wire_limits_default();
  limits.chunk_rows = chunk_rows;
  const struct pmp_import_sink sink = {
      .ctx = g, .chunk = keep_chunk, .refused = skip_bad ? keep_bad : NULL};
  memset(g, 0, sizeof *g);
  msg.text[0] = '\0';
  const enum pmp_err err = pmp_import_pass(&l, "f", form, &limits, skip, &sink, r, &msg);
  pmp_lines_close(&l);
  return err;
}

static const char mixed[] =
    "{\"x\":[1],\"y\":0,\"f\":1}\n"                    /* 0: same x, f and no verdict: a group */
    "{\"x\":[1],\"y\":1,\"f\":2}\n"                    /* 0 */
    "{\"x\":[2],\"y\":2,\"f\":3}\n"                    /* 1: alone */
    "{\"x\":[2],\"y\":3,\"f\":3,\"verdict\":1}\n"      /* 2: has a verdict: its own */
    "{\"x\":[2],\"y\":4,\"f\":3}\n"                    /* 3 */
    "\n"                                               /* nothing */
    "{\"x\":[2],\"y\":5,\"f\":4}\n"                    /* 3 */
    "{\"x\":[3],\"y\":6,\"group\":7,\"verdict\":1}\n"  /* 4: by name */
    "{\"x\":[3],\"y\":7,\"group\":7,\"verdict\":-1}\n" /* 4 */
    "{\"x\":[3],\"y\":8,\"group\":\"7\"}\n"            /* 5: text is not the number */
    "{\"x\":[3],\"y\":9,\"verdict\":1}\n"              /* 6 */
    "{\"x\":[3],\"y\":10,\"verdict\":-1}\n"            /* 7 */
    "{\"x\":[3],\"y\":11,\"group\":7}";                /* 8: 7 again, but not next to it */
static const uint32_t mixed_group[] = {0, 0, 1, 2, 3, 3, 4, 4, 5, 6, 7, 8};

static void rows_become_groups(void **state) {
  (void)state;
  struct got g;
  struct pmp_import_result r;
  const struct pmp_outcome_form form = box(1, 1);
  for (uint32_t chunk_rows = 2; chunk_rows < 16; chunk_rows++) {
    if (pass(mixed, &form, chunk_rows, 0, false, &g, &r) != PMP_OK) fail_msg("%s", msg.text);
    assert_int_equal(r.rows, 12);
    assert_int_equal(r.groups, 9);
    assert_int_equal(r.lines, 13);
    assert_int_equal(r.accepted, 3);
    assert_int_equal(r.rejected, 2);
    assert_int_equal(r.evaluated, 5);
    assert_int_equal(r.alone, 1);
    assert_int_equal(r.unlabelled, 2);
    assert_int_equal(r.refused, 0);
    assert_int_equal(g.rows, 12);
    assert_int_equal(g.groups, 9);
    assert_int_equal(g.end[g.chunks - 1], 12);
    for (uint32_t i = 0; i < 12; i++) {
      assert_true(g.y[i] == (float)i);
      assert_true(g.x[i] == (i < 2 ? 1 : i < 6 ? 2 : 3));
      assert_int_equal(g.group[i], mixed_group[i]);
      assert_true((g.f[i] != 999) == (i < 6));
    }
  }
  assert_int_equal(pass(mixed, &form, 1, 0, false, &g, &r), PMP_EINVALID); /* a group of two */
  assert_non_null(strstr(msg.text, "f:2:"));
  assert_non_null(strstr(msg.text, "at most 1"));
}

/* Cut off after any chunk, another pass gives the rest, whatever its chunks are then. */
static void a_pass_goes_on_where_one_was_cut_off(void **state) {
  (void)state;
  struct got whole, rest;
  struct pmp_import_result r, again;
  const struct pmp_outcome_form form = box(1, 1);
  for (uint32_t chunk_rows = 2; chunk_rows < 16; chunk_rows++) {
    assert_int_equal(pass(mixed, &form, chunk_rows, 0, false, &whole, &r), PMP_OK);
    for (uint32_t c = 0; c < whole.chunks; c++) {
      for (uint32_t other = 2; other < 16; other++) {
        const uint64_t skip = whole.end[c];
        assert_int_equal(pass(mixed, &form, other, skip, false, &rest, &again), PMP_OK);
        assert_memory_equal(&again, &r, sizeof r);
        assert_int_equal(rest.rows, 12 - skip);
        for (uint32_t i = 0; i < rest.rows; i++) {
          assert_true(rest.y[i] == (float)(skip + i));
          assert_true(rest.x[i] == whole.x[skip + i] && rest.f[i] == whole.f[skip + i]);
          assert_int_equal(rest.group[i] - rest.group[0],
                           mixed_group[skip + i] - mixed_group[skip]);
        }
        if (rest.rows > 0) assert_int_equal(rest.end[rest.chunks - 1], 12);
      }
    }
  }
  assert_int_equal(pass(mixed, &form, 4, 13, false, &rest, &again), PMP_ECONFLICT);
}

static void hash_of(const char *text, const struct pmp_outcome_form *form, char out[33]) {
  struct got g;
  struct pmp_import_result r;
  if (pass(text, form, 8, 0, true, &g, &r) != PMP_OK) fail_msg("%s: %s", text, msg.text);
  assert_int_equal(strlen(r.hash), 32);
  strcpy(out, r.hash);
}

/* The name of an import: as long as the rows are the same, however they are written. */
static void the_hash_is_of_the_rows(void **state) {
  (void)state;
  struct pmp_outcome_form form = box(1, 1);
  const char *same[] = {"{\"x\":[1],\"y\":2,\"verdict\":1}\n{\"x\":[1],\"y\":3}\n",
                        "\n{ \"verdict\": true, \"y\":[2.0], \"x\":1, \"weight\":1}\n\r\n"
                        "{\"y\":3,\"x\":1}",
                        "{\"x\":[1],\"y\":2,\"verdict\":1}\nrubbish\n{\"x\":[1],\"y\":3}\n",
                        "{\"x\":[1],\"y\":2,\"verdict\":1,\"group\":4}\n{\"x\":[1],\"y\":3}\n"};
  const char *other[] = {"{\"x\":[1],\"y\":2,\"verdict\":-1}\n{\"x\":[1],\"y\":3}\n",
                         "{\"x\":[1],\"y\":2,\"verdict\":1}\n",
                         "{\"x\":[1],\"y\":3}\n{\"x\":[1],\"y\":2,\"verdict\":1}\n",
                         "{\"x\":[1],\"y\":2,\"verdict\":1,\"weight\":0.5}\n{\"x\":[1],\"y\":3}\n",
                         "{\"x\":[1],\"y\":2,\"verdict\":1,\"f\":0}\n{\"x\":[1],\"y\":3}\n",
                         "{\"x\":[1],\"y\":2,\"verdict\":1}\n{\"x\":[1.5],\"y\":3}\n",
                         "{\"x\":[1],\"y\":2,\"verdict\":1,\"group\":1}\n"
                         "{\"x\":[1],\"y\":3,\"group\":1}\n"};
  char first[33], hash[33];
  hash_of(same[0], &form, first);
  for (size_t i = 1; i < sizeof same / sizeof same[0]; i++) {
    hash_of(same[i], &form, hash);
    assert_string_equal(hash, first);
  }
  for (size_t i = 0; i < sizeof other / sizeof other[0]; i++) {
    hash_of(other[i], &form, hash);
    assert_string_not_equal(hash, first);
  }
}

static void bad_groups_are_told_by_line(void **state) {
  (void)state;
  struct got g;
  struct pmp_import_result r;
  const struct pmp_outcome_form with_x = box(1, 1), bandit = box(0, 1);
  const struct {
    const struct pmp_outcome_form *form;
    const char *text, *say[2];
  } bad[] = {
      {&with_x,
       "{\"x\":1,\"y\":2,\"group\":1}\n\n{\"x\":2,\"y\":2,\"group\":1}\n",
       {"f:3:", "line 1"}},
      {&with_x,
       "{\"x\":1,\"y\":2,\"group\":1}\n{\"x\":1,\"y\":2,\"group\":1,\"f\":1}\n",
       {"f:2:", "an f"}},
      {&with_x,
       "{\"x\":1,\"y\":2,\"group\":1,\"f\":1}\n{\"x\":1,\"y\":2,\"group\":1}\n",
       {"f:2:", "no f"}},
      {&bandit, "{\"y\":2,\"verdict\":1,\"f\":1}\n{\"y\":2,\"f\":1}\n", {"f:2:", "\"group\""}},
  };
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    assert_int_equal(pass(bad[i].text, bad[i].form, 8, 0, false, &g, &r), PMP_EINVALID);
    for (int k = 0; k < 2; k++)
      if (!strstr(msg.text, bad[i].say[k])) fail_msg("\"%s\" lacks %s", msg.text, bad[i].say[k]);
    assert_int_equal(pass(bad[i].text, bad[i].form, 8, 0, true, &g, &r), PMP_OK);
    assert_int_equal(r.rows, 1); /* the line is left out, the rest is there */
    assert_int_equal(r.refused, 1);
    assert_int_equal(g.refused, 1);
    assert_true(g.y[0] == 2);
  }
  char many[4096] = "";
  for (int i = 0; i < 9; i++) strcat(many, "{\"y\":2,\"group\":\"all\",\"f\":1}\n");
  assert_int_equal(pass(many, &bandit, 8, 0, false, &g, &r), PMP_EINVALID);
  assert_non_null(strstr(msg.text, "f:9:"));
  assert_int_equal(pass(many, &bandit, 9, 0, false, &g, &r), PMP_OK);
  assert_int_equal(g.chunks, 1);
}

static void bad_lines_are_left_out_when_asked(void **state) {
  (void)state;
  struct got g;
  struct pmp_import_result r;
  const struct pmp_outcome_form bins = {.dim = 1, .bins = 4};
  const char *text =
      "\xef\xbb\xbf{\"y\":0,\"verdict\":1}\n{\"y\":4}\n{\"y\":1}\nx\n{\"y\":2}\n[]\n";
  assert_int_equal(pass(text, &bins, 8, 0, true, &g, &r), PMP_OK);
  assert_int_equal(g.rows, 3);
  for (int i = 0; i < 3; i++) assert_true(g.y[i] == (float)i);
  assert_int_equal(r.refused, 3);
  assert_true(g.bad[0] == 2 && g.bad[1] == 4 && g.bad[2] == 6);
  assert_int_equal(pass(text, &bins, 8, 0, false, &g, &r), PMP_EINVALID);
  assert_non_null(strstr(msg.text, "f:2:"));
  char *longer = malloc(40000);
  assert_non_null(longer);
  snprintf(longer, 40000, "{\"y\":0}\n{\"y\":%020000d}\n{\"y\":1}\n", 1);
  assert_int_equal(pass(longer, &bins, 8, 0, true, &g, &r), PMP_OK);
  assert_int_equal(g.rows, 2);
  assert_int_equal(g.bad[0], 2);
  free(longer);
  assert_int_equal(pass("\n\n", &bins, 8, 0, false, &g, &r), PMP_OK);
  assert_int_equal(r.rows, 0);
  assert_int_equal(g.chunks, 0);
}

static enum pmp_err refuse_chunk(void *ctx, const struct pmp_chunk *c, uint64_t rows,
                                 struct pmp_errmsg *why) {
  (void)c, (void)rows;
  ++*(int *)ctx;
  return pmp_fail(why, PMP_ECLOSED, "no more");
}

static bool never(void *ctx, const struct pmp_lines *lines) {
  (void)ctx, (void)lines;
  return false;
}

static void what_the_sink_says_ends_the_pass(void **state) {
  (void)state;
  const struct pmp_outcome_form form = box(1, 1);
  struct pmp_wire_limits limits = pmp_wire_limits_default();
  struct pmp_import_result r;
  int calls = 0;
  limits.chunk_rows = 2;
  struct pmp_import_sink sink = {.ctx = &calls, .chunk = refuse_chunk, .refused = keep_bad};
  struct pmp_lines l = lines_of(mixed, 1000);
  assert_int_equal(pmp_import_pass(&l, "f", &form, &limits, 0, &sink, &r, &msg), PMP_ECLOSED);
  assert_string_equal(msg.text, "no more");
  assert_int_equal(calls, 1);
  pmp_lines_close(&l);
  const struct pmp_outcome_form bandit = box(0, 1);
  char many[2100 * 8 + 1];
  for (int i = 0; i < 2100; i++) memcpy(many + i * 8, "{\"y\":1}\n", 9); /* the last with its NUL */
  l = lines_of(many, 1000);
  sink = (struct pmp_import_sink){.tick = never};
  assert_int_equal(pmp_import_pass(&l, "f", &bandit, &limits, 0, &sink, &r, &msg), PMP_ECLOSED);
  assert_true(r.lines < 2100);
  pmp_lines_close(&l);
}

static void limits_too_small_for_a_row_are_told(void **state) {
  (void)state;
  struct got g;
  struct pmp_import_result r;
  struct pmp_outcome_form form = box(4, 1);
  struct pmp_wire_limits limits = pmp_wire_limits_default();
  const struct pmp_import_sink sink = {.ctx = &g, .chunk = keep_chunk};
  struct pmp_lines l = lines_of("{\"x\":[1,2,3,4],\"y\":1}", 1000);
  limits.message_bytes = 40;
  assert_int_equal(pmp_import_pass(&l, "f", &form, &limits, 0, &sink, &r, &msg), PMP_ETOOLARGE);
  pmp_lines_close(&l);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lines_come_one_by_one),
      cmocka_unit_test(a_line_too_long_is_passed_over),
      cmocka_unit_test(a_block_ends_anywhere),
      cmocka_unit_test(what_is_no_text_file_is_told),
      cmocka_unit_test(good_rows_are_read),
      cmocka_unit_test(conditions_may_be_nested_as_the_spec_says),
      cmocka_unit_test(bad_rows_say_why),
      cmocka_unit_test(a_run_without_such_rows_is_told),
      cmocka_unit_test(rows_become_groups),
      cmocka_unit_test(a_pass_goes_on_where_one_was_cut_off),
      cmocka_unit_test(the_hash_is_of_the_rows),
      cmocka_unit_test(bad_groups_are_told_by_line),
      cmocka_unit_test(bad_lines_are_left_out_when_asked),
      cmocka_unit_test(what_the_sink_says_ends_the_pass),
      cmocka_unit_test(limits_too_small_for_a_row_are_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
