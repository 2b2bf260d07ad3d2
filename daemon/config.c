/* Values of the configuration: defaults, one key from text, printing, and what holds between keys.
 */
#include "daemon/config.h"

#include "base/nearest.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define OBSERVATION_MAX 16777216

static void *field(struct pmp_config *c, const struct pmp_config_key *key) {
  return (char *)c + key->offset;
}

static const void *field_const(const struct pmp_config *c, const struct pmp_config_key *key) {
  return (const char *)c + key->offset;
}

static enum pmp_err fail_value(const struct pmp_config_key *k, const char *value, const char *want,
                               struct pmp_errmsg *msg) {
  return pmp_fail(msg, PMP_EINVALID, "%s.%s: \"%s\" is not %s", k->section, k->key, value, want);
}

/* The words of a number: the first stands for NaN, the second for -1. */
static bool is_word(const char *words, const char *value, double *out) {
  const char *bar = strchr(words, '|');
  const size_t first = bar ? (size_t)(bar - words) : strlen(words);
  if (strlen(value) == first && strncmp(value, words, first) == 0) {
    *out = NAN;
    return true;
  }
  if (!bar || strcmp(value, bar + 1) != 0) return false;
  *out = -1;
  return true;
}

static enum pmp_err parse_number(const struct pmp_config_key *k, const char *value, double *out,
                                 struct pmp_errmsg *msg) {
  if (k->nan && is_word(k->nan, value, out)) return PMP_OK;
  char *end = NULL;
  errno = 0;
  const double v = strtod(value, &end);
  if (end == value || *end != '\0' || !isfinite(v)) {
    if (k->nan)
      return pmp_fail(msg, PMP_EINVALID, "%s.%s: \"%s\" is no number, nor one of %s", k->section,
                      k->key, value, k->nan);
    return fail_value(k, value, "a number", msg);
  }
  if (v < k->min || v > k->max) {
    return pmp_fail(msg, PMP_EINVALID, "%s.%s: %s is out of range, allowed is %.10g to %.10g",
                    k->section, k->key, value, k->min, k->max);
  }
  *out = v;
  return PMP_OK;
}

static enum pmp_err parse_uint(const struct pmp_config_key *k, const char *value, uint64_t *out,
                               struct pmp_errmsg *msg) {
  double v = 0;
  PMP_TRY(parse_number(k, value, &v, msg));
  if (v != floor(v)) return fail_value(k, value, "a whole number", msg);
  char *end = NULL;
  errno = 0;
  const uint64_t u = strtoull(value, &end, 10);
  *out = (*end == '\0' && errno == 0) ? u : (uint64_t)v; /* "1e6" has no exact integer form */
  return PMP_OK;
}

static enum pmp_err parse_enum(const struct pmp_config_key *k, const char *value, int64_t *out,
                               struct pmp_errmsg *msg) {
  int64_t index = 0;
  for (const char *p = k->choices; p; index++) {
    const char *bar = strchr(p, '|');
    const size_t n = bar ? (size_t)(bar - p) : strlen(p);
    if (strlen(value) == n && strncmp(p, value, n) == 0) {
      *out = k->base + index;
      return PMP_OK;
    }
    p = bar ? bar + 1 : NULL;
  }
  return pmp_fail(msg, PMP_EINVALID, "%s.%s: \"%s\" is none of %s", k->section, k->key, value,
                  k->choices);
}

static enum pmp_err parse_list(const struct pmp_config_key *k, const char *value,
                               struct pmp_config_list *out, struct pmp_errmsg *msg) {
  char copy[PMP_CONFIG_TEXT_MAX];
  if (strlen(value) >= sizeof copy) return fail_value(k, value, "a list", msg);
  snprintf(copy, sizeof copy, "%s", value);
  struct pmp_config_list list = {0};
  char *save = NULL;
  for (char *tok = strtok_r(copy, "[], ", &save); tok; tok = strtok_r(NULL, "[], ", &save)) {
    if (list.count == PMP_CONFIG_LIST_MAX) {
      return pmp_fail(msg, PMP_EINVALID, "%s.%s: more than %d items", k->section, k->key,
                      PMP_CONFIG_LIST_MAX);
    }
    PMP_TRY(parse_uint(k, tok, &list.item[list.count], msg));
    list.count++;
  }
  *out = list;
  return PMP_OK;
}

