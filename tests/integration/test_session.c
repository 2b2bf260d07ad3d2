/* hello, instances, epochs and fencing; which role may do what; at which address. */
#include "tests/support/small_run.h"

static void hello_tells_the_run(void **state) {
  struct small_run *s = *state;
  struct test_rpc r;
  test_rpc_open(&r, s->d.desk);
  assert_int_equal(test_rpc_hello(&r, PMP_ROLE_ACTOR, "teller", 1), PMP_OK);
  const struct pmp_hello_reply *h = &r.reply.u.hello;
  assert_int_equal(strlen(h->run_id), 32);
  assert_string_equal(h->data_url, s->d.data);
  assert_int_equal(h->spec.shape, PMP_SHAPE_OUTCOMES);
  assert_int_equal(h->spec.obs_parts, 0);
  assert_int_equal(h->spec.action.kind, PMP_ACTION_BOX);
  assert_int_equal(h->spec.action.dim, 2);
  assert_int_equal(h->limits.chunk_rows, 256);
  assert_int_equal(h->limits.message_bytes, 16777216);
  assert_int_equal(h->epoch, 1);
  assert_int_equal(h->last_seq, 0);
  assert_int_equal(h->actor_rows, 0);
  assert_int_equal(h->actor_state.size, 0);
  assert_false(h->lockstep);
  assert_non_null(strstr(h->policy, "\"kind\""));
  test_rpc_close(&r);
}

static void an_instance_keeps_its_epoch_and_a_new_one_fences_it(void **state) {
  struct small_run *s = *state;
  struct test_rpc old, new, again;
  test_rpc_open(&old, s->d.data);
  test_rpc_open(&new, s->d.data);
  test_rpc_open(&again, s->d.desk);
  struct test_outcomes o;
  test_outcomes_draw(&o, 5, 8);
  const struct pmp_chunk c = test_outcomes_chunk(&o, true, false);
  assert_int_equal(test_rpc_hello(&old, PMP_ROLE_ACTOR, "phoenix", 11), PMP_OK);
  assert_int_equal(old.reply.u.hello.epoch, 1);
  assert_int_equal(test_rpc_append_wait(&old, 1, &c, "state-1", 7, 5000), PMP_OK);
  assert_int_equal(test_rpc_append_wait(&old, 2, &c, "state-2", 7, 5000), PMP_OK);

  assert_int_equal(test_rpc_hello(&again, PMP_ROLE_ACTOR, "phoenix", 11), PMP_OK);
  assert_int_equal(again.reply.u.hello.epoch, 1);
  assert_int_equal(again.reply.u.hello.last_seq, 2);
  assert_int_equal(again.reply.u.hello.actor_rows, 16);

  assert_int_equal(test_rpc_hello(&new, PMP_ROLE_ACTOR, "phoenix", 12), PMP_OK);
  assert_int_equal(new.reply.u.hello.epoch, 2);
  assert_int_equal(new.reply.u.hello.last_seq, 0);
  assert_int_equal(new.reply.u.hello.actor_rows, 16);
  assert_int_equal(new.reply.u.hello.actor_state.size, 7);
  assert_memory_equal(new.reply.u.hello.actor_state.data, "state-2", 7);

  assert_int_equal(test_rpc_append_wait(&old, 3, &c, NULL, 0, 5000), PMP_ECONFLICT);
  assert_int_equal(test_rpc_hello(&old, PMP_ROLE_ACTOR, "phoenix", 11), PMP_ECONFLICT);
  assert_int_equal(test_rpc_append_wait(&new, 1, &c, NULL, 0, 5000), PMP_OK);
  test_rpc_close(&old);
  test_rpc_close(&new);
  test_rpc_close(&again);
}

