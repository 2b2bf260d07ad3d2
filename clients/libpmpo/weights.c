/* Weights by byte ranges. */
#include "clients/libpmpo/client.h"

#include <stdlib.h>
#include <string.h>

enum { RESTARTS_MAX = 5 };
#define RANGE_BYTES ((size_t)1 << 20)
#define WEIGHTS_BYTES_MAX ((uint64_t)1 << 36)

/* The first answer: manifest and first range. */
static enum pmp_err fetch_first(struct pmpo *c, const struct pmp_weights *want,
                                struct pmp_arena *arena, struct pmp_weights_reply *manifest,
                                struct pmp_errmsg *msg) {
  struct pmp_request r = {.verb = PMP_VERB_WEIGHTS, .u.weights = *want};
  struct pmp_reply reply;
  r.u.weights.offset = 0;
  r.u.weights.length = RANGE_BYTES;
  /* Waiting is the daemon's part; once it does not answer, asking again is ours. */
  PMP_TRY(pmpo_link_request(&c->weights, &r, want->wait_ms, INT64_MAX, arena, &reply, msg));
  if (reply.verb != PMP_VERB_WEIGHTS)
    return pmp_fail(msg, PMP_EINTERNAL, "the daemon's answer holds no weights");
  *manifest = reply.u.weights;
  if (manifest->bytes % sizeof(float) != 0 || manifest->bytes > WEIGHTS_BYTES_MAX ||
      manifest->offset != 0)
    return pmp_fail(msg, PMP_EINVALID, "weights of %llu bytes from %llu on",
                    (unsigned long long)manifest->bytes, (unsigned long long)manifest->offset);
  return PMP_OK;
}

/* The ranges behind the first. */
static enum pmp_err fetch_rest(struct pmpo *c, const struct pmp_weights *want,
                               const struct pmp_weights_reply *manifest, unsigned char *buffer,
                               uint64_t have, struct pmp_arena *arena, struct pmp_errmsg *msg) {
  size_t mark = pmp_arena_mark(arena);
  while (have < manifest->bytes) {
    struct pmp_request r = {.verb = PMP_VERB_WEIGHTS};
    struct pmp_reply reply;
    uint64_t left = manifest->bytes - have;
    r.u.weights = (struct pmp_weights){.which = want->which,
                                       .version = manifest->version,
                                       .offset = have,
                                       .length = left < RANGE_BYTES ? left : RANGE_BYTES};
    PMP_TRY(pmpo_link_request(&c->weights, &r, 0, INT64_MAX, arena, &reply, msg));
    const struct pmp_weights_reply *w = &reply.u.weights;
    if (reply.verb != PMP_VERB_WEIGHTS || w->version != manifest->version ||
        w->bytes != manifest->bytes || w->offset != have || w->data.size == 0)
      return pmp_fail(msg, PMP_EINVALID, "weights: not the range that was asked for");
    if (strcmp(w->hash, manifest->hash) != 0)
      return pmp_fail(msg, PMP_ENOTFOUND, "weights: replaced meanwhile");
    memcpy(buffer + have, w->data.data, w->data.size);
    have += w->data.size;
    pmp_arena_release(arena, mark);
  }
  return PMP_OK;
}

static enum pmp_err fetch(struct pmpo *c, const struct pmp_weights *want, struct pmp_arena *arena,
                          struct pmp_weights_reply *manifest, float **out, struct pmp_errmsg *msg) {
  PMP_TRY(fetch_first(c, want, arena, manifest, msg));
  unsigned char *buffer = malloc(manifest->bytes > 0 ? (size_t)manifest->bytes : 1);
  if (buffer == NULL)
    return pmp_fail(msg, PMP_ENOMEM, "no memory for %llu bytes of weights",
                    (unsigned long long)manifest->bytes);
  if (manifest->data.size > 0) memcpy(buffer, manifest->data.data, manifest->data.size);
  enum pmp_err err = fetch_rest(c, want, manifest, buffer, manifest->data.size, arena, msg);
  if (err != PMP_OK) {
    free(buffer);
    return err;
  }
  manifest->data = (struct pmp_bytes){0};
  *out = (float *)(void *)buffer;
  return PMP_OK;
}

void pmpo_weights_cancel(struct pmpo *c) {
  atomic_store(&c->weights_cancelled, true);
}

enum pmp_err pmpo_weights(struct pmpo *c, enum pmp_which which, uint64_t version,
                          uint64_t newer_than, uint32_t wait_ms, struct pmp_arena *arena,
                          struct pmp_weights_reply *manifest, float **buffer,
                          struct pmp_errmsg *msg) {
  *buffer = NULL;
  memset(manifest, 0, sizeof *manifest);
  if (c->weights.id == NULL) PMP_TRY(pmpo_data_link(c, &c->weights, msg));
  c->weights.cancelled = &c->weights_cancelled;
  struct pmp_weights want = {
      .which = which, .version = version, .newer_than = newer_than, .wait_ms = wait_ms};
  size_t mark = pmp_arena_mark(arena);
  for (int restart = 0;; restart++) {
    pmp_arena_release(arena, mark);
    enum pmp_err err = fetch(c, &want, arena, manifest, buffer, msg);
    /* A version may be gone between two ranges: the newest is not. */
    bool gone = err == PMP_ENOTFOUND && manifest->version != 0 && version == 0;
    if (!gone || restart == RESTARTS_MAX) {
      if (err == PMP_OK && which == PMP_WHICH_REFERENCE) pmpo_saw_version(c, manifest->version);
      return err;
    }
    memset(manifest, 0, sizeof *manifest);
  }
}
