/* What a client needs for a run that wants TLS and tokens: the token out of a file or the
 * environment, the TLS settings of a connection, and, when nobody answers, the reason. */
#ifndef PMPO_SECURE_H
#define PMPO_SECURE_H

#include "clients/libpmpo/pmpo.h"

#include <nng/nng.h>
#include <nng/supplemental/tls/tls.h>

/* The token for a role: `given`, else that of `file`, else $PMPO_TOKEN, else the file
 * $PMPO_TOKEN_FILE names, else "". Each is one token, or several with the role before each. *token
 * is malloc'd. PMP_EINVALID: the file cannot be read or may be read by everybody, or there is no
 * token for this role. The text never names a token. */
PMP_MUST_CHECK enum pmp_err pmpo_token_find(const char *given, const char *file, enum pmp_role role,
                                            char **token, struct pmp_errmsg *msg);

bool pmpo_url_is_tls(const char *url);
/* For a tls+tcp:// address: verifies the server by the CA in this file (PEM) and the host's name.
 * *tls is NULL for other addresses; else nng_tls_config_free. PMP_EINVALID: no CA, or none that can
 * be read. */
PMP_MUST_CHECK enum pmp_err pmpo_tls_make(const char *url, const char *ca, nng_tls_config **tls,
                                          struct pmp_errmsg *msg);

/* Asks the address itself why a client gets no answer. PMP_OK: nothing to be said, it may answer
 * yet; PMP_EINVALID with the reason: the one speaks TLS and the other does not, a certificate of
 * another CA, one for other names. Blocks up to some seconds. */
PMP_MUST_CHECK enum pmp_err pmpo_probe(const char *url, const char *ca, struct pmp_errmsg *msg);

#endif
