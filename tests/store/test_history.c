/* Settings, metrics and their thinning, events, versions, windows, and what a reader sees. */
#include "tests/store/support.h"

#include <math.h>

static struct pmp_reader *open_reader(struct bench *b) {
  struct pmp_errmsg msg = {{0}};
  struct pmp_reader *r = NULL;
  enum pmp_err err = pmp_reader_open(&r, b->path, NULL, &msg);
  if (err != PMP_OK) fail_msg("reader: %s", msg.text);
  return r;
}

static void set(struct bench *b, const char *key, const char *old, const char *value) {
  struct pmp_store_op op = {.kind = PMP_OP_SETTING};
  snprintf(op.u.setting.key, sizeof op.u.setting.key, "%s", key);
  op.u.setting.value = value;
  op.u.setting.old_value = old;
  op.u.setting.who = "o\"p";
  run_ok(b, &op);
  assert_int_equal(op.u.setting.commit, stats(b).last_commit);
}

struct seen {
  uint64_t commit[16];
  enum pmp_entry_kind kind[16];
  int count, stop_at;
};

static enum pmp_err note_entry(void *ctx, const struct pmp_entry *e, struct pmp_errmsg *msg) {
  struct seen *s = ctx;
  s->commit[s->count] = e->commit;
  s->kind[s->count++] = e->kind;
  return s->count == s->stop_at ? pmp_fail(msg, PMP_ECLOSED, "enough") : PMP_OK;
}

static void test_entries_come_in_commit_order(void **state) {
  struct bench *b = *state;
  struct pmp_errmsg msg = {{0}};
  uint32_t epoch = hello(b, "a1", 1);
  append(b, "a1", epoch, 1, "one", 2);
  set(b, "lr", "0.1", "0.2");
  append(b, "a1", epoch, 2, "two", 2);
  struct pmp_store_op v = op_verdict("p", "r", 3, 0, 1, 1, 1.0F);
  run_ok(b, &v);
  free_verdict(&v);
  set(b, "lr", "0.2", "0.3");
  struct pmp_reader *r = open_reader(b);
  static const enum pmp_entry_kind kinds[] = {PMP_ENTRY_CHUNK, PMP_ENTRY_SETTING, PMP_ENTRY_CHUNK,
                                              PMP_ENTRY_VERDICT, PMP_ENTRY_SETTING};
  struct seen s = {.count = 0};
  assert_int_equal(pmp_reader_entries(r, 0, UINT64_MAX, note_entry, &s, &msg), PMP_OK);
  assert_int_equal(s.count, 5);
  for (int i = 0; i < 5; i++) {
    assert_int_equal(s.commit[i], i + 1);
    assert_int_equal(s.kind[i], kinds[i]);
  }
  s = (struct seen){.count = 0};
  assert_int_equal(pmp_reader_entries(r, 2, 4, note_entry, &s, &msg), PMP_OK);
  assert_int_equal(s.count, 3);
  assert_int_equal(s.commit[0], 2);
  s = (struct seen){.stop_at = 2};
  assert_int_equal(pmp_reader_entries(r, 0, UINT64_MAX, note_entry, &s, &msg), PMP_ECLOSED);
  assert_string_equal(msg.text, "enough");
  assert_int_equal(s.count, 2);
  assert_int_equal(pmp_reader_entries(r, 6, UINT64_MAX, note_entry, &s, &msg), PMP_OK);
  assert_int_equal(s.count, 2);
  pmp_reader_close(r);
}

static enum pmp_err count_entry(void *ctx, const struct pmp_entry *e, struct pmp_errmsg *msg) {
  uint64_t *count = ctx;
  (void)msg;
  assert_int_equal(e->commit, ++*count);
  return PMP_OK;
}

static void test_many_entries_in_batches(void **state) {
  struct bench *b = *state;
  struct pmp_errmsg msg = {{0}};
  uint32_t epoch = hello(b, "a1", 1);
  for (uint64_t i = 1; i <= 600; i++) append(b, "a1", epoch, i, "row", 1);
  struct pmp_reader *r = open_reader(b);
  uint64_t count = 0;
  assert_int_equal(pmp_reader_entries(r, 0, UINT64_MAX, count_entry, &count, &msg), PMP_OK);
  assert_int_equal(count, 600);
  count = 256;
  assert_int_equal(pmp_reader_entries(r, 257, 512, count_entry, &count, &msg), PMP_OK);
  assert_int_equal(count, 512);
  pmp_reader_close(r);
}

