/* The daemon: its loop (libuv) and what the loop owns. Everything here runs on the loop thread;
 * other threads only push onto rings and wake it. Nothing here waits for the disk, the network or
 * the learner.
 *
 * A request's way: transport -> dispatch.c -> one of hello.c, ingest.c, weights.c, desk.c, query.c,
 * control.c -> reply. */
#ifndef PMP_DAEMON_SERVER_H
#define PMP_DAEMON_SERVER_H

#include "daemon/config.h"
#include "daemon/desk.h"
#include "daemon/http.h"
#include "daemon/learn.h"
#include "daemon/limiter.h"
#include "daemon/publish.h"
#include "daemon/reader.h"
#include "daemon/session.h"
#include "daemon/transport.h"
#include "proto/wire.h"
#include "store/store.h"

#include <uv.h>

#define PMP_VERSION_BLOCK                                                                          \
  32 /* version numbers reserved at once: also the largest jump after a crash */
#define PMP_RUN_ID_MAX 40
#define PMP_LEARN_INFLIGHT_MAX 4096 /* verdicts and settings on their way to the learner */

struct pmp_held { /* an append that waits for the rate limiter */
  struct pmp_call *call;
  struct pmp_job *job;
  struct pmp_session *session;
  uint32_t trainable;
  int64_t until_ns;
};

struct pmp_counters {
  uint64_t requests, refused_invalid, refused_too_large, refused_unauthenticated, refused_forbidden,
      refused_busy, refused_conflict, refused_unavailable, refused_internal, refused_not_found;
  uint64_t appends, append_rows, append_bytes, duplicates, holds, hold_busy, open_items_busy,
      no_job_busy;
  uint64_t hellos_failed, hellos_throttled; /* for want of a good token */
  uint64_t lease_requests, desk_refused_judge, desk_refused_quota, desk_refused_busy;
  uint64_t verdicts, verdict_duplicates, verdict_surplus, reports, report_duplicates, metrics_lost;
};

struct pmp_server {
  struct pmp_config config; /* as it is now */
  const char *config_path;  /* NULL: none; read again on SIGHUP */
  const char *const *set;   /* borrowed, [sets]: KEY=VALUE of the command line, above the file */
  int sets;
  char dir[512];
  struct pmp_log log;
  struct pmp_clock clock;
  struct pmp_spec spec;
  struct pmp_wire_limits limits;
  char run_id[PMP_RUN_ID_MAX];
  char *policy_json; /* owned */

  uv_loop_t loop;
  uv_async_t wake;
  uv_timer_t tick, hold;
  uv_signal_t sigterm, sigint, sighup;
  bool loop_ready, hold_running;

  struct pmp_transport desk, data;
  struct pmp_store *store;
  struct pmp_ring store_done;
  size_t store_inflight, store_inflight_max;
  struct pmp_learn *learn;
  bool learner_ready;
  uint64_t learner_commit; /* entries up to here are done with, in lockstep with their steps */
  struct pmp_readers *reader, *lease_reader;
  struct pmp_desk people;
  struct pmp_limiter limiter;
  struct pmp_sessions sessions;
  struct pmp_tokens tokens; /* who may come in */
  bool tokens_needed; /* somebody beyond loopback may come: tokens that are gone let nobody in */
  double failed_hellos_allowed; /* before they are answered busy */
  struct pmp_http *http;        /* nullable */
  struct pmp_tally tally;       /* of the task: what all actors reported in this process */
  struct pmp_publisher publisher;

  struct pmp_job *job; /* owned, [jobs] */
  struct pmp_job **free_job;
  uint32_t jobs, free_jobs;
  struct pmp_held *held; /* owned, [held_max] */
  uint32_t held_count, held_max;
  uint32_t appends_now; /* data contexts that hold an append */

  struct pmp_arena scratch; /* one reply being encoded */
  uint32_t policy_waiting;  /* requests for a snapshot of pi at the learner */
  uint32_t learn_inflight;  /* verdicts and settings that the learner has not taken */

  struct pmp_counters count;
  int64_t started_ns, swept_ns, full_checkpoint_ns;
  bool stopping, learner_asked, learner_stopped;
  int64_t stop_deadline_ns;
  int exit_code;
  char fatal[512]; /* why exit_code is not 0 */
};

/* A store operation in flight: what to do when it is done. */
struct pmp_pending {
  struct pmp_store_op op;
  void (*finish)(struct pmp_server *s, struct pmp_pending *p); /* loop thread; frees p */
  struct pmp_server *server;
  struct pmp_call *call;
  struct pmp_job *job;
  struct pmp_session *session; /* an actor's, while its `appending` is set: it stays */
  void *extra;                 /* owned by finish */
};

/* server.c */
struct pmp_server_options {
  const struct pmp_config *config;
  const char *config_path, *dir;
  const char *const *set; /* KEY=VALUE, [sets] */
  int sets;
  int log_fd;
};
/* Opens everything and runs until it is told to stop. Returns the process's exit code (0: stopped
 * in order). */