static void hello_refuses_what_does_not_fit(void **state) {
  struct small_run *s = *state;
  struct test_rpc r;
  test_rpc_open(&r, s->d.desk);
  assert_int_equal(test_rpc_hello(&r, PMP_ROLE_NONE, "x", 0), PMP_EINVALID);
  assert_int_equal(test_rpc_hello(&r, PMP_ROLE_OBSERVER, "", 0), PMP_EINVALID);
  assert_int_equal(test_rpc_hello(&r, PMP_ROLE_OBSERVER, "a b", 0), PMP_EINVALID);
  assert_int_equal(test_rpc_hello(&r, PMP_ROLE_OBSERVER, "../../x", 0), PMP_EINVALID);
  char name[80];
  memset(name, 'n', sizeof name);
  name[64] = '\0';
  assert_int_equal(test_rpc_hello(&r, PMP_ROLE_OBSERVER, name, 0), PMP_OK);
  name[64] = 'n';
  name[65] = '\0';
  assert_int_equal(test_rpc_hello(&r, PMP_ROLE_OBSERVER, name, 0), PMP_EINVALID);

  uint8_t bytes[PMP_INSTANCE_BYTES] = {1};
  struct pmp_request q = {.verb = PMP_VERB_HELLO};
  q.u.hello =
      (struct pmp_hello){.role = PMP_ROLE_ACTOR, .name = "short", .token = "", .client = "test"};
  q.u.hello.instance = (struct pmp_bytes){bytes, 15};
  assert_int_equal(test_rpc_call(&r, &q), PMP_EINVALID);
  q.u.hello.instance.size = 16;
  q.u.hello.has_spec = true;
  q.u.hello.spec = (struct pmp_spec){.shape = PMP_SHAPE_OUTCOMES};
  q.u.hello.spec.action.kind = PMP_ACTION_BOX;
  q.u.hello.spec.action.dim = 3;
  q.u.hello.spec.action.low = -1;
  q.u.hello.spec.action.high = 1;
  assert_int_equal(test_rpc_call(&r, &q), PMP_ECONFLICT);
  assert_non_null(strstr(r.reply.message, "3"));
  q.u.hello.spec.action.dim = 2;
  assert_int_equal(test_rpc_call(&r, &q), PMP_OK);
  q.u.hello.token = "secret";
  assert_int_equal(test_rpc_call(&r, &q), PMP_EUNAVAILABLE);
  test_rpc_close(&r);
}

static void an_unknown_protocol_version_is_told_the_range(void **state) {
  struct small_run *s = *state;
  struct test_rpc r;
  test_rpc_open(&r, s->d.desk);
  const uint8_t raw[] = {0x08, 0x4d, 0x18,
                         0x05, 0x72, 0x00}; /* version 77, request 5, an empty status */
  assert_int_equal(test_rpc_bytes(&r, raw, sizeof raw), PMP_EINVALID);
  assert_int_equal(r.reply.request_id, 5);
  assert_int_equal(r.reply.version_min, PMP_WIRE_VERSION_MIN);
  assert_int_equal(r.reply.version_max, PMP_WIRE_VERSION_MAX);
  test_rpc_close(&r);
}

static void without_a_session_nothing_is_served(void **state) {
  struct small_run *s = *state;
  struct test_rpc r;
  test_rpc_open(&r, s->d.desk);
  assert_int_equal(test_rpc_status(&r), PMP_EUNAUTHENTICATED);
  uint8_t guess[PMP_SESSION_BYTES] = {0};
  struct pmp_request q = {.verb = PMP_VERB_STATUS, .session = {guess, sizeof guess}};
  for (uint32_t slot = 0; slot < 8; slot++) {
    memcpy(guess, &slot, sizeof slot); /* the slot is known, the rest is not */
    assert_int_equal(test_rpc_call(&r, &q), PMP_EUNAUTHENTICATED);
  }
  const uint32_t far = UINT32_MAX;
  memcpy(guess, &far, sizeof far);
  assert_int_equal(test_rpc_call(&r, &q), PMP_EUNAUTHENTICATED);
  q.session.size = 3; /* 16 bytes or none */
  assert_int_equal(test_rpc_call(&r, &q), PMP_EINVALID);
  test_rpc_close(&r);
}

/* A harmless request of each verb. */
static void request_of(enum pmp_verb verb, struct pmp_request *q) {
  static const struct pmp_verdict verdict = {.request_id = "r",
                                             .note = "",
                                             .chunk = 1,
                                             .rows = 1,
                                             .judgement = PMP_ACCEPT,
                                             .confidence = 1};
  *q = (struct pmp_request){.verb = verb};
  switch (verb) {
  case PMP_VERB_APPEND:
    q->u.append.seq = 1;
    q->u.append.chunk = (struct pmp_bytes){"x", 1};
    break;
  case PMP_VERB_WEIGHTS:
    q->u.weights.version = 999999;
    break;
  case PMP_VERB_EXPORT:
    q->u.export_.version = 999999;
    break;
  case PMP_VERB_CONTROL:
    q->u.control = (struct pmp_control){.action = PMP_CONTROL_SET, .key = "no.key", .value = "1"};
    break;
  case PMP_VERB_VERDICTS:
    q->u.verdicts = (struct pmp_verdicts){&verdict, 1};
    break;
  case PMP_VERB_LEASE:
    q->u.lease.order = "";
    break;
  default:
    break;
  }
}

