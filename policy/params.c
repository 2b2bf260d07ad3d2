#include "policy/params.h"

#define XXH_STATIC_LINKING_ONLY /* the state on the stack */
#include <xxhash.h>

#include <stdio.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "hashes and files are little-endian");

const struct pmp_view *pmp_manifest_find(const struct pmp_manifest *m, const char *name) {
  for (uint32_t i = 0; i < m->views; i++)
    if (strcmp(m->view[i].name, name) == 0) return &m->view[i];
  return NULL;
}

enum pmp_err pmp_manifest_add(struct pmp_manifest *m, const char *name, uint32_t rank,
                              const uint32_t *shape, size_t *offset) {
  const size_t length = strlen(name);
  if (length == 0 || length >= PMP_VIEW_NAME_MAX) return PMP_EINVALID;
  if (rank == 0 || rank > PMP_VIEW_RANK_MAX) return PMP_EINVALID;
  if (pmp_manifest_find(m, name)) return PMP_EINVALID;
  if (m->views == PMP_VIEWS_MAX) return PMP_ETOOLARGE;

  size_t count = 1, floats, bytes;
  for (uint32_t i = 0; i < rank; i++) {
    if (shape[i] == 0) return PMP_EINVALID;
    if (__builtin_mul_overflow(count, (size_t)shape[i], &count)) return PMP_ETOOLARGE;
  }
  if (__builtin_add_overflow(m->floats, count, &floats)) return PMP_ETOOLARGE;
  if (__builtin_mul_overflow(floats, sizeof(float), &bytes)) return PMP_ETOOLARGE;

  struct pmp_view *v = &m->view[m->views++];
  memset(v, 0, sizeof *v);
  memcpy(v->name, name, length + 1);
  v->rank = rank;
  memcpy(v->shape, shape, rank * sizeof *shape);
  v->offset = m->floats;
  v->count = count;
  m->floats = floats;
  if (offset) *offset = v->offset;
  return PMP_OK;
}

static void shape_text(const struct pmp_view *v, char *text, size_t size) {
  size_t used = 0;
  text[0] = '\0';
  for (uint32_t i = 0; i < v->rank && used < size; i++) {
    const int n = snprintf(text + used, size - used, "%s%u", i ? "x" : "", v->shape[i]);
    if (n < 0) return;
    used += (size_t)n;
  }
}

enum pmp_err pmp_manifest_match(const struct pmp_manifest *want, const struct pmp_manifest *have,
                                struct pmp_errmsg *msg) {
  const uint32_t views = want->views < have->views ? want->views : have->views;
  for (uint32_t i = 0; i < views; i++) {
    const struct pmp_view *w = &want->view[i], *h = &have->view[i];
    char ws[64], hs[64];
    shape_text(w, ws, sizeof ws);
    shape_text(h, hs, sizeof hs);
    if (strcmp(w->name, h->name) != 0 || w->rank != h->rank ||
        memcmp(w->shape, h->shape, w->rank * sizeof *w->shape) != 0)
      return pmp_fail(msg, PMP_ECONFLICT, "parameter %u is \"%s\" (%s), expected \"%s\" (%s)", i,
                      h->name, hs, w->name, ws);
  }
  if (want->views != have->views)
    return pmp_fail(msg, PMP_ECONFLICT, "%u parameters, expected %u: %s \"%s\"", have->views,
                    want->views, have->views < want->views ? "missing" : "unexpected",
                    have->views < want->views ? want->view[views].name : have->view[views].name);
  return PMP_OK;
}

void pmp_params_hash(const struct pmp_manifest *m, const float *params, char out[33]) {
  static const char digit[] = "0123456789abcdef";
  XXH3_state_t state;
  XXH3_INITSTATE(&state);
  XXH3_128bits_reset(&state);
  /* The floats come last and every variable-length part is preceded by its length, so that two
   * different sets of parameters never feed the same bytes. */
  XXH3_128bits_update(&state, &m->views, sizeof m->views);
  for (uint32_t i = 0; i < m->views; i++) {
    const struct pmp_view *v = &m->view[i];
    const uint32_t length = (uint32_t)strlen(v->name);
    XXH3_128bits_update(&state, &length, sizeof length);
    XXH3_128bits_update(&state, v->name, length);
    XXH3_128bits_update(&state, &v->rank, sizeof v->rank);
    XXH3_128bits_update(&state, v->shape, v->rank * sizeof *v->shape);
  }
  if (m->floats) XXH3_128bits_update(&state, params, m->floats * sizeof *params);

  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(&state));
  for (size_t i = 0; i < 16; i++) {
    out[2 * i] = digit[canonical.digest[i] >> 4];
    out[2 * i + 1] = digit[canonical.digest[i] & 15];
  }
  out[32] = '\0';
}
