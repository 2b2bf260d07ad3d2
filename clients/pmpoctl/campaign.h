/* What a campaign's file says: tasks x variants x seeds of one configuration, how long each run
 * learns and when it is evaluated. And what follows from it alone: the list of runs, their names,
 * the marks at which they are evaluated, the settings that make two runs of a variant comparable.
 *
 * Plain data once loaded; any thread. Knows no daemon and no process. */
#ifndef PMP_PMPOCTL_CAMPAIGN_H
#define PMP_PMPOCTL_CAMPAIGN_H

#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PMP_CAMPAIGN_NAME_MAX 64 /* bytes of a name, NUL included */
#define PMP_CAMPAIGN_TASKS_MAX 64
#define PMP_CAMPAIGN_VARIANTS_MAX 64
#define PMP_CAMPAIGN_SEEDS_MAX 256
#define PMP_CAMPAIGN_SETS_MAX 48
#define PMP_CAMPAIGN_WORDS_MAX 32
#define PMP_CAMPAIGN_REFERENCES_MAX 256
#define PMP_CAMPAIGN_MARKS_MAX 1000
#define PMP_CAMPAIGN_PATH_MAX 1024
#define PMP_CAMPAIGN_HASH_MAX 17 /* sixteen hexadecimal digits */

struct pmp_campaign_task {
  const char *name;
  /* Sizes, from pmpo-actor (campaign_tasks.h); 0 before. */
  uint32_t observation, action, episode_steps;
};

struct pmp_campaign_variant {
  const char *name;
  const char *const *set;   /* (sets): KEY=VALUE, over the campaign's */
  const char *const *actor; /* (actors): its own, or the campaign's */
  uint32_t sets, actors;
  json_t *settings;                 /* owned: all that its runs depend on but task and seed */
  char hash[PMP_CAMPAIGN_HASH_MAX]; /* of those */
};

/* A published value, shown beside the results. */
struct pmp_campaign_reference {
  const char *task, *label;
  double env_steps, value;
};

struct pmp_campaign {
  const char *name;
  char base[PMP_CAMPAIGN_PATH_MAX]; /* pmpod's configuration */
  struct pmp_campaign_task task[PMP_CAMPAIGN_TASKS_MAX];
  struct pmp_campaign_variant variant[PMP_CAMPAIGN_VARIANTS_MAX];
  uint64_t seed[PMP_CAMPAIGN_SEEDS_MAX];
  struct pmp_campaign_reference reference[PMP_CAMPAIGN_REFERENCES_MAX];
  uint32_t tasks, variants, seeds, references;
  const char *const *set; /* (sets): of all variants */
  uint32_t sets;
  const char *const *evaluator; /* (evaluators): further options of the evaluator */
  uint32_t evaluators;
  uint64_t env_steps, evaluate_every; /* environment steps */
  uint32_t evaluate_episodes, final_episodes;
  uint32_t threads; /* of a learner */
  bool keep;
  void *loaded; /* owned: what the pointers above point into */
};

/* One run: task, variant and seed by their index. */
struct pmp_campaign_run_id {
  uint32_t task, variant, seed;
};

/* Reads and checks the file and the configuration that it names. PMP_ENOTFOUND, PMP_EINVALID (with
 * line numbers), PMP_ENOMEM. Blocks on the disk. */
PMP_MUST_CHECK enum pmp_err pmp_campaign_load(struct pmp_campaign *c, const char *path,
                                              struct pmp_errmsg *msg);
/* Safe on a zeroed struct and after a failed load. */
void pmp_campaign_free(struct pmp_campaign *c);

/* Runs, ordered so that every task and variant has its first seed before any has its second. */
uint32_t pmp_campaign_runs(const struct pmp_campaign *c);
struct pmp_campaign_run_id pmp_campaign_run(const struct pmp_campaign *c, uint32_t i);
/* "TASK.VARIANT.SEED", the folder of the run below runs/. */
#define PMP_CAMPAIGN_RUN_NAME_MAX (2 * PMP_CAMPAIGN_NAME_MAX + 24)
const char *pmp_campaign_run_name(const struct pmp_campaign *c, struct pmp_campaign_run_id id,
                                  char out[PMP_CAMPAIGN_RUN_NAME_MAX]);

/* Marks: multiples of evaluate_every, and env_steps as the last. Counted from 1. */
uint32_t pmp_campaign_marks(const struct pmp_campaign *c);
uint64_t pmp_campaign_mark(const struct pmp_campaign *c, uint32_t k); /* environment steps */
/* The last mark that so many environment steps have reached; 0: none. */
uint32_t pmp_campaign_mark_reached(const struct pmp_campaign *c, uint64_t env_steps);

/* What differs between two settings of a variant, for a person: "learner.batch 128 -> 256; ...". An
 * empty text when nothing does. */
void pmp_campaign_difference(const json_t *before, const json_t *now, char *out, size_t size);

#endif