static enum pmp_err set_key(struct pmp_config *c, const struct pmp_config_key *k, const char *value,
                            struct pmp_errmsg *msg) {
  void *at = field(c, k);
  switch (k->type) {
  case PMP_CONFIG_BOOL:
    if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0) {
      return fail_value(k, value, "true or false", msg);
    }
    *(bool *)at = value[0] == 't';
    return PMP_OK;
  case PMP_CONFIG_UINT:
    return parse_uint(k, value, at, msg);
  case PMP_CONFIG_FLOAT:
    return parse_number(k, value, at, msg);
  case PMP_CONFIG_TEXT:
    if (strlen(value) >= PMP_CONFIG_TEXT_MAX) {
      return pmp_fail(msg, PMP_EINVALID, "%s.%s: longer than %d bytes", k->section, k->key,
                      PMP_CONFIG_TEXT_MAX - 1);
    }
    snprintf(at, PMP_CONFIG_TEXT_MAX, "%s", value);
    return PMP_OK;
  case PMP_CONFIG_ENUM:
    return parse_enum(k, value, at, msg);
  case PMP_CONFIG_LIST:
    return parse_list(k, value, at, msg);
  }
  return PMP_EINTERNAL;
}

/* The known path nearest to a mistyped one; NULL when nothing is near. */
static const struct pmp_config_key *nearest_key(const char *path) {
  enum { FAR = 4 };
  size_t count = 0;
  const struct pmp_config_key *keys = pmp_config_keys(&count);
  struct pmp_nearest n;
  pmp_nearest_init(&n, path, 1, FAR);
  for (size_t i = 0; i < count; i++) {
    char name[96];
    snprintf(name, sizeof name, "%s.%s", keys[i].section, keys[i].key);
    pmp_nearest_offer(&n, i, name);
  }
  return n.count > 0 ? &keys[n.index[0]] : NULL;
}

enum pmp_err pmp_config_set(struct pmp_config *c, const char *path, const char *value,
                            struct pmp_errmsg *msg) {
  const struct pmp_config_key *k = pmp_config_find(path);
  if (k) return set_key(c, k, value, msg);
  const struct pmp_config_key *near = nearest_key(path);
  if (near) {
    return pmp_fail(msg, PMP_EINVALID, "there is no key \"%s\"; did you mean %s.%s?", path,
                    near->section, near->key);
  }
  return pmp_fail(msg, PMP_EINVALID,
                  "there is no key \"%s\"; pmpod --print-defaults lists them all", path);
}

enum pmp_err pmp_config_assign(struct pmp_config *c, const char *assignment,
                               struct pmp_errmsg *msg) {
  const char *eq = strchr(assignment, '=');
  char key[128];
  if (!eq || eq == assignment || (size_t)(eq - assignment) >= sizeof key) {
    return pmp_fail(msg, PMP_EINVALID, "--set %s: write section.key=value", assignment);
  }
  snprintf(key, sizeof key, "%.*s", (int)(eq - assignment), assignment);
  return pmp_config_set(c, key, eq + 1, msg);
}

void pmp_config_defaults(struct pmp_config *c) {
  memset(c, 0, sizeof *c);
  size_t count = 0;
  const struct pmp_config_key *keys = pmp_config_keys(&count);
  for (size_t i = 0; i < count; i++) {
    struct pmp_errmsg msg;
    if (set_key(c, &keys[i], keys[i].fallback, &msg) != PMP_OK)
      abort(); /* the table itself is wrong */
  }
}

