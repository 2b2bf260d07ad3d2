/* A run's folder and command lines. */
#include "clients/pmpoctl/campaign_run.h"
#include "clients/pmpoctl/campaign_tasks.h"

#include <dirent.h>
#include <ftw.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OPEN_FOLDERS 16

void pmp_campaign_run_folder(const struct pmp_campaign_world *w, struct pmp_campaign_run_id id,
                             char out[PMP_CHILD_PATH_MAX]) {
  char name[PMP_CAMPAIGN_RUN_NAME_MAX];
  snprintf(out, PMP_CHILD_PATH_MAX, "%.900s/runs/%s", w->dir,
           pmp_campaign_run_name(w->campaign, id, name));
}

bool pmp_campaign_run_has_store(const char *folder) {
  char path[PMP_CHILD_PATH_MAX + 16];
  snprintf(path, sizeof path, "%s/store.db", folder);
  return access(path, F_OK) == 0;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *at) {
  (void)info;
  (void)kind;
  (void)at;
  return remove(path);
}

void pmp_campaign_run_clean(const char *folder) {
  char path[PMP_CHILD_PATH_MAX + 300];
  DIR *dir = opendir(folder);
  if (dir == NULL) return;
  for (struct dirent *e; (e = readdir(dir)) != NULL;) {
    const bool big = strncmp(e->d_name, "store.db", 8) == 0 ||
                     strcmp(e->d_name, "checkpoints") == 0 ||
                     strcmp(e->d_name, "endpoints.json") == 0;
    if (!big) continue;
    snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
    nftw(path, remove_one, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS);
  }
  closedir(dir);
}

void pmp_campaign_run_daemon_words(const struct pmp_campaign_world *w,
                                   struct pmp_campaign_run_id id, struct pmp_words *out) {
  char folder[PMP_CHILD_PATH_MAX];
  pmp_campaign_run_folder(w, id, folder);
  pmp_words_add(out, "%s/pmpod", w->bin);
  pmp_words_add(out, "--config");
  pmp_words_add(out, "%s/config.yaml", folder);
  pmp_words_add(out, "--dir");
  pmp_words_add(out, "%s", folder);
  pmp_campaign_sets(w->campaign, id, out);
  pmp_words_add(out, "--set");
  pmp_words_add(out, "listen.desk=tcp://127.0.0.1:0");
  pmp_words_add(out, "--set");
  pmp_words_add(out, "listen.data=tcp://127.0.0.1:0");
}

static void actor(const struct pmp_campaign_world *w, struct pmp_campaign_run_id id,
                  const char *url, const char *name, struct pmp_words *out) {
  pmp_words_add(out, "%s/pmpo-actor", w->bin);
  pmp_words_add(out, "control");
  pmp_words_add(out, "--task");
  pmp_words_add(out, "%s", w->campaign->task[id.task].name);
  pmp_words_add(out, "--connect");
  pmp_words_add(out, "%s", url);
  pmp_words_add(out, "--name");
  pmp_words_add(out, "%s", name);
}

void pmp_campaign_run_actor_words(const struct pmp_campaign_world *w, struct pmp_campaign_run_id id,
                                  const char *url, uint64_t steps, struct pmp_words *out) {
  const struct pmp_campaign_variant *v = &w->campaign->variant[id.variant];
  actor(w, id, url, "actor", out);
  pmp_words_add(out, "--max-env-steps");
  pmp_words_add(out, "%" PRIu64, steps);
  for (uint32_t i = 0; i < v->actors; i++) pmp_words_add(out, "%s", v->actor[i]);
}

void pmp_campaign_run_evaluator_words(const struct pmp_campaign_world *w,
                                      struct pmp_campaign_run_id id, const char *url, uint32_t mark,
                                      struct pmp_words *out) {
  const struct pmp_campaign *c = w->campaign;
  const bool final = mark == pmp_campaign_marks(c);
  actor(w, id, url, "evaluator", out);
  pmp_words_add(out, "--evaluate");
  pmp_words_add(out, "--once");
  pmp_words_add(out, "--json");
  pmp_words_add(out, "--quiet");
  pmp_words_add(out, "--episodes");
  pmp_words_add(out, "%u", final ? c->final_episodes : c->evaluate_episodes);
  pmp_words_add(out, "--seed");
  pmp_words_add(out, "%" PRIu64, c->seed[id.seed] * (PMP_CAMPAIGN_MARKS_MAX + 1) + mark);
  for (uint32_t i = 0; i < c->evaluators; i++) pmp_words_add(out, "%s", c->evaluator[i]);
}

static double number_of(const json_t *o, const char *key) {
  const json_t *v = json_object_get(o, key);
  return json_is_number(v) ? json_number_value(v) : (double)NAN;
}

enum pmp_err pmp_campaign_run_read_evaluation(const char *text, struct pmp_ledger_line *line,
                                              struct pmp_errmsg *msg) {
  json_t *o = json_loads(text, JSON_DISABLE_EOF_CHECK, NULL);
  const double episodes = number_of(o, "eval_episodes");
  line->eval_return = number_of(o, "eval_return");
  line->eval_min = number_of(o, "eval_return_min");
  line->eval_max = number_of(o, "eval_return_max");
  line->eval_sem = number_of(o, "eval_return_stderr");
  line->episodes = episodes >= 1 && episodes <= 1e9 ? (uint32_t)episodes : 0;
  json_decref(o);
  if (isfinite(line->eval_return) && line->episodes > 0) return PMP_OK;
  return pmp_fail(msg, PMP_EINVALID, "the evaluator's words are not understood: %.120s", text);
}
