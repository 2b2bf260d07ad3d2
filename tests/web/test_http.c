/* HTTP of a real daemon, by hand over sockets: routes, refusals, headers, sizes, slow and vanishing
 * peers. With arguments it is an actor for the tests in Python: see append_main. */
#include "tests/support/small_run.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ANSWER_MAX = 1 << 20 };

struct web {
  struct small_run run;
  char host[64]; /* 127.0.0.1:PORT */
  int port;
  char token[64];
  char *answer; /* the last one, whole */
  char bearer[64];
};

/* ---- a client ---- */

static void web_find(struct web *w) {
  char path[400];
  size_t size = 0;
  snprintf(path, sizeof path, "%s/http.url", w->run.d.dir);
  char *url = test_file_read(path, &size);
  assert_non_null(url);
  assert_int_equal(sscanf(url, "http://127.0.0.1:%d/#token=%60s", &w->port, w->token), 2);
  assert_int_equal(strlen(w->token), 43);
  snprintf(w->host, sizeof w->host, "127.0.0.1:%d", w->port);
  free(url);
}

static int dial(const struct web *w) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in a = {.sin_family = AF_INET,
                          .sin_port = htons((uint16_t)w->port),
                          .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  assert_true(fd >= 0);
  assert_int_equal(connect(fd, (const struct sockaddr *)&a, sizeof a), 0);
  return fd;
}

static void put(int fd, const char *data, size_t size) {
  while (size > 0) {
    const ssize_t n = send(fd, data, size, MSG_NOSIGNAL);
    if (n <= 0) return; /* it was closed on us: the answer says why */
    data += n;
    size -= (size_t)n;
  }
}

/* Reads until the end, `stop` is seen, or nothing came for ms. false: the last. */
static bool take(struct web *w, int fd, const char *stop, int ms) {
  size_t n = 0;
  w->answer[0] = '\0';
  for (;;) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (poll(&p, 1, ms) <= 0) return false;
    const ssize_t got = read(fd, w->answer + n, ANSWER_MAX - 1 - n);
    if (got <= 0) return true;
    n += (size_t)got;
    w->answer[n] = '\0';
    if (stop && strstr(w->answer, stop)) return true;
  }
}

static int status_of(const struct web *w) {
  int status = 0;
  return sscanf(w->answer, "HTTP/1.1 %d", &status) == 1 ? status : 0;
}

/* One request on a connection of its own; more: further header lines. */
static int ask(struct web *w, const char *method, const char *path, const char *more,
               const char *body) {
  char head[2048];
  const int fd = dial(w);
  const int n =
      snprintf(head, sizeof head,
               "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s%s%s%sContent-Length: "
               "%zu\r\n\r\n",
               method, path, w->host, w->bearer[0] ? "Authorization: Bearer " : "", w->bearer,
               w->bearer[0] ? "\r\n" : "", more, strlen(body));
  assert_true(n > 0 && (size_t)n < sizeof head);
  put(fd, head, (size_t)n);
  put(fd, body, strlen(body));
  assert_true(take(w, fd, NULL, 10000));
  close(fd);
  return status_of(w);
}

static int get(struct web *w, const char *path) {
  return ask(w, "GET", path, "", "");
}

static void has(const struct web *w, const char *part) {
  if (!strstr(w->answer, part)) fail_msg("\"%s\" is not in: %.600s", part, w->answer);
}

static void has_not(const struct web *w, const char *part) {
  if (strstr(w->answer, part)) fail_msg("\"%s\" is in: %.600s", part, w->answer);
}

/* The text after `key` up to a quote. */
static void field(const struct web *w, const char *key, char *out, size_t size) {
  char want[64];
  snprintf(want, sizeof want, "\"%s\":\"", key);
  const char *at = strstr(w->answer, want);
  if (!at) fail_msg("no %s in: %.600s", key, w->answer);
  at += strlen(want);
  const size_t n = strcspn(at, "\"");
  assert_true(n < size);
  memcpy(out, at, n);
  out[n] = '\0';
}

