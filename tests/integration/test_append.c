/* append: acknowledged once, whatever is sent again; what does not fit is refused whole. */
#include "tests/support/small_run.h"

#include <math.h>

static void acknowledged_once(void **state) {
  struct small_run *s = *state;
  struct test_outcomes a, b;
  test_outcomes_draw(&a, 1, 8);
  test_outcomes_draw(&b, 2, 8);
  struct pmp_chunk ca = test_outcomes_chunk(&a, true, false),
                   cb = test_outcomes_chunk(&b, true, false);
  assert_int_equal(test_rpc_status(&s->observer), PMP_OK);
  const double rows = test_rpc_number(&s->observer, "store.rows");

  assert_int_equal(test_rpc_append(&s->actor, 2, &ca, NULL, 0),
                   PMP_ECONFLICT); /* a gap, before anything */
  assert_non_null(strstr(s->actor.reply.message, "1"));
  assert_int_equal(test_rpc_append(&s->actor, 1, &ca, NULL, 0), PMP_OK);
  assert_int_equal(s->actor.reply.u.append.rows, 8);
  assert_false(s->actor.reply.u.append.duplicate);
  const uint64_t chunk = s->actor.reply.u.append.chunk;
  assert_true(chunk > 0);

  assert_int_equal(test_rpc_append(&s->actor, 1, &ca, NULL, 0), PMP_OK); /* the ack was lost */
  assert_true(s->actor.reply.u.append.duplicate);
  assert_int_equal(s->actor.reply.u.append.chunk, chunk);
  assert_int_equal(s->actor.reply.u.append.rows, 8);

  assert_int_equal(test_rpc_append(&s->actor, 1, &cb, NULL, 0), PMP_ECONFLICT); /* altered */
  assert_int_equal(test_rpc_append(&s->actor, 2, &cb, NULL, 0), PMP_OK);
  assert_int_equal(s->actor.reply.u.append.chunk, chunk + 1);
  assert_int_equal(test_rpc_append(&s->actor, 1, &ca, NULL, 0), PMP_ECONFLICT); /* stale */
  assert_non_null(strstr(s->actor.reply.message, "stale"));
  assert_int_equal(test_rpc_append(&s->actor, 4, &ca, NULL, 0), PMP_ECONFLICT); /* a gap */
  assert_non_null(strstr(s->actor.reply.message, "3"));
  assert_int_equal(test_rpc_append(&s->actor, 0, &ca, NULL, 0), PMP_EINVALID);

  assert_int_equal(test_rpc_status(&s->observer), PMP_OK);
  assert_int_equal((int)(test_rpc_number(&s->observer, "store.rows") - rows), 16);
  assert_int_equal((int)test_rpc_number(&s->observer, "ingest.duplicates"), 1);
}

/* What an honest encoder refuses to write is written all the same: the protobuf bytes of a good
 * chunk are changed where a marker is found. */
struct broken {
  const char *what;
  void (*spoil)(struct test_outcomes *o, struct pmp_chunk *c);
  float marker, instead; /* in the encoded bytes; marker 0: none */
};
static void leave(struct test_outcomes *o, struct pmp_chunk *c) {
  (void)o, (void)c;
}
static void spoil_width(struct test_outcomes *o, struct pmp_chunk *c) {
  (void)o, c->action.shape[1] = 1, c->action.bytes /= 2;
}
static void spoil_rank(struct test_outcomes *o, struct pmp_chunk *c) {
  (void)o, c->action.rank = 1, c->action.shape[0] = 16;
}
static void spoil_rows(struct test_outcomes *o, struct pmp_chunk *c) {
  (void)o, c->rows = 4;
}
static void spoil_dtype(struct test_outcomes *o, struct pmp_chunk *c) {
  (void)o, c->action.dtype = PMP_I32;
}
static void spoil_verdict(struct test_outcomes *o, struct pmp_chunk *c) {
  o->verdict[2] = 5, c->verdict = o->verdict;
}
static void spoil_group(struct test_outcomes *o, struct pmp_chunk *c) {
  (void)c, o->group[1] = 1, o->group[2] = 0;
}
static void spoil_groups(struct test_outcomes *o, struct pmp_chunk *c) {
  (void)o, c->groups = 5;
}
static void spoil_condition(struct test_outcomes *o, struct pmp_chunk *c) {
  c->obs_parts = 1;
  c->obs[0] =
      (struct pmp_tensor){.dtype = PMP_F32, .rank = 2, .shape = {2, 1}, .data = o->f, .bytes = 8};
}

#define MARK_Y 123.25f
#define MARK_F -77.5f

/* Appends the chunk with the marker's bytes replaced; false: this encoder already refused to write
 * it. */
