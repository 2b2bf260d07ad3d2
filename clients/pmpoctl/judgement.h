/* Items and judgements as people write them. Pure; any thread. */
#ifndef PMP_PMPOCTL_JUDGEMENT_H
#define PMP_PMPOCTL_JUDGEMENT_H

#include "proto/wire.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#define PMP_ITEM_TEXT 48  /* room for any item */
#define PMP_REQUEST_ID 40 /* room for a drawn request id */

/* C:R or C:R+N, all of it digits. */
bool pmp_item_parse(const char *text, struct pmp_item_ref *ref);
const char *pmp_item_text(struct pmp_item_ref ref, char out[PMP_ITEM_TEXT]);
/* accept, reject, skip, withdraw; PMP_JUDGEMENT_NONE: another word. */
enum pmp_judgement pmp_judgement_parse(const char *text);
const char *pmp_judgement_name(enum pmp_judgement j);
/* "active", "surplus", "replaced", "withdrawn". */
const char *pmp_verdict_state_name(int state);
/* A fresh request id. PMP_EIO. */
PMP_MUST_CHECK enum pmp_err pmp_request_id_draw(char out[PMP_REQUEST_ID], struct pmp_errmsg *msg);
/* The text medium of this name, NULL: none. */
const struct pmp_media *pmp_media_text(const struct pmp_media *media, uint32_t medias,
                                       const char *name);
/* A text without what moves a terminal: control characters become '?', line breaks and tabs stay.
 */
void pmp_text_print(const char *text, size_t bytes, FILE *out);
/* A verdict as an object; NULL: no memory. */
json_t *pmp_verdict_json(const struct pmp_verdict_record *v);

#endif
