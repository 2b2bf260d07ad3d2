#include "learner/checkpoint.h"

#include "learner/checkpoint_folder.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TENSORS_MAX = PMP_BUFFERS * PMP_VIEWS_MAX + 4, STEP_DIGITS = 12, REVISION_DIGITS = 4 };

/* ---------------------------------------------------------------- names */

static bool parse_digits(const char **text, int digits, uint64_t *out) {
  *out = 0;
  int seen = 0;
  for (; **text >= '0' && **text <= '9' && seen < 19; seen++, (*text)++)
    *out = *out * 10 + (uint64_t)(**text - '0');
  return seen >= digits;
}

bool pmp_checkpoint_name_parse(const char *name, struct pmp_checkpoint_entry *out) {
  const char *at = name;
  uint64_t revision = 0;
  *out = (struct pmp_checkpoint_entry){0};
  if (strlen(name) >= sizeof out->name || strncmp(at, "step-", 5) != 0) return false;
  at += 5;
  if (!parse_digits(&at, STEP_DIGITS, &out->step)) return false;
  if (strncmp(at, "-r", 2) == 0) {
    at += 2;
    if (!parse_digits(&at, REVISION_DIGITS, &revision) || revision > UINT32_MAX) return false;
  }
  out->revision = (uint32_t)revision;
  memcpy(out->name, name, strlen(name) + 1);
  return *at == 0;
}

static int compare_entries(const void *a, const void *b) {
  const struct pmp_checkpoint_entry *x = a, *y = b;
  if (x->step != y->step) return x->step < y->step ? -1 : 1;
  return (x->revision > y->revision) - (x->revision < y->revision);
}

enum pmp_err pmp_checkpoint_entries(const struct pmp_fs *fs, const char *dir,
                                    struct pmp_checkpoint_entry **out, size_t *count,
                                    struct pmp_errmsg *msg) {
  char(*names)[PMP_FS_NAME_MAX] = NULL;
  size_t found = 0;
  *out = NULL;
  *count = 0;
  enum pmp_err err = fs->list(fs->self, dir, &names, &found, msg);
  if (err == PMP_ENOTFOUND) return PMP_OK;
  if (err != PMP_OK) return err;
  *out = calloc(found + 1, sizeof **out);
  if (*out == NULL) {
    free(names);
    return pmp_fail(msg, PMP_ENOMEM, "no memory for the list of checkpoints");
  }
  for (size_t i = 0; i < found; i++) *count += pmp_checkpoint_name_parse(names[i], &(*out)[*count]);
  free(names);
  qsort(*out, *count, sizeof **out, compare_entries);
  return PMP_OK;
}

enum pmp_err pmp_checkpoint_path(char out[PMP_CHECKPOINT_PATH_MAX], const char *dir,
                                 const char *name, struct pmp_errmsg *msg) {
  int length = snprintf(out, PMP_CHECKPOINT_PATH_MAX, "%s/%s", dir, name);
  if (length < 0 || length >= PMP_CHECKPOINT_PATH_MAX)
    return pmp_fail(msg, PMP_EINVALID, "the path of a checkpoint in %s is too long", dir);
  return PMP_OK;
}

/* ---------------------------------------------------------------- what is written */

struct state_file {
  struct pmp_st_tensor tensor[TENSORS_MAX];
  const void *part[TENSORS_MAX + 1];
  size_t size[TENSORS_MAX + 1];
  size_t tensors, bytes;
  void *header; /* owned */
  uint64_t words[PMP_TRAINER_WORDS];
  uint64_t mark[PMP_REPLAY_MARK_WORDS];
  char hash[33];
};

static void add_words(struct state_file *s, const char *name, const void *words, size_t count) {
  struct pmp_st_tensor *tensor = &s->tensor[s->tensors++];
  *tensor = (struct pmp_st_tensor){
      .dtype = PMP_ST_U64, .rank = 1, .shape = {count}, .data = words, .bytes = count * 8};
  snprintf(tensor->name, sizeof tensor->name, "%s", name);
}

