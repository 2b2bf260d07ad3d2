/* The learner's thread: takes entries in commit order, steps as the rate limiter allows, refreshes
 * and publishes the reference, writes checkpoints.
 *
 * Everything goes in by pmp_learn_post and comes out by a ring that the loop drains. The thread
 * owns the trainer; nobody else touches it. When the loop is slow to drain, the learner waits:
 * nothing is dropped. */
#ifndef PMP_DAEMON_LEARN_H
#define PMP_DAEMON_LEARN_H

#include "base/fs.h"
#include "base/log.h"
#include "base/ring.h"
#include "daemon/config.h"
#include "daemon/desk.h"
#include "daemon/learn_pace.h"
#include "daemon/limiter.h"
#include "daemon/snapshot.h"
#include "learner/checkpoint.h"
#include "store/store.h"

/* One chunk on its way: decoded in its own arena by ingest, handed to the learner after the commit,
 * given back. */
struct pmp_job {
  struct pmp_arena arena;
  struct pmp_chunk chunk;
  char actor[PMP_STORE_NAME_MAX];
  uint64_t id, commit; /* of the chunk */
  uint32_t reserved;   /* trainable rows admitted */
  uint32_t env_steps;
  uint32_t items; /* ingest's: that people may judge */
  void *owner;    /* ingest's */
};

enum pmp_learn_kind {
  PMP_LEARN_CHUNK,   /* job */
  PMP_LEARN_VERDICT, /* labels, chunk bytes */
  PMP_LEARN_SETTING, /* key, value */
  PMP_LEARN_PAUSE,
  PMP_LEARN_RESUME,
  PMP_LEARN_CHECKPOINT,
  PMP_LEARN_POLICY, /* a snapshot of pi */
  PMP_LEARN_SCORE,  /* score: clips' rows in, how uncertain their verdicts are out */
  PMP_LEARN_STOP    /* checkpoint and end */
};

struct pmp_learn_in { /* malloc'd by the poster, freed by the poster when it comes back in an out
                         message (or at close) */
  enum pmp_learn_kind kind;
  uint64_t commit;
  struct pmp_job *job;
  struct pmp_store_label *label; /* owned */
  uint32_t labels;
  uint64_t chunk; /* the judged one; the learner reads it from the store */
  bool first;
  struct pmp_score_work *score; /* owned */
  char key[PMP_STORE_NAME_MAX], value[PMP_CONFIG_TEXT_MAX];
  void *owner;               /* the poster's */
  struct pmp_learn_in *next; /* the learner's */
};

enum pmp_out_kind {
  PMP_OUT_READY,    /* the checkpoint is loaded and the ring filled */
  PMP_OUT_DONE,     /* `in` is done with; err, msg, snapshot or checkpoint as its kind says */
  PMP_OUT_SNAPSHOT, /* a new reference */
  PMP_OUT_METRICS,
  PMP_OUT_CHECKPOINT, /* a checkpoint was written */
  PMP_OUT_EVENT,      /* kind and detail for the audit */
  PMP_OUT_FAILED      /* the learner cannot go on: the daemon must stop with msg */
};

#define PMP_METRICS_MAX 64
struct pmp_learn_out { /* malloc'd by the learner, freed by the loop */
  enum pmp_out_kind kind;
  struct pmp_learn_in *in;
  enum pmp_err err;
  struct pmp_errmsg msg;
  struct pmp_snapshot *snapshot; /* owned */
  uint64_t version, step, commit;
  struct pmp_store_point point[PMP_METRICS_MAX];
  uint32_t points;
  struct pmp_store_checkpoint_row *row; /* owned: all kept checkpoints */
  uint32_t rows;
  uint64_t window_commit;
  char event[32], detail[4096]; /* a JSON object */
};

enum pmp_learn_state {
  PMP_LEARN_LOADING,
  PMP_LEARN_RUNNING,
  PMP_LEARN_WAITING,
  PMP_LEARN_PAUSED,
  PMP_LEARN_FINISHED,
  PMP_LEARN_FAILED
};

/* A consistent copy of what the learner says of itself. */
struct pmp_learn_status {
  enum pmp_learn_state state;
  char reason[256];
  uint64_t steps, version, commit, env_steps, checkpoint_step;
  double entry_s;                        /* seconds spent applying entries */
  double accepted, rejected, unlabelled; /* outcomes judged in steps, ever in this process */
  uint64_t verdicts_wanted;              /* clips to be judged before a reward is fitted */
  uint64_t skipped_rejected, skipped_steps, checkpoints, checkpoint_failures;
  struct pmp_replay_stats replay;
  struct pmp_trainer_live live;
  int64_t cpu_ns, gemm_ns;
  uint64_t gemm_flops;
  int64_t run_ns,
      wait_ns; /* since it was loaded, neither paused nor finished; of it without data */
  struct pmp_pace_rates pace;
  struct pmp_trainer_times times;
  struct pmp_store_point last[PMP_METRICS_MAX]; /* last metrics */
  uint32_t lasts;
};

struct pmp_learn_config {
  const struct pmp_config *config; /* borrowed; what is live may differ */
  const struct pmp_spec *spec;
  const char *store_path, *checkpoint_dir;
  uint64_t last_commit; /* of the store when it was opened: up to here entries are read from it */
  uint64_t reserved_version; /* versions up to here may have been published before */
  const struct pmp_fs *fs;
  struct pmp_clock clock;
  const struct pmp_log *log;
  struct pmp_limiter *limiter;
  size_t in_capacity, out_capacity;
  void (*wake)(void *ctx); /* after a push on the out ring */
  void *wake_ctx;
};

struct pmp_learn;

/* Opens the trainer (so that a wrong configuration is said at once) and starts the thread, which
 * loads the newest checkpoint and fills the ring. */
PMP_MUST_CHECK enum pmp_err pmp_learn_start(struct pmp_learn **l,
                                            const struct pmp_learn_config *config,
                                            struct pmp_errmsg *msg);
/* Loop; never blocks. PMP_EBUSY when the queue is full. */
PMP_MUST_CHECK enum pmp_err pmp_learn_post(struct pmp_learn *l, struct pmp_learn_in *in);
/* Loop: next message out; false when there is none. */
bool pmp_learn_next(struct pmp_learn *l, struct pmp_learn_out **out);
void pmp_learn_out_free(struct pmp_learn_out *out); /* not out->in */
void pmp_learn_in_free(struct pmp_learn_in *in);    /* with what it owns, but not the job */
/* Any thread. */
void pmp_learn_status(struct pmp_learn *l, struct pmp_learn_status *s);
/* Any thread: run.max_steps is reached; known before the entry that led there is done. */
bool pmp_learn_complete(const struct pmp_learn *l);
/* Any thread: the learner waits for people's first verdicts. */
bool pmp_learn_wants_verdicts(const struct pmp_learn *l);
/* Any thread: steps of the fits of people's reward in this process; 0: nothing is known yet. */
uint64_t pmp_learn_reward_fits(const struct pmp_learn *l);
const struct pmp_policy *pmp_learn_policy(const struct pmp_learn *l); /* immutable */
/* Ends the thread (after PMP_LEARN_STOP, or at once) and frees. Blocks. */
void pmp_learn_close(struct pmp_learn *l);

#endif
