/* What verdicts make of rows: sums, labels, and how labels are kept with a verdict.
 *
 * Pure functions; any thread. */
#ifndef PMP_STORE_LABELS_H
#define PMP_STORE_LABELS_H

#include "store/store.h"

struct pmp_tally { /* of one row, over the active verdicts that cover it */
  double sum;      /* of signed confidences: + accept, - reject */
  uint32_t count;  /* accepts and rejects */
  uint32_t cover;  /* verdicts, skips included */
};

/* Adds one verdict to the rows [first, first + rows) of tally, which stands for the rows [from, to)
 * of the chunk. */
void pmp_labels_add(struct pmp_tally *tally, uint32_t from, uint32_t to, uint32_t first,
                    uint32_t rows, int judgement, double confidence);
/* Label = sign of the sum, weight = |sum| / count; 0 and 0 without verdicts or when they cancel. */
struct pmp_store_label pmp_labels_of(const struct pmp_tally *tally, uint32_t row);
/* Rows of [from, to) whose label or weight differ, into out[to - from]; returns how many. */
uint32_t pmp_labels_changed(const struct pmp_tally *before, const struct pmp_tally *after,
                            uint32_t from, uint32_t to, struct pmp_store_label *out);
/* Labels as runs of equal label and weight over neighbouring rows: 16 bytes a run (first row, rows,
 * label and the one before, weight; little-endian), into out[count * 16]; returns the bytes
 * written. */
size_t pmp_labels_pack(const struct pmp_store_label *label, uint32_t count, unsigned char *out);
/* And back: malloc'd, caller frees (NULL for none). PMP_ECORRUPT unless every run lies within [0,
 * rows). */
PMP_MUST_CHECK enum pmp_err pmp_labels_unpack(const void *packed, size_t bytes, uint32_t rows,
                                              struct pmp_store_label **label, uint32_t *count,
                                              struct pmp_errmsg *msg);

#endif
