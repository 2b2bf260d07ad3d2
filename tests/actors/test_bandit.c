/* `pmpo-actor bandit`: the functions, and the actor as a process against a fake daemon. */
#include "tests/actors/support.h"

#include "actors/bandit/function.h"

#include <math.h>

static double value_of(const char *name, const double *x, uint32_t n) {
  const struct pmp_function *f = NULL;
  struct pmp_errmsg msg;
  assert_int_equal(pmp_function_find(name, &f, &msg), PMP_OK);
  return f->value(x, n);
}

static void test_functions(void **state) {
  (void)state;
  const double a[3] = {1, 2, 3}, zero[3] = {0, 0, 0}, one[3] = {1, 1, 1}, b[3] = {-1, 0.5, 2},
               single[1] = {3};
  assert_true(value_of("sphere", a, 3) == 14);
  /* 100 (1 - 2)^2 + 0 + 100 (4 - 3)^2 + 1 */
  assert_true(value_of("rosenbrock", a, 3) == 201);
  /* 1 + 9 + 36 */
  assert_true(value_of("schwefel", a, 3) == 46);
  assert_true(value_of("cigar", a, 3) == 1 + 4e6 + 9e6);
  /* 1^2 + 0.5^7 + 2^12 */
  assert_true(fabs(value_of("diffpow", b, 3) - (1 + 0.0078125 + 4096)) < 1e-9);
  /* 1 + 1000 * 4 + 1e6 * 9 */
  assert_true(fabs(value_of("elli", a, 3) - (1 + 4e3 + 9e6)) < 1e-6);
  for (uint32_t i = 0; i < pmp_function_count(); i++) {
    const struct pmp_function *f = pmp_function_at(i);
    assert_true(f->value(strcmp(f->name, "rosenbrock") == 0 ? one : zero, 3) == 0);
    if (strcmp(f->name, "rosenbrock") != 0) assert_true(fabs(f->value(single, 1) - 9) < 1e-12);
  }
  const struct pmp_function *f;
  struct pmp_errmsg msg;
  assert_int_equal(pmp_function_find("ackley", &f, &msg), PMP_ENOTFOUND);
  assert_non_null(strstr(msg.text, "schwefel"));
}

static void start(struct fixture *f, bool lockstep, uint32_t publish_every) {
  struct pmp_policy_spec policy = gaussian(0, 2);
  struct pmp_spec spec = bandit_spec("sphere", &policy.dist);
  fixture_start(f, &policy, &spec, lockstep, publish_every);
}

static void test_rows(void **state) {
  (void)state;
  struct fixture f;
  start(&f, false, 0);
  const char *const args[] = {"bandit", "--function",
                              "sphere", "--dim",
                              "2",      "--samples",
                              "6",      "--chunk-groups",
                              "3",      "--max-evaluations",
                              "180",    "--report-every",
                              "90",     NULL};
  assert_int_equal(actor_run(&f, NULL, args), 0);
  struct pmp_policy_spec policy = gaussian(0, 2);
  struct pmp_spec spec = bandit_spec("sphere", &policy.dist);
  struct pmp_wire_limits limits = pmp_wire_limits_default();
  struct pmp_arena arena;
  struct pmp_bytes bytes;
  struct pmp_errmsg msg;
  assert_int_equal(pmp_arena_init(&arena, 1 << 20), PMP_OK);
  uint64_t k = 0;
  double sum = 0, squares = 0;
  for (; fake_daemon_chunk(f.daemon, k, &bytes, NULL); k++) {
    struct pmp_chunk c;
    pmp_arena_release(&arena, 0);
    assert_int_equal(
        pmp_wire_decode_chunk(bytes.data, bytes.size, &spec, &limits, &arena, &c, &msg), PMP_OK);
    assert_int_equal(c.rows, 18);
    assert_int_equal(c.groups, 3);
    assert_int_equal(c.versions, 1);
    assert_null(c.verdict);
    for (uint32_t i = 0; i < c.rows; i++) {
      const float *y = (const float *)c.action.data + 2 * i;
      double value = (double)y[0] * (double)y[0] + (double)y[1] * (double)y[1];
      assert_int_equal(c.group[i], i / 6);
      assert_true(fabs((double)c.f[i] + value) <= 1e-6 * value);
      for (int d = 0; d < 2; d++) sum += (double)y[d], squares += (double)y[d] * (double)y[d];
    }
  }
  assert_int_equal(k, 10);
  /* 360 draws of std 1 about the initial mean 0: within five standard errors. */
  assert_true(fabs(sum / 360) < 0.27);
  assert_true(fabs(squares / 360 - 1) < 0.4);
  double mean = 999;
  assert_true(fake_daemon_reported(f.daemon, "f_mean", &mean));
  assert_true(mean == 0);
  assert_int_equal(fake_daemon_report_count(f.daemon, "f_best"), 2);
  pmp_arena_fini(&arena);
  fixture_stop(&f);
}

static void test_goes_on_where_it_was(void **state) {
  (void)state;
  struct fixture whole, pieces;
  struct fake_stats s;
  start(&whole, true, 2);
  start(&pieces, true, 2);
  const char *const args[] = {"bandit", "--max-evaluations", "400", NULL};
  assert_int_equal(actor_run(&whole, NULL, args), 0);
  for (uint32_t life = 0; life < 8; life++) {
    fake_daemon_fault(pieces.daemon, FAKE_LOSE_REPLY, life % 2);
    fake_daemon_stats(pieces.daemon, &s);
    uint64_t target = s.chunks + 1 + (life % 2 == 0 ? 5 * life : 0);
    if (target > 90) break;
    pid_t pid = actor_start(&pieces, NULL, args);
    for (; s.chunks < target; fake_daemon_stats(pieces.daemon, &s)) usleep(200);
    kill(pid, SIGKILL);
    actor_wait(pid);
  }
  fake_daemon_fault(pieces.daemon, FAKE_LOSE_REPLY, 0);
  assert_int_equal(actor_run(&pieces, NULL, args), 0);
  fake_daemon_stats(pieces.daemon, &s);
  assert_int_equal(s.chunks, 100);
  assert_same_chunks(&whole, &pieces, 100);
  const char *const others[] = {"bandit", "--max-evaluations", "800", "--samples", "5", NULL};
  assert_int_equal(actor_run(&pieces, NULL, others), 3);
  fixture_stop(&whole);
  fixture_stop(&pieces);
}

static void test_misfit(void **state) {
  (void)state;
  struct fixture f;
  start(&f, false, 0);
  const char *const cigar[] = {"bandit", "--function", "cigar", NULL};
  const char *const three[] = {"bandit", "--dim", "3", NULL};
  const char *const large[] = {"bandit", "--chunk-groups", "65536", "--samples", "4096", NULL};
  const char *const control[] = {"control", "--task", "cartpole_swingup", NULL};
  assert_int_equal(actor_run(&f, NULL, cigar), 3);
  assert_int_equal(actor_run(&f, NULL, three), 3);
  assert_int_equal(actor_run(&f, NULL, control), 3);
  assert_int_equal(actor_run(&f, NULL, large), 1);
  fixture_stop(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_functions),
      cmocka_unit_test(test_rows),
      cmocka_unit_test(test_goes_on_where_it_was),
      cmocka_unit_test(test_misfit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