static void sign_in(struct web *w, const char *role, const char *name) {
  char body[256], id[64];
  w->bearer[0] = '\0';
  snprintf(body, sizeof body, "{\"role\":\"%s\",\"name\":\"%s\",\"token\":\"%s\"}", role, name,
           w->token);
  assert_int_equal(ask(w, "POST", "/api/session", "", body), 200);
  field(w, "session", id, sizeof id);
  assert_int_equal(strlen(id), 32);
  snprintf(w->bearer, sizeof w->bearer, "%s", id);
}

/* ---- items ---- */

/* A chunk of `items` unlabelled items of one row, with media of their own when wanted. */
static uint64_t append_items(struct test_rpc *actor, uint64_t seq, uint32_t items, bool media) {
  static struct pmp_item item[64];
  static struct pmp_media m[64][2];
  static char text[64][80];
  /* The smallest PNG: one grey pixel. */
  static const uint8_t png[] = {0x89, 'P', 'N',  'G',  '\r', '\n', 0x1a, '\n', 0,    0, 0, 13,
                                'I',  'H', 'D',  'R',  0,    0,    0,    1,    0,    0, 0, 1,
                                8,    0,   0,    0,    0,    0x3a, 0x7e, 0x9b, 0x55, 0, 0, 0,
                                10,   'I', 'D',  'A',  'T',  0x78, 0x9c, 0x63, 0x68, 0, 0, 0,
                                0x82, 0,   0x81, 0x77, 0xcd, 0x72, 0xb6, 0,    0,    0, 0, 'I',
                                'E',  'N', 'D',  0xae, 0x42, 0x60, 0x82};
  struct test_outcomes o;
  assert_true(items <= 64 && items % 4 == 0);
  test_outcomes_draw(&o, seq, items);
  struct pmp_chunk c = test_outcomes_chunk(&o, false, false);
  for (uint32_t i = 0; media && i < items; i++) {
    snprintf(text[i], sizeof text[i], "<b>Item %u</b> & \"quotes\" <script>alert(1)</script>", i);
    m[i][0] = (struct pmp_media){
        .name = "prompt", .type = "text/plain", .data = text[i], .bytes = strlen(text[i])};
    m[i][1] = (struct pmp_media){.name = "picture",
                                 .type = i % 2 ? "image/jpeg" : "image/png",
                                 .data = png,
                                 .bytes = sizeof png};
    item[i] = (struct pmp_item){.row = i, .rows = 1, .media = m[i], .medias = 2};
  }
  if (media) {
    c.item = item;
    c.items = items;
  }
  assert_int_equal(test_rpc_append_wait(actor, seq, &c, NULL, 0, 5000), PMP_OK);
  return actor->reply.u.append.chunk;
}

static int setup(void **state) {
  struct web *w = test_calloc(1, sizeof *w);
  w->answer = test_malloc(ANSWER_MAX);
  *state = w;
  small_run_init(&w->run);
  test_pmpod_set(&w->run.d, "label.judge=people");
  test_pmpod_set(&w->run.d, "learner.min_size=16");
  test_pmpod_set(&w->run.d, "limits.hello_timeout_ms=400");
  test_pmpod_set(&w->run.d, "limits.connections=48");
  test_pmpod_set(&w->run.d, "listen.http_hosts=pmpod.example lab:8443");
  small_run_start(&w->run);
  web_find(w);
  return 0;
}

static int teardown(void **state) {
  struct web *w = *state;
  small_run_disconnect(&w->run);
  if (w->run.d.pid > 0) test_pmpod_stop(&w->run.d);
  test_pmpod_fini(&w->run.d);
  test_free(w->answer);
  test_free(w);
  return 0;
}

static void fresh(struct web *w) {
  w->bearer[0] = '\0';
}

/* ---- tests ---- */

