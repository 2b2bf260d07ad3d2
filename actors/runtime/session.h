/* An actor's connection to its run: the client, the mirror of the reference, the log, and what is
 * the same for all kinds: which version to act with, when to stop, how to report.
 *
 * Belongs to the actor's main thread. */
#ifndef PMP_ACTORS_RUNTIME_SESSION_H
#define PMP_ACTORS_RUNTIME_SESSION_H

#include "actors/runtime/options.h"
#include "actors/runtime/stop.h"
#include "base/log.h"
#include "clients/libpmpo-policy/pmpo_policy.h"

struct pmp_session_config {
  const struct pmp_actor_options *options;
  const char *kind;  /* "control" */
  uint32_t rows_max; /* conditions in one evaluation */
  bool follow;       /* the mirror follows; else it fetches on demand */
  enum pmp_which which;
  /* Does the run fit? `spec` is the run's; NULL: everything fits. */
  enum pmp_err (*fits)(void *ctx, const struct pmp_spec *spec, struct pmp_errmsg *msg);
  void *ctx;
};

struct pmp_actor_session {
  struct pmp_stop stop;
  struct pmpo *client;
  struct pmpo_policy *policy;
  struct pmp_log log;
  bool lockstep;
  uint64_t seed;
};

/* Connects, checks that the run fits, opens the mirror. The struct must stay where it is.
 * PMP_ECONFLICT when it does not fit. */
PMP_MUST_CHECK enum pmp_err pmp_session_open(struct pmp_actor_session *s,
                                             const struct pmp_session_config *config,
                                             struct pmp_errmsg *msg);
/* Safe on a zeroed struct. */
void pmp_session_close(struct pmp_actor_session *s);
/* What an actor's life came to, before its session is closed: PMP_OK when it was asked to stop,
 * and, after saying so on stderr, when the run is complete; else err. */
PMP_MUST_CHECK enum pmp_err pmp_session_outcome(struct pmp_actor_session *s, const char *kind,
                                                enum pmp_err err, const struct pmp_errmsg *msg);

/* Before a chunk is begun: in lockstep everything sent is committed and the version that the daemon
 * names is there, else any version is. */
PMP_MUST_CHECK enum pmp_err pmp_session_begin(struct pmp_actor_session *s, struct pmp_errmsg *msg);
/* Before each evaluation: outside lockstep the newest version that has arrived comes into use. */
static inline enum pmp_err pmp_session_refresh(struct pmp_actor_session *s,
                                               struct pmp_errmsg *msg) {
  return s->lockstep ? PMP_OK : pmpo_policy_update(s->policy, msg);
}
/* Sends numbers into the run's history; a report that fails is logged and forgotten. */
void pmp_session_report(struct pmp_actor_session *s, const struct pmp_number *value, uint32_t count,
                        uint64_t env_steps);
/* A generator of this actor: the same for the same (seed, name, purpose, index) and different from
 * all others. `salt` tells lives of an actor apart that could not go on from a stored state; 0 for
 * the first. */
void pmp_session_rng(const char *name, uint64_t seed, uint64_t salt, uint32_t purpose,
                     uint32_t index, struct pmp_rng *rng);
/* The stream of the same, for what takes (seed, stream). */
uint64_t pmp_session_stream(const char *name, uint64_t salt, uint32_t purpose, uint32_t index);

#endif
