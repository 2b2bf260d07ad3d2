#include "clients/pmpoctl/campaign.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint32_t pmp_campaign_runs(const struct pmp_campaign *c) {
  return c->tasks * c->variants * c->seeds;
}

struct pmp_campaign_run_id pmp_campaign_run(const struct pmp_campaign *c, uint32_t i) {
  return (struct pmp_campaign_run_id){.task = i % c->tasks,
                                      .variant = i / c->tasks % c->variants,
                                      .seed = i / c->tasks / c->variants};
}

const char *pmp_campaign_run_name(const struct pmp_campaign *c, struct pmp_campaign_run_id id,
                                  char out[PMP_CAMPAIGN_RUN_NAME_MAX]) {
  snprintf(out, PMP_CAMPAIGN_RUN_NAME_MAX, "%s.%s.%" PRIu64, c->task[id.task].name,
           c->variant[id.variant].name, c->seed[id.seed]);
  return out;
}

uint32_t pmp_campaign_marks(const struct pmp_campaign *c) {
  return (uint32_t)((c->env_steps + c->evaluate_every - 1) / c->evaluate_every);
}

uint64_t pmp_campaign_mark(const struct pmp_campaign *c, uint32_t k) {
  const uint64_t at = k * c->evaluate_every;
  return at < c->env_steps ? at : c->env_steps;
}

uint32_t pmp_campaign_mark_reached(const struct pmp_campaign *c, uint64_t env_steps) {
  if (env_steps >= c->env_steps) return pmp_campaign_marks(c);
  return (uint32_t)(env_steps / c->evaluate_every);
}

/* ---- differences ---- */

static void say(char *out, size_t size, const char *key, const json_t *before, const json_t *now) {
  char *text[2] = {NULL, NULL};
  const json_t *value[2] = {before, now};
  for (int i = 0; i < 2; i++)
    if (value[i] != NULL) text[i] = json_dumps(value[i], JSON_COMPACT | JSON_ENCODE_ANY);
  const size_t used = strlen(out);
  snprintf(out + used, size - used, "%s%s %s -> %s", used > 0 ? "; " : "", key,
           text[0] != NULL ? text[0] : "(not set)", text[1] != NULL ? text[1] : "(not set)");
  free(text[0]);
  free(text[1]);
}

static void compare(const json_t *before, const json_t *now, char *out, size_t size) {
  const char *key;
  json_t *value;
  json_object_foreach((json_t *)(uintptr_t)before, key, value) {
    const json_t *other = json_object_get(now, key);
    if (json_is_object(value) && json_is_object(other))
      compare(value, other, out, size);
    else if (!json_equal(value, other))
      say(out, size, key, value, other);
  }
  json_object_foreach((json_t *)(uintptr_t)now, key, value) {
    if (json_object_get(before, key) == NULL) say(out, size, key, NULL, value);
  }
}

void pmp_campaign_difference(const json_t *before, const json_t *now, char *out, size_t size) {
  out[0] = '\0';
  compare(before, now, out, size);
}
