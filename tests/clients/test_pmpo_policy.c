/* libpmpo-policy: follows the reference, refuses what is not its policy's, and says what policy/
 * says. */
#include "clients/libpmpo-policy/pmpo_policy.h"
#include "tests/actors/support.h"

#include <math.h>

enum { OBS = 5, DIM = 2, ROWS = 4 };

static struct pmp_errmsg msg;

static struct pmpo *connect_to(struct fixture *f) {
  struct pmpo_options o = {
      .url = fake_daemon_url(f->daemon), .role = PMP_ROLE_ACTOR, .name = "a", .request_ms = 200};
  struct pmpo *c = NULL;
  if (pmpo_open(&c, &o, &msg) != PMP_OK) fail_msg("%s", msg.text);
  return c;
}

static void start(struct fixture *f, bool bins) {
  struct pmp_policy_spec policy = bins ? categorical(OBS, DIM, 7) : gaussian(OBS, DIM);
  struct pmp_spec spec = control_spec("t", OBS, &policy.dist);
  fixture_start(f, &policy, &spec, false, 0);
}

static struct pmpo_policy *mirror(struct pmpo *c, bool follow) {
  struct pmpo_policy *p = NULL;
  const struct pmpo_policy_options o = {.rows_max = ROWS, .follow = follow};
  if (pmpo_policy_open(&p, c, &o, &msg) != PMP_OK) fail_msg("%s", msg.text);
  return p;
}

/* The head that policy/ computes for version v. */
static void expected_head(struct fixture *f, uint64_t version, const float *x, float *head) {
  static float params[FLOATS_MAX], cache[FLOATS_MAX];
  struct pmp_compute compute;
  struct pmp_rng rng;
  assert_int_equal(pmp_compute_cpu(&compute, 1), PMP_OK);
  pmp_rng_init(&rng, 1000 + version, 7);
  pmp_policy_init_params(&f->policy, &rng, params);
  assert_true(pmp_policy_cache_floats(&f->policy, ROWS) <= FLOATS_MAX);
  assert_int_equal(pmp_policy_forward(&f->policy, &compute, params, ROWS, x, cache, head), PMP_OK);
}

static void test_evaluates(void **state) {
  (void)state;
  for (int bins = 0; bins < 2; bins++) {
    struct fixture f;
    start(&f, bins != 0);
    struct pmpo *c = connect_to(&f);
    struct pmpo_policy *p = mirror(c, true);
    float x[ROWS * OBS], expected[ROWS * 64], y[ROWS * 3 * DIM], same[ROWS * 3 * DIM],
        action[ROWS * 3 * DIM];
    const float *head = NULL;
    for (int i = 0; i < ROWS * OBS; i++) x[i] = (float)i / 7 - 1;
    for (int i = 0; i < ROWS * 3 * DIM; i++) y[i] = same[i] = action[i] = 999;
    assert_int_equal(pmpo_policy_model(p)->head, f.policy.head);
    assert_int_equal(pmpo_policy_wait(p, 1, false, 20000, &msg), PMP_OK);
    uint64_t step = 999;
    assert_int_equal(pmpo_policy_version(p, &step), 1);
    assert_int_equal(step, 100);
    assert_int_equal(pmpo_policy_head(p, ROWS, x, &head, &msg), PMP_OK);
    expected_head(&f, 1, x, expected);
    assert_memory_equal(head, expected, ROWS * f.policy.head * sizeof(float));
    struct pmp_rng a, b;
    pmp_rng_init(&a, 1, 2);
    b = a;
    assert_int_equal(pmpo_policy_sample(p, ROWS, 3, x, &a, y, &msg), PMP_OK);
    assert_int_equal(pmp_dist_sample(&f.policy.spec.dist, ROWS, 3, expected, &b, same), PMP_OK);
    assert_memory_equal(y, same, sizeof y);
    assert_int_equal(pmpo_policy_mode(p, ROWS, x, y, &msg), PMP_OK);
    assert_int_equal(pmp_dist_mode(&f.policy.spec.dist, ROWS, expected, same), PMP_OK);
    assert_memory_equal(y, same, ROWS * DIM * sizeof(float));
    pmpo_policy_action(p, ROWS, y, action);
    for (int i = 0; i < ROWS * DIM; i++) assert_true(action[i] >= -1 && action[i] <= 1);
    assert_int_equal(pmpo_policy_head(p, ROWS + 1, x, &head, &msg), PMP_EINVALID);
    pmpo_policy_close(p);
    pmpo_close(c);
    fixture_stop(&f);
  }
}

