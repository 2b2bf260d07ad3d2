#include "auth/tokens.h"

#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES 1024
#define FILE_BYTES_MAX ((size_t)4 << 20)
#define TOKENS_MAX 4096
#define TEXT_PREFIX "pmp_"
#define TEXT_LENGTH 47 /* the prefix and 32 bytes as base64url */
#define FORMAT 1

enum { ROLES = 5 };
static const char *const role_names[ROLES] = {"none", "actor", "labeler", "observer", "operator"};

const char *pmp_token_role_name(int role) {
  return role > 0 && role < ROLES ? role_names[role] : role_names[0];
}

int pmp_token_role_of(const char *name) {
  for (int i = 1; i < ROLES; i++)
    if (strcmp(name, role_names[i]) == 0) return i;
  return 0;
}

static bool name_valid(const char *name) {
  const size_t length = strlen(name);
  return length > 0 && length < PMP_TOKEN_NAME_MAX &&
         strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.@") ==
             length;
}

static enum pmp_err path_of(const char *dir, const char *file, char out[PATH_BYTES],
                            struct pmp_errmsg *msg) {
  if (snprintf(out, PATH_BYTES, "%s/%s", dir, file) >= PATH_BYTES)
    return pmp_fail(msg, PMP_EINVALID, "the folder's path is longer than %d bytes",
                    PATH_BYTES - 32);
  return PMP_OK;
}

static enum pmp_err start_sodium(struct pmp_errmsg *msg) {
  return sodium_init() >= 0 ? PMP_OK : pmp_fail(msg, PMP_EINTERNAL, "libsodium does not start");
}

/* ---- reading ---- */

static void stamp_of(const char *path, uint64_t stamp[3]) {
  struct stat info;
  memset(stamp, 0, 3 * sizeof *stamp);
  if (stat(path, &info) != 0) return;
  stamp[0] = (uint64_t)info.st_ino;
  stamp[1] = (uint64_t)info.st_size;
  stamp[2] = (uint64_t)info.st_ctim.tv_sec * 1000000000U + (uint64_t)info.st_ctim.tv_nsec;
}

static enum pmp_err stamps_of(const char *dir, uint64_t stamp[6], struct pmp_errmsg *msg) {
  char path[PATH_BYTES];
  PMP_TRY(path_of(dir, "tokens.json", path, msg));
  stamp_of(path, stamp);
  PMP_TRY(path_of(dir, "tokens.key", path, msg));
  stamp_of(path, stamp + 3);
  return PMP_OK;
}

/* Does the file give others the rights of `mode`? */
static enum pmp_err check_mode(const char *path, mode_t mode, const char *what,
                               struct pmp_errmsg *msg) {
  struct stat info;
  if (stat(path, &info) != 0) return PMP_OK; /* whoever reads it says so */
  if ((info.st_mode & mode) == 0) return PMP_OK;
  return pmp_fail(msg, PMP_ECORRUPT, "%s may be %s by others (mode %04o): chmod 600 it", path, what,
                  (unsigned)info.st_mode & 07777U);
}

static enum pmp_err read_key(const char *dir, uint8_t key[PMP_TOKEN_KEY_BYTES],
                             struct pmp_errmsg *msg) {
  char path[PATH_BYTES];
  void *data = NULL;
  size_t size = 0;
  PMP_TRY(path_of(dir, "tokens.key", path, msg));
  PMP_TRY(check_mode(path, S_IRWXG | S_IRWXO, "read", msg));
  const struct pmp_fs *fs = pmp_fs_real();
  PMP_TRY(fs->read_all(fs->self, path, PMP_TOKEN_KEY_BYTES, &data, &size, msg));
  enum pmp_err err = PMP_OK;
  if (size == PMP_TOKEN_KEY_BYTES)
    memcpy(key, data, size);
  else
    err = pmp_fail(msg, PMP_ECORRUPT, "%s has %zu bytes instead of %d", path, size,
                   PMP_TOKEN_KEY_BYTES);
  sodium_memzero(data, size);
  free(data);
  return err;
}

