/* Which path is which verb: requests become the wire's structs, and replies JSON. */
#include "daemon/http_internal.h"

#include <errno.h>
#include <math.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define HELLO_BODY_MAX 4096
#define CONTROL_BODY_MAX 8192
#define NAMES_MAX 64 /* series of one history */

/* ---- what requests share ---- */

bool pmp_http_bearer(struct pmp_http_request *r, uint8_t id[PMP_SESSION_BYTES]) {
  const char *h =
      MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);
  size_t n = 0;
  if (!h || strncasecmp(h, "Bearer ", 7) != 0 || strlen(h + 7) != 2 * PMP_SESSION_BYTES)
    return false;
  return sodium_hex2bin(id, PMP_SESSION_BYTES, h + 7, 2 * PMP_SESSION_BYTES, NULL, &n, NULL) == 0 &&
         n == PMP_SESSION_BYTES;
}

static bool body_json(struct pmp_http_request *r) {
  json_error_t error;
  r->json = json_loadb(r->body ? r->body : "", r->body_size, JSON_REJECT_DUPLICATES, &error);
  if (r->json) return true;
  pmp_http_fail(r, PMP_EINVALID, 0, "the body is no JSON: line %d, column %d: %s", error.line,
                error.column, error.text);
  return false;
}

static bool has_arena(struct pmp_http_request *r) {
  if (pmp_call_arena(&r->call.arena, 65536 + 2 * r->body_size) == PMP_OK) return true;
  pmp_http_fail(r, PMP_EUNAVAILABLE, 1000, "out of memory");
  return false;
}

/* A whole number of the query; absent: 0. false: answered. */
static bool query_number(struct pmp_http_request *r, const char *key, uint64_t max, uint64_t *out) {
  const char *s = MHD_lookup_connection_value(r->connection, MHD_GET_ARGUMENT_KIND, key);
  *out = 0;
  if (!s) return true;
  char *end = NULL;
  errno = 0;
  const unsigned long long v = strtoull(s, &end, 10);
  if (*s < '0' || *s > '9' || *end || errno || v > max) {
    pmp_http_fail(r, PMP_EINVALID, 0, "%s must be a whole number from 0 to %llu", key,
                  (unsigned long long)max);
    return false;
  }
  *out = v;
  return true;
}

/* The session's role is one of two; false: answered. */
static bool role_is(struct pmp_http_request *r, enum pmp_role a, enum pmp_role b) {
  struct pmp_server *s = r->http->server;
  struct pmp_session *session = pmp_sessions_find(
      &s->sessions, (struct pmp_bytes){r->session, sizeof r->session}, pmp_clock_mono(&s->clock));
  if (!session) {
    pmp_http_fail(r, PMP_EUNAUTHENTICATED, 0, "no such session");
    return false;
  }
  if (!pmp_sessions_allow(&s->sessions, session)) {
    pmp_http_fail(r, PMP_EBUSY, 1000, "too many requests a second");
    return false;
  }
  if (session->role == a || session->role == b) return true;
  pmp_http_fail(r, PMP_EFORBIDDEN, 0, "this is not for this session's role");
  return false;
}

/* ---- sessions ---- */

static void serve_about(struct pmp_http_request *r) {
  const struct pmp_server *s = r->http->server;
  pmp_http_reply_json(r, MHD_HTTP_OK,
                      json_pack("{s:s, s:b, s:b}", "version", PMP_VERSION, "tokens",
                                s->tokens.present || s->tokens_needed, "tls", r->http->tls));
}

/* Who shows a token may leave out what it says. */
static void adopt_token(struct pmp_server *s, struct pmp_hello *hello) {
  const struct pmp_token *token = NULL;
  if (!s->tokens.present || (hello->role != PMP_ROLE_NONE && hello->name[0])) return;
  if (pmp_tokens_check(&s->tokens, hello->token, pmp_clock_wall(&s->clock) / 1000000000, &token,
                       NULL) != PMP_OK) {
    if (hello->role == PMP_ROLE_NONE) hello->role = PMP_ROLE_OBSERVER; /* to be refused as wrong */
    if (!hello->name[0]) hello->name = "nobody";
    return;
  }
  if (hello->role == PMP_ROLE_NONE) hello->role = (enum pmp_role)token->role;
  if (!hello->name[0]) hello->name = token->name;
}