void pmp_config_get(const struct pmp_config *c, const struct pmp_config_key *k, char *out,
                    size_t size) {
  const void *at = field_const(c, k);
  switch (k->type) {
  case PMP_CONFIG_BOOL:
    snprintf(out, size, "%s", *(const bool *)at ? "true" : "false");
    return;
  case PMP_CONFIG_UINT:
    snprintf(out, size, "%" PRIu64, *(const uint64_t *)at);
    return;
  case PMP_CONFIG_FLOAT: {
    const double v = *(const double *)at;
    const char *bar = k->nan ? strchr(k->nan, '|') : NULL;
    if (isnan(v)) {
      snprintf(out, size, "%.*s", bar ? (int)(bar - k->nan) : 64, k->nan ? k->nan : "nan");
      return;
    }
    if (bar && v == -1) {
      snprintf(out, size, "%s", bar + 1);
      return;
    }
    for (int digits = 6; digits <= 17; digits++) { /* the shortest text that reads back equal */
      snprintf(out, size, "%.*g", digits, v);
      if (strtod(out, NULL) == v) return;
    }
    return;
  }
  case PMP_CONFIG_TEXT:
    snprintf(out, size, "%s", (const char *)at);
    return;
  case PMP_CONFIG_ENUM: {
    const char *p = k->choices;
    for (int64_t i = k->base; i < *(const int64_t *)at && p; i++) {
      p = strchr(p, '|');
      if (p) p++;
    }
    const char *bar = p ? strchr(p, '|') : NULL;
    snprintf(out, size, "%.*s", p ? (int)(bar ? bar - p : (long)strlen(p)) : 0, p ? p : "");
    return;
  }
  case PMP_CONFIG_LIST: {
    const struct pmp_config_list *list = at;
    size_t used = (size_t)snprintf(out, size, "[");
    for (uint64_t i = 0; i < list->count && used < size; i++) {
      used += (size_t)snprintf(out + used, size - used, "%s%" PRIu64, i ? ", " : "", list->item[i]);
    }
    if (used < size) snprintf(out + used, size - used, "]");
    return;
  }
  }
}

void pmp_config_range(const struct pmp_config_key *k, char *out, size_t size) {
  if (k->type == PMP_CONFIG_ENUM) {
    snprintf(out, size, "%s", k->choices);
  } else if (k->type == PMP_CONFIG_BOOL) {
    snprintf(out, size, "true|false");
  } else if (k->type == PMP_CONFIG_TEXT) {
    snprintf(out, size, "text");
  } else {
    snprintf(out, size, "%s%.10g to %.10g%s%s", k->type == PMP_CONFIG_LIST ? "list of " : "",
             k->min, k->max, k->nan ? ", or " : "", k->nan ? k->nan : "");
  }
}

static void print_quoted(const char *text, FILE *out) {
  fputc('"', out);
  for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
    if (*p == '"' || *p == '\\') {
      fprintf(out, "\\%c", *p);
    } else if (*p < 32 || *p == 127) {
      fprintf(out, "\\x%02x", *p);
    } else {
      fputc(*p, out);
    }
  }
  fputc('"', out);
}

void pmp_config_print(const struct pmp_config *c, FILE *out) {
  size_t count = 0;
  const struct pmp_config_key *keys = pmp_config_keys(&count);
  const char *section = "";
  for (size_t i = 0; i < count; i++) {
    const struct pmp_config_key *k = &keys[i];
    if (strcmp(section, k->section) != 0) fprintf(out, "%s%s:\n", i ? "\n" : "", k->section);
    section = k->section;
    char value[PMP_CONFIG_TEXT_MAX];
    pmp_config_get(c, k, value, sizeof value);
    fprintf(out, "  # %s (", k->doc);
    char range[PMP_CONFIG_TEXT_MAX];
    pmp_config_range(k, range, sizeof range);
    fprintf(out, "%s%s)\n  %s: ", range, k->live ? "; live" : "", k->key);
    if (k->type == PMP_CONFIG_TEXT) {
      print_quoted(value, out);
    } else {
      fputs(value, out);
    }
    fputc('\n', out);
  }
}

