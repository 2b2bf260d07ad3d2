/* The verbs' structs as JSON and back: what docs/web.md and openapi.json describe.
 *
 * Reading is strict: an unknown key, a wrong type or a value out of its range is named. What was
 * read points into the JSON value and the arena, which must outlive the request. No state, any
 * thread. */
#ifndef PMP_DAEMON_HTTP_JSON_H
#define PMP_DAEMON_HTTP_JSON_H

#include "base/arena.h"
#include "base/err.h"
#include "proto/wire.h"

#include <jansson.h>

#define PMP_ITEM_TEXT_MAX 48 /* bytes with NUL of "C:R+N" */

/* "C:R" or "C:R+N". PMP_EINVALID. */
PMP_MUST_CHECK enum pmp_err pmp_json_item(const char *text, struct pmp_item_ref *out,
                                          struct pmp_errmsg *msg);
void pmp_json_item_text(struct pmp_item_ref item, char out[PMP_ITEM_TEXT_MAX]);
/* "labeler" and so on; PMP_ROLE_NONE: another word. */
enum pmp_role pmp_json_role(const char *name);
const char *pmp_json_role_name(enum pmp_role role);

PMP_MUST_CHECK enum pmp_err pmp_json_read_hello(const json_t *j, struct pmp_hello *out,
                                                struct pmp_errmsg *msg);
PMP_MUST_CHECK enum pmp_err pmp_json_read_lease(const json_t *j, struct pmp_lease *out,
                                                uint32_t count_max,
                                                const struct pmp_wire_limits *limits,
                                                struct pmp_arena *arena, struct pmp_errmsg *msg);
PMP_MUST_CHECK enum pmp_err pmp_json_read_verdicts(const json_t *j, struct pmp_verdicts *out,
                                                   const struct pmp_wire_limits *limits,
                                                   struct pmp_arena *arena, struct pmp_errmsg *msg);
PMP_MUST_CHECK enum pmp_err pmp_json_read_control(const json_t *j, struct pmp_control *out,
                                                  const struct pmp_wire_limits *limits,
                                                  struct pmp_errmsg *msg);

/* New references; NULL: out of memory. */
json_t *pmp_json_spec(const struct pmp_spec *spec);
json_t *pmp_json_lease(const struct pmp_lease_reply *r);
json_t *pmp_json_verdicts(const struct pmp_verdicts_reply *r);
json_t *pmp_json_status(const struct pmp_status_reply *r);
json_t *pmp_json_history(const struct pmp_history_reply *r);
json_t *pmp_json_events(const struct pmp_events_reply *r);
json_t *pmp_json_review(const struct pmp_review_reply *r, enum pmp_subject subject);

#endif
