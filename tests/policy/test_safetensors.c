/* safetensors: round trips, exact bytes, every kind of wrong file by name, and thousands of random
 * mutations (which the sanitizer builds watch). */
#include "tests/policy/check.h"

#include "policy/safetensors.h"

#include <inttypes.h>
#include <string.h>

struct file {
  unsigned char *bytes; /* owned, exactly `size`, so that a read beyond is seen */
  size_t size;
};

/* Padded as written files are, so that none is refused for its alignment alone. */
static struct file file_make(const char *json, size_t data) {
  const uint64_t length = (strlen(json) + 7) / 8 * 8;
  struct file f = {.size = 8 + (size_t)length + data};
  f.bytes = calloc(f.size, 1);
  assert_non_null(f.bytes);
  memcpy(f.bytes, &length, 8);
  memset(f.bytes + 8, ' ', (size_t)length);
  memcpy(f.bytes + 8, json, strlen(json));
  return f;
}

static const float weights[6] = {1, -2, 3.5f, 0, 1e-30f, 7};
static const double wide[2] = {0.1, -1e300};
static const int64_t steps[1] = {-5};
static const uint64_t counter[2] = {UINT64_MAX, 7};
static const unsigned char raw[3] = {9, 8, 7};

static const struct pmp_st_tensor tensors[] = {
    {.name = "wide", .dtype = PMP_ST_F64, .rank = 1, .shape = {2}, .data = wide, .bytes = 16},
    {.name = "steps", .dtype = PMP_ST_I64, .rank = 0, .data = steps, .bytes = 8},
    {.name = "counter", .dtype = PMP_ST_U64, .rank = 1, .shape = {2}, .data = counter, .bytes = 16},
    {.name = "policy/weight",
     .dtype = PMP_ST_F32,
     .rank = 2,
     .shape = {2, 3},
     .data = weights,
     .bytes = 24},
    {.name = "none",
     .dtype = PMP_ST_F32,
     .rank = 3,
     .shape = {4, 0, 2},
     .data = weights,
     .bytes = 0},
    {.name = "raw \"\xc3\xa9\"",
     .dtype = PMP_ST_U8,
     .rank = 1,
     .shape = {3},
     .data = raw,
     .bytes = 3},
};
#define TENSORS (sizeof tensors / sizeof tensors[0])
static const struct pmp_st_meta metas[] = {{"step", "17"}, {"policy", "{\"dim\":1}"}};

static struct file written(void) {
  void *header;
  size_t size;
  struct pmp_errmsg msg;
  assert_int_equal(pmp_st_header(tensors, TENSORS, metas, 2, &header, &size, &msg), PMP_OK);
  assert_int_equal(size % 8, 0);
  struct file f = {.size = size};
  for (size_t i = 0; i < TENSORS; i++) f.size += tensors[i].bytes;
  f.bytes = malloc(f.size);
  assert_non_null(f.bytes);
  memcpy(f.bytes, header, size);
  for (size_t i = 0, at = size; i < TENSORS; at += tensors[i++].bytes)
    memcpy(f.bytes + at, tensors[i].data, tensors[i].bytes);
  free(header);
  return f;
}

static void round_trip(void **state) {
  (void)state;
  struct file f = written();
  struct pmp_st_file st;
  struct pmp_errmsg msg;
  assert_int_equal(pmp_st_parse(&st, f.bytes, f.size, &msg), PMP_OK);
  assert_int_equal(st.tensors, TENSORS);
  for (size_t i = 0; i < TENSORS; i++) {
    const struct pmp_st_tensor *t = pmp_st_find(&st, tensors[i].name);
    assert_non_null(t);
    assert_int_equal(t->dtype, tensors[i].dtype);
    assert_int_equal(t->rank, tensors[i].rank);
    for (uint32_t r = 0; r < t->rank; r++) assert_int_equal(t->shape[r], tensors[i].shape[r]);
    assert_int_equal(t->bytes, tensors[i].bytes);
    assert_memory_equal(t->data, tensors[i].data, t->bytes);
    if (t->dtype != PMP_ST_U8) assert_int_equal((uintptr_t)t->data % 4, 0);
    if (t->dtype == PMP_ST_F64) assert_int_equal((uintptr_t)t->data % 8, 0);
  }
  assert_null(pmp_st_find(&st, "nothing"));
  assert_string_equal(pmp_st_meta_get(&st, "step"), "17");
  assert_string_equal(pmp_st_meta_get(&st, "policy"), "{\"dim\":1}");
  assert_null(pmp_st_meta_get(&st, "nothing"));
  pmp_st_fini(&st);
  pmp_st_fini(&st); /* safe twice */
  free(f.bytes);
}

