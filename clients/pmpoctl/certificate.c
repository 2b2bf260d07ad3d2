#include "clients/pmpoctl/certificate.h"

#include "base/fs.h"

#include <arpa/inet.h>
#include <errno.h>
#include <mbedtls/ecp.h>
#include <mbedtls/error.h>
#include <mbedtls/oid.h>
#include <mbedtls/pk.h>
#include <mbedtls/x509_crt.h>
#include <psa/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PATH_BYTES 1100
#define PEM_BYTES 8192
#define CA_DAYS 3650
#define SERIAL_BYTES 16
#define EXTRA_NAMES 3
#define NAMES_MAX (PMP_CERTIFICATE_HOSTS_MAX + EXTRA_NAMES)

struct issuer {
  mbedtls_x509_crt cert;
  mbedtls_pk_context key;
};

/* Whom a certificate is for; list's entries point into address and host. */
struct names {
  mbedtls_x509_san_list list[NAMES_MAX];
  uint8_t address[NAMES_MAX][16];
  uint32_t count;
};

static int draw(void *ctx, unsigned char *out, size_t size) {
  (void)ctx;
  for (size_t got = 0; got < size;) {
    const ssize_t n = getrandom(out + got, size - got, 0);
    if (n < 0 && errno != EINTR) return MBEDTLS_ERR_ERROR_GENERIC_ERROR;
    if (n > 0) got += (size_t)n;
  }
  return 0;
}

static enum pmp_err check(int rc, const char *what, struct pmp_errmsg *msg) {
  char text[160];
  if (rc == 0) return PMP_OK;
  mbedtls_strerror(rc, text, sizeof text);
  return pmp_fail(msg, PMP_EINTERNAL, "cannot %s: %s", what, text);
}

/* ---- files ---- */

static enum pmp_err path_of(const char *dir, const char *file, char out[PATH_BYTES],
                            struct pmp_errmsg *msg) {
  if (snprintf(out, PATH_BYTES, "%s/%s", dir, file) >= PATH_BYTES)
    return pmp_fail(msg, PMP_EINVALID, "the folder's path is too long");
  return PMP_OK;
}

/* Root makes it for the daemon's user, whose folder it is in. */
static int give_away(const char *dir, const char *path) {
  struct stat above;
  char folder[PATH_BYTES + 4];
  snprintf(folder, sizeof folder, "%s/..", dir);
  if (geteuid() != 0 || stat(folder, &above) != 0) return 0;
  return chown(path, above.st_uid, above.st_gid);
}

static enum pmp_err write_pem(const char *dir, const char *file, const unsigned char *pem,
                              mode_t mode, struct pmp_errmsg *msg) {
  char path[PATH_BYTES];
  PMP_TRY(path_of(dir, file, path, msg));
  const void *part = pem;
  const size_t size = strlen((const char *)pem);
  PMP_TRY(pmp_fs_replace(pmp_fs_real(), path, &part, &size, 1, msg)); /* mode 0600 */
  int rc = mode == 0600 ? 0 : chmod(path, mode);
  if (rc == 0 && strcmp(file, "ca.key") != 0) rc = give_away(dir, path);
  if (rc != 0)
    return pmp_fail(msg, PMP_EIO, "cannot set mode and owner of %s: %s", path, strerror(errno));
  return PMP_OK;
}

/* ---- making ---- */

static enum pmp_err make_key(mbedtls_pk_context *key, const char *dir, const char *file,
                             struct pmp_errmsg *msg) {
  unsigned char pem[PEM_BYTES];
  int rc = mbedtls_pk_setup(key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY));
  if (rc == 0) rc = mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(*key), draw, NULL);
  if (rc == 0) rc = mbedtls_pk_write_key_pem(key, pem, sizeof pem);
  enum pmp_err err = check(rc, "make a key", msg);
  if (err == PMP_OK) err = write_pem(dir, file, pem, 0600, msg);
  explicit_bzero(pem, sizeof pem);
  return err;
}

static int set_times(mbedtls_x509write_cert *w, int days) {
  char from[16], to[16];
  struct tm t;
  /* A clock that is a little behind is no reason to refuse. */
  const time_t start = time(NULL) - 3600, end = start + (time_t)days * 86400;
  strftime(from, sizeof from, "%Y%m%d%H%M%S", gmtime_r(&start, &t));
  strftime(to, sizeof to, "%Y%m%d%H%M%S", gmtime_r(&end, &t));
  return mbedtls_x509write_crt_set_validity(w, from, to);
}

static int set_common(mbedtls_x509write_cert *w, int days) {
  unsigned char serial[SERIAL_BYTES];
  mbedtls_x509write_crt_set_version(w, MBEDTLS_X509_CRT_VERSION_3);
  mbedtls_x509write_crt_set_md_alg(w, MBEDTLS_MD_SHA256);
  int rc = draw(NULL, serial, sizeof serial);
  serial[0] = (unsigned char)((serial[0] & 0x7f) | 0x40); /* positive, and of full length */
  if (rc == 0) rc = mbedtls_x509write_crt_set_serial_raw(w, serial, sizeof serial);
  return rc == 0 ? set_times(w, days) : rc;
}

