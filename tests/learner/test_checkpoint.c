/* Checkpoints: a resumed run is the uninterrupted one bit for bit, and a damaged checkpoint is
 * never taken. */
#include "learner/checkpoint_folder.h"

#include "tests/learner/trainer_world.h"

#include <stdlib.h>
#include <unistd.h>

enum { ENTRIES = 60, BAD_MAX = 16 };

/* ---------------------------------------------------------------- a folder for each test */

static int make_folder(void **state) {
  char *dir = malloc(64);
  if (dir == NULL) return -1;
  snprintf(dir, 64, "/tmp/pmp_checkpoint_XXXXXX");
  *state = mkdtemp(dir);
  return *state == NULL ? -1 : 0;
}

static void remove_folder_at(const char *path) {
  const struct pmp_fs *fs = pmp_fs_real();
  char(*names)[PMP_FS_NAME_MAX] = NULL, file[600];
  size_t count = 0;
  if (fs->list(fs->self, path, &names, &count, NULL) != PMP_OK) {
    unlink(path);
    return;
  }
  for (size_t i = 0; i < count; i++) {
    snprintf(file, sizeof file, "%s/%s", path, names[i]);
    remove_folder_at(file);
  }
  free(names);
  rmdir(path);
}

static int drop_folder(void **state) {
  remove_folder_at(*state);
  free(*state);
  return 0;
}

static size_t names_in(const char *dir, const char *prefix) {
  const struct pmp_fs *fs = pmp_fs_real();
  char(*names)[PMP_FS_NAME_MAX] = NULL;
  size_t count = 0, found = 0;
  assert_int_equal(fs->list(fs->self, dir, &names, &count, NULL), PMP_OK);
  for (size_t i = 0; i < count; i++) found += strncmp(names[i], prefix, strlen(prefix)) == 0;
  free(names);
  return found;
}

/* ---------------------------------------------------------------- damage */

static void read_file(const char *path, unsigned char **data, size_t *size) {
  void *bytes = NULL;
  assert_int_equal(pmp_fs_real()->read_all(NULL, path, 1 << 24, &bytes, size, NULL), PMP_OK);
  *data = bytes;
}

static void write_file(const char *path, const void *data, size_t size) {
  assert_int_equal(pmp_fs_real()->write_sync(NULL, path, &data, &size, 1, NULL), PMP_OK);
}

struct bad {
  int count;
  char path[BAD_MAX][512];
};

static void note_bad(void *ctx, const char *path, const char *why) {
  struct bad *bad = ctx;
  assert_true(why[0] != 0);
  assert_true(bad->count < BAD_MAX);
  snprintf(bad->path[bad->count++], sizeof bad->path[0], "%s", path);
}

/* ---------------------------------------------------------------- runs */

/* What the daemon does in lockstep, in small: an entry, then the steps that it pays for. */
static void apply_entry(struct pmp_trainer *t, uint64_t commit) {
  struct pmp_step_metrics m;
  struct pmp_replay_stats stats;
  world_rows(t, NULL, commit);
  pmp_replay_stats(pmp_trainer_replay(t), &stats);
  for (int i = 0; i < 3 && stats.trainable >= 32; i++) world_step(t, &m);
}

static void save(const char *dir, struct pmp_trainer *t, const char *context,
                 struct pmp_checkpoint_info *info) {
  struct pmp_errmsg msg = {{0}};
  enum pmp_err err = pmp_checkpoint_save(pmp_fs_real(), dir, t, context, info, &msg);
  if (err != PMP_OK) print_error("%s\n", msg.text);
  assert_int_equal(err, PMP_OK);
}

static enum pmp_err load(const char *dir, struct pmp_trainer *t, char **context,
                         struct pmp_checkpoint_info *info, struct bad *bad) {
  struct pmp_errmsg msg = {{0}};
  memset(bad, 0, sizeof *bad);
  enum pmp_err err = pmp_checkpoint_load(pmp_fs_real(), dir, t, context, info, note_bad, bad, &msg);
  assert_true((err == PMP_OK) == (*context != NULL));
  if (err != PMP_OK) assert_true(msg.text[0] != 0);
  return err;
}

/* The last entries of one run that saves on its way, against a fresh process that takes the run up
 * at `cut`. */
