/* TLS at a real daemon that listens everywhere: clients of every kind, and what they are told when
 * it does not fit. */
#include "clients/libpmpo/pmpo.h"
#include "tests/support/run_tokens.h"
#include "tests/support/small_run.h"

#include <sys/stat.h>

struct secure_run {
  struct test_pmpod d;
  char cert[400], key[400], ca[400], other_ca[400];
  char actor[PMP_TOKEN_TEXT_MAX], eye[PMP_TOKEN_TEXT_MAX];
};

static int begin(void **state) {
  struct secure_run *s = calloc(1, sizeof *s);
  test_pmpod_init(&s->d);
  run_certificate(&s->d, "tls", "lab.example", s->cert, s->key);
  run_certificate(&s->d, "other", "lab.example", NULL, NULL);
  snprintf(s->ca, sizeof s->ca, "%s/tls/ca.pem", s->d.dir);
  snprintf(s->other_ca, sizeof s->other_ca, "%s/other/ca.pem", s->d.dir);
  run_token(&s->d, "farm", PMP_ROLE_ACTOR, 0, s->actor);
  run_token(&s->d, "eye", PMP_ROLE_OBSERVER, 0, s->eye);
  strcpy(s->d.fixed[0], "listen.desk=tcp://0.0.0.0:0");
  strcpy(s->d.fixed[1], "listen.data=tcp://0.0.0.0:0");
  test_pmpod_set(&s->d, s->cert);
  test_pmpod_set(&s->d, s->key);
  test_pmpod_set(&s->d, "listen.http=off");
  test_pmpod_start(&s->d);
  *state = s;
  return 0;
}

static int end(void **state) {
  struct secure_run *s = *state;
  test_pmpod_stop(&s->d);
  test_pmpod_fini(&s->d);
  free(s);
  return 0;
}

static enum pmp_err connect_to(const struct secure_run *s, const char *url, const char *ca,
                               enum pmp_role role, const char *token, struct pmpo **c,
                               struct pmp_errmsg *msg) {
  const struct pmpo_options o = {
      .url = url, .role = role, .name = "test", .token = token, .ca = ca, .connect_ms = 20000};
  (void)s;
  return pmpo_open(c, &o, msg);
}

static enum pmp_err ask_status(struct pmpo *c, struct pmp_errmsg *msg) {
  struct pmp_arena arena;
  struct pmp_reply reply;
  struct pmp_request q = {.verb = PMP_VERB_STATUS};
  assert_int_equal(pmp_arena_init(&arena, 1 << 20), PMP_OK);
  const enum pmp_err err = pmpo_request(c, &q, &arena, &reply, 20000, msg);
  pmp_arena_fini(&arena);
  return err;
}

static void clients_talk_over_it(void **state) {
  struct secure_run *s = *state;
  struct pmpo *c = NULL, *actor = NULL;
  struct pmp_errmsg msg = {{0}};
  assert_memory_equal(s->d.desk, "tls+tcp://127.0.0.1:", 20); /* not 0.0.0.0 */
  if (connect_to(s, s->d.desk, s->ca, PMP_ROLE_OBSERVER, s->eye, &c, &msg) != PMP_OK)
    fail_msg("%s", msg.text);
  if (ask_status(c, &msg) != PMP_OK) fail_msg("%s", msg.text);
  assert_non_null(strstr(pmpo_run(c)->data_url, "tls+tcp://0.0.0.0:"));
  /* By name as by address; the data address names no host, the desk's is taken. */
  char url[160];
  snprintf(url, sizeof url, "tls+tcp://localhost:%s", strrchr(s->d.desk, ':') + 1);
  if (connect_to(s, url, s->ca, PMP_ROLE_ACTOR, s->actor, &actor, &msg) != PMP_OK)
    fail_msg("%s", msg.text);
  struct test_outcomes o;
  test_outcomes_draw(&o, 5, 64);
  const struct pmp_chunk chunk = test_outcomes_chunk(&o, true, false);
  for (int i = 0; i < 20; i++)
    assert_int_equal(pmpo_append(actor, &chunk, (struct pmp_bytes){0}, &msg), PMP_OK);
  if (pmpo_flush(actor, 20000, &msg) != PMP_OK) fail_msg("%s", msg.text);
  struct pmpo_append_stats stats;
  pmpo_append_stats(actor, &stats);
  assert_int_equal(stats.acked, 20);
  pmpo_close(actor);
  pmpo_close(c);
}

