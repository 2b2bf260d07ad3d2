/* Replies off the wire, as a client reads them. */
#include "proto/wire.h"
#include "tests/fuzz/fuzz.h"

#include <math.h>

enum { ARENA_BYTES = 4 << 20, MESSAGE_BYTES = 1 << 20 };

static void text(const char *t) {
  fuzz_touch(t, strlen(t) + 1);
}

static void walk_numbers(const struct pmp_number *number, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    text(number[i].name);
    FUZZ_CHECK(isfinite(number[i].value), "number %u", i);
  }
}

static void walk_weights(const struct pmp_weights_reply *w) {
  text(w->hash);
  text(w->base_hash);
  text(w->policy);
  for (uint32_t i = 0; i < w->views; i++) {
    text(w->view[i].name);
    FUZZ_CHECK(w->view[i].rank <= PMP_TENSOR_RANK_MAX, "rank %u", w->view[i].rank);
  }
  FUZZ_CHECK(w->offset <= w->bytes && w->data.size <= w->bytes - w->offset, "outside");
  fuzz_touch(w->data.data, w->data.size);
}

static void walk_status(const struct pmp_status_reply *s) {
  for (uint32_t i = 0; i < s->texts; i++) {
    text(s->text[i].name);
    text(s->text[i].value);
  }
  walk_numbers(s->number, s->numbers);
  for (uint32_t i = 0; i < s->actors; i++) {
    text(s->actor[i].name);
    walk_numbers(s->actor[i].value, s->actor[i].values);
  }
}

static void walk_history(const struct pmp_history_reply *h) {
  for (uint32_t i = 0; i < h->count; i++) {
    const struct pmp_series *s = &h->series[i];
    text(s->name);
    for (uint32_t k = 0; k < s->points; k++) FUZZ_CHECK(isfinite(s->value[k]), "point %u", k);
    fuzz_touch(s->step, s->points * sizeof *s->step);
    fuzz_touch(s->env_steps, s->points * sizeof *s->env_steps);
    fuzz_touch(s->wall_ns, s->points * sizeof *s->wall_ns);
  }
}

static void walk_events(const struct pmp_events_reply *e) {
  for (uint32_t i = 0; i < e->count; i++) {
    text(e->event[i].who);
    text(e->event[i].kind);
    text(e->event[i].detail);
  }
}

static void walk(const struct pmp_reply *r) {
  text(r->message);
  FUZZ_CHECK(r->code <= PMP_EINTERNAL, "code %d", (int)r->code);
  switch (r->verb) {
  case PMP_VERB_HELLO:
    text(r->u.hello.run_id);
    text(r->u.hello.policy);
    text(r->u.hello.data_url);
    fuzz_touch(r->u.hello.actor_state.data, r->u.hello.actor_state.size);
    break;
  case PMP_VERB_WEIGHTS:
    walk_weights(&r->u.weights);
    break;
  case PMP_VERB_STATUS:
    walk_status(&r->u.status);
    break;
  case PMP_VERB_HISTORY:
    walk_history(&r->u.history);
    break;
  case PMP_VERB_EVENTS:
    walk_events(&r->u.events);
    break;
  case PMP_VERB_CONTROL:
    text(r->u.control.detail);
    break;
  case PMP_VERB_EXPORT:
    fuzz_touch(r->u.export_.data.data, r->u.export_.data.size);
    break;
  case PMP_VERB_VERDICTS:
    for (uint32_t i = 0; i < r->u.verdicts.count; i++) text(r->u.verdicts.result[i].message);
    break;
  default:
    break;
  }
}

/* Decodes and, if that went well, there and back once more: both encodings must be the same bytes.
 */
static void feed(const void *data, size_t size, const struct pmp_wire_limits *limits,
                 struct pmp_arena *arena) {
  struct pmp_reply first, second;
  struct pmp_errmsg msg = {{0}};
  pmp_arena_release(arena, 0);
  memset(&first, 0x99, sizeof first);
  enum pmp_err err = pmp_wire_decode_reply(data, size, limits, arena, &first, &msg);
  if (err != PMP_OK) {
    FUZZ_REFUSED(err, &msg);
    FUZZ_CHECK(arena->used == 0, "%zu bytes stay behind", arena->used);
    return;
  }
  walk(&first);
  const void *one, *two;
  size_t one_size, two_size;
  FUZZ_OK(pmp_wire_encode_reply(&first, arena, &one, &one_size, &msg), &msg);
  FUZZ_OK(pmp_wire_decode_reply(one, one_size, limits, arena, &second, &msg), &msg);
  FUZZ_OK(pmp_wire_encode_reply(&second, arena, &two, &two_size, &msg), &msg);
  FUZZ_CHECK(one_size == two_size && memcmp(one, two, one_size) == 0, "verb %d", (int)first.verb);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct pmp_arena arena;
  struct pmp_wire_limits limits = pmp_wire_limits_default();
  if (arena.base == NULL && pmp_arena_init(&arena, ARENA_BYTES) != PMP_OK) abort();
  limits.message_bytes = MESSAGE_BYTES;
  feed(data, size, &limits, &arena);
  return 0;
}