static void resume_at(const char *dir, uint64_t cut, struct pmp_trainer_config config) {
  struct pmp_trainer *a = world_open(&config);
  struct pmp_checkpoint_info saved, loaded;
  char want[33], got[33], *context = NULL;
  struct bad bad;
  for (uint64_t commit = 1; commit <= ENTRIES; commit++) {
    apply_entry(a, commit);
    if (commit == cut) save(dir, a, "{\"commit\": 7}", &saved);
  }
  world_hash(a, want);
  config.seed = 999; /* everything that matters comes from the checkpoint */
  struct pmp_trainer *b = world_open(&config);
  assert_int_equal(load(dir, b, &context, &loaded, &bad), PMP_OK);
  assert_string_equal(context, "{\"commit\":7}");
  assert_string_equal(loaded.hash, saved.hash);
  assert_string_equal(loaded.fingerprint, saved.fingerprint);
  assert_int_equal(bad.count, 0);
  struct pmp_replay_stats stats;
  pmp_replay_stats(pmp_trainer_replay(b), &stats);
  for (uint64_t commit = stats.first_commit; commit > 0 && commit <= cut; commit++)
    world_rows(b, NULL, commit);
  for (uint64_t commit = cut + 1; commit <= ENTRIES; commit++) apply_entry(b, commit);
  world_hash(b, got);
  assert_string_equal(want, got);
  free(context);
  pmp_trainer_close(a);
  pmp_trainer_close(b);
}

static void test_resumed_is_uninterrupted(void **state) {
  char dir[128];
  const uint64_t cuts[] = {1, 2, 3, 7, 20, 41, 59};
  for (int i = 0; i < 7; i++) {
    for (size_t capacity = 50; capacity <= 450; capacity += 400) {
      snprintf(dir, sizeof dir, "%s/%d-%zu", (char *)*state, i, capacity);
      struct pmp_trainer_config config = world_critic(11);
      config.replay.capacity = capacity;
      resume_at(dir, cuts[i], config);
      if (i % 3 != 1) continue;
      snprintf(dir, sizeof dir, "%s/%d-%zu-more", (char *)*state, i, capacity);
      config.critic.count = 2;
      config.policy.normalize = true;
      config.kl_rows = 5;
      resume_at(dir, cuts[i], config);
    }
  }
}

/* The same for outcomes, each drawn once, with settings changed on the way. */
static void test_resumed_bandit(void **state) {
  struct pmp_trainer_config config = world_bandit(5);
  struct pmp_trainer_live live;
  struct pmp_step_metrics m;
  struct pmp_checkpoint_info info;
  char want[33], got[33], *context = NULL;
  struct bad bad;
  config.replay.sampler = PMP_SAMPLER_ONCE;
  config.beta_auto = true;
  struct pmp_trainer *a = world_open(&config), *b = world_open(&config);
  for (uint64_t commit = 1; commit <= 40; commit++) {
    world_outcomes(a, commit, commit % 3 == 0);
    world_step(a, &m);
    if (commit != 25) continue;
    pmp_trainer_live_get(a, &live);
    live.lr = 0.02F;
    live.refresh_period = 3;
    assert_int_equal(pmp_trainer_live_set(a, &live, NULL), PMP_OK);
    save(*state, a, "{}", &info);
  }
  assert_int_equal(load(*state, b, &context, &info, &bad), PMP_OK);
  free(context);
  pmp_trainer_live_get(b, &live);
  assert_true(live.lr == 0.02F && live.refresh_period == 3);
  assert_int_equal(pmp_replay_consumed(pmp_trainer_replay(b)), 100);
  struct pmp_replay_stats stats;
  pmp_replay_stats(pmp_trainer_replay(b), &stats);
  assert_int_equal(stats.first_commit, 0);
  for (uint64_t commit = 26; commit <= 40; commit++) {
    world_outcomes(b, commit, commit % 3 == 0);
    world_step(b, &m);
  }
  world_hash(a, want);
  world_hash(b, got);
  assert_string_equal(want, got);
  pmp_trainer_close(a);
  pmp_trainer_close(b);
}

/* Two runs of the same seed write the same bytes. */
static void test_same_bytes(void **state) {
  struct pmp_checkpoint_info x, y;
  struct pmp_trainer_config config = world_critic(2);
  struct pmp_trainer *a = world_open(&config), *b = world_open(&config);
  for (uint64_t commit = 1; commit <= 10; commit++) apply_entry(a, commit);
  for (uint64_t commit = 1; commit <= 10; commit++) apply_entry(b, commit);
  save(*state, a, "{}", &x);
  save(*state, b, "{}", &y);
  assert_string_equal(x.hash, y.hash);
  pmp_trainer_close(a);
  pmp_trainer_close(b);
}