static void serve_session(struct pmp_http_request *r) {
  const struct pmp_http *h = r->http;
  struct pmp_hello *hello = &r->request.u.hello;
  struct pmp_errmsg msg = {{0}};
  if (!body_json(r)) return;
  const enum pmp_err err = pmp_json_read_hello(r->json, hello, &msg);
  if (err != PMP_OK) {
    pmp_http_fail(r, err, 0, "%s", msg.text);
    return;
  }
  if (!h->server->tokens.present && !h->server->tokens_needed) {
    const size_t n = strlen(h->token);
    if (strlen(hello->token) != n || sodium_memcmp(hello->token, h->token, n) != 0) {
      pmp_http_fail(r, PMP_EUNAUTHENTICATED, 0,
                    "open the page by the whole address that pmpod printed at its start (it is "
                    "also in http.url of the run's folder)");
      return;
    }
    hello->token = "";
  }
  adopt_token(h->server, hello);
  if (hello->role == PMP_ROLE_ACTOR) {
    pmp_http_fail(r, PMP_EFORBIDDEN, 0, "an actor's token does not open the page");
    return;
  }
  r->request.verb = PMP_VERB_HELLO;
  pmp_http_dispatch(r);
}

static void serve_session_end(struct pmp_http_request *r) {
  struct pmp_server *s = r->http->server;
  pmp_http_media_forget(r->http, r->session, NULL);
  pmp_sessions_end(&s->sessions, (struct pmp_bytes){r->session, sizeof r->session});
  pmp_http_reply_json(r, MHD_HTTP_OK, json_object());
}

static json_t *session_json(struct pmp_http_request *r, const struct pmp_hello_reply *h) {
  static const char *const judge[] = {
      [PMP_JUDGE_ACTOR] = "actor", [PMP_JUDGE_CRITIC] = "critic", [PMP_JUDGE_PEOPLE] = "people"};
  struct pmp_server *s = r->http->server;
  const struct pmp_session *p = pmp_sessions_find(
      &s->sessions, (struct pmp_bytes){h->session, PMP_SESSION_BYTES}, pmp_clock_mono(&s->clock));
  char id[PMP_HTTP_SESSION_TEXT];
  sodium_bin2hex(id, sizeof id, h->session, PMP_SESSION_BYTES);
  return json_pack("{s:s, s:s, s:s, s:{s:s, s:s, s:s, s:s, s:b}, s:o, s:I}", "session", id, "role",
                   pmp_json_role_name(r->request.u.hello.role), "name", p ? p->name : "", "run",
                   "id", h->run_id, "name", s->config.run.name, "task", s->spec.task, "judge",
                   judge[s->config.label.judge], "people", pmp_config_people(&s->config), "spec",
                   pmp_json_spec(&h->spec), "ref_version", (json_int_t)h->ref_version);
}

/* ---- items and verdicts ---- */

static void serve_lease(struct pmp_http_request *r) {
  struct pmp_errmsg msg = {{0}};
  if (!body_json(r) || !has_arena(r)) return;
  const enum pmp_err err = pmp_json_read_lease(r->json, &r->request.u.lease, PMP_HTTP_LEASE_MAX,
                                               &r->http->server->limits, &r->call.arena, &msg);
  if (err != PMP_OK) {
    pmp_http_fail(r, err, 0, "%s", msg.text);
    return;
  }
  r->request.verb = PMP_VERB_LEASE;
  pmp_http_dispatch(r);
}