void pmp_config_print_markdown(FILE *out) {
  fputs("# Configuration\n\nMade from the program itself: `pmpod --print-reference`. `pmpod "
        "--print-defaults` prints the "
        "same as a commented YAML file,\n`pmpod --check-config FILE` checks one, `--set "
        "section.key=value` changes one "
        "key. Keys marked live can change while the run goes on:\n`pmpoctl set KEY VALUE`, or "
        "SIGHUP after the file was "
        "edited.\n",
        out);
  size_t count = 0;
  const struct pmp_config_key *keys = pmp_config_keys(&count);
  const char *section = "";
  for (size_t i = 0; i < count; i++) {
    const struct pmp_config_key *k = &keys[i];
    if (strcmp(section, k->section) != 0) {
      fprintf(out,
              "\n## %s\n\n| key | default | allowed | live | meaning |\n| --- | --- | --- | --- | "
              "--- |\n",
              k->section);
    }
    section = k->section;
    fprintf(out, "| `%s` | `%s` | ", k->key, k->fallback[0] ? k->fallback : "\"\"");
    if (k->choices) { /* a bare | would end the cell */
      for (const char *p = k->choices; *p; p++) fputs(*p == '|' ? ", " : (char[]){*p, 0}, out);
    } else if (k->type == PMP_CONFIG_BOOL) {
      fputs("true, false", out);
    } else {
      char range[PMP_CONFIG_TEXT_MAX];
      pmp_config_range(k, range, sizeof range);
      fputs(range, out);
    }
    fprintf(out, " | %s | %s |\n", k->live ? "yes" : "", k->doc);
  }
}

static enum pmp_err check_spec(const struct pmp_config *c, struct pmp_errmsg *msg) {
  const bool critic = c->label.judge == PMP_JUDGE_CRITIC;
  if (critic && c->spec.shape != PMP_SHAPE_TRAJECTORIES) {
    return pmp_fail(msg, PMP_EINVALID, "label.judge: critic needs spec.shape: trajectories");
  }
  if (!critic && c->spec.shape == PMP_SHAPE_TRAJECTORIES) {
    return pmp_fail(msg, PMP_EINVALID, "spec.shape: trajectories needs label.judge: critic");
  }
  if (c->spec.observation.count == 0 && critic) {
    return pmp_fail(msg, PMP_EINVALID, "label.judge: critic needs a spec.observation");
  }
  if (c->spec.action_low >= c->spec.action_high) {
    return pmp_fail(msg, PMP_EINVALID, "spec.action_low must be below spec.action_high");
  }
  if (isnan(c->objective.beta_mean) != isnan(c->objective.beta_std)) {
    return pmp_fail(
        msg, PMP_EINVALID,
        "objective.beta_mean and objective.beta_std belong together: give both or none");
  }
  if (!isnan(c->objective.beta_mean) && c->spec.action == PMP_ACTION_BINS) {
    return pmp_fail(msg, PMP_EINVALID,
                    "spec.action: bins has one KL, weighed by objective.beta: leave "
                    "objective.beta_mean and objective.beta_std at joint");
  }
  if (c->run.lockstep && c->label.judge == PMP_JUDGE_PEOPLE) {
    return pmp_fail(msg, PMP_EINVALID,
                    "run.lockstep: people have no lockstep; use judge actor or critic");
  }
  return PMP_OK;
}

static enum pmp_err check_reward(const struct pmp_config *c, struct pmp_errmsg *msg) {
  if (c->reward.source != PMP_REWARD_PEOPLE) return PMP_OK;
  if (c->label.judge != PMP_JUDGE_CRITIC)
    return pmp_fail(msg, PMP_EINVALID,
                    "reward.source: people needs label.judge: critic (with judge people every row "
                    "of a clip takes the verdict itself)");
  if (c->learner.n_step != 1)
    return pmp_fail(msg, PMP_EINVALID,
                    "reward.source: people needs learner.n_step: 1 (a reward is looked up when its "
                    "row is drawn)");
  if (c->run.lockstep) return pmp_fail(msg, PMP_EINVALID, "run.lockstep: people have no lockstep");
  if (c->reward.hidden.count > PMP_NET_HIDDEN_MAX)
    return pmp_fail(msg, PMP_EINVALID, "reward.hidden: at most %d layers", PMP_NET_HIDDEN_MAX);
  return PMP_OK;
}