static bool append_spoiled(struct test_rpc *r, const struct broken *b, const struct pmp_chunk *c,
                           enum pmp_err *code) {
  struct pmp_arena arena;
  assert_int_equal(pmp_arena_init(&arena, 1 << 20), PMP_OK);
  struct pmp_request q = {.verb = PMP_VERB_APPEND};
  q.u.append.seq = 1;
  const void *data = NULL;
  const bool written =
      pmp_wire_encode_chunk(c, &arena, &data, &q.u.append.chunk.size, NULL) == PMP_OK;
  if (written) {
    unsigned char *copy = test_malloc(q.u.append.chunk.size);
    memcpy(copy, data, q.u.append.chunk.size);
    uint32_t found = b->marker == 0;
    for (size_t at = 0; b->marker != 0 && at + 4 <= q.u.append.chunk.size; at++) {
      if (memcmp(copy + at, &b->marker, 4) != 0) continue;
      memcpy(copy + at, &b->instead, 4);
      found++;
    }
    assert_int_equal(found, 1);
    q.u.append.chunk.data = copy;
    *code = test_rpc_call(r, &q);
    test_free(copy);
  }
  pmp_arena_fini(&arena);
  return written;
}

static void refused_whole_and_the_next_seq_stays(void **state) {
  struct small_run *s = *state;
  static const struct broken broken[] = {
      {"NaN", leave, MARK_Y, NAN},
      {"infinite", leave, MARK_Y, INFINITY},
      {"evaluation", leave, MARK_F, -INFINITY},
      {"evaluation NaN", leave, MARK_F, NAN},
      {"width", spoil_width, 0, 0},
      {"rank", spoil_rank, 0, 0},
      {"rows", spoil_rows, 0, 0},
      {"dtype", spoil_dtype, 0, 0},
      {"verdict", spoil_verdict, 0, 0},
      {"group order", spoil_group, 0, 0},
      {"group count", spoil_groups, 0, 0},
      {"condition", spoil_condition, 0, 0},
  };
  struct test_rpc r;
  test_rpc_open(&r, s->d.data);
  assert_int_equal(test_rpc_hello(&r, PMP_ROLE_ACTOR, "spoiler", 1), PMP_OK);
  assert_int_equal(test_rpc_status(&s->observer), PMP_OK);
  const double before = test_rpc_number(&s->observer, "rpc.refused_invalid");
  const double rows = test_rpc_number(&s->observer, "store.rows");
  int sent = 0;
  for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
    struct test_outcomes o;
    test_outcomes_draw(&o, 3, 8);
    o.y[3][1] = MARK_Y;
    o.f[5] = MARK_F;
    struct pmp_chunk c = test_outcomes_chunk(&o, true, false);
    broken[i].spoil(&o, &c);
    enum pmp_err err = PMP_OK;
    if (!append_spoiled(&r, &broken[i], &c, &err)) continue;
    sent++;
    if (err != PMP_EINVALID)
      fail_msg("%s: %s (%s)", broken[i].what, pmp_err_name(err), r.reply.message);
    assert_true(strlen(r.reply.message) > 10);
  }
  assert_true(sent >= 6); /* the marked ones and shapes that only the run's spec forbids */
  struct test_outcomes o;
  test_outcomes_draw(&o, 3, 8);
  struct pmp_chunk c = test_outcomes_chunk(&o, true, false);
  assert_int_equal(test_rpc_append(&r, 1, &c, NULL, 0), PMP_OK);
  assert_int_equal(test_rpc_status(&s->observer), PMP_OK);
  assert_int_equal((int)(test_rpc_number(&s->observer, "rpc.refused_invalid") - before), sent);
  assert_int_equal((int)(test_rpc_number(&s->observer, "store.rows") - rows), 8);
  test_rpc_close(&r);
}

static void limits_are_kept(void **state) {
  struct small_run *s = *state;
  struct test_rpc r;
  test_rpc_open(&r, s->d.data);
  assert_int_equal(test_rpc_hello(&r, PMP_ROLE_ACTOR, "large", 1), PMP_OK);
  struct test_outcomes o;
  test_outcomes_draw(&o, 9, 8);
  struct pmp_chunk c = test_outcomes_chunk(&o, true, false);
  static uint8_t blob[65537];
  assert_int_equal(test_rpc_append(&r, 1, &c, blob, 65537), PMP_ETOOLARGE); /* actor_state */
  assert_int_equal(test_rpc_append(&r, 1, &c, blob, 65536), PMP_OK);

  static float wide[300][2];
  struct pmp_chunk many = {
      .source = PMP_SOURCE_ACTOR, .shape = PMP_SHAPE_OUTCOMES, .rows = 300, .groups = 300};
  many.action = (struct pmp_tensor){
      .dtype = PMP_F32, .rank = 2, .shape = {300, 2}, .data = wide, .bytes = sizeof wide};
  assert_int_equal(test_rpc_append(&r, 2, &many, NULL, 0),
                   PMP_ETOOLARGE); /* 256 rows are the limit */
  struct pmp_request q = {.verb = PMP_VERB_APPEND};
  q.u.append.seq = 2; /* no chunk at all */
  assert_int_equal(test_rpc_call(&r, &q), PMP_EINVALID);
  test_rpc_close(&r);
}

