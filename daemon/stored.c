#include "daemon/stored.h"

#include "daemon/transport.h"

enum pmp_err pmp_stored_decode(const struct pmp_spec *spec, const void *data, size_t bytes,
                               size_t extra, struct pmp_arena *arena, struct pmp_chunk *chunk,
                               struct pmp_errmsg *msg) {
  struct pmp_wire_limits limits = pmp_wire_limits_default();
  limits.message_bytes = (size_t)1 << 31;
  limits.chunk_rows = UINT32_MAX;
  limits.repeated =
      262144; /* of items, above what any configuration should ask of people at once */
  limits.string_bytes = UINT32_MAX;
  limits.tensor_elements = UINT64_MAX >> 8;
  limits.arena_bytes = pmp_wire_chunk_arena(bytes, &limits);
  if (pmp_call_arena(arena, limits.arena_bytes + extra) != PMP_OK)
    return pmp_fail(msg, PMP_ENOMEM, "no memory to decode a stored chunk of %zu bytes", bytes);
  return pmp_wire_decode_chunk(data, bytes, spec, &limits, arena, chunk, msg);
}
