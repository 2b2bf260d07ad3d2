/* The campaign's file: libcyaml's schema for its shape, then what a schema cannot say, then the
 * settings of each variant. */
#include "clients/pmpoctl/campaign.h"
#include "clients/pmpoctl/campaign_yaml.h"

#include <cyaml/cyaml.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#define TEXT_MAX 1023
#define EPISODES_DEFAULT 10
#define FINAL_EPISODES_DEFAULT 100
#define MARKS_DEFAULT 10
#define SEED_MAX 4294967295.0 /* evaluations derive theirs from it */
#define ENV_STEPS_MAX 1e13
#define THREADS_MAX 256

/* ---- shape ---- */

struct raw_variant {
  char *name, **set, **actor;
  unsigned set_count, actor_count;
};
struct raw_reference {
  char *task, *label;
  double env_steps, value;
};
struct raw {
  char *name, *base, **tasks, **set, **actor, **evaluator;
  struct raw_variant *variants;
  struct raw_reference *references;
  double *seeds;
  unsigned tasks_count, set_count, actor_count, evaluator_count, variants_count, references_count,
      seeds_count;
  double env_steps, evaluate_every, evaluate_episodes, final_episodes;
  int64_t keep;
};
/* What a campaign's pointers point into. */
struct loaded {
  struct raw *raw; /* libcyaml's memory */
  char log[2048];
};

/* libcyaml gives a list without items no memory, as if it were not there: lists have one at least.
 */
#define LIST(key, type, entry, max)                                                                \
  CYAML_FIELD_SEQUENCE(#key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, type, key, entry, 1, max)
#define NUMBER(key, type, flags) CYAML_FIELD_FLOAT(#key, flags, type, key)

static const cyaml_schema_value_t text_entry = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, TEXT_MAX)};
static const cyaml_schema_value_t number_entry = {
    .type = CYAML_FLOAT, .flags = CYAML_FLAG_DEFAULT, .data_size = sizeof(double)};
static const cyaml_schema_field_t variant_fields[] = {
    CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, struct raw_variant, name, 1, TEXT_MAX),
    LIST(set, struct raw_variant, &text_entry, PMP_CAMPAIGN_SETS_MAX),
    LIST(actor, struct raw_variant, &text_entry, PMP_CAMPAIGN_WORDS_MAX), CYAML_FIELD_END};
static const cyaml_schema_value_t variant_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_variant, variant_fields)};
static const cyaml_schema_field_t reference_fields[] = {
    CYAML_FIELD_STRING_PTR("task", CYAML_FLAG_POINTER, struct raw_reference, task, 1, TEXT_MAX),
    CYAML_FIELD_STRING_PTR("label", CYAML_FLAG_POINTER, struct raw_reference, label, 1,
                           PMP_CAMPAIGN_NAME_MAX - 1),
    NUMBER(env_steps, struct raw_reference, CYAML_FLAG_DEFAULT),
    NUMBER(value, struct raw_reference, CYAML_FLAG_DEFAULT), CYAML_FIELD_END};
static const cyaml_schema_value_t reference_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_reference, reference_fields)};
static const cyaml_strval_t truth[] = {{"false", 0}, {"true", 1}};
static const cyaml_schema_field_t fields[] = {
    CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, struct raw, name, 1, TEXT_MAX),
    CYAML_FIELD_STRING_PTR("base", CYAML_FLAG_POINTER, struct raw, base, 1, TEXT_MAX),
    CYAML_FIELD_SEQUENCE("tasks", CYAML_FLAG_POINTER, struct raw, tasks, &text_entry, 1,
                         PMP_CAMPAIGN_TASKS_MAX),
    LIST(variants, struct raw, &variant_entry, PMP_CAMPAIGN_VARIANTS_MAX),
    CYAML_FIELD_SEQUENCE("seeds", CYAML_FLAG_POINTER, struct raw, seeds, &number_entry, 1,
                         PMP_CAMPAIGN_SEEDS_MAX),
    NUMBER(env_steps, struct raw, CYAML_FLAG_DEFAULT),
    NUMBER(evaluate_every, struct raw, CYAML_FLAG_OPTIONAL),
    NUMBER(evaluate_episodes, struct raw, CYAML_FLAG_OPTIONAL),
    NUMBER(final_episodes, struct raw, CYAML_FLAG_OPTIONAL),
    LIST(set, struct raw, &text_entry, PMP_CAMPAIGN_SETS_MAX),
    LIST(actor, struct raw, &text_entry, PMP_CAMPAIGN_WORDS_MAX),
    LIST(evaluator, struct raw, &text_entry, PMP_CAMPAIGN_WORDS_MAX),
    CYAML_FIELD_ENUM("keep", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, struct raw, keep, truth, 2),
    LIST(references, struct raw, &reference_entry, PMP_CAMPAIGN_REFERENCES_MAX),
    CYAML_FIELD_END};
