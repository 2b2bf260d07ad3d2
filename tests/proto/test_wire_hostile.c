/* Bytes that nobody should send. Whatever they are: an error or a struct that keeps its promises,
 * within the memory that a message may take, and nothing read beside it (the sanitizer builds
 * watch). */
#include "base/rng.h"
#include "pmpo.pb-c.h"
#include "tests/proto/chunks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

enum { ROUNDS = 30000 };

static struct pmp_arena arena;
static struct pmp_errmsg msg;
static struct pmp_spec spec;

static int setup(void **state) {
  (void)state;
  spec = chunk_spec(PMP_SHAPE_TRAJECTORIES, false);
  return pmp_arena_init(&arena, 4 << 20) == PMP_OK ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  pmp_arena_fini(&arena);
  return 0;
}

/* Touches all that a decoded chunk points to, and asserts what everybody behind the edge relies on.
 */
static void walk_chunk(const struct pmp_chunk *c) {
  volatile uint64_t sum = 0;
  const struct pmp_tensor *tensors[PMP_PARTS_MAX + 1] = {&c->action};
  for (uint32_t i = 0; i < c->obs_parts; i++) tensors[i + 1] = &c->obs[i];
  for (uint32_t i = 0; i <= c->obs_parts; i++) {
    const unsigned char *at = tensors[i]->data;
    for (size_t k = 0; k < tensors[i]->bytes; k++) sum += at[k];
    if (tensors[i]->dtype == PMP_F32)
      for (size_t k = 0; k < tensors[i]->bytes / 4; k++)
        assert_true(isfinite(((const float *)tensors[i]->data)[k]));
  }
  assert_true(c->rows > 0);
  if (c->shape == PMP_SHAPE_TRAJECTORIES) {
    for (uint32_t i = 0; i < c->rows; i++) {
      sum += c->t[i] + c->flags[i] + c->env[c->envs == 1 ? 0 : i] +
             c->episode[c->episodes == 1 ? 0 : i];
      assert_true(isfinite(c->reward[i]) && c->discount[i] >= 0 && c->discount[i] <= 1);
      assert_int_equal((c->flags[i] & PMP_CHUNK_FIRST) != 0, c->t[i] == 0);
    }
    return;
  }
  for (uint32_t i = 0; i < c->rows; i++) {
    if (c->group != NULL) assert_true(c->group[i] < c->groups);
    if (c->verdict != NULL) assert_true(c->verdict[i] >= -1 && c->verdict[i] <= 1);
    if (c->weight != NULL) assert_true(c->weight[i] >= 0 && isfinite(c->weight[i]));
    if (c->f != NULL) assert_true(isfinite(c->f[i]));
  }
}

static void walk_request(const struct pmp_request *r) {
  volatile size_t sum = 0;
  assert_int_equal(r->version, 1);
  switch (r->verb) {
  case PMP_VERB_HELLO:
    assert_true(pmp_name_valid(r->u.hello.name));
    sum += strlen(r->u.hello.token) + strlen(r->u.hello.client);
    break;
  case PMP_VERB_APPEND:
    assert_true(r->u.append.seq > 0 && r->u.append.chunk.size > 0);
    sum += ((const unsigned char *)r->u.append.chunk.data)[r->u.append.chunk.size - 1];
    break;
  case PMP_VERB_REPORT:
    for (uint32_t i = 0; i < r->u.report.count; i++) {
      sum += strlen(r->u.report.value[i].name);
      assert_true(isfinite(r->u.report.value[i].value));
    }
    break;
  case PMP_VERB_VERDICTS:
    for (uint32_t i = 0; i < r->u.verdicts.count; i++) {
      const struct pmp_verdict *v = &r->u.verdicts.verdict[i];
      sum += strlen(v->request_id) + strlen(v->note);
      assert_true(v->rows >= 1 && v->confidence > 0 && v->confidence <= 1);
    }
    break;
  case PMP_VERB_HISTORY:
    for (uint32_t i = 0; i < r->u.history.names; i++) sum += strlen(r->u.history.name[i]);
    break;
  default:
    break;
  }
}

