/* A daemon of a few hundred lines for the tests of clients and actors: keeps what it commits in
 * memory, keeps the protocol's promises, and breaks on demand: replies and requests that get lost,
 * restarts, codes of all kinds.
 *
 * Its own threads serve it; every function may be called from any thread. */
#ifndef PMP_TESTS_FAKE_DAEMON_H
#define PMP_TESTS_FAKE_DAEMON_H

#include "proto/wire.h"

struct fake_daemon; /* opaque */

enum fake_fault {
  FAKE_LOSE_REQUEST, /* an append that never arrives */
  FAKE_LOSE_REPLY,   /* an append that is committed, but whose ack never arrives */
  FAKE_BUSY,
  FAKE_UNAVAILABLE,
  FAKE_INTERNAL,
  FAKE_INVALID,
  FAKE_COMPLETE,   /* an append to a run that is complete: unavailable, for good */
  FAKE_HELLO_BUSY, /* hello answered busy */
  FAKE_FAULTS
};

struct fake_options {
  struct pmp_spec spec;
  const char *policy; /* JSON; NULL: "{}" */
  const char *run_id; /* NULL: one of its own */
  const char *url;    /* the desk; NULL: a free port of the loopback */
  bool lockstep;
  uint64_t seed;
  /* Called, with the daemon locked, after every commit; may call the functions marked (locked). */
  void (*on_commit)(void *ctx, struct fake_daemon *d, uint64_t chunk,
                    const struct pmp_chunk *columns);
  void *ctx;
};

/* Listens on two free ports of the loopback. NULL on failure. */
struct fake_daemon *fake_daemon_start(const struct fake_options *options);
void fake_daemon_stop(struct fake_daemon *d);
const char *fake_daemon_url(const struct fake_daemon *d);
/* Sessions are forgotten, connections break; what was committed stays. The data address may move to
 * another port. */
void fake_daemon_restart(struct fake_daemon *d, bool move_data);
/* The two halves of a restart. */
void fake_daemon_down(struct fake_daemon *d);
void fake_daemon_up(struct fake_daemon *d, bool move_data);
/* From now on it serves another run. */
void fake_daemon_set_run(struct fake_daemon *d, const char *run_id);
/* The next n appends (or hellos) meet this. */
void fake_daemon_fault(struct fake_daemon *d, enum fake_fault fault, uint32_t n);
/* What the next n were meant to meet and have not yet. */
uint32_t fake_daemon_faults_left(struct fake_daemon *d, enum fake_fault fault);

/* Publishes weights (copied). `hash` as the policy computes it. */
void fake_daemon_publish(struct fake_daemon *d, uint64_t version, const struct pmp_wire_view *view,
                         uint32_t views, const float *weights, size_t floats, const char *hash);
void fake_daemon_publish_locked(struct fake_daemon *d, uint64_t version,
                                const struct pmp_wire_view *view, uint32_t views,
                                const float *weights, size_t floats, const char *hash);
/* Bytes that one answer holds at most. */
void fake_daemon_range_max(struct fake_daemon *d, size_t bytes);

struct fake_stats {
  uint64_t chunks, rows, duplicates, conflicts, appends, hellos, weights, reports, status;
  uint64_t report_env_steps; /* of the last report */
  uint32_t epoch;            /* of the last hello of an actor */
};
void fake_daemon_stats(struct fake_daemon *d, struct fake_stats *out);
/* Committed chunk i (bytes as sent); valid until stop. false: not that many. */
bool fake_daemon_chunk(struct fake_daemon *d, uint64_t i, struct pmp_bytes *chunk,
                       struct pmp_bytes *actor_state);
/* The last value reported under this name; false: none. */
bool fake_daemon_reported(struct fake_daemon *d, const char *name, double *value);
/* How often this name was reported. */
uint64_t fake_daemon_report_count(struct fake_daemon *d, const char *name);
/* Numbers that status answers besides its own. */
void fake_daemon_env_steps(struct fake_daemon *d, double env_steps);

#endif
