/* Tokens at a real daemon: every verb by role and by what is wrong with the token, sessions that
 * end with it, names, limits, what is written down, and what a start refuses. */
#include "tests/support/run_tokens.h"
#include "tests/support/small_run.h"

#include <unistd.h>

#define SECOND_MS 1000

/* ---- every verb, role and state of the token ---- */

enum state { NONE, WRONG, EXPIRED, REVOKED, OTHER_ROLE, RIGHT, STATES };
static const char *const state_names[] = {"none",    "wrong",      "expired",
                                          "revoked", "other role", "right"};

/* What a request answers with the right token, by role: 0 is forbidden. */
struct row {
  enum pmp_verb verb;
  bool data;
  int allowed[PMP_ROLE_OPERATOR + 1];
};
static const struct row rows[] = {
    {PMP_VERB_APPEND, true, {0, 1, 0, 0, 0}},   {PMP_VERB_WEIGHTS, true, {0, 1, 0, 1, 0}},
    {PMP_VERB_REPORT, false, {0, 1, 0, 0, 0}},  {PMP_VERB_STATUS, false, {0, 0, 0, 1, 0}},
    {PMP_VERB_HISTORY, false, {0, 0, 0, 1, 0}}, {PMP_VERB_EVENTS, false, {0, 0, 0, 1, 0}},
    {PMP_VERB_REVIEW, false, {0, 0, 0, 1, 0}},  {PMP_VERB_CONTROL, false, {0, 0, 0, 0, 1}},
    {PMP_VERB_EXPORT, false, {0, 0, 0, 0, 1}},  {PMP_VERB_VERDICTS, false, {0, 0, 1, 0, 0}},
    {PMP_VERB_LEASE, false, {0, 0, 1, 0, 0}},
};

static void request_of(enum pmp_verb verb, struct pmp_request *q) {
  static const struct pmp_verdict verdict = {
      .request_id = "r", .note = "", .chunk = 1, .rows = 1, .judgement = PMP_SKIP};
  *q = (struct pmp_request){.verb = verb};
  if (verb == PMP_VERB_APPEND) {
    q->u.append.seq = 1;
    q->u.append.chunk = (struct pmp_bytes){"x", 1};
  } else if (verb == PMP_VERB_WEIGHTS) {
    q->u.weights.version = 999999;
  } else if (verb == PMP_VERB_EXPORT) {
    q->u.export_.version = 999999;
  } else if (verb == PMP_VERB_CONTROL) {
    q->u.control = (struct pmp_control){.action = PMP_CONTROL_SET, .key = "no.key", .value = "1"};
  } else if (verb == PMP_VERB_VERDICTS) {
    q->u.verdicts = (struct pmp_verdicts){&verdict, 1};
  } else if (verb == PMP_VERB_LEASE) {
    q->u.lease.order = "";
  } else if (verb == PMP_VERB_REVIEW) {
    q->u.review = (struct pmp_review){.subject = PMP_SUBJECT_VERDICTS, .who = ""};
  }
}

struct tokens {
  char text[PMP_ROLE_OPERATOR + 1][STATES][PMP_TOKEN_TEXT_MAX];
};

static void make_tokens(const struct test_pmpod *d, struct tokens *t) {
  memset(t, 0, sizeof *t);
  for (int role = PMP_ROLE_ACTOR; role <= PMP_ROLE_OPERATOR; role++) {
    char name[32];
    snprintf(name, sizeof name, "old%d", role);
    run_token(d, name, role, -10, t->text[role][EXPIRED]);
    snprintf(name, sizeof name, "gone%d", role);
    run_token(d, name, role, 0, t->text[role][REVOKED]);
    run_revoke(d, name);
    snprintf(name, sizeof name, "good%d", role);
    run_token(d, name, role, 0, t->text[role][RIGHT]);
    strcpy(t->text[role][WRONG], t->text[role][RIGHT]);
    t->text[role][WRONG][20] = t->text[role][WRONG][20] == 'x' ? 'y' : 'x';
  }
  for (int role = PMP_ROLE_ACTOR; role <= PMP_ROLE_OPERATOR; role++)
    strcpy(t->text[role][OTHER_ROLE], t->text[role % PMP_ROLE_OPERATOR + 1][RIGHT]);
}

