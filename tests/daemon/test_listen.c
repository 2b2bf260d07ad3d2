/* What is loopback, and the addresses that are made of others. */
#include "daemon/listen.h"
#include "tests/daemon/unit.h"

static void loopback_is_what_stays_on_the_machine(void **state) {
  (void)state;
  static const struct {
    const char *host;
    bool loopback;
  } cases[] = {{"127.0.0.1", true},  {"127.8.9.10", true},
               {"localhost", true},  {"[::1]", true},
               {"::1", true},        {"0.0.0.0", false},
               {"[::]", false},      {"*", false},
               {"", false},          {"127.example.org", false},
               {"10.0.0.1", false},  {"localhost.example.org", false},
               {"128.0.0.1", false}, {"127.0.0.1.example.org", false},
               {"[]", false}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
    if (pmp_listen_is_loopback(cases[i].host, strlen(cases[i].host)) != cases[i].loopback)
      fail_msg("%s", cases[i].host);
}

static void addresses_become_those_of_tls(void **state) {
  (void)state;
  static struct pmp_config c;
  char out[PMP_LISTEN_URL_MAX];
  struct pmp_errmsg msg = {{0}};
  pmp_config_defaults(&c);
  assert_int_equal(pmp_listen_url(&c, "tcp://127.0.0.1:1", out, &msg), PMP_OK);
  assert_string_equal(out, "tcp://127.0.0.1:1");
  assert_int_equal(pmp_listen_url(&c, "tls+tcp://127.0.0.1:1", out, &msg), PMP_EINVALID);
  strcpy(c.listen.tls_cert, "c");
  assert_int_equal(pmp_listen_url(&c, "tcp://127.0.0.1:1", out, &msg), PMP_OK);
  assert_string_equal(out, "tls+tcp://127.0.0.1:1");
  assert_int_equal(pmp_listen_url(&c, "tls+tcp://h:1", out, &msg), PMP_OK);
  assert_string_equal(out, "tls+tcp://h:1");
  pmp_listen_local_url("tls+tcp://0.0.0.0:7447", out);
  assert_string_equal(out, "tls+tcp://127.0.0.1:7447");
  pmp_listen_local_url("tcp://[::]:7447", out);
  assert_string_equal(out, "tcp://[::1]:7447");
  pmp_listen_local_url("tcp://10.0.0.1:7447", out);
  assert_string_equal(out, "tcp://10.0.0.1:7447");
}

static void beyond_it_both_are_wanted(void **state) {
  (void)state;
  static struct pmp_config c;
  struct pmp_errmsg msg = {{0}};
  pmp_config_defaults(&c);
  bool beyond = true;
  assert_int_equal(pmp_listen_check(&c, false, "run", &beyond, &msg), PMP_OK);
  assert_false(beyond);
  strcpy(c.listen.http, "off");
  assert_int_equal(pmp_listen_check(&c, false, "run", &beyond, &msg), PMP_OK);
  strcpy(c.listen.data, "tcp://192.168.1.5:0");
  for (int tls = 0; tls < 2; tls++) {
    for (int tokens = 0; tokens < 2; tokens++) {
      strcpy(c.listen.tls_cert, tls ? "c" : "");
      strcpy(c.listen.tls_key, tls ? "k" : "");
      assert_int_equal(pmp_listen_check(&c, tokens, "run", &beyond, &msg),
                       tls && tokens ? PMP_OK : PMP_EINVALID);
      assert_true(beyond);
      if (tls && tokens) continue;
      assert_non_null(strstr(msg.text, "listen.data"));
      assert_non_null(strstr(msg.text, "pmpoctl token create"));
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(loopback_is_what_stays_on_the_machine),
      cmocka_unit_test(addresses_become_those_of_tls),
      cmocka_unit_test(beyond_it_both_are_wanted),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