static const cyaml_schema_value_t schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct raw, fields)};

static void keep_log(cyaml_log_t level, void *ctx, const char *fmt, va_list args) {
  (void)level;
  struct loaded *l = ctx;
  const size_t used = strlen(l->log);
  if (used + 1 < sizeof l->log) vsnprintf(l->log + used, sizeof l->log - used, fmt, args);
}

static cyaml_config_t cyaml_config(struct loaded *l) {
  return (cyaml_config_t){.log_fn = keep_log,
                          .log_ctx = l,
                          .mem_fn = cyaml_mem,
                          .log_level = CYAML_LOG_ERROR,
                          .flags = CYAML_CFG_DEFAULT};
}

/* libcyaml's lines as one, and what would be right. */
static enum pmp_err explain(const struct loaded *l, const char *path, cyaml_err_t rc,
                            struct pmp_errmsg *msg) {
  char text[300], allowed[256] = "";
  size_t used = 0;
  for (const char *p = l->log; *p && used + 2 < sizeof text; p++) {
    const char ch = *p == '\n' || *p == '\t' ? ' ' : *p;
    if (ch == ' ' && (used == 0 || text[used - 1] == ' ')) continue;
    text[used++] = ch;
  }
  text[used] = '\0';
  const cyaml_schema_field_t *f = strstr(l->log, "field 'variants'")     ? variant_fields
                                  : strstr(l->log, "field 'references'") ? reference_fields
                                                                         : fields;
  for (size_t n = 0; rc == CYAML_ERR_INVALID_KEY && f->key != NULL && n < sizeof allowed; f++)
    n += (size_t)snprintf(allowed + n, sizeof allowed - n, "%s %s",
                          n ? "" : "; allowed are:", f->key);
  return pmp_fail(msg, PMP_EINVALID, "%s: %s: %s%s", path, cyaml_strerror(rc), text, allowed);
}

/* ---- what holds between the values ---- */

struct place {
  const char *path;
  const struct pmp_yaml *yaml;
};

static enum pmp_err wrong(const struct place *at, const char *key, int index, const char *below,
                          struct pmp_errmsg *msg, const char *fmt, ...) PMP_PRINTF(6, 7);
static enum pmp_err wrong(const struct place *at, const char *key, int index, const char *below,
                          struct pmp_errmsg *msg, const char *fmt, ...) {
  char text[400];
  va_list args;
  va_start(args, fmt);
  vsnprintf(text, sizeof text, fmt, args);
  va_end(args);
  return pmp_fail(msg, PMP_EINVALID, "%s: line %u: %s", at->path,
                  pmp_yaml_line(at->yaml, key, index, below), text);
}

/* Names become folders, fields of a CSV and words of a figure. */
static bool is_name(const char *s) {
  const size_t n = strlen(s);
  return n > 0 && n < PMP_CAMPAIGN_NAME_MAX && s[0] != '-' &&
         strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == n;
}

static enum pmp_err name(const struct place *at, const char *key, int index, const char *below,
                         const char *text, struct pmp_errmsg *msg) {
  if (is_name(text)) return PMP_OK;
  return wrong(at, key, index, below, msg,
               "\"%.80s\" is no name: up to %d letters, digits, _ and -, and no - first", text,
               PMP_CAMPAIGN_NAME_MAX - 1);
}

static enum pmp_err whole(const struct place *at, const char *key, int index, double v, double min,
                          double max, uint64_t *out, struct pmp_errmsg *msg) {
  if (!(v >= min && v <= max) || v != floor(v))
    return wrong(at, key, index, NULL, msg, "%s takes whole numbers from %.0f to %.0f, not %.10g",
                 key, min, max, v);
  *out = (uint64_t)v;
  return PMP_OK;
}

static enum pmp_err count(const struct place *at, const char *key, double v, double fallback,
                          double max, uint64_t *out, struct pmp_errmsg *msg) {
  return whole(at, key, -1, pmp_yaml_has(at->yaml, key, -1, NULL) ? v : fallback, 1, max, out, msg);
}