/* Decodes a copy that ends where the heap block ends, so that a read behind it shows. */
static bool feed(const unsigned char *data, size_t size) {
  struct pmp_wire_limits limits = pmp_wire_limits_default();
  unsigned char *copy = malloc(size > 0 ? size : 1);
  struct pmp_request request;
  struct pmp_reply reply;
  struct pmp_chunk chunk;
  assert_non_null(copy);
  limits.message_bytes = 1 << 20;
  memcpy(copy, data, size);
  pmp_arena_release(&arena, 0);
  bool ok = false;
  if (pmp_wire_decode_request(copy, size, &limits, &arena, &request, &msg) == PMP_OK)
    walk_request(&request), ok = true;
  if (pmp_wire_decode_reply(copy, size, &limits, &arena, &reply, &msg) == PMP_OK) ok = true;
  if (pmp_wire_decode_chunk(copy, size, &spec, &limits, &arena, &chunk, &msg) == PMP_OK)
    walk_chunk(&chunk), ok = true;
  if (pmp_wire_decode_chunk(copy, size, NULL, &limits, &arena, &chunk, &msg) == PMP_OK)
    walk_chunk(&chunk), ok = true;
  free(copy);
  return ok;
}

enum { SAMPLES = 5, SAMPLE_MAX = 4096 };

struct sample {
  unsigned char bytes[SAMPLE_MAX];
  size_t size;
};

static void keep(struct sample *s, const void *data, size_t size) {
  assert_true(size <= sizeof s->bytes);
  memcpy(s->bytes, data, size);
  s->size = size;
}

/* Valid messages to start from. */
static void make_samples(struct sample out[SAMPLES]) {
  struct chunk_columns columns = {0};
  struct pmp_chunk chunk;
  const void *data;
  size_t size;
  chunk_trajectories(&columns, &chunk, false);
  assert_int_equal(pmp_wire_encode_chunk(&chunk, &arena, &data, &size, &msg), PMP_OK);
  keep(&out[0], data, size);
  struct pmp_request r = {.version = 1, .request_id = 5, .verb = PMP_VERB_APPEND};
  r.u.append = (struct pmp_append){.seq = 1, .chunk = {data, size}, .actor_state = {"state", 5}};
  assert_int_equal(pmp_wire_encode_request(&r, &arena, &data, &size, &msg), PMP_OK);
  keep(&out[1], data, size);
  chunk_outcomes(&columns, &chunk);
  assert_int_equal(pmp_wire_encode_chunk(&chunk, &arena, &data, &size, &msg), PMP_OK);
  keep(&out[2], data, size);
  r = (struct pmp_request){.version = 1, .verb = PMP_VERB_HELLO};
  r.u.hello = (struct pmp_hello){.role = PMP_ROLE_ACTOR,
                                 .name = "a",
                                 .instance = {"0123456789abcdef", 16},
                                 .has_spec = true,
                                 .spec = spec};
  assert_int_equal(pmp_wire_encode_request(&r, &arena, &data, &size, &msg), PMP_OK);
  keep(&out[3], data, size);
  struct pmp_verdict v[2] = {
      {.request_id = "q",
       .note = "n",
       .chunk = 1,
       .rows = 1,
       .judgement = PMP_ACCEPT,
       .confidence = 1},
      {.request_id = "p", .chunk = 1, .rows = 2, .judgement = PMP_SKIP, .confidence = 0.5f}};
  r = (struct pmp_request){.version = 1, .verb = PMP_VERB_VERDICTS, .u.verdicts = {v, 2}};
  assert_int_equal(pmp_wire_encode_request(&r, &arena, &data, &size, &msg), PMP_OK);
  keep(&out[4], data, size);
}

static void test_truncated(void **state) {
  (void)state;
  static struct sample sample[SAMPLES];
  make_samples(sample);
  for (int i = 0; i < SAMPLES; i++) {
    assert_true(feed(sample[i].bytes, sample[i].size));
    for (size_t n = 0; n < sample[i].size; n++) feed(sample[i].bytes, n);
  }
  /* A chunk that lost its tail is no chunk. */
  struct pmp_wire_limits limits = pmp_wire_limits_default();
  struct pmp_chunk chunk;
  for (size_t n = 0; n < sample[0].size; n++)
    assert_int_not_equal(
        pmp_wire_decode_chunk(sample[0].bytes, n, &spec, &limits, &arena, &chunk, &msg), PMP_OK);
}

