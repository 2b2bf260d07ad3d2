/* Small helpers over replies: a number or text of a status by name, replies as JSON. Pure, any
 * thread. */
#ifndef PMP_PMPOCTL_ANSWER_H
#define PMP_PMPOCTL_ANSWER_H

#include "proto/wire.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* NAN when there is none. */
double pmp_answer_number(const struct pmp_number *number, uint32_t count, const char *name);
/* NULL when there is none. */
const char *pmp_answer_text(const struct pmp_text *text, uint32_t count, const char *name);
/* New references; NULL when there is no memory. */
json_t *pmp_answer_numbers_json(const struct pmp_number *number, uint32_t count);
json_t *pmp_answer_actors_json(const struct pmp_actor_status *actor, uint32_t count);
json_t *pmp_answer_event_json(const struct pmp_event *e);
/* Prints, with a line break, and drops the reference. flags: jansson's. false: no memory or no
 * space. */
bool pmp_answer_print(json_t *j, size_t flags, FILE *out);

#endif
