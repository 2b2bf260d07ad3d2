#include "clients/pmpoctl/format.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EXACT_BELOW 1e7

static void grouped(double v, char *out) {
  char digits[PMP_FORMAT_MAX];
  const int n = snprintf(digits, sizeof digits, "%.0f", fabs(v));
  size_t k = 0;
  if (v < 0) out[k++] = '-';
  for (int i = 0; i < n; i++) {
    if (i > 0 && (n - i) % 3 == 0) out[k++] = ',';
    out[k++] = digits[i];
  }
  out[k] = '\0';
}

/* Three significant digits and a prefix. */
static void prefixed(double v, const char *unit, char *out) {
  static const char *const prefix[] = {"", "k", "M", "G", "T", "P", "E"};
  size_t i = 0;
  double a = fabs(v);
  while (a >= 999.5 && i + 1 < sizeof prefix / sizeof prefix[0]) {
    a /= 1000;
    i++;
  }
  const int decimals = i == 0 && a == floor(a) ? 0 : a < 9.995 ? 2 : a < 99.95 ? 1 : 0;
  const bool space = prefix[i][0] || unit[0];
  snprintf(out, PMP_FORMAT_MAX, "%s%.*f%s%s%s", v < 0 ? "-" : "", decimals, a, space ? " " : "",
           prefix[i], unit);
}

const char *pmp_format_real(double v, char out[PMP_FORMAT_MAX]) {
  if (v != 0 && (fabs(v) < 1e-4 || fabs(v) >= 1e7)) {
    snprintf(out, PMP_FORMAT_MAX, "%.2e", v);
    return out;
  }
  const double a = fabs(v);
  const int decimals = a >= 1000 ? 0 : a >= 100 ? 1 : a >= 10 ? 2 : a >= 1 ? 3 : 4;
  snprintf(out, PMP_FORMAT_MAX, "%.*f", v == floor(v) ? 0 : decimals, v);
  return out;
}

const char *pmp_format_count(double v, char out[PMP_FORMAT_MAX]) {
  if (!isfinite(v))
    snprintf(out, PMP_FORMAT_MAX, "-");
  else if (v != floor(v) && fabs(v) < EXACT_BELOW)
    pmp_format_real(v, out);
  else if (fabs(v) < EXACT_BELOW)
    grouped(v, out);
  else
    prefixed(v, "", out);
  return out;
}

const char *pmp_format_rate(double v, char out[PMP_FORMAT_MAX]) {
  if (v < 10)
    snprintf(out, PMP_FORMAT_MAX, "%.1f/s", v);
  else
    snprintf(pmp_format_count(round(v), out) == out ? out + strlen(out) : out, 3, "/s");
  return out;
}

const char *pmp_format_bytes(double v, char out[PMP_FORMAT_MAX]) {
  prefixed(v, "B", out);
  return out;
}

const char *pmp_format_seconds(double v, char out[PMP_FORMAT_MAX]) {
  const unsigned long s = v > 0 ? (unsigned long)(v + 0.5) : 0;
  if (v < 0.9995)
    snprintf(out, PMP_FORMAT_MAX, "%.0f ms", v * 1e3);
  else if (v < 59.95)
    snprintf(out, PMP_FORMAT_MAX, "%.1f s", v);
  else if (s < 3600)
    snprintf(out, PMP_FORMAT_MAX, "%lu min %02lu s", s / 60, s % 60);
  else if (s < 86400)
    snprintf(out, PMP_FORMAT_MAX, "%lu h %02lu min", s / 3600, s / 60 % 60);
  else
    snprintf(out, PMP_FORMAT_MAX, "%lu d %02lu h", s / 86400, s / 3600 % 24);
  return out;
}