bool pmp_config_people(const struct pmp_config *c) {
  return c->label.judge == PMP_JUDGE_PEOPLE || c->reward.source == PMP_REWARD_PEOPLE;
}

static double least_tolerance(const struct pmp_config *c, double samples_per_insert) {
  return 2 * fmax((double)c->learner.batch, samples_per_insert * (double)c->limits.chunk_rows);
}

double pmp_config_tolerance(const struct pmp_config *c, double samples_per_insert) {
  if (isnan(c->learner.tolerance)) return INFINITY; /* "unlimited" */
  return c->learner.tolerance != 0 ? c->learner.tolerance : least_tolerance(c, samples_per_insert);
}

double pmp_config_beta_of(double alpha) {
  return alpha >= 1 ? 0 : alpha <= 0 ? 2 : 0.5;
}

enum pmp_err pmp_config_check(struct pmp_config *c, struct pmp_errmsg *msg) {
  PMP_TRY(check_spec(c, msg));
  PMP_TRY(check_reward(c, msg));
  if (c->objective.beta == -1) c->objective.beta = pmp_config_beta_of(c->objective.alpha);
  const double least = least_tolerance(c, c->learner.samples_per_insert);
  if (c->learner.tolerance != 0 && c->learner.tolerance < least) {
    return pmp_fail(msg, PMP_EINVALID,
                    "learner.tolerance: %.10g is below 2 max(batch, samples_per_insert * "
                    "limits.chunk_rows) = %.10g",
                    c->learner.tolerance, least);
  }
  if (c->store.capacity_rows < 2 * c->learner.capacity && c->store.capacity_rows != 0) {
    return pmp_fail(msg, PMP_EINVALID,
                    "store.capacity_rows: %" PRIu64 " is below twice learner.capacity (%" PRIu64
                    ")",
                    c->store.capacity_rows, c->learner.capacity);
  }
  double floats = 1;
  for (uint64_t i = 0; i < c->spec.observation.count; i++)
    floats *= (double)c->spec.observation.item[i];
  if (floats > OBSERVATION_MAX) {
    return pmp_fail(msg, PMP_EINVALID,
                    "spec.observation: %.10g numbers are more than the %.10g allowed", floats,
                    (double)OBSERVATION_MAX);
  }
  if (c->learner.capacity < c->learner.batch || c->learner.capacity < c->learner.min_size) {
    return pmp_fail(msg, PMP_EINVALID,
                    "learner.capacity must hold learner.batch and learner.min_size");
  }
  struct pmp_trainer_config t;
  pmp_config_trainer(c, &t);
  return pmp_trainer_check(&t, msg);
}

void pmp_config_spec(const struct pmp_config *c, struct pmp_spec *spec) {
  memset(spec, 0, sizeof *spec);
  snprintf(spec->task, sizeof spec->task, "%.*s", (int)sizeof spec->task - 1, c->spec.task);
  spec->shape = (enum pmp_shape)c->spec.shape;
  if (c->spec.observation.count > 0) {
    spec->obs_parts = 1;
    snprintf(spec->obs[0].name, sizeof spec->obs[0].name, "observation");
    spec->obs[0].dtype = PMP_F32;
    spec->obs[0].rank = (uint32_t)c->spec.observation.count;
    for (uint32_t i = 0; i < spec->obs[0].rank; i++)
      spec->obs[0].shape[i] = c->spec.observation.item[i];
  }
  spec->action.kind = (enum pmp_action_kind)c->spec.action;
  spec->action.dim = (uint32_t)c->spec.action_dim;
  spec->action.low = (float)c->spec.action_low;
  spec->action.high = (float)c->spec.action_high;
  spec->action.bins = c->spec.action == PMP_ACTION_BINS ? (uint32_t)c->spec.action_bins : 0;
}