static enum pmp_err make_ca(struct issuer *ca, const char *dir, struct pmp_errmsg *msg) {
  unsigned char pem[PEM_BYTES];
  char name[96];
  unsigned char tag[4];
  mbedtls_x509write_cert w;
  PMP_TRY(make_key(&ca->key, dir, "ca.key", msg));
  mbedtls_x509write_crt_init(&w);
  int rc = draw(NULL, tag, sizeof tag);
  /* Two labs' CAs are told apart. */
  snprintf(name, sizeof name, "CN=pmpo lab CA %02x%02x%02x%02x", tag[0], tag[1], tag[2], tag[3]);
  if (rc == 0) rc = set_common(&w, CA_DAYS);
  mbedtls_x509write_crt_set_subject_key(&w, &ca->key);
  mbedtls_x509write_crt_set_issuer_key(&w, &ca->key);
  if (rc == 0) rc = mbedtls_x509write_crt_set_subject_name(&w, name);
  if (rc == 0) rc = mbedtls_x509write_crt_set_issuer_name(&w, name);
  if (rc == 0) rc = mbedtls_x509write_crt_set_basic_constraints(&w, 1, 0);
  if (rc == 0)
    rc = mbedtls_x509write_crt_set_key_usage(&w, MBEDTLS_X509_KU_KEY_CERT_SIGN |
                                                     MBEDTLS_X509_KU_CRL_SIGN);
  if (rc == 0) rc = mbedtls_x509write_crt_set_subject_key_identifier(&w);
  if (rc == 0) rc = mbedtls_x509write_crt_set_authority_key_identifier(&w);
  if (rc == 0) rc = mbedtls_x509write_crt_pem(&w, pem, sizeof pem, draw, NULL);
  mbedtls_x509write_crt_free(&w);
  if (rc == 0) rc = mbedtls_x509_crt_parse(&ca->cert, pem, strlen((char *)pem) + 1);
  PMP_TRY(check(rc, "make the CA's certificate", msg));
  return write_pem(dir, "ca.pem", pem, 0644, msg);
}

static enum pmp_err load_ca(struct issuer *ca, const char *dir, struct pmp_errmsg *msg) {
  char cert[PATH_BYTES], key[PATH_BYTES];
  PMP_TRY(path_of(dir, "ca.pem", cert, msg));
  PMP_TRY(path_of(dir, "ca.key", key, msg));
  int rc = mbedtls_x509_crt_parse_file(&ca->cert, cert);
  if (rc == 0) rc = mbedtls_pk_parse_keyfile(&ca->key, key, NULL, draw, NULL);
  if (rc == 0) rc = mbedtls_pk_check_pair(&ca->cert.pk, &ca->key, draw, NULL);
  if (rc == 0) return PMP_OK;
  char text[160];
  mbedtls_strerror(rc, text, sizeof text);
  return pmp_fail(msg, PMP_ECORRUPT, "the CA in %.200s (ca.pem, ca.key) cannot be used: %s", dir,
                  text);
}

/* ---- names ---- */

static bool name_valid(const char *host) {
  const size_t length = strlen(host);
  return length > 0 && length <= 253 &&
         strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.*") ==
             length;
}

static enum pmp_err add_name(struct names *n, const char *host, struct pmp_errmsg *msg) {
  mbedtls_x509_san_list *s = &n->list[n->count];
  uint8_t *address = n->address[n->count];
  unsigned char *text = (unsigned char *)(uintptr_t)host; /* only read */
  const bool four = inet_pton(AF_INET, host, address) == 1;
  const bool six = !four && inet_pton(AF_INET6, host, address) == 1;
  memset(s, 0, sizeof *s);
  if (!four && !six && !name_valid(host))
    return pmp_fail(msg, PMP_EINVALID, "\"%.64s\" is no host's name and no IP address", host);
  s->node.type = four || six ? MBEDTLS_X509_SAN_IP_ADDRESS : MBEDTLS_X509_SAN_DNS_NAME;
  s->node.san.unstructured_name.p = four || six ? address : text;
  s->node.san.unstructured_name.len = four ? 4 : six ? 16 : strlen(host);
  for (uint32_t i = 0; i < n->count; i++) {
    const mbedtls_x509_san_list *o = &n->list[i];
    if (o->node.type == s->node.type &&
        o->node.san.unstructured_name.len == s->node.san.unstructured_name.len &&
        memcmp(o->node.san.unstructured_name.p, s->node.san.unstructured_name.p,
               s->node.san.unstructured_name.len) == 0)
      return PMP_OK; /* there already */
  }
  if (n->count > 0) n->list[n->count - 1].next = s;
  n->count++;
  return PMP_OK;
}

