#include "tests/support/rpc.h"

#include "base/rng.h"
#include "tests/support/pmpod_process.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <nng/protocol/reqrep0/req.h>
#include <stdio.h>
#include <string.h>

#define ARENA_BYTES ((size_t)64 << 20)

void test_rpc_open(struct test_rpc *r, const char *url) {
  memset(r, 0, sizeof *r);
  r->wait_ms = 60000; /* for what hangs */
  assert_int_equal(nng_req0_open(&r->socket), 0);
  assert_int_equal(nng_socket_set_ms(r->socket, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE), 0);
  assert_int_equal(nng_socket_set_ms(r->socket, NNG_OPT_RECONNMINT, 10), 0);
  assert_int_equal(nng_socket_set_size(r->socket, NNG_OPT_RECVMAXSZ, 0), 0);
  assert_int_equal(nng_dial(r->socket, url, NULL, NNG_FLAG_NONBLOCK), 0);
  assert_int_equal(pmp_arena_init(&r->in, ARENA_BYTES), PMP_OK);
  assert_int_equal(pmp_arena_init(&r->out, ARENA_BYTES), PMP_OK);
}

void test_rpc_close(struct test_rpc *r) {
  if (r->in.base) nng_close(r->socket);
  pmp_arena_fini(&r->in);
  pmp_arena_fini(&r->out);
  memset(r, 0, sizeof *r);
}

enum pmp_err test_rpc_bytes(struct test_rpc *r, const void *data, size_t size) {
  nng_msg *m = NULL;
  assert_int_equal(nng_msg_alloc(&m, 0), 0);
  assert_int_equal(nng_msg_append(m, data, size), 0);
  nng_socket_set_ms(r->socket, NNG_OPT_SENDTIMEO, (nng_duration)r->wait_ms);
  nng_socket_set_ms(r->socket, NNG_OPT_RECVTIMEO, (nng_duration)r->wait_ms);
  int rv = nng_sendmsg(r->socket, m, 0);
  if (rv != 0) {
    nng_msg_free(m);
    return rv == NNG_ETIMEDOUT ? PMP_ETIMEOUT : PMP_ECLOSED;
  }
  rv = nng_recvmsg(r->socket, &m, 0);
  if (rv != 0) return rv == NNG_ETIMEDOUT ? PMP_ETIMEOUT : PMP_ECLOSED;
  struct pmp_wire_limits limits = pmp_wire_limits_default();
  limits.message_bytes = ARENA_BYTES;
  limits.arena_bytes = ARENA_BYTES / 2;
  pmp_arena_release(&r->in, 0);
  const size_t length = nng_msg_len(m);
  void *copy = pmp_arena_alloc(&r->in, length);
  assert_non_null(copy);
  memcpy(copy, nng_msg_body(m), length);
  nng_msg_free(m);
  const enum pmp_err err = pmp_wire_decode_reply(copy, length, &limits, &r->in, &r->reply, &r->msg);
  if (err != PMP_OK) fail_msg("a reply that cannot be read: %s", r->msg.text);
  return r->reply.code;
}

enum pmp_err test_rpc_call(struct test_rpc *r, struct pmp_request *request) {
  if (request->version == 0) request->version = PMP_WIRE_VERSION_MAX;
  request->request_id = ++r->request_id;
  if (r->greeted && request->verb != PMP_VERB_HELLO && request->session.size == 0) {
    request->session = (struct pmp_bytes){.data = r->session, .size = sizeof r->session};
  }
  const void *data = NULL;
  size_t size = 0;
  pmp_arena_release(&r->out, 0);
  const enum pmp_err err = pmp_wire_encode_request(request, &r->out, &data, &size, &r->msg);
  if (err != PMP_OK) fail_msg("a request that cannot be written: %s", r->msg.text);
  const enum pmp_err code = test_rpc_bytes(r, data, size);
  if (code == PMP_ETIMEOUT || code == PMP_ECLOSED) return code;
  assert_int_equal(r->reply.request_id, request->request_id);
  if (code == PMP_OK) assert_int_equal(r->reply.verb, request->verb);
  return code;
}

enum pmp_err test_rpc_hello(struct test_rpc *r, enum pmp_role role, const char *name,
                            uint8_t instance) {
  return test_rpc_hello_with(r, role, name, instance, "");
}

enum pmp_err test_rpc_hello_with(struct test_rpc *r, enum pmp_role role, const char *name,
                                 uint8_t instance, const char *token) {
  uint8_t bytes[PMP_INSTANCE_BYTES];
  memset(bytes, instance, sizeof bytes);
  struct pmp_request q = {.verb = PMP_VERB_HELLO};
  q.u.hello = (struct pmp_hello){.role = role, .name = name, .token = token, .client = "test"};
  if (role == PMP_ROLE_ACTOR) q.u.hello.instance = (struct pmp_bytes){bytes, sizeof bytes};
  const enum pmp_err err = test_rpc_call(r, &q);
  if (err == PMP_OK) {
    memcpy(r->session, r->reply.u.hello.session, sizeof r->session);
    r->greeted = true;
  }
  return err;
}