/* One buffer, a tensor for each view: "pi/policy/linear_0/weight". */
static void add_buffer(struct state_file *s, const struct pmp_trainer *t,
                       enum pmp_trainer_buffer_id id) {
  const struct pmp_manifest *manifest = pmp_trainer_buffer_manifest(t, id);
  for (uint32_t v = 0; v < manifest->views; v++) {
    const struct pmp_view *view = &manifest->view[v];
    struct pmp_st_tensor *tensor = &s->tensor[s->tensors++];
    *tensor = (struct pmp_st_tensor){.dtype = PMP_ST_F32, .rank = view->rank};
    snprintf(tensor->name, sizeof tensor->name, "%s/%s", pmp_trainer_buffer_name(id), view->name);
    for (uint32_t d = 0; d < view->rank; d++) tensor->shape[d] = view->shape[d];
    tensor->data = t->buffer[id] + view->offset;
    tensor->bytes = view->count * sizeof(float);
  }
}

void pmp_checkpoint_digest(XXH3_state_t *state, char out[33]) {
  XXH128_hash_t hash = XXH3_128bits_digest(state);
  snprintf(out, 33, "%016" PRIx64 "%016" PRIx64, (uint64_t)hash.high64, (uint64_t)hash.low64);
}

void pmp_checkpoint_mark_pack(const struct pmp_replay_mark *m, uint64_t w[PMP_REPLAY_MARK_WORDS]) {
  const uint64_t words[PMP_REPLAY_MARK_WORDS] = {
      m->became_trainable, m->consumed,    m->stale_dropped, m->evicted,    m->broken,
      m->first_commit,     m->last_commit, m->from_commit,   m->from.chunk, m->from.row};
  memcpy(w, words, sizeof words);
}

void pmp_checkpoint_mark_unpack(struct pmp_replay_mark *m,
                                const uint64_t w[PMP_REPLAY_MARK_WORDS]) {
  *m = (struct pmp_replay_mark){.became_trainable = w[0],
                                .consumed = w[1],
                                .stale_dropped = w[2],
                                .evicted = w[3],
                                .broken = w[4],
                                .first_commit = w[5],
                                .last_commit = w[6],
                                .from_commit = w[7],
                                .from = {.chunk = w[8], .row = (uint32_t)w[9]}};
}

static enum pmp_err make_state(const struct pmp_trainer *t, struct state_file *s,
                               struct pmp_errmsg *msg) {
  pmp_trainer_pack(t, s->words);
  struct pmp_replay_mark mark;
  pmp_replay_mark(t->replay, &mark);
  pmp_checkpoint_mark_pack(&mark, s->mark);
  add_words(s, PMP_CHECKPOINT_WORDS, s->words, PMP_TRAINER_WORDS);
  add_words(s, PMP_CHECKPOINT_MARK, s->mark, PMP_REPLAY_MARK_WORDS);
  if (t->improve_doubles > 0) add_words(s, PMP_CHECKPOINT_IMPROVE, t->improve, t->improve_doubles);
  if (t->moments_doubles > 0) add_words(s, PMP_CHECKPOINT_MOMENTS, t->moments, t->moments_doubles);
  for (int id = 0; id < PMP_BUFFERS; id++) {
    if (t->floats[id] > 0) add_buffer(s, t, (enum pmp_trainer_buffer_id)id);
  }
  const struct pmp_st_meta meta = {.key = "format", .value = "pmpod-checkpoint"};
  size_t header = 0;
  PMP_TRY(pmp_st_header(s->tensor, s->tensors, &meta, 1, &s->header, &header, msg));
  s->part[0] = s->header;
  s->size[0] = s->bytes = header;
  for (size_t i = 0; i < s->tensors; i++) {
    s->part[i + 1] = s->tensor[i].data;
    s->size[i + 1] = s->tensor[i].bytes;
    s->bytes += s->tensor[i].bytes;
  }
  XXH3_state_t *hash = XXH3_createState();
  if (hash == NULL) return pmp_fail(msg, PMP_ENOMEM, "no memory for a hash");
  XXH3_128bits_reset(hash);
  for (size_t i = 0; i <= s->tensors; i++) XXH3_128bits_update(hash, s->part[i], s->size[i]);
  pmp_checkpoint_digest(hash, s->hash);
  XXH3_freeState(hash);
  return PMP_OK;
}