static void test_follows(void **state) {
  (void)state;
  struct fixture f;
  start(&f, false);
  struct pmpo *c = connect_to(&f);
  struct pmpo_policy *p = mirror(c, true);
  float x[ROWS * OBS] = {0}, expected[ROWS * 64];
  const float *head;
  for (uint64_t v = 2; v < 12; v++) {
    if (v % 4 == 0) fake_daemon_restart(f.daemon, v == 8);
    publish(&f, f.daemon, v, false);
    assert_int_equal(pmpo_policy_wait(p, v, true, 30000, &msg), PMP_OK);
    assert_int_equal(pmpo_policy_version(p, NULL), v);
  }
  assert_int_equal(pmpo_policy_head(p, ROWS, x, &head, &msg), PMP_OK);
  expected_head(&f, 11, x, expected);
  assert_memory_equal(head, expected, ROWS * f.policy.head * sizeof(float));
  assert_int_equal(pmpo_policy_wait(p, 5, false, 0, &msg), PMP_OK);
  assert_int_equal(pmpo_policy_wait(p, 5, true, 0, &msg), PMP_ECONFLICT);
  assert_int_equal(pmpo_policy_wait(p, 12, true, 30, &msg), PMP_ETIMEOUT);
  assert_int_equal(pmpo_policy_fetch(p, 0, &msg), PMP_EINVALID);
  pmpo_policy_close(p);
  pmpo_close(c);
  pmpo_policy_close(NULL);
  fixture_stop(&f);
}

static void test_fetches(void **state) {
  (void)state;
  struct fixture f;
  start(&f, false);
  struct pmpo *c = connect_to(&f);
  struct pmpo_policy *p = mirror(c, false);
  float x[ROWS * OBS] = {0};
  const float *head;
  assert_int_equal(pmpo_policy_head(p, 1, x, &head, &msg), PMP_EINVALID);
  assert_int_equal(pmpo_policy_wait(p, 1, false, 10, &msg), PMP_EINVALID);
  assert_int_equal(pmpo_policy_fetch(p, 0, &msg), PMP_OK);
  assert_int_equal(pmpo_policy_fetch(p, 20, &msg), PMP_ENOTFOUND);
  assert_int_equal(pmpo_policy_version(p, NULL), 1); /* the old ones stay in use */
  publish(&f, f.daemon, 2, false);
  assert_int_equal(pmpo_policy_fetch(p, 0, &msg), PMP_OK);
  assert_int_equal(pmpo_policy_version(p, NULL), 2);
  pmpo_policy_close(p);
  pmpo_close(c);
  fixture_stop(&f);
}

enum damage { BYTE, HASH, NAME, SHAPE, MISSING, SHORT, NOT_FINITE, DAMAGES };

/* Version 2 with something wrong. */
static void publish_damaged(struct fixture *f, enum damage damage) {
  static float params[FLOATS_MAX];
  struct pmp_manifest m = f->policy.manifest;
  struct pmp_wire_view view[PMP_VIEWS_MAX] = {0};
  char hash[33];
  for (size_t i = 0; i < m.floats; i++) params[i] = (float)i;
  if (damage == NOT_FINITE) params[3] = NAN;
  pmp_params_hash(&m, params, hash);
  if (damage == BYTE) params[5] = 5.5f;
  if (damage == HASH) hash[0] = hash[0] == '0' ? '1' : '0';
  if (damage == NAME) m.view[1].name[0] = 'X';
  if (damage == SHAPE) m.view[1].shape[0]++;
  if (damage == MISSING) m.views--;
  if (damage == SHORT) m.floats--;
  for (uint32_t i = 0; i < m.views; i++) {
    view[i].name = m.view[i].name;
    view[i].rank = m.view[i].rank;
    view[i].offset = m.view[i].offset;
    for (uint32_t k = 0; k < m.view[i].rank; k++) view[i].shape[k] = m.view[i].shape[k];
  }
  fake_daemon_publish(f->daemon, 2, view, m.views, params, m.floats, hash);
}

static void test_refuses(void **state) {
  (void)state;
  for (int damage = 0; damage < DAMAGES; damage++) {
    struct fixture f;
    start(&f, false);
    struct pmpo *c = connect_to(&f);
    struct pmpo_policy *p = mirror(c, true);
    assert_int_equal(pmpo_policy_wait(p, 1, true, 20000, &msg), PMP_OK);
    publish_damaged(&f, (enum damage)damage);
    enum pmp_err err = pmpo_policy_wait(p, 2, true, 20000, &msg);
    bool corrupt = damage == BYTE || damage == HASH || damage == NOT_FINITE;
    assert_int_equal(err, corrupt ? PMP_ECORRUPT : PMP_ECONFLICT);
    assert_int_equal(pmpo_policy_version(p, NULL), 1);
    assert_int_equal(pmpo_policy_update(p, &msg), err); /* and says so ever after */
    pmpo_policy_close(p);
    pmpo_close(c);
    fixture_stop(&f);
  }
}

static void test_unknown_policy(void **state) {
  (void)state;
  struct fake_options options = {.spec = {.shape = PMP_SHAPE_OUTCOMES},
                                 .policy = "{\"family\":\"something else\"}"};
  struct fake_daemon *d = fake_daemon_start(&options);
  struct fixture f = {.daemon = d};
  struct pmpo *c = connect_to(&f);
  struct pmpo_policy *p = (struct pmpo_policy *)8;
  const struct pmpo_policy_options o = {.rows_max = ROWS, .follow = true};
  assert_int_not_equal(pmpo_policy_open(&p, c, &o, &msg), PMP_OK);
  assert_null(p);
  pmpo_close(c);
  fake_daemon_stop(d);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_evaluates),      cmocka_unit_test(test_follows),
      cmocka_unit_test(test_fetches),        cmocka_unit_test(test_refuses),
      cmocka_unit_test(test_unknown_policy),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