static void refusals_say_what_is_wrong(void **state) {
  struct secure_run *s = *state;
  char by_other_name[160], garbage[400];
  const char *plain = s->d.desk + 4; /* without "tls+" */
  snprintf(by_other_name, sizeof by_other_name, "tls+tcp://127.0.0.2:%s",
           strrchr(s->d.desk, ':') + 1);
  snprintf(garbage, sizeof garbage, "%s/tokens.json", s->d.dir);
  const struct {
    const char *url, *ca, *says;
  } cases[] = {
      {s->d.desk, s->other_ca, "is not signed by the CA"},
      {by_other_name, s->ca, "not for 127.0.0.2"},
      {s->d.desk, NULL, "--ca"},
      {s->d.desk, "/nowhere/ca.pem", "/nowhere/ca.pem"},
      {s->d.desk, garbage, "cannot be read"},
      {plain, s->ca, "speaks TLS; write tls+tcp://"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct pmpo *c = NULL;
    struct pmp_errmsg msg = {{0}};
    const enum pmp_err err =
        connect_to(s, cases[i].url, cases[i].ca, PMP_ROLE_OBSERVER, s->eye, &c, &msg);
    if (err != PMP_EINVALID || !strstr(msg.text, cases[i].says))
      fail_msg("case %zu: %s: %s", i, pmp_err_name(err), msg.text);
    assert_null(c);
  }
  struct pmpo *c = NULL; /* it has borne all that */
  struct pmp_errmsg msg = {{0}};
  assert_int_equal(connect_to(s, s->d.desk, s->ca, PMP_ROLE_OBSERVER, s->eye, &c, &msg), PMP_OK);
  pmpo_close(c);
}

static void without_a_good_token_nobody_comes_in(void **state) {
  struct secure_run *s = *state;
  struct pmpo *c = NULL;
  struct pmp_errmsg msg = {{0}};
  assert_int_equal(connect_to(s, s->d.desk, s->ca, PMP_ROLE_OBSERVER, "", &c, &msg),
                   PMP_EUNAUTHENTICATED);
  assert_int_equal(connect_to(s, s->d.desk, s->ca, PMP_ROLE_OPERATOR, s->eye, &c, &msg),
                   PMP_EUNAUTHENTICATED);
  assert_non_null(strstr(msg.text, "observer"));
  /* Several tokens with their roles: each finds its own. */
  char both[300], path[400];
  snprintf(both, sizeof both, "actor %s\nobserver %s\n", s->actor, s->eye);
  assert_int_equal(connect_to(s, s->d.desk, s->ca, PMP_ROLE_OBSERVER, both, &c, &msg), PMP_OK);
  pmpo_close(c);
  assert_int_equal(connect_to(s, s->d.desk, s->ca, PMP_ROLE_OPERATOR, both, &c, &msg),
                   PMP_EINVALID);
  assert_non_null(strstr(msg.text, "no token for the role operator"));
  assert_null(strstr(msg.text, s->eye));
  snprintf(path, sizeof path, "%s/my.tokens", s->d.root);
  test_file_write(path, both, strlen(both));
  const struct pmpo_options o = {
      .url = s->d.desk, .role = PMP_ROLE_OBSERVER, .token_file = path, .ca = s->ca};
  assert_int_equal(chmod(path, 0644), 0);
  assert_int_equal(pmpo_open(&c, &o, &msg), PMP_EINVALID);
  assert_non_null(strstr(msg.text, "chmod 600"));
  assert_int_equal(chmod(path, 0600), 0);
  assert_int_equal(pmpo_open(&c, &o, &msg), PMP_OK);
  pmpo_close(c);
}

static void a_client_outlives_a_killed_daemon(void **state) {
  struct secure_run *s = *state;
  (void)state;
  struct test_pmpod *d = &s->d;
  struct pmpo *c = NULL;
  struct pmp_errmsg msg = {{0}};
  /* On ports that stay, listening everywhere. */
  test_pmpod_stop(d);
  test_pmpod_fix_ports(d);
  test_pmpod_start(d);
  assert_int_equal(connect_to(s, d->desk, s->ca, PMP_ROLE_OBSERVER, s->eye, &c, &msg), PMP_OK);
  test_pmpod_kill(d);
  test_pmpod_start(d);
  if (ask_status(c, &msg) != PMP_OK) fail_msg("%s", msg.text);
  pmpo_close(c);
}

static void a_plain_daemon_is_recognised(void **state) {
  struct secure_run *s = *state;
  struct test_pmpod d;
  struct pmpo *c = NULL;
  struct pmp_errmsg msg = {{0}};
  char url[160];
  test_pmpod_init(&d);
  test_pmpod_start(&d);
  snprintf(url, sizeof url, "tls+%s", d.desk);
  assert_int_equal(connect_to(s, url, s->ca, PMP_ROLE_OBSERVER, "", &c, &msg), PMP_EINVALID);
  assert_non_null(strstr(msg.text, "speaks no TLS; write tcp://"));
  test_pmpod_stop(&d);
  test_pmpod_fini(&d);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(clients_talk_over_it),
      cmocka_unit_test(refusals_say_what_is_wrong),
      cmocka_unit_test(without_a_good_token_nobody_comes_in),
      cmocka_unit_test(a_client_outlives_a_killed_daemon),
      cmocka_unit_test(a_plain_daemon_is_recognised),
  };
  return cmocka_run_group_tests(tests, begin, end);
}
