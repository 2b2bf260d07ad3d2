/* Every way of learning from a critic's labels that experiments on control tasks name, from its
 * configuration to some steps of a trainer: numbers are finite, the critic learns, and a second run
 * ends with the same bits. */
#include "daemon/config.h"

#include "tests/daemon/unit.h"
#include "tests/learner/trainer_world.h"

enum { SETTINGS_MAX = 8, STEPS = 60 };

struct variant {
  const char *name;
  const char *settings[SETTINGS_MAX];
  double labelled; /* share of the actions at a state */
};

static const struct variant variants[] = {
    {"PMPO-AR", {"objective.alpha=0.5"}, 1.0},
    {"PMPO-A", {"objective.alpha=1"}, 1.0},
    {"PMPO-R", {"objective.alpha=0"}, 1.0},
    {"best and worst", {"label.k=1"}, 0.5},
    {"PMPO against V", {"label.rule=value"}, 1.0},
    {"MPO", {"objective.name=mpo"}, 1.0},
    {"MPO of 20", {"objective.name=mpo", "label.samples=20", "objective.temperature=exact"}, 0.2},
    {"DPO of 2", {"objective.name=dpo", "label.samples=2", "label.k=1"}, 1.0},
    {"DPO of 4", {"objective.name=dpo", "objective.pairs=2"}, 1.0},
    {"IPO", {"objective.name=ipo", "objective.pairs=2"}, 1.0},
    {"Boltzmann", {"objective.name=boltzmann"}, 1.0},
};
enum { VARIANTS = sizeof variants / sizeof variants[0] };

static void set(struct pmp_config *c, const char *assignment) {
  struct pmp_errmsg msg = {{0}};
  if (pmp_config_assign(c, assignment, &msg) != PMP_OK) fail_msg("%s", msg.text);
}

/* `how` in bits: 1 bins, 2 two critics, 4 a scalar critic, 8 normalised observations. */
static struct pmp_trainer_config configure(const struct variant *v, unsigned how) {
  static const char *const common[] = {"spec.shape=trajectories", "spec.observation=[3]",
                                       "spec.action_dim=2",       "label.judge=critic",
                                       "policy.hidden=[16, 16]",  "critic.hidden=[32, 32]",
                                       "critic.v_max=4",          "critic.value_samples=3",
                                       "critic.target_period=20", "critic.lr=3e-3",
                                       "optim.lr=3e-3",           "learner.batch=32",
                                       "learner.n_step=3",        "learner.refresh_period=15",
                                       "learner.capacity=400",    "learner.min_size=32",
                                       "learner.discount=0.7",    "learner.streams=8"};
  struct pmp_config c;
  struct pmp_trainer_config t;
  struct pmp_errmsg msg = {{0}};
  pmp_config_defaults(&c);
  for (size_t i = 0; i < sizeof common / sizeof common[0]; i++) set(&c, common[i]);
  for (size_t i = 0; i < SETTINGS_MAX && v->settings[i] != NULL; i++) set(&c, v->settings[i]);
  if (how & 1) set(&c, "spec.action=bins"); /* action_bins: 11 is the default */
  if (how & 2) set(&c, "critic.count=2");
  if (how & 4) set(&c, "critic.atoms=1");
  if (how & 8) set(&c, "learner.normalize_observations=true");
  const bool splits = strncmp(v->name, "PMPO", 4) == 0 || strcmp(v->name, "best and worst") == 0;
  if (!(how & 1) && splits) set(&c, "objective.beta_mean=1"), set(&c, "objective.beta_std=100");
  if (pmp_config_check(&c, &msg) != PMP_OK) fail_msg("%s: %s", v->name, msg.text);
  pmp_config_trainer(&c, &t);
  assert_int_equal(t.policy.dist.bins, how & 1 ? 11 : 0);
  assert_int_equal(t.policy.normalize, (how & 8) != 0);
  return t;
}

static void check_step(const struct variant *v, const struct pmp_trainer_config *config,
                       const struct pmp_step_metrics *m) {
  const double shown = (double)config->batch * (double)config->label_samples;
  if (!isfinite(m->loss) || !isfinite(m->kl[0]) || !isfinite(m->grad_norm) ||
      !isfinite(m->entropy) || !isfinite(m->critic_loss) || !isfinite(m->q_mean) ||
      !isfinite(m->critic_grad_norm))
    fail_msg("%s: a number is not finite", v->name);
  assert_true(!m->skipped_step && !m->skipped_rejected && m->informative == 1.0);
  assert_true(m->accepted + m->rejected == v->labelled * shown);
  assert_true(m->accepted > 0.0 && m->rejected > 0.0);
}

static void run(const struct variant *v, unsigned how, char hash[33]) {
  const struct pmp_trainer_config config = configure(v, how);
  struct pmp_trainer *t = world_open(&config);
  struct pmp_step_metrics m;
  double first = 0.0, last = 0.0;
  uint64_t commit = 0;
  const size_t bytes = pmp_trainer_policy(t)->trained * sizeof(float);
  float *start = malloc(bytes);
  assert_non_null(start);
  memcpy(start, pmp_trainer_pi(t), bytes);
  while (commit < 6) world_rows(t, t, ++commit);
  for (int i = 0; i < STEPS; i++) {
    if (i % 4 == 0) world_rows(t, t, ++commit);
    world_step(t, &m);
    check_step(v, &config, &m);
    if (i < 8) first += m.critic_loss;
    if (i >= STEPS - 8) last += m.critic_loss;
  }
  if (!(last < first)) fail_msg("%s (%u): critic loss from %g to %g", v->name, how, first, last);
  assert_true(memcmp(start, pmp_trainer_pi(t), bytes) != 0);
  assert_int_equal(pmp_trainer_version(t), 1 + STEPS / 15);
  pmp_trainer_hash(t, hash);
  free(start);
  pmp_trainer_close(t);
}

static void test_every_variant(void **state) {
  (void)state;
  static char hash[VARIANTS * 5][33];
  size_t hashes = 0;
  for (size_t i = 0; i < VARIANTS; i++) {
    /* Gaussian and bins alone, and with what may be added: each, and all. */
    const unsigned how[] = {0, 1, 2u << i % 3, (1 | 2u << (i + 1) % 3), 15};
    for (size_t k = 0; k < sizeof how / sizeof how[0]; k++) {
      char again[33];
      run(&variants[i], how[k], hash[hashes]);
      run(&variants[i], how[k], again);
      assert_string_equal(hash[hashes], again);
      for (size_t j = 0; j < hashes; j++) assert_string_not_equal(hash[j], hash[hashes]);
      hashes++;
    }
  }
}

/* Bins have no spread apart from a mean. */
static void test_bins_have_one_kl(void **state) {
  (void)state;
  struct pmp_config c;
  struct pmp_errmsg msg = {{0}};
  pmp_config_defaults(&c);
  set(&c, "spec.action=bins");
  assert_int_equal(pmp_config_check(&c, &msg), PMP_OK);
  set(&c, "objective.beta_mean=1");
  set(&c, "objective.beta_std=1");
  assert_int_equal(pmp_config_check(&c, &msg), PMP_EINVALID);
  assert_non_null(strstr(msg.text, "spec.action: bins"));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_variant),
                                     cmocka_unit_test(test_bins_have_one_kl)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