/* What the campaign itself gives to pmpod and the actors. */
static enum pmp_err set_words(const struct place *at, const char *key, int index,
                              const char *const *set, uint32_t sets, struct pmp_errmsg *msg) {
  static const char *const ours[] = {
      "run.seed=", "run.name=", "spec.task=", "spec.observation=", "spec.action_dim=", "listen."};
  const char *below = index >= 0 ? "set" : NULL;
  for (uint32_t i = 0; i < sets; i++) {
    const char *equals = strchr(set[i], '='), *dot = strchr(set[i], '.');
    if (equals == NULL || dot == NULL || dot > equals || equals - set[i] > 100)
      return wrong(at, key, index, below, msg, "\"%.80s\" is not SECTION.KEY=VALUE", set[i]);
    for (size_t k = 0; k < sizeof ours / sizeof ours[0]; k++)
      if (strncmp(set[i], ours[k], strlen(ours[k])) == 0)
        return wrong(at, key, index, below, msg, "%.*s is set by the campaign",
                     (int)(equals - set[i]), set[i]);
  }
  return PMP_OK;
}

static enum pmp_err actor_words(const struct place *at, const char *key, int index,
                                const char *const *word, uint32_t words, struct pmp_errmsg *msg) {
  static const char *const ours[] = {"--connect",  "--name",   "--task", "--max-env-steps",
                                     "--evaluate", "--once",   "--list", "--episodes",
                                     "--replay",   "--render", "--help", "--period"};
  const char *below = index >= 0 ? "actor" : NULL;
  for (uint32_t i = 0; i < words; i++)
    for (size_t k = 0; k < sizeof ours / sizeof ours[0]; k++) {
      const size_t n = strcspn(word[i], "=");
      if (strlen(ours[k]) == n && strncmp(word[i], ours[k], n) == 0)
        return wrong(at, key, index, below, msg, "%s is given by the campaign", ours[k]);
    }
  return PMP_OK;
}

static enum pmp_err take_tasks(struct pmp_campaign *c, const struct raw *r, const struct place *at,
                               struct pmp_errmsg *msg) {
  for (unsigned i = 0; i < r->tasks_count; i++) {
    PMP_TRY(name(at, "tasks", (int)i, NULL, r->tasks[i], msg));
    for (unsigned k = 0; k < i; k++)
      if (strcmp(r->tasks[k], r->tasks[i]) == 0)
        return wrong(at, "tasks", (int)i, NULL, msg, "task %s is there twice", r->tasks[i]);
    c->task[i] = (struct pmp_campaign_task){.name = r->tasks[i]};
  }
  c->tasks = r->tasks_count;
  for (unsigned i = 0; i < r->seeds_count; i++) {
    PMP_TRY(whole(at, "seeds", (int)i, r->seeds[i], 0, SEED_MAX, &c->seed[i], msg));
    for (unsigned k = 0; k < i; k++)
      if (c->seed[k] == c->seed[i])
        return wrong(at, "seeds", (int)i, NULL, msg, "seed %" PRIu64 " is there twice", c->seed[i]);
  }
  c->seeds = r->seeds_count;
  return PMP_OK;
}

static enum pmp_err take_variants(struct pmp_campaign *c, const struct raw *r,
                                  const struct place *at, struct pmp_errmsg *msg) {
  const char *const *actor = (const char *const *)r->actor;
  PMP_TRY(set_words(at, "set", -1, (const char *const *)r->set, r->set_count, msg));
  PMP_TRY(actor_words(at, "actor", -1, actor, r->actor_count, msg));
  c->variants = r->variants_count;
  if (c->variants == 0) {
    c->variants = 1;
    c->variant[0] =
        (struct pmp_campaign_variant){.name = "base", .actor = actor, .actors = r->actor_count};
  }
  for (unsigned i = 0; i < r->variants_count; i++) {
    const struct raw_variant *v = &r->variants[i];
    const char *const *set = (const char *const *)v->set, *const *own =
                                                              (const char *const *)v->actor;
    PMP_TRY(name(at, "variants", (int)i, "name", v->name, msg));
    for (unsigned k = 0; k < i; k++)
      if (strcmp(r->variants[k].name, v->name) == 0)
        return wrong(at, "variants", (int)i, "name", msg, "variant %s is there twice", v->name);
    PMP_TRY(set_words(at, "variants", (int)i, set, v->set_count, msg));
    PMP_TRY(actor_words(at, "variants", (int)i, own, v->actor_count, msg));
    if (v->set_count + r->set_count > PMP_CAMPAIGN_SETS_MAX)
      return wrong(at, "variants", (int)i, "set", msg,
                   "more than %d settings; write them into base", PMP_CAMPAIGN_SETS_MAX);
    c->variant[i] = (struct pmp_campaign_variant){.name = v->name,
                                                  .set = set,
                                                  .sets = v->set_count,
                                                  .actor = v->actor_count > 0 ? own : actor,
                                                  .actors = v->actor_count > 0 ? v->actor_count
                                                                               : r->actor_count};
  }
  return PMP_OK;
}