static void test_windows(void **state) {
  struct bench *b = *state;
  struct pmp_errmsg msg = {{0}};
  struct pmp_reader *r = open_reader(b);
  uint64_t commit = 999;
  assert_int_equal(pmp_reader_window(r, 10, &commit, &msg), PMP_OK);
  assert_int_equal(commit, 0);
  uint32_t epoch = hello(b, "a1", 1);
  for (uint64_t i = 1; i <= 5; i++) append(b, "a1", epoch, i, "row", 4);
  static const struct {
    uint64_t rows, commit;
  } cases[] = {{1, 5}, {4, 5}, {5, 4}, {12, 3}, {20, 1}, {1000, 1}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    assert_int_equal(pmp_reader_window(r, cases[i].rows, &commit, &msg), PMP_OK);
    assert_int_equal(commit, cases[i].commit);
  }
  pmp_reader_close(r);
}

static void put_points(struct bench *b, const char *name, uint64_t from, uint64_t count,
                       uint64_t stride) {
  struct pmp_store_point *p = calloc((size_t)count, sizeof *p);
  for (uint64_t i = 0; i < count; i++) {
    snprintf(p[i].name, sizeof p[i].name, "%s", name);
    p[i].step = from + i * stride;
    p[i].env_steps = p[i].step * 10;
    p[i].wall_ns = (int64_t)i;
    p[i].value = (double)p[i].step / 4;
  }
  struct pmp_store_op op = {.kind = PMP_OP_METRICS};
  op.u.metrics = (struct pmp_store_metrics){.point = p, .count = (uint32_t)count};
  run_ok(b, &op);
  free(p);
}

static struct pmp_reader_point *history(struct pmp_reader *r, const char *name, uint64_t from,
                                        uint64_t to, uint32_t max, uint32_t *count) {
  struct pmp_errmsg msg = {{0}};
  struct pmp_reader_point *points = NULL;
  *count = 999;
  enum pmp_err err = pmp_reader_history(r, name, from, to, max, &points, count, &msg);
  if (err != PMP_OK) fail_msg("%s", msg.text);
  return points;
}

static void test_history_by_step(void **state) {
  struct bench *b = *state;
  uint32_t n;
  put_points(b, "loss", 0, 100, 5);
  put_points(b, "return", 0, 3, 1);
  struct pmp_reader *r = open_reader(b);
  struct pmp_reader_point *p = history(r, "loss", 0, 0, 1000, &n);
  assert_int_equal(n, 100);
  for (uint32_t i = 0; i < n; i++) {
    assert_int_equal(p[i].step, 5 * i);
    assert_int_equal(p[i].env_steps, 50 * i);
    assert_int_equal(p[i].wall_ns, i);
    assert_true(p[i].value == 5.0 * i / 4);
  }
  free(p);
  p = history(r, "loss", 11, 30, 1000, &n);
  assert_int_equal(n, 4);
  assert_int_equal(p[0].step, 15);
  assert_int_equal(p[3].step, 30);
  free(p);
  p = history(r, "nothing", 0, 0, 10, &n);
  assert_int_equal(n, 0);
  free(p);
  pmp_reader_close(r);
}

static void test_thinning(void **state) {
  struct bench *b = *state;
  uint32_t n;
  put_points(b, "loss", 100, 2000, 3);
  struct pmp_reader *r = open_reader(b);
  static const uint32_t max[] = {1, 2, 3, 10, 999, 1999, 2000, 2001};
  for (size_t k = 0; k < sizeof max / sizeof *max; k++) {
    struct pmp_reader_point *p = history(r, "loss", 0, 0, max[k], &n);
    assert_true(n <= max[k]);
    assert_true(n == max[k] || n >= max[k] / 2);
    assert_int_equal(p[n - 1].step, 100 + 1999 * 3);
    if (max[k] > 1) assert_int_equal(p[0].step, 100);
    for (uint32_t i = 1; i < n; i++) assert_true(p[i].step > p[i - 1].step);
    free(p);
  }
  /* Evenly in step, whatever the density: most points lie in the first tenth. */
  put_points(b, "dense", 0, 1000, 1);
  put_points(b, "dense", 1000, 90, 100);
  struct pmp_reader_point *p = history(r, "dense", 0, 0, 11, &n);
  assert_int_equal(n, 11);
  for (uint32_t i = 1; i < n; i++) {
    assert_true(p[i].step - p[i - 1].step >= 700);
    assert_true(p[i].step - p[i - 1].step <= 1200);
  }
  free(p);
  pmp_reader_close(r);
}

