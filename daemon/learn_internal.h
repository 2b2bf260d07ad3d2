/* Shared by learn*.c only: the learner thread's own state. No other file includes it. */
#ifndef PMP_DAEMON_LEARN_INTERNAL_H
#define PMP_DAEMON_LEARN_INTERNAL_H

#include "daemon/learn.h"
#include "daemon/rows.h"
#include "learner/reward/reward.h"

#include <pthread.h>
#include <stdatomic.h>

#define PMP_STEP_NUMBERS 29

#define PMP_JUMPS_MAX 64

/* A resumed run publishes the weights of version `from` again as `from + by`: rows drawn by them,
 * or by older ones, are as many refreshes old as if the number had not jumped. */
struct pmp_version_jump {
  uint64_t from, by;
};

struct pmp_learn {
  struct pmp_learn_config config;
  char store_path[600], checkpoint_dir[600]; /* what config points to */
  struct pmp_ring in, out;
  pthread_t thread;
  bool started;
  _Atomic bool abandon;         /* the daemon gives up on the thread */
  _Atomic bool stop_asked;      /* a stop is on its way: loading ends early */
  _Atomic bool wants_verdicts;  /* too few for the reward */
  _Atomic bool complete;        /* run.max_steps is reached */
  _Atomic uint64_t reward_fits; /* steps of the reward's fits */

  /* the thread's own */
  struct pmp_trainer *trainer; /* owned */
  const struct pmp_policy *policy;
  struct pmp_arena arena; /* decoding while the ring is filled; expansion of rows */
  uint64_t commit, env_steps;
  struct pmp_version_jump jump[PMP_JUMPS_MAX]; /* of every resume so far, oldest first */
  uint32_t jumps;
  bool paused, faulted, starved;
  bool uninformed;                  /* no step of the last window had anything to learn from */
  struct pmp_learn_in *head, *tail; /* entries not applied yet, in order */
  struct pmp_learn_in *open_entry;  /* lockstep: applied, its steps not all done */
  struct pmp_learn_in *stopping;
  int64_t status_ns, window_ns, save_ns, step_ns; /* step_ns: of the last step */
  int64_t run_ns, wait_ns, ran_ns; /* as in the status; ran_ns: clock up to which they count */
  uint64_t rows;                   /* taken in by this process */
  struct pmp_pace pace;
  struct pmp_reader *judged;     /* owned: reads chunks that people judge; NULL until the first */
  struct pmp_entry judged_chunk; /* the last one, whose data live until the next is read */
  struct pmp_reward *reward;     /* owned; NULL: rows bring their rewards */
  uint64_t reward_owed;          /* steps of its fit that verdicts have paid for */
  uint64_t window_steps, save_step;
  double sum[PMP_STEP_NUMBERS];
  uint64_t sum_n[PMP_STEP_NUMBERS];
  struct pmp_store_checkpoint_row *kept; /* owned: what the folder of checkpoints holds */
  uint32_t kept_count;

  pthread_mutex_t lock; /* of shown */
  struct pmp_learn_status shown;
};

/* learn.c */
void pmp_learn_send(struct pmp_learn *l, struct pmp_learn_out *out);
struct pmp_learn_out *pmp_learn_out_new(enum pmp_out_kind kind);
void pmp_learn_done(struct pmp_learn *l, struct pmp_learn_in *in, enum pmp_err err,
                    const char *text);
/* {key: value, "reason": reason} for the audit. */
void pmp_learn_event(struct pmp_learn *l, const char *kind, const char *key, const char *value,
                     const char *reason);
void pmp_learn_publish(struct pmp_learn *l);
void pmp_learn_fail(struct pmp_learn *l, enum pmp_err err, const char *text);
void pmp_learn_refresh_status(struct pmp_learn *l, bool now);
void pmp_learn_state_set(struct pmp_learn *l, enum pmp_learn_state state, const char *reason);

/* learn_entry.c: one entry, from the loop or from the store. */
PMP_MUST_CHECK enum pmp_err pmp_learn_entry(struct pmp_learn *l, struct pmp_learn_in *in,
                                            struct pmp_errmsg *msg);
PMP_MUST_CHECK enum pmp_err pmp_learn_stored(struct pmp_learn *l, const struct pmp_entry *e,
                                             bool filling, struct pmp_errmsg *msg);
void pmp_learn_count_trainable(struct pmp_learn *l);

/* Whether the trainer's steps are all that run.max_steps allows. */
void pmp_learn_mark_complete(struct pmp_learn *l);
bool pmp_learn_ending(struct pmp_learn *l);

/* learn_reward.c: rewards from people's verdicts on clips. */
PMP_MUST_CHECK enum pmp_err pmp_learn_reward_open(struct pmp_learn *l, struct pmp_errmsg *msg);
/* Verdicts' labels of a chunk of trajectories: each run of neighbouring rows with one label is a
 * clip. */
PMP_MUST_CHECK enum pmp_err pmp_learn_reward_judged(struct pmp_learn *l,
                                                    const struct pmp_replay_rows *rows,
                                                    const struct pmp_store_label *label,
                                                    uint32_t labels, struct pmp_errmsg *msg);
/* How uncertain the verdicts on these clips are: the spread of the networks' logits plus
 * 1 - |2 p - 1|, where p is the probability of an accept. Nothing is scored before the first fit.
 */
void pmp_learn_reward_score(struct pmp_learn *l, struct pmp_score_work *work);
/* Does what is owed of the fit; a little before each step. */
void pmp_learn_reward_fit(struct pmp_learn *l);
/* Enough verdicts of both kinds for the learner to go on? text: what is missing. */
bool pmp_learn_reward_ready(const struct pmp_learn *l, char *text, size_t size);
/* How many more clips must be judged before that; 0: it is ready, or there is no such reward. */
uint64_t pmp_learn_reward_wanted(const struct pmp_learn *l);

/* learn_save.c */
PMP_MUST_CHECK enum pmp_err pmp_learn_load(struct pmp_learn *l, struct pmp_errmsg *msg);
PMP_MUST_CHECK enum pmp_err pmp_learn_save(struct pmp_learn *l, struct pmp_errmsg *msg);
void pmp_learn_save_if_due(struct pmp_learn *l);
/* learn.c, for the load: the steps that an entry of a lockstep run owes. */
PMP_MUST_CHECK enum pmp_err pmp_learn_catch_up(struct pmp_learn *l, struct pmp_errmsg *msg);

#endif
