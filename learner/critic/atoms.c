#include "learner/critic/atoms.h"

#include "policy/nn/math.h"

#include <math.h>
#include <string.h>

#define LANES 16
#define TEAM_CELLS 32768 /* fewer atoms than this are done before a team of threads has woken */

/* LANES rows at a time, one a lane: sums run down the atoms, so that neither the ends of rows nor
 * sums across a vector cost anything. */
struct block {
  _Alignas(64) float e[PMP_CRITIC_ATOMS_MAX][LANES]; /* exp(logit - max) */
  float max[LANES];
  double sum[LANES]; /* of e */
};

/* Floats in order as integers (and back: it is its own inverse on the bits), because the compiler
 * makes a vector maximum of integers only. A positive NaN is above everything, so that it reaches
 * every exponential. */
PMP_INLINE int32_t ordered(int32_t bits) {
  return bits ^ ((bits >> 31) & INT32_MAX);
}

PMP_INLINE void block_max(struct block *b, uint32_t atoms) {
  int32_t top[LANES], bits;
  for (size_t l = 0; l < LANES; l++) top[l] = INT32_MIN;
  for (size_t i = 0; i < atoms; i++) {
    for (size_t l = 0; l < LANES; l++) {
      memcpy(&bits, &b->e[i][l], sizeof bits);
      const int32_t key = ordered(bits);
      top[l] = key > top[l] ? key : top[l];
    }
  }
  for (size_t l = 0; l < LANES; l++) {
    bits = ordered(top[l]);
    memcpy(&b->max[l], &bits, sizeof bits);
  }
}

PMP_INLINE void block_sum(const struct block *b, uint32_t atoms, double sum[LANES]) {
  double acc[LANES] = {0};
  for (size_t i = 0; i < atoms; i++) {
    for (size_t l = 0; l < LANES; l++) acc[l] += (double)b->e[i][l];
  }
  for (size_t l = 0; l < LANES; l++) sum[l] = acc[l];
}

/* `count` rows, `stride` floats apart; lanes without a row repeat the first one. */
PMP_INLINE void block_load(struct block *b, size_t count, size_t stride, uint32_t atoms,
                           const float *logits) {
  for (size_t l = 0; l < LANES; l++) {
    const float *row = logits + (l < count ? l : 0) * stride;
    for (size_t i = 0; i < atoms; i++) b->e[i][l] = row[i];
  }
  block_max(b, atoms);
  for (size_t i = 0; i < atoms; i++) {
    for (size_t l = 0; l < LANES; l++) b->e[i][l] = pmp_math_exp_negf(b->e[i][l] - b->max[l]);
  }
  block_sum(b, atoms, b->sum);
}

/* place = sum_i i e_i / sum_i e_i: where the expectation lies, in atoms. */
PMP_INLINE void block_place(const struct block *b, uint32_t atoms, double place[LANES]) {
  double acc[LANES] = {0};
  for (size_t i = 0; i < atoms; i++) {
    for (size_t l = 0; l < LANES; l++) acc[l] += (double)b->e[i][l] * (double)i;
  }
  for (size_t l = 0; l < LANES; l++) place[l] = acc[l] / b->sum[l];
}

static double spacing(uint32_t atoms, float v_min, float v_max) {
  return ((double)v_max - (double)v_min) / (double)(atoms - 1);
}

static size_t lanes_at(size_t first, size_t rows) {
  return rows - first < LANES ? rows - first : LANES;
}

/* The arguments of a public function, for its blocks. */
struct job {
  size_t rows, per;
  uint32_t atoms;
  double v_min, step;
  const float *logits;
  float *out;
};
typedef void block_fn(const struct job *j, size_t first);

PMP_CLONES static void expect_block(const struct job *j, size_t first) {
  struct block b;
  double place[LANES];
  const size_t count = lanes_at(first, j->rows);
  block_load(&b, count, j->atoms, j->atoms, j->logits + first * j->atoms);
  block_place(&b, j->atoms, place);
  for (size_t l = 0; l < count; l++) j->out[first + l] = (float)(j->v_min + j->step * place[l]);
}

PMP_CLONES static void mean_block(const struct job *j, size_t first) {
  struct block b;
  _Alignas(64) double mean[PMP_CRITIC_ATOMS_MAX][LANES];
  const uint32_t atoms = j->atoms;
  const size_t count = lanes_at(first, j->rows), stride = j->per * atoms;
  for (size_t i = 0; i < atoms; i++) {
    for (size_t l = 0; l < LANES; l++) mean[i][l] = 0.0;
  }
  for (size_t k = 0; k < j->per; k++) {
    double by[LANES];
    block_load(&b, count, stride, atoms, j->logits + first * stride + k * atoms);
    for (size_t l = 0; l < LANES; l++) by[l] = 1.0 / (b.sum[l] * (double)j->per);
    for (size_t i = 0; i < atoms; i++) {
      for (size_t l = 0; l < LANES; l++) mean[i][l] += (double)b.e[i][l] * by[l];
    }
  }
  for (size_t l = 0; l < count; l++) {
    for (size_t i = 0; i < atoms; i++) j->out[(first + l) * atoms + i] = (float)mean[i][l];
  }
}

