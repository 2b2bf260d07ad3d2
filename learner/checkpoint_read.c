/* Reading checkpoints: everything is checked before anything of it is used. */
#include "learner/checkpoint_folder.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MANIFEST_MAX ((size_t)4 << 20)
#define STATE_MAX ((size_t)1 << 40)

/* ---------------------------------------------------------------- one checkpoint */

void pmp_checkpoint_content_fini(struct pmp_checkpoint_content *c) {
  pmp_st_fini(&c->st);
  free(c->data);
  json_decref(c->manifest);
  *c = (struct pmp_checkpoint_content){0};
}

/* A file that cannot be read makes the checkpoint bad, whatever the reason; only memory is the
 * process's own trouble. */
static enum pmp_err read_file(const struct pmp_fs *fs, const char *path, const char *name,
                              size_t max, void **data, size_t *size, struct pmp_errmsg *msg) {
  char file[PMP_CHECKPOINT_PATH_MAX];
  struct pmp_errmsg why = {{0}};
  PMP_TRY(pmp_checkpoint_path(file, path, name, msg));
  enum pmp_err err = fs->read_all(fs->self, file, max, data, size, &why);
  if (err == PMP_OK || err == PMP_ENOMEM) return err;
  return pmp_fail(msg, PMP_ECORRUPT, "%s: %s", name,
                  why.text[0] != 0 ? why.text : pmp_err_name(err));
}

static enum pmp_err read_manifest(const struct pmp_fs *fs, const char *path,
                                  struct pmp_checkpoint_content *out,
                                  struct pmp_checkpoint_info *info, struct pmp_errmsg *msg) {
  void *text = NULL;
  size_t size = 0;
  json_error_t error;
  char check[33];
  PMP_TRY(read_file(fs, path, PMP_CHECKPOINT_MANIFEST, MANIFEST_MAX, &text, &size, msg));
  out->manifest = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
  free(text);
  if (out->manifest == NULL)
    return pmp_fail(msg, PMP_ECORRUPT, PMP_CHECKPOINT_MANIFEST ": line %d: %s", error.line,
                    error.text);
  PMP_TRY(pmp_checkpoint_manifest_check(out->manifest, check));
  const char *own = json_string_value(json_object_get(out->manifest, "check"));
  if (own == NULL || strcmp(own, check) != 0)
    return pmp_fail(msg, PMP_ECORRUPT, PMP_CHECKPOINT_MANIFEST " does not match its own check");
  json_int_t format = 0, step = 0;
  const char *hash = NULL, *fingerprint = NULL;
  if (json_unpack(out->manifest, "{s:I,s:I,s:{s:s},s:s}", "format", &format, "step", &step, "state",
                  "hash", &hash, "fingerprint", &fingerprint) != 0 ||
      step < 0 || !json_is_object(json_object_get(out->manifest, "context")) ||
      strlen(hash) != sizeof info->hash - 1 || strlen(fingerprint) != sizeof info->fingerprint - 1)
    return pmp_fail(msg, PMP_ECORRUPT, PMP_CHECKPOINT_MANIFEST " lacks a field");
  if (format != PMP_CHECKPOINT_FORMAT)
    return pmp_fail(msg, PMP_ECORRUPT, "format %" PRId64 "; this build reads %d", (int64_t)format,
                    PMP_CHECKPOINT_FORMAT);
  *info = (struct pmp_checkpoint_info){.step = (uint64_t)step};
  snprintf(info->path, sizeof info->path, "%s", path);
  memcpy(info->hash, hash, sizeof info->hash);
  memcpy(info->fingerprint, fingerprint, sizeof info->fingerprint);
  return PMP_OK;
}