static enum pmp_err read_one(json_t *j, size_t i, const char *path, struct pmp_token *t,
                             struct pmp_errmsg *msg) {
  const char *name = NULL, *role = NULL, *hash = NULL, *end = NULL;
  json_int_t created = 0, expires = 0, revoked = 0;
  json_error_t why;
  size_t got = 0;
  if (json_unpack_ex(j, &why, JSON_STRICT, "{s:s, s:s, s:s, s:I, s:I, s:I}", "name", &name, "role",
                     &role, "hash", &hash, "created", &created, "expires", &expires, "revoked",
                     &revoked) != 0)
    return pmp_fail(msg, PMP_ECORRUPT, "%s: token %zu: %.100s", path, i + 1, why.text);
  if (!name_valid(name))
    return pmp_fail(msg, PMP_ECORRUPT, "%s: token %zu: \"%.64s\" is no name", path, i + 1, name);
  *t = (struct pmp_token){.role = pmp_token_role_of(role),
                          .created_s = created,
                          .expires_s = expires,
                          .revoked_s = revoked};
  strcpy(t->name, name);
  if (t->role == 0)
    return pmp_fail(msg, PMP_ECORRUPT, "%s: token %zu: \"%.32s\" is no role", path, i + 1, role);
  if (strlen(hash) != 2 * PMP_TOKEN_HASH_BYTES ||
      sodium_hex2bin(t->hash, sizeof t->hash, hash, strlen(hash), NULL, &got, &end) != 0 ||
      got != sizeof t->hash)
    return pmp_fail(msg, PMP_ECORRUPT, "%s: token %zu (%s): its hash is not %d bytes in hex", path,
                    i + 1, name, PMP_TOKEN_HASH_BYTES);
  if (created < 0 || expires < 0 || revoked < 0)
    return pmp_fail(msg, PMP_ECORRUPT, "%s: token %zu (%s): a time below 0", path, i + 1, name);
  return PMP_OK;
}

static enum pmp_err parse(struct pmp_tokens *t, const char *path, const void *data, size_t size,
                          struct pmp_errmsg *msg) {
  json_error_t why;
  json_t *root = json_loadb(data, size, JSON_REJECT_DUPLICATES, &why), *list = NULL;
  if (root == NULL)
    return pmp_fail(msg, PMP_ECORRUPT, "%s line %d: %.160s", path, why.line, why.text);
  enum pmp_err err = PMP_OK;
  int format = 0;
  if (json_unpack_ex(root, &why, JSON_STRICT, "{s:i, s:o}", "format", &format, "tokens", &list) !=
          0 ||
      !json_is_array(list))
    err = pmp_fail(msg, PMP_ECORRUPT, "%s: %.160s", path,
                   list != NULL ? "tokens is no list" : why.text);
  else if (format != FORMAT)
    err = pmp_fail(msg, PMP_ECORRUPT, "%s: format %d; this build reads %d", path, format, FORMAT);
  else if (json_array_size(list) > TOKENS_MAX)
    err = pmp_fail(msg, PMP_ECORRUPT, "%s: more than %d tokens", path, TOKENS_MAX);
  const size_t count = err == PMP_OK ? json_array_size(list) : 0;
  if (count > 0 && (t->token = calloc(count, sizeof *t->token)) == NULL)
    err = pmp_fail(msg, PMP_ENOMEM, "no memory for %zu tokens", count);
  for (size_t i = 0; i < count && err == PMP_OK; i++) {
    err = read_one(json_array_get(list, i), i, path, &t->token[i], msg);
    if (err == PMP_OK) t->count++;
  }
  json_decref(root);
  return err;
}

static enum pmp_err load(struct pmp_tokens *t, const char *dir, struct pmp_errmsg *msg) {
  char path[PATH_BYTES];
  void *data = NULL;
  size_t size = 0;
  PMP_TRY(start_sodium(msg));
  /* Before the reading: what changes meanwhile is seen as a change later. */
  PMP_TRY(stamps_of(dir, t->stamp, msg));
  PMP_TRY(path_of(dir, "tokens.json", path, msg));
  const struct pmp_fs *fs = pmp_fs_real();
  enum pmp_err err = fs->read_all(fs->self, path, FILE_BYTES_MAX, &data, &size, msg);
  if (err == PMP_ENOTFOUND) return PMP_OK;
  t->present = true;
  if (err == PMP_OK) err = check_mode(path, S_IWGRP | S_IWOTH, "written", msg);
  if (err == PMP_OK) err = parse(t, path, data, size, msg);
  free(data);
  if (err == PMP_OK && t->count > 0) err = read_key(dir, t->key, msg);
  return err;
}

