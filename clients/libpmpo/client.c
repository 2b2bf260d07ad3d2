#include "clients/libpmpo/client.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define URL_DEFAULT "tcp://127.0.0.1:7447"

/* ---- hello ---- */

static enum pmp_err copy_text(struct pmp_arena *arena, const char **text) {
  size_t size = strlen(*text) + 1;
  char *copy = pmp_arena_alloc(arena, size);
  if (copy == NULL) return PMP_ENOMEM;
  memcpy(copy, *text, size);
  *text = copy;
  return PMP_OK;
}

static enum pmp_err copy_greeting(struct pmpo_greeting *g, const struct pmp_hello_reply *from) {
  g->reply = *from;
  PMP_TRY(pmp_arena_init(&g->arena, strlen(from->run_id) + strlen(from->policy) +
                                        strlen(from->data_url) + from->actor_state.size + 1024));
  PMP_TRY(copy_text(&g->arena, &g->reply.run_id));
  PMP_TRY(copy_text(&g->arena, &g->reply.policy));
  PMP_TRY(copy_text(&g->arena, &g->reply.data_url));
  void *state = pmp_arena_alloc(&g->arena, from->actor_state.size);
  if (state == NULL) return PMP_ENOMEM;
  if (from->actor_state.size > 0) memcpy(state, from->actor_state.data, from->actor_state.size);
  g->reply.actor_state.data = state;
  return PMP_OK;
}

static void free_greeting(struct pmpo_greeting *g) {
  while (g != NULL) {
    struct pmpo_greeting *older = g->older;
    pmp_arena_fini(&g->arena);
    free(g);
    g = older;
  }
}

/* A daemon that came back must serve the same run. */
static enum pmp_err same_run(const struct pmpo *c, const struct pmp_hello_reply *was,
                             const struct pmp_hello_reply *now, struct pmp_errmsg *msg) {
  if (strcmp(was->run_id, now->run_id) != 0)
    return pmp_fail(msg, PMP_ECONFLICT, "%s now serves run %.64s; this client belongs to run %.64s",
                    c->desk.url, now->run_id, was->run_id);
  PMP_TRY(pmp_spec_match(&now->spec, &was->spec, msg));
  if (strcmp(was->policy, now->policy) != 0)
    return pmp_fail(msg, PMP_ECONFLICT, "%s: the run's policy is another one now", c->desk.url);
  if (c->id.role == PMP_ROLE_ACTOR && was->epoch != now->epoch)
    return pmp_fail(msg, PMP_ECONFLICT, "%s: the daemon has lost this actor's epoch %u (now %u)",
                    c->desk.url, was->epoch, now->epoch);
  return PMP_OK;
}

/* What of a greeting a caller may want to see again. */
static bool same_greeting(const struct pmp_hello_reply *a, const struct pmp_hello_reply *b) {
  return a->ref_version == b->ref_version && a->last_seq == b->last_seq &&
         a->actor_rows == b->actor_rows && a->lockstep == b->lockstep && a->seed == b->seed &&
         strcmp(a->data_url, b->data_url) == 0;
}

/* Called by every link's thread. */
static enum pmp_err on_hello(void *ctx, const struct pmp_hello_reply *reply,
                             struct pmp_errmsg *msg) {
  struct pmpo *c = ctx;
  struct pmpo_greeting *g = NULL;
  enum pmp_err err = PMP_OK;
  pthread_mutex_lock(&c->lock);
  struct pmpo_greeting *newest = atomic_load(&c->greeting);
  if (newest != NULL) err = same_run(c, &newest->reply, reply, msg);
  if (err != PMP_OK) goto out;
  if (newest != NULL && same_greeting(&newest->reply, reply)) goto out;
  struct pmp_hello_reply kept = *reply;
  if (atomic_load(&c->opened))
    kept.actor_state = (struct pmp_bytes){0}; /* an actor that lives on has its own */
  g = calloc(1, sizeof *g);
  err = g != NULL ? copy_greeting(g, &kept) : PMP_ENOMEM;
  if (err != PMP_OK) {
    free_greeting(g);
    goto out;
  }
  g->older = newest;
  atomic_store(&c->greeting, g);
out:
  pthread_mutex_unlock(&c->lock);
  if (err == PMP_OK) pmpo_saw_version(c, reply->ref_version);
  return err;
}

void pmpo_saw_version(struct pmpo *c, uint64_t version) {
  uint64_t seen = atomic_load(&c->id.ref_version);
  while (version > seen && !atomic_compare_exchange_weak(&c->id.ref_version, &seen, version)) {
  }
}

