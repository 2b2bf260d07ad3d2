#include "clients/libpmpo/secure.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define TOKEN_FILE_MAX 65536
#define PROBE_MS 1000
#define HOST_MAX 256
#define BLANKS " \t\r\n"

/* ---- tokens ---- */

static enum pmp_role role_of(const char *word) {
  static const char *const names[] = {"actor", "labeler", "observer", "operator"};
  for (int i = 0; i < 4; i++)
    if (strcmp(word, names[i]) == 0) return (enum pmp_role)(PMP_ROLE_ACTOR + i);
  return PMP_ROLE_NONE;
}

static const char *name_of(enum pmp_role role) {
  static const char *const names[] = {"no role", "actor", "labeler", "observer", "operator"};
  return names[role <= PMP_ROLE_OPERATOR ? role : 0];
}

/* Out of a text, which is cut into its words. */
static enum pmp_err pick(char *text, enum pmp_role role, const char *where, char **token,
                         struct pmp_errmsg *msg) {
  const char *any = NULL, *own = NULL;
  enum pmp_role of = PMP_ROLE_NONE;
  char *rest = NULL;
  bool some = false;
  for (char *word = strtok_r(text, BLANKS, &rest); word; word = strtok_r(NULL, BLANKS, &rest)) {
    const enum pmp_role named = role_of(word);
    if (named != PMP_ROLE_NONE) {
      of = named;
      continue;
    }
    some = true;
    if (of == PMP_ROLE_NONE && !any) any = word;
    if (of == role && !own) own = word;
    of = PMP_ROLE_NONE;
  }
  if (some && !own && !any)
    return pmp_fail(msg, PMP_EINVALID, "%.200s holds no token for the role %s", where,
                    name_of(role));
  *token = strdup(own ? own : any ? any : "");
  return *token ? PMP_OK : pmp_fail(msg, PMP_ENOMEM, "no memory");
}

static enum pmp_err pick_from_file(const char *path, enum pmp_role role, char **token,
                                   struct pmp_errmsg *msg) {
  struct stat info;
  char *text = NULL;
  if (strncmp(path, "pmp_", 4) == 0 && strchr(path, '/') == NULL && access(path, F_OK) != 0)
    return pmp_fail(msg, PMP_EINVALID,
                    "a token is never an argument, where everybody sees it: name a file that holds "
                    "it, or set PMPO_TOKEN");
  FILE *in = fopen(path, "re");
  if (!in) return pmp_fail(msg, PMP_EINVALID, "the token's file %.200s: %s", path, strerror(errno));
  enum pmp_err err = PMP_OK;
  if (fstat(fileno(in), &info) == 0 && S_ISREG(info.st_mode) && (info.st_mode & S_IRWXO) != 0)
    err = pmp_fail(msg, PMP_EINVALID,
                   "the token's file %.200s may be read by everybody: chmod 600 it", path);
  if (err == PMP_OK && (text = calloc(1, TOKEN_FILE_MAX)) == NULL)
    err = pmp_fail(msg, PMP_ENOMEM, "no memory");
  if (err == PMP_OK) {
    const size_t size = fread(text, 1, TOKEN_FILE_MAX - 1, in);
    err = size > 0 ? pick(text, role, path, token, msg)
                   : pmp_fail(msg, PMP_EINVALID, "the token's file %.200s is empty", path);
  }
  fclose(in);
  if (text) explicit_bzero(text, TOKEN_FILE_MAX);
  free(text);
  return err;
}

enum pmp_err pmpo_token_find(const char *given, const char *file, enum pmp_role role, char **token,
                             struct pmp_errmsg *msg) {
  *token = NULL;
  const char *text = given, *where = "what was given";
  if (!text && !file) {
    text = getenv("PMPO_TOKEN");
    where = "PMPO_TOKEN";
    if (text && text[0] == '\0') text = NULL;
    if (!text) file = getenv("PMPO_TOKEN_FILE");
  }
  if (!text && file && file[0] != '\0') return pick_from_file(file, role, token, msg);
  char *copy = strdup(text ? text : "");
  if (!copy) return pmp_fail(msg, PMP_ENOMEM, "no memory");
  const enum pmp_err err = pick(copy, role, where, token, msg);
  if (text) explicit_bzero(copy, strlen(text));
  free(copy);
  return err;
}

/* ---- TLS ---- */

bool pmpo_url_is_tls(const char *url) {
  return strncmp(url, "tls+tcp", 7) == 0;
}

