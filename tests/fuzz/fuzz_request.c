/* Requests off the wire. */
#include "proto/wire.h"
#include "tests/fuzz/fuzz.h"

#include <math.h>

enum { ARENA_BYTES = 4 << 20, MESSAGE_BYTES = 1 << 20 };

static void walk_hello(const struct pmp_hello *h) {
  FUZZ_CHECK(pmp_name_valid(h->name), "name \"%s\"", h->name);
  FUZZ_CHECK(h->role != PMP_ROLE_ACTOR || h->instance.size == PMP_INSTANCE_BYTES, "%zu bytes",
             h->instance.size);
  fuzz_touch(h->instance.data, h->instance.size);
  fuzz_touch(h->token, strlen(h->token) + 1);
  fuzz_touch(h->client, strlen(h->client) + 1);
}

static void walk_lists(const struct pmp_request *r) {
  switch (r->verb) {
  case PMP_VERB_REPORT:
    for (uint32_t i = 0; i < r->u.report.count; i++) {
      fuzz_touch(r->u.report.value[i].name, strlen(r->u.report.value[i].name) + 1);
      FUZZ_CHECK(isfinite(r->u.report.value[i].value), "value %u", i);
    }
    break;
  case PMP_VERB_VERDICTS:
    for (uint32_t i = 0; i < r->u.verdicts.count; i++) {
      const struct pmp_verdict *v = &r->u.verdicts.verdict[i];
      fuzz_touch(v->request_id, strlen(v->request_id) + 1);
      fuzz_touch(v->note, strlen(v->note) + 1);
      FUZZ_CHECK(v->rows >= 1 && v->row + v->rows > v->row, "rows %u+%u", v->row, v->rows);
      FUZZ_CHECK(v->confidence > 0 && v->confidence <= 1, "%g", (double)v->confidence);
    }
    break;
  case PMP_VERB_HISTORY:
    for (uint32_t i = 0; i < r->u.history.names; i++)
      fuzz_touch(r->u.history.name[i], strlen(r->u.history.name[i]) + 1);
    break;
  default:
    break;
  }
}

/* What the daemon relies on behind the edge. */
static void walk(const struct pmp_request *r) {
  FUZZ_CHECK(r->version >= PMP_WIRE_VERSION_MIN && r->version <= PMP_WIRE_VERSION_MAX, "%u",
             r->version);
  FUZZ_CHECK(r->session.size == 0 || r->session.size == PMP_SESSION_BYTES, "%zu", r->session.size);
  fuzz_touch(r->session.data, r->session.size);
  if (r->verb == PMP_VERB_HELLO) walk_hello(&r->u.hello);
  if (r->verb == PMP_VERB_APPEND) {
    FUZZ_CHECK(r->u.append.seq > 0 && r->u.append.chunk.size > 0, "an empty append");
    fuzz_touch(r->u.append.chunk.data, r->u.append.chunk.size);
    fuzz_touch(r->u.append.actor_state.data, r->u.append.actor_state.size);
  }
  if (r->verb == PMP_VERB_CONTROL)
    FUZZ_CHECK(r->u.control.action != PMP_CONTROL_SET || r->u.control.key[0] != '\0', "no key");
  walk_lists(r);
}

/* Decodes and, if that went well, there and back once more: both encodings must be the same bytes.
 */
static void feed(const void *data, size_t size, const struct pmp_wire_limits *limits,
                 struct pmp_arena *arena) {
  struct pmp_request first, second;
  struct pmp_errmsg msg = {{0}};
  pmp_arena_release(arena, 0);
  memset(&first, 0x99, sizeof first);
  enum pmp_err err = pmp_wire_decode_request(data, size, limits, arena, &first, &msg);
  if (err != PMP_OK) {
    FUZZ_REFUSED(err, &msg);
    FUZZ_CHECK(arena->used == 0, "%zu bytes stay behind", arena->used);
    return;
  }
  walk(&first);
  const void *one, *two;
  size_t one_size, two_size;
  FUZZ_OK(pmp_wire_encode_request(&first, arena, &one, &one_size, &msg), &msg);
  FUZZ_OK(pmp_wire_decode_request(one, one_size, limits, arena, &second, &msg), &msg);
  FUZZ_OK(pmp_wire_encode_request(&second, arena, &two, &two_size, &msg), &msg);
  FUZZ_CHECK(one_size == two_size && memcmp(one, two, one_size) == 0, "verb %d", (int)first.verb);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct pmp_arena arena;
  struct pmp_wire_limits limits = pmp_wire_limits_default();
  if (arena.base == NULL && pmp_arena_init(&arena, ARENA_BYTES) != PMP_OK) abort();
  limits.message_bytes = MESSAGE_BYTES;
  feed(data, size, &limits, &arena);
  limits = (struct pmp_wire_limits){.message_bytes = MESSAGE_BYTES,
                                    .arena_bytes = 2048,
                                    .tensor_rank = 1,
                                    .tensor_elements = 8,
                                    .string_bytes = 8,
                                    .repeated = 2,
                                    .chunk_rows = 4,
                                    .actor_state_bytes = 4};
  feed(data, size, &limits, &arena);
  return 0;
}
