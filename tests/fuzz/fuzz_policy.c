/* A policy's description: JSON that an actor gets from the daemon and a checkpoint keeps. */
#include "policy/policy.h"
#include "tests/fuzz/fuzz.h"

#include <math.h>

enum { FLOATS_MAX = 1 << 16 };

/* What it describes can be built or is refused; small ones are. */
static void build(const struct pmp_policy_spec *spec) {
  struct pmp_errmsg msg = {{0}};
  struct pmp_rng rng;
  struct pmp_policy *policy = malloc(sizeof *policy);
  FUZZ_CHECK(policy != NULL, "no memory");
  enum pmp_err err = pmp_policy_init(policy, spec, &msg);
  if (err != PMP_OK) {
    FUZZ_REFUSED(err, &msg);
  } else if (policy->manifest.floats <= FLOATS_MAX) {
    const size_t n = policy->manifest.floats;
    float *params = malloc((n + 1) * sizeof *params);
    FUZZ_CHECK(params != NULL, "no memory");
    for (size_t i = 0; i < n; i++) params[i] = NAN;
    pmp_rng_init(&rng, 1, 0);
    pmp_policy_init_params(policy, &rng, params);
    for (size_t i = 0; i < n; i++) FUZZ_CHECK(isfinite(params[i]), "parameter %zu", i);
    FUZZ_CHECK(policy->head == pmp_dist_head(&spec->dist), "%zu outputs", policy->head);
    free(params);
  }
  free(policy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct pmp_policy_spec first, second;
  struct pmp_errmsg msg = {{0}};
  char *one = NULL, *two = NULL;
  memset(&first, 0x99, sizeof first);
  enum pmp_err err = pmp_policy_spec_from_json(&first, (const char *)data, size, &msg);
  if (err != PMP_OK) {
    FUZZ_REFUSED(err, &msg);
    return 0;
  }
  FUZZ_OK(pmp_policy_spec_to_json(&first, &one), &msg);
  FUZZ_OK(pmp_policy_spec_from_json(&second, one, strlen(one), &msg), &msg);
  FUZZ_OK(pmp_policy_spec_to_json(&second, &two), &msg);
  FUZZ_CHECK(strcmp(one, two) == 0, "%s became %s", one, two);
  free(one);
  free(two);
  build(&first);
  return 0;
}