enum pmp_err pmp_tokens_load(struct pmp_tokens *t, const char *dir, struct pmp_errmsg *msg) {
  memset(t, 0, sizeof *t);
  const enum pmp_err err = load(t, dir, msg);
  if (err == PMP_OK) return PMP_OK;
  free(t->token);
  t->token = NULL;
  t->count = 0;
  t->present = true;                                               /* unreadable is not absent */
  if (err == PMP_ENOMEM || err == PMP_EINTERNAL || err == PMP_EIO) /* no fault of the file's */
    memset(t->stamp, 0, sizeof t->stamp);                          /* try again at the next look */
  return err == PMP_ENOMEM || err == PMP_EINTERNAL ? err : PMP_ECORRUPT;
}

void pmp_tokens_fini(struct pmp_tokens *t) {
  free(t->token);
  sodium_memzero(t, sizeof *t);
}

bool pmp_tokens_stale(const struct pmp_tokens *t, const char *dir) {
  uint64_t now[6];
  if (stamps_of(dir, now, NULL) != PMP_OK) return false;
  return memcmp(now, t->stamp, sizeof now) != 0;
}

/* ---- checking ---- */

static void hash_text(const uint8_t key[PMP_TOKEN_KEY_BYTES], const char *text,
                      uint8_t hash[PMP_TOKEN_HASH_BYTES]) {
  crypto_generichash(hash, PMP_TOKEN_HASH_BYTES, (const unsigned char *)text, strlen(text), key,
                     PMP_TOKEN_KEY_BYTES);
}

static bool expired(const struct pmp_token *t, int64_t now_s) {
  return t->expires_s != 0 && now_s >= t->expires_s;
}

/* The token of this hash. Looks at every one, whichever fits. */
static const struct pmp_token *find_hash(const struct pmp_tokens *t,
                                         const uint8_t hash[PMP_TOKEN_HASH_BYTES]) {
  const struct pmp_token *found = NULL;
  for (uint32_t i = 0; i < t->count; i++)
    if (sodium_memcmp(hash, t->token[i].hash, PMP_TOKEN_HASH_BYTES) == 0) found = &t->token[i];
  return found;
}

enum pmp_err pmp_tokens_check(const struct pmp_tokens *t, const char *text, int64_t now_s,
                              const struct pmp_token **token, struct pmp_errmsg *msg) {
  uint8_t hash[PMP_TOKEN_HASH_BYTES];
  *token = NULL;
  if (text == NULL || text[0] == '\0')
    return pmp_fail(msg, PMP_EUNAUTHENTICATED, "a token is wanted");
  const struct pmp_token *found = NULL;
  if (strlen(text) == TEXT_LENGTH) { /* what a token looks like is no secret */
    hash_text(t->key, text, hash);
    found = find_hash(t, hash);
  }
  if (found == NULL) return pmp_fail(msg, PMP_EUNAUTHENTICATED, "the token is wrong");
  if (found->revoked_s != 0) return pmp_fail(msg, PMP_EUNAUTHENTICATED, "the token was revoked");
  if (expired(found, now_s)) return pmp_fail(msg, PMP_EUNAUTHENTICATED, "the token has expired");
  *token = found;
  return PMP_OK;
}

bool pmp_tokens_good(const struct pmp_tokens *t, const struct pmp_token *token, int64_t now_s) {
  const struct pmp_token *now = find_hash(t, token->hash);
  return now != NULL && now->revoked_s == 0 && !expired(now, now_s) && now->role == token->role &&
         strcmp(now->name, token->name) == 0;
}

/* ---- changing ---- */

/* The folder, made if it is not there, locked: whoever changes tokens does it alone. *fd is closed
 * by the caller, which unlocks. */