int pmp_server_run(const struct pmp_server_options *options);
void pmp_server_stop(struct pmp_server *s, const char *why);
void pmp_server_fatal(struct pmp_server *s, const char *why);
/* Submits; on refusal err is returned and p stays the caller's. */
PMP_MUST_CHECK enum pmp_err pmp_server_submit(struct pmp_server *s, struct pmp_pending *p);
/* A new pending operation; NULL when there is no memory. */
struct pmp_pending *pmp_pending_new(struct pmp_server *s, enum pmp_store_kind kind);
/* Writes an audit event; detail is a JSON object. */
void pmp_server_event(struct pmp_server *s, const char *who, const char *kind, const char *detail);
/* Metrics into the history. */
void pmp_server_metrics(struct pmp_server *s, const struct pmp_store_point *point, uint32_t count);

/* dispatch.c */
void pmp_dispatch(struct pmp_server *s, struct pmp_call *call);
/* The same from a decoded request on (what HTTP makes): session, allowance, role, verb. call->user
 * is r. */
void pmp_dispatch_request(struct pmp_server *s, struct pmp_call *call, struct pmp_request *r);
/* Encodes and sends; counts refusals. reply->request_id is filled in from the call. */
void pmp_answer(struct pmp_server *s, struct pmp_call *call, struct pmp_reply *reply);
void pmp_refuse(struct pmp_server *s, struct pmp_call *call, enum pmp_err code, uint32_t retry_ms,
                const char *fmt, ...) PMP_PRINTF(5, 6);
/* The request of a call (decoded in its arena). */
struct pmp_request *pmp_call_request(struct pmp_call *call);

/* login.c */
/* Reads the run's tokens; a broken file is an error. */
PMP_MUST_CHECK enum pmp_err pmp_login_open(struct pmp_server *s, struct pmp_errmsg *msg);
void pmp_login_close(struct pmp_server *s);
/* What was read at the start, as an event. */
void pmp_login_started(struct pmp_server *s);
/* Every second or so: reads tokens again that changed, ends sessions whose token ended. Reads a
 * small file that was written just now: the one disk access of the loop. */
void pmp_login_sweep(struct pmp_server *s, double seconds);
/* Who says hello. PMP_OK: *token is its token, NULL when none is wanted; else the call was
 * answered. */
PMP_MUST_CHECK enum pmp_err pmp_login_check(struct pmp_server *s, struct pmp_call *call,
                                            const struct pmp_hello *hello,
                                            const struct pmp_token **token);

/* one a verb */
void pmp_serve_hello(struct pmp_server *s, struct pmp_call *call, const struct pmp_hello *hello);
void pmp_serve_append(struct pmp_server *s, struct pmp_call *call, struct pmp_session *session,
                      const struct pmp_append *a);
void pmp_serve_weights(struct pmp_server *s, struct pmp_call *call, const struct pmp_weights *w);
void pmp_serve_export(struct pmp_server *s, struct pmp_call *call, const struct pmp_export *e);
void pmp_serve_verdicts(struct pmp_server *s, struct pmp_call *call, struct pmp_session *session,
                        const struct pmp_verdicts *v);
void pmp_serve_lease(struct pmp_server *s, struct pmp_call *call, struct pmp_session *session,
                     const struct pmp_lease *l);
void pmp_serve_review(struct pmp_server *s, struct pmp_call *call, const struct pmp_review *q);
void pmp_serve_report(struct pmp_server *s, struct pmp_call *call, struct pmp_session *session,
                      const struct pmp_report *r);
void pmp_serve_status(struct pmp_server *s, struct pmp_call *call, const struct pmp_status *q);
void pmp_serve_history(struct pmp_server *s, struct pmp_call *call, const struct pmp_history *q);
void pmp_serve_events(struct pmp_server *s, struct pmp_call *call, const struct pmp_events *q);
void pmp_serve_control(struct pmp_server *s, struct pmp_call *call, struct pmp_session *session,
                       const struct pmp_control *c);

/* ingest.c */
PMP_MUST_CHECK enum pmp_err pmp_ingest_init(struct pmp_server *s);
void pmp_ingest_fini(struct pmp_server *s);
void pmp_ingest_retry_held(struct pmp_server *s);
void pmp_ingest_job_free(struct pmp_server *s, struct pmp_job *job);
/* The learner is done with an entry: lockstep's acknowledgement, the job back. */
void pmp_ingest_learned(struct pmp_server *s, struct pmp_learn_in *in, uint64_t version);

/* weights.c */
void pmp_weights_snapshot(struct pmp_server *s, struct pmp_snapshot *snapshot);
void pmp_weights_policy(struct pmp_server *s, struct pmp_learn_in *in, struct pmp_learn_out *out);
void pmp_weights_due(struct pmp_server *s);
void pmp_weights_reserve(struct pmp_server *s, uint64_t at_least);

/* control.c */
void pmp_control_learned(struct pmp_server *s, struct pmp_learn_in *in, struct pmp_learn_out *out);
void pmp_control_reload(struct pmp_server *s);
/* After a resume: what is live is what the checkpoint and the settings after it say, not the file.
 * Takes it over and says where the file differs. */
void pmp_control_adopt(struct pmp_server *s);
/* Settles a setting: store, then learner. who for the audit; call may be NULL. */
void pmp_control_set(struct pmp_server *s, struct pmp_call *call, const char *who, const char *key,
                     const char *value);
/* A command for the learner on behalf of nobody. */
void pmp_control_command(struct pmp_server *s, enum pmp_learn_kind kind);

/* query.c */
void pmp_query_answered(struct pmp_server *s);

#endif
