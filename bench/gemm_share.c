/* What share of a learner step its matrix products take when they run at oneDNN's own rate: the
 * products of one step are written down (shapes, strides, transposes) and replayed in a tight loop,
 * in turns with real steps. The rest of the step is told by part. One thread, its own time on the
 * core. */
#include "bench/bench.h"
#include "bench/support/recipes.h"

enum { PRODUCTS_MAX = 512, ROUNDS_MAX = 21, RING_ROWS = 100000, WARM = 20 };

struct product {
  bool ta, tb, half;
  int64_t m, n, k, lda, ldb, ldc;
  float beta;
};

/* Stands between the trainer and its backend. */
struct recorder {
  struct pmp_compute inner;
  struct product list[PRODUCTS_MAX];
  size_t count;
  bool recording, overflow;
};

static void record(struct recorder *r, struct product p) {
  if (r->recording && r->count < PRODUCTS_MAX)
    r->list[r->count++] = p;
  else if (r->recording)
    r->overflow = true;
}

static enum pmp_err recorded_gemm(struct pmp_compute *self, bool ta, bool tb, int64_t m, int64_t n,
                                  int64_t k, const float *a, int64_t lda, const float *b,
                                  int64_t ldb, float beta, float *c, int64_t ldc) {
  struct recorder *r = self->self;
  record(r, (struct product){ta, tb, false, m, n, k, lda, ldb, ldc, beta});
  return r->inner.gemm(&r->inner, ta, tb, m, n, k, a, lda, b, ldb, beta, c, ldc);
}

static enum pmp_err recorded_half(struct pmp_compute *self, bool ta, bool tb, int64_t m, int64_t n,
                                  int64_t k, const uint16_t *a, int64_t lda, const uint16_t *b,
                                  int64_t ldb, float beta, float *c, int64_t ldc) {
  struct recorder *r = self->self;
  record(r, (struct product){ta, tb, true, m, n, k, lda, ldb, ldc, beta});
  return r->inner.gemm_bf16(&r->inner, ta, tb, m, n, k, a, lda, b, ldb, beta, c, ldc);
}

static enum pmp_err recorded_pack(struct pmp_compute *self, int64_t m, int64_t n, int64_t k,
                                  const float *b, float *packed) {
  struct recorder *r = self->self;
  return r->inner.pack(&r->inner, m, n, k, b, packed);
}

/* Replayed as the same product of weights that are not packed. */
static enum pmp_err recorded_packed(struct pmp_compute *self, int64_t m, int64_t n, int64_t k,
                                    const void *a, const float *packed, float *c) {
  struct recorder *r = self->self;
  const bool half = self->precision == PMP_PRECISION_BF16;
  record(r, (struct product){false, false, half, m, n, k, k, n, n, 0.0F});
  return r->inner.gemm_packed(&r->inner, m, n, k, a, packed, c);
}

static void stand_between(struct pmp_compute *c, struct recorder *r) {
  r->inner = *c;
  r->inner.timed = true;
  c->self = r;
  c->gemm = recorded_gemm;
  c->worker = NULL; /* of one thread there are none */
  if (c->gemm_bf16 != NULL) c->gemm_bf16 = recorded_half;
  if (c->pack == NULL) return;
  c->pack = recorded_pack;
  c->gemm_packed = recorded_packed;
}

/* Time that stands still inside the products: the trainer's parts are then without them. */
static int64_t clock_without_products(void *ctx) {
  const struct recorder *r = ctx;
  return bench_now() - r->inner.busy_ns;
}

static int64_t wall(void *ctx) {
  (void)ctx;
  return 0;
}

/* ---------------------------------------------------------------- replay */

struct operands {
  float *a, *b, *c;
};

static size_t stored(int64_t rows, int64_t columns, int64_t stride) {
  return rows > 0 ? (size_t)((rows - 1) * stride + columns) : 0;
}