static void each_role_has_its_verbs_and_no_others(void **state) {
  struct small_run *s = *state;
  /* What the permitted request answers; 0 stands for forbidden. */
  enum { NO = 0, YES = 1 };
  static const struct {
    enum pmp_verb verb;
    int allowed[5]; /* by role */
    bool data;
    enum pmp_err answer;
  } row[] = {
      {PMP_VERB_APPEND, {0, YES, NO, NO, NO}, true, PMP_EINVALID},
      {PMP_VERB_WEIGHTS, {0, YES, NO, YES, NO}, true, PMP_ENOTFOUND},
      {PMP_VERB_REPORT, {0, YES, NO, NO, NO}, false, PMP_OK},
      {PMP_VERB_STATUS, {0, NO, NO, YES, NO}, false, PMP_OK},
      {PMP_VERB_HISTORY, {0, NO, NO, YES, NO}, false, PMP_OK},
      {PMP_VERB_EVENTS, {0, NO, NO, YES, NO}, false, PMP_OK},
      {PMP_VERB_CONTROL, {0, NO, NO, NO, YES}, false, PMP_EINVALID},
      {PMP_VERB_EXPORT, {0, NO, NO, NO, YES}, false, PMP_ENOTFOUND},
      {PMP_VERB_VERDICTS, {0, NO, YES, NO, NO}, false, PMP_EUNAVAILABLE},
      {PMP_VERB_LEASE, {0, NO, YES, NO, NO}, false, PMP_EUNAVAILABLE},
  };
  for (enum pmp_role role = PMP_ROLE_ACTOR; role <= PMP_ROLE_OPERATOR; role++) {
    struct test_rpc desk, data;
    test_rpc_open(&desk, s->d.desk);
    test_rpc_open(&data, s->d.data);
    assert_int_equal(test_rpc_hello(&desk, role, "role", 3), PMP_OK);
    test_rpc_share(&data, &desk);
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
      struct pmp_request q;
      request_of(row[i].verb, &q);
      const enum pmp_err want = row[i].allowed[role] == YES ? row[i].answer : PMP_EFORBIDDEN;
      const enum pmp_err got = test_rpc_call(row[i].data ? &data : &desk, &q);
      if (got != want) {
        fail_msg("role %d, verb %d: %s instead of %s", role, row[i].verb, pmp_err_name(got),
                 pmp_err_name(want));
      }
      /* At the other address it is refused whoever asks, with the right one named. */
      struct test_rpc *wrong = row[i].data ? &desk : &data;
      request_of(row[i].verb, &q);
      assert_int_equal(test_rpc_call(wrong, &q), PMP_EINVALID);
      if (!strstr(wrong->reply.message, row[i].data ? s->d.data : s->d.desk)) {
        fail_msg("verb %d at the wrong address: %s", row[i].verb, wrong->reply.message);
      }
    }
    test_rpc_close(&desk);
    test_rpc_close(&data);
  }
}

/* Actors that were killed and came back many times leave no sessions that keep others out. */
static void fenced_sessions_make_room(void **state) {
  (void)state;
  struct small_run s;
  small_run_init(&s);
  test_pmpod_set(&s.d, "limits.sessions=8");
  test_pmpod_start(&s.d);
  struct test_rpc r;
  test_rpc_open(&r, s.d.desk);
  for (uint8_t life = 1; life <= 40; life++) {
    assert_int_equal(test_rpc_hello(&r, PMP_ROLE_ACTOR, "cat", life), PMP_OK);
    assert_int_equal(r.reply.u.hello.epoch, life);
  }
  test_rpc_close(&r);
  test_pmpod_fini(&s.d);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(hello_tells_the_run),
      cmocka_unit_test(an_instance_keeps_its_epoch_and_a_new_one_fences_it),
      cmocka_unit_test(hello_refuses_what_does_not_fit),
      cmocka_unit_test(an_unknown_protocol_version_is_told_the_range),
      cmocka_unit_test(without_a_session_nothing_is_served),
      cmocka_unit_test(each_role_has_its_verbs_and_no_others),
      cmocka_unit_test(fenced_sessions_make_room),
  };
  return cmocka_run_group_tests(tests, small_run_group_setup, small_run_group_teardown);
}