static enum pmp_err lock_folder(const char *dir, int *fd, struct pmp_errmsg *msg) {
  const struct pmp_fs *fs = pmp_fs_real();
  PMP_TRY(fs->make_dir(fs->self, dir, msg));
  *fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int rc = *fd < 0 ? -1 : 0;
  while (rc == 0 && (rc = flock(*fd, LOCK_EX)) != 0 && errno == EINTR) rc = 0;
  if (rc == 0) return PMP_OK;
  const int code = errno;
  char text[128];
  if (*fd >= 0) close(*fd);
  return pmp_fail(msg, pmp_err_from_errno(code), "cannot lock the folder %s: %s", dir,
                  strerror_r(code, text, sizeof text));
}

/* Root that makes a token for the daemon's user leaves files that this user can read. Before the
 * file takes the old one's place, so that no reader meets one that it may not open. */
static enum pmp_err write_as_owner(void *self, const char *path, const void *const *parts,
                                   const size_t *sizes, size_t part_count, struct pmp_errmsg *msg) {
  const struct stat *folder = self;
  const struct pmp_fs *fs = pmp_fs_real();
  PMP_TRY(fs->write_sync(fs->self, path, parts, sizes, part_count, msg));
  if (geteuid() != 0 || chown(path, folder->st_uid, folder->st_gid) == 0) return PMP_OK;
  return pmp_fail(msg, PMP_EIO, "cannot give %s to the folder's owner", path);
}

static enum pmp_err replace(const char *dir, const char *path, const void *const *parts,
                            const size_t *sizes, size_t count, struct pmp_errmsg *msg) {
  struct stat folder;
  struct pmp_fs fs = *pmp_fs_real();
  if (stat(dir, &folder) != 0) return pmp_fail(msg, PMP_EIO, "cannot look at the folder %s", dir);
  fs.self = &folder;
  fs.write_sync = write_as_owner;
  return pmp_fs_replace(&fs, path, parts, sizes, count, msg);
}

static enum pmp_err make_key(const char *dir, uint8_t key[PMP_TOKEN_KEY_BYTES],
                             struct pmp_errmsg *msg) {
  char path[PATH_BYTES];
  PMP_TRY(path_of(dir, "tokens.key", path, msg));
  randombytes_buf(key, PMP_TOKEN_KEY_BYTES);
  const void *part = key;
  const size_t size = PMP_TOKEN_KEY_BYTES;
  return replace(dir, path, &part, &size, 1, msg);
}

static json_t *token_json(const struct pmp_token *t) {
  char hex[2 * PMP_TOKEN_HASH_BYTES + 1];
  sodium_bin2hex(hex, sizeof hex, t->hash, sizeof t->hash);
  return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I}", "name", t->name, "role",
                   pmp_token_role_name(t->role), "hash", hex, "created", (json_int_t)t->created_s,
                   "expires", (json_int_t)t->expires_s, "revoked", (json_int_t)t->revoked_s);
}

static enum pmp_err save(const struct pmp_tokens *t, const char *dir, struct pmp_errmsg *msg) {
  char path[PATH_BYTES];
  PMP_TRY(path_of(dir, "tokens.json", path, msg));
  json_t *list = json_array();
  for (uint32_t i = 0; i < t->count; i++) json_array_append_new(list, token_json(&t->token[i]));
  const bool whole = json_array_size(list) == t->count;
  json_t *root = json_pack("{s:i, s:o}", "format", FORMAT, "tokens", list);
  char *text = whole && root != NULL ? json_dumps(root, JSON_INDENT(1)) : NULL;
  json_decref(root);
  if (text == NULL) return pmp_fail(msg, PMP_ENOMEM, "no memory for the list of tokens");
  const void *const part[] = {text, "\n"};
  const size_t size[] = {strlen(text), 1};
  const enum pmp_err err = replace(dir, path, part, size, 2, msg);
  free(text);
  return err;
}

static bool live(const struct pmp_token *t, int64_t now_s) {
  return t->revoked_s == 0 && !expired(t, now_s);
}

