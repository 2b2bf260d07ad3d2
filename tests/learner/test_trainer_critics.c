/* Trainers with two critics: two alike are one, to the bit; of two unlike the lower one judges. */
#include "learner/trainer_state.h"
#include "tests/learner/trainer_world.h"

enum { STEPS = 45 };

static void feed(struct pmp_trainer *t, int step) {
  if (step == 0) {
    for (uint64_t commit = 1; commit <= 4; commit++) world_rows(t, t, commit);
  }
  if (step % 3 == 0) world_rows(t, t, 5 + (uint64_t)step);
}

/* With the second network's parameters set to the first's, the lower of the two is the first: pi,
 * its moments and each critic's half are those of a trainer with one. */
static void test_two_alike_are_one(void **state) {
  (void)state;
  for (int scalar = 0; scalar < 2; scalar++) {
    struct pmp_trainer_config config = world_critic(3);
    config.critic.atoms = scalar ? 1 : 11;
    config.label_rule = scalar ? PMP_LABEL_VALUE : PMP_LABEL_TOP_K;
    struct pmp_trainer *one = world_open(&config);
    config.critic.count = 2;
    struct pmp_trainer *two = world_open(&config);
    const size_t n = one->floats[PMP_BUFFER_CRITIC];
    assert_int_equal(two->floats[PMP_BUFFER_CRITIC], 2 * n);
    assert_memory_equal(two->buffer[PMP_BUFFER_CRITIC], one->buffer[PMP_BUFFER_CRITIC],
                        n * sizeof(float));
    for (int id = PMP_BUFFER_CRITIC; id <= PMP_BUFFER_TARGET; id++)
      memcpy(two->buffer[id] + n, two->buffer[id], n * sizeof(float));
    struct pmp_step_metrics a, b;
    for (int step = 0; step < STEPS; step++) {
      feed(one, step);
      feed(two, step);
      world_step(one, &a);
      world_step(two, &b);
      assert_true(a.loss == b.loss && a.critic_loss == b.critic_loss && a.q_mean == b.q_mean);
      assert_true(b.critic_grad_norm > 1.41 * a.critic_grad_norm); /* of both together */
    }
    for (int id = 0; id < PMP_BUFFERS; id++) {
      const size_t floats = one->floats[id];
      assert_memory_equal(two->buffer[id], one->buffer[id], floats * sizeof(float));
      if (two->floats[id] == floats) continue;
      assert_memory_equal(two->buffer[id] + floats, one->buffer[id], floats * sizeof(float));
    }
    pmp_trainer_close(one);
    pmp_trainer_close(two);
  }
}

/* Verdicts are by the lower of two values: a second critic that says the contrary, and lower, has
 * the word. */
static void test_lower_one_judges(void **state) {
  (void)state;
  struct pmp_trainer_config config = world_critic(8);
  config.critic.atoms = 1;
  config.critic.count = 2;
  config.critic.hidden_count = 0; /* a linear map of (obs, act) */
  config.critic.first_layer_norm = false;
  config.critic_optim.lr = 1e-12F;
  config.refresh_period = 0;
  config.policy_optim.lr = 1e-2F;
  config.loss.beta[0] = config.loss.beta[1] = 0.5;
  double at[2] = {0.0, 0.0};
  for (int lower = 0; lower < 2; lower++) {
    struct pmp_trainer *t = world_open(&config);
    const struct pmp_net *net = &t->critic.net;
    float *q = t->buffer[PMP_BUFFER_CRITIC];
    struct pmp_step_metrics m;
    memset(q, 0, 2 * net->floats * sizeof *q);
    q[net->weight[0] + WORLD_OBS] = 1.0F; /* the first likes action 0 large, the second small */
    q[net->floats + net->weight[0] + WORLD_OBS] = -1.0F;
    q[(lower == 1 ? net->floats : 0) + net->bias[0]] = -100.0F;
    for (int step = 0; step < 100; step++) {
      feed(t, step);
      world_step(t, &m);
    }
    float obs[WORLD_OBS] = {0.0F}, head[4], mean[WORLD_ACT], cache[16384];
    const struct pmp_policy *p = pmp_trainer_policy(t);
    assert_int_equal(pmp_policy_forward(p, &t->compute, pmp_trainer_pi(t), 1, obs, cache, head),
                     PMP_OK);
    assert_int_equal(pmp_dist_mode(&p->spec.dist, 1, head, mean), PMP_OK);
    at[lower] = (double)mean[0];
    pmp_trainer_close(t);
  }
  assert_true(at[0] > 0.2 && at[1] < -0.2);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_two_alike_are_one),
                                     cmocka_unit_test(test_lower_one_judges)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