static void try_verbs(struct small_run *s, struct test_rpc *hello, enum pmp_role role,
                      enum state state) {
  struct test_rpc data;
  test_rpc_open(&data, s->d.data);
  if (hello->greeted) test_rpc_share(&data, hello);
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    struct pmp_request q;
    request_of(rows[i].verb, &q);
    const enum pmp_err got = test_rpc_call(rows[i].data ? &data : hello, &q);
    bool good;
    if (state != RIGHT)
      good = got == PMP_EUNAUTHENTICATED;
    else if (rows[i].allowed[role])
      good = got != PMP_EUNAUTHENTICATED && got != PMP_EFORBIDDEN && got != PMP_ETIMEOUT;
    else
      good = got == PMP_EFORBIDDEN;
    if (!good)
      fail_msg("role %d, token %s, verb %d: %s", role, state_names[state], rows[i].verb,
               pmp_err_name(got));
  }
  test_rpc_close(&data);
}

static void each_verb_role_and_token(void **state) {
  struct small_run s;
  struct tokens t;
  (void)state;
  small_run_init(&s);
  test_pmpod_set(&s.d, "limits.failed_hellos=1000");
  make_tokens(&s.d, &t);
  test_pmpod_start(&s.d);
  for (enum pmp_role role = PMP_ROLE_ACTOR; role <= PMP_ROLE_OPERATOR; role++) {
    for (enum state st = NONE; st < STATES; st++) {
      struct test_rpc r;
      test_rpc_open(&r, s.d.desk);
      const enum pmp_err err = test_rpc_hello_with(&r, role, "anyone", 3, t.text[role][st]);
      if (err != (st == RIGHT ? PMP_OK : PMP_EUNAUTHENTICATED))
        fail_msg("role %d, token %s: hello answers %s", role, state_names[st], pmp_err_name(err));
      if (st != RIGHT && st != NONE && strstr(r.reply.message, t.text[role][st]))
        fail_msg("the refusal tells the token");
      try_verbs(&s, &r, role, st);
      test_rpc_close(&r);
    }
  }
  test_pmpod_stop(&s.d);
  char *log = test_file_read(s.d.log, NULL);
  assert_non_null(strstr(log, "PMP-HELLO-REFUSED"));
  for (int role = PMP_ROLE_ACTOR; role <= PMP_ROLE_OPERATOR; role++)
    for (int st = WRONG; st < STATES; st++) assert_null(strstr(log, t.text[role][st]));
  free(log);
  test_pmpod_fini(&s.d);
}

/* ---- sessions end with their tokens ---- */

/* Asks for status until it answers so. */
static void wait_code(struct test_rpc *r, enum pmp_err code) {
  enum pmp_err got = PMP_EINTERNAL;
  for (int waited = 0; waited < 20 * SECOND_MS; waited += 20) {
    got = test_rpc_status(r);
    if (got == code) return;
    test_sleep_ms(20);
  }
  fail_msg("status answers %s", pmp_err_name(got));
}

/* The daemon looks at the tokens each second. */
static void hello_soon(struct test_rpc *r, enum pmp_role role, const char *token) {
  enum pmp_err err = PMP_EUNAUTHENTICATED;
  for (int waited = 0; waited < 20 * SECOND_MS && err != PMP_OK; waited += 30) {
    err = test_rpc_hello_with(r, role, "x", 0, token);
    if (err != PMP_OK) test_sleep_ms(30);
  }
  assert_int_equal(err, PMP_OK);
}

/* While the learner loads, settings are answered busy. */
static void set_soon(struct test_rpc *r, const char *key, const char *value) {
  enum pmp_err err = PMP_EBUSY;
  for (int waited = 0; waited < 20 * SECOND_MS && err == PMP_EBUSY; waited += 10) {
    err = test_rpc_control(r, PMP_CONTROL_SET, key, value);
    if (err == PMP_EBUSY) test_sleep_ms(10);
  }
  assert_int_equal(err, PMP_OK);
}

/* Kinds and who of all events, for strstr. */
static void read_events(struct test_rpc *r, char *out, size_t size) {
  struct pmp_request q = {.verb = PMP_VERB_EVENTS, .u.events = {.count = 200, .all = true}};
  size_t used = 0;
  assert_int_equal(test_rpc_call(r, &q), PMP_OK);
  for (uint32_t i = 0; i < r->reply.u.events.count && used < size; i++) {
    const struct pmp_event *e = &r->reply.u.events.event[i];
    used += (size_t)snprintf(out + used, size - used, "%s %s %s\n", e->who, e->kind, e->detail);
  }
}