static enum pmp_err take_references(struct pmp_campaign *c, const struct raw *r,
                                    const struct place *at, struct pmp_errmsg *msg) {
  for (unsigned i = 0; i < r->references_count; i++) {
    const struct raw_reference *p = &r->references[i];
    bool found = false;
    for (uint32_t t = 0; t < c->tasks; t++) found |= strcmp(p->task, c->task[t].name) == 0;
    if (!found)
      return wrong(at, "references", (int)i, "task", msg, "task %.80s is not in this campaign",
                   p->task);
    if (strpbrk(p->label, ",\"\\\n\t") != NULL)
      return wrong(at, "references", (int)i, "label", msg,
                   "a label has no commas, quotes, tabs or line breaks");
    if (!isfinite(p->value) || !(p->env_steps >= 0 && p->env_steps <= ENV_STEPS_MAX))
      return wrong(at, "references", (int)i, NULL, msg, "a number is out of range");
    c->reference[i] = (struct pmp_campaign_reference){p->task, p->label, p->env_steps, p->value};
  }
  c->references = r->references_count;
  return PMP_OK;
}

static enum pmp_err take_lengths(struct pmp_campaign *c, const struct raw *r,
                                 const struct place *at, struct pmp_errmsg *msg) {
  uint64_t episodes = 0, last = 0;
  PMP_TRY(whole(at, "env_steps", -1, r->env_steps, 1, ENV_STEPS_MAX, &c->env_steps, msg));
  const double every = ceil((double)c->env_steps / MARKS_DEFAULT);
  PMP_TRY(count(at, "evaluate_every", r->evaluate_every, every, (double)c->env_steps,
                &c->evaluate_every, msg));
  PMP_TRY(count(at, "evaluate_episodes", r->evaluate_episodes, EPISODES_DEFAULT, 100000, &episodes,
                msg));
  PMP_TRY(
      count(at, "final_episodes", r->final_episodes, FINAL_EPISODES_DEFAULT, 100000, &last, msg));
  if ((c->env_steps - 1) / c->evaluate_every >= PMP_CAMPAIGN_MARKS_MAX)
    return wrong(at, "evaluate_every", -1, NULL, msg, "more than %d evaluations of a run",
                 PMP_CAMPAIGN_MARKS_MAX);
  c->evaluate_episodes = (uint32_t)episodes;
  c->final_episodes = (uint32_t)last;
  c->keep = r->keep != 0;
  return PMP_OK;
}

/* base is relative to the folder of the file. */
static enum pmp_err take_base(struct pmp_campaign *c, const struct raw *r, const struct place *at,
                              struct pmp_errmsg *msg) {
  const char *slash = strrchr(at->path, '/');
  const int folder = slash != NULL && r->base[0] != '/' ? (int)(slash - at->path) + 1 : 0;
  if (snprintf(c->base, sizeof c->base, "%.*s%s", folder, at->path, r->base) >= (int)sizeof c->base)
    return wrong(at, "base", -1, NULL, msg, "the path is too long");
  if (access(c->base, R_OK) != 0)
    return wrong(at, "base", -1, NULL, msg, "%.300s cannot be read", c->base);
  return PMP_OK;
}

/* ---- settings ---- */

static json_t *words_json(const char *const *word, uint32_t words) {
  json_t *list = json_array();
  for (uint32_t i = 0; i < words; i++) json_array_append_new(list, json_string(word[i]));
  return list;
}

static void put_sets(json_t *out, const char *const *set, uint32_t sets) {
  for (uint32_t i = 0; i < sets; i++) {
    char key[128];
    const char *equals = strchr(set[i], '=');
    snprintf(key, sizeof key, "%.*s", (int)(equals - set[i]), set[i]);
    json_object_set_new(out, key, json_string(equals + 1));
  }
}

/* What the campaign sets for itself, and what says nothing of a result. */
static void drop_ours(json_t *flat) {
  static const char *const key[] = {"run.seed",         "run.name",        "spec.task",
                                    "spec.observation", "spec.action_dim", "listen.desk",
                                    "listen.data",      "log.level"};
  for (size_t i = 0; i < sizeof key / sizeof key[0]; i++) json_object_del(flat, key[i]);
}

