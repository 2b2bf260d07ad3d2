/* The run's numbers in lines of words: what `status` prints and `watch` keeps on the screen, from
 * the same table.
 *
 * Pure; any thread. Knows only where a number comes from by name. */
#ifndef PMP_PMPOCTL_SUMMARY_H
#define PMP_PMPOCTL_SUMMARY_H

#include "clients/pmpoctl/format.h"

#include <stdbool.h>
#include <stddef.h>

#define PMP_SUMMARY_PARTS 9
#define PMP_SUMMARY_TEXT 96

enum pmp_summary_unit {
  PMP_UNIT_COUNT,
  PMP_UNIT_SOME, /* a count that is left out at 0 */
  PMP_UNIT_REAL,
  PMP_UNIT_RATE,
  PMP_UNIT_BYTES,
  PMP_UNIT_SECONDS,
  PMP_UNIT_SHARE, /* "12 %" of 0.12 */
  PMP_UNIT_ERROR, /* a real of which two digits say enough */
  PMP_UNIT_SPAN   /* seconds, whole ones */
};

/* A number that is there is printed with the words around it; parts are joined by commas, but for
 * one whose words begin with a blank. */
struct pmp_summary_part {
  const char *before, *name;
  enum pmp_summary_unit unit;
  const char *after;
};
struct pmp_summary_line {
  const char *head; /* at most 11 bytes */
  struct pmp_summary_part part[PMP_SUMMARY_PARTS];
  bool aside; /* left out where there is little room */
};

/* The table, in the order of reading. */
const struct pmp_summary_line *pmp_summary_lines(size_t *count);
/* A number by name, NAN: there is none. */
typedef double pmp_summary_number(const void *ctx, const char *name);
const char *pmp_summary_value(enum pmp_summary_unit unit, double v, char out[PMP_FORMAT_MAX]);

/* A line ready to be laid out: pieces of text, those that belong together with a blank between, the
 * others to be joined by ", " or broken between. */
struct pmp_summary_piece {
  char before[24], value[PMP_FORMAT_MAX], after[24];
  bool joined; /* to the one before it, by nothing: its words bring the blank */
};
/* Parts of the line that have a number; returns how many. */
size_t pmp_summary_pieces(const struct pmp_summary_line *line, pmp_summary_number *number,
                          const void *ctx, struct pmp_summary_piece out[PMP_SUMMARY_PARTS]);
/* All lines as text, each "  head         piece, piece". */
void pmp_summary_print(pmp_summary_number *number, const void *ctx, FILE *out);

#endif