static void sessions_end_with_their_tokens(void **state) {
  struct small_run s;
  char eye[PMP_TOKEN_TEXT_MAX], brief[PMP_TOKEN_TEXT_MAX], boss[PMP_TOKEN_TEXT_MAX];
  static char events[16384];
  (void)state;
  small_run_init(&s);
  test_pmpod_set(&s.d, "limits.failed_hellos=1000");
  test_pmpod_start(&s.d);
  struct test_rpc local, proven, shorter, op;
  test_rpc_open(&local, s.d.desk);
  test_rpc_open(&proven, s.d.desk);
  test_rpc_open(&shorter, s.d.desk);
  test_rpc_open(&op, s.d.desk);
  assert_int_equal(test_rpc_hello(&local, PMP_ROLE_OBSERVER, "me", 0), PMP_OK);
  assert_int_equal(test_rpc_status(&local), PMP_OK);

  run_token(&s.d, "eye", PMP_ROLE_OBSERVER, 0, eye); /* now tokens are wanted */
  run_token(&s.d, "boss", PMP_ROLE_OPERATOR, 0, boss);
  wait_code(&local, PMP_EUNAUTHENTICATED);
  assert_int_equal(test_rpc_hello(&local, PMP_ROLE_OBSERVER, "me", 0), PMP_EUNAUTHENTICATED);
  hello_soon(&proven, PMP_ROLE_OBSERVER, eye);
  assert_int_equal(test_rpc_status(&proven), PMP_OK);
  hello_soon(&op, PMP_ROLE_OPERATOR, boss);
  set_soon(&op, "optim.lr", "0.02");

  run_token(&s.d, "brief", PMP_ROLE_OBSERVER, 5, brief);
  hello_soon(&shorter, PMP_ROLE_OBSERVER, brief);
  wait_code(&shorter, PMP_EUNAUTHENTICATED); /* it has expired */
  assert_int_equal(test_rpc_hello_with(&shorter, PMP_ROLE_OBSERVER, "x", 0, brief),
                   PMP_EUNAUTHENTICATED);
  assert_non_null(strstr(shorter.reply.message, "expired"));
  assert_int_equal(test_rpc_status(&proven), PMP_OK);

  read_events(&proven, events, sizeof events);
  assert_non_null(strstr(events, "daemon token_created {\"name\":\"eye\",\"role\":\"observer\""));
  assert_non_null(strstr(events, "boss setting {"));
  assert_null(strstr(events, eye));

  run_revoke(&s.d, "eye");
  wait_code(&proven, PMP_EUNAUTHENTICATED);
  assert_int_equal(test_rpc_hello_with(&proven, PMP_ROLE_OBSERVER, "x", 0, eye),
                   PMP_EUNAUTHENTICATED);
  assert_non_null(strstr(proven.reply.message, "revoked"));
  test_rpc_close(&local);
  test_rpc_close(&proven);
  test_rpc_close(&shorter);
  test_rpc_close(&op);
  test_pmpod_stop(&s.d);
  test_pmpod_fini(&s.d);
}

/* A file that cannot be read any more lets nobody in, and the old ones out. */
static void a_broken_file_ends_all_sessions(void **state) {
  struct small_run s;
  char eye[PMP_TOKEN_TEXT_MAX], path[400];
  (void)state;
  small_run_init(&s);
  run_token(&s.d, "eye", PMP_ROLE_OBSERVER, 0, eye);
  test_pmpod_start(&s.d);
  struct test_rpc r;
  test_rpc_open(&r, s.d.desk);
  assert_int_equal(test_rpc_hello_with(&r, PMP_ROLE_OBSERVER, "me", 0, eye), PMP_OK);
  snprintf(path, sizeof path, "%s/tokens.json", s.d.dir);
  size_t size = 0;
  char *good = test_file_read(path, &size);
  test_file_write(path, "{", 1);
  wait_code(&r, PMP_EUNAUTHENTICATED);
  assert_int_equal(test_rpc_hello_with(&r, PMP_ROLE_OBSERVER, "me", 0, eye), PMP_EUNAUTHENTICATED);
  assert_int_equal(test_rpc_hello(&r, PMP_ROLE_OBSERVER, "me", 0), PMP_EUNAUTHENTICATED);
  test_file_write(path, good, size);
  free(good);
  hello_soon(&r, PMP_ROLE_OBSERVER, eye);
  test_rpc_close(&r);
  test_pmpod_stop(&s.d);
  test_file_write(path, "{", 1);
  int status = 0;
  assert_false(test_pmpod_try(&s.d, &status)); /* nor does it start with one */
  test_pmpod_fini(&s.d);
}