static void test_points_of_one_step_are_all_kept(void **state) {
  struct bench *b = *state;
  uint32_t n;
  put_points(b, "return", 7, 5, 0);
  put_points(b, "return", 7, 5, 0);
  struct pmp_reader *r = open_reader(b);
  struct pmp_reader_point *p = history(r, "return", 7, 7, 100, &n);
  assert_int_equal(n, 10);
  free(p);
  p = history(r, "return", 0, 0, 3, &n);
  assert_true(n >= 1 && n <= 3);
  assert_int_equal(p[n - 1].step, 7);
  free(p);
  pmp_reader_close(r);
}

static void test_metrics_are_checked_and_listed(void **state) {
  struct bench *b = *state;
  struct pmp_errmsg msg = {{0}};
  struct pmp_store_point bad[2] = {{.name = "b", .step = 1, .value = 1.0},
                                   {.name = "b", .step = 2, .value = NAN}};
  struct pmp_store_op op = {.kind = PMP_OP_METRICS};
  op.u.metrics = (struct pmp_store_metrics){.point = bad, .count = 2};
  run_fails(b, &op, PMP_EINVALID, "metric b at step 2 is not finite");
  bad[1].value = 2.0;
  bad[1].name[0] = '\0';
  run_fails(b, &op, PMP_EINVALID, "name");
  struct pmp_reader *r = open_reader(b);
  char(*names)[PMP_STORE_NAME_MAX] = NULL;
  uint32_t count = 999;
  assert_int_equal(pmp_reader_metrics(r, &names, &count, &msg), PMP_OK);
  assert_int_equal(count, 0);
  free(names);
  static const char *const all[] = {"zeta", "alpha", "mid/one"};
  for (int i = 0; i < 20; i++) {
    char name[16];
    snprintf(name, sizeof name, "m%02d", i);
    put_points(b, i < 3 ? all[i] : name, 1, 1, 1);
  }
  assert_int_equal(pmp_reader_metrics(r, &names, &count, &msg), PMP_OK);
  assert_int_equal(count, 20);
  for (uint32_t i = 1; i < count; i++) assert_true(strcmp(names[i - 1], names[i]) < 0);
  assert_string_equal(names[0], "alpha");
  free(names);
  struct pmp_reader_point *p = NULL;
  assert_int_equal(pmp_reader_history(r, "zeta", 0, 0, 0, &p, &count, &msg), PMP_EINVALID);
  pmp_reader_close(r);
}

struct told {
  uint64_t id[32];
  int64_t wall_ns[32];
  char text[32][160];
  int count;
};

static enum pmp_err note_event(void *ctx, const struct pmp_reader_event *e) {
  struct told *t = ctx;
  t->id[t->count] = e->id;
  t->wall_ns[t->count] = e->wall_ns;
  snprintf(t->text[t->count++], sizeof t->text[0], "%s %s %s", e->who, e->kind, e->detail);
  return PMP_OK;
}

static void test_events(void **state) {
  struct bench *b = *state;
  struct pmp_errmsg msg = {{0}};
  static const char *const no_object[] = {"", "{", "[1]", "7", "{\"a\":}"};
  struct pmp_store_op op = {.kind = PMP_OP_EVENT};
  for (size_t i = 0; i < sizeof no_object / sizeof *no_object; i++) {
    op.u.event = (struct pmp_store_event){.who = "w", .kind = "k", .detail = no_object[i]};
    run_fails(b, &op, PMP_EINVALID, "no JSON object");
  }
  op.u.event = (struct pmp_store_event){.who = "w", .kind = "k"};
  run_fails(b, &op, PMP_EINVALID, "who, kind and detail");
  char detail[32];
  for (int i = 1; i <= 10; i++) {
    snprintf(detail, sizeof detail, "{\"i\":%d}", i);
    b->time.wall_ns = 1000 + i;
    op.u.event = (struct pmp_store_event){.who = "w", .kind = "k", .detail = detail};
    run_ok(b, &op);
    assert_int_equal(op.u.event.id, i);
  }
  set(b, "lr", NULL, "0.\"5");
  struct pmp_reader *r = open_reader(b);
  struct told t = {.count = 0};
  assert_int_equal(pmp_reader_events(r, 0, 100, true, note_event, &t, &msg), PMP_OK);
  assert_int_equal(t.count, 11);
  assert_string_equal(t.text[2], "w k {\"i\":3}");
  assert_int_equal(t.wall_ns[2], 1003);
  /* A setting's event has who, old and new. */
  assert_string_equal(
      t.text[10], "o\"p setting {\"commit\":1,\"key\":\"lr\",\"old\":null,\"new\":\"0.\\\"5\"}");
  t.count = 0;
  assert_int_equal(pmp_reader_events(r, 4, 3, true, note_event, &t, &msg), PMP_OK);
  assert_int_equal(t.count, 3);
  assert_int_equal(t.id[0], 5);
  t.count = 0;
  assert_int_equal(pmp_reader_events(r, UINT64_MAX, 3, true, note_event, &t, &msg), PMP_OK);
  assert_int_equal(t.count, 3);
  assert_int_equal(t.id[0], 9);
  assert_int_equal(t.id[2], 11);
  t.count = 0;
  assert_int_equal(pmp_reader_events(r, UINT64_MAX, 30, true, note_event, &t, &msg), PMP_OK);
  assert_int_equal(t.count, 11);
  pmp_reader_close(r);
}

