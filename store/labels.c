#include "store/labels.h"

#include <endian.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RUN_BYTES 16

void pmp_labels_add(struct pmp_tally *tally, uint32_t from, uint32_t to, uint32_t first,
                    uint32_t rows, int judgement, double confidence) {
  uint32_t begin = first > from ? first : from;
  uint32_t end = first + rows < to ? first + rows : to;
  for (uint32_t row = begin; row < end; row++) {
    struct pmp_tally *t = &tally[row - from];
    t->cover++;
    if (judgement != 1 && judgement != 2) continue;
    t->sum += judgement == 1 ? confidence : -confidence;
    t->count++;
  }
}

struct pmp_store_label pmp_labels_of(const struct pmp_tally *tally, uint32_t row) {
  struct pmp_store_label label = {.row = row};
  if (tally->count == 0 || tally->sum == 0.0) return label;
  label.label = tally->sum > 0.0 ? 1 : -1;
  label.weight = (float)(fabs(tally->sum) / tally->count);
  return label;
}

static bool same(const struct pmp_store_label *a, const struct pmp_store_label *b) {
  return a->label == b->label && a->weight == b->weight;
}

uint32_t pmp_labels_changed(const struct pmp_tally *before, const struct pmp_tally *after,
                            uint32_t from, uint32_t to, struct pmp_store_label *out) {
  uint32_t count = 0;
  for (uint32_t row = from; row < to; row++) {
    struct pmp_store_label old = pmp_labels_of(&before[row - from], row);
    struct pmp_store_label now = pmp_labels_of(&after[row - from], row);
    if (same(&old, &now)) continue;
    now.before = old.label;
    out[count++] = now;
  }
  return count;
}

/* Neighbouring rows of one run. */
static bool continues(const struct pmp_store_label *a, const struct pmp_store_label *b) {
  return b->row == a->row + 1 && b->before == a->before && same(a, b);
}

static void put_word(unsigned char *at, uint32_t word) {
  word = htole32(word);
  memcpy(at, &word, sizeof word);
}

static uint32_t get_word(const unsigned char *at) {
  uint32_t word;
  memcpy(&word, at, sizeof word);
  return le32toh(word);
}

size_t pmp_labels_pack(const struct pmp_store_label *label, uint32_t count, unsigned char *out) {
  size_t bytes = 0;
  for (uint32_t i = 0; i < count;) {
    uint32_t n = 1, weight;
    while (i + n < count && continues(&label[i + n - 1], &label[i + n])) n++;
    memcpy(&weight, &label[i].weight, sizeof weight);
    put_word(out + bytes, label[i].row);
    put_word(out + bytes + 4, n);
    put_word(out + bytes + 8,
             (uint32_t)(uint8_t)label[i].label | (uint32_t)(uint8_t)label[i].before << 8);
    put_word(out + bytes + 12, weight);
    bytes += RUN_BYTES;
    i += n;
  }
  return bytes;
}

/* -1, 0 or 1 out of its byte; larger for anything else. */
static int sign_of(uint32_t byte) {
  return (byte & 0xff) == 0xff ? -1 : (int)(byte & 0xff);
}

static enum pmp_err count_rows(const unsigned char *at, size_t bytes, uint32_t rows,
                               uint32_t *total, struct pmp_errmsg *msg) {
  uint64_t sum = 0;
  if (bytes % RUN_BYTES != 0)
    return pmp_fail(msg, PMP_ECORRUPT, "its labels have %zu bytes, no multiple of %d", bytes,
                    RUN_BYTES);
  for (size_t i = 0; i < bytes; i += RUN_BYTES) {
    uint64_t first = get_word(at + i), n = get_word(at + i + 4);
    uint32_t values = get_word(at + i + 8);
    int label = sign_of(values), before = sign_of(values >> 8);
    if (n == 0 || first + n > rows || label > 1 || before > 1 || values > 0xffff)
      return pmp_fail(msg, PMP_ECORRUPT, "its labels name rows %llu+%llu of %u, label %d after %d",
                      (unsigned long long)first, (unsigned long long)n, rows, label, before);
    sum += n;
  }
  if (sum > rows) return pmp_fail(msg, PMP_ECORRUPT, "its labels name a row twice");
  *total = (uint32_t)sum;
  return PMP_OK;
}

enum pmp_err pmp_labels_unpack(const void *packed, size_t bytes, uint32_t rows,
                               struct pmp_store_label **label, uint32_t *count,
                               struct pmp_errmsg *msg) {
  const unsigned char *at = packed;
  *label = NULL;
  *count = 0;
  if (bytes == 0) return PMP_OK;
  uint32_t total = 0;
  PMP_TRY(count_rows(at, bytes, rows, &total, msg));
  struct pmp_store_label *out = calloc((size_t)total + 1, sizeof *out);
  if (out == NULL) return pmp_fail(msg, PMP_ENOMEM, "no memory for %u labels", total);
  uint32_t k = 0;
  for (size_t i = 0; i < bytes; i += RUN_BYTES) {
    uint32_t first = get_word(at + i), n = get_word(at + i + 4), weight = get_word(at + i + 12);
    uint32_t values = get_word(at + i + 8);
    for (uint32_t j = 0; j < n; j++, k++) {
      out[k].row = first + j;
      out[k].label = (int8_t)sign_of(values);
      out[k].before = (int8_t)sign_of(values >> 8);
      memcpy(&out[k].weight, &weight, sizeof weight);
    }
  }
  *label = out;
  *count = total;
  return PMP_OK;
}
