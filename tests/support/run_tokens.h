/* Tokens and certificates of a test's run, made as pmpoctl makes them. */
#ifndef PMP_TESTS_RUN_TOKENS_H
#define PMP_TESTS_RUN_TOKENS_H

#include "auth/tokens.h"
#include "clients/pmpoctl/certificate.h"
#include "tests/support/pmpod_process.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <time.h>

/* A token that holds for `seconds` from now (0: without an end; below 0: it has expired). */
static inline void run_token(const struct test_pmpod *d, const char *name, int role,
                             int64_t seconds, char text[PMP_TOKEN_TEXT_MAX]) {
  struct pmp_errmsg msg = {{0}};
  const int64_t now = time(NULL);
  const int64_t made = seconds < 0 ? now + seconds - 100 : now;
  const enum pmp_err err =
      pmp_tokens_create(d->dir, name, role, made, seconds == 0 ? 0 : now + seconds, text, &msg);
  if (err != PMP_OK) fail_msg("%s", msg.text);
}

static inline void run_revoke(const struct test_pmpod *d, const char *name) {
  struct pmp_errmsg msg = {{0}};
  if (pmp_tokens_revoke(d->dir, name, time(NULL), &msg) != PMP_OK) fail_msg("%s", msg.text);
}

/* A CA and a certificate in DIR/tls; *cert and *key are settings for test_pmpod_set. */
static inline void run_certificate(const struct test_pmpod *d, const char *folder, const char *host,
                                   char cert[400], char key[400]) {
  char dir[340];
  struct pmp_errmsg msg = {{0}};
  bool made = false;
  snprintf(dir, sizeof dir, "%s/%s", d->dir, folder);
  const struct pmp_certificate_wish wish = {.dir = dir, .host = &host, .hosts = 1, .days = 2};
  if (pmp_certificate_make(&wish, &made, &msg) != PMP_OK) fail_msg("%s", msg.text);
  if (cert) snprintf(cert, 400, "listen.tls_cert=%s/server.pem", dir);
  if (key) snprintf(key, 400, "listen.tls_key=%s/server.key", dir);
}

#endif
