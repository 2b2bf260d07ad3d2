#include "clients/pmpoctl/condition.h"

#include "clients/pmpoctl/answer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const operators[] = {
    [PMP_LESS] = "<",   [PMP_AT_MOST] = "<=",  [PMP_EQUAL] = "=",
    [PMP_OTHER] = "!=", [PMP_AT_LEAST] = ">=", [PMP_MORE] = ">"};
#define OPERATORS (sizeof operators / sizeof operators[0])

enum pmp_err pmp_condition_parse(struct pmp_condition *c, const char *name, const char *op,
                                 const char *value, uint32_t mean, struct pmp_errmsg *msg) {
  memset(c, 0, sizeof *c);
  c->current = NAN;
  c->mean = mean;
  if (mean < 1 || mean > PMP_CONDITION_MEAN_MAX)
    return pmp_fail(msg, PMP_EINVALID, "a mean is over 1 to %d points", PMP_CONDITION_MEAN_MAX);
  if (name[0] == '\0' || strlen(name) >= sizeof c->name || strlen(value) >= sizeof c->text)
    return pmp_fail(msg, PMP_EINVALID, "names and values have 1 to %zu bytes", sizeof c->name - 1);
  strcpy(c->name, name);
  strcpy(c->text, value);
  if (strcmp(op, "==") == 0) op = "=";
  size_t i = 0;
  while (i < OPERATORS && strcmp(operators[i], op) != 0) i++;
  if (i == OPERATORS) return pmp_fail(msg, PMP_EINVALID, "\"%.20s\" is none of < <= = != >= >", op);
  c->compare = (enum pmp_compare)i;
  char *end = NULL;
  c->value = strtod(value, &end);
  const bool number = end != value && *end == '\0' && isfinite(c->value);
  const bool word = (c->compare == PMP_EQUAL || c->compare == PMP_OTHER) && mean == 1;
  if (!number) c->value = NAN;
  if (!number && !word) return pmp_fail(msg, PMP_EINVALID, "\"%.60s\" is not a number", value);
  return PMP_OK;
}

enum pmp_err pmp_condition_parse_text(struct pmp_condition *c, const char *text, uint32_t mean,
                                      struct pmp_errmsg *msg) {
  char copy[192], *save = NULL;
  if (strlen(text) >= sizeof copy) return pmp_fail(msg, PMP_EINVALID, "the condition is too long");
  strcpy(copy, text);
  const char *name = strtok_r(copy, " ", &save);
  const char *op = name ? strtok_r(NULL, " ", &save) : NULL;
  const char *value = op ? strtok_r(NULL, " ", &save) : NULL;
  if (!value || strtok_r(NULL, " ", &save))
    return pmp_fail(msg, PMP_EINVALID, "\"%.80s\": write \"NAME OP VALUE\", with spaces", text);
  return pmp_condition_parse(c, name, op, value, mean, msg);
}

double pmp_condition_mean(const double *value, uint32_t points, uint32_t mean) {
  if (mean == 0 || points < mean) return NAN;
  double sum = 0;
  for (uint32_t i = points - mean; i < points; i++) sum += value[i];
  return sum / mean;
}

bool pmp_condition_holds(const struct pmp_condition *c, double v) {
  if (isnan(v) || isnan(c->value)) return false;
  switch (c->compare) {
  case PMP_LESS:
    return v < c->value;
  case PMP_AT_MOST:
    return v <= c->value;
  case PMP_EQUAL:
    return v == c->value;
  case PMP_OTHER:
    return v != c->value;
  case PMP_AT_LEAST:
    return v >= c->value;
  case PMP_MORE:
    return v > c->value;
  }
  return false;
}

/* A number or text of the status; *found false when it has none of that name. */
static enum pmp_err check_status(struct pmp_condition *c, struct pmpo *client,
                                 struct pmp_arena *arena, int timeout_ms, bool *found, bool *holds,
                                 struct pmp_errmsg *msg) {
  const struct pmp_request q = {.verb = PMP_VERB_STATUS};
  struct pmp_reply reply;
  PMP_TRY(pmpo_request(client, &q, arena, &reply, timeout_ms, msg));
  const struct pmp_status_reply *s = &reply.u.status;
  const double v = pmp_answer_number(s->number, s->numbers, c->name);
  const char *text = pmp_answer_text(s->text, s->texts, c->name);
  *found = text || !isnan(v);
  if (text) {
    snprintf(c->current_text, sizeof c->current_text, "%.63s", text);
    *holds = (strcmp(text, c->text) == 0) == (c->compare == PMP_EQUAL);
    if (c->compare != PMP_EQUAL && c->compare != PMP_OTHER)
      return pmp_fail(msg, PMP_EINVALID, "%s is a text: compare it with = or !=", c->name);
  } else if (*found) {
    c->current = v;
    c->have = 1;
    *holds = pmp_condition_holds(c, v);
  }
  return PMP_OK;
}

