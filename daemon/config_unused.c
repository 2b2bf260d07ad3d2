/* Settings that somebody gave and that this run does not read, or that let its loss fall without
 * end: said once at the start, since a silence would pass for an effect. */
#include "daemon/config.h"

#include "learner/objective/objective.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Who reads a setting. */
enum reader {
  BY_OBJECTIVE, /* `names` */
  BY_EXACT,     /* improvement exact */
  BY_TOP_K,
  BY_RULE, /* a judge that has evaluations */
  BY_CRITIC,
  BY_VALUES, /* the critic, or label rule value */
  BY_NETWORK,
  BY_CONDITION,
  BY_FREE, /* parameters without a network */
  BY_BOX,
  BY_TRAJECTORIES,
  BY_ACTORS, /* outcomes judged by actors */
  BY_PEOPLE,
  BY_REWARD,
  BY_DECAY
};

static const struct {
  const char *key;
  enum reader reader;
  const char *names; /* of objectives, each between spaces */
} table[] = {
    {"objective.alpha", BY_OBJECTIVE, " pmpo | boltzmann "},
    {"objective.beta", BY_OBJECTIVE, " pmpo | boltzmann "},
    {"objective.beta_mean", BY_OBJECTIVE, " pmpo | boltzmann "},
    {"objective.beta_std", BY_OBJECTIVE, " pmpo | boltzmann "},
    {"objective.averaging", BY_OBJECTIVE, " pmpo "},
    {"objective.kl", BY_OBJECTIVE, " pmpo | boltzmann "},
    {"objective.kl_weight", BY_OBJECTIVE, " pmpo "},
    {"objective.eta", BY_OBJECTIVE, " boltzmann "},
    {"objective.tau", BY_OBJECTIVE, " dpo | ipo "},
    {"objective.pairs", BY_OBJECTIVE, " dpo | ipo "},
    {"objective.eps", BY_OBJECTIVE, " mpo "},
    {"objective.eps_mean", BY_OBJECTIVE, " mpo "},
    {"objective.eps_std", BY_OBJECTIVE, " mpo "},
    {"objective.eps_penalty", BY_OBJECTIVE, " mpo "},
    {"objective.temperature", BY_OBJECTIVE, " mpo "},
    {"objective.dual_lr", BY_OBJECTIVE, " mpo "},
    {"objective.improvement_rule", BY_EXACT, NULL},
    {"objective.eigen_min", BY_EXACT, NULL},
    {"objective.eigen_max", BY_EXACT, NULL},
    {"label.rule", BY_RULE, NULL},
    {"label.k", BY_TOP_K, NULL},
    {"label.k_rejected", BY_TOP_K, NULL},
    {"label.samples", BY_CRITIC, NULL},
    {"critic.hidden", BY_VALUES, NULL},
    {"critic.lr", BY_VALUES, NULL},
    {"critic.count", BY_CRITIC, NULL},
    {"critic.atoms", BY_CRITIC, NULL},
    {"critic.v_min", BY_CRITIC, NULL},
    {"critic.v_max", BY_CRITIC, NULL},
    {"critic.value_samples", BY_CRITIC, NULL},
    {"critic.target_period", BY_CRITIC, NULL},
    {"optim.decay_to", BY_DECAY, NULL},
    {"policy.covariance", BY_BOX, NULL},
    {"policy.init_std", BY_BOX, NULL},
    {"policy.std_min", BY_BOX, NULL},
    {"policy.hidden", BY_NETWORK, NULL},
    {"policy.layer_norm", BY_NETWORK, NULL},
    {"policy.layer_norm_all", BY_NETWORK, NULL},
    {"policy.squash_mean", BY_NETWORK, NULL},
    {"policy.init_mean_range", BY_FREE, NULL},
    {"learner.normalize_observations", BY_CONDITION, NULL},
    {"learner.n_step", BY_TRAJECTORIES, NULL},
    {"learner.discount", BY_TRAJECTORIES, NULL},
    {"learner.max_staleness", BY_ACTORS, NULL},
    {"learner.samples_per_verdict", BY_PEOPLE, NULL},
    {"reward.hidden", BY_REWARD, NULL},
    {"reward.nets", BY_REWARD, NULL},
    {"reward.clips", BY_REWARD, NULL},
    {"reward.clip_rows", BY_REWARD, NULL},
    {"reward.batch", BY_REWARD, NULL},
    {"reward.steps_per_verdict", BY_REWARD, NULL},
    {"reward.min_verdicts", BY_REWARD, NULL},
    {"reward.lr", BY_REWARD, NULL},
    {"reward.weight_decay", BY_REWARD, NULL},
    {"reward.memory", BY_REWARD, NULL},
};

