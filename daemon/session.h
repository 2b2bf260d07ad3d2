/* Sessions: who is talking. They die with the daemon; a client then says hello again.
 *
 * Loop thread only. A session's id is 4 bytes of slot and 12 random bytes (libsodium). */
#ifndef PMP_DAEMON_SESSION_H
#define PMP_DAEMON_SESSION_H

#include "auth/tokens.h"
#include "base/err.h"
#include "daemon/tally.h"
#include "proto/wire.h"

#define PMP_SESSION_NAME_MAX 65
#define PMP_REPORTED_MAX 16
#define PMP_REPORT_IDS 8

struct pmp_session {
  bool used;
  uint8_t id[PMP_SESSION_BYTES];
  enum pmp_role role;
  char name[PMP_SESSION_NAME_MAX];
  /* Who verdicts, settings and events are kept under: the token's name, or local:NAME, unproven. */
  char principal[PMP_SESSION_NAME_MAX];
  bool proven;            /* by `token`, whose end is the session's */
  bool ended;             /* its token is good no more: found no longer, gone at the next sweep */
  struct pmp_token token; /* as it was at hello */
  int64_t last_ns;        /* last request */
  double allowance;       /* requests it may make now */
  /* actors */
  uint32_t epoch;
  uint8_t instance[PMP_INSTANCE_BYTES];
  bool fenced;    /* a newer instance took the name */
  bool appending; /* one outstanding append */
  uint64_t last_seq, rows, ref_version, env_steps;
  struct {
    char name[48];
    double value;
  } reported[PMP_REPORTED_MAX]; /* its last report */
  uint32_t reported_count;
  struct pmp_tally tally; /* of what it and earlier instances of its name reported */
  uint64_t
      report_id[PMP_REPORT_IDS]; /* request ids of its last reports: a resent one counts once */
  uint32_t report_next;
};

struct pmp_sessions {
  struct pmp_session *slot; /* owned, [capacity] */
  uint32_t capacity, used;
  int64_t idle_ns;
  double per_second;
  uint64_t opened, expired, refused, throttled;
};

PMP_MUST_CHECK enum pmp_err pmp_sessions_init(struct pmp_sessions *s, uint32_t capacity,
                                              int64_t idle_ns, double per_second);
void pmp_sessions_fini(struct pmp_sessions *s);
/* A session for (role, name[, instance]); the same actor instance gets its old one back. PMP_EBUSY
 * when all are in use. */
PMP_MUST_CHECK enum pmp_err pmp_sessions_open(struct pmp_sessions *s, enum pmp_role role,
                                              const char *name, struct pmp_bytes instance,
                                              int64_t now_ns, struct pmp_session **out);
/* Makes it the session of a token's holder: principal, and for all but actors the name too. */
void pmp_session_prove(struct pmp_session *session, const struct pmp_token *token);
/* A live session of an actor of this name that belongs to another principal; NULL. */
const struct pmp_session *pmp_sessions_of_other(const struct pmp_sessions *s, const char *name,
                                                const char *principal);
/* Ends sessions that no good token proves; nothing while no tokens are wanted, but for sessions
 * that one had opened. How many ended. */
uint32_t pmp_sessions_end_unproven(struct pmp_sessions *s, const struct pmp_tokens *tokens,
                                   int64_t now_s);
/* Ends the session of this id, unless it is an actor's or none. */
void pmp_sessions_end(struct pmp_sessions *s, struct pmp_bytes id);
/* NULL when the id is unknown. Marks it as used now. */
struct pmp_session *pmp_sessions_find(struct pmp_sessions *s, struct pmp_bytes id, int64_t now_ns);
/* Takes one request from its allowance; false: too many a second. */
bool pmp_sessions_allow(struct pmp_sessions *s, struct pmp_session *session);
/* An actor's epoch is known: sessions of the same name with a smaller one are fenced. */
void pmp_sessions_fence(struct pmp_sessions *s, const char *name, uint32_t epoch);
/* A new actor's session takes over the tally of its name's last instance, if that is still here. */
void pmp_sessions_inherit(const struct pmp_sessions *s, struct pmp_session *session);
/* Actors that nobody has taken the place of: *sessions, and how many of them were heard of within
 * the last quiet_ns. */
void pmp_sessions_actors(const struct pmp_sessions *s, int64_t now_ns, int64_t quiet_ns,
                         uint32_t *sessions, uint32_t *active);
/* Forgets the idle and refills allowances; call every second or so. */
void pmp_sessions_sweep(struct pmp_sessions *s, int64_t now_ns, double seconds);

#endif