static enum pmp_err check_name(const char *path, const struct pmp_checkpoint_info *info,
                               struct pmp_errmsg *msg) {
  struct pmp_checkpoint_entry entry;
  const char *slash = strrchr(path, '/'), *name = slash == NULL ? path : slash + 1;
  if (!pmp_checkpoint_name_parse(name, &entry)) return PMP_OK; /* moved elsewhere by a person */
  if (entry.step == info->step) return PMP_OK;
  return pmp_fail(msg, PMP_ECORRUPT, "the manifest is of step %" PRIu64, info->step);
}

static enum pmp_err read_state(const struct pmp_fs *fs, const char *path,
                               struct pmp_checkpoint_content *out,
                               const struct pmp_checkpoint_info *info, struct pmp_errmsg *msg) {
  size_t size = 0;
  char hash[33];
  PMP_TRY(read_file(fs, path, PMP_CHECKPOINT_STATE, STATE_MAX, &out->data, &size, msg));
  XXH128_hash_t digest = XXH3_128bits(out->data, size);
  snprintf(hash, sizeof hash, "%016" PRIx64 "%016" PRIx64, (uint64_t)digest.high64,
           (uint64_t)digest.low64);
  if (strcmp(hash, info->hash) != 0)
    return pmp_fail(msg, PMP_ECORRUPT, PMP_CHECKPOINT_STATE " (%zu bytes) has hash %s, not %s",
                    size, hash, info->hash);
  return pmp_st_parse(&out->st, out->data, size, msg);
}

enum pmp_err pmp_checkpoint_read(const struct pmp_fs *fs, const char *path, bool whole,
                                 struct pmp_checkpoint_content *out,
                                 struct pmp_checkpoint_info *info, struct pmp_errmsg *msg) {
  *out = (struct pmp_checkpoint_content){0};
  enum pmp_err err = read_manifest(fs, path, out, info, msg);
  if (err == PMP_OK) err = check_name(path, info, msg);
  if (err == PMP_OK && whole) err = read_state(fs, path, out, info, msg);
  if (err != PMP_OK) pmp_checkpoint_content_fini(out);
  return err;
}

/* ---------------------------------------------------------------- into a trainer */

static const struct pmp_st_tensor *find_words(const struct pmp_checkpoint_content *c,
                                              const char *name, size_t count) {
  const struct pmp_st_tensor *tensor = pmp_st_find(&c->st, name);
  return tensor != NULL && tensor->dtype == PMP_ST_U64 && tensor->bytes == count * sizeof(uint64_t)
             ? tensor
             : NULL;
}

static const struct pmp_st_tensor *find_view(const struct pmp_checkpoint_content *c,
                                             enum pmp_trainer_buffer_id id,
                                             const struct pmp_view *view) {
  char name[PMP_ST_NAME_MAX];
  snprintf(name, sizeof name, "%s/%s", pmp_trainer_buffer_name(id), view->name);
  const struct pmp_st_tensor *tensor = pmp_st_find(&c->st, name);
  bool fits = tensor != NULL && tensor->dtype == PMP_ST_F32 && tensor->rank == view->rank;
  for (uint32_t d = 0; fits && d < view->rank; d++) fits = tensor->shape[d] == view->shape[d];
  return fits ? tensor : NULL;
}