/* NULL when the run reads it, else who would. */
static const char *unread(const struct pmp_config *c, size_t i) {
  char name[PMP_CONFIG_TEXT_MAX + 2];
  const bool critic = c->label.judge == PMP_JUDGE_CRITIC;
  const bool people = c->label.judge == PMP_JUDGE_PEOPLE;
  const bool network = c->spec.observation.count > 0;
  switch (table[i].reader) {
  case BY_OBJECTIVE: {
    /* One that is not of this table may read anything. */
    static const char known[] = " pmpo boltzmann mpo dpo ipo bc ";
    snprintf(name, sizeof name, " %.*s ", (int)sizeof name - 3, c->objective.name);
    return strstr(known, name) == NULL || strstr(table[i].names, name) ? NULL : table[i].names;
  }
  case BY_EXACT:
    return c->objective.improvement == PMP_IMPROVEMENT_EXACT ? NULL
                                                             : "objective.improvement: exact";
  case BY_TOP_K:
    return !people && c->label.rule == PMP_LABEL_TOP_K ? NULL : "label.rule: top_k";
  case BY_RULE:
    return !people ? NULL : "judges actor and critic";
  case BY_CRITIC:
    return critic ? NULL : "label.judge: critic";
  case BY_VALUES:
    return critic || (!people && c->label.rule == PMP_LABEL_VALUE)
               ? NULL
               : "label.judge: critic, label.rule: value";
  case BY_NETWORK:
    return network || critic || c->label.rule == PMP_LABEL_VALUE ? NULL
                                                                 : "runs with a spec.observation";
  case BY_CONDITION:
    return network ? NULL : "runs with a spec.observation";
  case BY_FREE:
    return network ? "runs without a spec.observation" : NULL;
  case BY_BOX:
    return c->spec.action == PMP_ACTION_BOX ? NULL : "spec.action: box";
  case BY_TRAJECTORIES:
    return c->spec.shape == PMP_SHAPE_TRAJECTORIES ? NULL : "spec.shape: trajectories";
  case BY_ACTORS:
    return !critic && !people ? NULL : "label.judge: actor";
  case BY_PEOPLE:
    return people ? NULL : "label.judge: people";
  case BY_REWARD:
    return c->reward.source == PMP_REWARD_PEOPLE ? NULL : "reward.source: people";
  case BY_DECAY:
    return c->optim.decay_steps > 0 ? NULL : "optim.decay_steps above 0";
  }
  return NULL;
}

void pmp_config_remarks(const struct pmp_config *c,
                        void (*say)(void *ctx, const char *key, const char *remark), void *ctx) {
  struct pmp_config defaults;
  char remark[256];
  pmp_config_defaults(&defaults);
  for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
    char own[PMP_CONFIG_TEXT_MAX], usual[PMP_CONFIG_TEXT_MAX];
    const struct pmp_config_key *key = pmp_config_find(table[i].key);
    const char *who = unread(c, i);
    if (key == NULL || who == NULL) continue;
    pmp_config_get(c, key, own, sizeof own);
    pmp_config_get(&defaults, key, usual, sizeof usual);
    if (strcmp(own, usual) == 0) continue;
    /* The papers' beta became a number on the way. */
    if (strcmp(table[i].key, "objective.beta") == 0 && strcmp(usual, "papers") == 0 &&
        c->objective.beta == pmp_config_beta_of(c->objective.alpha))
      continue;
    const bool objectives = table[i].reader == BY_OBJECTIVE;
    const int length = (int)strlen(who) - (objectives ? 2 : 0); /* without the spaces around */
    snprintf(remark, sizeof remark, "this run does not read it: it is for %s%.*s",
             objectives ? "objective.name " : "", length, who + (objectives ? 1 : 0));
    say(ctx, table[i].key, remark);
  }
  const bool exact = c->objective.improvement == PMP_IMPROVEMENT_EXACT;
  const double beta = isnan(c->objective.beta_mean)
                          ? c->objective.beta
                          : fmin(c->objective.beta_mean, c->objective.beta_std);
  if (strcmp(c->objective.name, "pmpo") == 0 && !exact && beta < 1.0 - c->objective.alpha) {
    snprintf(
        remark, sizeof remark,
        "%g with alpha %g: rejected outcomes may push without end; the papers take %g, and auto "
        "follows their share",
        beta, c->objective.alpha, pmp_config_beta_of(c->objective.alpha));
    say(ctx, "objective.beta", remark);
  }
}
