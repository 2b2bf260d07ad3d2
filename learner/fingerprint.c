/* What bit-equality of two runs depends on: the machine in words, and the bits that its products,
 * exp and tanh give. */
#include "learner/trainer_state.h"

#include <xxhash.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

enum { FUNCTION_POINTS = 4096, BRAND_WORDS = 12 };

/* The processor's own name, or the architecture's where it has none. */
static void processor_name(char out[64]) {
  memset(out, 0, 64);
#if defined(__x86_64__)
  unsigned word[BRAND_WORDS], family, rest[3];
  bool ok = true;
  for (unsigned i = 0; i < 3; i++)
    ok = ok && __get_cpuid(0x80000002u + i, &word[4 * i], &word[4 * i + 1], &word[4 * i + 2],
                           &word[4 * i + 3]) != 0;
  if (!ok || __get_cpuid(1, &family, &rest[0], &rest[1], &rest[2]) == 0) return;
  memcpy(out, word, sizeof word);
  snprintf(out + sizeof word, 64 - sizeof word, " %08x", family); /* family, model, stepping */
#else
  snprintf(out, 64, "unknown");
#endif
}

static void fill(struct pmp_rng *rng, float *x, size_t n) {
  pmp_rng_normal_fill(rng, x, n);
}

/* One forward and backward of a network of the run's shape on fixed numbers. */
static enum pmp_err run_net(struct pmp_trainer *t, const struct pmp_net *net, size_t states,
                            size_t per, XXH3_state_t *hash) {
  struct pmp_arena arena;
  struct pmp_rng rng;
  size_t rows = states * per;
  size_t count[6] = {net->floats,
                     net->floats,
                     states * net->config.in_shared,
                     rows * net->config.in_own,
                     rows * net->config.out,
                     pmp_net_cache_floats(net, rows, states)};
  size_t bytes = 0;
  float *x[6];
  for (int i = 0; i < 6; i++) bytes += count[i] * sizeof(float) + 64;
  enum pmp_err err = pmp_arena_init(&arena, bytes + count[4] * sizeof(float) + 64);
  if (err != PMP_OK) return err;
  for (int i = 0; i < 6; i++) x[i] = pmp_arena_zeroed(&arena, count[i], sizeof(float));
  float *out = pmp_arena_zeroed(&arena, count[4], sizeof(float));
  pmp_rng_init(&rng, 1, 1);
  fill(&rng, x[0], count[0]);
  for (size_t i = 0; i < count[0]; i++) x[0][i] *= 0.1F;
  fill(&rng, x[2], count[2]);
  fill(&rng, x[3], count[3]);
  fill(&rng, x[4], count[4]);
  const float *own = net->config.in_own > 0 ? x[3] : NULL;
  err = pmp_net_forward(net, &t->compute, x[0], x[2], own, states, per, x[5], out);
  if (err == PMP_OK)
    err = pmp_net_backward(net, &t->compute, x[0], x[2], own, states, per, x[5], x[4], x[1], NULL,
                           NULL);
  XXH3_128bits_update(hash, out, count[4] * sizeof(float));
  XXH3_128bits_update(hash, x[1], count[1] * sizeof(float));
  pmp_arena_fini(&arena);
  return err;
}

static void run_functions(XXH3_state_t *hash) {
  for (int i = 0; i < FUNCTION_POINTS; i++) {
    double x = (double)(i - FUNCTION_POINTS / 2) * (1.0 / 64.0) + 1.0 / 3.0;
    double y[4] = {exp(x), tanh(x), log1p(exp(x)), log(fabs(x))};
    float z[3] = {expf((float)x), tanhf((float)x), log1pf(expf((float)(x * 0.5)))};
    XXH3_128bits_update(hash, y, sizeof y);
    XXH3_128bits_update(hash, z, sizeof z);
  }
}

static void digest(XXH3_state_t *state, char *out) {
  XXH128_hash_t hash = XXH3_128bits_digest(state);
  snprintf(out, 33, "%016llx%016llx", (unsigned long long)hash.high64,
           (unsigned long long)hash.low64);
}

static enum pmp_err run_products(struct pmp_trainer *t, XXH3_state_t *hash) {
  size_t rows = pmp_trainer_conditions_max(&t->config);
  rows = rows > 1024 ? 1024 : rows;
  if (t->config.policy.network) PMP_TRY(run_net(t, &t->policy.net, rows, 1, hash));
  if (!pmp_trainer_has_critic(&t->config) && !pmp_trainer_has_value(&t->config)) return PMP_OK;
  PMP_TRY(run_net(t, &t->critic.net, rows, 1, hash));
  if (!pmp_trainer_has_critic(&t->config)) return PMP_OK;
  return run_net(t, &t->critic.net, rows,
                 t->config.label_samples > 20 ? 20 : t->config.label_samples, hash);
}

/* 32 digits for the words, 32 for the bits. */
void pmp_trainer_fingerprint(struct pmp_trainer *t, char out[65]) {
  if (t->fingerprint[0] == 0) {
    char text[256], processor[64];
    processor_name(processor);
    int length = snprintf(text, sizeof text, "%s|%d threads|%s|%s", processor, t->compute.threads,
                          t->compute.name, __VERSION__);
    XXH3_state_t *state = XXH3_createState();
    if (state == NULL) abort();
    XXH3_128bits_reset(state);
    XXH3_128bits_update(state, text, length > 0 ? (size_t)length : 0);
    digest(state, t->fingerprint);
    XXH3_128bits_reset(state);
    run_functions(state);
    enum pmp_err err = run_products(t, state);
    if (err != PMP_OK) XXH3_128bits_update(state, &err, sizeof err);
    digest(state, t->fingerprint + 32);
    XXH3_freeState(state);
  }
  memcpy(out, t->fingerprint, 65);
}