/* A block's results depend on its rows only, so that the number of threads changes no bit. */
static void each_block(int threads, size_t cells, block_fn *body, const struct job *j) {
  const int team = cells >= TEAM_CELLS && j->rows > LANES ? threads : 1;
#pragma omp parallel for schedule(static) num_threads(team) if (team > 1)
  for (size_t first = 0; first < j->rows; first += LANES) body(j, first);
}

void pmp_atoms_expect(int threads, size_t rows, uint32_t atoms, float v_min, float v_max,
                      const float *logits, float *values) {
  const struct job j = {.rows = rows,
                        .atoms = atoms,
                        .v_min = (double)v_min,
                        .step = spacing(atoms, v_min, v_max),
                        .logits = logits,
                        .out = values};
  each_block(threads, rows * atoms, expect_block, &j);
}

void pmp_atoms_mean(int threads, size_t states, size_t per, uint32_t atoms, const float *logits,
                    float *prob) {
  const struct job j = {.rows = states, .per = per, .atoms = atoms, .logits = logits, .out = prob};
  each_block(threads, states * per * atoms, mean_block, &j);
}

/* One state of the loss. With S = sum_i target_i (1 up to rounding):
 * loss = S log sum_i e_i - sum_i target_i (logit_i - max), dlogit_i = S softmax_i - target_i. */
static double row_loss(const struct block *b, size_t lane, uint32_t atoms, const float *logits,
                       const float *target, double share, float *dlogits) {
  double mass = 0.0, cross = 0.0;
  for (size_t i = 0; i < atoms; i++) {
    mass += (double)target[i];
    cross += (double)target[i] * ((double)logits[i] - (double)b->max[lane]);
  }
  const double by = mass / b->sum[lane];
  for (size_t i = 0; i < atoms; i++) {
    dlogits[i] = (float)(((double)b->e[i][lane] * by - (double)target[i]) * share);
  }
  return mass * log(b->sum[lane]) - cross;
}

PMP_CLONES void pmp_atoms_loss(size_t states, uint32_t atoms, float v_min, float v_max,
                               const float *logits, const float *target, float *dlogits,
                               double *loss, double *mean_q) {
  const double step = spacing(atoms, v_min, v_max), share = 1.0 / (double)states;
  struct block b;
  double place[LANES], sum = 0.0, sum_q = 0.0;
  for (size_t first = 0; first < states; first += LANES) {
    const size_t count = lanes_at(first, states), at = first * atoms;
    block_load(&b, count, atoms, atoms, logits + at);
    block_place(&b, atoms, place);
    for (size_t l = 0; l < count; l++) {
      const size_t row = at + l * atoms;
      sum += row_loss(&b, l, atoms, logits + row, target + row, share, dlogits + row);
      sum_q += (double)v_min + step * place[l];
    }
  }
  *loss = sum * share;
  *mean_q = sum_q * share;
}

#define HEAPS 4 /* sums of mass side by side: neighbours fall on the same atom */

/* Where atoms go: `at` or the next one, `above` of the mass on that. */
PMP_CLONES static void places(uint32_t atoms, double shift, double scale, double last,
                              int32_t *restrict at, double *restrict above) {
  for (uint32_t i = 0; i < atoms; i++) {
    double place = shift + scale * (double)i;
    place = place < 0.0 ? 0.0 : place;
    place = place > last ? last : place;
    at[i] = (int32_t)place;
    above[i] = place - (double)at[i];
  }
}

void pmp_critic_project(size_t states, uint32_t atoms, float v_min, float v_max, const float *prob,
                        const float *ret, const float *disc, float *out) {
  const double step = spacing(atoms, v_min, v_max), last = (double)(atoms - 1);
  /* One more, so that the top atom needs no branch. */
  double mass[PMP_CRITIC_ATOMS_MAX + 1][HEAPS], above[PMP_CRITIC_ATOMS_MAX];
  int32_t at[PMP_CRITIC_ATOMS_MAX];
  for (size_t s = 0; s < states; s++) {
    const double scale = (double)disc[s];
    /* In units of atoms: where atom 0 goes. Said so that ret = 0, disc = 1 moves nothing, to the
     * bit. */
    const double shift = ((double)ret[s] + scale * (double)v_min - (double)v_min) / step;
    const bool finite = isfinite(shift); /* not, when ret or disc is not */
    const float *p = prob + s * atoms;
    float *o = out + s * atoms;
    memset(mass, 0, (atoms + 1) * sizeof mass[0]);
    if (finite) places(atoms, shift, scale, last, at, above);
    for (size_t i = 0; finite && i < atoms; i++) {
      double *heap = &mass[at[i]][i % HEAPS];
      const double more = (double)p[i] * above[i];
      heap[0] += (double)p[i] - more;
      heap[HEAPS] += more;
    }
    for (size_t i = 0; i < atoms; i++)
      o[i] = finite ? (float)((mass[i][0] + mass[i][2]) + (mass[i][1] + mass[i][3])) : NAN;
  }
}