/* ---------------------------------------------------------------- damaged ones */

/* Three checkpoints, of steps 3, 6 and 9; the trainer is left behind the last. */
static struct pmp_trainer *three(const char *dir, struct pmp_checkpoint_info info[3]) {
  struct pmp_trainer_config config = world_critic(4);
  struct pmp_trainer *t = world_open(&config);
  for (uint64_t commit = 1; commit <= 2; commit++) world_rows(t, NULL, commit);
  for (uint64_t i = 0; i < 3; i++) {
    char context[64];
    apply_entry(t, 3 + i);
    snprintf(context, sizeof context, "{\"i\":%d}", (int)i);
    save(dir, t, context, &info[i]);
    assert_int_equal(info[i].step, 3 * (i + 1));
  }
  return t;
}

static void expect_loaded(const char *dir, struct pmp_trainer *t, int which, int bad_count) {
  struct pmp_checkpoint_info info;
  struct bad bad;
  char *context = NULL, want[16];
  assert_int_equal(load(dir, t, &context, &info, &bad), PMP_OK);
  snprintf(want, sizeof want, "{\"i\":%d}", which);
  assert_string_equal(context, want);
  assert_int_equal(info.step, 3 * (which + 1));
  assert_int_equal(pmp_trainer_steps(t), 3 * (which + 1));
  assert_int_equal(bad.count, bad_count);
  free(context);
}

static void test_falls_back(void **state) {
  struct pmp_checkpoint_info info[3];
  struct pmp_trainer *t = three(*state, info);
  const char *files[] = {"state.safetensors", "manifest.json"};
  expect_loaded(*state, t, 2, 0);
  for (int f = 0; f < 2; f++) {
    char path[600];
    unsigned char *good = NULL;
    size_t size = 0;
    snprintf(path, sizeof path, "%s/%s", info[2].path, files[f]);
    read_file(path, &good, &size);
    for (size_t cut = 0; cut < size; cut += size / 7 + 1) {
      write_file(path, good, cut);
      expect_loaded(*state, t, 1, 1);
    }
    for (size_t at = 0; at < size; at += size / 40 + 1) {
      unsigned char kept = good[at];
      good[at] ^= (unsigned char)(1u << at % 8);
      /* White space between a manifest's fields means nothing: damage there may be harmless. */
      bool blank = f == 1 && (kept == ' ' || kept == '\n');
      write_file(path, good, size);
      if (!blank) expect_loaded(*state, t, 1, 1);
      good[at] = kept;
    }
    assert_int_equal(unlink(path), 0);
    expect_loaded(*state, t, 1, 1);
    write_file(path, good, size);
    expect_loaded(*state, t, 2, 0);
    free(good);
  }
  pmp_trainer_close(t);
}

static void test_none_is_good(void **state) {
  struct pmp_checkpoint_info info[3], out;
  struct bad bad;
  char path[600], *context = NULL, before[33], after[33];
  struct pmp_trainer *t = three(*state, info);
  for (int i = 0; i < 3; i++) {
    snprintf(path, sizeof path, "%s/manifest.json", info[i].path);
    write_file(path, "{}", 2);
  }
  world_hash(t, before);
  assert_int_equal(load(*state, t, &context, &out, &bad), PMP_ECORRUPT);
  assert_int_equal(bad.count, 3);
  assert_string_equal(bad.path[0], info[2].path);
  world_hash(t, after);
  assert_string_equal(before, after);
  snprintf(path, sizeof path, "%s/nowhere", (char *)*state);
  assert_int_equal(load(path, t, &context, &out, &bad), PMP_ENOTFOUND);
  pmp_trainer_close(t);
}

/* A manifest that hashes well but lacks the daemon's part: bad like any other, and no reason to
 * stop looking. */
static void test_without_context(void **state) {
  struct pmp_checkpoint_info info[3];
  char path[600], check[33];
  struct pmp_trainer *t = three(*state, info);
  snprintf(path, sizeof path, "%s/manifest.json", info[2].path);
  json_t *manifest = json_load_file(path, 0, NULL);
  assert_int_equal(json_object_del(manifest, "context"), 0);
  assert_int_equal(pmp_checkpoint_manifest_check(manifest, check), PMP_OK);
  json_object_set_new(manifest, "check", json_string(check));
  assert_int_equal(json_dump_file(manifest, path, 0), 0);
  json_decref(manifest);
  expect_loaded(*state, t, 1, 1);
  pmp_trainer_close(t);
}

