#include "clients/pmpoctl/campaign_tasks.h"

#include "base/nearest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MAX ((size_t)1 << 20)
#define ANSWER_S 60.0
#define KNOWN_MAX 512
#define FAR 8 /* edits beyond which a name is another one */

static enum pmp_err ask(const char *what, const struct pmp_words *w, char **text, int *code,
                        struct pmp_errmsg *msg) {
  *text = malloc(ANSWER_MAX);
  if (*text == NULL) return pmp_fail(msg, PMP_ENOMEM, "out of memory");
  const enum pmp_err err = pmp_child_capture(what, w, ANSWER_S, *text, ANSWER_MAX, code, msg);
  if (err == PMP_OK) return PMP_OK;
  free(*text);
  *text = NULL;
  return err;
}

/* ---- tasks ---- */

static void nearest(const char *name, char names[][PMP_CAMPAIGN_NAME_MAX], uint32_t n, char *out,
                    size_t size) {
  struct pmp_nearest near;
  size_t used = 0;
  out[0] = '\0';
  pmp_nearest_init(&near, name, PMP_NEAREST_MOST, FAR);
  for (uint32_t i = 0; i < n; i++) pmp_nearest_offer(&near, i, names[i]);
  for (size_t i = 0; i < near.count && used < size; i++)
    used +=
        (size_t)snprintf(out + used, size - used, "%s%s", i > 0 ? ", " : "", names[near.index[i]]);
}

static bool take(struct pmp_campaign *c, const json_t *o, char *name, size_t size) {
  const char *task = json_string_value(json_object_get(o, "task"));
  const json_int_t obs = json_integer_value(json_object_get(o, "observation"));
  const json_int_t act = json_integer_value(json_object_get(o, "action"));
  const json_int_t steps = json_integer_value(json_object_get(o, "episode_steps"));
  if (task == NULL || strlen(task) >= size || obs < 1 || obs > INT32_MAX || act < 1 ||
      act > INT32_MAX)
    return false;
  strcpy(name, task);
  for (uint32_t i = 0; i < c->tasks; i++) {
    if (strcmp(c->task[i].name, task) != 0) continue;
    c->task[i].observation = (uint32_t)obs;
    c->task[i].action = (uint32_t)act;
    c->task[i].episode_steps = (uint32_t)(steps > 0 && steps <= INT32_MAX ? steps : 0);
  }
  return true;
}

enum pmp_err pmp_campaign_tasks_of(struct pmp_campaign *c, char *text, struct pmp_errmsg *msg) {
  static const char *const bad = "pmpo-actor control --list --json: not understood: %.100s";
  char names[KNOWN_MAX][PMP_CAMPAIGN_NAME_MAX], near[256], *save = NULL;
  uint32_t n = 0;
  for (char *line = strtok_r(text, "\n", &save); line != NULL && n < KNOWN_MAX;
       line = strtok_r(NULL, "\n", &save)) {
    json_t *o = json_loads(line, 0, NULL);
    const bool good = json_is_object(o) && take(c, o, names[n], sizeof names[n]);
    json_decref(o);
    if (!good) return pmp_fail(msg, PMP_EUNAVAILABLE, bad, line);
    n++;
  }
  for (uint32_t i = 0; i < c->tasks; i++) {
    if (c->task[i].observation > 0) continue;
    nearest(c->task[i].name, names, n, near, sizeof near);
    return pmp_fail(msg, PMP_EINVALID, "there is no task %s%s%s; pmpo-actor control --list has all",
                    c->task[i].name, near[0] ? "; near are " : "", near);
  }
  return PMP_OK;
}

