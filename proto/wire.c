#include "proto/wire.h"

#include <string.h>

struct pmp_wire_limits pmp_wire_limits_default(void) {
  return (struct pmp_wire_limits){
      .message_bytes = 16u << 20,
      .tensor_rank = PMP_TENSOR_RANK_MAX,
      .tensor_elements = 1u << 26,
      .string_bytes = 4096,
      .repeated = 4096,
      .chunk_rows = 65536,
      .actor_state_bytes = 64u << 10,
  };
}

bool pmp_name_valid(const char *name) {
  if (name == NULL) return false;
  size_t n = strlen(name);
  if (n == 0 || n >= PMP_NAME_MAX) return false;
  return strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.@") == n;
}

static const char *shape_name(enum pmp_shape s) {
  return s == PMP_SHAPE_OUTCOMES       ? "outcomes"
         : s == PMP_SHAPE_TRAJECTORIES ? "trajectories"
                                       : "none";
}

static const char *action_name(enum pmp_action_kind k) {
  static const char *const names[] = {"none", "box", "bins", "tokens"};
  return (unsigned)k < sizeof names / sizeof names[0] ? names[k] : "unknown";
}

/* Both named and different. Unnamed fits everything. */
static bool names_differ(const char *a, const char *b) {
  return a[0] != '\0' && b[0] != '\0' && strcmp(a, b) != 0;
}

static enum pmp_err match_obs(const struct pmp_spec *want, const struct pmp_spec *have,
                              struct pmp_errmsg *msg) {
  if (want->obs_parts != have->obs_parts)
    return pmp_fail(msg, PMP_ECONFLICT, "the run takes %u observations, not %u", want->obs_parts,
                    have->obs_parts);
  for (uint32_t i = 0; i < want->obs_parts; i++) {
    const struct pmp_tensor_spec *w = &want->obs[i], *h = &have->obs[i];
    if (names_differ(w->name, h->name))
      return pmp_fail(msg, PMP_ECONFLICT, "observation %u of the run is '%s', not '%s'", i, w->name,
                      h->name);
    if (w->dtype != h->dtype)
      return pmp_fail(msg, PMP_ECONFLICT, "observation %u '%s' of the run has dtype %d, not %d", i,
                      w->name, (int)w->dtype, (int)h->dtype);
    if (w->rank != h->rank)
      return pmp_fail(msg, PMP_ECONFLICT, "observation %u '%s' of the run has rank %u, not %u", i,
                      w->name, w->rank, h->rank);
    for (uint32_t k = 0; k < w->rank; k++)
      if (w->shape[k] != h->shape[k])
        return pmp_fail(
            msg, PMP_ECONFLICT, "observation %u '%s' of the run has %llu in dimension %u, not %llu",
            i, w->name, (unsigned long long)w->shape[k], k, (unsigned long long)h->shape[k]);
  }
  return PMP_OK;
}

static enum pmp_err match_action(const struct pmp_spec *want, const struct pmp_spec *have,
                                 struct pmp_errmsg *msg) {
  if (want->action.kind != have->action.kind)
    return pmp_fail(msg, PMP_ECONFLICT, "the run takes actions of kind %s, not %s",
                    action_name(want->action.kind), action_name(have->action.kind));
  if (want->action.dim != have->action.dim)
    return pmp_fail(msg, PMP_ECONFLICT, "the run takes actions of %u dimensions, not %u",
                    want->action.dim, have->action.dim);
  if (want->action.low != have->action.low || want->action.high != have->action.high)
    return pmp_fail(msg, PMP_ECONFLICT, "the run takes actions in [%g, %g], not [%g, %g]",
                    (double)want->action.low, (double)want->action.high, (double)have->action.low,
                    (double)have->action.high);
  if (want->action.bins != have->action.bins)
    return pmp_fail(msg, PMP_ECONFLICT, "the run takes actions of %u bins, not %u",
                    want->action.bins, have->action.bins);
  return PMP_OK;
}

enum pmp_err pmp_spec_match(const struct pmp_spec *want, const struct pmp_spec *have,
                            struct pmp_errmsg *msg) {
  if (names_differ(want->task, have->task))
    return pmp_fail(msg, PMP_ECONFLICT, "the run learns task '%s', not '%s'", want->task,
                    have->task);
  if (want->shape != have->shape)
    return pmp_fail(msg, PMP_ECONFLICT, "the run takes %s, not %s", shape_name(want->shape),
                    shape_name(have->shape));
  PMP_TRY(match_obs(want, have, msg));
  PMP_TRY(match_action(want, have, msg));
  if (strcmp(want->tokenizer_hash, have->tokenizer_hash) != 0)
    return pmp_fail(msg, PMP_ECONFLICT, "the run's tokenizer has hash '%s', not '%s'",
                    want->tokenizer_hash, have->tokenizer_hash);
  return PMP_OK;
}
