/* Environments: ends of episodes, breakdowns, saved states, silence, threads. */
#include "tests/control/support.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#define ACTOR_STATE_MAX 65536
#define ENVS_OF_AN_ACTOR 32

static struct pmp_env *make_env(const struct pmp_env_model *em, uint64_t seed, uint64_t stream) {
  const struct pmp_env_options options = {.seed = seed, .stream = stream};
  struct pmp_errmsg msg = {{0}};
  struct pmp_env *env = NULL;
  ASSERT_OK(pmp_env_create(&env, em, &options, &msg));
  return env;
}

static void random_action(struct pmp_rng *rng, float *action, int n) {
  for (int i = 0; i < n; i++) action[i] = 2.0f * pmp_rng_float(rng) - 1.0f;
}

/* One step of a and b with the same action: same bits everywhere. */
static void step_both(struct pmp_env *a, struct pmp_env *b, struct pmp_rng *rng) {
  const struct pmp_task *task = a->p.task;
  struct pmp_errmsg msg = {{0}};
  struct pmp_env_result ra, rb;
  float action[PMP_TASK_ACT_MAX], obs_a[PMP_TASK_OBS_MAX], obs_b[PMP_TASK_OBS_MAX];
  memset(&ra, 0xff, sizeof(ra));
  memset(&rb, 0, sizeof(rb));
  for (int i = 0; i < PMP_TASK_OBS_MAX; i++) obs_a[i] = obs_b[i] = 999.0f;
  random_action(rng, action, task->act_dim);
  ASSERT_OK(pmp_env_step(a, action, obs_a, &ra, &msg));
  ASSERT_OK(pmp_env_step(b, action, obs_b, &rb, &msg));
  assert_true(ra.reward == rb.reward && ra.done == rb.done && ra.diverged == rb.diverged);
  assert_memory_equal(obs_a, obs_b, sizeof(obs_a));
  assert_memory_equal(a->obs, b->obs, (size_t)task->obs_dim * sizeof(double));
  assert_memory_equal(a->p.d->qpos, b->p.d->qpos, (size_t)a->p.m->nq * sizeof(double));
  assert_memory_equal(a->p.d->qvel, b->p.d->qvel, (size_t)a->p.m->nv * sizeof(double));
  assert_true(obs_a[task->obs_dim] == 999.0f && obs_a[task->obs_dim - 1] != 999.0f);
}

static void steps(struct pmp_env *env, struct pmp_rng *rng, int n) {
  struct pmp_errmsg msg = {{0}};
  struct pmp_env_result result;
  float action[PMP_TASK_ACT_MAX];
  for (int i = 0; i < n; i++) {
    random_action(rng, action, env->p.task->act_dim);
    ASSERT_OK(pmp_env_step(env, action, NULL, &result, &msg));
    assert_false(result.diverged);
  }
}

/* Saves a after `before` steps of an episode, restores into b, which has a past of its own, and
 * runs both on, into the next episode. */
static void check_resume(struct pmp_env *a, struct pmp_env *b, int before) {
  struct pmp_errmsg msg = {{0}};
  struct pmp_rng rng;
  size_t size = pmp_env_state_size(a->model);
  unsigned char *state = malloc(size), *again = malloc(size);
  memset(state, 99, size);
  assert_true(size * ENVS_OF_AN_ACTOR <= ACTOR_STATE_MAX);
  pmp_rng_init(&rng, 5, 0);
  ASSERT_OK(pmp_env_reset(a, NULL, &msg));
  ASSERT_OK(pmp_env_reset(b, NULL, &msg));
  steps(b, &rng, 3);
  steps(a, &rng, before);
  pmp_env_save(a, state);
  ASSERT_OK(pmp_env_restore(b, state, size, &msg));
  assert_memory_equal(a->obs, b->obs, (size_t)a->p.task->obs_dim * sizeof(double));
  assert_true(b->episode == a->episode && b->step == before && !b->done);
  pmp_env_save(b, again);
  assert_memory_equal(state, again, size);
  for (int i = 0; i < 40; i++) step_both(a, b, &rng);
  ASSERT_OK(pmp_env_reset(a, NULL, &msg));
  ASSERT_OK(pmp_env_reset(b, NULL, &msg));
  for (int i = 0; i < 3; i++) step_both(a, b, &rng);
  free(state);
  free(again);
}

