/* Requests and replies there and back, every field of every verb, and what is refused. */
#include "proto/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct pmp_arena arena;
static struct pmp_errmsg msg;

static int setup(void **state) {
  (void)state;
  return pmp_arena_init(&arena, 1 << 20) == PMP_OK ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  pmp_arena_fini(&arena);
  return 0;
}

static struct pmp_bytes bytes(const char *text) {
  return (struct pmp_bytes){.data = text, .size = strlen(text)};
}

static void assert_bytes(struct pmp_bytes a, struct pmp_bytes b) {
  assert_int_equal(a.size, b.size);
  assert_memory_equal(a.data, b.data, a.size);
}

static void request_there_and_back(const struct pmp_request *r, struct pmp_request *out) {
  struct pmp_wire_limits limits = pmp_wire_limits_default();
  const void *data;
  size_t size;
  memset(out, 0x99, sizeof *out);
  assert_int_equal(pmp_wire_encode_request(r, &arena, &data, &size, &msg), PMP_OK);
  assert_int_equal(pmp_wire_decode_request(data, size, &limits, &arena, out, &msg), PMP_OK);
  assert_int_equal(out->version, 1);
  assert_int_equal(out->request_id, r->request_id);
  assert_int_equal(out->verb, r->verb);
  assert_bytes(out->session, r->session);
}

static void reply_there_and_back(const struct pmp_reply *r, struct pmp_reply *out) {
  struct pmp_wire_limits limits = pmp_wire_limits_default();
  const void *data;
  size_t size;
  memset(out, 0x99, sizeof *out);
  assert_int_equal(pmp_wire_encode_reply(r, &arena, &data, &size, &msg), PMP_OK);
  assert_int_equal(pmp_wire_decode_reply(data, size, &limits, &arena, out, &msg), PMP_OK);
  assert_int_equal(out->request_id, r->request_id);
  assert_int_equal(out->code, r->code);
  assert_int_equal(out->verb, r->verb);
  assert_int_equal(out->retry_after_ms, r->retry_after_ms);
  assert_string_equal(out->message, r->message != NULL ? r->message : "");
}

static enum pmp_err refused(const struct pmp_request *r) {
  struct pmp_wire_limits limits = pmp_wire_limits_default();
  const void *data;
  size_t size;
  struct pmp_request out;
  assert_int_equal(pmp_wire_encode_request(r, &arena, &data, &size, &msg), PMP_OK);
  size_t used = arena.used;
  enum pmp_err err = pmp_wire_decode_request(data, size, &limits, &arena, &out, &msg);
  assert_int_equal(arena.used, used); /* nothing stays behind */
  assert_int_equal(out.request_id, r->request_id);
  assert_true(strlen(msg.text) > 0);
  return err;
}

static struct pmp_spec some_spec(void) {
  struct pmp_spec s = {.task = "cartpole_swingup", .shape = PMP_SHAPE_TRAJECTORIES, .obs_parts = 2};
  s.obs[0] =
      (struct pmp_tensor_spec){.name = "position", .dtype = PMP_F32, .rank = 1, .shape = {3}};
  s.obs[1] =
      (struct pmp_tensor_spec){.name = "camera", .dtype = PMP_U8, .rank = 3, .shape = {80, 80, 3}};
  s.action.kind = PMP_ACTION_BINS;
  s.action.dim = 2;
  s.action.low = -1.5f;
  s.action.high = 2.5f;
  s.action.bins = 11;
  strcpy(s.tokenizer_hash, "0123abcd");
  return s;
}

static void assert_spec(const struct pmp_spec *a, const struct pmp_spec *b) {
  assert_int_equal(pmp_spec_match(a, b, &msg), PMP_OK);
  assert_string_equal(a->task, b->task);
  assert_string_equal(a->tokenizer_hash, b->tokenizer_hash);
  for (uint32_t i = 0; i < a->obs_parts; i++) assert_string_equal(a->obs[i].name, b->obs[i].name);
}

