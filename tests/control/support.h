/* What the tests of actors/control share: where the models are, and numpy's legacy generator. */
#ifndef PMP_TESTS_CONTROL_SUPPORT_H
#define PMP_TESTS_CONTROL_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "actors/control/env.h"
#include "actors/control/recording.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

struct test_path {
  char text[4096];
};

/* The folder of cartpole.xml: PMP_SUITE, or the one below PMP_DEPS. */
static inline struct test_path suite_dir(void) {
  struct test_path p;
  const char *suite = getenv("PMP_SUITE"), *deps = getenv("PMP_DEPS");
  if (suite == NULL && deps == NULL) fail_msg("set PMP_SUITE or PMP_DEPS");
  if (suite != NULL)
    snprintf(p.text, sizeof(p.text), "%s", suite);
  else
    snprintf(p.text, sizeof(p.text), "%s/share/dm_control/suite", deps);
  return p;
}

/* Asserts PMP_OK and shows the message otherwise. */
#define ASSERT_OK(call)                                                                            \
  do {                                                                                             \
    enum pmp_err err_ = (call);                                                                    \
    if (err_ != PMP_OK) fail_msg("%s: %s", pmp_err_name(err_), msg.text);                          \
  } while (0)

static inline void load_task(struct pmp_env_model *em, const char *name) {
  const struct pmp_task *task = NULL;
  struct pmp_errmsg msg = {{0}};
  ASSERT_OK(pmp_task_find(name, &task, &msg));
  ASSERT_OK(pmp_env_model_load(em, task, suite_dir().text, &msg));
}

/* The numbers of tests/parity/control/data/<name>.zst; free(v). */
struct numbers {
  double *v;
  size_t count;
};

static inline struct numbers recorded_numbers(const char *name) {
  const struct pmp_fs *fs = pmp_fs_real();
  const char *source = getenv("PMP_SOURCE");
  struct pmp_errmsg msg = {{0}};
  struct test_path path;
  void *packed = NULL;
  size_t size = 0;
  if (source == NULL) fail_msg("set PMP_SOURCE to the source folder");
  snprintf(path.text, sizeof(path.text), "%s/tests/parity/control/data/%s.zst", source, name);
  ASSERT_OK(fs->read_all(fs->self, path.text, PMP_RECORDING_BYTES_MAX, &packed, &size, &msg));
  unsigned long long unpacked = ZSTD_getFrameContentSize(packed, size);
  assert_true(unpacked > 0 && unpacked <= PMP_RECORDING_BYTES_MAX);
  double *v = malloc((size_t)unpacked);
  assert_non_null(v);
  assert_true(ZSTD_decompress(v, (size_t)unpacked, packed, size) == unpacked);
  free(packed);
  return (struct numbers){v, (size_t)unpacked / sizeof(double)};
}

static inline void recorded_replay(struct pmp_recording *r, const char *name) {
  struct numbers n = recorded_numbers(name);
  struct pmp_errmsg msg = {{0}};
  ASSERT_OK(pmp_recording_parse(r, n.v, n.count * sizeof(double), &msg));
  free(n.v);
}

/* numpy.random.RandomState(seed): MT19937, 53-bit uniforms, polar normals with one kept. */
struct numpy_random {
  uint32_t mt[624];
  int used;
  double kept;
  int has_kept;
};

static inline void numpy_seed(struct numpy_random *r, uint32_t seed) {
  r->mt[0] = seed;
  for (uint32_t i = 1; i < 624; i++)
    r->mt[i] = 1812433253u * (r->mt[i - 1] ^ (r->mt[i - 1] >> 30)) + i;
  r->used = 624;
  r->has_kept = 0;
}

static inline uint32_t numpy_u32(struct numpy_random *r) {
  if (r->used == 624) {
    for (int i = 0; i < 624; i++) {
      uint32_t y = (r->mt[i] & 0x80000000u) | (r->mt[(i + 1) % 624] & 0x7fffffffu);
      r->mt[i] = r->mt[(i + 397) % 624] ^ (y >> 1) ^ ((y & 1u) ? 0x9908b0dfu : 0u);
    }
    r->used = 0;
  }
  uint32_t y = r->mt[r->used++];
  y ^= y >> 11;
  y ^= (y << 7) & 0x9d2c5680u;
  y ^= (y << 15) & 0xefc60000u;
  return y ^ (y >> 18);
}

static inline double numpy_uniform(void *ctx) {
  uint32_t a = numpy_u32(ctx) >> 5, b = numpy_u32(ctx) >> 6;
  return (a * 67108864.0 + b) / 9007199254740992.0;
}

static inline double numpy_normal(void *ctx) {
  struct numpy_random *r = ctx;
  if (r->has_kept) {
    r->has_kept = 0;
    return r->kept;
  }
  double x1, x2, q;
  do {
    x1 = 2.0 * numpy_uniform(r) - 1.0;
    x2 = 2.0 * numpy_uniform(r) - 1.0;
    q = x1 * x1 + x2 * x2;
  } while (q >= 1.0 || q == 0.0);
  double f = sqrt(-2.0 * log(q) / q);
  r->kept = f * x1;
  r->has_kept = 1;
  return f * x2;
}

static inline struct pmp_draw numpy_draw(struct numpy_random *r) {
  return (struct pmp_draw){.uniform = numpy_uniform, .normal = numpy_normal, .ctx = r};
}

#endif
