/* weights and export: manifest, byte ranges, hash, long poll, versions over restarts. */
#include "tests/support/small_run.h"

#include "policy/policy.h"
#include "policy/safetensors.h"

static enum pmp_err ask(struct test_rpc *r, const struct pmp_weights *w) {
  struct pmp_request q = {.verb = PMP_VERB_WEIGHTS, .u.weights = *w};
  return test_rpc_call(r, &q);
}

/* The policy that the daemon says it trains. */
static void policy_of(const char *json, struct pmp_policy *p) {
  struct pmp_policy_spec spec;
  struct pmp_errmsg msg;
  assert_int_equal(pmp_policy_spec_from_json(&spec, json, strlen(json), &msg), PMP_OK);
  assert_int_equal(pmp_policy_init(p, &spec, &msg), PMP_OK);
}

/* Fetches version (0: newest) in ranges of `step` bytes into out[n]; returns the version. */
static uint64_t fetch(struct test_rpc *r, enum pmp_which which, uint64_t version, uint64_t step,
                      float *out, size_t n, char hash[33]) {
  char bytes[4096];
  memset(bytes, 0x5a, sizeof bytes);
  uint64_t offset = 0, total = n * sizeof(float);
  while (offset < total) {
    const struct pmp_weights w = {
        .which = which, .version = version, .offset = offset, .length = step};
    assert_int_equal(ask(r, &w), PMP_OK);
    const struct pmp_weights_reply *got = &r->reply.u.weights;
    assert_int_equal(got->bytes, total);
    assert_int_equal(got->offset, offset);
    assert_true(got->data.size > 0 && got->data.size <= step);
    memcpy(bytes + offset, got->data.data, got->data.size);
    offset += got->data.size;
    version = got->version;
    snprintf(hash, 33, "%s", got->hash);
  }
  memcpy(out, bytes, total);
  return version;
}

static void feed(struct small_run *s, uint64_t *seq, int chunks) {
  for (int i = 0; i < chunks; i++) {
    struct test_outcomes o;
    test_outcomes_draw(&o, 100 + *seq, 64);
    const struct pmp_chunk c = test_outcomes_chunk(&o, true, false);
    (*seq)++;
    assert_int_equal(test_rpc_append_wait(&s->actor, *seq, &c, NULL, 0, 10000), PMP_OK);
  }
}

static void manifest_and_ranges_make_the_hash(void **state) {
  struct small_run *s = *state;
  struct pmp_weights w = {.length = 0};
  test_rpc_wait_number(&s->observer, "weights.version", 1, 5000);
  assert_int_equal(ask(&s->actor, &w), PMP_OK);
  const struct pmp_weights_reply *m = &s->actor.reply.u.weights;
  assert_int_equal(m->data.size, 0);             /* manifest only */
  assert_int_equal(m->bytes, 4 * sizeof(float)); /* a mean and a spread of two dimensions */
  assert_string_equal(m->base_hash, "");
  struct pmp_policy policy;
  policy_of(m->policy, &policy);
  assert_int_equal(policy.manifest.floats, 4);
  assert_int_equal(m->views, policy.manifest.views);
  for (uint32_t i = 0; i < m->views; i++) {
    assert_string_equal(m->view[i].name, policy.manifest.view[i].name);
    assert_int_equal(m->view[i].offset, policy.manifest.view[i].offset);
    assert_int_equal(m->view[i].rank, policy.manifest.view[i].rank);
  }
  for (uint64_t step = 1; step <= 16; step *= 2) {
    float params[4] = {999, 999, 999, 999};
    char said[33], mine[33];
    fetch(&s->watcher, PMP_WHICH_REFERENCE, 0, step, params, 4, said);
    pmp_params_hash(&policy.manifest, params, mine);
    assert_string_equal(mine, said);
  }
  w = (struct pmp_weights){.offset = 17, .length = 4};
  assert_int_equal(ask(&s->actor, &w), PMP_EINVALID);
  w = (struct pmp_weights){.offset = 16, .length = 4};
  assert_int_equal(ask(&s->actor, &w), PMP_OK);
  assert_int_equal(s->actor.reply.u.weights.data.size, 0);
  w = (struct pmp_weights){.offset = UINT64_MAX, .length = UINT64_MAX};
  assert_int_equal(ask(&s->actor, &w), PMP_EINVALID);
  w = (struct pmp_weights){.version = 100000};
  assert_int_equal(ask(&s->actor, &w), PMP_ENOTFOUND);
}

