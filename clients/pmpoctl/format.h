/* Numbers, times and tables for people. Pure but for the functions that take a FILE; any thread. */
#ifndef PMP_PMPOCTL_FORMAT_H
#define PMP_PMPOCTL_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define PMP_FORMAT_MAX 32 /* room for any of these */

/* Whole numbers below ten million with separators, larger ones with SI prefixes ("1.23 M");
 * fractions to four digits. Each returns out. */
const char *pmp_format_count(double v, char out[PMP_FORMAT_MAX]);
const char *
pmp_format_real(double v,
                char out[PMP_FORMAT_MAX]); /* four significant digits, no needless zeros */
const char *pmp_format_rate(double v, char out[PMP_FORMAT_MAX]);  /* "812/s" */
const char *pmp_format_bytes(double v, char out[PMP_FORMAT_MAX]); /* "12.3 MB" */
const char *pmp_format_seconds(
    double v,
    char out[PMP_FORMAT_MAX]); /* "820 ms", "12.3 s", "2 min 03 s", "3 h 04 min", "2 d 05 h" */
const char *pmp_format_clock(double seconds, char out[PMP_FORMAT_MAX]); /* "02:03", "1:02:03" */
const char *pmp_format_time(int64_t wall_ns, bool date, char out[PMP_FORMAT_MAX]); /* local time */
/* A metric's value in the unit that its name says (_bytes, _s, _ms, counts), else as a real number.
 */
const char *pmp_format_named(const char *name, double v, char out[PMP_FORMAT_MAX]);
/* A JSON object as "key value, key value", but for the key "done"; anything else as it is. */
void pmp_format_detail(const char *json, char *out, size_t size);

/* A table of text: first row the heads. Cells are copied and cut to 47 bytes. */
#define PMP_TABLE_COLUMNS 12
#define PMP_TABLE_CELL 48
struct pmp_table {
  char (*cell)[PMP_TABLE_CELL]; /* owned, rows x columns */
  size_t rows, capacity, columns;
  bool right[PMP_TABLE_COLUMNS]; /* aligned to the right */
};
/* heads: columns separated by '|'; one that starts with '>' is aligned to the right. */
void pmp_table_init(struct pmp_table *t, const char *heads);
/* Starts a row; false when there is no memory. */
bool pmp_table_row(struct pmp_table *t);
void pmp_table_set(struct pmp_table *t, size_t column, const char *text);
void pmp_table_print(const struct pmp_table *t, FILE *out);
void pmp_table_fini(struct pmp_table *t);

#endif