static float *operand(size_t floats, struct pmp_rng *rng) {
  float *memory = aligned_alloc(64, (floats * sizeof(float) + 4095) / 64 * 64);
  if (memory == NULL) abort();
  /* Also a good number when it is read as two of bfloat16. */
  for (size_t i = 0; i < floats; i++) {
    const float x = 1e-2F * (2.0F * pmp_rng_float(rng) - 1.0F);
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits = (bits & 0xffff0000u) | bits >> 16;
    memcpy(&memory[i], &bits, sizeof bits);
  }
  return memory;
}

/* Room for the largest of each: all products share them, so they are as warm as can be. */
static void make_operands(const struct recorder *r, struct operands *o) {
  size_t a = 0, b = 0, c = 0;
  struct pmp_rng rng;
  for (size_t i = 0; i < r->count; i++) {
    const struct product *p = &r->list[i];
    size_t pa = p->ta ? stored(p->k, p->m, p->lda) : stored(p->m, p->k, p->lda);
    size_t pb = p->tb ? stored(p->n, p->k, p->ldb) : stored(p->k, p->n, p->ldb);
    size_t pc = stored(p->m, p->n, p->ldc);
    a = pa > a ? pa : a;
    b = pb > b ? pb : b;
    c = pc > c ? pc : c;
  }
  pmp_rng_init(&rng, 3, 0);
  *o = (struct operands){operand(a, &rng), operand(b, &rng), operand(c, &rng)};
}

static void free_operands(struct operands *o) {
  free(o->a);
  free(o->b);
  free(o->c);
}

/* Seconds on the core for the step's products in a row. */
static double replay(struct recorder *r, const struct operands *o) {
  struct pmp_compute *c = &r->inner;
  double start = bench_cpu_seconds();
  for (size_t i = 0; i < r->count; i++) {
    const struct product *p = &r->list[i];
    const enum pmp_err err =
        p->half ? c->gemm_bf16(c, p->ta, p->tb, p->m, p->n, p->k, (const void *)o->a, p->lda,
                               (const void *)o->b, p->ldb, p->beta, o->c, p->ldc)
                : c->gemm(c, p->ta, p->tb, p->m, p->n, p->k, o->a, p->lda, o->b, p->ldb, p->beta,
                          o->c, p->ldc);
    if (err != PMP_OK) abort();
  }
  return bench_cpu_seconds() - start;
}

/* ---------------------------------------------------------------- one recipe */

/* Seconds on the core for one step. */
static double step(struct pmp_trainer *t) {
  struct pmp_step_metrics m;
  struct pmp_errmsg msg = {{0}};
  bool refreshed;
  double start = bench_cpu_seconds();
  bench_must(pmp_trainer_step(t, &m, &refreshed, &msg), "step", &msg);
  return bench_cpu_seconds() - start;
}

/* What a recipe's rounds came to. */
struct outcome {
  double share[ROUNDS_MAX], step_s[ROUNDS_MAX], rate[ROUNDS_MAX]; /* by round */
  size_t rounds;
  int64_t wall_ns, busy_ns; /* of all steps, and of the products inside them */
  struct pmp_trainer_times before, after;
};

/* Steps and replays in turns. */
static void play(const struct bench *b, struct pmp_trainer *t, struct recorder *r,
                 const struct operands *o, double flops, struct outcome *out) {
  const int rounds = b->quick ? 5 : ROUNDS_MAX, each = b->quick ? 5 : 10;
  *out = (struct outcome){.rounds = (size_t)rounds};
  pmp_trainer_times(t, &out->before);
  for (int i = 0; i < rounds; i++) {
    double steps = 0.0, products = 0.0;
    for (int k = 0; k < each; k++) {
      int64_t busy = r->inner.busy_ns, start = bench_now();
      steps += step(t);
      out->wall_ns += bench_now() - start;
      out->busy_ns += r->inner.busy_ns - busy;
      products += replay(r, o);
    }
    out->share[i] = products / steps;
    out->step_s[i] = steps / each;
    out->rate[i] = flops * each / products / 1e9;
  }
  pmp_trainer_times(t, &out->after);
}