/* Room for one more; when the list is full, the oldest dead one goes. */
static enum pmp_err make_room(struct pmp_tokens *t, int64_t now_s, struct pmp_errmsg *msg) {
  if (t->count == TOKENS_MAX) {
    uint32_t i = 0;
    while (i < t->count && live(&t->token[i], now_s)) i++;
    if (i == t->count)
      return pmp_fail(msg, PMP_ETOOLARGE, "there are %d live tokens: revoke some", TOKENS_MAX);
    memmove(&t->token[i], &t->token[i + 1], (t->count - i - 1) * sizeof *t->token);
    t->count--;
  }
  struct pmp_token *grown = realloc(t->token, (t->count + 1U) * sizeof *grown);
  if (grown == NULL) return pmp_fail(msg, PMP_ENOMEM, "no memory for a token");
  t->token = grown;
  return PMP_OK;
}

static enum pmp_err add(struct pmp_tokens *t, const char *dir, const struct pmp_token *token,
                        char *text, struct pmp_errmsg *msg) {
  uint8_t raw[32];
  for (uint32_t i = 0; i < t->count; i++) {
    if (live(&t->token[i], token->created_s) && strcmp(t->token[i].name, token->name) == 0)
      return pmp_fail(msg, PMP_ECONFLICT, "%s has a live token: revoke it first", token->name);
  }
  PMP_TRY(make_room(t, token->created_s, msg));
  if (t->count == 0) PMP_TRY(make_key(dir, t->key, msg));
  randombytes_buf(raw, sizeof raw);
  memcpy(text, TEXT_PREFIX, sizeof TEXT_PREFIX);
  sodium_bin2base64(text + strlen(TEXT_PREFIX), PMP_TOKEN_TEXT_MAX - strlen(TEXT_PREFIX), raw,
                    sizeof raw, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
  sodium_memzero(raw, sizeof raw);
  t->token[t->count] = *token;
  hash_text(t->key, text, t->token[t->count].hash);
  t->count++;
  return save(t, dir, msg);
}

enum pmp_err pmp_tokens_create(const char *dir, const char *name, int role, int64_t now_s,
                               int64_t expires_s, char *text, struct pmp_errmsg *msg) {
  memset(text, 0, PMP_TOKEN_TEXT_MAX);
  if (!name_valid(name))
    return pmp_fail(msg, PMP_EINVALID,
                    "a token's name has 1 to %d letters, digits, '-', '_', '.' or '@'",
                    PMP_TOKEN_NAME_MAX - 1);
  if (role < 1 || role >= ROLES)
    return pmp_fail(msg, PMP_EINVALID, "a role is actor, labeler, observer or operator");
  if (expires_s != 0 && expires_s <= now_s)
    return pmp_fail(msg, PMP_EINVALID, "the token would have expired already");
  struct pmp_token token = {.role = role, .created_s = now_s, .expires_s = expires_s};
  strcpy(token.name, name);
  struct pmp_tokens t;
  int fd = -1;
  PMP_TRY(lock_folder(dir, &fd, msg));
  enum pmp_err err = pmp_tokens_load(&t, dir, msg);
  if (err == PMP_OK) err = add(&t, dir, &token, text, msg);
  if (err != PMP_OK) sodium_memzero(text, PMP_TOKEN_TEXT_MAX);
  pmp_tokens_fini(&t);
  close(fd);
  return err;
}

enum pmp_err pmp_tokens_revoke(const char *dir, const char *name, int64_t now_s,
                               struct pmp_errmsg *msg) {
  struct pmp_tokens t;
  uint32_t revoked = 0;
  int fd = -1;
  PMP_TRY(lock_folder(dir, &fd, msg));
  enum pmp_err err = pmp_tokens_load(&t, dir, msg);
  for (uint32_t i = 0; err == PMP_OK && i < t.count; i++) {
    if (!live(&t.token[i], now_s) || strcmp(t.token[i].name, name) != 0) continue;
    t.token[i].revoked_s = now_s;
    revoked++;
  }
  if (err == PMP_OK && revoked == 0)
    err = pmp_fail(msg, PMP_ENOTFOUND, "there is no live token of %.64s in %s", name, dir);
  if (err == PMP_OK) err = save(&t, dir, msg);
  pmp_tokens_fini(&t);
  close(fd);
  return err;
}