static json_t *critic_json(const struct pmp_critic_config *c) {
  json_t *hidden = json_array();
  for (uint32_t i = 0; hidden != NULL && i < c->hidden_count; i++)
    json_array_append_new(hidden, json_integer((json_int_t)c->hidden[i]));
  json_t *json = json_pack("{s:I,s:I,s:o,s:b,s:I,s:f,s:f}", "obs", (json_int_t)c->obs, "act",
                           (json_int_t)c->act, "hidden", hidden, "first_layer_norm",
                           (int)c->first_layer_norm, "atoms", (json_int_t)c->atoms, "v_min",
                           (double)c->v_min, "v_max", (double)c->v_max);
  /* What checkpoints from before it did not have is said by leaving it out: one network, LayerNorm
   * on the first layer only. */
  if ((c->count > 1 && json_object_set_new(json, "count", json_integer(c->count)) != 0) ||
      (c->layer_norm_all && json_object_set_new(json, "layer_norm_all", json_true()) != 0)) {
    json_decref(json);
    return NULL;
  }
  return json;
}

json_t *pmp_checkpoint_networks(const struct pmp_trainer *t) {
  char *text = NULL;
  if (pmp_policy_spec_to_json(&t->config.policy, &text) != PMP_OK) return NULL;
  json_t *policy = json_loads(text, 0, NULL);
  free(text);
  const bool values = pmp_trainer_has_critic(&t->config) || pmp_trainer_has_value(&t->config);
  json_t *critic = values ? critic_json(&t->critic.config) : json_null();
  return json_pack("{s:o,s:o}", "policy", policy, "critic", critic);
}

/* For people and tools; nothing reads it back. */
static json_t *config_json(const struct pmp_trainer *t) {
  const struct pmp_trainer_config *c = &t->config;
  const struct pmp_replay_config *r = &c->replay;
  return json_pack(
      "{s:I,s:i,s:s,s:i,s:f,s:f,s:f,s:b,s:f,s:f,s:I,s:I,s:I,s:I,s:I,s:I,s:f}", "seed",
      (json_int_t)c->seed, "judge", (int)c->judge, "objective", c->objective, "averaging",
      (int)c->loss.averaging, "alpha", (double)c->loss.alpha, "beta_0", (double)c->loss.beta[0],
      "beta_1", (double)c->loss.beta[1], "beta_auto", (int)c->beta_auto, "lr",
      (double)c->policy_optim.lr, "critic_lr", (double)c->critic_optim.lr, "label_samples",
      (json_int_t)c->label_samples, "value_samples", (json_int_t)c->value_samples, "batch",
      (json_int_t)c->batch, "refresh_period", (json_int_t)c->refresh_period, "capacity",
      (json_int_t)r->capacity, "n_step", (json_int_t)r->n_step, "discount", (double)r->discount);
}

enum pmp_err pmp_checkpoint_manifest_check(const json_t *manifest, char out[33]) {
  json_t *copy =
      json_copy((json_t *)(uintptr_t)manifest); /* shallow: only its own table is changed */
  if (copy == NULL) return PMP_ENOMEM;
  json_object_del(copy, "check");
  char *text = json_dumps(copy, JSON_COMPACT | JSON_SORT_KEYS);
  json_decref(copy);
  if (text == NULL) return PMP_ENOMEM;
  XXH128_hash_t hash = XXH3_128bits(text, strlen(text));
  free(text);
  snprintf(out, 33, "%016" PRIx64 "%016" PRIx64, (uint64_t)hash.high64, (uint64_t)hash.low64);
  return PMP_OK;
}