/* The host of SCHEME://HOST:PORT, without the brackets of an IPv6 address. */
static bool host_of(const char *url, char host[HOST_MAX]) {
  const char *from = strstr(url, "://");
  const char *colon = from ? strrchr(from + 3, ':') : NULL;
  if (!colon) return false;
  from += 3;
  size_t length = (size_t)(colon - from);
  if (length >= 2 && from[0] == '[' && colon[-1] == ']') {
    from++;
    length -= 2;
  }
  if (length == 0 || length >= HOST_MAX) return false;
  memcpy(host, from, length);
  host[length] = '\0';
  return true;
}

static enum pmp_err make_tls(const char *name, const char *ca, nng_tls_config **tls,
                             struct pmp_errmsg *msg) {
  int rv = nng_tls_config_alloc(tls, NNG_TLS_MODE_CLIENT);
  if (rv == 0) rv = nng_tls_config_version(*tls, NNG_TLS_1_2, NNG_TLS_1_3);
  if (rv == 0)
    rv = nng_tls_config_auth_mode(*tls, ca ? NNG_TLS_AUTH_MODE_REQUIRED : NNG_TLS_AUTH_MODE_NONE);
  if (rv == 0) rv = nng_tls_config_server_name(*tls, name);
  enum pmp_err err = rv == 0 ? PMP_OK : pmp_fail(msg, PMP_ENOMEM, "TLS: %s", nng_strerror(rv));
  if (rv == 0 && ca && (rv = nng_tls_config_ca_file(*tls, ca)) != 0)
    err = pmp_fail(msg, PMP_EINVALID, "the CA's certificate %.200s cannot be read: %s", ca,
                   nng_strerror(rv));
  if (err == PMP_OK) return PMP_OK;
  if (*tls) nng_tls_config_free(*tls);
  *tls = NULL;
  return err;
}

enum pmp_err pmpo_tls_make(const char *url, const char *ca, nng_tls_config **tls,
                           struct pmp_errmsg *msg) {
  char host[HOST_MAX];
  *tls = NULL;
  if (!pmpo_url_is_tls(url)) return PMP_OK;
  if (!ca || ca[0] == '\0')
    return pmp_fail(msg, PMP_EINVALID,
                    "%.100s: TLS takes the certificate of the CA that signed the daemon's: --ca "
                    "FILE, or PMPO_CA",
                    url);
  if (!host_of(url, host)) return pmp_fail(msg, PMP_EINVALID, "%.100s names no host", url);
  return make_tls(host, ca, tls, msg);
}

/* ---- why nobody answers ---- */

struct contact {
  nng_stream_dialer *dialer;
  nng_aio *aio;
  nng_stream *stream;
};

static int hang_up(struct contact *c, int rv) {
  if (c->stream) nng_stream_free(c->stream);
  if (c->aio) nng_aio_free(c->aio);
  if (c->dialer) nng_stream_dialer_free(c->dialer);
  memset(c, 0, sizeof *c);
  return rv;
}

static int transfer(struct contact *c, void (*what)(nng_stream *, nng_aio *), void *data,
                    size_t size) {
  nng_iov iov = {.iov_buf = data, .iov_len = size};
  nng_aio_set_iov(c->aio, 1, &iov);
  what(c->stream, c->aio);
  nng_aio_wait(c->aio);
  return nng_aio_result(c->aio);
}

/* Dials, shakes hands, says what every nng client says first. 0: that went out. *reached: there is
 * somebody at the address. */
static int call_up(struct contact *c, const char *url, nng_tls_config *tls, bool *reached) {
  static const unsigned char greeting[8] = {0, 'S', 'P', 0, 0, 0x30, 0, 0};
  unsigned char out[8];
  memset(c, 0, sizeof *c);
  memcpy(out, greeting, sizeof out);
  int rv = nng_stream_dialer_alloc(&c->dialer, url);
  if (rv == 0 && tls) rv = nng_stream_dialer_set_ptr(c->dialer, NNG_OPT_TLS_CONFIG, tls);
  if (rv == 0) rv = nng_aio_alloc(&c->aio, NULL, NULL);
  if (rv != 0) return hang_up(c, rv);
  nng_aio_set_timeout(c->aio, PROBE_MS);
  nng_stream_dialer_dial(c->dialer, c->aio);
  nng_aio_wait(c->aio);
  if ((rv = nng_aio_result(c->aio)) != 0) return hang_up(c, rv);
  if (reached) *reached = true;
  c->stream = nng_aio_get_output(c->aio, 0);
  rv = transfer(c, nng_stream_send, out, sizeof out);
  return rv == 0 ? 0 : hang_up(c, rv);
}

/* Does the greeting come back, as from another nng? */
static bool greets(struct contact *c) {
  unsigned char in[8] = {0};
  const int rv = transfer(c, nng_stream_recv, in, sizeof in);
  const bool good = rv == 0 && nng_aio_count(c->aio) >= 4 && memcmp(in, "\0SP\0", 4) == 0;
  (void)hang_up(c, 0);
  return good;
}

