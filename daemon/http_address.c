/* Where HTTP listens, which names are its own, and the token of the start. */
#include "daemon/http_internal.h"
#include "daemon/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define URL_FILE "http.url"

/* ---- listening ---- */

/* "HOST:PORT", "[V6]:PORT"; host without brackets. */
static enum pmp_err split(const char *text, char *host, size_t size, char port[8],
                          struct pmp_errmsg *msg) {
  const char *colon = strrchr(text, ':');
  size_t n = colon ? (size_t)(colon - text) : 0;
  const char *from = text;
  if (n >= 2 && text[0] == '[' && text[n - 1] == ']') {
    from++;
    n -= 2;
  }
  const bool digits = colon && colon[1] && strspn(colon + 1, "0123456789") == strlen(colon + 1);
  if (!digits || n == 0 || n >= size || strlen(colon + 1) >= 6 || atoi(colon + 1) > 65535) {
    return pmp_fail(msg, PMP_EINVALID,
                    "listen.http: \"%s\" is no address; write 127.0.0.1:8080, 127.0.0.1:0 or off",
                    text);
  }
  memcpy(host, from, n);
  host[n] = '\0';
  snprintf(port, 8, "%s", colon + 1);
  return PMP_OK;
}

static bool is_loopback(const struct sockaddr *a) {
  if (a->sa_family == AF_INET)
    return ntohl(((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr) >> 24 == 127;
  return a->sa_family == AF_INET6 &&
         IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr);
}

static int bind_one(const struct addrinfo *ai, uint16_t port) {
  struct sockaddr_storage a = {0};
  memcpy(&a, ai->ai_addr, ai->ai_addrlen);
  if (port && a.ss_family == AF_INET) ((struct sockaddr_in *)(void *)&a)->sin_port = htons(port);
  if (port && a.ss_family == AF_INET6) ((struct sockaddr_in6 *)(void *)&a)->sin6_port = htons(port);
  const int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  const int on = 1;
  (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, (const struct sockaddr *)&a, ai->ai_addrlen) == 0 && listen(fd, 128) == 0) return fd;
  const int err = errno;
  close(fd);
  errno = err;
  return -1;
}

static void url_path(const struct pmp_http *h, char out[620]) {
  snprintf(out, 620, "%s/" URL_FILE, h->server->dir);
}

/* What the last start of this run wrote: pages that are still open go on after a restart. */
static void recall(struct pmp_http *h, uint16_t *port) {
  char path[620], text[256] = "";
  *port = 0;
  url_path(h, path);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  struct stat st;
  const ssize_t n = read(fd, text, sizeof text - 1);
  const bool mine = fstat(fd, &st) == 0 && st.st_uid == geteuid() && (st.st_mode & 077) == 0;
  close(fd);
  if (n <= 0 || !mine) return; /* others may have read it */
  text[n] = '\0';
  char *hash = strstr(text, "/#token="), *end = strpbrk(text, "\r\n");
  if (end) *end = '\0';
  if (hash && strlen(hash + 8) == PMP_HTTP_TOKEN_MAX - 1)
    memcpy(h->token, hash + 8, PMP_HTTP_TOKEN_MAX);
  char *scheme = strstr(text, "://"), *slash = scheme ? strchr(scheme + 3, '/') : NULL;
  if (slash) *slash = '\0';
  const char *colon = slash ? strrchr(scheme + 3, ':') : NULL;
  const int p = colon ? atoi(colon + 1) : 0;
  if (p > 0 && p < 65536) *port = (uint16_t)p;
}

/* Names by which browsers may call us, from listen.http_hosts. */
static enum pmp_err read_names(struct pmp_http *h, struct pmp_errmsg *msg) {
  char text[PMP_CONFIG_TEXT_MAX], *save = NULL;
  snprintf(text, sizeof text, "%s", h->server->config.listen.http_hosts);
  for (char *w = strtok_r(text, " ,", &save); w; w = strtok_r(NULL, " ,", &save)) {
    if (h->names == PMP_HTTP_NAMES_MAX)
      return pmp_fail(msg, PMP_EINVALID, "listen.http_hosts: more than %d names",
                      PMP_HTTP_NAMES_MAX);
    snprintf(h->name[h->names++], PMP_CONFIG_TEXT_MAX, "%s", w);
  }
  return PMP_OK;
}

