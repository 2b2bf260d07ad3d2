/* One run of a campaign while it is worked on: pmpod in the run's folder, a training actor up to
 * the next mark, an evaluation there, and so on to the last.
 *
 * The actor ends at each mark, the learner does all steps that are owed, and only then is the
 * policy evaluated: what is evaluated is the policy after exactly so many environment steps, and
 * with run.lockstep the same one every time. Daemon and actor go on from the run's folder, so that
 * a run may be dropped at any moment and begun again.
 *
 * One thread. A step blocks for a fraction of a second at most, unless a daemon is slow to answer.
 */
#ifndef PMP_PMPOCTL_CAMPAIGN_RUN_H
#define PMP_PMPOCTL_CAMPAIGN_RUN_H

#include "clients/pmpoctl/campaign_child.h"
#include "clients/pmpoctl/campaign_ledger.h"
#include "clients/pmpoctl/ctl.h"

/* What all runs of a campaign share. */
struct pmp_campaign_world {
  const struct pmp_campaign *campaign; /* borrowed */
  struct pmp_ledger *ledger;           /* borrowed, writable */
  char dir[PMP_CAMPAIGN_PATH_MAX], bin[PMP_CAMPAIGN_PATH_MAX];
  char version[24];         /* pmpod's */
  const volatile int *stop; /* non-zero after a signal */
};

enum pmp_campaign_run_phase {
  PMP_RUN_FOLDER,     /* wait until no other process uses the folder, then start pmpod */
  PMP_RUN_STARTING,   /* pmpod loads */
  PMP_RUN_TRAINING,   /* the actor runs up to the next mark */
  PMP_RUN_SETTLING,   /* the learner does what is owed */
  PMP_RUN_EVALUATING, /* the evaluator runs */
  PMP_RUN_EXPORTING,  /* after the final evaluation: the weights */
  PMP_RUN_STOPPING,   /* pmpod writes its checkpoint */
  PMP_RUN_ENDED       /* all processes are gone */
};

struct pmp_active_run {
  const struct pmp_campaign_world *world;
  struct pmp_campaign_run_id id;
  char name[PMP_CAMPAIGN_RUN_NAME_MAX], dir[PMP_CHILD_PATH_MAX];
  enum pmp_campaign_run_phase phase;
  struct pmp_child daemon, actor, evaluator; /* the evaluator's also exports */
  struct pmpo *client;                       /* owned; NULL while pmpod does not answer */
  struct pmp_arena arena;
  char url[PMP_CTL_URL_MAX];
  bool lockstep;
  uint32_t mark;     /* the next one to be evaluated, from 1 */
  uint32_t attempts; /* new starts since the last evaluation */
  uint32_t makeups;  /* rounds of an actor since then that made up for lost steps */
  uint64_t extra;    /* steps that the actor counts and the store does not */
  uint64_t env_steps, learner_steps;
  char state[32], state_reason[160]; /* of the daemon */
  double phase_s;                    /* pmp_ctl_now() when the phase began */
  double asked_s, answered_s;        /* of the status */
  double moved_s;                    /* when steps were last seen to grow */
  double begin_s, wall_base_s;       /* seconds before this time */
  double learn_begin_s;              /* when the first actor started, and at how many steps: */
  uint64_t learn_begin_steps;
  struct pmp_ledger_line line; /* the evaluation that is under way */
  bool evaluated;              /* a line was added since this was last cleared */
  bool failed, done;           /* with PMP_RUN_ENDED */
  char reason[PMP_LEDGER_STATUS_MAX];
};

/* The run begins, or goes on, with the first step. Makes its folder. */
PMP_MUST_CHECK enum pmp_err pmp_campaign_run_begin(struct pmp_active_run *r,
                                                   const struct pmp_campaign_world *w,
                                                   struct pmp_campaign_run_id id,
                                                   struct pmp_errmsg *msg);
/* What can be done now. An error is the campaign's (the ledger cannot be written), not the run's.
 */
PMP_MUST_CHECK enum pmp_err pmp_campaign_run_step(struct pmp_active_run *r, struct pmp_errmsg *msg);
/* Asks all its processes to end; further steps bring it to PMP_RUN_ENDED. */
void pmp_campaign_run_stop(struct pmp_active_run *r);
/* Ends what still runs, at once. Safe on a zeroed struct. */
void pmp_campaign_run_fini(struct pmp_active_run *r);

/* Seconds of work so far, in this and earlier lives. */
double pmp_campaign_run_wall(const struct pmp_active_run *r);
/* Environment steps a second since the actor first started, evaluations included; NAN: not known
 * yet. */
double pmp_campaign_run_rate(const struct pmp_active_run *r);

/* The folder of a run: DIR/runs/NAME. */
void pmp_campaign_run_folder(const struct pmp_campaign_world *w, struct pmp_campaign_run_id id,
                             char out[PMP_CHILD_PATH_MAX]);
/* Is there something that the run can go on from? */
bool pmp_campaign_run_has_store(const char *folder);
/* Removes the samples and checkpoints of a run that is done. */
void pmp_campaign_run_clean(const char *folder);
/* The command lines, for people and for the run itself; steps: of the actor, episodes: of the
 * evaluator, whose start states follow from run and mark. */
void pmp_campaign_run_daemon_words(const struct pmp_campaign_world *w,
                                   struct pmp_campaign_run_id id, struct pmp_words *out);
void pmp_campaign_run_actor_words(const struct pmp_campaign_world *w, struct pmp_campaign_run_id id,
                                  const char *url, uint64_t steps, struct pmp_words *out);
void pmp_campaign_run_evaluator_words(const struct pmp_campaign_world *w,
                                      struct pmp_campaign_run_id id, const char *url, uint32_t mark,
                                      struct pmp_words *out);
/* What an evaluator prints, {"eval_return": 812.3, "eval_episodes": 10, ...}, into a line. */
PMP_MUST_CHECK enum pmp_err pmp_campaign_run_read_evaluation(const char *text,
                                                             struct pmp_ledger_line *line,
                                                             struct pmp_errmsg *msg);

#endif
