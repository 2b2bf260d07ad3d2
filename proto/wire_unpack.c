/* protobuf-c on a leash: what it unpacks comes out of one arena and stops at a cap, because a
 * hostile message can ask for many times its own size. */
#include "proto/wire_internal.h"

#include <string.h>

enum { SMALL_MAX = 256, SMALL_BLOCK = 4096, SMALL_ALIGN = 16 };

struct leash {
  struct pmp_arena *arena;
  size_t left; /* bytes that may still be taken */
  bool refused;
  unsigned char *small; /* current block for small pieces */
  size_t small_left;
};

static void *take(struct leash *l, size_t size) {
  void *block = size <= l->left ? pmp_arena_alloc(l->arena, size) : NULL;
  if (block == NULL) {
    l->refused = true;
    return NULL;
  }
  l->left -= size;
  return block;
}

/* Messages and names are tens of bytes: they share blocks instead of taking an aligned piece each.
 */
static void *leash_alloc(void *ctx, size_t size) {
  struct leash *l = ctx;
  if (size > SMALL_MAX) return take(l, size);
  size_t rounded = (size + SMALL_ALIGN - 1) / SMALL_ALIGN * SMALL_ALIGN;
  if (rounded == 0) rounded = SMALL_ALIGN;
  if (rounded > l->small_left) {
    size_t block = l->left < SMALL_BLOCK ? l->left : SMALL_BLOCK;
    size_t room = l->arena->capacity - l->arena->used;
    room = room > 64 ? room - 64 : 0; /* the arena's own alignment */
    if (block > room) block = room;
    block = block / SMALL_ALIGN * SMALL_ALIGN;
    if (block < rounded) {
      l->refused = true;
      return NULL;
    }
    l->small = take(l, block);
    l->small_left = l->small != NULL ? block : 0;
    if (l->small == NULL) return NULL;
  }
  void *piece = l->small;
  l->small += rounded;
  l->small_left -= rounded;
  return piece;
}

static void leash_free(void *ctx, void *block) {
  (void)ctx;
  (void)block; /* the arena is released as a whole */
}

enum pmp_err wire_unpack(const struct wire_in *in, const ProtobufCMessageDescriptor *type,
                         const void *data, size_t size, void **out) {
  *out = NULL;
  const struct pmp_wire_limits *limits = in->limits;
  if (size > limits->message_bytes)
    return pmp_fail(in->msg, PMP_ETOOLARGE, "%s: %zu bytes; the limit is %zu", type->short_name,
                    size, limits->message_bytes);
  struct leash leash = {.arena = in->arena, .left = limits->arena_bytes};
  if (leash.left == 0) leash.left = 3 * limits->message_bytes + (64 << 10);
  ProtobufCAllocator allocator = {
      .alloc = leash_alloc, .free = leash_free, .allocator_data = &leash};
  *out = protobuf_c_message_unpack(type, &allocator, size, data);
  if (*out != NULL) return PMP_OK;
  if (leash.refused)
    return pmp_fail(in->msg, PMP_ETOOLARGE,
                    "%s: unpacks to more than the memory that a message may take",
                    type->short_name);
  return pmp_fail(in->msg, PMP_EINVALID, "%s: not a valid protobuf message", type->short_name);
}