static enum pmp_err name_bound(struct pmp_http *h, int fd, struct pmp_errmsg *msg) {
  struct sockaddr_storage a = {0};
  socklen_t n = sizeof a;
  char host[INET6_ADDRSTRLEN] = "", port[8] = "";
  if (getsockname(fd, (struct sockaddr *)&a, &n) != 0 ||
      getnameinfo((const struct sockaddr *)&a, n, host, sizeof host, port, sizeof port,
                  NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return pmp_fail(msg, PMP_EINTERNAL, "listen.http: the socket has no name");
  h->loopback = is_loopback((const struct sockaddr *)&a);
  h->port = (uint16_t)atoi(port);
  const bool six = a.ss_family == AF_INET6;
  snprintf(h->host, sizeof h->host, "%s%s%s", six ? "[" : "", host, six ? "]" : "");
  snprintf(h->address, sizeof h->address, "http%s://%s:%s", h->tls ? "s" : "", h->host, port);
  return PMP_OK;
}

enum pmp_err pmp_http_listen(struct pmp_http *h, int *fd, struct pmp_errmsg *msg) {
  char host[PMP_CONFIG_TEXT_MAX], port[8];
  const char *text = h->server->config.listen.http;
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
  struct addrinfo *ai = NULL;
  uint16_t last = 0;
  PMP_TRY(read_names(h, msg));
  PMP_TRY(split(text, host, sizeof host, port, msg));
  const int rv = getaddrinfo(strcmp(host, "*") == 0 ? NULL : host, port, &hints, &ai);
  if (rv != 0) return pmp_fail(msg, PMP_EINVALID, "listen.http: %s: %s", text, gai_strerror(rv));
  recall(h, &last);
  *fd = -1;
  if (strcmp(port, "0") == 0 && last) *fd = bind_one(ai, last);
  if (*fd < 0) *fd = bind_one(ai, 0);
  const int err = errno;
  freeaddrinfo(ai);
  if (*fd < 0)
    return pmp_fail(msg, PMP_EUNAVAILABLE, "cannot listen on %s for HTTP: %s", text, strerror(err));
  return name_bound(h, *fd, msg);
}

/* ---- TLS ---- */

enum pmp_err pmp_http_read_tls(struct pmp_http *h, struct pmp_errmsg *msg) {
  struct pmp_tls tls;
  PMP_TRY(pmp_tls_load(&tls, &h->server->config, msg));
  h->cert = tls.cert;
  h->key = tls.key;
  h->tls = tls.cert != NULL;
  if (h->tls && MHD_is_feature_supported(MHD_FEATURE_TLS) != MHD_YES)
    return pmp_fail(msg, PMP_EUNAVAILABLE, "this libmicrohttpd has no TLS");
  return PMP_OK;
}

/* ---- names ---- */

static bool is_literal(const char *host, size_t n) {
  char text[64];
  unsigned char out[16];
  if (n >= sizeof text) return false;
  memcpy(text, host, n);
  text[n] = '\0';
  if (n > 2 && text[0] == '[' && text[n - 1] == ']') {
    text[n - 1] = '\0';
    return inet_pton(AF_INET6, text + 1, out) == 1;
  }
  return inet_pton(AF_INET, text, out) == 1;
}

static bool same(const char *a, size_t n, const char *b) {
  return strlen(b) == n && strncasecmp(a, b, n) == 0;
}

bool pmp_http_host_ours(const struct pmp_http *h, const char *host) {
  const size_t all = strlen(host);
  size_t n = all;
  const char *colon = strrchr(host, ':');
  if (colon && strchr(colon, ']')) colon = NULL; /* within [::1] */
  if (colon) n = (size_t)(colon - host);
  for (uint32_t i = 0; i < h->names; i++)
    if (same(host, all, h->name[i]) || same(host, n, h->name[i])) return true;
  const int standard = h->tls ? 443 : 80;
  if ((colon ? atoi(colon + 1) : standard) != h->port) return false;
  if (same(host, n, h->host)) return true;
  if (h->loopback) return same(host, n, "localhost");
  /* Names are what rebinding plays with; a number is where the browser itself went. */
  const bool any = strcmp(h->host, "0.0.0.0") == 0 || strcmp(h->host, "[::]") == 0;
  return any && is_literal(host, n);
}

bool pmp_http_origin_ours(const struct pmp_http *h, const char *origin) {
  const char *host = NULL;
  if (strncmp(origin, "http://", 7) == 0 && !h->tls) host = origin + 7;
  if (strncmp(origin, "https://", 8) == 0) host = origin + 8;
  return host && !strchr(host, '/') && pmp_http_host_ours(h, host);
}

/* ---- the token of the start ---- */

/* DIR/http.url, for this user alone: what a person opens. The log names the address only. */
static enum pmp_err write_url(const struct pmp_http *h, struct pmp_errmsg *msg) {
  char path[620], text[sizeof h->url + 2];
  url_path(h, path);
  const int n = snprintf(text, sizeof text, "%s\n", h->url);
  const void *part = text;
  const size_t size = (size_t)n;
  return pmp_fs_replace(pmp_fs_real(), path, &part, &size, 1, msg);
}

enum pmp_err pmp_http_start_token(struct pmp_http *h, struct pmp_errmsg *msg) {
  if (h->token[0] == '\0') {
    uint8_t raw[32];
    randombytes_buf(raw, sizeof raw);
    sodium_bin2base64(h->token, sizeof h->token, raw, sizeof raw,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
  }
  if (h->server->tokens.present || h->server->tokens_needed) {
    snprintf(h->url, sizeof h->url, "%s/", h->address); /* a person's own token is asked for */
  } else {
    snprintf(h->url, sizeof h->url, "%s/#token=%s", h->address, h->token);
  }
  return write_url(h, msg);
}