static void serve_verdicts(struct pmp_http_request *r) {
  struct pmp_errmsg msg = {{0}};
  if (!body_json(r) || !has_arena(r)) return;
  const enum pmp_err err = pmp_json_read_verdicts(r->json, &r->request.u.verdicts,
                                                  &r->http->server->limits, &r->call.arena, &msg);
  if (err != PMP_OK) {
    pmp_http_fail(r, err, 0, "%s", msg.text);
    return;
  }
  r->request.verb = PMP_VERB_VERDICTS;
  pmp_http_dispatch(r);
}

/* Rows that people must judge before the learner steps: *needed of them in all (0: it has begun).
 */
static uint64_t rows_wanted(struct pmp_server *s, const struct pmp_learn_status *ls,
                            uint64_t *needed) {
  struct pmp_limiter_state lim;
  pmp_limiter_get(&s->limiter, &lim);
  const struct pmp_config *c = &s->config;
  const uint64_t need =
      c->learner.min_size > c->learner.batch ? c->learner.min_size : c->learner.batch;
  const uint64_t have = ls->replay.trainable;
  const double lack = (double)c->learner.batch - lim.d, each = c->learner.samples_per_verdict;
  uint64_t wanted = have < need ? need - have : 0;
  *needed = have < need ? need : 0;
  if (lack > 0 && each > 0 && ceil(lack / each) > (double)wanted)
    wanted = (uint64_t)ceil(lack / each);
  return wanted;
}

/* What a labeler should know of the learner; rows: of an item. */
static json_t *learner_json(struct pmp_server *s, uint32_t rows) {
  static const char *const name[] = {"loading", "running",  "waiting",
                                     "paused",  "finished", "failed"};
  struct pmp_learn_status ls;
  pmp_learn_status(s->learn, &ls);
  const uint64_t each = rows > 0 ? rows : 1;
  uint64_t wanted = ls.verdicts_wanted, needed = wanted > 0 ? s->config.reward.min_verdicts : 0;
  if (ls.state == PMP_LEARN_WAITING && s->config.label.judge == PMP_JUDGE_PEOPLE) {
    wanted = (rows_wanted(s, &ls, &needed) + each - 1) / each;
    needed = (needed + each - 1) / each;
  }
  return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I}", "state", name[ls.state], "reason",
                   ls.reason, "steps", (json_int_t)ls.steps, "version", (json_int_t)ls.version,
                   "trainable", (json_int_t)ls.replay.trainable, "verdicts_wanted",
                   (json_int_t)wanted, "verdicts_needed", (json_int_t)needed);
}

static json_t *lease_json(struct pmp_http_request *r, const struct pmp_lease_reply *lease) {
  for (uint32_t i = 0; i < lease->items; i++)
    pmp_http_media_keep(r->http, r->session, &lease->item[i]);
  json_t *j = pmp_json_lease(lease);
  const uint32_t rows = lease->items > 0 ? lease->item[0].item.rows : 0;
  if (j) json_object_set_new(j, "learner", learner_json(r->http->server, rows));
  return j;
}

static json_t *verdicts_json(struct pmp_http_request *r, const struct pmp_verdicts_reply *v) {
  for (uint32_t i = 0; i < v->count && i < r->request.u.verdicts.count; i++) {
    const struct pmp_verdict *said = &r->request.u.verdicts.verdict[i];
    const struct pmp_item_ref item = {said->chunk, said->row, said->rows};
    if (v->result[i].code == PMP_OK) pmp_http_media_forget(r->http, r->session, &item);
  }
  json_t *j = pmp_json_verdicts(v);
  const uint32_t rows = v->count > 0 ? r->request.u.verdicts.verdict[0].rows : 0;
  if (j) json_object_set_new(j, "learner", learner_json(r->http->server, rows));
  return j;
}