static void test_hello(void **state) {
  (void)state;
  struct pmp_request out, r = {.version = 1, .request_id = 77, .verb = PMP_VERB_HELLO};
  r.u.hello = (struct pmp_hello){.role = PMP_ROLE_ACTOR,
                                 .name = "a-1_x.y@host",
                                 .token = "secret",
                                 .client = "pmpo-actor 0.1 \xc3\xa4",
                                 .instance = bytes("0123456789abcdef"),
                                 .has_spec = true,
                                 .spec = some_spec()};
  request_there_and_back(&r, &out);
  assert_int_equal(out.u.hello.role, PMP_ROLE_ACTOR);
  assert_string_equal(out.u.hello.name, "a-1_x.y@host");
  assert_string_equal(out.u.hello.token, "secret");
  assert_string_equal(out.u.hello.client, "pmpo-actor 0.1 \xc3\xa4");
  assert_bytes(out.u.hello.instance, r.u.hello.instance);
  assert_true(out.u.hello.has_spec);
  assert_spec(&out.u.hello.spec, &r.u.hello.spec);

  r.u.hello = (struct pmp_hello){.role = PMP_ROLE_OBSERVER, .name = "me"};
  request_there_and_back(&r, &out);
  assert_false(out.u.hello.has_spec);
  assert_string_equal(out.u.hello.token, "");
  assert_int_equal(out.u.hello.instance.size, 0);
}

static void test_hello_refused(void **state) {
  (void)state;
  const struct pmp_request good = {
      .version = 1,
      .request_id = 5,
      .verb = PMP_VERB_HELLO,
      .u.hello = {.role = PMP_ROLE_ACTOR, .name = "a", .instance = bytes("0123456789abcdef")}};
  struct pmp_request out, r = good;
  request_there_and_back(&r, &out);
  r.u.hello.role = PMP_ROLE_NONE;
  assert_int_equal(refused(&r), PMP_EINVALID);
  r = good;
  r.u.hello.role = (enum pmp_role)9;
  assert_int_equal(refused(&r), PMP_EINVALID);
  r = good;
  r.u.hello.name = "";
  assert_int_equal(refused(&r), PMP_EINVALID);
  r.u.hello.name = "two words";
  assert_int_equal(refused(&r), PMP_EINVALID);
  r = good;
  r.u.hello.instance.size = 15;
  assert_int_equal(refused(&r), PMP_EINVALID);
  r.u.hello.instance.size = 0;
  assert_int_equal(refused(&r), PMP_EINVALID);
  r = good;
  r.version = 2;
  assert_int_equal(refused(&r), PMP_EINVALID);
  assert_non_null(strstr(msg.text, "1 to 1"));
  r = good;
  r.session = bytes("short");
  assert_int_equal(refused(&r), PMP_EINVALID);
  r = good;
  r.u.hello.has_spec = true;
  r.u.hello.spec = some_spec();
  r.u.hello.spec.obs[1].shape[0] = 0;
  assert_int_equal(refused(&r), PMP_EINVALID);
  r.u.hello.spec.obs[1].shape[0] = UINT64_MAX / 2;
  assert_int_equal(refused(&r), PMP_ETOOLARGE);
  r.u.hello.spec = some_spec();
  r.u.hello.spec.obs[0].dtype = (enum pmp_dtype)12;
  assert_int_equal(refused(&r), PMP_EINVALID);
  r.u.hello.spec = some_spec();
  r.u.hello.spec.action.bins = 0;
  assert_int_equal(refused(&r), PMP_EINVALID);
}