/* A manifest that was moved to another checkpoint's folder does not pass for its own. */
static void test_wrong_folder(void **state) {
  struct pmp_checkpoint_info info[3];
  char from[600], to[600];
  unsigned char *data = NULL;
  size_t size = 0;
  struct pmp_trainer *t = three(*state, info);
  for (int f = 0; f < 2; f++) {
    snprintf(from, sizeof from, "%s/%s", info[0].path,
             f == 0 ? "manifest.json" : "state.safetensors");
    snprintf(to, sizeof to, "%s/%s", info[2].path, f == 0 ? "manifest.json" : "state.safetensors");
    read_file(from, &data, &size);
    write_file(to, data, size);
    free(data);
  }
  expect_loaded(*state, t, 1, 1);
  pmp_trainer_close(t);
}

static void test_other_networks(void **state) {
  struct pmp_checkpoint_info info[3], out;
  struct bad bad;
  char *context = NULL;
  pmp_trainer_close(three(*state, info));
  struct pmp_trainer_config config = world_critic(4);
  config.policy.hidden[1] = 17;
  struct pmp_trainer *t = world_open(&config);
  assert_int_equal(load(*state, t, &context, &out, &bad), PMP_ECONFLICT);
  assert_int_equal(bad.count, 0);
  pmp_trainer_close(t);
  config = world_critic(4);
  config.critic.v_max = 5.0F; /* the same shapes, another meaning */
  t = world_open(&config);
  assert_int_equal(load(*state, t, &context, &out, &bad), PMP_ECONFLICT);
  pmp_trainer_close(t);
  for (int i = 0; i < 2; i++) { /* all of its tensors are there, and more are wanted */
    config = world_critic(4);
    if (i == 0) config.critic.count = 2;
    if (i == 1) config.policy.normalize = true;
    t = world_open(&config);
    assert_int_equal(load(*state, t, &context, &out, &bad), PMP_ECONFLICT);
    pmp_trainer_close(t);
  }
}

/* What was not there when a checkpoint was written is not asked of it: one critic and plain
 * observations are said as they always were. */
static void test_networks_as_before(void **state) {
  (void)state;
  static const char *const want[] = {
      "{\"critic\":{\"act\":2,\"atoms\":11,\"first_layer_norm\":true,\"hidden\":[32,32],\"obs\":3,"
      "\"v_max\":4.0,\"v_min\":0.0},\"policy\":{\"dist\":{\"bins\":0,\"dim\":2,\"high\":1.0,"
      "\"kind\":\"diag_gaussian\",\"low\":-1.0,\"per_dim\":false,\"split\":true,\"squash_mean\":"
      "true,"
      "\"std_min\":0.00999999978,\"std_scale\":0.721347511},\"first_layer_norm\":true,"
      "\"hidden\":[16,16],\"init_mean_range\":0.0,\"init_std\":0.0,\"network\":true,\"obs\":3}}",
      "{\"critic\":{\"act\":2,\"atoms\":11,\"count\":2,\"first_layer_norm\":true,\"hidden\":[32,32]"
      ","
      "\"obs\":3,\"v_max\":4.0,\"v_min\":0.0},\"policy\":{\"dist\":{\"bins\":0,\"dim\":2,"
      "\"high\":1.0,\"kind\":\"diag_gaussian\",\"low\":-1.0,\"per_dim\":false,\"split\":true,"
      "\"squash_mean\":true,\"std_min\":0.00999999978,\"std_scale\":0.721347511},"
      "\"first_layer_norm\":true,\"hidden\":[16,16],\"init_mean_range\":0.0,\"init_std\":0.0,"
      "\"network\":true,\"normalize\":true,\"obs\":3}}"};
  for (int i = 0; i < 3; i++) { /* a count of 0 means 1 */
    struct pmp_trainer_config config = world_critic(4);
    config.critic.count = (uint32_t)i;
    config.policy.normalize = i == 2;
    struct pmp_trainer *t = world_open(&config);
    json_t *json = pmp_checkpoint_networks(t);
    assert_non_null(json);
    char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(9));
    assert_string_equal(text, want[i == 2]);
    free(text);
    json_decref(json);
    pmp_trainer_close(t);
  }
}

/* ---------------------------------------------------------------- the folder */

