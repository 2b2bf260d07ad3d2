#include "clients/pmpoctl/judgement.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

bool pmp_item_parse(const char *text, struct pmp_item_ref *ref) {
  char *end = NULL;
  if (text[0] < '0' || text[0] > '9') return false;
  errno = 0;
  ref->chunk = strtoull(text, &end, 10);
  if (*end != ':' || end[1] < '0' || end[1] > '9') return false;
  const unsigned long row = strtoul(end + 1, &end, 10);
  unsigned long rows = 1;
  if (*end == '+') {
    if (end[1] < '0' || end[1] > '9') return false;
    rows = strtoul(end + 1, &end, 10);
  }
  if (*end != '\0' || errno != 0 || row > UINT32_MAX || rows == 0 || rows > UINT32_MAX)
    return false;
  ref->row = (uint32_t)row;
  ref->rows = (uint32_t)rows;
  return true;
}

const char *pmp_item_text(struct pmp_item_ref ref, char out[PMP_ITEM_TEXT]) {
  if (ref.rows == 1)
    snprintf(out, PMP_ITEM_TEXT, "%" PRIu64 ":%u", ref.chunk, ref.row);
  else
    snprintf(out, PMP_ITEM_TEXT, "%" PRIu64 ":%u+%u", ref.chunk, ref.row, ref.rows);
  return out;
}

static const char *const names[] = {[PMP_ACCEPT] = "accept",
                                    [PMP_REJECT] = "reject",
                                    [PMP_SKIP] = "skip",
                                    [PMP_WITHDRAW] = "withdraw"};

enum pmp_judgement pmp_judgement_parse(const char *text) {
  for (int i = PMP_ACCEPT; i <= PMP_WITHDRAW; i++)
    if (strcmp(text, names[i]) == 0) return (enum pmp_judgement)i;
  return PMP_JUDGEMENT_NONE;
}

const char *pmp_judgement_name(enum pmp_judgement j) {
  return j >= PMP_ACCEPT && j <= PMP_WITHDRAW ? names[j] : "none";
}

const char *pmp_verdict_state_name(int state) {
  static const char *const state_names[] = {"none", "active", "surplus", "replaced", "withdrawn"};
  return state >= 0 && state <= 4 ? state_names[state] : "none";
}

enum pmp_err pmp_request_id_draw(char out[PMP_REQUEST_ID], struct pmp_errmsg *msg) {
  uint64_t drawn[2];
  if (getrandom(drawn, sizeof drawn, 0) != (ssize_t)sizeof drawn)
    return pmp_fail(msg, PMP_EIO, "no random numbers for the request's id");
  snprintf(out, PMP_REQUEST_ID, "%016" PRIx64 "%016" PRIx64, drawn[0], drawn[1]);
  return PMP_OK;
}

const struct pmp_media *pmp_media_text(const struct pmp_media *media, uint32_t medias,
                                       const char *name) {
  for (uint32_t i = 0; i < medias; i++)
    if (strcmp(media[i].type, "text/plain") == 0 && strcmp(media[i].name, name) == 0)
      return &media[i];
  return NULL;
}

void pmp_text_print(const char *text, size_t bytes, FILE *out) {
  for (size_t i = 0; i < bytes; i++) {
    const unsigned char c = (unsigned char)text[i];
    const bool high = c == 0xc2 && i + 1 < bytes && ((unsigned char)text[i + 1] & 0xe0) == 0x80;
    if (high) i++; /* U+0080 to U+009F: what some terminals take for an escape */
    fputc(high || (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f ? '?' : c, out);
  }
}

json_t *pmp_verdict_json(const struct pmp_verdict_record *v) {
  char item[PMP_ITEM_TEXT];
  json_t *j = json_pack("{s:I, s:s, s:s, s:s, s:s, s:I, s:s}", "id", (json_int_t)v->id, "who",
                        v->who, "item", pmp_item_text(v->item, item), "judgement",
                        pmp_judgement_name(v->judgement), "state", pmp_verdict_state_name(v->state),
                        "wall_ns", (json_int_t)v->wall_ns, "request_id", v->request_id);
  if (!j) return NULL;
  if (v->judgement == PMP_ACCEPT || v->judgement == PMP_REJECT)
    json_object_set_new(j, "confidence", json_real((double)v->confidence));
  if (v->note[0]) json_object_set_new(j, "note", json_string(v->note));
  for (uint32_t i = 0; i < v->medias; i++) {
    if (json_object_get(j, v->media[i].name)) continue; /* the record's own words come first */
    json_object_set_new(j, v->media[i].name, json_stringn(v->media[i].data, v->media[i].bytes));
  }
  return j;
}
