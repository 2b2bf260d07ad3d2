#include "daemon/labelers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void pmp_labelers_fini(struct pmp_labelers *l) {
  free(l->one);
  *l = (struct pmp_labelers){0};
}

struct pmp_labeler *pmp_labelers_get(struct pmp_labelers *l, const char *name) {
  uint32_t low = 0, high = l->count;
  while (low < high) {
    const uint32_t middle = low + (high - low) / 2;
    const int c = strcmp(l->one[middle].name, name);
    if (c == 0) return &l->one[middle];
    if (c < 0)
      low = middle + 1;
    else
      high = middle;
  }
  if (l->count == l->room) {
    const uint32_t room = l->room == 0 ? 16 : 2 * l->room;
    struct pmp_labeler *grown = realloc(l->one, room * sizeof *grown);
    if (!grown) return NULL;
    l->one = grown;
    l->room = room;
  }
  struct pmp_labeler *at = &l->one[low];
  memmove(at + 1, at, (l->count++ - low) * sizeof *at);
  *at = (struct pmp_labeler){0};
  snprintf(at->name, sizeof at->name, "%s", name);
  return at;
}

uint32_t pmp_labelers_since(const struct pmp_labelers *l, int64_t ns) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < l->count; i++) n += l->one[i].heard_ns != 0 && l->one[i].heard_ns >= ns;
  return n;
}
