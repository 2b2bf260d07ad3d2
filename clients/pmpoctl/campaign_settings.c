#include "clients/pmpoctl/campaign_settings.h"

#include "base/fs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum pmp_err changed(const struct pmp_campaign_variant *v, const json_t *before,
                            const char *dir, struct pmp_errmsg *msg) {
  char what[320] = "settings.json, which would say what, is not there";
  if (before != NULL) pmp_campaign_difference(before, v->settings, what, sizeof what);
  if (what[0] == '\0') snprintf(what, sizeof what, "settings.json is not of this ledger");
  return pmp_fail(
      msg, PMP_ECONFLICT,
      "%.60s holds runs of variant %s with other settings: %s. Give the variant another "
      "name, or the campaign another folder (--dir)",
      dir, v->name, what);
}

/* Has any run of the variant left something? */
static bool has_runs(const struct pmp_campaign_world *w, uint32_t variant) {
  for (uint32_t i = 0; i < pmp_campaign_runs(w->campaign); i++) {
    const struct pmp_campaign_run_id id = pmp_campaign_run(w->campaign, i);
    char folder[PMP_CHILD_PATH_MAX];
    pmp_campaign_run_folder(w, id, folder);
    if (id.variant == variant && pmp_campaign_run_has_store(folder)) return true;
  }
  return false;
}

static enum pmp_err check(const struct pmp_campaign_world *w, const struct pmp_ledger *ledger,
                          uint32_t variant, const json_t *stored, struct pmp_errmsg *msg) {
  const struct pmp_campaign_variant *v = &w->campaign->variant[variant];
  const json_t *before = json_object_get(stored, v->name);
  for (uint32_t i = 0; i < ledger->lines; i++)
    if (strcmp(ledger->line[i].variant, v->name) == 0 && strcmp(ledger->line[i].hash, v->hash) != 0)
      return changed(v, before, w->dir, msg);
  if (before != NULL && !json_equal(before, v->settings) && has_runs(w, variant))
    return changed(v, before, w->dir, msg);
  return PMP_OK;
}

static enum pmp_err store(const struct pmp_campaign *c, json_t *stored, const char *path,
                          struct pmp_errmsg *msg) {
  bool same = true;
  for (uint32_t i = 0; i < c->variants; i++) {
    const struct pmp_campaign_variant *v = &c->variant[i];
    if (json_equal(json_object_get(stored, v->name), v->settings)) continue;
    same = false;
    if (json_object_set(stored, v->name, v->settings) != 0)
      return pmp_fail(msg, PMP_ENOMEM, "out of memory");
  }
  if (same) return PMP_OK;
  char *text = json_dumps(stored, JSON_INDENT(2));
  if (text == NULL) return pmp_fail(msg, PMP_ENOMEM, "out of memory");
  const void *part = text;
  const size_t size = strlen(text);
  const enum pmp_err err = pmp_fs_replace(pmp_fs_real(), path, &part, &size, 1, msg);
  free(text);
  return err;
}

enum pmp_err pmp_campaign_settings(const struct pmp_campaign_world *w,
                                   const struct pmp_ledger *ledger, bool write,
                                   struct pmp_errmsg *msg) {
  char path[PMP_CAMPAIGN_PATH_MAX + 32];
  json_error_t why;
  snprintf(path, sizeof path, "%s/settings.json", w->dir);
  errno = 0;
  json_t *stored = json_load_file(path, 0, &why);
  if (stored == NULL && errno != ENOENT)
    return pmp_fail(msg, PMP_ECORRUPT, "%s: line %d: %s", path, why.line, why.text);
  if (stored == NULL) stored = json_object();
  enum pmp_err err = PMP_OK;
  for (uint32_t i = 0; err == PMP_OK && i < w->campaign->variants; i++)
    err = check(w, ledger, i, stored, msg);
  if (err == PMP_OK && write) err = store(w->campaign, stored, path, msg);
  json_decref(stored);
  return err;
}