/* /api/items/C:R+N/media/I */
static void serve_media(struct pmp_http_request *r) {
  char item[PMP_ITEM_TEXT_MAX];
  struct pmp_item_ref ref;
  const char *from = r->url + strlen("/api/items/"), *slash = strchr(from, '/');
  const size_t n = slash ? (size_t)(slash - from) : 0;
  if (!role_is(r, PMP_ROLE_LABELER, PMP_ROLE_LABELER)) return;
  const bool shaped = n > 0 && n < sizeof item && strncmp(slash, "/media/", 7) == 0;
  if (shaped) {
    memcpy(item, from, n);
    item[n] = '\0';
  }
  const char *number = shaped ? slash + 7 : "";
  const bool good = *number && strspn(number, "0123456789") == strlen(number) &&
                    strlen(number) < 6 && pmp_json_item(item, &ref, NULL) == PMP_OK;
  if (!good) {
    pmp_http_fail(r, PMP_ENOTFOUND, 0, "there is nothing of this name here");
    return;
  }
  struct MHD_Response *have = pmp_http_media_find(r->http, r->session, ref, (uint32_t)atoi(number));
  if (!have) {
    pmp_http_fail(r, PMP_ENOTFOUND, 0, "this session has no such medium: lease the item again");
    return;
  }
  pmp_http_reply_shared(r, MHD_HTTP_OK, have);
}

/* ---- the run ---- */

static void serve_status(struct pmp_http_request *r) {
  r->request.verb = PMP_VERB_STATUS;
  r->request.u.status.actors = true;
  pmp_http_dispatch(r);
}

struct name_list {
  const char **name;
  uint32_t count;
  bool full;
};

static enum MHD_Result on_name(void *cls, enum MHD_ValueKind kind, const char *key,
                               const char *value) {
  (void)kind;
  struct name_list *l = cls;
  if (strcmp(key, "name") != 0 || !value) return MHD_YES;
  if (l->count == NAMES_MAX) {
    l->full = true;
    return MHD_NO;
  }
  l->name[l->count++] = value;
  return MHD_YES;
}

static void serve_history(struct pmp_http_request *r) {
  struct pmp_history *q = &r->request.u.history;
  uint64_t points = 0;
  if (!query_number(r, "from", INT64_MAX, &q->step_from) ||
      !query_number(r, "to", INT64_MAX, &q->step_to) || !query_number(r, "points", 2000, &points) ||
      !has_arena(r))
    return;
  struct name_list l = {.name = pmp_arena_array(&r->call.arena, NAMES_MAX, sizeof *l.name)};
  MHD_get_connection_values(r->connection, MHD_GET_ARGUMENT_KIND, on_name, &l);
  if (l.full) {
    pmp_http_fail(r, PMP_ETOOLARGE, 0, "more than %d names", NAMES_MAX);
    return;
  }
  q->name = l.name;
  q->names = l.count;
  q->points_max = points ? (uint32_t)points : 500;
  r->request.verb = PMP_VERB_HISTORY;
  pmp_http_dispatch(r);
}

static void serve_events(struct pmp_http_request *r) {
  uint64_t count = 0;
  if (!query_number(r, "after", INT64_MAX, &r->request.u.events.after) ||
      !query_number(r, "count", 1000, &count))
    return;
  r->request.u.events.count = (uint32_t)count;
  r->request.verb = PMP_VERB_EVENTS;
  pmp_http_dispatch(r);
}

static void serve_review(struct pmp_http_request *r, enum pmp_subject subject) {
  struct pmp_review *q = &r->request.u.review;
  uint64_t count = 0;
  if (!query_number(r, "after", INT64_MAX, &q->after) || !query_number(r, "count", 1000, &count))
    return;
  const char *who = MHD_lookup_connection_value(r->connection, MHD_GET_ARGUMENT_KIND, "who");
  if (who && strlen(who) >= PMP_SESSION_NAME_MAX) {
    pmp_http_fail(r, PMP_EINVALID, 0, "who has at most %d bytes", PMP_SESSION_NAME_MAX - 1);
    return;
  }
  q->subject = subject;
  q->count = (uint32_t)count;
  q->who = who ? who : "";
  r->request.verb = PMP_VERB_REVIEW;
  pmp_http_dispatch(r);
}

