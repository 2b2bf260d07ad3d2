/* A trainer whose networks multiply bfloat16: refused with a reason where the processor cannot, the
 * same bits for the same seed, a fingerprint of its own, and it learns what the other learns. */
#include "tests/learner/trainer_world.h"

static struct pmp_trainer *open_half(uint64_t seed) {
  struct pmp_trainer_config config = world_critic(seed);
  struct pmp_trainer *t = NULL;
  struct pmp_errmsg msg = {{0}};
  config.precision = PMP_PRECISION_BF16;
  const enum pmp_err err = pmp_trainer_open(&t, &config, pmp_clock_real(), &msg);
  if (err == PMP_OK) return t;
  assert_int_equal(err, PMP_EUNAVAILABLE);
  assert_non_null(strstr(msg.text, "bf16"));
  skip();
  return NULL;
}

static struct pmp_trainer *open_full(uint64_t seed) {
  const struct pmp_trainer_config config = world_critic(seed);
  return world_open(&config);
}

/* Means of the critic's loss over the first and the last hundred steps. */
struct losses {
  double first, last;
};

static struct losses learn(struct pmp_trainer *t, int steps) {
  struct losses sum = {0.0, 0.0};
  for (uint64_t commit = 1; commit <= 12; commit++) world_rows(t, NULL, commit);
  for (int i = 0; i < steps; i++) {
    struct pmp_step_metrics m;
    world_step(t, &m);
    assert_true(isfinite(m.loss) && isfinite(m.critic_loss));
    if (i < 100) sum.first += m.critic_loss / 100.0;
    if (i >= steps - 100) sum.last += m.critic_loss / 100.0;
  }
  return sum;
}

static void test_same_seed_same_bits(void **state) {
  (void)state;
  char hash[3][33];
  for (int i = 0; i < 3; i++) {
    struct pmp_trainer *t = open_half(i < 2 ? 5 : 6);
    learn(t, 120);
    world_hash(t, hash[i]);
    pmp_trainer_close(t);
  }
  assert_string_equal(hash[0], hash[1]);
  assert_string_not_equal(hash[0], hash[2]);
}

static void test_fingerprint_tells_precisions_apart(void **state) {
  (void)state;
  char half[65], full[65], again[65];
  struct pmp_trainer *t = open_half(5);
  pmp_trainer_fingerprint(t, half);
  pmp_trainer_close(t);
  t = open_half(5);
  pmp_trainer_fingerprint(t, again);
  pmp_trainer_close(t);
  t = open_full(5);
  pmp_trainer_fingerprint(t, full);
  pmp_trainer_close(t);
  assert_string_equal(half, again);
  assert_memory_not_equal(half, full, 32);           /* the words */
  assert_memory_not_equal(half + 32, full + 32, 32); /* the bits */
}

static void test_learns_as_float32_does(void **state) {
  (void)state;
  struct pmp_trainer *half = open_half(9), *full = open_full(9);
  const struct losses a = learn(half, 600), b = learn(full, 600);
  assert_true(a.last < a.first && b.last < b.first);
  assert_true(a.last != b.last);
  assert_true(fabs(a.last - b.last) < 0.05 * b.last);
  pmp_trainer_close(half);
  pmp_trainer_close(full);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_same_seed_same_bits),
      cmocka_unit_test(test_fingerprint_tells_precisions_apart),
      cmocka_unit_test(test_learns_as_float32_does),
  };
  return cmocka_run_group_tests_name("trainer_half", tests, NULL, NULL);
}
