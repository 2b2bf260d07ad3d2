#include "base/nearest.h"

#include <assert.h>
#include <ctype.h>
#include <stdbool.h>
#include <string.h>

enum { BEGINNING_MIN = 3 };

static size_t least(size_t a, size_t b) {
  return a < b ? a : b;
}

static bool same(char a, char b) {
  return tolower((unsigned char)a) == tolower((unsigned char)b);
}

size_t pmp_nearest_distance(const char *a, const char *b) {
  /* Distances of a's beginnings, this one and the two before it, to each beginning of b. */
  size_t rows[3][PMP_NEAREST_NAME_MAX + 1];
  const size_t m = strnlen(a, PMP_NEAREST_NAME_MAX), n = strnlen(b, PMP_NEAREST_NAME_MAX);
  for (size_t j = 0; j <= n; j++) rows[0][j] = j;
  for (size_t i = 1; i <= m; i++) {
    size_t *row = rows[i % 3];
    const size_t *above = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
    row[0] = i;
    for (size_t j = 1; j <= n; j++) {
      row[j] = least(above[j - 1] + !same(a[i - 1], b[j - 1]), least(above[j], row[j - 1]) + 1);
      if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
        row[j] = least(row[j], before[j - 2] + 1);
    }
  }
  return rows[m % 3][n];
}

void pmp_nearest_init(struct pmp_nearest *n, const char *name, size_t most, size_t far) {
  assert(most <= PMP_NEAREST_MOST);
  *n = (struct pmp_nearest){.name = name, .most = most, .far = far};
}

void pmp_nearest_offer(struct pmp_nearest *n, size_t index, const char *candidate) {
  const size_t length = strlen(n->name);
  const bool begins = length >= BEGINNING_MIN && strncmp(candidate, n->name, length) == 0;
  const size_t distance = begins ? 0 : pmp_nearest_distance(n->name, candidate);
  size_t at = n->count;
  if (distance >= n->far) return;
  while (at > 0 && n->distance[at - 1] > distance) at--;
  if (at >= n->most) return;
  if (n->count < n->most) n->count++;
  const size_t behind = n->count - 1 - at;
  memmove(&n->index[at + 1], &n->index[at], behind * sizeof n->index[0]);
  memmove(&n->distance[at + 1], &n->distance[at], behind * sizeof n->distance[0]);
  n->index[at] = index;
  n->distance[at] = distance;
}