static void files_are_served_with_their_headers(void **state) {
  struct web *w = *state;
  fresh(w);
  assert_int_equal(get(w, "/"), 200);
  has(w, "Content-Type: text/html");
  has(w, "Content-Security-Policy: default-src 'self';");
  has(w, "frame-ancestors 'none'");
  has(w, "X-Content-Type-Options: nosniff");
  has(w, "Referrer-Policy: no-referrer");
  has_not(w, "unsafe-inline");
  has_not(w, "Access-Control-Allow");
  has_not(w, "Set-Cookie");
  has_not(w, " style=");
  has_not(w, "<script>");
  char etag[64] = "", line[128];
  const char *at = strstr(w->answer, "ETag: ");
  assert_non_null(at);
  assert_int_equal(sscanf(at, "ETag: %63s", etag), 1);
  snprintf(line, sizeof line, "If-None-Match: %s\r\n", etag);
  assert_int_equal(ask(w, "GET", "/", line, ""), 304);
  assert_int_equal(ask(w, "HEAD", "/chart.js", "", ""), 200);
  has(w, "Content-Type: text/javascript");
  assert_int_equal(get(w, "/openapi.json"), 200);
  assert_int_equal(get(w, "/../../etc/passwd"), 404);
  assert_int_equal(get(w, "/api/nothing"), 404);
  has(w, "Cache-Control: no-store");
  assert_int_equal(ask(w, "PUT", "/api/session", "", ""), 405);
  has(w, "Allow: POST, DELETE");
  assert_int_equal(ask(w, "POST", "/", "", ""), 405);
  has(w, "Allow: GET");
}

static void only_the_start_s_token_opens_a_session(void **state) {
  struct web *w = *state;
  fresh(w);
  char body[256];
  assert_int_equal(ask(w, "POST", "/api/session", "", "{\"role\":\"labeler\",\"name\":\"a\"}"),
                   401);
  snprintf(body, sizeof body, "{\"role\":\"labeler\",\"name\":\"a\",\"token\":\"%.42s_\"}",
           w->token);
  assert_int_equal(ask(w, "POST", "/api/session", "", body), 401);
  has(w, "WWW-Authenticate: Bearer");
  has_not(w, w->token);
  snprintf(body, sizeof body, "{\"role\":\"actor\",\"name\":\"a\",\"token\":\"%s\"}", w->token);
  assert_int_equal(ask(w, "POST", "/api/session", "", body), 400);
  snprintf(body, sizeof body, "{\"role\":\"labeler\",\"name\":\"a b\",\"token\":\"%s\"}", w->token);
  assert_int_equal(ask(w, "POST", "/api/session", "", body), 400);
  snprintf(body, sizeof body, "{\"role\":\"labeler\",\"nam\":\"ab\",\"token\":\"%s\"}", w->token);
  assert_int_equal(ask(w, "POST", "/api/session", "", body), 400);
  has(w, "\"code\":\"invalid\"");
  assert_int_equal(ask(w, "POST", "/api/session", "", "{"), 400);
  assert_int_equal(ask(w, "POST", "/api/session", "", "[]"), 400);
  assert_int_equal(get(w, "/api/status"), 401);
  snprintf(w->bearer, sizeof w->bearer, "%s", "00000000000000000000000000000000");
  assert_int_equal(get(w, "/api/status"), 401);
  sign_in(w, "observer", "eye");
  assert_int_equal(get(w, "/api/status"), 200);
  has(w, "\"store.rows\"");
  assert_int_equal(ask(w, "DELETE", "/api/session", "", ""), 200);
  assert_int_equal(get(w, "/api/status"), 401);
}

static int with_host(struct web *w, const char *lines) {
  char text[512];
  const int fd = dial(w);
  const int n =
      snprintf(text, sizeof text, "GET /api/about HTTP/1.1\r\n%sConnection: close\r\n\r\n", lines);
  put(fd, text, (size_t)n);
  assert_true(take(w, fd, NULL, 10000));
  close(fd);
  return status_of(w);
}