static void note(const struct bench *b, const char *recipe, const char *part, double value,
                 const char *unit) {
  char name[64];
  snprintf(name, sizeof name, "gemm_share.%s.%s", recipe, part);
  bench_note(b, name, value, unit);
}

/* Where a step's time goes, as shares of it: its products as they run there (operands come from
 * memory, other work in between), and every part without its products. */
static void note_rest(const struct bench *b, const char *recipe, const struct outcome *out) {
  const struct pmp_trainer_times *f = &out->before, *t = &out->after;
  const struct {
    const char *name;
    int64_t ns;
  } part[] = {{"products_in_step", out->busy_ns},
              {"rest_sample", t->sample - f->sample},
              {"rest_reference", t->reference - f->reference},
              {"rest_target", t->target - f->target},
              {"rest_critic", t->critic - f->critic},
              {"rest_label", t->label - f->label},
              {"rest_policy", t->policy - f->policy},
              {"rest_optimiser", t->optimiser - f->optimiser}};
  for (size_t i = 0; i < sizeof part / sizeof part[0]; i++)
    note(b, recipe, part[i].name, (double)part[i].ns / (double)out->wall_ns, "of_step");
}

static void report(const struct bench *b, const char *recipe, struct outcome *out, bool goal) {
  char name[64], why[96];
  snprintf(name, sizeof name, "gemm_share.%s", recipe);
  snprintf(why, sizeof why, "%s.rest_* say where the rest goes", name);
  if (goal)
    bench_at_least(b, name, bench_median(out->share, out->rounds), "ratio", 0.8, why);
  else
    bench_note(b, name, bench_median(out->share, out->rounds), "ratio");
  note(b, recipe, "step", bench_median(out->step_s, out->rounds) * 1e6, "us");
  note(b, recipe, "rate", bench_median(out->rate, out->rounds), "GFLOP/s");
  note_rest(b, recipe, out);
}

static void measure(const struct bench *b, const char *recipe,
                    const struct pmp_trainer_config *config) {
  struct recorder r = {.recording = false};
  struct pmp_clock clock = {clock_without_products, wall, &r};
  struct pmp_trainer *t = recipe_open(config, clock, RING_ROWS);
  struct pmp_compute *compute = pmp_trainer_compute(t);
  stand_between(compute, &r);
  for (int i = 0; i < WARM; i++) step(t);
  r.recording = true;
  uint64_t flops = r.inner.flops;
  step(t);
  flops = r.inner.flops - flops;
  r.recording = false;
  if (r.overflow) abort();
  struct operands o;
  make_operands(&r, &o);
  for (int i = 0; i < WARM; i++) replay(&r, &o);
  struct outcome out;
  play(b, t, &r, &o, (double)flops, &out);
  report(b, recipe, &out, config->precision == PMP_PRECISION_FLOAT32);
  free_operands(&o);
  *compute = r.inner; /* what the trainer closes */
  pmp_trainer_close(t);
}

/* bfloat16 for the same, where the processor multiplies it: no goal, its products take half as
 * long and the rest does not. */
static void measure_half(const struct bench *b, const char *recipe,
                         struct pmp_trainer_config *config) {
  struct pmp_compute probe;
  config->precision = PMP_PRECISION_BF16;
  if (pmp_compute_cpu(&probe, 1) == PMP_OK &&
      pmp_compute_prepare(&probe, config->precision, NULL) == PMP_OK)
    measure(b, recipe, config);
  pmp_compute_close(&probe);
}

int main(int argc, char **argv) {
  struct bench b;
  struct pmp_trainer_config config;
  int code = bench_begin(&b, argc, argv, "gemm_share",
                         "A learner step's products, replayed alone at oneDNN's rate on the same "
                         "shapes, as a share of the step.\nOne thread; goal: at least 0.8.");
  if (code >= 0) return code;
  recipe_cartpole(&config);
  measure(&b, "cartpole", &config);
  recipe_humanoid(&config);
  measure(&b, "humanoid", &config);
  measure_half(&b, "humanoid_bf16", &config);
  return 0;
}
