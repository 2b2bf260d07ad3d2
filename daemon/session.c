#include "daemon/session.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum pmp_err pmp_sessions_init(struct pmp_sessions *s, uint32_t capacity, int64_t idle_ns,
                               double per_second) {
  memset(s, 0, sizeof *s);
  s->slot = calloc(capacity, sizeof *s->slot);
  if (!s->slot) return PMP_ENOMEM;
  s->capacity = capacity;
  s->idle_ns = idle_ns;
  s->per_second = per_second;
  return PMP_OK;
}

void pmp_sessions_fini(struct pmp_sessions *s) {
  free(s->slot);
  s->slot = NULL;
  s->capacity = 0;
}

static struct pmp_session *same_instance(struct pmp_sessions *s, const char *name,
                                         struct pmp_bytes instance) {
  for (uint32_t i = 0; i < s->capacity; i++) {
    struct pmp_session *p = &s->slot[i];
    if (p->used && !p->ended && p->role == PMP_ROLE_ACTOR && strcmp(p->name, name) == 0 &&
        memcmp(p->instance, instance.data, PMP_INSTANCE_BYTES) == 0) {
      return p;
    }
  }
  return NULL;
}

/* A free slot, else one of a fenced instance, else the tool's session that was quiet longest:
 * actors are not pushed out by passers-by. */
static struct pmp_session *free_slot(struct pmp_sessions *s, int64_t now_ns) {
  struct pmp_session *oldest = NULL, *fenced = NULL;
  for (uint32_t i = 0; i < s->capacity; i++) {
    struct pmp_session *p = &s->slot[i];
    if (!p->used) return p;
    if (p->fenced && !p->appending) {
      fenced = p;
      continue;
    }
    if (p->role != PMP_ROLE_ACTOR && (!oldest || p->last_ns < oldest->last_ns)) oldest = p;
  }
  if (fenced) oldest = fenced;
  if (!oldest || (oldest != fenced && now_ns - oldest->last_ns < 1000000000)) return NULL;
  s->used--;
  s->expired++;
  return oldest;
}

enum pmp_err pmp_sessions_open(struct pmp_sessions *s, enum pmp_role role, const char *name,
                               struct pmp_bytes instance, int64_t now_ns,
                               struct pmp_session **out) {
  if (role == PMP_ROLE_ACTOR) {
    struct pmp_session *old = same_instance(s, name, instance);
    if (old) {
      old->last_ns = now_ns;
      *out = old;
      return PMP_OK;
    }
  }
  struct pmp_session *p = free_slot(s, now_ns);
  if (!p) {
    s->refused++;
    return PMP_EBUSY;
  }
  memset(p, 0, sizeof *p);
  p->used = true;
  p->role = role;
  snprintf(p->name, sizeof p->name, "%s", name);
  snprintf(p->principal, sizeof p->principal, "local:%.58s", name);
  if (role == PMP_ROLE_ACTOR) memcpy(p->instance, instance.data, PMP_INSTANCE_BYTES);
  const uint32_t index = (uint32_t)(p - s->slot);
  memcpy(p->id, &index, sizeof index);
  randombytes_buf(p->id + sizeof index, PMP_SESSION_BYTES - sizeof index);
  p->last_ns = now_ns;
  p->allowance = s->per_second;
  s->used++;
  s->opened++;
  *out = p;
  return PMP_OK;
}

struct pmp_session *pmp_sessions_find(struct pmp_sessions *s, struct pmp_bytes id, int64_t now_ns) {
  if (id.size != PMP_SESSION_BYTES) return NULL;
  uint32_t index = 0;
  memcpy(&index, id.data, sizeof index);
  if (index >= s->capacity) return NULL;
  struct pmp_session *p = &s->slot[index];
  if (!p->used || p->ended || sodium_memcmp(p->id, id.data, PMP_SESSION_BYTES) != 0) return NULL;
  p->last_ns = now_ns;
  return p;
}