static enum pmp_err make_manifest(struct pmp_trainer *t, const struct state_file *s,
                                  const char *context, char **text, struct pmp_errmsg *msg) {
  json_error_t error;
  char fingerprint[65], check[33];
  *text = NULL;
  json_t *own = json_loads(context, JSON_REJECT_DUPLICATES, &error);
  if (!json_is_object(own)) {
    json_decref(own);
    return pmp_fail(msg, PMP_EINVALID, "the checkpoint's context is not a JSON object");
  }
  pmp_trainer_fingerprint(t, fingerprint);
  json_t *root =
      json_pack("{s:i,s:I,s:I,s:{s:s,s:I,s:s},s:s,s:o,s:o,s:o}", "format", PMP_CHECKPOINT_FORMAT,
                "step", (json_int_t)t->counters.step, "version", (json_int_t)t->counters.version,
                "state", "file", PMP_CHECKPOINT_STATE, "bytes", (json_int_t)s->bytes, "hash",
                s->hash, "fingerprint", fingerprint, "networks", pmp_checkpoint_networks(t),
                "config", config_json(t), "context", own);
  enum pmp_err err = root == NULL ? PMP_ENOMEM : pmp_checkpoint_manifest_check(root, check);
  if (err == PMP_OK && json_object_set_new(root, "check", json_string(check)) != 0)
    err = PMP_ENOMEM;
  if (err == PMP_OK) *text = json_dumps(root, JSON_INDENT(1) | JSON_SORT_KEYS);
  json_decref(root);
  return *text != NULL ? PMP_OK
                       : pmp_fail(msg, PMP_ENOMEM, "no memory for a checkpoint's manifest");
}

/* ---------------------------------------------------------------- the folder */

/* Removes a folder of plain files. */
static enum pmp_err remove_tree(const struct pmp_fs *fs, const char *path, struct pmp_errmsg *msg) {
  char(*names)[PMP_FS_NAME_MAX] = NULL, file[PMP_CHECKPOINT_PATH_MAX];
  size_t count = 0;
  enum pmp_err err = fs->list(fs->self, path, &names, &count, msg);
  if (err == PMP_ENOTFOUND) return PMP_OK;
  for (size_t i = 0; err == PMP_OK && i < count; i++) {
    err = pmp_checkpoint_path(file, path, names[i], msg);
    if (err == PMP_OK) err = fs->remove(fs->self, file, msg);
  }
  free(names);
  return err != PMP_OK ? err : fs->remove(fs->self, path, msg);
}

/* Takes a checkpoint out of the list in one step, so that no half of it is ever looked at. */
static enum pmp_err set_aside(const struct pmp_fs *fs, const char *dir, const char *name,
                              struct pmp_errmsg *msg) {
  char from[PMP_CHECKPOINT_PATH_MAX], to[PMP_CHECKPOINT_PATH_MAX], aside[80];
  snprintf(aside, sizeof aside, PMP_CHECKPOINT_TMP "old-%s", name);
  PMP_TRY(pmp_checkpoint_path(from, dir, name, msg));
  PMP_TRY(pmp_checkpoint_path(to, dir, aside, msg));
  PMP_TRY(remove_tree(fs, to, msg));
  return fs->rename(fs->self, from, to, msg);
}

static enum pmp_err write_beside(const struct pmp_fs *fs, const char *tmp,
                                 const struct state_file *s, const char *manifest,
                                 struct pmp_errmsg *msg) {
  char file[PMP_CHECKPOINT_PATH_MAX];
  const void *part = manifest;
  size_t size = strlen(manifest);
  PMP_TRY(remove_tree(fs, tmp, msg));
  PMP_TRY(fs->make_dir(fs->self, tmp, msg));
  PMP_TRY(pmp_checkpoint_path(file, tmp, PMP_CHECKPOINT_STATE, msg));
  PMP_TRY(fs->write_sync(fs->self, file, s->part, s->size, s->tensors + 1, msg));
  PMP_TRY(pmp_checkpoint_path(file, tmp, PMP_CHECKPOINT_MANIFEST, msg));
  PMP_TRY(fs->write_sync(fs->self, file, &part, &size, 1, msg));
  return fs->sync_dir(fs->self, tmp, msg);
}

/* Writes beside, renames, syncs the folder. Checkpoints of later steps were found bad (or the run
 * would have gone on from them): they are taken out once the new one is safe. */
