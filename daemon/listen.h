/* Where the daemon listens: what is loopback, what beyond it takes, and the certificate.
 *
 * The loop thread at start. pmp_tls_load reads files; the rest is pure. */
#ifndef PMP_DAEMON_LISTEN_H
#define PMP_DAEMON_LISTEN_H

#include "daemon/config.h"

#define PMP_LISTEN_URL_MAX 128

/* A host without its port ("127.0.0.1", "localhost", "[::1]"): does it stay on this machine? */
bool pmp_listen_is_loopback(const char *host, size_t length);
/* Everything that is listened on (desk, data, http) is on loopback, or there are TLS and tokens.
 * PMP_EINVALID says what to do. *beyond: some of it is not on loopback. */
PMP_MUST_CHECK enum pmp_err pmp_listen_check(const struct pmp_config *c, bool tokens,
                                             const char *dir, bool *beyond, struct pmp_errmsg *msg);
/* The address to listen on: tls+tcp:// for tcp:// when there is a certificate. */
PMP_MUST_CHECK enum pmp_err pmp_listen_url(const struct pmp_config *c, const char *url,
                                           char out[PMP_LISTEN_URL_MAX], struct pmp_errmsg *msg);
/* The same as somebody on this machine would dial it: 127.0.0.1 for 0.0.0.0. */
void pmp_listen_local_url(const char *url, char out[PMP_LISTEN_URL_MAX]);

/* Both NULL: no TLS. */
struct pmp_tls {
  char *cert, *key; /* owned: PEM */
};
/* Reads listen.tls_cert and listen.tls_key where they are set, and sees that they are of each
 * other. PMP_EINVALID: which file, and what of it is wrong (a key that others may read, a
 * certificate that has expired). */
PMP_MUST_CHECK enum pmp_err pmp_tls_load(struct pmp_tls *t, const struct pmp_config *c,
                                         struct pmp_errmsg *msg);
/* Wipes the key. Safe on a zeroed struct. */
void pmp_tls_fini(struct pmp_tls *t);

#endif