static void test_text(void **state) {
  (void)state;
  static char longest[4098];
  struct pmp_wire_limits limits = pmp_wire_limits_default();
  struct pmp_request out, r = {.version = 1, .verb = PMP_VERB_CONTROL};
  r.u.control = (struct pmp_control){.action = PMP_CONTROL_SET, .key = "k", .value = longest};
  memset(longest, 'x', limits.string_bytes);
  request_there_and_back(&r, &out);
  longest[limits.string_bytes] = 'x';
  assert_int_equal(refused(&r), PMP_ETOOLARGE);
  /* What is no UTF-8 is not even encoded; what is on the wire anyway is refused. */
  static const char *const bad[] = {"\xff",
                                    "\xc3",
                                    "\xc0\xaf",
                                    "\xe0\x80\x80",
                                    "\xed\xa0\x80",
                                    "\xf4\x90\x80\x80",
                                    "\xf0\x80\x80\x80",
                                    "\x80",
                                    "\xe2\x82"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    const void *data;
    size_t size;
    r.u.control.value = bad[i];
    assert_int_equal(pmp_wire_encode_request(&r, &arena, &data, &size, &msg), PMP_EINVALID);
    char altered[8] = {0};
    memset(altered, 'y', strlen(bad[i]));
    r.u.control.value = altered;
    assert_int_equal(pmp_wire_encode_request(&r, &arena, &data, &size, &msg), PMP_OK);
    char *copy = malloc(size), *at = NULL;
    memcpy(copy, data, size);
    for (size_t k = 0; k + strlen(bad[i]) <= size; k++)
      if (memcmp(copy + k, altered, strlen(bad[i])) == 0) at = copy + k;
    assert_non_null(at);
    memcpy(at, bad[i], strlen(bad[i]));
    assert_int_equal(pmp_wire_decode_request(copy, size, &limits, &arena, &out, &msg),
                     PMP_EINVALID);
    assert_non_null(strstr(msg.text, "UTF-8"));
    free(copy);
  }
  r.u.control.value = "\xe2\x82\xac \xf0\x9f\x99\x82 \xed\x9f\xbf \xf4\x8f\xbf\xbf";
  request_there_and_back(&r, &out);
  assert_string_equal(out.u.control.value, r.u.control.value);
}

static void test_append(void **state) {
  (void)state;
  struct pmp_request out, r = {.version = 1, .request_id = UINT64_MAX, .verb = PMP_VERB_APPEND};
  r.session = bytes("fedcba9876543210");
  r.u.append =
      (struct pmp_append){.seq = 3, .chunk = bytes("chunk"), .actor_state = bytes("state")};
  request_there_and_back(&r, &out);
  assert_int_equal(out.u.append.seq, 3);
  assert_bytes(out.u.append.chunk, r.u.append.chunk);
  assert_bytes(out.u.append.actor_state, r.u.append.actor_state);
  r.u.append.seq = 0;
  assert_int_equal(refused(&r), PMP_EINVALID);
  r.u.append.seq = 1;
  r.u.append.chunk.size = 0;
  assert_int_equal(refused(&r), PMP_EINVALID);
  r.u.append.chunk = bytes("chunk");
  static char state_bytes[(64 << 10) + 1];
  r.u.append.actor_state = (struct pmp_bytes){state_bytes, sizeof state_bytes};
  assert_int_equal(refused(&r), PMP_ETOOLARGE);
  r.u.append.actor_state.size--;
  request_there_and_back(&r, &out);
}

static void test_weights_and_export(void **state) {
  (void)state;
  struct pmp_request out, r = {.version = 1, .verb = PMP_VERB_WEIGHTS};
  r.u.weights = (struct pmp_weights){.which = PMP_WHICH_POLICY,
                                     .version = 1,
                                     .newer_than = 2,
                                     .offset = 3,
                                     .length = 4,
                                     .wait_ms = 5};
  request_there_and_back(&r, &out);
  assert_int_equal(out.u.weights.which, PMP_WHICH_POLICY);
  assert_int_equal(out.u.weights.version, 1);
  assert_int_equal(out.u.weights.newer_than, 2);
  assert_int_equal(out.u.weights.offset, 3);
  assert_int_equal(out.u.weights.length, 4);
  assert_int_equal(out.u.weights.wait_ms, 5);
  r.u.weights.which = (enum pmp_which)2;
  assert_int_equal(refused(&r), PMP_EINVALID);
  r = (struct pmp_request){.version = 1, .verb = PMP_VERB_EXPORT};
  r.u.export_ =
      (struct pmp_export){.which = PMP_WHICH_POLICY, .version = 6, .offset = 7, .length = 8};
  request_there_and_back(&r, &out);
  assert_int_equal(out.u.export_.which, PMP_WHICH_POLICY);
  assert_int_equal(out.u.export_.version, 6);
  assert_int_equal(out.u.export_.offset, 7);
  assert_int_equal(out.u.export_.length, 8);
}

