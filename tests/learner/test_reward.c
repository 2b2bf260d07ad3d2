/* A reward from verdicts on clips: it is learned, forgets what is withdrawn, and comes out the same
 * again. */
#include "learner/reward/reward.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { OBS = 3, ACT = 2, ROWS = 10 };

struct clip {
  float obs[ROWS * OBS], act[ROWS * ACT];
  double truth; /* mean of the hidden reward */
};

/* The hidden reward: the second observation against the first action. */
static void draw_clip(struct pmp_rng *rng, struct clip *c) {
  float shift[OBS];
  for (int i = 0; i < OBS; i++) shift[i] = (float)pmp_rng_normal(rng);
  c->truth = 0;
  for (int t = 0; t < ROWS; t++) {
    for (int i = 0; i < OBS; i++)
      c->obs[t * OBS + i] = shift[i] + 0.3f * (float)pmp_rng_normal(rng);
    for (int i = 0; i < ACT; i++) c->act[t * ACT + i] = (float)pmp_rng_normal(rng);
    c->truth += (double)(c->obs[t * OBS + 1] - c->act[t * ACT]) / ROWS;
  }
}

static struct pmp_reward_config config(void) {
  return (struct pmp_reward_config){.obs = OBS,
                                    .act = ACT,
                                    .hidden = {32, 32},
                                    .hidden_count = 2,
                                    .nets = 3,
                                    .clips_max = 400,
                                    .clip_rows = ROWS,
                                    .batch = 16,
                                    .lr = 3e-3f,
                                    .weight_decay = 1e-3f,
                                    .seed = 7};
}

static struct pmp_compute compute;

static int open_compute(void **state) {
  (void)state;
  return pmp_compute_cpu(&compute, 1) == PMP_OK ? 0 : -1;
}

static int close_compute(void **state) {
  (void)state;
  pmp_compute_close(&compute);
  return 0;
}

static void judge_many(struct pmp_reward *r, struct pmp_rng *rng, uint32_t clips) {
  for (uint64_t i = 0; i < clips; i++) {
    struct clip c;
    draw_clip(rng, &c);
    const struct pmp_reward_clip id = {.chunk = i + 1, .row = 0};
    assert_int_equal(
        pmp_reward_judge(r, &compute, id, ROWS, c.obs, c.act, c.truth > 0 ? 1 : -1, 1, NULL),
        PMP_OK);
  }
}

static double share_right(struct pmp_reward *r, uint64_t seed) {
  struct pmp_rng rng;
  pmp_rng_init(&rng, seed, 1);
  int right = 0;
  for (int i = 0; i < 500; i++) {
    struct clip c;
    double accept = 999, spread = 999;
    draw_clip(&rng, &c);
    assert_int_equal(pmp_reward_foretell(r, &compute, ROWS, c.obs, c.act, &accept, &spread),
                     PMP_OK);
    assert_true(accept >= 0 && accept <= 1 && spread >= 0 && spread < 900);
    right += (accept > 0.5) == (c.truth > 0);
  }
  return right / 500.0;
}