static void test_mutated(void **state) {
  (void)state;
  static struct sample sample[SAMPLES];
  static struct sample m;
  struct pmp_rng rng;
  int accepted = 0;
  pmp_rng_init(&rng, 11, 0);
  make_samples(sample);
  for (int round = 0; round < ROUNDS; round++) {
    m = sample[round % SAMPLES];
    uint64_t changes = 1 + pmp_rng_below(&rng, 4);
    for (uint64_t k = 0; k < changes; k++) {
      size_t at = pmp_rng_below(&rng, m.size);
      switch (pmp_rng_below(&rng, 4)) {
      case 0:
        m.bytes[at] ^= (unsigned char)(1u << pmp_rng_below(&rng, 8));
        break;
      case 1:
        m.bytes[at] = (unsigned char)pmp_rng_u32(&rng);
        break;
      case 2: /* a piece of another message */
        memcpy(m.bytes + at, sample[(round + 1) % SAMPLES].bytes,
               m.size - at < 40 ? m.size - at : (sample[(round + 1) % SAMPLES].size < 40 ? 0 : 40));
        break;
      default:
        memmove(m.bytes + at, m.bytes + at + 1, m.size - at - 1);
        if (m.size > 1) m.size--;
      }
    }
    accepted += feed(m.bytes, m.size);
  }
  /* Some changes are to numbers that may be anything; most are not. */
  assert_true(accepted > ROUNDS / 20 && accepted < ROUNDS / 2);
}

static void test_random(void **state) {
  (void)state;
  static unsigned char bytes[600];
  struct pmp_rng rng;
  pmp_rng_init(&rng, 12, 0);
  for (int round = 0; round < ROUNDS; round++) {
    size_t size = pmp_rng_below(&rng, sizeof bytes);
    for (size_t i = 0; i < size; i++) bytes[i] = (unsigned char)pmp_rng_u32(&rng);
    feed(bytes, size);
  }
}

/* Many empty entries: a few bytes each on the wire, tens in memory. */
static void test_counts(void **state) {
  (void)state;
  enum { N = 200000 };
  struct pmp_wire_limits limits = pmp_wire_limits_default();
  unsigned char *body = malloc(2 * N + 64);
  struct pmp_request r;
  /* Request { version: 1, verdicts { verdict {} x N } } */
  size_t n = 0;
  body[n++] = 0x08;
  body[n++] = 1;
  body[n++] = 0x9a; /* field 19, length-delimited */
  body[n++] = 0x01;
  size_t inner = 2 * N;
  for (size_t v = inner;; v >>= 7) {
    body[n++] = (unsigned char)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
    if (v <= 0x7f) break;
  }
  for (size_t i = 0; i < N; i++) {
    body[n++] = 0x0a;
    body[n++] = 0;
  }
  assert_int_equal(pmp_wire_decode_request(body, n, &limits, &arena, &r, &msg), PMP_ETOOLARGE);
  /* Also with an arena of plenty: the count is limited, and the cap below it. */
  struct pmp_arena plenty;
  assert_int_equal(pmp_arena_init(&plenty, 128 << 20), PMP_OK);
  assert_int_equal(pmp_wire_decode_request(body, n, &limits, &plenty, &r, &msg), PMP_ETOOLARGE);
  limits.arena_bytes = 1 << 20;
  plenty.peak = 0;
  assert_int_equal(pmp_wire_decode_request(body, n, &limits, &plenty, &r, &msg), PMP_ETOOLARGE);
  assert_true(plenty.peak <= (1 << 20) + 4096);
  pmp_arena_fini(&plenty);
  free(body);
}

/* Fields that nobody knows, packed shapes of a million dimensions, and a message inside a message
 * inside a message. */