static void test_report_and_small(void **state) {
  (void)state;
  struct pmp_request out, r = {.version = 1, .verb = PMP_VERB_REPORT};
  struct pmp_number number[2] = {{"return", -1.5}, {"length", 1000}};
  r.u.report = (struct pmp_report){.value = number, .count = 2, .ref_version = 4, .env_steps = 9};
  request_there_and_back(&r, &out);
  assert_int_equal(out.u.report.count, 2);
  assert_string_equal(out.u.report.value[0].name, "return");
  assert_true(out.u.report.value[0].value == -1.5);
  assert_string_equal(out.u.report.value[1].name, "length");
  assert_int_equal(out.u.report.ref_version, 4);
  assert_int_equal(out.u.report.env_steps, 9);
  const void *data;
  size_t size;
  number[1].value = NAN;
  assert_int_equal(pmp_wire_encode_request(&r, &arena, &data, &size, &msg), PMP_EINVALID);

  r = (struct pmp_request){.version = 1, .verb = PMP_VERB_STATUS, .u.status.actors = true};
  request_there_and_back(&r, &out);
  assert_true(out.u.status.actors);
  r = (struct pmp_request){
      .version = 1, .verb = PMP_VERB_EVENTS, .u.events = {.after = 3, .count = 4}};
  request_there_and_back(&r, &out);
  assert_int_equal(out.u.events.after, 3);
  assert_int_equal(out.u.events.count, 4);
  r = (struct pmp_request){.version = 1,
                           .verb = PMP_VERB_LEASE,
                           .u.lease = {.count = 1, .seconds = 2, .order = "random"}};
  request_there_and_back(&r, &out);
  assert_int_equal(out.u.lease.count, 1);
  assert_int_equal(out.u.lease.seconds, 2);
  assert_string_equal(out.u.lease.order, "random");
  r = (struct pmp_request){.version = 1, .verb = PMP_VERB_CONTROL};
  r.u.control = (struct pmp_control){.action = PMP_CONTROL_SET, .key = "beta", .value = "0.5"};
  request_there_and_back(&r, &out);
  assert_int_equal(out.u.control.action, PMP_CONTROL_SET);
  assert_string_equal(out.u.control.key, "beta");
  assert_string_equal(out.u.control.value, "0.5");
  r.u.control.key = "";
  assert_int_equal(refused(&r), PMP_EINVALID);
  r.u.control.action = PMP_CONTROL_NONE;
  assert_int_equal(refused(&r), PMP_EINVALID);
}

static void test_history(void **state) {
  (void)state;
  const char *name[] = {"learner.kl", "return"};
  struct pmp_request out, r = {.version = 1, .verb = PMP_VERB_HISTORY};
  r.u.history =
      (struct pmp_history){.name = name, .names = 2, .step_from = 1, .step_to = 2, .points_max = 3};
  request_there_and_back(&r, &out);
  assert_int_equal(out.u.history.names, 2);
  assert_string_equal(out.u.history.name[0], "learner.kl");
  assert_string_equal(out.u.history.name[1], "return");
  assert_int_equal(out.u.history.step_from, 1);
  assert_int_equal(out.u.history.step_to, 2);
  assert_int_equal(out.u.history.points_max, 3);
}

static void test_verdicts(void **state) {
  (void)state;
  struct pmp_verdict v[2] = {{.request_id = "q1",
                              .note = "why",
                              .chunk = 8,
                              .row = 3,
                              .rows = 4,
                              .judgement = PMP_REJECT,
                              .confidence = 0.25f},
                             {.request_id = "q2", .chunk = 9, .row = 1, .judgement = PMP_WITHDRAW}};
  struct pmp_request out, r = {.version = 1, .verb = PMP_VERB_VERDICTS, .u.verdicts = {v, 2}};
  request_there_and_back(&r, &out);
  const struct pmp_verdict *o = out.u.verdicts.verdict;
  assert_int_equal(out.u.verdicts.count, 2);
  assert_string_equal(o[0].request_id, "q1");
  assert_string_equal(o[0].note, "why");
  assert_int_equal(o[0].chunk, 8);
  assert_int_equal(o[0].row, 3);
  assert_int_equal(o[0].rows, 4);
  assert_int_equal(o[0].judgement, PMP_REJECT);
  assert_true(o[0].confidence == 0.25f);
  assert_int_equal(o[1].rows, 1); /* defaults */
  assert_true(o[1].confidence == 1.0f);
  assert_string_equal(o[1].note, "");
  const void *data;
  size_t size;
  v[0].confidence = 1.5f;
  assert_int_equal(pmp_wire_encode_request(&r, &arena, &data, &size, &msg), PMP_EINVALID);
  v[0].confidence = 1;
  v[0].judgement = (enum pmp_judgement)5;
  assert_int_equal(refused(&r), PMP_EINVALID);
  v[0].judgement = PMP_ACCEPT;
  v[0].row = UINT32_MAX;
  assert_int_equal(refused(&r), PMP_EINVALID);
}

