#include "daemon/snapshot.h"

#include <stdlib.h>
#include <string.h>

struct pmp_snapshot *pmp_snapshot_new(const struct pmp_manifest *manifest, const float *params,
                                      uint64_t version, uint64_t step, bool policy) {
  struct pmp_snapshot *s = calloc(1, sizeof *s);
  if (!s) return NULL;
  s->data = malloc(manifest->floats * sizeof(float));
  if (!s->data) {
    free(s);
    return NULL;
  }
  memcpy(s->data, params, manifest->floats * sizeof(float));
  s->floats = manifest->floats;
  s->version = version;
  s->step = step;
  s->policy = policy;
  pmp_params_hash(manifest, s->data, s->hash);
  atomic_init(&s->refs, 1);
  return s;
}

struct pmp_snapshot *pmp_snapshot_hold(struct pmp_snapshot *s) {
  atomic_fetch_add(&s->refs, 1);
  return s;
}

void pmp_snapshot_release(struct pmp_snapshot *s) {
  if (!s || atomic_fetch_sub(&s->refs, 1) != 1) return;
  free(s->data);
  free(s);
}