const char *pmp_format_clock(double seconds, char out[PMP_FORMAT_MAX]) {
  const unsigned long s = seconds > 0 ? (unsigned long)seconds : 0;
  if (s < 3600)
    snprintf(out, PMP_FORMAT_MAX, "%02lu:%02lu", s / 60, s % 60);
  else
    snprintf(out, PMP_FORMAT_MAX, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
  return out;
}

const char *pmp_format_time(int64_t wall_ns, bool date, char out[PMP_FORMAT_MAX]) {
  const time_t t = (time_t)(wall_ns / 1000000000);
  struct tm tm;
  if (!localtime_r(&t, &tm) ||
      strftime(out, PMP_FORMAT_MAX, date ? "%Y-%m-%d %H:%M:%S" : "%H:%M:%S", &tm) == 0)
    snprintf(out, PMP_FORMAT_MAX, "?");
  return out;
}

static bool ends_with(const char *name, const char *tail) {
  const size_t n = strlen(name), m = strlen(tail);
  return n >= m && strcmp(name + n - m, tail) == 0;
}

const char *pmp_format_named(const char *name, double v, char out[PMP_FORMAT_MAX]) {
  if (ends_with(name, "bytes")) return pmp_format_bytes(v, out);
  if (ends_with(name, "per_s")) return pmp_format_rate(v, out);
  if (ends_with(name, "_ms")) return pmp_format_seconds(v / 1e3, out);
  if (ends_with(name, "_s")) return pmp_format_seconds(v, out);
  return v == floor(v) ? pmp_format_count(v, out) : pmp_format_real(v, out);
}

static void append(char *out, size_t size, size_t *used, const char *text) {
  if (*used >= size) return;
  const int n = snprintf(out + *used, size - *used, "%s", text);
  *used = n < 0 || (size_t)n >= size - *used ? size - 1 : *used + (size_t)n;
}

void pmp_format_detail(const char *json, char *out, size_t size) {
  json_t *j = json_loads(json, 0, NULL);
  size_t used = 0;
  out[0] = '\0';
  if (!json_is_object(j)) {
    append(out, size, &used, json);
    json_decref(j);
    return;
  }
  const char *key;
  json_t *value;
  json_object_foreach(j, key, value) {
    char *text = json_is_string(value)
                     ? NULL
                     : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
    if (strcmp(key, "done") == 0) { /* the kind of the event, or the command, says it already */
      free(text);
      continue;
    }
    if (used) append(out, size, &used, ", ");
    append(out, size, &used, key);
    append(out, size, &used, " ");
    append(out, size, &used, json_is_string(value) ? json_string_value(value) : text ? text : "?");
    free(text);
  }
  json_decref(j);
}

/* ---- table ---- */

void pmp_table_init(struct pmp_table *t, const char *heads) {
  memset(t, 0, sizeof *t);
  t->columns = 1;
  for (const char *p = heads; *p; p++) t->columns += *p == '|';
  if (t->columns > PMP_TABLE_COLUMNS) t->columns = PMP_TABLE_COLUMNS;
  if (!pmp_table_row(t)) return;
  for (size_t i = 0; i < t->columns; i++) {
    char text[PMP_TABLE_CELL];
    t->right[i] = *heads == '>';
    if (t->right[i]) heads++;
    const size_t n = strcspn(heads, "|");
    snprintf(text, sizeof text, "%.*s", (int)n, heads);
    pmp_table_set(t, i, text);
    heads += n + (heads[n] == '|');
  }
}

bool pmp_table_row(struct pmp_table *t) {
  if (t->rows == t->capacity) {
    const size_t capacity = t->capacity ? 2 * t->capacity : 16;
    void *grown = realloc(t->cell, capacity * t->columns * sizeof *t->cell);
    if (!grown) return false;
    t->cell = grown;
    t->capacity = capacity;
  }
  memset(t->cell[t->rows * t->columns], 0, t->columns * sizeof *t->cell);
  t->rows++;
  return true;
}

void pmp_table_set(struct pmp_table *t, size_t column, const char *text) {
  if (t->rows == 0 || column >= t->columns) return;
  snprintf(t->cell[(t->rows - 1) * t->columns + column], PMP_TABLE_CELL, "%s", text);
}

void pmp_table_print(const struct pmp_table *t, FILE *out) {
  int width[PMP_TABLE_COLUMNS] = {0};
  for (size_t i = 0; i < t->rows * t->columns; i++) {
    const int n = (int)strlen(t->cell[i]);
    if (n > width[i % t->columns]) width[i % t->columns] = n;
  }
  for (size_t r = 0; r < t->rows; r++) {
    for (size_t c = 0; c < t->columns; c++) {
      const char *text = t->cell[r * t->columns + c];
      const bool last = c + 1 == t->columns;
      if (t->right[c])
        fprintf(out, "%*s%s", width[c], text, last ? "" : "  ");
      else
        fprintf(out, "%-*s%s", last ? 0 : width[c], text, last ? "" : "  ");
    }
    fputc('\n', out);
  }
}

void pmp_table_fini(struct pmp_table *t) {
  free(t->cell);
  memset(t, 0, sizeof *t);
}