static enum pmp_err collect_names(const struct pmp_certificate_wish *wish, struct names *n,
                                  struct pmp_errmsg *msg) {
  static const char *const always[EXTRA_NAMES] = {"localhost", "127.0.0.1", "::1"};
  if (wish->hosts == 0 || wish->hosts > PMP_CERTIFICATE_HOSTS_MAX)
    return pmp_fail(msg, PMP_EINVALID, "a certificate is for 1 to %d hosts",
                    PMP_CERTIFICATE_HOSTS_MAX);
  n->count = 0;
  for (uint32_t i = 0; i < wish->hosts; i++) PMP_TRY(add_name(n, wish->host[i], msg));
  for (int i = 0; i < EXTRA_NAMES; i++) PMP_TRY(add_name(n, always[i], msg));
  return PMP_OK;
}

static int set_purpose(mbedtls_x509write_cert *w) {
  static const char oid[] = MBEDTLS_OID_SERVER_AUTH;
  const mbedtls_asn1_sequence use = {.buf = {.tag = MBEDTLS_ASN1_OID,
                                             .p = (unsigned char *)(uintptr_t)oid,
                                             .len = sizeof oid - 1}};
  int rc = mbedtls_x509write_crt_set_basic_constraints(w, 0, -1);
  if (rc == 0) rc = mbedtls_x509write_crt_set_key_usage(w, MBEDTLS_X509_KU_DIGITAL_SIGNATURE);
  return rc == 0 ? mbedtls_x509write_crt_set_ext_key_usage(w, &use) : rc;
}

static enum pmp_err make_server(struct issuer *ca, const struct pmp_certificate_wish *wish,
                                struct names *names, struct pmp_errmsg *msg) {
  unsigned char pem[PEM_BYTES];
  char subject[80], issuer[256];
  mbedtls_x509write_cert w;
  mbedtls_pk_context key;
  mbedtls_pk_init(&key);
  mbedtls_x509write_crt_init(&w);
  snprintf(subject, sizeof subject, "CN=%.64s", wish->host[0]);
  enum pmp_err err = make_key(&key, wish->dir, "server.key", msg);
  if (err != PMP_OK) goto out;
  int rc = mbedtls_x509_dn_gets(issuer, sizeof issuer, &ca->cert.subject);
  rc = rc > 0 ? set_common(&w, wish->days) : rc;
  mbedtls_x509write_crt_set_subject_key(&w, &key);
  mbedtls_x509write_crt_set_issuer_key(&w, &ca->key);
  if (rc == 0) rc = mbedtls_x509write_crt_set_subject_name(&w, subject);
  if (rc == 0) rc = mbedtls_x509write_crt_set_issuer_name(&w, issuer);
  if (rc == 0) rc = set_purpose(&w);
  if (rc == 0) rc = mbedtls_x509write_crt_set_subject_alternative_name(&w, names->list);
  if (rc == 0) rc = mbedtls_x509write_crt_set_subject_key_identifier(&w);
  if (rc == 0) rc = mbedtls_x509write_crt_set_authority_key_identifier(&w);
  if (rc == 0) rc = mbedtls_x509write_crt_pem(&w, pem, sizeof pem, draw, NULL);
  err = check(rc, "make the server's certificate", msg);
  if (err == PMP_OK) err = write_pem(wish->dir, "server.pem", pem, 0644, msg);
out:
  mbedtls_x509write_crt_free(&w);
  mbedtls_pk_free(&key);
  return err;
}

enum pmp_err pmp_certificate_make(const struct pmp_certificate_wish *wish, bool *made_ca,
                                  struct pmp_errmsg *msg) {
  struct names names;
  struct issuer ca;
  char cert[PATH_BYTES], key[PATH_BYTES];
  const struct pmp_fs *fs = pmp_fs_real();
  PMP_TRY(collect_names(wish, &names, msg));
  PMP_TRY(fs->make_dir(fs->self, wish->dir, msg));
  if (give_away(wish->dir, wish->dir) != 0)
    return pmp_fail(msg, PMP_EIO, "cannot set the owner of %s: %s", wish->dir, strerror(errno));
  PMP_TRY(path_of(wish->dir, "ca.pem", cert, msg));
  PMP_TRY(path_of(wish->dir, "ca.key", key, msg));
  PMP_TRY(check(psa_crypto_init() == PSA_SUCCESS ? 0 : MBEDTLS_ERR_ERROR_GENERIC_ERROR,
                "start mbedTLS", msg));
  mbedtls_x509_crt_init(&ca.cert);
  mbedtls_pk_init(&ca.key);
  const bool has_cert = access(cert, F_OK) == 0, has_key = access(key, F_OK) == 0;
  *made_ca = !has_cert && !has_key;
  enum pmp_err err = has_cert != has_key
                         ? pmp_fail(msg, PMP_ECORRUPT,
                                    "%.200s holds %s of a CA: put the other one back, or take "
                                    "another folder",
                                    wish->dir, has_cert ? "the certificate" : "the key")
                     : has_cert ? load_ca(&ca, wish->dir, msg)
                                : make_ca(&ca, wish->dir, msg);
  if (err == PMP_OK) err = make_server(&ca, wish, &names, msg);
  mbedtls_x509_crt_free(&ca.cert);
  mbedtls_pk_free(&ca.key);
  return err;
}
