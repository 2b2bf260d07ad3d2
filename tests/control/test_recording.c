/* Trajectory files: what is refused and why, and that a deviation is seen. */
#include "tests/control/support.h"

#include <unistd.h>

static void expect_refused(const double *v, size_t size, const char *why) {
  struct pmp_errmsg msg = {{0}};
  struct pmp_recording r;
  assert_int_equal(pmp_recording_parse(&r, v, size, &msg), PMP_EINVALID);
  if (strstr(msg.text, why) == NULL) fail_msg("\"%s\" does not say \"%s\"", msg.text, why);
  assert_null(r.values);
  pmp_recording_free(&r);
}

/* With number i set to `value`, the file is refused for this reason. */
static void expect_number_refused(struct numbers b, size_t i, double value, const char *why) {
  double old = b.v[i];
  b.v[i] = value;
  expect_refused(b.v, b.count * sizeof(double), why);
  b.v[i] = old;
}

static void test_malformed_files(void **state) {
  (void)state;
  struct numbers b = recorded_numbers("cartpole_swingup.bin");
  size_t size = b.count * sizeof(double);
  struct pmp_errmsg msg = {{0}};
  struct pmp_recording r;
  ASSERT_OK(pmp_recording_parse(&r, b.v, size, &msg));
  assert_true(r.episodes == 2 && r.steps == 200 && r.nq == 2 && r.obs_dim == 5);
  pmp_recording_free(&r);
  expect_refused(b.v, 0, "not a trajectory file");
  expect_refused(b.v, size - 3, "not a trajectory file");
  expect_refused(b.v, 72, "not a trajectory file");
  expect_refused(b.v, 80, "ends inside episode 1");
  expect_refused(b.v, size - 8, "ends inside episode 2");
  expect_number_refused(b, 0, 1.0, "not a trajectory file");
  expect_number_refused(b, 1, 2.0, "version 2");
  expect_number_refused(b, 2, 0.0, "episodes is 0");
  expect_number_refused(b, 2, 1.0, "too many");
  expect_number_refused(b, 2, 1e6, "too short");
  expect_number_refused(b, 3, 1e300, "steps is 1e+300");
  expect_number_refused(b, 3, -1.0, "steps is -1");
  expect_number_refused(b, 4, 2.5, "nq is 2.5");
  expect_number_refused(b, 5, NAN, "nv is");
  expect_number_refused(b, 7, 1e6, "ends inside episode 1");
  expect_number_refused(b, 10, -1.0, "model edits");
  expect_number_refused(b, 10, 1e5, "model edits");
  expect_number_refused(b, 30, INFINITY, "not finite");
  expect_number_refused(b, b.count - 1, NAN, "not finite");
  free(b.v);
}

static enum pmp_err run_changed(struct numbers b, size_t i, double value,
                                struct pmp_deviations *dev, struct pmp_errmsg *msg) {
  struct pmp_env_model em;
  struct pmp_recording r;
  double old = b.v[i];
  load_task(&em, "cartpole_swingup");
  b.v[i] = value;
  assert_int_equal(pmp_recording_parse(&r, b.v, b.count * sizeof(double), msg), PMP_OK);
  b.v[i] = old;
  enum pmp_err err = pmp_recording_run(&r, &em, dev, msg);
  pmp_recording_free(&r);
  pmp_env_model_free(&em);
  return err;
}

static void test_deviations_are_seen(void **state) {
  (void)state;
  struct numbers b = recorded_numbers("cartpole_swingup.bin");
  struct pmp_errmsg msg = {{0}};
  struct pmp_deviations dev;
  const size_t qpos = 11 + 200, qvel = qpos + 402, obs = qvel + 402, reward = obs + 5 * 201;
  ASSERT_OK(run_changed(b, qpos + 100, b.v[qpos + 100] + 0.5, &dev, &msg));
  assert_true(fabs(dev.qpos.absolute - 0.5) < 1e-12 && dev.qpos.relative > 0.1);
  assert_true(dev.qvel.absolute == 0.0);
  ASSERT_OK(run_changed(b, qvel + 401, b.v[qvel + 401] + 0.25, &dev, &msg));
  assert_true(fabs(dev.qvel.absolute - 0.25) < 1e-12 && dev.qpos.absolute == 0.0);
  ASSERT_OK(run_changed(b, obs, b.v[obs] + 0.125, &dev, &msg));
  assert_true(fabs(dev.observation.absolute - 0.125) < 1e-12 && dev.qpos.absolute == 0.0);
  ASSERT_OK(run_changed(b, reward + 200, b.v[reward + 200] + 1.0, &dev, &msg));
  assert_true(fabs(dev.reward.absolute - 1.0) < 1e-12 && dev.observation.absolute < 1e-12);
  ASSERT_OK(run_changed(b, reward, NAN, &dev, &msg)); /* row 0 has no reward */
  assert_true(dev.reward.absolute < 1e-12);
  ASSERT_OK(run_changed(b, 11, b.v[11] < 0.0 ? 1.0 : -1.0, &dev, &msg)); /* another first action */
  assert_true(dev.qpos.absolute > 1e-6);
  free(b.v);
}