static void learns_what_was_hidden(void **state) {
  (void)state;
  struct pmp_reward *r = NULL;
  const struct pmp_reward_config c = config();
  struct pmp_rng rng;
  pmp_rng_init(&rng, 3, 0);
  assert_int_equal(pmp_reward_open(&r, &c, NULL), PMP_OK);
  judge_many(r, &rng, 300);
  assert_false(pmp_reward_known(r));
  assert_int_equal(pmp_reward_fit(r, &compute, 300, NULL), PMP_OK);
  assert_true(pmp_reward_known(r));
  assert_true(share_right(r, 11) > 0.9);

  /* Of single rows, that no verdict was about: more of the hidden reward gives more. */
  float obs[2 * OBS] = {0, -1.5f, 0, 0, 1.5f, 0}, act[2 * ACT] = {0}, value[3] = {999, 999, 999};
  assert_int_equal(pmp_reward_values(r, &compute, 2, obs, act, value), PMP_OK);
  assert_true(value[0] > 0 && value[0] < 0.4f);
  assert_true(value[1] > 0.6f && value[1] < 1);
  assert_true(value[2] == 999);
  struct pmp_reward_stats s;
  pmp_reward_stats(r, &s);
  assert_int_equal(s.clips, 300);
  assert_int_equal(s.accepted + s.rejected, 300);
  assert_int_equal(s.steps, 300);
  assert_true(s.loss < 0.3);
  assert_true(isnan(s.accuracy)); /* no clip came after a fit */
  struct clip one;
  draw_clip(&rng, &one);
  assert_int_equal(pmp_reward_judge(r, &compute, (struct pmp_reward_clip){.chunk = 5000}, ROWS,
                                    one.obs, one.act, one.truth > 0 ? 1 : -1, 1, NULL),
                   PMP_OK);
  pmp_reward_stats(r, &s);
  assert_true(!isnan(s.accuracy));
  pmp_reward_close(r);
}

static void values_are_the_mean_of_rows(void **state) {
  (void)state;
  struct pmp_reward *r = NULL;
  struct pmp_reward_config c = config();
  c.nets = 1;
  struct pmp_rng rng;
  pmp_rng_init(&rng, 4, 0);
  assert_int_equal(pmp_reward_open(&r, &c, NULL), PMP_OK);
  judge_many(r, &rng, 50);
  assert_int_equal(pmp_reward_fit(r, &compute, 50, NULL), PMP_OK);
  struct clip k;
  float value[ROWS];
  double accept, spread, logit = 0;
  draw_clip(&rng, &k);
  assert_int_equal(pmp_reward_values(r, &compute, ROWS, k.obs, k.act, value), PMP_OK);
  for (int t = 0; t < ROWS; t++) logit += log((double)value[t] / (1 - (double)value[t])) / ROWS;
  assert_int_equal(pmp_reward_foretell(r, &compute, ROWS, k.obs, k.act, &accept, &spread), PMP_OK);
  assert_true(spread == 0); /* one network agrees with itself */
  /* The clip's logit is a straight line in the mean of its rows': the same line for another clip.
   */
  double of_clip[3] = {log(accept / (1 - accept))}, of_rows[3] = {logit};
  for (int i = 1; i < 3; i++) {
    draw_clip(&rng, &k);
    assert_int_equal(pmp_reward_values(r, &compute, ROWS, k.obs, k.act, value), PMP_OK);
    for (int t = 0; t < ROWS; t++)
      of_rows[i] += log((double)value[t] / (1 - (double)value[t])) / ROWS;
    assert_int_equal(pmp_reward_foretell(r, &compute, ROWS, k.obs, k.act, &accept, &spread),
                     PMP_OK);
    of_clip[i] = log(accept / (1 - accept));
  }
  const double slope = (of_clip[1] - of_clip[0]) / (of_rows[1] - of_rows[0]);
  assert_true(slope > 0);
  assert_true(fabs(of_clip[2] - of_clip[0] - slope * (of_rows[2] - of_rows[0])) < 1e-3);
  pmp_reward_close(r);
}

