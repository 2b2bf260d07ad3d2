#include "daemon/listen.h"

#include "base/fs.h"

#include <arpa/inet.h>
#include <mbedtls/error.h>
#include <mbedtls/pk.h>
#include <mbedtls/x509_crt.h>
#include <psa/crypto.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PEM_BYTES_MAX ((size_t)1 << 20)

/* ---- addresses ---- */

bool pmp_listen_is_loopback(const char *host, size_t length) {
  char name[64];
  struct in_addr four;
  struct in6_addr six;
  if (length >= 2 && host[0] == '[' && host[length - 1] == ']') {
    host++;
    length -= 2;
  }
  if (length == 0 || length >= sizeof name) return false;
  memcpy(name, host, length);
  name[length] = '\0';
  if (strcmp(name, "localhost") == 0) return true;
  if (inet_pton(AF_INET, name, &four) == 1) return (ntohl(four.s_addr) >> 24) == 127;
  return inet_pton(AF_INET6, name, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

/* The host of [SCHEME://]HOST:PORT. */
static const char *host_of(const char *address, size_t *length) {
  const char *host = strstr(address, "://");
  host = host ? host + 3 : address;
  const char *colon = strrchr(host, ':');
  *length = colon ? (size_t)(colon - host) : strlen(host);
  return host;
}

enum pmp_err pmp_listen_check(const struct pmp_config *c, bool tokens, const char *dir,
                              bool *beyond, struct pmp_errmsg *msg) {
  const struct {
    const char *key, *address, *loopback;
  } places[] = {{"desk", c->listen.desk, "tcp://127.0.0.1:PORT"},
                {"data", c->listen.data, "tcp://127.0.0.1:PORT"},
                {"http", c->listen.http, "127.0.0.1:PORT"}};
  const bool tls = c->listen.tls_cert[0] != '\0';
  *beyond = false;
  if (tls != (c->listen.tls_key[0] != '\0'))
    return pmp_fail(msg, PMP_EINVALID, "listen.tls_cert and listen.tls_key come together");
  for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
    const char *address = places[i].address;
    size_t length = 0;
    const char *host = host_of(address, &length);
    if (i == 2 && (strcmp(address, "off") == 0 || address[0] == '\0')) continue;
    if (strncmp(address, "inproc://", 9) == 0 || pmp_listen_is_loopback(host, length)) continue;
    *beyond = true;
    if (tls && tokens) continue;
    return pmp_fail(
        msg, PMP_EINVALID,
        "listen.%s: %.80s is beyond loopback; that needs TLS and tokens, and there %s. "
        "`pmpoctl certificate --host NAME -D %.60s` makes a certificate (set listen.tls_cert and "
        "listen.tls_key), `pmpoctl token create NAME --role ROLE -D %.60s` a token. Or use %s",
        places[i].key, address,
        tls      ? "are no tokens"
        : tokens ? "is no certificate"
                 : "is neither",
        dir, dir, places[i].loopback);
  }
  return PMP_OK;
}

enum pmp_err pmp_listen_url(const struct pmp_config *c, const char *url,
                            char out[PMP_LISTEN_URL_MAX], struct pmp_errmsg *msg) {
  const bool tls = c->listen.tls_cert[0] != '\0';
  const bool plain = strncmp(url, "tcp://", 6) == 0;
  if (!tls && strncmp(url, "tls+tcp://", 10) == 0)
    return pmp_fail(msg, PMP_EINVALID,
                    "%.100s: TLS takes a certificate: set listen.tls_cert and listen.tls_key", url);
  const int n = snprintf(out, PMP_LISTEN_URL_MAX, "%s%s", tls && plain ? "tls+" : "", url);
  return n > 0 && n < PMP_LISTEN_URL_MAX
             ? PMP_OK
             : pmp_fail(msg, PMP_EINVALID, "%.100s: the address is too long", url);
}

void pmp_listen_local_url(const char *url, char out[PMP_LISTEN_URL_MAX]) {
  size_t length = 0;
  const char *host = host_of(url, &length), *local = NULL;
  if (length == 7 && strncmp(host, "0.0.0.0", 7) == 0) local = "127.0.0.1";
  if (length == 4 && strncmp(host, "[::]", 4) == 0) local = "[::1]";
  if (local)
    snprintf(out, PMP_LISTEN_URL_MAX, "%.*s%s%s", (int)(host - url), url, local, host + length);
  else
    snprintf(out, PMP_LISTEN_URL_MAX, "%s", url);
}

/* ---- the certificate ---- */

static enum pmp_err read_pem(const char *path, const char *key, char **out,
                             struct pmp_errmsg *msg) {
  struct pmp_errmsg why = {{0}};
  const struct pmp_fs *fs = pmp_fs_real();
  void *data = NULL;
  size_t size = 0;
  if (fs->read_all(fs->self, path, PEM_BYTES_MAX, &data, &size, &why) != PMP_OK)
    return pmp_fail(msg, PMP_EINVALID, "%s: %.300s", key, why.text);
  *out = data; /* read_all puts a 0 behind the last byte */
  return PMP_OK;
}

static enum pmp_err wrong(const char *key, const char *path, int code, struct pmp_errmsg *msg) {
  char text[128];
  mbedtls_strerror(code, text, sizeof text);
  return pmp_fail(msg, PMP_EINVALID, "%s: %.200s: %s", key, path, text);
}

static int draw(void *ctx, unsigned char *out, size_t size) {
  (void)ctx;
  randombytes_buf(out, size);
  return 0;
}

/* Parsed with what nng uses, so that what passes here works there. */
static enum pmp_err check_pair(const struct pmp_tls *t, const struct pmp_config *c,
                               struct pmp_errmsg *msg) {
  const char *cert_path = c->listen.tls_cert, *key_path = c->listen.tls_key;
  mbedtls_x509_crt cert;
  mbedtls_pk_context key;
  enum pmp_err err = PMP_OK;
  psa_crypto_init();
  mbedtls_x509_crt_init(&cert);
  mbedtls_pk_init(&key);
  int rc = mbedtls_x509_crt_parse(&cert, (const unsigned char *)t->cert, strlen(t->cert) + 1);
  if (rc != 0) {
    err = wrong("listen.tls_cert", cert_path, rc < 0 ? rc : MBEDTLS_ERR_X509_INVALID_FORMAT, msg);
    goto out;
  }
  rc = mbedtls_pk_parse_key(&key, (const unsigned char *)t->key, strlen(t->key) + 1, NULL, 0, draw,
                            NULL);
  if (rc != 0) {
    err = wrong("listen.tls_key", key_path, rc, msg);
    goto out;
  }
  if (mbedtls_pk_check_pair(&cert.pk, &key, draw, NULL) != 0)
    err = pmp_fail(msg, PMP_EINVALID, "listen.tls_key: %.150s is not the key of %.150s", key_path,
                   cert_path);
  else if (mbedtls_x509_time_is_past(&cert.valid_to))
    err = pmp_fail(msg, PMP_EINVALID, "listen.tls_cert: %.200s expired on %04d-%02d-%02d",
                   cert_path, cert.valid_to.year, cert.valid_to.mon, cert.valid_to.day);
out:
  mbedtls_x509_crt_free(&cert);
  mbedtls_pk_free(&key);
  return err;
}

enum pmp_err pmp_tls_load(struct pmp_tls *t, const struct pmp_config *c, struct pmp_errmsg *msg) {
  struct stat info;
  memset(t, 0, sizeof *t);
  if (c->listen.tls_cert[0] == '\0') return PMP_OK;
  enum pmp_err err = read_pem(c->listen.tls_cert, "listen.tls_cert", &t->cert, msg);
  if (err == PMP_OK) err = read_pem(c->listen.tls_key, "listen.tls_key", &t->key, msg);
  /* A group may be let in: some systems keep one for it. */
  if (err == PMP_OK && stat(c->listen.tls_key, &info) == 0 && (info.st_mode & S_IRWXO) != 0)
    err =
        pmp_fail(msg, PMP_EINVALID, "listen.tls_key: %.200s may be read by everybody: chmod 600 it",
                 c->listen.tls_key);
  if (err == PMP_OK) err = check_pair(t, c, msg);
  if (err != PMP_OK) pmp_tls_fini(t);
  return err;
}

void pmp_tls_fini(struct pmp_tls *t) {
  if (t->key) sodium_memzero(t->key, strlen(t->key));
  free(t->cert);
  free(t->key);
  t->cert = t->key = NULL;
}