/* What other tools read: the exact bytes of a small file. */
static void exact_bytes(void **state) {
  (void)state;
  static const char want[] =
      "\x50\0\0\0\0\0\0\0{\"__metadata__\":{\"a\":\"b\"},\"w\":{\"dtype\":\"F32\",\"shape\":[2],"
      "\"data_offsets\":[0,8]}} ";
  const struct pmp_st_tensor t = {
      .name = "w", .dtype = PMP_ST_F32, .rank = 1, .shape = {2}, .data = weights, .bytes = 8};
  const struct pmp_st_meta m = {"a", "b"};
  void *header;
  size_t size;
  assert_int_equal(pmp_st_header(&t, 1, &m, 1, &header, &size, NULL), PMP_OK);
  assert_int_equal(size, sizeof want - 1);
  assert_memory_equal(header, want, size);
  free(header);
  assert_int_equal(pmp_st_header(NULL, 0, NULL, 0, &header, &size, NULL), PMP_OK);
  struct pmp_st_file st;
  assert_int_equal(pmp_st_parse(&st, header, size, NULL), PMP_OK);
  assert_int_equal(st.tensors, 0);
  assert_null(pmp_st_meta_get(&st, "a"));
  pmp_st_fini(&st);
  free(header);
}

static void wrong_tensors_are_not_written(void **state) {
  (void)state;
  const struct pmp_st_tensor good = tensors[3];
  struct pmp_st_tensor t[8][2];
  for (int i = 0; i < 8; i++) t[i][0] = t[i][1] = good;
  for (int i = 1; i < 8; i++) memcpy(t[i][1].name, "other", 6);
  t[1][1].bytes = 20;
  t[2][1].rank = 5;
  t[3][1].name[0] = '\0';
  t[4][1].shape[0] = UINT64_MAX / 2;
  memcpy(t[5][1].name, "__metadata__", 13);
  memcpy(t[6][1].name, "\xff\xfe", 3);
  t[7][0] = tensors[5];         /* three bytes before floats */
  for (int i = 0; i < 8; i++) { /* the first is a name twice */
    void *header = NULL;
    size_t size;
    struct pmp_errmsg msg = {""};
    assert_int_equal(pmp_st_header(t[i], 2, NULL, 0, &header, &size, &msg), PMP_EINVALID);
    assert_null(header);
    assert_true(msg.text[0] != '\0');
  }
  const struct pmp_st_meta twice[] = {{"a", "1"}, {"a", "2"}}, latin = {"a", "\xe9"};
  void *header = NULL;
  size_t size;
  assert_int_equal(pmp_st_header(&good, 1, twice, 2, &header, &size, NULL), PMP_EINVALID);
  assert_int_equal(pmp_st_header(&good, 1, &latin, 1, &header, &size, NULL), PMP_EINVALID);
  assert_null(header);
}

#define T(dtype, shape, offsets)                                                                   \
  "\"dtype\":\"" dtype "\",\"shape\":[" shape "],\"data_offsets\":[" offsets "]"