static enum pmp_err publish(const struct pmp_fs *fs, const char *dir, uint64_t step,
                            const struct state_file *s, const char *manifest,
                            char path[PMP_CHECKPOINT_PATH_MAX], struct pmp_errmsg *msg) {
  struct pmp_checkpoint_entry *entry = NULL;
  size_t count = 0;
  uint32_t revision = 0;
  char name[64], beside[80], tmp[PMP_CHECKPOINT_PATH_MAX];
  PMP_TRY(fs->make_dir(fs->self, dir, msg));
  PMP_TRY(pmp_checkpoint_entries(fs, dir, &entry, &count, msg));
  for (size_t i = 0; i < count; i++) {
    if (entry[i].step == step) revision = entry[i].revision + 1;
  }
  int used = snprintf(name, sizeof name, "step-%0*" PRIu64, STEP_DIGITS, step);
  if (revision > 0)
    snprintf(name + used, sizeof name - (size_t)used, "-r%0*u", REVISION_DIGITS, revision);
  snprintf(beside, sizeof beside, PMP_CHECKPOINT_TMP "%s", name);
  enum pmp_err err = pmp_checkpoint_path(path, dir, name, msg);
  if (err == PMP_OK) err = pmp_checkpoint_path(tmp, dir, beside, msg);
  if (err == PMP_OK) {
    err = write_beside(fs, tmp, s, manifest, msg);
    if (err == PMP_OK) err = fs->rename(fs->self, tmp, path, msg);
    if (err != PMP_OK) (void)!remove_tree(fs, tmp, NULL); /* a full disk wants its space back */
  }
  if (err == PMP_OK) err = fs->sync_dir(fs->self, dir, msg);
  bool any = false;
  for (size_t i = 0; err == PMP_OK && i < count; i++) {
    if (entry[i].step <= step) continue;
    any = true;
    err = set_aside(fs, dir, entry[i].name, msg);
  }
  if (err == PMP_OK && any) err = fs->sync_dir(fs->self, dir, msg);
  free(entry);
  return err;
}

enum pmp_err pmp_checkpoint_save(const struct pmp_fs *fs, const char *dir, struct pmp_trainer *t,
                                 const char *context, struct pmp_checkpoint_info *info,
                                 struct pmp_errmsg *msg) {
  char *manifest = NULL, path[PMP_CHECKPOINT_PATH_MAX];
  struct state_file *s = calloc(1, sizeof *s);
  if (s == NULL) return pmp_fail(msg, PMP_ENOMEM, "no memory for a checkpoint");
  enum pmp_err err = make_state(t, s, msg);
  if (err == PMP_OK) err = make_manifest(t, s, context, &manifest, msg);
  if (err == PMP_OK) err = publish(fs, dir, t->counters.step, s, manifest, path, msg);
  if (err == PMP_OK) {
    *info = (struct pmp_checkpoint_info){.step = t->counters.step};
    snprintf(info->path, sizeof info->path, "%s", path);
    snprintf(info->hash, sizeof info->hash, "%s", s->hash);
    pmp_trainer_fingerprint(t, info->fingerprint);
  }
  free(manifest);
  free(s->header);
  free(s);
  return err;
}

enum pmp_err pmp_checkpoint_prune(const struct pmp_fs *fs, const char *dir, uint32_t keep,
                                  struct pmp_errmsg *msg) {
  struct pmp_checkpoint_entry *entry = NULL;
  char(*names)[PMP_FS_NAME_MAX] = NULL, path[PMP_CHECKPOINT_PATH_MAX];
  size_t count = 0, found = 0;
  if (keep < 1) return pmp_fail(msg, PMP_EINVALID, "at least one checkpoint must be kept");
  enum pmp_err err = pmp_checkpoint_entries(fs, dir, &entry, &count, msg);
  for (size_t i = 0; err == PMP_OK && i + keep < count; i++)
    err = set_aside(fs, dir, entry[i].name, msg);
  free(entry);
  if (err == PMP_OK) err = fs->list(fs->self, dir, &names, &found, msg);
  if (err == PMP_ENOTFOUND) return PMP_OK;
  for (size_t i = 0; err == PMP_OK && i < found; i++) {
    if (strncmp(names[i], PMP_CHECKPOINT_TMP, strlen(PMP_CHECKPOINT_TMP)) != 0) continue;
    err = pmp_checkpoint_path(path, dir, names[i], msg);
    if (err == PMP_OK) err = remove_tree(fs, path, msg);
  }
  free(names);
  return err != PMP_OK ? err : fs->sync_dir(fs->self, dir, msg);
}
