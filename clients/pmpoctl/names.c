#include "clients/pmpoctl/names.h"

#include <stdio.h>
#include <string.h>

#define MOST 3 /* names in one answer */
#define FAR 4

void pmp_names_init(struct pmp_names *n, const char *name) {
  const size_t size = strlen(name) / 2 + 1; /* of a short name everything is near */
  memset(n, 0, sizeof *n);
  pmp_nearest_init(&n->nearest, name, MOST, size < FAR ? size : FAR);
}

/* A place that none of the nearest uses: there is one more than they are. */
static size_t free_place(const struct pmp_names *n) {
  for (size_t place = 0;; place++) {
    size_t i = 0;
    while (i < n->nearest.count && n->nearest.index[i] != place) i++;
    if (i == n->nearest.count) return place;
  }
}

void pmp_names_offer(struct pmp_names *n, const char *candidate) {
  const char *name = n->nearest.name, *dot = strchr(candidate, '.');
  const size_t place = free_place(n);
  if (strcmp(candidate, name) == 0) n->known = true;
  snprintf(n->name[place], sizeof n->name[place], "%s", candidate);
  const bool tail = dot && !strchr(name, '.') && strncmp(candidate, name, strlen(name)) != 0 &&
                    pmp_nearest_distance(name, dot + 1) < pmp_nearest_distance(name, candidate);
  pmp_nearest_offer(&n->nearest, place, tail ? dot + 1 : candidate);
}

const char *pmp_names_text(const struct pmp_names *n, const char *otherwise,
                           char out[PMP_NAMES_TEXT]) {
  const size_t count = n->nearest.count;
  size_t used = 0;
  snprintf(out, PMP_NAMES_TEXT, "%s", count ? "; did you mean " : otherwise);
  for (size_t i = 0; i < count; i++) {
    used = strlen(out);
    snprintf(out + used, PMP_NAMES_TEXT - used, "%s%s%s",
             i == 0           ? ""
             : i + 1 == count ? " or "
                              : ", ",
             n->name[n->nearest.index[i]], i + 1 == count ? "?" : "");
  }
  return out;
}