static void test_reply_hello(void **state) {
  (void)state;
  struct pmp_reply out, r = {.request_id = 4, .verb = PMP_VERB_HELLO};
  struct pmp_wire_limits limits = pmp_wire_limits_default();
  limits.chunk_rows = 17;
  limits.message_bytes = 12345678;
  limits.string_bytes = 99;
  limits.actor_state_bytes = 98;
  limits.tensor_rank = 3;
  limits.tensor_elements = 77;
  r.u.hello = (struct pmp_hello_reply){.session = "fedcba987654321",
                                       .run_id = "run",
                                       .policy = "{\"a\":1}",
                                       .data_url = "tcp://127.0.0.1:1",
                                       .spec = some_spec(),
                                       .ref_version = 1,
                                       .last_seq = 2,
                                       .seed = 3,
                                       .actor_rows = 4,
                                       .epoch = 5,
                                       .actor_state = bytes("state"),
                                       .limits = limits,
                                       .lockstep = true};
  reply_there_and_back(&r, &out);
  const struct pmp_hello_reply *h = &out.u.hello;
  assert_memory_equal(h->session, r.u.hello.session, 16);
  assert_string_equal(h->run_id, "run");
  assert_string_equal(h->policy, "{\"a\":1}");
  assert_string_equal(h->data_url, "tcp://127.0.0.1:1");
  assert_spec(&h->spec, &r.u.hello.spec);
  assert_int_equal(h->ref_version, 1);
  assert_int_equal(h->last_seq, 2);
  assert_int_equal(h->seed, 3);
  assert_int_equal(h->actor_rows, 4);
  assert_int_equal(h->epoch, 5);
  assert_bytes(h->actor_state, r.u.hello.actor_state);
  assert_true(h->lockstep);
  assert_int_equal(h->limits.chunk_rows, 17);
  assert_int_equal(h->limits.message_bytes, 12345678);
  assert_int_equal(h->limits.string_bytes, 99);
  assert_int_equal(h->limits.actor_state_bytes, 98);
  assert_int_equal(h->limits.tensor_rank, 3);
  assert_int_equal(h->limits.tensor_elements, 77);
}

static void test_reply_append_and_weights(void **state) {
  (void)state;
  struct pmp_reply out, r = {.verb = PMP_VERB_APPEND};
  r.u.append =
      (struct pmp_append_reply){.chunk = 1, .ref_version = 2, .rows = 3, .duplicate = true};
  reply_there_and_back(&r, &out);
  assert_int_equal(out.u.append.chunk, 1);
  assert_int_equal(out.u.append.ref_version, 2);
  assert_int_equal(out.u.append.rows, 3);
  assert_true(out.u.append.duplicate);

  struct pmp_wire_view view[2] = {{.name = "w", .rank = 2, .shape = {3, 4}, .offset = 0},
                                  {.name = "b", .rank = 1, .shape = {4}, .offset = 12}};
  r = (struct pmp_reply){.verb = PMP_VERB_WEIGHTS};
  r.u.weights = (struct pmp_weights_reply){.version = 9,
                                           .bytes = 64,
                                           .offset = 8,
                                           .learner_step = 100,
                                           .hash = "h",
                                           .base_hash = "bh",
                                           .policy = "{}",
                                           .view = view,
                                           .views = 2,
                                           .data = bytes("12345678")};
  reply_there_and_back(&r, &out);
  const struct pmp_weights_reply *w = &out.u.weights;
  assert_int_equal(w->version, 9);
  assert_int_equal(w->bytes, 64);
  assert_int_equal(w->offset, 8);
  assert_int_equal(w->learner_step, 100);
  assert_string_equal(w->hash, "h");
  assert_string_equal(w->base_hash, "bh");
  assert_string_equal(w->policy, "{}");
  assert_int_equal(w->views, 2);
  assert_string_equal(w->view[1].name, "b");
  assert_int_equal(w->view[0].shape[1], 4);
  assert_int_equal(w->view[1].offset, 12);
  assert_bytes(w->data, r.u.weights.data);

  r = (struct pmp_reply){.verb = PMP_VERB_EXPORT};
  r.u.export_ =
      (struct pmp_export_reply){.version = 1, .bytes = 10, .offset = 2, .data = bytes("12345678")};
  reply_there_and_back(&r, &out);
  assert_int_equal(out.u.export_.version, 1);
  assert_int_equal(out.u.export_.bytes, 10);
  assert_int_equal(out.u.export_.offset, 2);
  assert_bytes(out.u.export_.data, r.u.export_.data);
}