static bool is_printable(const char *text) {
  for (; *text; text++)
    if (!isgraph((unsigned char)*text)) return false;
  return true;
}

/* Names in the certificate of whoever answers, for a person; the first one by itself. */
static void read_names(struct contact *c, char first[HOST_MAX], char *all, size_t size) {
  char **alt = NULL, *cn = NULL;
  size_t used = 0;
  first[0] = all[0] = '\0';
  if (nng_stream_get_ptr(c->stream, NNG_OPT_TLS_PEER_ALT_NAMES, (void **)&alt) != 0) alt = NULL;
  for (size_t i = 0; alt && alt[i]; i++) {
    /* An IP address is not text, and is left out. */
    if (alt[i][0] != '\0' && is_printable(alt[i]) && used + 2 < size) {
      const int n = snprintf(all + used, size - used, "%s%s", used ? ", " : "", alt[i]);
      used += n > 0 ? (size_t)n : 0;
      if (first[0] == '\0') snprintf(first, HOST_MAX, "%s", alt[i]);
    }
    free(alt[i]);
  }
  free(alt);
  if (first[0] != '\0') return;
  if (nng_stream_get_string(c->stream, NNG_OPT_TLS_PEER_CN, &cn) != 0 || !cn) return;
  snprintf(first, HOST_MAX, "%s", cn);
  snprintf(all, size, "%s", cn);
  nng_strfree(cn);
}

/* Shakes hands with whoever is there, trusting anybody (ca NULL) or the CA's for this name. */
static int shake(struct contact *c, const char *url, const char *ca, const char *name,
                 bool *reached) {
  nng_tls_config *tls = NULL;
  memset(c, 0, sizeof *c);
  if (make_tls(name, ca, &tls, NULL) != PMP_OK) return NNG_ENOMEM;
  const int rv = call_up(c, url, tls, reached);
  nng_tls_config_free(tls);
  return rv;
}

static enum pmp_err probe_tls(const char *url, const char *ca, const char *host,
                              struct pmp_errmsg *msg) {
  struct contact c;
  char first[HOST_MAX], names[200];
  bool reached = false;
  int rv = shake(&c, url, ca, host, &reached);
  if (rv == 0) {
    (void)hang_up(&c, 0);
    return PMP_OK;
  }
  if (!reached || rv == NNG_ETIMEDOUT) return PMP_OK;
  if (shake(&c, url, NULL, host, NULL) == 0) {
    read_names(&c, first, names, sizeof names);
    (void)hang_up(&c, 0);
    const bool signed_by_ca = first[0] != '\0' && shake(&c, url, ca, first, NULL) == 0;
    (void)hang_up(&c, 0);
    if (signed_by_ca)
      return pmp_fail(msg, PMP_EINVALID, "%.100s: its certificate is for %s, not for %.80s", url,
                      names, host);
    return pmp_fail(msg, PMP_EINVALID,
                    "%.100s: its certificate (%.80s) is not signed by the CA in %.120s, or expired",
                    url, names, ca);
  }
  char plain[HOST_MAX];
  snprintf(plain, sizeof plain, "%.250s", url + 4); /* without "tls+" */
  if (call_up(&c, plain, NULL, NULL) == 0 && greets(&c))
    return pmp_fail(msg, PMP_EINVALID, "%.100s: the daemon there speaks no TLS; write %.100s", url,
                    plain);
  return PMP_OK;
}

static enum pmp_err probe_plain(const char *url, const char *host, struct pmp_errmsg *msg) {
  struct contact c;
  char secure[HOST_MAX + 8];
  bool reached = false;
  if (call_up(&c, url, NULL, &reached) == 0 && greets(&c)) return PMP_OK;
  if (!reached) return PMP_OK;
  snprintf(secure, sizeof secure, "tls+%.250s", url);
  const int rv = shake(&c, secure, NULL, host, NULL);
  (void)hang_up(&c, 0);
  if (rv != 0) return PMP_OK;
  return pmp_fail(msg, PMP_EINVALID,
                  "%.100s: the daemon there speaks TLS; write %.100s, and --ca FILE (or PMPO_CA)",
                  url, secure);
}

enum pmp_err pmpo_probe(const char *url, const char *ca, struct pmp_errmsg *msg) {
  char host[HOST_MAX];
  if (!host_of(url, host)) return PMP_OK;
  if (pmpo_url_is_tls(url)) return probe_tls(url, ca, host, msg);
  return strncmp(url, "tcp://", 6) == 0 ? probe_plain(url, host, msg) : PMP_OK;
}