/* Every task; the second environment is on a model that was loaded anew. */
static void test_resume_bit_equal(void **state) {
  (void)state;
  for (size_t i = 0; i < pmp_task_count(); i++) {
    struct pmp_env_model em, em2;
    load_task(&em, pmp_task_at(i)->name);
    load_task(&em2, pmp_task_at(i)->name);
    struct pmp_env *a = make_env(&em, 11, 3), *b = make_env(&em2, 0, 0);
    check_resume(a, b, 0);
    check_resume(a, b, 37);
    pmp_env_free(a);
    pmp_env_free(b);
    pmp_env_model_free(&em);
    pmp_env_model_free(&em2);
  }
}

/* A touch is measured inside a step: it must come along, since the state alone does not give it
 * back. */
static void test_resume_while_touching(void **state) {
  (void)state;
  struct pmp_errmsg msg = {{0}};
  struct pmp_env_model em;
  struct pmp_rng rng;
  load_task(&em, "hopper_stand");
  struct pmp_env *a = make_env(&em, 1, 0), *b = make_env(&em, 2, 0);
  unsigned char bytes[2048];
  size_t size = pmp_env_state_size(&em);
  assert_true(size <= sizeof(bytes));
  pmp_rng_init(&rng, 5, 0);
  ASSERT_OK(pmp_env_reset(a, NULL, &msg));
  while (a->obs[13] == 0.0 && a->obs[14] == 0.0) steps(a, &rng, 1);
  pmp_env_save(a, bytes);
  ASSERT_OK(pmp_env_restore(b, bytes, size, &msg));
  assert_memory_equal(a->obs, b->obs, 15 * sizeof(double));
  for (int i = 0; i < 20; i++) step_both(a, b, &rng);
  pmp_env_free(a);
  pmp_env_free(b);
  pmp_env_model_free(&em);
}

static void test_bad_states_are_refused(void **state) {
  (void)state;
  struct pmp_errmsg msg = {{0}};
  struct pmp_env_model em, other;
  load_task(&em, "cartpole_swingup");
  load_task(&other, "cartpole_balance");
  struct pmp_env *env = make_env(&em, 1, 0), *stranger = make_env(&other, 1, 0);
  size_t size = pmp_env_state_size(&em);
  unsigned char *good = malloc(size), *bad = malloc(size);
  double nan = NAN;
  ASSERT_OK(pmp_env_reset(env, NULL, &msg));
  pmp_env_save(env, good);
  assert_int_equal(pmp_env_restore(env, good, size - 8, &msg), PMP_EINVALID);
  assert_int_equal(pmp_env_restore(env, good, 0, &msg), PMP_EINVALID);
  assert_int_equal(pmp_env_restore(stranger, good, size, &msg), PMP_EINVALID);
  assert_non_null(strstr(msg.text, "cartpole_swingup"));
  memcpy(bad, good, size);
  memcpy(bad + size - sizeof(nan), &nan, sizeof(nan));
  assert_int_equal(pmp_env_restore(env, bad, size, &msg), PMP_EINVALID);
  memcpy(bad, good, size);
  bad[0] ^= 1; /* version */
  assert_int_equal(pmp_env_restore(env, bad, size, &msg), PMP_EINVALID);
  ASSERT_OK(pmp_env_restore(env, good, size, &msg));
  free(good);
  free(bad);
  pmp_env_free(env);
  pmp_env_free(stranger);
  pmp_env_model_free(&em);
  pmp_env_model_free(&other);
}

static void test_time_limit(void **state) {
  (void)state;
  struct pmp_errmsg msg = {{0}};
  struct pmp_env_model em;
  struct pmp_env_result result = {.reward = 999.0};
  struct pmp_rng rng;
  float action[1] = {0.5f};
  load_task(&em, "cartpole_swingup");
  struct pmp_env *env = make_env(&em, 1, 0);
  assert_int_equal(pmp_env_step(env, action, NULL, &result, &msg), PMP_EINVALID);
  pmp_rng_init(&rng, 1, 0);
  ASSERT_OK(pmp_env_reset(env, NULL, &msg));
  assert_true(env->episode == 1 && env->step == 0);
  steps(env, &rng, 999);
  assert_false(env->done);
  ASSERT_OK(pmp_env_step(env, action, NULL, &result, &msg));
  assert_true(result.done && !result.diverged && env->done && env->step == 1000);
  assert_int_equal(pmp_env_step(env, action, NULL, &result, &msg), PMP_EINVALID);

  /* A state saved between episodes: only a reset goes on from it, to the same next start. */
  size_t size = pmp_env_state_size(&em);
  unsigned char *bytes = malloc(size);
  struct pmp_env *next = make_env(&em, 7, 7);
  pmp_env_save(env, bytes);
  ASSERT_OK(pmp_env_restore(next, bytes, size, &msg));
  assert_true(next->done && next->episode == 1);
  assert_int_equal(pmp_env_step(next, action, NULL, &result, &msg), PMP_EINVALID);
  ASSERT_OK(pmp_env_reset(env, NULL, &msg));
  ASSERT_OK(pmp_env_reset(next, NULL, &msg));
  step_both(env, next, &rng);
  assert_true(next->episode == 2);
  free(bytes);
  pmp_env_free(env);
  pmp_env_free(next);
  pmp_env_model_free(&em);
}