static void test_settings_need_a_value(void **state) {
  struct bench *b = *state;
  struct pmp_store_op op = {.kind = PMP_OP_SETTING};
  snprintf(op.u.setting.key, sizeof op.u.setting.key, "lr");
  run_fails(b, &op, PMP_EINVALID, "lr has no value");
  op.u.setting.key[0] = '\0';
  op.u.setting.value = "1";
  run_fails(b, &op, PMP_EINVALID, "key");
  assert_int_equal(stats(b).last_commit, 0);
}

static void test_versions_never_go_down(void **state) {
  struct bench *b = *state;
  static const uint64_t steps[][2] = {{5, 5}, {3, 5}, {5, 5}, {6, 6}, {0, 6}};
  for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
    struct pmp_store_op op = {.kind = PMP_OP_VERSION};
    op.u.version.up_to = steps[i][0];
    op.u.version.reserved = 999;
    run_ok(b, &op);
    assert_int_equal(op.u.version.reserved, steps[i][1]);
    bench_reopen(b);
    assert_int_equal(stats(b).reserved_version, steps[i][1]);
  }
}

static void test_actors_and_keys(void **state) {
  struct bench *b = *state;
  struct pmp_errmsg msg = {{0}};
  char value[32] = "abc";
  assert_int_equal(pmp_store_meta_default(b->store, "run_id", value, sizeof value, &msg), PMP_OK);
  hello(b, "z", 1);
  append(b, "z", 1, 1, "x", 3);
  hello(b, "z", 2);
  append(b, "z", 2, 1, "x", 4);
  append(b, "z", 2, 2, "y", 4);
  hello(b, "a", 1);
  struct pmp_reader *r = open_reader(b);
  struct pmp_reader_actor *actors = NULL;
  uint32_t count = 999;
  assert_int_equal(pmp_reader_actors(r, &actors, &count, &msg), PMP_OK);
  assert_int_equal(count, 2);
  assert_string_equal(actors[0].name, "a");
  assert_int_equal(actors[0].rows, 0);
  assert_int_equal(actors[0].epoch, 1);
  assert_string_equal(actors[1].name, "z");
  assert_int_equal(actors[1].epoch, 2);
  assert_int_equal(actors[1].last_seq, 2);
  assert_int_equal(actors[1].rows, 11);
  free(actors);
  assert_int_equal(pmp_reader_meta(r, "run_id", value, sizeof value, &msg), PMP_OK);
  assert_string_equal(value, "abc");
  assert_int_equal(pmp_reader_meta(r, "other", value, sizeof value, &msg), PMP_ENOTFOUND);
  assert_int_equal(pmp_reader_meta(r, "run_id", value, 3, &msg), PMP_ETOOLARGE);
  pmp_reader_close(r);
  pmp_reader_close(NULL);
}

static void test_a_reader_needs_a_store(void **state) {
  struct bench *b = *state;
  struct pmp_errmsg msg = {{0}};
  struct pmp_reader *r = (struct pmp_reader *)b;
  assert_true(pmp_reader_open(&r, "/nowhere/store.db", NULL, &msg) != PMP_OK);
  assert_null(r);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, bench_setup, bench_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_STORE(test_entries_come_in_commit_order),
      WITH_STORE(test_many_entries_in_batches),
      WITH_STORE(test_windows),
      WITH_STORE(test_history_by_step),
      WITH_STORE(test_thinning),
      WITH_STORE(test_points_of_one_step_are_all_kept),
      WITH_STORE(test_metrics_are_checked_and_listed),
      WITH_STORE(test_events),
      WITH_STORE(test_settings_need_a_value),
      WITH_STORE(test_versions_never_go_down),
      WITH_STORE(test_actors_and_keys),
      WITH_STORE(test_a_reader_needs_a_store),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