static void widths(const struct pmp_config_list *list, uint32_t *out, uint32_t *count) {
  *count = (uint32_t)list->count;
  for (uint64_t i = 0; i < list->count; i++) out[i] = (uint32_t)list->item[i];
}

static void trainer_policy(const struct pmp_config *c, uint32_t obs, struct pmp_trainer_config *t) {
  const bool network = obs > 0;
  const bool gaussian = c->spec.action == PMP_ACTION_BOX;
  const bool full = c->policy.covariance == PMP_COVARIANCE_FULL;
  const bool mpo = strcmp(c->objective.name, "mpo") == 0;
  struct pmp_dist *d = &t->policy.dist;
  d->kind = !gaussian ? PMP_DIST_CATEGORICAL : full ? PMP_DIST_GAUSSIAN : PMP_DIST_DIAG_GAUSSIAN;
  d->dim = (uint32_t)c->spec.action_dim;
  d->bins = gaussian ? 0 : (uint32_t)c->spec.action_bins;
  d->split = !isnan(c->objective.beta_mean) || (mpo && gaussian);
  d->per_dim = mpo && gaussian && !full; /* its multipliers are per action dimension */
  d->squash_mean = gaussian && network && c->policy.squash_mean;
  d->std_scale =
      network ? 0.721347520444481703f : 1.0f; /* 0.5 / ln 2: std 0.5 at a raw value of 0 */
  d->std_min = (float)c->policy.std_min;
  d->low = (float)c->spec.action_low;
  d->high = (float)c->spec.action_high;
  t->policy.obs = obs;
  t->policy.network = network;
  if (network) widths(&c->policy.hidden, t->policy.hidden, &t->policy.hidden_count);
  t->policy.first_layer_norm = network && c->policy.layer_norm;
  t->policy.layer_norm_all = network && c->policy.layer_norm && c->policy.layer_norm_all;
  t->policy.init_std = (float)c->policy.init_std;
  t->policy.init_mean_range = (float)c->policy.init_mean_range;
  t->policy.normalize = network && c->learner.normalize_observations;
}

static void trainer_critic(const struct pmp_config *c, uint32_t obs, struct pmp_trainer_config *t) {
  t->critic.obs = obs;
  t->critic.act = (uint32_t)c->spec.action_dim;
  widths(&c->critic.hidden, t->critic.hidden, &t->critic.hidden_count);
  t->critic.first_layer_norm = c->policy.layer_norm;
  t->critic.layer_norm_all = c->policy.layer_norm && c->policy.layer_norm_all;
  t->critic.atoms = (uint32_t)c->critic.atoms;
  t->critic.v_min = (float)c->critic.v_min;
  t->critic.v_max = (float)c->critic.v_max;
  t->critic.count = (uint32_t)c->critic.count;
  t->value_samples = (uint32_t)c->critic.value_samples;
  t->critic_target_period = (uint32_t)c->critic.target_period;
}

/* V(x) of label rule value: the critic's widths, a scalar. */
static void trainer_value(const struct pmp_config *c, uint32_t obs, struct pmp_trainer_config *t) {
  trainer_critic(c, obs, t);
  t->critic.obs = obs > 0 ? obs : 1;
  t->critic.act = 0;
  t->critic.atoms = t->critic.count = 1;
}