/* Sequence numbers, epochs and actor_state live longer than the daemon. */
static void marks_outlive_the_daemon(void **state) {
  (void)state;
  struct small_run s;
  small_run_init(&s);
  small_run_start(&s);
  struct test_outcomes o, p;
  test_outcomes_draw(&o, 21, 16);
  test_outcomes_draw(&p, 22, 16);
  struct pmp_chunk c = test_outcomes_chunk(&o, true, false),
                   other = test_outcomes_chunk(&p, true, false);
  assert_int_equal(test_rpc_append(&s.actor, 1, &c, "one", 3), PMP_OK);
  assert_int_equal(test_rpc_append(&s.actor, 2, &c, "two", 3), PMP_OK);
  const uint64_t chunk = s.actor.reply.u.append.chunk;
  for (int round = 0; round < 2; round++) {
    small_run_disconnect(&s);
    if (round == 0) {
      test_pmpod_kill(&s.d);
    } else {
      test_pmpod_stop(&s.d);
    }
    test_pmpod_start(&s.d);
    small_run_connect(&s, 1);
    test_rpc_close(&s.actor);
    test_rpc_open(&s.actor, s.d.data);
    assert_int_equal(test_rpc_hello(&s.actor, PMP_ROLE_ACTOR, "a1", 1), PMP_OK);
    assert_int_equal(s.actor.reply.u.hello.epoch, 1);
    assert_int_equal(s.actor.reply.u.hello.last_seq, 2);
    assert_int_equal(s.actor.reply.u.hello.actor_rows, 32);
    assert_int_equal(s.actor.reply.u.hello.actor_state.size, 3);
    assert_memory_equal(s.actor.reply.u.hello.actor_state.data, "two", 3);
    assert_int_equal(test_rpc_append(&s.actor, 2, &c, "two", 3), PMP_OK);
    assert_true(s.actor.reply.u.append.duplicate);
    assert_int_equal(s.actor.reply.u.append.chunk, chunk);
    assert_int_equal(test_rpc_append(&s.actor, 2, &other, NULL, 0), PMP_ECONFLICT);
    assert_int_equal(test_rpc_append(&s.actor, 4, &c, NULL, 0), PMP_ECONFLICT);
  }
  small_run_fini(&s);
}

/* The learner rests, so that appends beyond the tolerance must be held back, then answered busy,
 * then taken. */
static void held_back_while_the_learner_is_behind(void **state) {
  (void)state;
  struct small_run s;
  small_run_init(&s);
  test_pmpod_set(&s.d, "limits.chunk_rows=32");
  test_pmpod_set(&s.d, "limits.append_hold_ms=50");
  small_run_start(&s);
  assert_int_equal(test_rpc_control(&s.operator_, PMP_CONTROL_PAUSE, "", ""), PMP_OK);
  struct test_outcomes o;
  test_outcomes_draw(&o, 31, 32);
  struct pmp_chunk c = test_outcomes_chunk(&o, true, false);
  uint64_t seq = 0;
  enum pmp_err err = PMP_OK;
  while (err == PMP_OK && seq < 40) {
    err = test_rpc_append(&s.actor, seq + 1, &c, NULL, 0);
    if (err == PMP_OK) seq++;
  }
  assert_int_equal(
      err,
      PMP_EBUSY); /* 32 rows are free, 64 the tolerance; some more while none was trainable yet */
  assert_true(seq >= 3 && seq < 8);
  assert_true(s.actor.reply.retry_after_ms > 0);
  assert_int_equal(test_rpc_status(&s.observer), PMP_OK); /* the desk does not care */
  assert_true(test_rpc_number(&s.observer, "ingest.hold_busy") >= 1);
  assert_string_equal(test_rpc_text(&s.observer, "state"), "paused");
  assert_int_equal(test_rpc_control(&s.operator_, PMP_CONTROL_RESUME, "", ""), PMP_OK);
  assert_int_equal(test_rpc_append_wait(&s.actor, seq + 1, &c, NULL, 0, 5000), PMP_OK);
  assert_false(s.actor.reply.u.append.duplicate);
  small_run_fini(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(acknowledged_once),
      cmocka_unit_test(refused_whole_and_the_next_seq_stays),
      cmocka_unit_test(limits_are_kept),
      cmocka_unit_test(marks_outlive_the_daemon),
      cmocka_unit_test(held_back_while_the_learner_is_behind),
  };
  return cmocka_run_group_tests(tests, small_run_group_setup, small_run_group_teardown);
}