static void test_reply_range_beyond(void **state) {
  (void)state;
  struct pmp_wire_limits limits = pmp_wire_limits_default();
  struct pmp_reply out, r = {.verb = PMP_VERB_WEIGHTS};
  const void *data;
  size_t size;
  r.u.weights = (struct pmp_weights_reply){.bytes = 9, .offset = 2, .data = bytes("12345678")};
  assert_int_equal(pmp_wire_encode_reply(&r, &arena, &data, &size, &msg), PMP_OK);
  assert_int_equal(pmp_wire_decode_reply(data, size, &limits, &arena, &out, &msg), PMP_EINVALID);
}

static void test_reply_status(void **state) {
  (void)state;
  struct pmp_text text[1] = {{"state", "running"}};
  struct pmp_number number[3] = {{"learner.steps", 12}, {"learner.kl", NAN}, {"x", 0.5}};
  struct pmp_actor_status actor[1] = {{.name = "a1",
                                       .epoch = 1,
                                       .last_seq = 2,
                                       .rows = 3,
                                       .ref_version = 4,
                                       .env_steps = 5,
                                       .idle_ms = -1,
                                       .value = number,
                                       .values = 1,
                                       .number = &number[1], /* the first has no value */
                                       .numbers = 2}};
  struct pmp_reply out, r = {.verb = PMP_VERB_STATUS};
  r.u.status = (struct pmp_status_reply){
      .text = text, .texts = 1, .number = number, .numbers = 3, .actor = actor, .actors = 1};
  reply_there_and_back(&r, &out);
  const struct pmp_status_reply *s = &out.u.status;
  assert_int_equal(s->texts, 1);
  assert_string_equal(s->text[0].name, "state");
  assert_string_equal(s->text[0].value, "running");
  assert_int_equal(s->numbers, 2); /* what has no value is left out */
  assert_string_equal(s->number[0].name, "learner.steps");
  assert_string_equal(s->number[1].name, "x");
  assert_true(s->number[1].value == 0.5);
  assert_int_equal(s->actors, 1);
  assert_string_equal(s->actor[0].name, "a1");
  assert_int_equal(s->actor[0].epoch, 1);
  assert_int_equal(s->actor[0].last_seq, 2);
  assert_int_equal(s->actor[0].rows, 3);
  assert_int_equal(s->actor[0].ref_version, 4);
  assert_int_equal(s->actor[0].env_steps, 5);
  assert_true(s->actor[0].idle_ms == -1);
  assert_int_equal(s->actor[0].values, 1);
  assert_true(s->actor[0].value[0].value == 12);
  assert_int_equal(s->actor[0].numbers, 1);
  assert_string_equal(s->actor[0].number[0].name, "x");
  assert_true(s->actor[0].number[0].value == 0.5);
}