static void foreign_names_and_pages_are_refused(void **state) {
  struct web *w = *state;
  char line[256];
  fresh(w);
  snprintf(line, sizeof line, "Host: 127.0.0.1:%d\r\n", w->port);
  assert_int_equal(with_host(w, line), 200);
  snprintf(line, sizeof line, "Host: LocalHost:%d\r\n", w->port);
  assert_int_equal(with_host(w, line), 200);
  assert_int_equal(with_host(w, "Host: pmpod.example\r\n"), 200);
  assert_int_equal(with_host(w, "Host: pmpod.example:443\r\n"), 200);
  assert_int_equal(with_host(w, "Host: lab:8443\r\n"), 200);
  assert_int_equal(with_host(w, "Host: lab:1\r\n"), 403);
  assert_int_equal(with_host(w, "Host: evil.example\r\n"), 403);
  snprintf(line, sizeof line, "Host: evil.example:%d\r\n", w->port);
  assert_int_equal(with_host(w, line), 403);
  snprintf(line, sizeof line, "Host: 127.0.0.1.evil.example:%d\r\n", w->port);
  assert_int_equal(with_host(w, line), 403);
  snprintf(line, sizeof line, "Host: 127.0.0.1:%d\r\n", w->port + 1);
  assert_int_equal(with_host(w, line), 403);
  assert_int_equal(with_host(w, ""), 400);
  snprintf(line, sizeof line, "Origin: http://127.0.0.1:%d\r\n", w->port);
  assert_int_equal(ask(w, "GET", "/api/about", line, ""), 200);
  assert_int_equal(ask(w, "GET", "/api/about", "Origin: http://evil.example\r\n", ""), 403);
  assert_int_equal(ask(w, "GET", "/api/about", "Origin: null\r\n", ""), 403);
  assert_int_equal(ask(w, "GET", "/api/about", "Origin: http://127.0.0.1:1\r\n", ""), 403);
  assert_int_equal(ask(w, "GET", "/api/about", "Sec-Fetch-Site: cross-site\r\n", ""), 403);
  assert_int_equal(ask(w, "GET", "/", "Sec-Fetch-Site: cross-site\r\n", ""), 200);
}