/* A daemon that listens everywhere names no host: it is the one that answers at the desk. */
static bool names_no_host(const char *url, const char **port) {
  static const char *const anywhere[] = {"://0.0.0.0:", "://[::]:"};
  for (size_t i = 0; i < sizeof anywhere / sizeof *anywhere; i++) {
    const char *at = strstr(url, anywhere[i]);
    *port = at != NULL ? at + strlen(anywhere[i]) : NULL;
    if (at != NULL) return true;
  }
  return false;
}

void pmpo_data_url(struct pmpo *c, char out[PMPO_URL_MAX]) {
  const char *url = atomic_load(&c->greeting)->reply.data_url, *port = NULL;
  const char *colon = strrchr(c->desk.url, ':');
  if (names_no_host(url, &port) && colon != NULL)
    snprintf(out, PMPO_URL_MAX, "%.*s:%s", (int)(colon - c->desk.url), c->desk.url, port);
  else
    snprintf(out, PMPO_URL_MAX, "%s", url[0] != '\0' ? url : c->desk.url);
}

/* The daemon may have come back with its data address elsewhere: the desk knows. */
static void on_silence(void *ctx, struct pmpo_link *link) {
  struct pmpo *c = ctx;
  struct pmpo_link desk;
  char url[PMPO_URL_MAX];
  if (pmpo_link_open(&desk, &c->id, c->desk.url, NULL) != PMP_OK) return;
  desk.on_hello = on_hello;
  desk.ctx_of_calls = c;
  /* A refusal will meet the link itself as well. */
  if (pmpo_link_hello(&desk, pmpo_deadline(c->id.request_ms), NULL) == PMP_OK) {
    pmpo_data_url(c, url);
    if (strcmp(url, link->url) != 0 && pmpo_link_move(link, url, NULL) != PMP_OK)
      link->greeted = false;
  }
  pmpo_link_close(&desk);
}

enum pmp_err pmpo_data_link(struct pmpo *c, struct pmpo_link *l, struct pmp_errmsg *msg) {
  char url[PMPO_URL_MAX];
  pmpo_data_url(c, url);
  PMP_TRY(pmpo_link_open(l, &c->id, url, msg));
  l->on_hello = on_hello;
  l->on_silence = on_silence;
  l->ctx_of_calls = c;
  return PMP_OK;
}

/* ---- open and close ---- */

/* USER@HOST, with everything that no name may hold replaced. */
static void default_name(char out[PMP_NAME_MAX]) {
  char host[64] = "localhost";
  const char *user = getenv("USER");
  if (gethostname(host, sizeof host - 1) != 0) strcpy(host, "localhost");
  host[sizeof host - 1] = '\0';
  snprintf(out, PMP_NAME_MAX, "%.31s@%.31s", user != NULL && user[0] != '\0' ? user : "user", host);
  for (char *s = out; *s != '\0'; s++)
    if (!isascii((unsigned char)*s) || (!isalnum((unsigned char)*s) && strchr("-_.@", *s) == NULL))
      *s = '_';
}

static char *copy_or_empty(const char *text) {
  return strdup(text != NULL ? text : "");
}

static enum pmp_err take_options(struct pmpo *c, const struct pmpo_options *o,
                                 struct pmp_errmsg *msg) {
  struct pmpo_identity *id = &c->id;
  id->role = o->role;
  if (o->role == PMP_ROLE_NONE) return pmp_fail(msg, PMP_EINVALID, "a client needs a role");
  if (o->name != NULL) {
    if (!pmp_name_valid(o->name))
      return pmp_fail(msg, PMP_EINVALID,
                      "'%.64s' is no name: 1 to 64 letters, digits, '-', '_', '.', '@'", o->name);
    snprintf(id->name, sizeof id->name, "%s", o->name);
  } else {
    default_name(id->name);
  }
  if (o->queue_chunks > 1024)
    return pmp_fail(msg, PMP_EINVALID, "queue_chunks %u is above 1024", o->queue_chunks);
  PMP_TRY(pmpo_token_find(o->token, o->token_file, o->role, &id->token, msg));
  id->ca = copy_or_empty(o->ca != NULL ? o->ca : getenv("PMPO_CA"));
  id->client = copy_or_empty(o->client);
  if (id->ca == NULL || id->client == NULL) return pmp_fail(msg, PMP_ENOMEM, "no memory");
  id->has_spec = o->spec != NULL;
  if (id->has_spec) id->spec = *o->spec;
  id->limits = pmp_wire_limits_default();
  id->connect_ms = o->connect_ms != 0 ? o->connect_ms : 10000;
  id->request_ms = o->request_ms != 0 ? o->request_ms : 5000;
  id->stop = o->stop;
  for (size_t got = 0; got < sizeof id->instance;) {
    ssize_t n = getrandom(id->instance + got, sizeof id->instance - got, 0);
    if (n < 0 && errno != EINTR)
      return pmp_fail(msg, PMP_EIO, "no random numbers: %s", strerror(errno));
    if (n > 0) got += (size_t)n;
  }
  return PMP_OK;
}