/* ---- names ---- */

static void an_actors_name_is_its_tokens(void **state) {
  struct small_run s;
  char a[PMP_TOKEN_TEXT_MAX], b[PMP_TOKEN_TEXT_MAX], eye[PMP_TOKEN_TEXT_MAX];
  static char events[16384];
  (void)state;
  small_run_init(&s);
  run_token(&s.d, "farm", PMP_ROLE_ACTOR, 0, a);
  run_token(&s.d, "other", PMP_ROLE_ACTOR, 0, b);
  run_token(&s.d, "eye", PMP_ROLE_OBSERVER, 0, eye);
  test_pmpod_start(&s.d);
  struct test_rpc one, two, r;
  test_rpc_open(&one, s.d.desk);
  test_rpc_open(&two, s.d.desk);
  test_rpc_open(&r, s.d.desk);
  assert_int_equal(test_rpc_hello_with(&one, PMP_ROLE_ACTOR, "walker-1", 1, a), PMP_OK);
  assert_int_equal(test_rpc_hello_with(&two, PMP_ROLE_ACTOR, "walker-1", 2, b), PMP_EFORBIDDEN);
  assert_int_equal(test_rpc_hello_with(&two, PMP_ROLE_ACTOR, "walker-1", 1, b), PMP_EFORBIDDEN);
  assert_int_equal(test_rpc_hello_with(&one, PMP_ROLE_ACTOR, "walker-1", 1, a), PMP_OK);
  assert_int_equal(one.reply.u.hello.epoch, 1); /* nobody fenced it */
  assert_int_equal(test_rpc_hello_with(&two, PMP_ROLE_ACTOR, "walker-2", 2, b), PMP_OK);
  assert_int_equal(test_rpc_hello_with(&two, PMP_ROLE_ACTOR, "walker-1", 3, a), PMP_OK);
  assert_int_equal(two.reply.u.hello.epoch, 2); /* its own token may */
  assert_int_equal(test_rpc_hello_with(&r, PMP_ROLE_OBSERVER, "boss", 0, eye), PMP_OK);
  read_events(&r, events, sizeof events);
  assert_non_null(strstr(events, "farm actor {\"actor\":\"walker-1\",\"epoch\":1}"));
  assert_non_null(strstr(events, "other actor {\"actor\":\"walker-2\",\"epoch\":1}"));
  test_rpc_close(&one);
  test_rpc_close(&two);
  test_rpc_close(&r);
  test_pmpod_fini(&s.d);
}

/* ---- limits ---- */

static void guessing_is_slowed_and_holders_still_come_in(void **state) {
  struct small_run s;
  char eye[PMP_TOKEN_TEXT_MAX];
  (void)state;
  small_run_init(&s);
  test_pmpod_set(&s.d, "limits.failed_hellos=3");
  run_token(&s.d, "eye", PMP_ROLE_OBSERVER, 0, eye);
  test_pmpod_start(&s.d);
  struct test_rpc r;
  test_rpc_open(&r, s.d.desk);
  int told = 0, busy = 0;
  for (int i = 0; i < 200; i++) {
    const enum pmp_err err = test_rpc_hello_with(&r, PMP_ROLE_OBSERVER, "g", 0, "pmp_guess");
    told += err == PMP_EUNAUTHENTICATED;
    if (err != PMP_EBUSY) continue;
    busy++;
    assert_int_equal(r.reply.retry_after_ms, 1000);
  }
  assert_int_equal(told + busy, 200);
  assert_true(told >= 3 && busy > 0);
  assert_int_equal(test_rpc_hello_with(&r, PMP_ROLE_OBSERVER, "g", 0, eye), PMP_OK);
  test_rpc_close(&r);
  test_pmpod_fini(&s.d);
}

/* ---- what is refused at the start ---- */

