/* Tokens: who may do what, in DIR/tokens.json.
 *
 * A token is 256 random bits, shown once when it is made; the file keeps its keyed hash (BLAKE2b
 * under the key of DIR/tokens.key, mode 0600), the principal's name, its role, and when it ends.
 * Whoever may write the folder may make and revoke tokens: no verb of the wire does. The daemon
 * looks whether the file changed and reads it again; a file that is there but cannot be read or
 * parsed lets nobody in.
 *
 * Blocks on the disk (load, create, revoke); pmp_tokens_check does not. No state but what is
 * passed. */
#ifndef PMP_AUTH_TOKENS_H
#define PMP_AUTH_TOKENS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PMP_TOKEN_NAME_MAX 59 /* bytes with NUL: letters, digits, '-', '_', '.', '@' */
#define PMP_TOKEN_HASH_BYTES 32
#define PMP_TOKEN_KEY_BYTES 32
#define PMP_TOKEN_TEXT_MAX 64 /* bytes with NUL: "pmp_" and 43 of base64url */

struct pmp_token {
  char name[PMP_TOKEN_NAME_MAX];
  int role; /* enum pmp_role of proto/wire.h: 1 actor, 2 labeler, 3 observer, 4 operator */
  uint8_t hash[PMP_TOKEN_HASH_BYTES];
  int64_t created_s, expires_s, revoked_s; /* Unix; expires_s and revoked_s 0: never */
};

struct pmp_tokens {
  struct pmp_token *token; /* owned, [count] */
  uint32_t count;
  uint8_t key[PMP_TOKEN_KEY_BYTES];
  bool present;      /* the file is there: tokens are wanted of everybody */
  uint64_t stamp[6]; /* of the file and its key as read: inode, size, time of change in ns */
};

/* "actor", "labeler", "observer", "operator"; "none" for anything else. */
const char *pmp_token_role_name(int role);
/* 0: there is no role of that name. */
int pmp_token_role_of(const char *name);

/* Reads DIR/tokens.json and its key. No file: PMP_OK, present false. PMP_ECORRUPT (what, where;
 * also for a key that others may read or a file that others may write): *t then has present true
 * and no tokens. Whatever *t held before is overwritten, not freed. */
PMP_MUST_CHECK enum pmp_err pmp_tokens_load(struct pmp_tokens *t, const char *dir,
                                            struct pmp_errmsg *msg);
void pmp_tokens_fini(struct pmp_tokens *t);
/* Has the file changed, appeared or gone since it was read? */
bool pmp_tokens_stale(const struct pmp_tokens *t, const char *dir);
/* Who holds this token. PMP_EUNAUTHENTICATED: wrong, expired, revoked (msg says which of them, and
 * never the token). Takes the same time wherever the hashes differ. */
PMP_MUST_CHECK enum pmp_err pmp_tokens_check(const struct pmp_tokens *t, const char *text,
                                             int64_t now_s, const struct pmp_token **token,
                                             struct pmp_errmsg *msg);
/* Is the token of this name still good (a session's, later)? */
bool pmp_tokens_good(const struct pmp_tokens *t, const struct pmp_token *token, int64_t now_s);

/* Makes one and keeps the file atomically, under a lock of the folder. text[PMP_TOKEN_TEXT_MAX]
 * receives what is shown once. PMP_ECONFLICT: a live token of that name is there; PMP_EINVALID:
 * name, role. */
PMP_MUST_CHECK enum pmp_err pmp_tokens_create(const char *dir, const char *name, int role,
                                              int64_t now_s, int64_t expires_s, char *text,
                                              struct pmp_errmsg *msg);
/* Revokes every live token of the name. PMP_ENOTFOUND. */
PMP_MUST_CHECK enum pmp_err pmp_tokens_revoke(const char *dir, const char *name, int64_t now_s,
                                              struct pmp_errmsg *msg);

#endif