static void serve_review_items(struct pmp_http_request *r) {
  serve_review(r, PMP_SUBJECT_ITEMS);
}
static void serve_review_verdicts(struct pmp_http_request *r) {
  serve_review(r, PMP_SUBJECT_VERDICTS);
}
static void serve_review_labelers(struct pmp_http_request *r) {
  serve_review(r, PMP_SUBJECT_LABELERS);
}
static void serve_review_agreement(struct pmp_http_request *r) {
  serve_review(r, PMP_SUBJECT_AGREEMENT);
}

static void serve_control(struct pmp_http_request *r) {
  struct pmp_errmsg msg = {{0}};
  if (!body_json(r)) return;
  const enum pmp_err err =
      pmp_json_read_control(r->json, &r->request.u.control, &r->http->server->limits, &msg);
  if (err != PMP_OK) {
    pmp_http_fail(r, err, 0, "%s", msg.text);
    return;
  }
  r->request.verb = PMP_VERB_CONTROL;
  pmp_http_dispatch(r);
}

/* What may change while the run goes on, as it is now. */
static void serve_settings(struct pmp_http_request *r) {
  if (!role_is(r, PMP_ROLE_OBSERVER, PMP_ROLE_OPERATOR)) return;
  size_t count = 0;
  const struct pmp_config_key *keys = pmp_config_keys(&count);
  json_t *list = json_array();
  for (size_t i = 0; i < count; i++) {
    char value[PMP_CONFIG_TEXT_MAX], range[PMP_CONFIG_TEXT_MAX];
    if (!keys[i].live) continue;
    pmp_config_get(&r->http->server->config, &keys[i], value, sizeof value);
    pmp_config_range(&keys[i], range, sizeof range);
    json_array_append_new(list, json_pack("{s:o, s:s, s:s, s:s}", "key",
                                          json_sprintf("%s.%s", keys[i].section, keys[i].key),
                                          "value", value, "range", range, "doc", keys[i].doc));
  }
  pmp_http_reply_json(r, MHD_HTTP_OK, json_pack("{s:o}", "settings", list));
}

static void serve_live(struct pmp_http_request *r) {
  if (role_is(r, PMP_ROLE_OBSERVER, PMP_ROLE_OBSERVER)) pmp_http_live_serve(r);
}

/* ---- metrics ---- */

/* Prometheus keeps a token, not a session. */
static bool is_observer(struct pmp_http_request *r) {
  struct pmp_server *s = r->http->server;
  const char *h =
      MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);
  if (h && strncasecmp(h, "Bearer ", 7) == 0) {
    const struct pmp_token *token = NULL;
    if (pmp_tokens_check(&s->tokens, h + 7, pmp_clock_wall(&s->clock) / 1000000000, &token, NULL) ==
        PMP_OK)
      return token->role == PMP_ROLE_OBSERVER;
  }
  uint8_t id[PMP_SESSION_BYTES];
  if (!pmp_http_bearer(r, id)) return false;
  const struct pmp_session *session =
      pmp_sessions_find(&s->sessions, (struct pmp_bytes){id, sizeof id}, pmp_clock_mono(&s->clock));
  return session && session->role == PMP_ROLE_OBSERVER;
}

static void serve_metrics(struct pmp_http_request *r) {
  struct pmp_server *s = r->http->server;
  const bool open = r->http->loopback && !s->tokens.present && !s->tokens_needed;
  if (!open && !is_observer(r)) {
    pmp_http_fail(r, PMP_EUNAUTHENTICATED, 0,
                  "this wants Authorization: Bearer with an observer's token or session");
    return;
  }
  r->request.verb = PMP_VERB_STATUS;
  r->request.u.status.actors = true;
  r->call.user = &r->request;
  pmp_serve_status(s, &r->call, &r->request.u.status);
}

/* ---- the table ---- */

static void serve_file(struct pmp_http_request *r) {
  if (!pmp_http_static_serve(r))
    pmp_http_fail(r, PMP_ENOTFOUND, 0, "there is nothing of this name here");
}

