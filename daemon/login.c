/* Who may come in: the run's tokens, read again when they change, and what of it the audit log
 * says. */
#include "daemon/server.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static int64_t now_s(const struct pmp_server *s) {
  return pmp_clock_wall(&s->clock) / 1000000000;
}

static void event(struct pmp_server *s, const char *kind, json_t *detail) {
  char *text = detail ? json_dumps(detail, JSON_COMPACT) : NULL;
  if (text) pmp_server_event(s, "daemon", kind, text);
  free(text);
  json_decref(detail);
}

static void token_event(struct pmp_server *s, const char *kind, const struct pmp_token *t) {
  event(s, kind,
        json_pack("{s:s, s:s, s:I}", "name", t->name, "role", pmp_token_role_name(t->role),
                  "expires", (json_int_t)t->expires_s));
}

static const struct pmp_token *same(const struct pmp_tokens *t, const struct pmp_token *token) {
  for (uint32_t i = 0; i < t->count; i++)
    if (memcmp(t->token[i].hash, token->hash, sizeof token->hash) == 0) return &t->token[i];
  return NULL;
}

/* What the people who may write the folder did since the last look. */
static void tell_changes(struct pmp_server *s, const struct pmp_tokens *old,
                         const struct pmp_tokens *new) {
  for (uint32_t i = 0; i < new->count; i++) {
    const struct pmp_token *t = &new->token[i], *was = same(old, t);
    if (!was) token_event(s, "token_created", t);
    if (t->revoked_s != 0 && (!was || was->revoked_s == 0)) token_event(s, "token_revoked", t);
  }
  for (uint32_t i = 0; i < old->count; i++)
    if (!same(new, &old->token[i])) token_event(s, "token_removed", &old->token[i]);
}

enum pmp_err pmp_login_open(struct pmp_server *s, struct pmp_errmsg *msg) {
  s->failed_hellos_allowed = (double)s->config.limits.failed_hellos;
  return pmp_tokens_load(&s->tokens, s->dir, msg);
}

void pmp_login_close(struct pmp_server *s) {
  pmp_tokens_fini(&s->tokens);
}

void pmp_login_started(struct pmp_server *s) {
  uint32_t live = 0;
  for (uint32_t i = 0; i < s->tokens.count; i++)
    live += pmp_tokens_good(&s->tokens, &s->tokens.token[i], now_s(s));
  if (s->tokens.present) event(s, "tokens", json_pack("{s:I}", "live", (json_int_t)live));
}

static void reload(struct pmp_server *s) {
  struct pmp_tokens fresh;
  struct pmp_errmsg msg = {{0}};
  const enum pmp_err err = pmp_tokens_load(&fresh, s->dir, &msg);
  if (s->tokens_needed) fresh.present = true;
  if (err != PMP_OK) {
    pmp_log_write(&s->log, PMP_LOG_ERROR, "PMP-TOKENS-BROKEN", "reason=\"%s\"", msg.text);
    event(s, "tokens_broken", json_pack("{s:s}", "reason", msg.text));
  } else {
    tell_changes(s, &s->tokens, &fresh);
  }
  pmp_tokens_fini(&s->tokens);
  s->tokens = fresh;
}

void pmp_login_sweep(struct pmp_server *s, double seconds) {
  const double most = (double)s->config.limits.failed_hellos;
  s->failed_hellos_allowed += seconds * most;
  if (s->failed_hellos_allowed > most) s->failed_hellos_allowed = most;
  if (pmp_tokens_stale(&s->tokens, s->dir)) reload(s);
  const uint32_t ended = pmp_sessions_end_unproven(&s->sessions, &s->tokens, now_s(s));
  if (ended == 0) return;
  pmp_log_write(&s->log, PMP_LOG_INFO, "PMP-SESSIONS-ENDED", "count=%u reason=tokens", ended);
  /* A long poll has no session any more that could be looked at: all are asked again. */
  pmp_publisher_hurry(&s->publisher);
  pmp_weights_due(s);
}

/* Answered alike whatever was wrong with a token that this run never gave, and no more often than
 * configured: beyond that nobody learns anything, while good tokens still come in. */
static enum pmp_err refuse(struct pmp_server *s, struct pmp_call *call,
                           const struct pmp_hello *hello, const char *why) {
  s->count.hellos_failed++;
  if (s->failed_hellos_allowed < 1) {
    s->count.hellos_throttled++;
    pmp_refuse(s, call, PMP_EBUSY, 1000, "too many hellos without a good token: wait a second");
    return PMP_EBUSY;
  }
  s->failed_hellos_allowed -= 1;
  pmp_log_write(&s->log, PMP_LOG_WARN, "PMP-HELLO-REFUSED", "name=%s role=%s reason=\"%s\"",
                hello->name, pmp_token_role_name((int)hello->role), why);
  pmp_refuse(s, call, PMP_EUNAUTHENTICATED, 0, "%s", why);
  return PMP_EUNAUTHENTICATED;
}

enum pmp_err pmp_login_check(struct pmp_server *s, struct pmp_call *call,
                             const struct pmp_hello *hello, const struct pmp_token **token) {
  *token = NULL;
  if (!s->tokens.present) {
    if (hello->token[0] == '\0') return PMP_OK;
    pmp_refuse(s, call, PMP_EUNAVAILABLE, 0,
               "this daemon listens on loopback without tokens; leave the token out");
    return PMP_EUNAVAILABLE;
  }
  struct pmp_errmsg msg = {{0}};
  if (pmp_tokens_check(&s->tokens, hello->token, now_s(s), token, &msg) != PMP_OK)
    return refuse(s, call, hello, msg.text);
  if ((*token)->role == (int)hello->role) return PMP_OK;
  snprintf(msg.text, sizeof msg.text, "the token is one of the role %s, not %s",
           pmp_token_role_name((*token)->role), pmp_token_role_name((int)hello->role));
  return refuse(s, call, hello, msg.text);
}