static void test_odd_shapes(void **state) {
  (void)state;
  struct pmp_wire_limits limits = pmp_wire_limits_default();
  enum { N = 1 << 19 };
  unsigned char *bytes = malloc(N + 64);
  struct pmp_chunk chunk;
  /* Chunk { source: ACTOR, rows: 1, outcomes { outcome { dtype: F32, shape: [1, 1, ...] } } } */
  const size_t shape = N, tensor = shape + 2 + 4, outcomes = tensor + 4;
  size_t n = 0;
  const unsigned char head[] = {0x08, 1, 0x10, 1};
  memcpy(bytes, head, sizeof head);
  n = sizeof head;
  const struct {
    unsigned char tag;
    size_t length;
  } nested[] = {{0x1a, outcomes}, {0x22, tensor}};
  for (int i = 0; i < 2; i++) {
    bytes[n++] = nested[i].tag;
    bytes[n++] = (unsigned char)((nested[i].length & 0x7f) | 0x80);
    bytes[n++] = (unsigned char)(((nested[i].length >> 7) & 0x7f) | 0x80);
    bytes[n++] = (unsigned char)(nested[i].length >> 14);
  }
  bytes[n++] = 0x08;
  bytes[n++] = 1;
  bytes[n++] = 0x12;
  bytes[n++] = (unsigned char)((shape & 0x7f) | 0x80);
  bytes[n++] = (unsigned char)(((shape >> 7) & 0x7f) | 0x80);
  bytes[n++] = (unsigned char)(shape >> 14);
  memset(bytes + n, 1, shape);
  n += shape;
  assert_int_equal(pmp_wire_decode_chunk(bytes, n, NULL, &limits, &arena, &chunk, &msg),
                   PMP_ETOOLARGE);
  struct pmp_arena plenty;
  assert_int_equal(pmp_arena_init(&plenty, 64 << 20), PMP_OK);
  assert_int_equal(pmp_wire_decode_chunk(bytes, n, NULL, &limits, &plenty, &chunk, &msg),
                   PMP_ETOOLARGE);
  assert_non_null(strstr(msg.text, "rank"));
  pmp_arena_fini(&plenty);
  /* Ten thousand times "field 3 is a message": only known types are descended into. */
  for (size_t i = 0; i + 1 < 20000; i += 2) {
    bytes[i] = 0x1a;
    bytes[i + 1] = 0x7f;
  }
  feed(bytes, 20000);
  /* Groups, which proto3 does not have. */
  memset(bytes, 0x0b, 20000);
  assert_false(feed(bytes, 20000));
  /* A valid request with unknown fields is a valid request: a later client may say more. */
  const unsigned char later[] = {0x08, 1, 0x72, 0, 0xf2, 0x07, 3, 'x', 'y', 'z'};
  struct pmp_request r;
  assert_int_equal(pmp_wire_decode_request(later, sizeof later, &limits, &arena, &r, &msg), PMP_OK);
  assert_int_equal(r.verb, PMP_VERB_STATUS);
  free(bytes);
}

/* What the generated code can say and our structs cannot. */
static void test_generated_enums(void **state) {
  (void)state;
  struct pmp_wire_limits limits = pmp_wire_limits_default();
  unsigned char bytes[256];
  Pmpo__V1__Reply reply = PMPO__V1__REPLY__INIT;
  struct pmp_reply out;
  reply.code = (Pmpo__V1__Code)1234;
  size_t n = pmpo__v1__reply__pack(&reply, bytes);
  assert_int_equal(pmp_wire_decode_reply(bytes, n, &limits, &arena, &out, &msg), PMP_OK);
  assert_int_equal(out.code, PMP_EINTERNAL);
  Pmpo__V1__Request request = PMPO__V1__REQUEST__INIT;
  struct pmp_request r;
  request.version = 1;
  request.request_id = 99;
  n = pmpo__v1__request__pack(&request, bytes);
  assert_int_equal(pmp_wire_decode_request(bytes, n, &limits, &arena, &r, &msg), PMP_EINVALID);
  assert_int_equal(r.request_id, 99); /* the refusal can name it */
  assert_int_equal(r.version, 1);
  Pmpo__V1__Control control = PMPO__V1__CONTROL__INIT;
  control.action = (Pmpo__V1__Action)-1;
  request.body_case = PMPO__V1__REQUEST__BODY_CONTROL;
  request.control = &control;
  n = pmpo__v1__request__pack(&request, bytes);
  assert_int_equal(pmp_wire_decode_request(bytes, n, &limits, &arena, &r, &msg), PMP_EINVALID);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(truncated), TEST(mutated),    TEST(random),
      TEST(counts),    TEST(odd_shapes), TEST(generated_enums),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