static void a_long_poll_ends_with_news_or_without(void **state) {
  struct small_run *s = *state;
  test_rpc_wait_number(&s->observer, "weights.version", 1, 5000);
  struct pmp_weights w = {.length = 64};
  assert_int_equal(ask(&s->actor, &w), PMP_OK);
  const uint64_t have = s->actor.reply.u.weights.version;
  w = (struct pmp_weights){.newer_than = have, .length = 64};
  assert_int_equal(ask(&s->actor, &w), PMP_ENOTFOUND); /* no wait_ms: at once */
  w.wait_ms = 30;
  assert_int_equal(ask(&s->actor, &w), PMP_ENOTFOUND);
  w.newer_than = have - 1;
  assert_int_equal(ask(&s->actor, &w), PMP_OK);
  assert_int_equal(s->actor.reply.u.weights.version, have);

  /* Somebody waits while the reference is refreshed by an operator. */
  nng_aio *aio = NULL;
  nng_ctx ctx;
  assert_int_equal(nng_aio_alloc(&aio, NULL, NULL), 0);
  assert_int_equal(nng_ctx_open(&ctx, s->watcher.socket), 0);
  struct pmp_arena arena;
  assert_int_equal(pmp_arena_init(&arena, 1 << 20), PMP_OK);
  struct pmp_request q = {.version = 1, .verb = PMP_VERB_WEIGHTS, .request_id = 77};
  q.session = (struct pmp_bytes){s->watcher.session, sizeof s->watcher.session};
  q.u.weights = (struct pmp_weights){.newer_than = have, .wait_ms = 20000, .length = 64};
  const void *data;
  size_t size;
  assert_int_equal(pmp_wire_encode_request(&q, &arena, &data, &size, NULL), PMP_OK);
  nng_msg *m = NULL;
  assert_int_equal(nng_msg_alloc(&m, 0), 0);
  assert_int_equal(nng_msg_append(m, data, size), 0);
  nng_aio_set_msg(aio, m);
  nng_ctx_send(ctx, aio);
  nng_aio_wait(aio);
  assert_int_equal(nng_aio_result(aio), 0);
  nng_ctx_recv(ctx, aio);
  test_rpc_wait_number(&s->observer, "weights.waiting", 1, 5000);
  assert_true(nng_aio_busy(aio));
  assert_int_equal(test_rpc_control(&s->operator_, PMP_CONTROL_REFRESH, "", ""), PMP_OK);
  nng_aio_wait(aio);
  assert_int_equal(nng_aio_result(aio), 0);
  m = nng_aio_get_msg(aio);
  struct pmp_reply reply;
  const struct pmp_wire_limits limits = pmp_wire_limits_default();
  pmp_arena_fini(&arena);
  assert_int_equal(pmp_arena_init(&arena, (size_t)64 << 20), PMP_OK);
  assert_int_equal(
      pmp_wire_decode_reply(nng_msg_body(m), nng_msg_len(m), &limits, &arena, &reply, NULL),
      PMP_OK);
  assert_int_equal(reply.request_id, 77);
  assert_int_equal(reply.code, PMP_OK);
  assert_true(reply.u.weights.version > have);
  nng_msg_free(m);
  nng_ctx_close(ctx);
  nng_aio_free(aio);
  pmp_arena_fini(&arena);

  /* The old version is still there: a newer one has just come out. */
  w = (struct pmp_weights){.version = have, .length = 64};
  assert_int_equal(ask(&s->actor, &w), PMP_OK);
  assert_int_equal(s->actor.reply.u.weights.version, have);
}

static void a_quarter_of_the_contexts_may_poll(void **state) {
  struct small_run *s = *state;
  enum { POLLS = 17 }; /* of 64 contexts */
  nng_aio *aio[POLLS];
  nng_ctx ctx[POLLS];
  struct pmp_arena arena;
  assert_int_equal(pmp_arena_init(&arena, 1 << 20), PMP_OK);
  for (int i = 0; i < POLLS; i++) {
    assert_int_equal(nng_aio_alloc(&aio[i], NULL, NULL), 0);
    assert_int_equal(nng_ctx_open(&ctx[i], s->watcher.socket), 0);
    struct pmp_request q = {.version = 1, .verb = PMP_VERB_WEIGHTS, .request_id = 1};
    q.session = (struct pmp_bytes){s->watcher.session, sizeof s->watcher.session};
    q.u.weights = (struct pmp_weights){.newer_than = UINT64_MAX, .wait_ms = 1500};
    const void *data;
    size_t size;
    assert_int_equal(pmp_wire_encode_request(&q, &arena, &data, &size, NULL), PMP_OK);
    nng_msg *m = NULL;
    assert_int_equal(nng_msg_alloc(&m, 0), 0);
    assert_int_equal(nng_msg_append(m, data, size), 0);
    nng_aio_set_msg(aio[i], m);
    nng_ctx_send(ctx[i], aio[i]);
    nng_aio_wait(aio[i]);
    nng_ctx_recv(ctx[i], aio[i]);
  }
  const struct pmp_wire_limits limits = pmp_wire_limits_default();
  int busy = 0, not_found = 0;
  for (int i = 0; i < POLLS; i++) {
    nng_aio_wait(aio[i]);
    assert_int_equal(nng_aio_result(aio[i]), 0);
    nng_msg *m = nng_aio_get_msg(aio[i]);
    struct pmp_reply reply;
    struct pmp_arena in;
    assert_int_equal(pmp_arena_init(&in, (size_t)64 << 20), PMP_OK);
    assert_int_equal(
        pmp_wire_decode_reply(nng_msg_body(m), nng_msg_len(m), &limits, &in, &reply, NULL), PMP_OK);
    busy += reply.code == PMP_EBUSY;
    not_found += reply.code == PMP_ENOTFOUND;
    pmp_arena_fini(&in);
    nng_msg_free(m);
    nng_ctx_close(ctx[i]);
    nng_aio_free(aio[i]);
  }
  assert_int_equal(busy, 1);
  assert_int_equal(not_found, POLLS - 1);
  pmp_arena_fini(&arena);
}