/* Long series come thinned: ask again from the step of the oldest point that counts, until that
 * does not move. */
static enum pmp_err check_series(struct pmp_condition *c, struct pmpo *client,
                                 struct pmp_arena *arena, int timeout_ms, bool *holds,
                                 struct pmp_errmsg *msg) {
  const char *const name[] = {c->name};
  const size_t mark = pmp_arena_mark(arena);
  for (int pass = 0; pass < 64; pass++) {
    struct pmp_reply reply;
    const struct pmp_request q = {.verb = PMP_VERB_HISTORY,
                                  .u.history = {.name = name, .names = 1, .step_from = c->from}};
    pmp_arena_release(arena, mark);
    PMP_TRY(pmpo_request(client, &q, arena, &reply, timeout_ms, msg));
    const struct pmp_series *s = reply.u.history.count == 1 ? &reply.u.history.series[0] : NULL;
    if ((!s || s->points < c->mean) &&
        c->from > 0) { /* a resumed learner may be at an earlier step than before */
      c->from = 0;
      continue;
    }
    if (!s || s->points == 0) return PMP_OK;
    c->have = s->points < c->mean ? s->points : c->mean;
    c->current = pmp_condition_mean(s->value, s->points, c->have);
    *holds = c->have == c->mean && pmp_condition_holds(c, c->current);
    const uint64_t oldest = s->step[s->points - c->have];
    if (oldest == c->from || c->have < c->mean) return PMP_OK;
    c->from = oldest;
  }
  return PMP_OK;
}

enum pmp_err pmp_condition_check(struct pmp_condition *c, struct pmpo *client,
                                 struct pmp_arena *arena, int timeout_ms, bool *holds,
                                 struct pmp_errmsg *msg) {
  const size_t mark = pmp_arena_mark(arena);
  bool found = false;
  enum pmp_err err = PMP_OK;
  *holds = false;
  if (c->mean == 1 && !c->series_only)
    err = check_status(c, client, arena, timeout_ms, &found, holds, msg);
  pmp_arena_release(arena, mark);
  if (err == PMP_OK && !found) err = check_series(c, client, arena, timeout_ms, holds, msg);
  pmp_arena_release(arena, mark);
  return err;
}

enum pmp_err pmp_condition_doubt(const struct pmp_condition *c, struct pmpo *client,
                                 struct pmp_arena *arena, int timeout_ms, char out[PMP_NAMES_TEXT],
                                 struct pmp_errmsg *msg) {
  const size_t mark = pmp_arena_mark(arena);
  struct pmp_names near;
  struct pmp_reply reply;
  out[0] = '\0';
  pmp_names_init(&near, c->name);
  struct pmp_request q = {.verb = PMP_VERB_HISTORY};
  enum pmp_err err = pmpo_request(client, &q, arena, &reply, timeout_ms, msg);
  for (uint32_t i = 0; err == PMP_OK && i < reply.u.history.count; i++)
    pmp_names_offer(&near, reply.u.history.series[i].name);
  pmp_arena_release(arena, mark);
  if (err == PMP_OK && c->mean == 1 && !c->series_only) {
    q = (struct pmp_request){.verb = PMP_VERB_STATUS};
    err = pmpo_request(client, &q, arena, &reply, timeout_ms, msg);
    for (uint32_t i = 0; err == PMP_OK && i < reply.u.status.texts; i++)
      pmp_names_offer(&near, reply.u.status.text[i].name);
    for (uint32_t i = 0; err == PMP_OK && i < reply.u.status.numbers; i++)
      pmp_names_offer(&near, reply.u.status.number[i].name);
    pmp_arena_release(arena, mark);
  }
  if (err != PMP_OK || near.known || near.nearest.count == 0) return err;
  char text[PMP_NAMES_TEXT];
  snprintf(out, PMP_NAMES_TEXT, "there is no \"%s\" so far%.220s", c->name,
           pmp_names_text(&near, "", text));
  return PMP_OK;
}