static void test_reply_history_and_events(void **state) {
  (void)state;
  const uint64_t step[2] = {1, 1u << 30}, env_steps[2] = {7, 8};
  const int64_t wall[2] = {-5, 1000000000000000000};
  double value[2] = {0.25, -3};
  struct pmp_series series[1] = {{.name = "kl",
                                  .step = step,
                                  .env_steps = env_steps,
                                  .wall_ns = wall,
                                  .value = value,
                                  .points = 2}};
  struct pmp_reply out, r = {.verb = PMP_VERB_HISTORY, .u.history = {series, 1}};
  reply_there_and_back(&r, &out);
  assert_int_equal(out.u.history.count, 1);
  const struct pmp_series *s = out.u.history.series;
  assert_string_equal(s->name, "kl");
  assert_int_equal(s->points, 2);
  assert_memory_equal(s->step, step, sizeof step);
  assert_memory_equal(s->env_steps, env_steps, sizeof env_steps);
  assert_memory_equal(s->wall_ns, wall, sizeof wall);
  assert_memory_equal(s->value, value, sizeof value);
  const void *data;
  size_t size;
  value[1] = INFINITY;
  assert_int_equal(pmp_wire_encode_reply(&r, &arena, &data, &size, &msg), PMP_EINVALID);

  struct pmp_event event[1] = {{.id = 3, .wall_ns = 4, .who = "me", .kind = "set", .detail = "{}"}};
  r = (struct pmp_reply){.verb = PMP_VERB_EVENTS, .u.events = {event, 1}};
  reply_there_and_back(&r, &out);
  assert_int_equal(out.u.events.count, 1);
  assert_int_equal(out.u.events.event[0].id, 3);
  assert_int_equal(out.u.events.event[0].wall_ns, 4);
  assert_string_equal(out.u.events.event[0].who, "me");
  assert_string_equal(out.u.events.event[0].kind, "set");
  assert_string_equal(out.u.events.event[0].detail, "{}");
}

static void test_reply_small(void **state) {
  (void)state;
  struct pmp_verdict_result result[2] = {
      {.code = PMP_OK, .surplus = true},
      {.code = PMP_ENOTFOUND, .message = "no", .duplicate = true, .replaced = true}};
  struct pmp_reply out, r = {.verb = PMP_VERB_VERDICTS, .u.verdicts = {result, 2}};
  reply_there_and_back(&r, &out);
  assert_int_equal(out.u.verdicts.count, 2);
  assert_true(out.u.verdicts.result[0].surplus);
  assert_false(out.u.verdicts.result[0].duplicate);
  assert_int_equal(out.u.verdicts.result[1].code, PMP_ENOTFOUND);
  assert_string_equal(out.u.verdicts.result[1].message, "no");
  assert_true(out.u.verdicts.result[1].duplicate);
  assert_true(out.u.verdicts.result[1].replaced);
  r = (struct pmp_reply){.verb = PMP_VERB_CONTROL, .u.control.detail = "{\"old\":1}"};
  reply_there_and_back(&r, &out);
  assert_string_equal(out.u.control.detail, "{\"old\":1}");
  r = (struct pmp_reply){.verb = PMP_VERB_REPORT};
  reply_there_and_back(&r, &out);
  r = (struct pmp_reply){.verb = PMP_VERB_LEASE};
  reply_there_and_back(&r, &out);
  r = (struct pmp_reply){.code = PMP_EBUSY, .message = "later", .retry_after_ms = 30};
  reply_there_and_back(&r, &out);
  assert_int_equal(out.version_max, 0);
  r = (struct pmp_reply){.code = PMP_ECONFLICT, .message = "gap", .expected_seq = 12};
  reply_there_and_back(&r, &out);
  assert_int_equal(out.expected_seq, 12);
  r = (struct pmp_reply){.code = PMP_EINVALID, .message = "what?"};
  reply_there_and_back(&r, &out);
  assert_int_equal(out.version_min, 1);
  assert_int_equal(out.version_max, 1);
}

static void test_codes_that_never_travel(void **state) {
  (void)state;
  struct pmp_wire_limits limits = pmp_wire_limits_default();
  struct pmp_reply out, r = {.code = PMP_ENOSPC, .message = "full"};
  const void *data;
  size_t size;
  assert_int_equal(pmp_wire_encode_reply(&r, &arena, &data, &size, &msg), PMP_OK);
  assert_int_equal(pmp_wire_decode_reply(data, size, &limits, &arena, &out, &msg), PMP_OK);
  assert_int_equal(out.code, PMP_EINTERNAL);
}