static void the_policy_is_there_for_evaluation(void **state) {
  struct small_run *s = *state;
  float params[4];
  char hash[33];
  uint64_t seq = 0;
  feed(s, &seq, 4);
  test_rpc_wait_number(&s->observer, "learner.steps", 1, 10000);
  const uint64_t step = fetch(&s->watcher, PMP_WHICH_POLICY, 0, 4, params, 4, hash);
  assert_true(step >= 1); /* a policy's version is the learner's step */
  const struct pmp_weights w = {.which = PMP_WHICH_POLICY, .version = step + 100000, .offset = 4};
  assert_int_equal(ask(&s->watcher, &w), PMP_ENOTFOUND);
}

static void an_export_is_a_safetensors_file(void **state) {
  struct small_run *s = *state;
  test_rpc_wait_number(&s->observer, "weights.version", 1, 5000);
  _Alignas(8) char file[16384];
  uint64_t total = 1, have = 0, version = 0;
  while (have < total) {
    struct pmp_request q = {.verb = PMP_VERB_EXPORT};
    q.u.export_ = (struct pmp_export){.version = version, .offset = have, .length = 1000};
    assert_int_equal(test_rpc_call(&s->operator_, &q), PMP_OK);
    const struct pmp_export_reply *e = &s->operator_.reply.u.export_;
    total = e->bytes;
    version = e->version;
    assert_true(total <= sizeof file && e->data.size > 0 && e->data.size <= 1000 &&
                e->offset == have);
    memcpy(file + have, e->data.data, e->data.size);
    have += e->data.size;
  }
  struct pmp_st_file st;
  struct pmp_errmsg msg;
  if (pmp_st_parse(&st, file, total, &msg) != PMP_OK) fail_msg("%s", msg.text);
  assert_true(st.tensors >= 1);
  size_t bytes = 0;
  for (size_t i = 0; i < st.tensors; i++) bytes += st.tensor[i].bytes;
  assert_int_equal(bytes, 16);
  pmp_st_fini(&st);
}

/* Outside lockstep a number that was out once never names other weights. */
static void versions_are_not_used_twice(void **state) {
  (void)state;
  struct small_run s;
  small_run_init(&s);
  small_run_start(&s);
  uint64_t newest = 0, seq = 0;
  for (int round = 0; round < 4; round++) {
    test_rpc_wait_number(&s.observer, "weights.version", 1, 5000);
    struct pmp_weights w = {.length = 64};
    assert_int_equal(ask(&s.actor, &w), PMP_OK);
    assert_true(s.actor.reply.u.weights.version > newest);
    feed(&s, &seq, 6);
    assert_int_equal(test_rpc_control(&s.operator_, PMP_CONTROL_REFRESH, "", ""), PMP_OK);
    test_sleep_ms(30);
    w = (struct pmp_weights){.length = 64};
    assert_int_equal(ask(&s.actor, &w), PMP_OK);
    newest = s.actor.reply.u.weights.version;
    small_run_disconnect(&s);
    test_pmpod_kill(&s.d);
    test_pmpod_start(&s.d);
    small_run_connect(&s, 1);
  }
  small_run_fini(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(manifest_and_ranges_make_the_hash),
      cmocka_unit_test(a_long_poll_ends_with_news_or_without),
      cmocka_unit_test(a_quarter_of_the_contexts_may_poll),
      cmocka_unit_test(the_policy_is_there_for_evaluation),
      cmocka_unit_test(an_export_is_a_safetensors_file),
      cmocka_unit_test(versions_are_not_used_twice),
  };
  return cmocka_run_group_tests(tests, small_run_group_setup, small_run_group_teardown);
}
