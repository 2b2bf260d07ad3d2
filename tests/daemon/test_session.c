/* Sessions: opened, found, fenced, throttled, forgotten. */
#include "daemon/session.h"

#include "tests/daemon/unit.h"

#include <sodium.h>

#define SECOND INT64_C(1000000000)

static const uint8_t instance_a[PMP_INSTANCE_BYTES] = {1}, instance_b[PMP_INSTANCE_BYTES] = {2};

static struct pmp_session *open_at(struct pmp_sessions *s, enum pmp_role role, const char *name,
                                   const uint8_t *instance, int64_t now) {
  struct pmp_session *out = NULL;
  const struct pmp_bytes bytes = {instance, instance ? PMP_INSTANCE_BYTES : 0};
  return pmp_sessions_open(s, role, name, bytes, now, &out) == PMP_OK ? out : NULL;
}

static struct pmp_bytes id_of(const struct pmp_session *p) {
  return (struct pmp_bytes){p->id, sizeof p->id};
}

static void an_id_finds_its_session_and_no_other(void **state) {
  (void)state;
  struct pmp_sessions s;
  assert_int_equal(pmp_sessions_init(&s, 4, 10 * SECOND, 100), PMP_OK);
  struct pmp_session *a = open_at(&s, PMP_ROLE_OBSERVER, "a", NULL, 0),
                     *b = open_at(&s, PMP_ROLE_OBSERVER, "a", NULL, 0);
  assert_ptr_not_equal(a, b); /* two tools of one name are two sessions */
  assert_ptr_equal(pmp_sessions_find(&s, id_of(a), SECOND), a);
  assert_int_equal(a->last_ns, SECOND);
  uint8_t wrong[PMP_SESSION_BYTES];
  memcpy(wrong, a->id, sizeof wrong);
  wrong[15] ^= 1;
  assert_null(pmp_sessions_find(&s, (struct pmp_bytes){wrong, sizeof wrong}, 0));
  assert_null(pmp_sessions_find(&s, (struct pmp_bytes){a->id, 15}, 0));
  assert_null(pmp_sessions_find(&s, (struct pmp_bytes){NULL, 0}, 0));
  memset(wrong, 0xff, sizeof wrong);
  assert_null(pmp_sessions_find(&s, (struct pmp_bytes){wrong, sizeof wrong}, 0));
  pmp_sessions_fini(&s);
}

static void an_instance_gets_its_session_back(void **state) {
  (void)state;
  struct pmp_sessions s;
  assert_int_equal(pmp_sessions_init(&s, 4, 10 * SECOND, 100), PMP_OK);
  struct pmp_session *a = open_at(&s, PMP_ROLE_ACTOR, "x", instance_a, 0);
  a->epoch = 1;
  assert_ptr_equal(open_at(&s, PMP_ROLE_ACTOR, "x", instance_a, 5), a);
  struct pmp_session *b = open_at(&s, PMP_ROLE_ACTOR, "x", instance_b, 6),
                     *y = open_at(&s, PMP_ROLE_ACTOR, "y", instance_a, 6);
  assert_ptr_not_equal(a, b);
  assert_ptr_not_equal(a, y);
  b->epoch = 2;
  y->epoch = 1;
  pmp_sessions_fence(&s, "x", 2);
  assert_true(a->fenced);
  assert_false(b->fenced);
  assert_false(y->fenced); /* another name */
  pmp_sessions_fini(&s);
}

static void room_is_made_by_the_fenced_first_then_by_quiet_tools(void **state) {
  (void)state;
  struct pmp_sessions s;
  assert_int_equal(pmp_sessions_init(&s, 3, 100 * SECOND, 100), PMP_OK);
  struct pmp_session *actor = open_at(&s, PMP_ROLE_ACTOR, "x", instance_a, 0);
  actor->epoch = 1;
  struct pmp_session *quiet = open_at(&s, PMP_ROLE_OBSERVER, "t1", NULL, 0);
  struct pmp_session *busy = open_at(&s, PMP_ROLE_OBSERVER, "t2", NULL, 0);
  assert_int_equal(s.used, 3);
  assert_null(
      open_at(&s, PMP_ROLE_ACTOR, "z", instance_a, SECOND / 2)); /* all were heard of just now */
  assert_int_equal(s.refused, 1);
  pmp_sessions_find(&s, id_of(busy), 2 * SECOND);
  assert_ptr_equal(open_at(&s, PMP_ROLE_OBSERVER, "t3", NULL, 2 * SECOND), quiet);
  assert_int_equal(s.used, 3);
  actor->appending = true;
  pmp_sessions_fence(&s, "x", 2);
  assert_null(
      open_at(&s, PMP_ROLE_ACTOR, "x", instance_b, 2 * SECOND)); /* its append is under way */
  actor->appending = false;
  assert_ptr_equal(open_at(&s, PMP_ROLE_ACTOR, "x", instance_b, 2 * SECOND), actor);
  assert_false(actor->fenced);
  assert_memory_equal(actor->instance, instance_b, sizeof instance_b);
  pmp_sessions_fini(&s);
}