static void test_arena_too_small(void **state) {
  (void)state;
  struct pmp_arena small;
  static char chunk[1000];
  struct pmp_wire_limits limits = pmp_wire_limits_default();
  struct pmp_request out, r = {.version = 1, .verb = PMP_VERB_APPEND};
  r.u.append = (struct pmp_append){.seq = 1, .chunk = {chunk, sizeof chunk}};
  const void *data;
  size_t size;
  for (size_t capacity = 0; capacity < 1000; capacity += 100) {
    assert_int_equal(pmp_arena_init(&small, capacity), PMP_OK);
    assert_int_equal(pmp_wire_encode_request(&r, &small, &data, &size, &msg), PMP_ENOMEM);
    pmp_arena_fini(&small);
  }
  assert_int_equal(pmp_wire_encode_request(&r, &arena, &data, &size, &msg), PMP_OK);
  for (size_t capacity = 0; capacity < 1000; capacity += 100) {
    assert_int_equal(pmp_arena_init(&small, capacity), PMP_OK);
    assert_int_equal(pmp_wire_decode_request(data, size, &limits, &small, &out, &msg),
                     PMP_ETOOLARGE);
    pmp_arena_fini(&small);
  }
}

static void test_names(void **state) {
  (void)state;
  assert_true(pmp_name_valid("a"));
  assert_true(pmp_name_valid("Aa0-_.@Zz9"));
  assert_true(pmp_name_valid("0123456789012345678901234567890123456789012345678901234567890123"));
  assert_false(pmp_name_valid("01234567890123456789012345678901234567890123456789012345678901234"));
  assert_false(pmp_name_valid(""));
  assert_false(pmp_name_valid(NULL));
  assert_false(pmp_name_valid("a b"));
  assert_false(pmp_name_valid("a/b"));
  assert_false(pmp_name_valid("\xc3\xa4"));
}

static void test_spec_match(void **state) {
  (void)state;
  struct pmp_spec want = some_spec(), have = want;
  assert_int_equal(pmp_spec_match(&want, &have, &msg), PMP_OK);
  have.task[0] = '\0';
  assert_int_equal(pmp_spec_match(&want, &have, &msg), PMP_OK);
  strcpy(have.task, "cheetah_run");
  assert_int_equal(pmp_spec_match(&want, &have, &msg), PMP_ECONFLICT);
  assert_non_null(strstr(msg.text, "cheetah_run"));
  have = want;
  have.shape = PMP_SHAPE_OUTCOMES;
  assert_int_equal(pmp_spec_match(&want, &have, &msg), PMP_ECONFLICT);
  have = want;
  have.obs_parts = 1;
  assert_int_equal(pmp_spec_match(&want, &have, &msg), PMP_ECONFLICT);
  have = want;
  have.obs[1].shape[2] = 4;
  assert_int_equal(pmp_spec_match(&want, &have, &msg), PMP_ECONFLICT);
  have = want;
  have.obs[0].dtype = PMP_F64;
  assert_int_equal(pmp_spec_match(&want, &have, &msg), PMP_ECONFLICT);
  have = want;
  have.action.dim = 3;
  assert_int_equal(pmp_spec_match(&want, &have, &msg), PMP_ECONFLICT);
  have = want;
  have.action.kind = PMP_ACTION_BOX;
  assert_int_equal(pmp_spec_match(&want, &have, &msg), PMP_ECONFLICT);
  have = want;
  have.action.high = 3;
  assert_int_equal(pmp_spec_match(&want, &have, &msg), PMP_ECONFLICT);
  have = want;
  have.action.bins = 12;
  assert_int_equal(pmp_spec_match(&want, &have, &msg), PMP_ECONFLICT);
  have = want;
  strcpy(have.tokenizer_hash, "else");
  assert_int_equal(pmp_spec_match(&want, &have, &msg), PMP_ECONFLICT);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
  const struct CMUnitTest tests[] = {
      T(hello),
      T(hello_refused),
      T(text),
      T(append),
      T(weights_and_export),
      T(report_and_small),
      T(history),
      T(verdicts),
      T(reply_hello),
      T(reply_append_and_weights),
      T(reply_range_beyond),
      T(reply_status),
      T(reply_history_and_events),
      T(reply_small),
      T(codes_that_never_travel),
      T(arena_too_small),
      T(names),
      T(spec_match),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