static void wrong_files_are_refused(void **state) {
  (void)state;
  static const char *const json[] = {
      "",
      "[]",
      "{",
      "{}", /* 8 bytes of nothing */
      "{\"a\":1}",
      "{\"a\":{" T("F32", "2", "0,8") "},\"a\":{" T("F32", "2", "0,8") "}}",
      "{\"a\":{" T("F32", "2", "0,8") ",\"b\":1}}",
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}",
      "{\"a\":{" T("F31", "2", "0,8") "}}",
      "{\"a\":{" T("F32", "2", "0,9") "}}", /* beyond the end */
      "{\"a\":{" T("F32", "1", "0,4") "}}", /* a rest */
      "{\"a\":{" T("F32", "1", "4,8") "}}", /* a hole */
      "{\"a\":{" T("F32", "2", "8,0") "}}",
      "{\"a\":{" T("F32", "2", "-8,8") "}}",
      "{\"a\":{" T("F32", "2", "0,8.0") "}}",
      "{\"a\":{" T("F32", "3", "0,8") "}}",
      "{\"a\":{" T("F32", "-2", "0,8") "}}",
      "{\"a\":{" T("F32", "2", "0,8,8") "}}",
      "{\"a\":{" T("F32", "1,1,1,1,2", "0,8") "}}",
      "{\"a\":{" T("F32", "4611686018427387904,2", "0,8") "}}", /* overflows to 0 */
      "{\"a\":{" T("F32", "4611686018427387906", "0,8") "}}",   /* overflows to 8 */
      "{\"a\":{" T("F32", "2", "0,18446744073709551624") "}}",
      "{\"a\":{" T("F32", "2", "0,8") "},\"b\":{" T("F32", "2", "0,8") "}}", /* the same bytes */
      "{\"a\":{" T("U8", "4", "0,4") "},\"b\":{" T("U8", "5", "3,8") "}}",   /* overlap */
      "{\"a\":{" T("U8", "2", "0,2") "},\"b\":{" T("F32", "1", "2,6") "},\"c\":{" T(
          "U8", "2", "6,8") "}}", /* not aligned */
      "{\"__metadata__\":[],\"a\":{" T("F32", "2", "0,8") "}}",
      "{\"__metadata__\":{\"k\":1},\"a\":{" T("F32", "2", "0,8") "}}",
      "{\"\":{" T("F32", "2", "0,8") "}}", /* no name */
      "{\"a\\u0000b\":{" T("F32", "2", "0,8") "}}",
      "{\"a\":{" T("F32", "2", "0,8") "}} x",
      "{\"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"
      "8901234567890123456789012345678901234567890\":{" T("F32", "2", "0,8") "}}",
  };
  for (size_t i = 0; i < sizeof json / sizeof json[0]; i++) {
    struct file f = file_make(json[i], 8);
    struct pmp_st_file st;
    struct pmp_errmsg msg = {""};
    const enum pmp_err err = pmp_st_parse(&st, f.bytes, f.size, &msg);
    if (err != PMP_ECORRUPT) fail_msg("case %zu: %d %s", i, (int)err, json[i]);
    assert_true(msg.text[0] != '\0');
    assert_null(st.tensor);
    assert_null(st.json);
    free(f.bytes);
  }
  /* The frame of those cases is a good one. */
  struct file good = file_make("{\"a\":{" T("F32", "2", "0,8") "}}  \n", 8);
  struct pmp_st_file st;
  assert_int_equal(pmp_st_parse(&st, good.bytes, good.size, NULL), PMP_OK);
  pmp_st_fini(&st);
  /* Lengths of the header that no file has. */
  const uint64_t lengths[] = {good.size - 7, UINT64_MAX, UINT64_MAX - 7, (uint64_t)1 << 32};
  for (size_t i = 0; i < 4; i++) {
    memcpy(good.bytes, &lengths[i], 8);
    assert_int_equal(pmp_st_parse(&st, good.bytes, good.size, NULL), PMP_ECORRUPT);
  }
  for (size_t size = 0; size < 8; size++)
    assert_int_equal(pmp_st_parse(&st, good.bytes, size, NULL), PMP_ECORRUPT);
  free(good.bytes);
}