/* Comparisons pass over a NaN; the deviation must not. */
static void test_a_nan_deviates(void **state) {
  (void)state;
  const double ours[] = {1.0, NAN, INFINITY, 2.0}, recorded[] = {1.0, 1.0, 1.0, 2.5};
  struct pmp_deviation d = {0};
  pmp_deviation_add(&d, ours + 3, recorded + 3, 1);
  assert_true(d.absolute == 0.5 && d.relative == 0.2);
  d = (struct pmp_deviation){0};
  pmp_deviation_add(&d, ours, recorded, 2);
  pmp_deviation_add(&d, ours + 3, recorded + 3, 1);
  assert_true(d.absolute == INFINITY && d.relative == INFINITY);
  d = (struct pmp_deviation){0};
  pmp_deviation_add(&d, ours + 2, recorded + 2, 1);
  assert_true(d.absolute == INFINITY && d.relative == INFINITY);
}

static void test_files_of_other_tasks(void **state) {
  (void)state;
  struct pmp_errmsg msg = {{0}};
  struct pmp_deviations dev;
  struct pmp_env_model em;
  struct pmp_recording r;
  load_task(&em, "cartpole_swingup");
  recorded_replay(&r, "cheetah_run.bin");
  assert_int_equal(pmp_recording_run(&r, &em, &dev, &msg), PMP_EINVALID);
  assert_non_null(strstr(msg.text, "nq is 9 there and 2 here"));
  pmp_recording_free(&r);
  pmp_env_model_free(&em);
}

/* Edits reach the private model of the replay, and only cells that exist. */
static void test_model_edits(void **state) {
  (void)state;
  struct numbers b = recorded_numbers("cartpole_swingup.bin");
  struct pmp_errmsg msg = {{0}};
  struct pmp_deviations dev;
  struct pmp_env_model em;
  struct pmp_recording r;
  load_task(&em, "cartpole_swingup");
  const double damping = em.load.m->dof_damping[0];
  /* One edit before the first episode of the file, and that episode only. */
  size_t episode = 200 + 201 * (2 + 2 + 5 + 1), count = 10 + 1 + 3 + episode;
  double *v = malloc(count * sizeof(double));
  memcpy(v, b.v, 10 * sizeof(double));
  v[2] = 1.0;
  v[10] = 1.0;
  memcpy(v + 14, b.v + 11, episode * sizeof(double));
  const struct {
    double field, index, value;
    enum pmp_err err;
  } edits[] = {{PMP_FIELD_DOF_DAMPING, 0, 7.0, PMP_OK},
               {PMP_FIELD_DOF_DAMPING, 2, 7.0, PMP_EINVALID},
               {PMP_FIELD_DOF_DAMPING, 0.5, 7.0, PMP_EINVALID},
               {PMP_FIELD_COUNT, 0, 7.0, PMP_EINVALID},
               {-1, 0, 7.0, PMP_EINVALID}};
  for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
    v[11] = edits[i].field;
    v[12] = edits[i].index;
    v[13] = edits[i].value;
    ASSERT_OK(pmp_recording_parse(&r, v, count * sizeof(double), &msg));
    assert_int_equal(pmp_recording_run(&r, &em, &dev, &msg), edits[i].err);
    if (edits[i].err == PMP_OK)
      assert_true(dev.qpos.absolute > 0.0); /* a stiffer cart goes elsewhere */
    assert_true(em.load.m->dof_damping[0] == damping);
    pmp_recording_free(&r);
  }
  free(v);
  free(b.v);
  pmp_env_model_free(&em);
}

static void test_files_on_disk(void **state) {
  (void)state;
  struct numbers n = recorded_numbers("cartpole_swingup.bin");
  struct pmp_errmsg msg = {{0}};
  struct pmp_recording r;
  char path[] = "/tmp/pmp-replay-XXXXXX";
  int fd = mkstemp(path);
  size_t size = n.count * sizeof(double);
  assert_true(fd >= 0 && write(fd, n.v, size) == (ssize_t)size);
  close(fd);
  ASSERT_OK(pmp_recording_read(&r, pmp_fs_real(), path, &msg));
  assert_true(r.episodes == 2 && r.episode[1].rewards[r.steps] == n.v[n.count - 1]);
  pmp_recording_free(&r);
  assert_int_equal(unlink(path), 0);
  assert_int_equal(pmp_recording_read(&r, pmp_fs_real(), path, &msg), PMP_ENOTFOUND);
  free(n.v);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_malformed_files), cmocka_unit_test(test_deviations_are_seen),
      cmocka_unit_test(test_a_nan_deviates),  cmocka_unit_test(test_files_of_other_tasks),
      cmocka_unit_test(test_model_edits),     cmocka_unit_test(test_files_on_disk),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
