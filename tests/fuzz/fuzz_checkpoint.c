/* Checkpoints. The input is a manifest, a NUL and a state file. Read as it is, then with the hashes
 * put right, as only chance would: what passes is loaded into a trainer. */
#include "learner/checkpoint_folder.h"
#include "tests/fuzz/fuzz.h"
#include "tests/learner/trainer_world.h"

#include <inttypes.h>

enum { STEP_TEXT = 64 };

/* A folder with one checkpoint, read only. */
struct folder {
  const void *manifest, *state;
  size_t manifest_bytes, state_bytes;
  char name[STEP_TEXT];
};

static enum pmp_err folder_read(void *self, const char *path, size_t max, void **data, size_t *size,
                                struct pmp_errmsg *msg) {
  const struct folder *f = self;
  const bool manifest = strstr(path, "/" PMP_CHECKPOINT_MANIFEST) != NULL;
  const size_t bytes = manifest ? f->manifest_bytes : f->state_bytes;
  (void)max;
  if (!manifest && f->state == NULL) return pmp_fail(msg, PMP_ENOTFOUND, "no state");
  *data = malloc(bytes > 0 ? bytes : 1); /* exactly: a read behind it shows */
  FUZZ_CHECK(*data != NULL, "no memory");
  if (bytes > 0) memcpy(*data, manifest ? f->manifest : f->state, bytes);
  *size = bytes;
  return PMP_OK;
}

static enum pmp_err folder_list(void *self, const char *path, char (**names)[PMP_FS_NAME_MAX],
                                size_t *count, struct pmp_errmsg *msg) {
  const struct folder *f = self;
  (void)path;
  (void)msg;
  *names = calloc(2, sizeof **names);
  FUZZ_CHECK(*names != NULL, "no memory");
  snprintf((*names)[0], PMP_FS_NAME_MAX, ".tmp-%s", f->name);
  snprintf((*names)[1], PMP_FS_NAME_MAX, "%s", f->name);
  *count = 2;
  return PMP_OK;
}

static void say_bad(void *ctx, const char *path, const char *why) {
  int *bad = ctx;
  ++*bad;
  FUZZ_CHECK(path[0] != '\0' && why[0] != '\0', "bad without a reason");
}

/* Into a trainer of the same networks, if the manifest says so. */
static void load(const struct pmp_fs *fs, const struct pmp_checkpoint_info *info) {
  static struct pmp_trainer *trainer;
  struct pmp_checkpoint_info loaded;
  struct pmp_errmsg msg = {{0}};
  char *context = NULL;
  int bad = 0;
  if (trainer == NULL) {
    const struct pmp_trainer_config config = world_bandit(5);
    trainer = world_open(&config);
  }
  enum pmp_err err =
      pmp_checkpoint_load(fs, "runs", trainer, &context, &loaded, say_bad, &bad, &msg);
  if (err != PMP_OK) {
    FUZZ_CHECK(err == PMP_ECONFLICT || err == PMP_ECORRUPT || err == PMP_ENOTFOUND, "%s",
               pmp_err_name(err));
    FUZZ_CHECK(context == NULL, "a context without a checkpoint");
    FUZZ_REFUSED(err, &msg);
    return;
  }
  FUZZ_CHECK(loaded.step == info->step && bad == 0, "step %" PRIu64, loaded.step);
  free(context);
}

static enum pmp_err inspect(struct folder *f) {
  const struct pmp_fs fs = {.self = f, .read_all = folder_read, .list = folder_list};
  struct pmp_checkpoint_info info, *list = NULL;
  struct pmp_errmsg msg = {{0}};
  char *context = NULL, path[STEP_TEXT + 8];
  size_t count = 999;
  snprintf(path, sizeof path, "runs/%s", f->name);
  enum pmp_err err = pmp_checkpoint_verify(&fs, path, &info, &context, &msg);
  if (err == PMP_OK) {
    FUZZ_CHECK(strlen(info.hash) == 32 && strlen(info.fingerprint) == 64, "hash %s", info.hash);
    FUZZ_CHECK(strcmp(info.path, path) == 0 && context != NULL, "path %s", info.path);
    load(&fs, &info);
  } else {
    FUZZ_CHECK(err == PMP_ECORRUPT, "%s", pmp_err_name(err));
    FUZZ_CHECK(context == NULL, "a context without a checkpoint");
    FUZZ_REFUSED(err, &msg);
  }
  free(context);
  FUZZ_OK(pmp_checkpoint_list(&fs, "runs", &list, &count, &msg), &msg);
  FUZZ_CHECK(count <= 1 && (err != PMP_OK || count == 1), "%zu checkpoints", count);
  free(list);
  return err;
}

/* The manifest with its hashes put right and its own step's folder; NULL when it is no object. */
static char *heal(struct folder *f) {
  json_t *root = json_loadb(f->manifest, f->manifest_bytes, JSON_REJECT_DUPLICATES, NULL);
  char hash[33], *text = NULL;
  if (json_is_object(root)) {
    const XXH128_hash_t digest = XXH3_128bits(f->state, f->state_bytes);
    snprintf(hash, sizeof hash, "%016" PRIx64 "%016" PRIx64, (uint64_t)digest.high64,
             (uint64_t)digest.low64);
    json_t *state = json_object_get(root, "state");
    if (json_is_object(state)) json_object_set_new(state, "hash", json_string(hash));
    if (pmp_checkpoint_manifest_check(root, hash) == PMP_OK)
      json_object_set_new(root, "check", json_string(hash));
    const json_int_t step = json_integer_value(json_object_get(root, "step"));
    snprintf(f->name, sizeof f->name, "step-%012" PRIu64, (uint64_t)step);
    text = json_dumps(root, JSON_COMPACT);
  }
  json_decref(root);
  return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const uint8_t *end = size > 0 ? memchr(data, '\0', size) : NULL;
  struct folder f = {.manifest = data, .manifest_bytes = end != NULL ? (size_t)(end - data) : size};
  snprintf(f.name, sizeof f.name, "step-%012d", 3);
  if (end != NULL) {
    f.state = end + 1;
    f.state_bytes = size - f.manifest_bytes - 1;
  }
  (void)inspect(&f);
  if (f.state == NULL) return 0;
  char *manifest = heal(&f);
  if (manifest == NULL) return 0;
  f.manifest = manifest;
  f.manifest_bytes = strlen(manifest);
  (void)inspect(&f);
  free(manifest);
  return 0;
}