static void the_idle_are_forgotten_unless_they_append(void **state) {
  (void)state;
  struct pmp_sessions s;
  assert_int_equal(pmp_sessions_init(&s, 3, 10 * SECOND, 100), PMP_OK);
  struct pmp_session *a = open_at(&s, PMP_ROLE_ACTOR, "a", instance_a, 0),
                     *b = open_at(&s, PMP_ROLE_OBSERVER, "b", NULL, 0);
  const struct pmp_bytes id = id_of(b);
  a->appending = true;
  pmp_sessions_sweep(&s, 10 * SECOND, 1);
  assert_int_equal(s.used, 2);
  pmp_sessions_sweep(&s, 10 * SECOND + 1, 1);
  assert_int_equal(s.used, 1);
  assert_true(a->used);
  assert_null(pmp_sessions_find(&s, id, 10 * SECOND + 2));
  pmp_sessions_fini(&s);
}

static void requests_a_second_are_bounded(void **state) {
  (void)state;
  struct pmp_sessions s;
  assert_int_equal(pmp_sessions_init(&s, 2, 10 * SECOND, 5), PMP_OK);
  struct pmp_session *a = open_at(&s, PMP_ROLE_OBSERVER, "a", NULL, 0),
                     *b = open_at(&s, PMP_ROLE_OBSERVER, "b", NULL, 0);
  for (int i = 0; i < 5; i++) assert_true(pmp_sessions_allow(&s, a));
  assert_false(pmp_sessions_allow(&s, a));
  assert_true(pmp_sessions_allow(&s, b)); /* its own */
  pmp_sessions_sweep(&s, SECOND / 2, 0.5);
  assert_true(pmp_sessions_allow(&s, a));
  assert_true(pmp_sessions_allow(&s, a));
  assert_false(pmp_sessions_allow(&s, a));
  pmp_sessions_sweep(&s, SECOND, 1000);
  for (int i = 0; i < 5; i++)
    assert_true(pmp_sessions_allow(&s, a)); /* never more than a second's */
  assert_false(pmp_sessions_allow(&s, a));
  assert_int_equal(s.throttled, 3);
  pmp_sessions_fini(&s);
}

static void a_new_instance_inherits_the_tally(void **state) {
  (void)state;
  struct pmp_sessions s;
  static const uint8_t instance_c[PMP_INSTANCE_BYTES] = {3};
  uint32_t sessions = 999, active = 999;
  assert_int_equal(pmp_sessions_init(&s, 4, 100 * SECOND, 100), PMP_OK);
  struct pmp_session *a = open_at(&s, PMP_ROLE_ACTOR, "x", instance_a, 0),
                     *b = open_at(&s, PMP_ROLE_ACTOR, "x", instance_b, SECOND);
  a->epoch = 1;
  b->epoch = 2;
  a->tally.episodes = 7;
  b->tally.episodes = 9;
  struct pmp_session *c = open_at(&s, PMP_ROLE_ACTOR, "x", instance_c, 2 * SECOND),
                     *y = open_at(&s, PMP_ROLE_ACTOR, "y", instance_a, 2 * SECOND);
  c->epoch = 3;
  y->epoch = 3;
  pmp_sessions_inherit(&s, c);
  pmp_sessions_inherit(&s, y); /* another name */
  assert_int_equal(c->tally.episodes, 9);
  assert_int_equal(y->tally.episodes, 0);
  c->tally.episodes = 10;
  pmp_sessions_inherit(&s, c); /* it says hello again */
  assert_int_equal(c->tally.episodes, 10);
  pmp_sessions_fence(&s, "x", 3);
  pmp_sessions_actors(&s, 62 * SECOND, 60 * SECOND, &sessions, &active);
  assert_int_equal(sessions, 2); /* c and y: the others are fenced */
  assert_int_equal(active, 2);
  pmp_sessions_find(&s, id_of(y), 70 * SECOND);
  pmp_sessions_actors(&s, 63 * SECOND, 60 * SECOND, &sessions, &active);
  assert_int_equal(active, 1);
  c->appending = true; /* held: it waits for us */
  pmp_sessions_actors(&s, 63 * SECOND, 60 * SECOND, &sessions, &active);
  assert_int_equal(active, 2);
  pmp_sessions_fini(&s);
}