static void one_kind_teaches_nothing(void **state) {
  (void)state;
  struct pmp_reward *r = NULL;
  const struct pmp_reward_config c = config();
  struct pmp_rng rng;
  struct clip k;
  float value = 999;
  pmp_rng_init(&rng, 5, 0);
  assert_int_equal(pmp_reward_open(&r, &c, NULL), PMP_OK);
  for (uint64_t i = 1; i <= 3; i++) {
    draw_clip(&rng, &k);
    assert_int_equal(pmp_reward_judge(r, &compute, (struct pmp_reward_clip){.chunk = i}, ROWS,
                                      k.obs, k.act, 1, 1, NULL),
                     PMP_OK);
  }
  assert_int_equal(pmp_reward_fit(r, &compute, 10, NULL), PMP_OK);
  assert_false(pmp_reward_known(r));
  assert_int_equal(pmp_reward_values(r, &compute, 1, k.obs, k.act, &value), PMP_OK);
  assert_true(value == 0.5f);
  /* A replaced verdict is the other kind; a withdrawn one is none. */
  struct pmp_reward_stats s;
  assert_int_equal(pmp_reward_judge(r, &compute, (struct pmp_reward_clip){.chunk = 3}, ROWS, k.obs,
                                    k.act, -1, 1, NULL),
                   PMP_OK);
  pmp_reward_stats(r, &s);
  assert_int_equal(s.accepted, 2);
  assert_int_equal(s.rejected, 1);
  assert_int_equal(pmp_reward_fit(r, &compute, 10, NULL), PMP_OK);
  assert_true(pmp_reward_known(r));
  assert_int_equal(pmp_reward_judge(r, &compute, (struct pmp_reward_clip){.chunk = 3}, ROWS, k.obs,
                                    k.act, 0, 1, NULL),
                   PMP_OK);
  pmp_reward_stats(r, &s);
  assert_int_equal(s.clips, 2);
  assert_int_equal(s.verdicts, 5);
  struct pmp_errmsg msg = {{0}};
  assert_int_equal(pmp_reward_judge(r, &compute, (struct pmp_reward_clip){.chunk = 9}, ROWS + 1,
                                    k.obs, k.act, 1, 1, &msg),
                   PMP_ETOOLARGE);
  assert_non_null(strstr(msg.text, "11 rows"));
  pmp_reward_close(r);
}

/* The oldest clip leaves; what was learned is the same bit for bit, however often it is done. */
static void is_the_same_again(void **state) {
  (void)state;
  float value[2][64];
  for (int time = 0; time < 2; time++) {
    struct pmp_reward *r = NULL;
    struct pmp_reward_config c = config();
    struct pmp_reward_stats s;
    struct pmp_rng rng;
    float obs[64 * OBS], act[64 * ACT];
    c.clips_max = 40;
    c.memory = 10;
    pmp_rng_init(&rng, 6, 0);
    assert_int_equal(pmp_reward_open(&r, &c, NULL), PMP_OK);
    judge_many(r, &rng, 100);
    pmp_reward_stats(r, &s);
    assert_int_equal(s.clips, 40);
    assert_int_equal(pmp_reward_fit(r, &compute, 30, NULL), PMP_OK);
    for (size_t i = 0; i < (size_t)64 * OBS; i++) obs[i] = (float)pmp_rng_normal(&rng);
    for (size_t i = 0; i < (size_t)64 * ACT; i++) act[i] = (float)pmp_rng_normal(&rng);
    assert_int_equal(pmp_reward_values(r, &compute, 64, obs, act, value[time]), PMP_OK);
    pmp_reward_close(r);
  }
  assert_memory_equal(value[0], value[1], sizeof value[0]);
}

static void refuses_nonsense(void **state) {
  (void)state;
  struct pmp_reward *r = NULL;
  struct pmp_reward_config c = config();
  c.nets = PMP_REWARD_NETS_MAX + 1;
  assert_int_equal(pmp_reward_open(&r, &c, NULL), PMP_EINVALID);
  c = config();
  c.clips_max = 1;
  assert_int_equal(pmp_reward_open(&r, &c, NULL), PMP_EINVALID);
  c = config();
  c.lr = 0;
  assert_int_equal(pmp_reward_open(&r, &c, NULL), PMP_EINVALID);
  assert_null(r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(learns_what_was_hidden),   cmocka_unit_test(values_are_the_mean_of_rows),
      cmocka_unit_test(one_kind_teaches_nothing), cmocka_unit_test(is_the_same_again),
      cmocka_unit_test(refuses_nonsense),
  };
  return cmocka_run_group_tests(tests, open_compute, close_compute);
}