static enum pmp_err connect_all(struct pmpo *c, const struct pmpo_options *o,
                                struct pmp_errmsg *msg) {
  const char *url = o->url != NULL ? o->url : getenv("PMPO_URL");
  if (url == NULL || url[0] == '\0') url = URL_DEFAULT;
  int64_t deadline = pmpo_deadline(c->id.connect_ms);
  PMP_TRY(pmpo_link_open(&c->desk, &c->id, url, msg));
  c->desk.on_hello = on_hello;
  c->desk.ctx_of_calls = c;
  PMP_TRY(pmpo_link_hello(&c->desk, deadline, msg));
  if (o->role != PMP_ROLE_ACTOR) return PMP_OK;
  PMP_TRY(pmpo_data_link(c, &c->data, msg));
  PMP_TRY(pmpo_link_hello(&c->data, deadline, msg));
  return pmpo_queue_start(c, o->queue_chunks != 0 ? o->queue_chunks : 8, msg);
}

enum pmp_err pmpo_open(struct pmpo **out, const struct pmpo_options *options,
                       struct pmp_errmsg *msg) {
  *out = NULL;
  struct pmpo *c = calloc(1, sizeof *c);
  if (c == NULL) return pmp_fail(msg, PMP_ENOMEM, "no memory");
  pthread_mutex_init(&c->lock, NULL);
  enum pmp_err err = take_options(c, options, msg);
  if (err == PMP_OK) err = connect_all(c, options, msg);
  if (err != PMP_OK) {
    pmpo_close(c);
    return err;
  }
  atomic_store(&c->opened, true);
  *out = c;
  return PMP_OK;
}

void pmpo_close(struct pmpo *c) {
  if (c == NULL) return;
  atomic_store(&c->id.closing, true);
  pmpo_queue_stop(c);
  pmpo_link_close(&c->weights);
  pmpo_link_close(&c->data);
  pmpo_link_close(&c->desk);
  free_greeting(atomic_load(&c->greeting));
  if (c->id.token != NULL) explicit_bzero(c->id.token, strlen(c->id.token));
  free(c->id.token);
  free(c->id.ca);
  free(c->id.client);
  pthread_mutex_destroy(&c->lock);
  free(c);
}

/* ---- questions ---- */

const struct pmp_hello_reply *pmpo_run(const struct pmpo *c) {
  return &atomic_load(&((struct pmpo *)(uintptr_t)c)->greeting)->reply;
}

uint64_t pmpo_ref_version(const struct pmpo *c) {
  return atomic_load(&((struct pmpo *)(uintptr_t)c)->id.ref_version);
}

enum pmp_err pmpo_request(struct pmpo *c, const struct pmp_request *request,
                          struct pmp_arena *arena, struct pmp_reply *reply, int timeout_ms,
                          struct pmp_errmsg *msg) {
  if (request->verb == PMP_VERB_HELLO || request->verb == PMP_VERB_APPEND ||
      request->verb == PMP_VERB_WEIGHTS)
    return pmp_fail(msg, PMP_EINVALID, "hello, append and weights have functions of their own");
  return pmpo_link_request(&c->desk, request, 0, pmpo_deadline(timeout_ms), arena, reply, msg);
}

enum pmp_err pmpo_report(struct pmpo *c, const struct pmp_number *value, uint32_t count,
                         uint64_t ref_version, uint64_t env_steps, struct pmp_errmsg *msg) {
  struct pmp_request r = {.verb = PMP_VERB_REPORT};
  r.u.report = (struct pmp_report){
      .value = value, .count = count, .ref_version = ref_version, .env_steps = env_steps};
  unsigned char memory[8192];
  struct pmp_arena arena = {.base = memory, .capacity = sizeof memory};
  struct pmp_reply reply;
  return pmpo_request(c, &r, &arena, &reply, 2 * (int)c->id.request_ms, msg);
}