static void items_go_out_and_verdicts_come_in(void **state) {
  struct web *w = *state;
  const uint64_t chunk = append_items(&w->run.actor, 1, 4, true);
  char path[128], body[512], line[64];
  sign_in(w, "labeler", "ann");
  assert_int_equal(ask(w, "POST", "/api/lease", "", "{\"count\":2}"), 200);
  snprintf(line, sizeof line, "\"item\":\"%llu:0\"", (unsigned long long)chunk);
  has(w, line);
  has(w, "<script>alert(1)</script>"); /* as a JSON text, of a type that is no page */
  has(w, "Content-Type: application/json");
  has(w, "\"waiting\":");
  snprintf(path, sizeof path, "/api/items/%llu:0/media/1", (unsigned long long)chunk);
  assert_int_equal(get(w, path), 200);
  has(w, "Content-Type: image/png");
  has(w, "sandbox");
  snprintf(path, sizeof path, "/api/items/%llu:1/media/1", (unsigned long long)chunk);
  assert_int_equal(get(w, path), 200);
  has(w, "Content-Type: image/jpeg");
  snprintf(path, sizeof path, "/api/items/%llu:3/media/1", (unsigned long long)chunk);
  assert_int_equal(get(w, path), 404); /* not leased */
  assert_int_equal(get(w, "/api/items/1:x/media/0"), 404);
  assert_int_equal(get(w, "/api/status"), 403);
  snprintf(body, sizeof body,
           "{\"verdicts\":[{\"request_id\":\"r1\",\"item\":\"%llu:0\",\"judgement\":\"accept\","
           "\"confidence\":0.6},{\"request_id\":\"r2\",\"item\":\"%llu:1\",\"judgement\":"
           "\"reject\"},{\"request_id\":\"r3\",\"item\":\"999:0\",\"judgement\":\"skip\"}]}",
           (unsigned long long)chunk, (unsigned long long)chunk);
  assert_int_equal(ask(w, "POST", "/api/verdicts", "", body), 200);
  has(w, "{\"results\":[{\"code\":\"ok\"");
  has(w, "\"code\":\"not found\"");
  assert_int_equal(ask(w, "POST", "/api/verdicts", "", body), 200);
  has(w, "\"duplicate\":true"); /* sent again */
  snprintf(
      body, sizeof body,
      "{\"verdicts\":[{\"request_id\":\"r4\",\"item\":\"%llu:0\",\"judgement\":\"withdraw\"}]}",
      (unsigned long long)chunk);
  assert_int_equal(ask(w, "POST", "/api/verdicts", "", body), 200);
  has(w, "{\"results\":[{\"code\":\"ok\"");
  const char *const bad[] = {
      "{\"verdicts\":[]}",
      "{\"verdicts\":[{\"request_id\":\"x\",\"item\":\"1\",\"judgement\":\"skip\"}]}",
      "{\"verdicts\":[{\"request_id\":\"\",\"item\":\"1:0\",\"judgement\":\"skip\"}]}",
      "{\"verdicts\":[{\"request_id\":\"x\",\"item\":\"1:0\",\"judgement\":\"like\"}]}",
      "{\"verdicts\":[{\"request_id\":\"x\",\"item\":\"1:0\",\"judgement\":\"skip\",\"confidence\":"
      "2}]}",
      "{\"verdicts\":[{\"request_id\":\"x\",\"item\":\"1:0+0\",\"judgement\":\"skip\"}]}",
      "{\"verdicts\":[7]}",
      "{\"verdicts\":[{\"request_id\":\"\xff\",\"item\":\"1:0\",\"judgement\":\"skip\"}]}"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
    assert_int_equal(ask(w, "POST", "/api/verdicts", "", bad[i]), 400);
  sign_in(w, "observer", "eye");
  assert_int_equal(ask(w, "POST", "/api/lease", "", "{\"count\":1}"), 403);
  assert_int_equal(ask(w, "POST", "/api/verdicts", "", body), 403);
  assert_int_equal(ask(w, "POST", "/api/control", "", "{\"action\":\"pause\"}"), 403);
  assert_int_equal(get(w, "/api/review/verdicts"), 200);
  has(w, "\"state\":\"withdrawn\"");
  assert_int_equal(get(w, "/api/review/labelers"), 200);
  has(w, "local:ann");
}

static void an_operator_controls(void **state) {
  struct web *w = *state;
  sign_in(w, "operator", "boss");
  assert_int_equal(ask(w, "POST", "/api/control", "", "{\"action\":\"pause\"}"), 200);
  assert_int_equal(ask(w, "POST", "/api/control", "", "{\"action\":\"resume\"}"), 200);
  assert_int_equal(ask(w, "POST", "/api/control", "",
                       "{\"action\":\"set\",\"key\":\"optim.lr\",\"value\":\"0.002\"}"),
                   200);
  has(w, "\"new\":\"0.002\"");
  assert_int_equal(ask(w, "POST", "/api/control", "",
                       "{\"action\":\"set\",\"key\":\"learner.batch\",\"value\":\"9\"}"),
                   400);
  assert_int_equal(ask(w, "POST", "/api/control", "", "{\"action\":\"dance\"}"), 400);
  assert_int_equal(ask(w, "POST", "/api/control", "", "{\"action\":\"pause\",\"key\":\"x\"}"), 400);
  assert_int_equal(get(w, "/api/settings"), 200);
  has(w, "{\"key\":\"optim.lr\",\"value\":\"0.002\"");
  sign_in(w, "observer", "eye");
  assert_int_equal(get(w, "/api/events?count=1000"), 200);
  has(w, "local:boss");
  assert_int_equal(get(w, "/api/events?count=-1"), 400);
  assert_int_equal(get(w, "/api/history?points=1e3"), 400);
  assert_int_equal(get(w, "/api/history?name=learner.loss&name=none&points=10"), 200);
}

static void bodies_are_bounded(void **state) {
  struct web *w = *state;
  char head[512];
  sign_in(w, "labeler", "big");
  int fd = dial(w); /* said to be too large: refused before it is read */
  int n = snprintf(head, sizeof head,
                   "POST /api/verdicts HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n"
                   "Content-Length: 99999999999\r\n\r\n",
                   w->host, w->bearer);
  put(fd, head, (size_t)n);
  assert_true(take(w, fd, "\r\n\r\n", 10000));
  assert_int_equal(status_of(w), 413);
  close(fd);
  fd = dial(w); /* without a length: read away, and then refused */
  n = snprintf(head, sizeof head,
               "POST /api/verdicts HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n"
               "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n",
               w->host, w->bearer);
  put(fd, head, (size_t)n);
  char *block = test_calloc(1, 65536 + 8);
  memcpy(block, "10000\r\n", 7);
  memset(block + 7, ' ', 65536);
  for (int i = 0; i < 20; i++) {
    put(fd, block, 7 + 65536);
    put(fd, "\r\n", 2);
  }
  put(fd, "0\r\n\r\n", 5);
  test_free(block);
  assert_true(take(w, fd, NULL, 10000));
  assert_int_equal(status_of(w), 413);
  close(fd);
  fresh(w); /* who is unknown is told before the body */
  assert_int_equal(ask(w, "POST", "/api/verdicts", "Expect: 100-continue\r\n", "{}"), 401);
  assert_int_equal(ask(w, "GET", "/api/about", "", "{}"), 400);
}

/* limits.hello_timeout_ms is 400 here: nobody holds a connection by saying nothing, or half. */
static void the_silent_are_cut_off(void **state) {
  struct web *w = *state;
  int fd[3];
  for (int i = 0; i < 3; i++) fd[i] = dial(w);
  put(fd[1], "GET / HT", 8);
  put(fd[2], "GET / HTTP/1.1\r\nHost: a\r\nX: ", 28);
  for (int i = 0; i < 3; i++) {
    assert_true(take(w, fd[i], NULL, 10000)); /* the end came */
    close(fd[i]);
  }
  fresh(w);
  assert_int_equal(get(w, "/"), 200);
}

static void connections_are_bounded(void **state) {
  struct web *w = *state;
  int fd[80];
  for (int i = 0; i < 80; i++) fd[i] = dial(w);
  for (int i = 0; i < 80; i++) {
    assert_true(take(w, fd[i], NULL, 10000));
    close(fd[i]);
  }
  fresh(w);
  assert_int_equal(get(w, "/"), 200);
}

/* Peers that vanish while the store or the reader works for them. */
static void vanishing_peers_harm_nobody(void **state) {
  struct web *w = *state;
  sign_in(w, "observer", "eye");
  char observer[64], head[1024], body[256];
  snprintf(observer, sizeof observer, "%s", w->bearer);
  const uint64_t chunk = append_items(&w->run.actor, 2, 64, false);
  sign_in(w, "labeler", "gone");
  for (int i = 0; i < 240; i++) {
    const int fd = dial(w);
    const int size =
        snprintf(body, sizeof body,
                 "{\"verdicts\":[{\"request_id\":\"v%d\",\"item\":\"%llu:%d\",\"judgement\":"
                 "\"%s\",\"note\":\"a note that the store reads\"}]}",
                 i % 64, (unsigned long long)chunk, i % 64, i % 2 ? "accept" : "reject");
    int n = 0;
    if (i % 3 == 0) {
      n = snprintf(head, sizeof head,
                   "GET /api/history?name=learner.loss&name=store.rows HTTP/1.1\r\nHost: %s\r\n"
                   "Authorization: Bearer %s\r\n\r\n",
                   w->host, observer);
    } else {
      n = snprintf(head, sizeof head,
                   "POST /api/verdicts HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n"
                   "Content-Length: %d\r\n\r\n%s",
                   w->host, w->bearer, size, i % 3 == 1 ? body : "{\"verd");
    }
    put(fd, head, (size_t)n);
    if (i % 5 == 0) {
      const struct linger now = {.l_onoff = 1, .l_linger = 0};
      setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    close(fd);
  }
  snprintf(w->bearer, sizeof w->bearer, "%s", observer);
  assert_int_equal(get(w, "/api/review/verdicts"), 200);
  has(w, "local:gone");
  assert_int_equal(get(w, "/api/status"), 200);
}

static void live_numbers_come_and_end_with_the_session(void **state) {
  struct web *w = *state;
  char head[256], line[64];
  sign_in(w, "observer", "eye");
  const int fd = dial(w);
  const int n = snprintf(head, sizeof head,
                         "GET /api/live HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n",
                         w->host, w->bearer);
  put(fd, head, (size_t)n);
  assert_true(take(w, fd, "\n\n", 10000));
  has(w, "Content-Type: text/event-stream");
  has(w, "event: status\ndata: {");
  assert_true(take(w, fd, "\n\n", 10000)); /* the next one */
  has(w, "event: status\ndata: {");
  snprintf(line, sizeof line, "%s", w->bearer);
  assert_int_equal(ask(w, "DELETE", "/api/session", "", ""), 200);
  assert_true(take(w, fd, "0\r\n\r\n", 10000));
  close(fd);
  sign_in(w, "labeler", "ann");
  assert_int_equal(get(w, "/api/live"), 403);
}

static void metrics_are_prometheus(void **state) {
  struct web *w = *state;
  fresh(w);
  assert_int_equal(get(w, "/metrics"), 200);
  has(w, "Content-Type: text/plain; version=0.0.4");
  has(w, "\n# TYPE pmpod_rpc_requests_total counter\npmpod_rpc_requests_total ");
  has(w, "\n# TYPE pmpod_store_rows gauge\npmpod_store_rows ");
  has(w, "pmpod_actor_rows{actor=\"a1\"} ");
}

/* Last: a stop ends streams and waiting requests. */
static void a_stop_waits_for_nobody(void **state) {
  struct web *w = *state;
  char head[256];
  sign_in(w, "observer", "eye");
  const int fd = dial(w), idle = dial(w);
  const int n = snprintf(head, sizeof head,
                         "GET /api/live HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n",
                         w->host, w->bearer);
  put(fd, head, (size_t)n);
  assert_true(take(w, fd, "\n\n", 10000));
  small_run_disconnect(&w->run);
  test_pmpod_stop(&w->run.d); /* exit code 0 */
  assert_true(take(w, fd, NULL, 10000));
  close(fd);
  close(idle);
  size_t size = 0;
  char *log = test_file_read(w->run.d.log, &size);
  assert_null(strstr(log, w->token)); /* the log never knew */
  free(log);
  const int port = w->port;
  char token[64];
  snprintf(token, sizeof token, "%s", w->token);
  test_pmpod_start(&w->run.d);
  web_find(w);
  assert_int_equal(w->port, port); /* pages that are still open find it again */
  assert_string_equal(w->token, token);
  small_run_connect(&w->run, 2);
}

/* test_http append DATA_URL ITEMS media|plain: appends unlabelled items of one row, for tests that
 * drive a browser. */
static int append_main(char **argv) {
  struct test_rpc actor;
  test_rpc_open(&actor, argv[2]);
  if (test_rpc_hello(&actor, PMP_ROLE_ACTOR, "painter", (uint8_t)getpid()) != PMP_OK) return 1;
  uint32_t left = (uint32_t)atoi(argv[3]);
  for (uint64_t seq = 1; left > 0; seq++) {
    const uint32_t now = left < 64 ? left : 64;
    (void)append_items(&actor, seq, now, strcmp(argv[4], "media") == 0);
    left -= now;
  }
  test_rpc_close(&actor);
  return 0;
}

int main(int argc, char **argv) {
  if (argc == 5 && strcmp(argv[1], "append") == 0) return append_main(argv);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(files_are_served_with_their_headers),
      cmocka_unit_test(only_the_start_s_token_opens_a_session),
      cmocka_unit_test(foreign_names_and_pages_are_refused),
      cmocka_unit_test(items_go_out_and_verdicts_come_in),
      cmocka_unit_test(an_operator_controls),
      cmocka_unit_test(bodies_are_bounded),
      cmocka_unit_test(the_silent_are_cut_off),
      cmocka_unit_test(connections_are_bounded),
      cmocka_unit_test(vanishing_peers_harm_nobody),
      cmocka_unit_test(live_numbers_come_and_end_with_the_session),
      cmocka_unit_test(metrics_are_prometheus),
      cmocka_unit_test(a_stop_waits_for_nobody),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