void pmp_session_prove(struct pmp_session *session, const struct pmp_token *token) {
  session->proven = true;
  session->token = *token;
  snprintf(session->principal, sizeof session->principal, "%s", token->name);
  if (session->role != PMP_ROLE_ACTOR)
    snprintf(session->name, sizeof session->name, "%s", token->name);
}

const struct pmp_session *pmp_sessions_of_other(const struct pmp_sessions *s, const char *name,
                                                const char *principal) {
  for (uint32_t i = 0; i < s->capacity; i++) {
    const struct pmp_session *p = &s->slot[i];
    if (p->used && !p->ended && !p->fenced && p->role == PMP_ROLE_ACTOR &&
        strcmp(p->name, name) == 0 && strcmp(p->principal, principal) != 0)
      return p;
  }
  return NULL;
}

uint32_t pmp_sessions_end_unproven(struct pmp_sessions *s, const struct pmp_tokens *tokens,
                                   int64_t now_s) {
  uint32_t ended = 0;
  for (uint32_t i = 0; i < s->capacity; i++) {
    struct pmp_session *p = &s->slot[i];
    if (!p->used || p->ended) continue;
    if (p->proven ? pmp_tokens_good(tokens, &p->token, now_s) : !tokens->present) continue;
    p->ended = true;
    ended++;
  }
  return ended;
}

void pmp_sessions_end(struct pmp_sessions *s, struct pmp_bytes id) {
  struct pmp_session *p = pmp_sessions_find(s, id, 0);
  if (!p || p->role == PMP_ROLE_ACTOR) return;
  p->used = false;
  s->used--;
}

bool pmp_sessions_allow(struct pmp_sessions *s, struct pmp_session *session) {
  if (session->allowance < 1) {
    s->throttled++;
    return false;
  }
  session->allowance -= 1;
  return true;
}

void pmp_sessions_fence(struct pmp_sessions *s, const char *name, uint32_t epoch) {
  for (uint32_t i = 0; i < s->capacity; i++) {
    struct pmp_session *p = &s->slot[i];
    if (p->used && p->role == PMP_ROLE_ACTOR && p->epoch < epoch && strcmp(p->name, name) == 0)
      p->fenced = true;
  }
}

void pmp_sessions_inherit(const struct pmp_sessions *s, struct pmp_session *session) {
  const struct pmp_session *last = NULL;
  for (uint32_t i = 0; i < s->capacity; i++) {
    const struct pmp_session *p = &s->slot[i];
    if (!p->used || p == session || p->role != PMP_ROLE_ACTOR || p->epoch >= session->epoch ||
        strcmp(p->name, session->name) != 0)
      continue;
    if (!last || p->epoch > last->epoch) last = p;
  }
  if (last && session->tally.episodes == 0 && session->tally.evaluations == 0)
    session->tally = last->tally;
}

void pmp_sessions_actors(const struct pmp_sessions *s, int64_t now_ns, int64_t quiet_ns,
                         uint32_t *sessions, uint32_t *active) {
  *sessions = *active = 0;
  for (uint32_t i = 0; i < s->capacity; i++) {
    const struct pmp_session *p = &s->slot[i];
    if (!p->used || p->ended || p->role != PMP_ROLE_ACTOR || p->fenced) continue;
    ++*sessions;
    *active += p->appending || now_ns - p->last_ns <= quiet_ns;
  }
}

void pmp_sessions_sweep(struct pmp_sessions *s, int64_t now_ns, double seconds) {
  for (uint32_t i = 0; i < s->capacity; i++) {
    struct pmp_session *p = &s->slot[i];
    if (!p->used) continue;
    if ((p->ended || now_ns - p->last_ns > s->idle_ns) && !p->appending) {
      p->used = false;
      s->used--;
      s->expired++;
      continue;
    }
    p->allowance += seconds * s->per_second;
    if (p->allowance > s->per_second) p->allowance = s->per_second;
  }
}