static void trainer_loss(const struct pmp_config *c, struct pmp_trainer_config *t) {
  snprintf(t->objective, sizeof t->objective, "%.31s", c->objective.name);
  const bool split = !isnan(c->objective.beta_mean);
  t->beta_auto = !split && isnan(c->objective.beta);
  const double joint = t->beta_auto              ? 0
                       : c->objective.beta == -1 ? pmp_config_beta_of(c->objective.alpha)
                                                 : c->objective.beta;
  t->loss = (struct pmp_objective_config){
      .alpha = c->objective.alpha,
      .beta = {split ? c->objective.beta_mean : joint, split ? c->objective.beta_std : joint},
      .averaging = (enum pmp_averaging)c->objective.averaging,
      .kl = (enum pmp_kl_kind)c->objective.kl,
      .kl_by_state = c->objective.kl_weight == PMP_KL_WEIGHT_STATE,
      .eta = c->objective.eta,
      .tau = c->objective.tau,
      .pairs = (uint32_t)c->objective.pairs,
      .eps = c->objective.eps,
      .eps_mean = c->objective.eps_mean,
      .eps_std = c->objective.eps_std,
      .eps_penalty = c->objective.eps_penalty,
      .eta_exact = c->objective.temperature == PMP_TEMPERATURE_EXACT};
  t->improvement = (enum pmp_improvement)c->objective.improvement;
  t->improve =
      (struct pmp_improve_config){.rule = (enum pmp_improve_rule)c->objective.improvement_rule,
                                  .eigen_min = c->objective.eigen_min,
                                  .eigen_max = c->objective.eigen_max};
  t->guard = (enum pmp_guard)c->objective.guard;
  t->kl_max = c->objective.kl_max;
  t->policy_optim = (struct pmp_adam_config){.lr = (float)c->optim.lr,
                                             .beta1 = (float)c->optim.beta1,
                                             .beta2 = (float)c->optim.beta2,
                                             .eps = (float)c->optim.eps,
                                             .weight_decay = (float)c->optim.weight_decay,
                                             .clip_norm = (float)c->optim.clip_norm};
  t->critic_optim = t->policy_optim;
  t->critic_optim.lr = (float)c->critic.lr;
  t->decay_steps = c->optim.decay_steps;
  t->decay_to = c->optim.decay_to;
  t->dual_optim = (struct pmp_adam_config){
      .lr = (float)c->objective.dual_lr, .beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-8f};
}

void pmp_config_trainer(const struct pmp_config *c, struct pmp_trainer_config *t) {
  memset(t, 0, sizeof *t);
  struct pmp_spec spec;
  pmp_config_spec(c, &spec);
  const uint32_t obs = (uint32_t)pmp_spec_obs_size(&spec);
  t->seed = c->run.seed;
  t->threads = (int)c->learner.threads;
  t->precision = (enum pmp_precision)c->learner.precision;
  trainer_policy(c, obs, t);
  t->judge = (enum pmp_judge)c->label.judge;
  t->label_rule = (enum pmp_label_rule)c->label.rule;
  t->label_k = (uint32_t)c->label.k;
  t->label_k_rejected = (uint32_t)(c->label.k_rejected > 0 ? c->label.k_rejected : c->label.k);
  t->label_samples = (uint32_t)c->label.samples;
  trainer_loss(c, t);
  if (t->judge == PMP_JUDGE_CRITIC) trainer_critic(c, obs, t);
  if (pmp_trainer_has_value(t)) trainer_value(c, obs, t);
  t->refresh_period = (uint32_t)c->learner.refresh_period;
  t->batch = (uint32_t)c->learner.batch;
  t->kl_rows = (uint32_t)c->learner.kl_rows;
  t->replay = (struct pmp_replay_config){
      .shape =
          c->spec.shape == PMP_SHAPE_TRAJECTORIES ? PMP_REPLAY_TRAJECTORIES : PMP_REPLAY_OUTCOMES,
      .sampler = (enum pmp_sampler)c->learner.sampler,
      .obs = obs,
      .act = (uint32_t)c->spec.action_dim,
      .capacity = (size_t)c->learner.capacity,
      .n_step = (uint32_t)c->learner.n_step,
      .discount = (float)c->learner.discount,
      .streams_max = (uint32_t)c->learner.streams,
      .max_staleness = (uint32_t)c->learner.max_staleness,
  };
}