static void test_list_verify_prune(void **state) {
  const struct pmp_fs *fs = pmp_fs_real();
  struct pmp_checkpoint_info info[3], again, one, *list = NULL;
  size_t count = 0;
  char *context = NULL, path[600];
  struct pmp_errmsg msg;
  struct pmp_trainer *t = three(*state, info);
  save(*state, t, "{\"i\":9}",
       &again); /* the same step again: the old one stays until it is pruned */
  assert_string_not_equal(again.path, info[2].path);
  assert_int_equal(pmp_checkpoint_list(fs, *state, &list, &count, &msg), PMP_OK);
  assert_int_equal(count, 4);
  for (size_t i = 0; i < 3; i++) assert_string_equal(list[i].hash, info[i].hash);
  assert_string_equal(list[3].path, again.path);
  free(list);
  assert_int_equal(pmp_checkpoint_verify(fs, again.path, &one, &context, &msg), PMP_OK);
  assert_string_equal(context, "{\"i\":9}");
  assert_string_equal(one.hash, again.hash);
  free(context);
  snprintf(path, sizeof path, "%s/.tmp-step-000000000012", (char *)*state);
  assert_int_equal(fs->make_dir(fs->self, path, &msg), PMP_OK);
  snprintf(path + strlen(path), sizeof path - strlen(path), "/state.safetensors");
  write_file(path, "half", 4);
  assert_int_equal(pmp_checkpoint_list(fs, *state, &list, &count, &msg), PMP_OK);
  assert_int_equal(count, 4);
  free(list);
  assert_int_equal(pmp_checkpoint_prune(fs, *state, 2, &msg), PMP_OK);
  assert_int_equal(names_in(*state, "step-"), 2);
  assert_int_equal(names_in(*state, ""), 2);
  struct bad bad;
  assert_int_equal(load(*state, t, &context, &one, &bad), PMP_OK);
  assert_string_equal(one.path, again.path);
  assert_int_equal(bad.count, 0);
  free(context);
  pmp_trainer_close(t);
}

/* A run that went back to an earlier checkpoint leaves none of the later, bad ones in its way. */
static void test_abandoned_future(void **state) {
  struct pmp_checkpoint_info info[3], newer;
  char path[600];
  struct pmp_errmsg msg;
  struct pmp_trainer *t = three(*state, info);
  snprintf(path, sizeof path, "%s/manifest.json", info[2].path);
  write_file(path, "{}", 2);
  expect_loaded(*state, t, 1, 1);
  for (uint64_t commit = 1; commit <= 4; commit++) world_rows(t, NULL, commit);
  struct pmp_step_metrics m;
  world_step(t, &m);
  save(*state, t, "{\"i\":1}", &newer);
  assert_int_equal(newer.step, 7);
  assert_int_equal(pmp_checkpoint_prune(pmp_fs_real(), *state, 1, &msg), PMP_OK);
  struct pmp_checkpoint_info out;
  struct bad bad;
  char *context = NULL;
  assert_int_equal(load(*state, t, &context, &out, &bad), PMP_OK);
  assert_int_equal(bad.count, 0);
  assert_string_equal(out.path, newer.path);
  free(context);
  pmp_trainer_close(t);
}

/* ---------------------------------------------------------------- a disk that fails */

/* The real files, but operation number `fail_at` fails. */
struct faulty {
  int operation, fail_at;
};

static bool fails(void *self) {
  struct faulty *f = self;
  return f->operation++ == f->fail_at;
}
static enum pmp_err faulty_write(void *self, const char *path, const void *const *parts,
                                 const size_t *sizes, size_t count, struct pmp_errmsg *msg) {
  if (!fails(self)) return pmp_fs_real()->write_sync(NULL, path, parts, sizes, count, msg);
  size_t half = sizes[0] / 2; /* a torn file stays behind */
  enum pmp_err err = pmp_fs_real()->write_sync(NULL, path, parts, &half, 1, msg);
  return err != PMP_OK ? err : pmp_fail(msg, PMP_ENOSPC, "no space");
}
static enum pmp_err faulty_read(void *self, const char *path, size_t max, void **data, size_t *size,
                                struct pmp_errmsg *msg) {
  return fails(self) ? pmp_fail(msg, PMP_EIO, "read error")
                     : pmp_fs_real()->read_all(NULL, path, max, data, size, msg);
}
static enum pmp_err faulty_rename(void *self, const char *from, const char *to,
                                  struct pmp_errmsg *msg) {
  return fails(self) ? pmp_fail(msg, PMP_EIO, "rename")
                     : pmp_fs_real()->rename(NULL, from, to, msg);
}
static enum pmp_err faulty_sync(void *self, const char *path, struct pmp_errmsg *msg) {
  return fails(self) ? pmp_fail(msg, PMP_EIO, "sync") : pmp_fs_real()->sync_dir(NULL, path, msg);
}
static enum pmp_err faulty_make(void *self, const char *path, struct pmp_errmsg *msg) {
  return fails(self) ? pmp_fail(msg, PMP_ENOSPC, "mkdir")
                     : pmp_fs_real()->make_dir(NULL, path, msg);
}
static enum pmp_err faulty_remove(void *self, const char *path, struct pmp_errmsg *msg) {
  return fails(self) ? pmp_fail(msg, PMP_EIO, "remove") : pmp_fs_real()->remove(NULL, path, msg);
}
static enum pmp_err faulty_list(void *self, const char *path, char (**names)[PMP_FS_NAME_MAX],
                                size_t *count, struct pmp_errmsg *msg) {
  return fails(self) ? pmp_fail(msg, PMP_EIO, "list")
                     : pmp_fs_real()->list(NULL, path, names, count, msg);
}

