#include "experiments/names.h"

#include <stdio.h>
#include <string.h>

bool pmp_names_listed(const char *list, const char *name) {
  if (list == NULL) return true;
  const size_t n = strlen(name);
  for (const char *at = list;;) {
    const size_t word = strcspn(at, ",");
    if (word == n && strncmp(at, name, n) == 0) return true;
    if (at[word] == '\0') return false;
    at += word + 1;
  }
}

/* Behind what is there; what does not fit is left out. */
static void add(char *out, size_t size, const char *before, const char *word, size_t n) {
  const size_t used = strlen(out);
  snprintf(out + used, size - used, "%s%.*s", before, (int)(n < 40 ? n : 40), word);
}

static bool is_name(pmp_names_at at, const char *word, size_t n) {
  for (size_t i = 0; at(i) != NULL; i++) {
    if (strlen(at(i)) == n && strncmp(at(i), word, n) == 0) return true;
  }
  return false;
}

void pmp_names_join(pmp_names_at at, char *out, size_t size) {
  out[0] = '\0';
  for (size_t i = 0; at(i) != NULL; i++) add(out, size, i > 0 ? ", " : "", at(i), strlen(at(i)));
}

enum pmp_err pmp_names_check(const char *option, const char *list, pmp_names_at at,
                             struct pmp_errmsg *msg) {
  char unknown[200] = "", known[200];
  if (list == NULL) return PMP_OK;
  for (const char *word = list;;) {
    const size_t n = strcspn(word, ",");
    if (!is_name(at, word, n)) {
      add(unknown, sizeof unknown, unknown[0] != '\0' ? ", \"" : "\"", word, n);
      add(unknown, sizeof unknown, "", "\"", 1);
    }
    if (word[n] == '\0') break;
    word += n + 1;
  }
  if (unknown[0] == '\0') return PMP_OK;
  pmp_names_join(at, known, sizeof known);
  return pmp_fail(msg, PMP_EINVALID, "--%s: there is no %s; there are %s", option, unknown, known);
}