/* A session lives as long as its token is good; one without a token, as long as none are wanted. */
static void sessions_end_with_their_tokens(void **state) {
  (void)state;
  struct pmp_sessions s;
  struct pmp_token held[3] = {{.name = "ada", .role = PMP_ROLE_LABELER, .hash = {1}},
                              {.name = "eve", .role = PMP_ROLE_ACTOR, .hash = {2}, .expires_s = 50},
                              {.name = "bob", .role = PMP_ROLE_OBSERVER, .hash = {3}}};
  struct pmp_tokens none = {0}, wanted = {.token = held, .count = 3, .present = true};
  assert_int_equal(pmp_sessions_init(&s, 8, 100 * SECOND, 100), PMP_OK);
  struct pmp_session *local = open_at(&s, PMP_ROLE_OBSERVER, "me", NULL, 0),
                     *ada = open_at(&s, PMP_ROLE_LABELER, "x", NULL, 0),
                     *eve = open_at(&s, PMP_ROLE_ACTOR, "walker", instance_a, 0);
  assert_string_equal(local->principal, "local:me");
  pmp_session_prove(ada, &held[0]);
  pmp_session_prove(eve, &held[1]);
  assert_string_equal(ada->principal, "ada");
  assert_string_equal(ada->name, "ada");
  assert_string_equal(eve->name, "walker"); /* an actor's name is its own */
  assert_string_equal(eve->principal, "eve");
  assert_null(pmp_sessions_of_other(&s, "walker", "eve"));
  assert_ptr_equal(pmp_sessions_of_other(&s, "walker", "ada"), eve);

  assert_int_equal(pmp_sessions_end_unproven(&s, &wanted, 10), 1);
  assert_null(pmp_sessions_find(&s, id_of(local), SECOND));
  assert_non_null(pmp_sessions_find(&s, id_of(ada), SECOND));
  assert_non_null(pmp_sessions_find(&s, id_of(eve), SECOND));
  eve->appending = true;
  assert_int_equal(pmp_sessions_end_unproven(&s, &wanted, 50), 1); /* expired */
  assert_null(pmp_sessions_find(&s, id_of(eve), SECOND));
  pmp_sessions_sweep(&s, SECOND, 1);
  assert_true(eve->used); /* somebody still points to it */
  assert_false(local->used);
  assert_null(pmp_sessions_of_other(&s, "walker", "ada"));
  eve->appending = false;
  pmp_sessions_sweep(&s, SECOND, 1);
  assert_false(eve->used);
  assert_int_equal(s.used, 1);
  held[0].revoked_s = 40;
  assert_int_equal(pmp_sessions_end_unproven(&s, &wanted, 50), 1);
  pmp_sessions_sweep(&s, SECOND, 1);
  struct pmp_session *again = open_at(&s, PMP_ROLE_OBSERVER, "me", NULL, SECOND);
  assert_false(again->proven);
  assert_int_equal(pmp_sessions_end_unproven(&s, &none, 50), 0);
  pmp_sessions_fini(&s);
}

int main(void) {
  if (sodium_init() < 0) return 1;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_id_finds_its_session_and_no_other),
      cmocka_unit_test(an_instance_gets_its_session_back),
      cmocka_unit_test(room_is_made_by_the_fenced_first_then_by_quiet_tools),
      cmocka_unit_test(the_idle_are_forgotten_unless_they_append),
      cmocka_unit_test(requests_a_second_are_bounded),
      cmocka_unit_test(a_new_instance_inherits_the_tally),
      cmocka_unit_test(sessions_end_with_their_tokens),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