void test_rpc_share(struct test_rpc *r, const struct test_rpc *from) {
  memcpy(r->session, from->session, sizeof r->session);
  r->greeted = true;
}

enum pmp_err test_rpc_status(struct test_rpc *r) {
  struct pmp_request q = {.verb = PMP_VERB_STATUS, .u.status.actors = true};
  return test_rpc_call(r, &q);
}

double test_rpc_number(const struct test_rpc *r, const char *name) {
  const struct pmp_status_reply *s = &r->reply.u.status;
  assert_int_equal(r->reply.verb, PMP_VERB_STATUS);
  for (uint32_t i = 0; i < s->numbers; i++) {
    if (strcmp(s->number[i].name, name) == 0) return s->number[i].value;
  }
  fail_msg("status has no %s", name);
  return 0;
}

const char *test_rpc_text(const struct test_rpc *r, const char *name) {
  const struct pmp_status_reply *s = &r->reply.u.status;
  assert_int_equal(r->reply.verb, PMP_VERB_STATUS);
  for (uint32_t i = 0; i < s->texts; i++) {
    if (strcmp(s->text[i].name, name) == 0) return s->text[i].value;
  }
  fail_msg("status has no %s", name);
  return NULL;
}

double test_rpc_wait_number(struct test_rpc *r, const char *name, double least, int ms) {
  /* ms are a quiet machine's; here others run tests, too, and only what hangs shall fail. */
  const int patience = 6 * ms;
  for (int waited = 0;; waited += 20) {
    assert_int_equal(test_rpc_status(r), PMP_OK);
    const double v = test_rpc_number(r, name);
    if (v >= least) return v;
    if (waited >= patience)
      fail_msg("%s is %g after %d ms; %g was expected", name, v, patience, least);
    test_sleep_ms(20);
  }
}

enum pmp_err test_rpc_control(struct test_rpc *r, enum pmp_control_action action, const char *key,
                              const char *value) {
  struct pmp_request q = {.verb = PMP_VERB_CONTROL};
  q.u.control = (struct pmp_control){.action = action, .key = key, .value = value};
  return test_rpc_call(r, &q);
}

enum pmp_err test_rpc_append(struct test_rpc *r, uint64_t seq, const struct pmp_chunk *chunk,
                             const void *state, size_t state_bytes) {
  struct pmp_arena arena;
  assert_int_equal(pmp_arena_init(&arena, (size_t)4 << 20), PMP_OK);
  struct pmp_request q = {.verb = PMP_VERB_APPEND};
  q.u.append.seq = seq;
  enum pmp_err err =
      pmp_wire_encode_chunk(chunk, &arena, &q.u.append.chunk.data, &q.u.append.chunk.size, &r->msg);
  if (err != PMP_OK) fail_msg("a chunk that cannot be written: %s", r->msg.text);
  q.u.append.actor_state = (struct pmp_bytes){state, state_bytes};
  err = test_rpc_call(r, &q);
  pmp_arena_fini(&arena);
  return err;
}

enum pmp_err test_rpc_append_wait(struct test_rpc *r, uint64_t seq, const struct pmp_chunk *chunk,
                                  const void *state, size_t state_bytes, int ms) {
  for (int waited = 0;; waited += 10) {
    const enum pmp_err err = test_rpc_append(r, seq, chunk, state, state_bytes);
    if (err != PMP_EBUSY || waited >= ms) return err;
    test_sleep_ms(10);
  }
}

void test_outcomes_draw(struct test_outcomes *o, uint64_t seed, uint32_t rows) {
  assert_true(rows <= 256 && rows % 4 == 0);
  memset(o, 0, sizeof *o);
  struct pmp_rng rng;
  pmp_rng_init(&rng, seed, 1);
  o->rows = rows;
  o->version = 1;
  for (uint32_t i = 0; i < rows; i++) {
    for (int k = 0; k < 2; k++) o->y[i][k] = (float)pmp_rng_normal(&rng);
    o->f[i] = -(o->y[i][0] * o->y[i][0] + o->y[i][1] * o->y[i][1]);
    o->verdict[i] = o->f[i] > -1.5f ? 1 : -1;
    o->group[i] = i / 4;
  }
}

static struct pmp_tensor rows_by_2(const struct test_outcomes *o) {
  return (struct pmp_tensor){.dtype = PMP_F32,
                             .rank = 2,
                             .shape = {o->rows, 2},
                             .data = o->y,
                             .bytes = (size_t)o->rows * 2 * sizeof(float)};
}

struct pmp_chunk test_outcomes_chunk(const struct test_outcomes *o, bool with_f,
                                     bool with_verdict) {
  return (struct pmp_chunk){.source = PMP_SOURCE_ACTOR,
                            .shape = PMP_SHAPE_OUTCOMES,
                            .rows = o->rows,
                            .action = rows_by_2(o),
                            .version = &o->version,
                            .versions = 1,
                            .groups = o->rows / 4,
                            .group = o->group,
                            .f = with_f ? o->f : NULL,
                            .verdict = with_verdict ? o->verdict : NULL};
}