/* Breaks the running episode of env, by the action or by the state, and looks at what comes out. */
static void check_breakdown(struct pmp_env *env, float action_value, double qvel) {
  const struct pmp_task *task = env->p.task;
  struct pmp_errmsg msg = {{0}};
  struct pmp_env_result result = {.reward = 999.0};
  float action[PMP_TASK_ACT_MAX], obs[PMP_TASK_OBS_MAX], before[PMP_TASK_OBS_MAX];
  uint64_t diverged = env->diverged;
  ASSERT_OK(pmp_env_reset(env, before, &msg));
  for (int i = 0; i < task->act_dim; i++) action[i] = action_value;
  if (qvel != 0.0) env->p.d->qvel[0] = qvel;
  ASSERT_OK(pmp_env_step(env, action, obs, &result, &msg));
  assert_true(result.diverged && result.done && env->done && result.reward == 0.0);
  assert_memory_equal(obs, before, (size_t)task->obs_dim * sizeof(float));
  assert_true(env->diverged == diverged + 1);
  assert_int_equal(pmp_env_step(env, action, obs, &result, &msg), PMP_EINVALID);
  size_t size = pmp_env_state_size(env->model);
  unsigned char *bytes = malloc(size);
  pmp_env_save(env, bytes);
  ASSERT_OK(pmp_env_restore(env, bytes, size, &msg));
  free(bytes);
  /* The next episode is as good as any. */
  ASSERT_OK(pmp_env_reset(env, NULL, &msg));
  memset(action, 0, sizeof(action));
  ASSERT_OK(pmp_env_step(env, action, obs, &result, &msg));
  assert_true(!result.diverged && isfinite(result.reward));
}

/* Catches what is written to standard error. */
struct quiet {
  int saved, file;
};

static struct quiet quiet_begin(void) {
  char path[] = "/tmp/pmp-stderr-XXXXXX";
  struct quiet q = {dup(STDERR_FILENO), mkstemp(path)};
  assert_true(q.saved >= 0 && q.file >= 0);
  unlink(path);
  fflush(stderr);
  dup2(q.file, STDERR_FILENO);
  return q;
}

static off_t quiet_end(struct quiet q) {
  struct stat s;
  fflush(stderr);
  dup2(q.saved, STDERR_FILENO);
  assert_int_equal(fstat(q.file, &s), 0);
  close(q.file);
  close(q.saved);
  return s.st_size;
}

static void test_breakdown_is_counted_and_silent(void **state) {
  (void)state;
  static const char *const names[] = {"cartpole_swingup", "cheetah_run"};
  char folder[] = "/tmp/pmp-control-XXXXXX";
  assert_non_null(mkdtemp(folder));
  assert_int_equal(chdir(folder), 0);
  struct quiet q = quiet_begin();
  for (size_t i = 0; i < 2; i++) {
    struct pmp_env_model em;
    load_task(&em, names[i]);
    struct pmp_env *env = make_env(&em, 3, i);
    check_breakdown(env, NAN, 0.0);
    check_breakdown(env, 0.0f, NAN);
    check_breakdown(env, 0.0f, 1e12);
    pmp_env_free(env);
    pmp_env_model_free(&em);
  }
  assert_int_equal(quiet_end(q), 0);
  assert_int_equal(chdir("/"), 0);
  assert_int_equal(rmdir(folder), 0); /* fails if MuJoCo left its log */
}

static void raise_error(void *arg) {
  int *reached = arg;
  *reached = 1;
  mju_error("broken on %s", "purpose");
  *reached = 2;
}

static void raise_inside(void *arg) {
  struct pmp_errmsg msg = {{0}};
  int inner = 0;
  assert_int_equal(pmp_physics_guard(raise_error, &inner, &msg), PMP_EINTERNAL);
  raise_error(arg);
}