static const struct pmp_http_route routes[] = {
    {"/api/about", "GET", false, 0, " ", serve_about},
    {"/api/session", "POST", false, HELLO_BODY_MAX, " ", serve_session},
    {"/api/session", "DELETE", true, 0, " ", serve_session_end},
    {"/api/lease", "POST", true, PMP_HTTP_BODY_MAX, " ", serve_lease},
    {"/api/items/*", "GET", true, 0, " ", serve_media},
    {"/api/verdicts", "POST", true, PMP_HTTP_BODY_MAX, " ", serve_verdicts},
    {"/api/status", "GET", true, 0, " ", serve_status},
    {"/api/history", "GET", true, 0, " name from to points ", serve_history},
    {"/api/events", "GET", true, 0, " after count ", serve_events},
    {"/api/review/items", "GET", true, 0, " after count ", serve_review_items},
    {"/api/review/verdicts", "GET", true, 0, " after count who ", serve_review_verdicts},
    {"/api/review/labelers", "GET", true, 0, " ", serve_review_labelers},
    {"/api/review/agreement", "GET", true, 0, " ", serve_review_agreement},
    {"/api/control", "POST", true, CONTROL_BODY_MAX, " ", serve_control},
    {"/api/settings", "GET", true, 0, " ", serve_settings},
    {"/api/live", "GET", true, 0, " ", serve_live},
    {"/api/*", "", false, 0, " ", NULL}, /* nothing else below here is a file */
    {"/metrics", "GET", false, 0, NULL, serve_metrics},
    {"/*", "GET", false, 0, NULL, serve_file},
};

static bool fits(const char *path, const char *url) {
  const size_t n = strlen(path);
  if (path[n - 1] == '*') return strncmp(path, url, n - 1) == 0;
  return strcmp(path, url) == 0;
}

const struct pmp_http_route *pmp_http_route_find(const char *method, const char *url,
                                                 const char **allow) {
  const char *want = strcmp(method, "HEAD") == 0 ? "GET" : method;
  *allow = NULL;
  for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
    if (!fits(routes[i].path, url)) continue;
    if (!routes[i].serve) return NULL;
    if (strcmp(routes[i].method, want) == 0) return &routes[i];
    *allow = *allow ? "POST, DELETE" : routes[i].method;
    const bool more = i + 1 < sizeof routes / sizeof routes[0] && fits(routes[i + 1].path, url) &&
                      strchr(routes[i + 1].path, '*') == NULL;
    if (!more) return NULL;
  }
  return NULL;
}

void pmp_http_answer_verb(struct pmp_http_request *r, const struct pmp_reply *reply) {
  json_t *j = NULL;
  switch (reply->verb) {
  case PMP_VERB_HELLO:
    j = session_json(r, &reply->u.hello);
    break;
  case PMP_VERB_LEASE:
    j = lease_json(r, &reply->u.lease);
    break;
  case PMP_VERB_VERDICTS:
    j = verdicts_json(r, &reply->u.verdicts);
    break;
  case PMP_VERB_STATUS:
    if (r->route->serve == serve_metrics) {
      pmp_http_reply(r, MHD_HTTP_OK, pmp_http_metrics_text(&reply->u.status));
      return;
    }
    j = pmp_json_status(&reply->u.status);
    break;
  case PMP_VERB_HISTORY:
    j = pmp_json_history(&reply->u.history);
    break;
  case PMP_VERB_EVENTS:
    j = pmp_json_events(&reply->u.events);
    break;
  case PMP_VERB_REVIEW:
    j = pmp_json_review(&reply->u.review, r->request.u.review.subject);
    break;
  case PMP_VERB_CONTROL:
    j = json_pack("{s:o}", "detail", json_loads(reply->u.control.detail, 0, NULL));
    break;
  default:
    break;
  }
  pmp_http_reply_json(r, MHD_HTTP_OK, j);
}