static void test_failing_disk(void **state) {
  struct pmp_checkpoint_info info[3], out;
  struct pmp_trainer *t = three(*state, info);
  struct pmp_step_metrics m;
  struct faulty f = {0};
  const struct pmp_fs fs = {&f,          faulty_write, faulty_read,   faulty_rename,
                            faulty_sync, faulty_make,  faulty_remove, faulty_list};
  bool done = false;
  for (f.fail_at = 0; !done; f.fail_at++) {
    assert_true(f.fail_at < 60);
    struct pmp_errmsg msg = {{0}};
    struct bad bad = {0};
    char *context = NULL;
    world_step(t, &m);
    f.operation = 0;
    enum pmp_err err = pmp_checkpoint_save(&fs, *state, t, "{\"i\":2}", &out, &msg);
    if (err == PMP_OK) err = pmp_checkpoint_prune(&fs, *state, 2, &msg);
    done = f.operation <= f.fail_at;
    assert_true(done == (err == PMP_OK));
    struct pmp_trainer_config config = world_critic(4);
    struct pmp_trainer *other = world_open(&config);
    assert_int_equal(load(*state, other, &context, &out, &bad),
                     PMP_OK); /* the old one or the new one, whole */
    assert_int_equal(bad.count, 0);
    assert_true(out.step <= pmp_trainer_steps(t) && out.step >= 9);
    free(context);
    pmp_trainer_close(other);
  }
  assert_true(f.fail_at > 8);
  assert_int_equal(names_in(*state, ""), 2);
  f.fail_at = 1; /* the newest one's manifest cannot be read: the one before is taken */
  f.operation = 0;
  struct bad bad = {0};
  char *context = NULL;
  assert_int_equal(pmp_checkpoint_load(&fs, *state, t, &context, &out, note_bad, &bad, NULL),
                   PMP_OK);
  assert_int_equal(bad.count, 1);
  free(context);
  pmp_trainer_close(t);
}

static void test_bad_context(void **state) {
  struct pmp_trainer_config config = world_critic(4);
  struct pmp_trainer *t = world_open(&config);
  struct pmp_checkpoint_info info;
  struct pmp_errmsg msg;
  const char *contexts[] = {"", "7", "[1]", "{\"a\":1,\"a\":2}", "{"};
  for (int i = 0; i < 5; i++)
    assert_int_equal(pmp_checkpoint_save(pmp_fs_real(), *state, t, contexts[i], &info, &msg),
                     PMP_EINVALID);
  assert_int_equal(names_in(*state, ""), 0);
  pmp_trainer_close(t);
}

int main(void) {
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, drop_folder)
  const struct CMUnitTest tests[] = {IN_FOLDER(test_resumed_is_uninterrupted),
                                     IN_FOLDER(test_resumed_bandit),
                                     IN_FOLDER(test_same_bytes),
                                     IN_FOLDER(test_falls_back),
                                     IN_FOLDER(test_none_is_good),
                                     IN_FOLDER(test_without_context),
                                     IN_FOLDER(test_wrong_folder),
                                     IN_FOLDER(test_other_networks),
                                     cmocka_unit_test(test_networks_as_before),
                                     IN_FOLDER(test_list_verify_prune),
                                     IN_FOLDER(test_abandoned_future),
                                     IN_FOLDER(test_failing_disk),
                                     IN_FOLDER(test_bad_context)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