static void test_errors_are_returned(void **state) {
  (void)state;
  struct pmp_errmsg msg = {{0}};
  int reached = 0;
  struct quiet q = quiet_begin();
  pmp_physics_hooks_install();
  assert_int_equal(pmp_physics_guard(raise_inside, &reached, &msg), PMP_EINTERNAL);
  assert_int_equal(quiet_end(q), 0);
  assert_int_equal(reached, 1);
  assert_non_null(strstr(msg.text, "broken on purpose"));
}

static void test_load_failures(void **state) {
  (void)state;
  struct pmp_errmsg msg = {{0}};
  struct pmp_env_model em;
  struct pmp_task odd = *pmp_task_at(0);
  assert_int_equal(pmp_env_model_load(&em, &odd, "/nonexistent", &msg), PMP_ENOTFOUND);
  assert_non_null(strstr(msg.text, "/nonexistent/cartpole.xml"));
  odd.act_dim = 2;
  assert_int_equal(pmp_env_model_load(&em, &odd, suite_dir().text, &msg), PMP_EINVALID);
  odd = *pmp_task_at(0);
  odd.xml = "pendulum.xml";
  assert_int_equal(pmp_env_model_load(&em, &odd, suite_dir().text, &msg), PMP_EINVALID);
  assert_non_null(strstr(msg.text, "pole_1"));
  /* Every task on a model that is not its own: refused, whatever its look-up finds or not. */
  for (size_t i = 0; i < pmp_task_count(); i++) {
    odd = *pmp_task_at(i);
    bool cartpole = strcmp(odd.xml, "cartpole.xml") == 0;
    odd.xml = cartpole ? "point_mass.xml" : "cartpole.xml";
    enum pmp_err err = pmp_env_model_load(&em, &odd, suite_dir().text, &msg);
    if (err != PMP_EINVALID && err != PMP_ENOTFOUND) fail_msg("%s loaded %s", odd.name, odd.xml);
  }
  pmp_env_model_free(&em);
}

/* Two seeds or streams give two starts; the same give the same. */
static void test_starts_by_seed(void **state) {
  (void)state;
  struct pmp_errmsg msg = {{0}};
  struct pmp_env_model em;
  load_task(&em, "cheetah_run");
  struct pmp_env *env[4] = {make_env(&em, 1, 0), make_env(&em, 1, 0), make_env(&em, 1, 1),
                            make_env(&em, 2, 0)};
  float obs[4][17];
  for (int i = 0; i < 4; i++) ASSERT_OK(pmp_env_reset(env[i], obs[i], &msg));
  assert_memory_equal(obs[0], obs[1], sizeof(obs[0]));
  assert_memory_not_equal(obs[0], obs[2], sizeof(obs[0]));
  assert_memory_not_equal(obs[0], obs[3], sizeof(obs[0]));
  assert_memory_not_equal(obs[2], obs[3], sizeof(obs[0]));
  for (int i = 0; i < 4; i++) pmp_env_free(env[i]);
  pmp_env_model_free(&em);
}

struct worker {
  struct pmp_env *env;
  pthread_t thread;
};

static void *work(void *arg) {
  struct worker *w = arg;
  struct pmp_errmsg msg = {{0}};
  struct pmp_rng rng;
  pmp_rng_init(&rng, 9, 0);
  for (int e = 0; e < 3; e++) {
    if (pmp_env_reset(w->env, NULL, &msg) != PMP_OK) return NULL;
    steps(w->env, &rng, 100);
  }
  return w;
}

static void test_threads_share_a_model(void **state) {
  (void)state;
  struct pmp_env_model em;
  struct worker w[3];
  load_task(&em, "cheetah_run");
  for (int i = 0; i < 3; i++) w[i].env = make_env(&em, 4, 4);
  for (int i = 0; i < 2; i++) assert_int_equal(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
  for (int i = 0; i < 2; i++) {
    void *result = NULL;
    assert_int_equal(pthread_join(w[i].thread, &result), 0);
    assert_non_null(result);
  }
  assert_non_null(work(&w[2]));
  for (int i = 0; i < 2; i++)
    assert_memory_equal(w[i].env->obs, w[2].env->obs, 17 * sizeof(double));
  for (int i = 0; i < 3; i++) pmp_env_free(w[i].env);
  pmp_env_model_free(&em);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_resume_bit_equal),
      cmocka_unit_test(test_resume_while_touching),
      cmocka_unit_test(test_bad_states_are_refused),
      cmocka_unit_test(test_time_limit),
      cmocka_unit_test(test_breakdown_is_counted_and_silent),
      cmocka_unit_test(test_errors_are_returned),
      cmocka_unit_test(test_load_failures),
      cmocka_unit_test(test_starts_by_seed),
      cmocka_unit_test(test_threads_share_a_model),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