static enum pmp_err settings(struct pmp_campaign *c, struct pmp_campaign_variant *v,
                             const json_t *base, struct pmp_errmsg *msg) {
  json_t *flat = json_copy((json_t *)(uintptr_t)base);
  if (flat == NULL) return pmp_fail(msg, PMP_ENOMEM, "out of memory");
  put_sets(flat, c->set, c->sets);
  put_sets(flat, v->set, v->sets);
  drop_ours(flat);
  const char *threads = json_string_value(json_object_get(flat, "learner.threads"));
  const double n = threads != NULL ? strtod(threads, NULL) : 1;
  if (n > c->threads) c->threads = n <= THREADS_MAX ? (uint32_t)n : THREADS_MAX;
  v->settings =
      json_pack("{s:s, s:o, s:o, s:o, s:I, s:I, s:I, s:I}", "campaign", c->name, "pmpod", flat,
                "actor", words_json(v->actor, v->actors), "evaluator",
                words_json(c->evaluator, c->evaluators), "env_steps", (json_int_t)c->env_steps,
                "evaluate_every", (json_int_t)c->evaluate_every, "evaluate_episodes",
                (json_int_t)c->evaluate_episodes, "final_episodes", (json_int_t)c->final_episodes);
  char *text = v->settings != NULL ? json_dumps(v->settings, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
  if (text == NULL) return pmp_fail(msg, PMP_ENOMEM, "out of memory");
  snprintf(v->hash, sizeof v->hash, "%016" PRIx64, (uint64_t)XXH64(text, strlen(text), 0));
  free(text);
  return PMP_OK;
}

static enum pmp_err take_settings(struct pmp_campaign *c, struct pmp_errmsg *msg) {
  struct pmp_yaml *y = NULL;
  PMP_TRY(pmp_yaml_open(&y, c->base, msg));
  json_t *flat = pmp_yaml_flat(y);
  pmp_yaml_close(y);
  enum pmp_err err = flat != NULL ? PMP_OK : pmp_fail(msg, PMP_ENOMEM, "out of memory");
  for (uint32_t i = 0; err == PMP_OK && i < c->variants; i++)
    err = settings(c, &c->variant[i], flat, msg);
  json_decref(flat);
  return err;
}

/* ---- all of it ---- */

static enum pmp_err take(struct pmp_campaign *c, const struct raw *r, const struct place *at,
                         struct pmp_errmsg *msg) {
  c->name = r->name;
  c->set = (const char *const *)r->set;
  c->sets = r->set_count;
  c->evaluator = (const char *const *)r->evaluator;
  c->evaluators = r->evaluator_count;
  c->threads = 1;
  PMP_TRY(name(at, "name", -1, NULL, r->name, msg));
  PMP_TRY(actor_words(at, "evaluator", -1, c->evaluator, c->evaluators, msg));
  PMP_TRY(take_tasks(c, r, at, msg));
  PMP_TRY(take_variants(c, r, at, msg));
  PMP_TRY(take_lengths(c, r, at, msg));
  PMP_TRY(take_references(c, r, at, msg));
  PMP_TRY(take_base(c, r, at, msg));
  return take_settings(c, msg);
}

enum pmp_err pmp_campaign_load(struct pmp_campaign *c, const char *path, struct pmp_errmsg *msg) {
  memset(c, 0, sizeof *c);
  struct pmp_yaml *yaml = NULL;
  PMP_TRY(pmp_yaml_open(&yaml, path, msg));
  struct loaded *l = calloc(1, sizeof *l);
  enum pmp_err err = PMP_OK;
  if (l == NULL) {
    err = pmp_fail(msg, PMP_ENOMEM, "out of memory");
    goto out;
  }
  c->loaded = l;
  const unsigned line = pmp_yaml_repeated_key(yaml);
  if (line > 0) {
    err = pmp_fail(msg, PMP_EINVALID, "%s: line %u: the key is there twice", path, line);
    goto out;
  }
  const cyaml_config_t config = cyaml_config(l);
  const cyaml_err_t rc = cyaml_load_file(path, &config, &schema, (cyaml_data_t **)&l->raw, NULL);
  if (rc != CYAML_OK || l->raw == NULL)
    err = explain(l, path, rc, msg);
  else
    err = take(c, l->raw, &(struct place){path, yaml}, msg);
out:
  pmp_yaml_close(yaml);
  if (err != PMP_OK) pmp_campaign_free(c);
  return err;
}

void pmp_campaign_free(struct pmp_campaign *c) {
  struct loaded *l = c->loaded;
  for (uint32_t i = 0; i < c->variants; i++) json_decref(c->variant[i].settings);
  if (l != NULL) {
    const cyaml_config_t config = cyaml_config(l);
    cyaml_free(&config, &schema, l->raw, 0);
    free(l);
  }
  memset(c, 0, sizeof *c);
}