/* A header of an odd length would move the numbers off their alignment. */
static void misplaced_numbers_are_refused(void **state) {
  (void)state;
  struct file f = file_make("{\"a\":{" T("F32", "2", "0,8") "}}", 8);
  struct pmp_st_file st;
  uint64_t length;
  memcpy(&length, f.bytes, 8);
  assert_int_equal(pmp_st_parse(&st, f.bytes, f.size, NULL), PMP_OK);
  pmp_st_fini(&st);
  for (uint64_t more = 1; more <= 4; more++) {
    const uint64_t longer = length + more;
    unsigned char *bytes = malloc(f.size + 4);
    assert_non_null(bytes);
    memcpy(bytes, f.bytes, f.size);
    memcpy(bytes, &longer, 8);
    memset(bytes + 8 + length, ' ', (size_t)more);
    memset(bytes + 8 + longer, 0, 8);
    assert_int_equal(pmp_st_parse(&st, bytes, 8 + (size_t)longer + 8, NULL),
                     more == 4 ? PMP_OK : PMP_ECORRUPT);
    pmp_st_fini(&st);
    free(bytes);
  }
  free(f.bytes);
}

static void every_truncation_is_refused(void **state) {
  (void)state;
  struct file f = written();
  for (size_t size = 0; size < f.size; size++) {
    unsigned char *cut = malloc(size + 1);
    struct pmp_st_file st;
    memcpy(cut, f.bytes, size);
    assert_int_equal(pmp_st_parse(&st, cut, size, NULL), PMP_ECORRUPT);
    free(cut);
  }
  free(f.bytes);
}

/* Random damage: refused, or parsed into tensors that lie inside. */
static void mutations_stay_inside(void **state) {
  (void)state;
  static const char *const piece[] = {
      "[", "]", "{", "}", "9", "-", ",", "\"", "0", "18446744073709551615", "e9", "."};
  struct file f = written();
  struct pmp_rng rng;
  pmp_rng_init(&rng, 1, 0);
  size_t parsed = 0;
  const size_t header = f.size - 67;
  for (int round = 0; round < 20000; round++) {
    const size_t spare = 32;
    unsigned char *bytes = malloc(f.size + spare);
    size_t size = f.size;
    memcpy(bytes, f.bytes, size);
    for (uint64_t k = 1 + pmp_rng_below(&rng, 3); k > 0; k--) {
      const size_t at =
          pmp_rng_below(&rng, 4) ? 8 + pmp_rng_below(&rng, header - 8) : pmp_rng_below(&rng, size);
      const char *text = piece[pmp_rng_below(&rng, sizeof piece / sizeof piece[0])];
      if (pmp_rng_below(&rng, 2))
        bytes[at] ^= (unsigned char)(1 << pmp_rng_below(&rng, 8));
      else
        memcpy(bytes + at, text, size - at < strlen(text) ? size - at : strlen(text));
    }
    if (pmp_rng_below(&rng, 8) == 0) size = pmp_rng_below(&rng, size + 1);
    unsigned char *exact = malloc(size ? size : 1);
    memcpy(exact, bytes, size);
    struct pmp_st_file st;
    const enum pmp_err err = pmp_st_parse(&st, exact, size, NULL);
    assert_true(err == PMP_OK || err == PMP_ECORRUPT);
    if (err == PMP_OK) {
      parsed++;
      unsigned sum = 0;
      for (size_t i = 0; i < st.tensors; i++)
        for (size_t j = 0; j < st.tensor[i].bytes; j++)
          sum += ((const unsigned char *)st.tensor[i].data)[j];
      assert_true(sum < 255u * (unsigned)size);
      pmp_st_fini(&st);
    }
    free(exact);
    free(bytes);
  }
  assert_in_range(parsed, 100, 15000); /* neither all refused nor all taken */
  free(f.bytes);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(round_trip),
      cmocka_unit_test(exact_bytes),
      cmocka_unit_test(wrong_tensors_are_not_written),
      cmocka_unit_test(wrong_files_are_refused),
      cmocka_unit_test(misplaced_numbers_are_refused),
      cmocka_unit_test(every_truncation_is_refused),
      cmocka_unit_test(mutations_stay_inside),
  };
  return cmocka_run_group_tests_name("safetensors", tests, NULL, NULL);
}