static void refused_start(const struct test_pmpod *d, const char *const *set, const char *says) {
  const char *argv[16] = {"--dir", d->dir};
  char out[8192];
  int n = 2;
  for (; *set; set++) {
    argv[n++] = "--set";
    argv[n++] = *set;
  }
  argv[n] = NULL;
  assert_int_equal(test_pmpod_run(out, sizeof out, argv), 2);
  if (!strstr(out, says)) fail_msg("no \"%s\" in: %s", says, out);
}

static void beyond_loopback_takes_tls_and_tokens(void **state) {
  struct test_pmpod d;
  char cert[400], key[400], text[PMP_TOKEN_TEXT_MAX], other_cert[400], other_key[400];
  (void)state;
  test_pmpod_init(&d);
  static const char *const places[] = {"listen.desk=tcp://0.0.0.0:0", "listen.data=tcp://[::]:0",
                                       "listen.http=0.0.0.0:0", "listen.desk=tcp://10.1.2.3:7447",
                                       "listen.desk=tcp://127.example.org:0"};
  for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
    refused_start(&d, (const char *const[]){places[i], NULL}, "there is neither");
  refused_start(&d, (const char *const[]){"listen.desk=tls+tcp://127.0.0.1:0", NULL},
                "takes a certificate");
  refused_start(&d, (const char *const[]){"listen.tls_cert=x", NULL}, "come together");
  run_certificate(&d, "tls", "lab.example", cert, key);
  refused_start(&d, (const char *const[]){places[0], cert, key, NULL}, "there are no tokens");
  run_token(&d, "ada", PMP_ROLE_LABELER, 0, text);
  refused_start(&d, (const char *const[]){places[0], NULL}, "there is no certificate");
  run_certificate(&d, "tls2", "lab.example", other_cert, other_key);
  refused_start(&d, (const char *const[]){cert, other_key, NULL}, "is not the key of");
  refused_start(&d, (const char *const[]){"listen.tls_cert=/nowhere/x.pem", key, NULL},
                "/nowhere/x.pem");
  char path[400];
  snprintf(path, sizeof path, "%s/tls/server.key", d.dir);
  assert_int_equal(truncate(path, 40), 0);
  refused_start(&d, (const char *const[]){cert, key, NULL}, "listen.tls_key");
  test_pmpod_fini(&d);
}

/* ---- killed and started again ---- */

static void tokens_and_the_audit_survive_a_kill(void **state) {
  struct small_run s;
  char eye[PMP_TOKEN_TEXT_MAX], boss[PMP_TOKEN_TEXT_MAX], out[8192];
  (void)state;
  small_run_init(&s);
  run_token(&s.d, "eye", PMP_ROLE_OBSERVER, 0, eye);
  run_token(&s.d, "boss", PMP_ROLE_OPERATOR, 0, boss);
  for (int life = 0; life < 3; life++) {
    test_pmpod_start(&s.d);
    struct test_rpc op, r;
    test_rpc_open(&op, s.d.desk);
    test_rpc_open(&r, s.d.desk);
    assert_int_equal(test_rpc_hello_with(&op, PMP_ROLE_OPERATOR, "x", 0, boss), PMP_OK);
    for (int i = 0; i < 20; i++) {
      char value[32];
      snprintf(value, sizeof value, "0.0%d%d", life + 1, i + 10);
      set_soon(&op, "optim.lr", value);
    }
    assert_int_equal(test_rpc_hello_with(&r, PMP_ROLE_OBSERVER, "x", 0, eye), PMP_OK);
    assert_int_equal(test_rpc_status(&r), PMP_OK);
    test_rpc_close(&op);
    test_rpc_close(&r);
    test_pmpod_kill(&s.d);
    const char *const argv[] = {"--check", s.d.dir, NULL};
    assert_int_equal(test_pmpod_run(out, sizeof out, argv), 0);
  }
  test_pmpod_fini(&s.d);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_verb_role_and_token),
      cmocka_unit_test(sessions_end_with_their_tokens),
      cmocka_unit_test(a_broken_file_ends_all_sessions),
      cmocka_unit_test(an_actors_name_is_its_tokens),
      cmocka_unit_test(guessing_is_slowed_and_holders_still_come_in),
      cmocka_unit_test(beyond_loopback_takes_tls_and_tokens),
      cmocka_unit_test(tokens_and_the_audit_survive_a_kill),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