static enum pmp_err match(const struct pmp_trainer *t, const struct pmp_checkpoint_content *c,
                          struct pmp_errmsg *msg) {
  json_t *own = pmp_checkpoint_networks(t);
  if (own == NULL) return pmp_fail(msg, PMP_ENOMEM, "no memory to compare a checkpoint");
  bool same = json_equal(own, json_object_get(c->manifest, "networks")) != 0;
  json_decref(own);
  if (!same)
    return pmp_fail(msg, PMP_ECONFLICT,
                    "the checkpoint is of another configuration of policy or critic");
  for (int id = 0; id < PMP_BUFFERS; id++) {
    const struct pmp_manifest *manifest =
        pmp_trainer_buffer_manifest(t, (enum pmp_trainer_buffer_id)id);
    for (uint32_t v = 0; v < manifest->views; v++) {
      if (find_view(c, (enum pmp_trainer_buffer_id)id, &manifest->view[v]) == NULL)
        return pmp_fail(msg, PMP_ECONFLICT, "the checkpoint has no %s/%s of this shape",
                        pmp_trainer_buffer_name((enum pmp_trainer_buffer_id)id),
                        manifest->view[v].name);
    }
  }
  if (find_words(c, PMP_CHECKPOINT_WORDS, PMP_TRAINER_WORDS) == NULL ||
      find_words(c, PMP_CHECKPOINT_MARK, PMP_REPLAY_MARK_WORDS) == NULL)
    return pmp_fail(msg, PMP_ECONFLICT, "the checkpoint's counters are of another build");
  if (t->improve_doubles > 0 && find_words(c, PMP_CHECKPOINT_IMPROVE, t->improve_doubles) == NULL)
    return pmp_fail(msg, PMP_ECONFLICT,
                    "the checkpoint has no state of the closed form (objective.improvement)");
  if (t->moments_doubles > 0 && find_words(c, PMP_CHECKPOINT_MOMENTS, t->moments_doubles) == NULL)
    return pmp_fail(msg, PMP_ECONFLICT,
                    "the checkpoint has no moments of observations "
                    "(learner.normalize_observations)");
  return PMP_OK;
}

/* A ring that has seen rows is replaced by a fresh one. */
static enum pmp_err fresh_ring(struct pmp_trainer *t, struct pmp_errmsg *msg) {
  struct pmp_replay_stats stats;
  struct pmp_replay *fresh = NULL;
  pmp_replay_stats(t->replay, &stats);
  if (stats.became_trainable == 0 && stats.last_commit == 0 && stats.pending == 0) return PMP_OK;
  PMP_TRY(pmp_replay_open(&fresh, &t->config.replay, msg));
  pmp_replay_close(t->replay);
  t->replay = fresh;
  return PMP_OK;
}

static enum pmp_err restore(struct pmp_trainer *t, const struct pmp_checkpoint_content *c,
                            struct pmp_errmsg *msg) {
  uint64_t words[PMP_TRAINER_WORDS];
  struct pmp_replay_mark mark;
  PMP_TRY(match(t, c, msg));
  PMP_TRY(fresh_ring(t, msg));
  for (int id = 0; id < PMP_BUFFERS; id++) {
    const struct pmp_manifest *manifest =
        pmp_trainer_buffer_manifest(t, (enum pmp_trainer_buffer_id)id);
    for (uint32_t v = 0; v < manifest->views; v++) {
      const struct pmp_view *view = &manifest->view[v];
      memcpy(t->buffer[id] + view->offset, find_view(c, (enum pmp_trainer_buffer_id)id, view)->data,
             view->count * sizeof(float));
    }
  }
  if (t->improve_doubles > 0)
    memcpy(t->improve, find_words(c, PMP_CHECKPOINT_IMPROVE, t->improve_doubles)->data,
           t->improve_doubles * sizeof(double));
  if (t->moments_doubles > 0)
    memcpy(t->moments, find_words(c, PMP_CHECKPOINT_MOMENTS, t->moments_doubles)->data,
           t->moments_doubles * sizeof(double));
  memcpy(words, find_words(c, PMP_CHECKPOINT_WORDS, PMP_TRAINER_WORDS)->data, sizeof words);
  pmp_trainer_unpack(t, words);
  memcpy(words, find_words(c, PMP_CHECKPOINT_MARK, PMP_REPLAY_MARK_WORDS)->data,
         PMP_REPLAY_MARK_WORDS * sizeof *words);
  pmp_checkpoint_mark_unpack(&mark, words);
  pmp_trainer_set_version(t, t->counters.version);
  pmp_replay_resume(t->replay, &mark);
  return PMP_OK;
}

static enum pmp_err copy_context(const struct pmp_checkpoint_content *c, char **context,
                                 struct pmp_errmsg *msg) {
  *context = json_dumps(json_object_get(c->manifest, "context"), JSON_COMPACT | JSON_SORT_KEYS);
  return *context != NULL ? PMP_OK
                          : pmp_fail(msg, PMP_ENOMEM, "no memory for a checkpoint's context");
}