enum pmp_err pmp_campaign_tasks(struct pmp_campaign *c, const char *bin, struct pmp_errmsg *msg) {
  struct pmp_words w = {.words = 0};
  char *text = NULL;
  int code = 0;
  pmp_words_add(&w, "%s/pmpo-actor", bin);
  pmp_words_add(&w, "control");
  pmp_words_add(&w, "--list");
  pmp_words_add(&w, "--json");
  PMP_TRY(ask("pmpo-actor control --list --json", &w, &text, &code, msg));
  const enum pmp_err err = code == 0 ? pmp_campaign_tasks_of(c, text, msg)
                                     : pmp_fail(msg, PMP_EUNAVAILABLE, "%.400s", text);
  free(text);
  return err;
}

/* ---- configurations ---- */

void pmp_campaign_sets(const struct pmp_campaign *c, struct pmp_campaign_run_id id,
                       struct pmp_words *w) {
  const struct pmp_campaign_variant *v = &c->variant[id.variant];
  const struct pmp_campaign_task *t = &c->task[id.task];
  char name[PMP_CAMPAIGN_RUN_NAME_MAX];
  const char *const *set[2] = {c->set, v->set};
  const uint32_t sets[2] = {c->sets, v->sets};
  for (int k = 0; k < 2; k++)
    for (uint32_t i = 0; i < sets[k]; i++) {
      pmp_words_add(w, "--set");
      pmp_words_add(w, "%s", set[k][i]);
    }
  pmp_words_add(w, "--set");
  pmp_words_add(w, "spec.task=%s", t->name);
  pmp_words_add(w, "--set");
  pmp_words_add(w, "spec.observation=[%u]", t->observation);
  pmp_words_add(w, "--set");
  pmp_words_add(w, "spec.action_dim=%u", t->action);
  pmp_words_add(w, "--set");
  pmp_words_add(w, "run.seed=%" PRIu64, c->seed[id.seed]);
  pmp_words_add(w, "--set");
  pmp_words_add(w, "run.name=%s.%s", c->name, pmp_campaign_run_name(c, id, name));
}

static enum pmp_err check_one(const struct pmp_campaign *c, const char *bin,
                              struct pmp_campaign_run_id id, struct pmp_errmsg *msg) {
  struct pmp_words w = {.words = 0};
  char *text = NULL;
  int code = 0;
  pmp_words_add(&w, "%s/pmpod", bin);
  pmp_words_add(&w, "--check-config");
  pmp_words_add(&w, "%s", c->base);
  pmp_campaign_sets(c, id, &w);
  PMP_TRY(ask("pmpod --check-config", &w, &text, &code, msg));
  text[strcspn(text, "\n")] = '\0';
  const enum pmp_err err = code == 0
                               ? PMP_OK
                               : pmp_fail(msg, PMP_EINVALID, "task %s, variant %s: %.380s",
                                          c->task[id.task].name, c->variant[id.variant].name, text);
  free(text);
  return err;
}

enum pmp_err pmp_campaign_check(const struct pmp_campaign *c, const char *bin,
                                struct pmp_errmsg *msg) {
  for (uint32_t v = 0; v < c->variants; v++)
    for (uint32_t t = 0; t < c->tasks; t++)
      PMP_TRY(check_one(c, bin, (struct pmp_campaign_run_id){.task = t, .variant = v}, msg));
  return PMP_OK;
}

enum pmp_err pmp_campaign_version(const char *bin, char *out, size_t size, struct pmp_errmsg *msg) {
  struct pmp_words w = {.words = 0};
  char *text = NULL;
  int code = 0;
  pmp_words_add(&w, "%s/pmpod", bin);
  pmp_words_add(&w, "--version");
  PMP_TRY(ask("pmpod --version", &w, &text, &code, msg));
  char *space = strrchr(text, ' ');
  enum pmp_err err = code == 0 && space != NULL
                         ? PMP_OK
                         : pmp_fail(msg, PMP_EUNAVAILABLE, "%s/pmpod: %.300s", bin, text);
  if (err == PMP_OK) {
    space[1 + strcspn(space + 1, ",\"\n")] = '\0';
    snprintf(out, size, "%s", space + 1);
  }
  free(text);
  return err;
}
