/* A lab's own CA and a server's certificate by it: ECDSA on P-256, by mbedTLS.
 *
 * Blocks on the disk. No state but what is passed. */
#ifndef PMP_PMPOCTL_CERTIFICATE_H
#define PMP_PMPOCTL_CERTIFICATE_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define PMP_CERTIFICATE_HOSTS_MAX 32

struct pmp_certificate_wish {
  const char *dir;         /* receives ca.pem, server.pem (mode 0644), ca.key, server.key (0600) */
  const char *const *host; /* [hosts]: names and IP addresses; localhost, 127.0.0.1 and ::1 come in
                              any case */
  uint32_t hosts;          /* 1..PMP_CERTIFICATE_HOSTS_MAX */
  int days;                /* the server's; the CA's: ten years */
};

/* A CA that is there already signs; it is never written over. PMP_ECORRUPT: half of one is there,
 * or it cannot be read. *made_ca: it is new. */
PMP_MUST_CHECK enum pmp_err pmp_certificate_make(const struct pmp_certificate_wish *wish,
                                                 bool *made_ca, struct pmp_errmsg *msg);

#endif