enum pmp_err pmp_checkpoint_load(const struct pmp_fs *fs, const char *dir, struct pmp_trainer *t,
                                 char **context, struct pmp_checkpoint_info *info,
                                 void (*bad)(void *ctx, const char *path, const char *why),
                                 void *ctx, struct pmp_errmsg *msg) {
  struct pmp_checkpoint_entry *entry = NULL;
  size_t count = 0;
  *context = NULL;
  PMP_TRY(pmp_checkpoint_entries(fs, dir, &entry, &count, msg));
  enum pmp_err err = count == 0 ? pmp_fail(msg, PMP_ENOTFOUND, "no checkpoint in %s", dir)
                                : pmp_fail(msg, PMP_ECORRUPT,
                                           "none of the %zu checkpoints in %s is good", count, dir);
  for (size_t i = count; i-- > 0;) {
    struct pmp_checkpoint_content content = {0};
    struct pmp_errmsg why = {{0}};
    char path[PMP_CHECKPOINT_PATH_MAX];
    enum pmp_err one = pmp_checkpoint_path(path, dir, entry[i].name, &why);
    if (one == PMP_OK) one = pmp_checkpoint_read(fs, path, true, &content, info, &why);
    if (one == PMP_ECORRUPT) {
      if (bad != NULL) bad(ctx, path, why.text);
      continue;
    }
    if (one == PMP_OK) one = copy_context(&content, context, &why);
    if (one == PMP_OK) one = restore(t, &content, &why);
    pmp_checkpoint_content_fini(&content);
    err = one == PMP_OK ? PMP_OK : pmp_fail(msg, one, "%.400s", why.text);
    break;
  }
  if (err != PMP_OK) {
    free(*context);
    *context = NULL;
  }
  free(entry);
  return err;
}

/* ---------------------------------------------------------------- looking at them */

enum pmp_err pmp_checkpoint_verify(const struct pmp_fs *fs, const char *path,
                                   struct pmp_checkpoint_info *info, char **context,
                                   struct pmp_errmsg *msg) {
  struct pmp_checkpoint_content content;
  if (context != NULL) *context = NULL;
  PMP_TRY(pmp_checkpoint_read(fs, path, true, &content, info, msg));
  enum pmp_err err = context != NULL ? copy_context(&content, context, msg) : PMP_OK;
  pmp_checkpoint_content_fini(&content);
  return err;
}

enum pmp_err pmp_checkpoint_list(const struct pmp_fs *fs, const char *dir,
                                 struct pmp_checkpoint_info **list, size_t *count,
                                 struct pmp_errmsg *msg) {
  struct pmp_checkpoint_entry *entry = NULL;
  size_t found = 0;
  *list = NULL;
  *count = 0;
  PMP_TRY(pmp_checkpoint_entries(fs, dir, &entry, &found, msg));
  enum pmp_err err = PMP_OK;
  *list = calloc(found + 1, sizeof **list);
  if (*list == NULL) err = pmp_fail(msg, PMP_ENOMEM, "no memory for the list of checkpoints");
  for (size_t i = 0; err == PMP_OK && i < found; i++) {
    struct pmp_checkpoint_content content;
    char path[PMP_CHECKPOINT_PATH_MAX];
    err = pmp_checkpoint_path(path, dir, entry[i].name, msg);
    if (err != PMP_OK) break;
    enum pmp_err one = pmp_checkpoint_read(fs, path, false, &content, &(*list)[*count], msg);
    if (one == PMP_OK) {
      pmp_checkpoint_content_fini(&content);
      ++*count;
    } else if (one != PMP_ECORRUPT) {
      err = one;
    }
  }
  free(entry);
  if (err == PMP_OK) return PMP_OK;
  free(*list);
  *list = NULL;
  *count = 0;
  return err;
}
