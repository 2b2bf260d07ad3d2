#include "daemon/stored.h"

#include "daemon/transport.h"

enum pmp_err pmp_stored_decode(const struct pmp_spec *spec, const void *data, size_t bytes,
                               size_t extra, struct pmp_arena *arena, struct pmp_chunk *chunk,
                               struct pmp_errmsg *msg) {
  struct pmp_wire_limits limits = pmp_wire_limits_default();
  limits.message_bytes = (size_t)1 << 31;
  limits.chunk_rows = UINT32_MAX;
  limits.repeated = UINT32_MAX;
  limits.string_bytes = UINT32_MAX;
  limits.tensor_elements = UINT64_MAX >> 8;
  limits.arena_bytes = pmp_wire_chunk_arena(bytes, &limits);
  PMP_TRY(pmp_call_arena(arena, limits.arena_bytes + extra));
  return pmp_wire_decode_chunk(data, bytes, spec, &limits, arena, chunk, msg);
}
