#include "clients/pmpoctl/sender.h"

#include "clients/pmpoctl/answer.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define QUEUE_CHUNKS 8
#define WAIT_MS 10
#define QUIET_S 1.0 /* nothing taken for so long: what does the run say? */
#define ASK_MS 500
#define OVER_S 3.0 /* held back for so long by a run that is over */

/* What the daemon keeps with each chunk. */
static const char magic[8] = {'p', 'm', 'p', 'i', 'm', 'p', '0', '1'};
struct state {
  char magic[8];
  uint64_t rows; /* little-endian, as every number on the wire */
};

static enum pmp_err read_state(struct pmp_sender *s, uint64_t total, struct pmp_errmsg *msg) {
  const struct pmp_hello_reply *run = pmpo_run(s->actor);
  struct state state = {.rows = 0};
  if (run->actor_rows == 0 && run->actor_state.size == 0) {
    s->base = 0;
    return PMP_OK;
  }
  if (run->actor_state.size == sizeof state) memcpy(&state, run->actor_state.data, sizeof state);
  if (memcmp(state.magic, magic, sizeof magic) != 0 || state.rows != run->actor_rows ||
      state.rows > total)
    return pmp_fail(msg, PMP_ECONFLICT,
                    "the run has %" PRIu64 " rows of an actor %s that no import of this file sent",
                    run->actor_rows, s->name);
  s->base = state.rows;
  return PMP_OK;
}

enum pmp_err pmp_sender_open(struct pmp_sender *s, uint64_t total, struct pmp_errmsg *msg) {
  struct pmp_ctl as = *s->ctl; /* the same daemon under the rows' name */
  as.name = s->name;
  s->elsewhere = false;
  s->waiting[0] = '\0';
  PMP_TRY(pmp_ctl_url(s->ctl, s->url, msg));
  PMP_TRY(pmp_ctl_connect(&as, PMP_ROLE_ACTOR, s->url, as.timeout_s, as.stop, &s->actor, msg));
  s->moved_on = s->asked = s->heard = pmp_ctl_now();
  s->busy = 0;
  PMP_TRY(read_state(s, total, msg));
  s->there = s->base;
  return PMP_OK;
}

void pmp_sender_close(struct pmp_sender *s) {
  pmpo_close(s->actor);
  s->actor = NULL;
}

/* ---- why nothing moves ---- */

static const char *text_of(const struct pmp_status_reply *r, const char *name) {
  const char *t = pmp_answer_text(r->text, r->texts, name);
  return t != NULL ? t : "";
}

static enum pmp_err explain(struct pmp_sender *s, const struct pmp_status_reply *r, bool held,
                            double now, struct pmp_errmsg *msg) {
  const char *state = text_of(r, "state"), *reason = text_of(r, "reason");
  const double open = pmp_answer_number(r->number, r->numbers, "store.open_items");
  const double full = pmp_answer_number(r->number, r->numbers, "ingest.open_items_busy");
  const bool people = isfinite(full) && (uint64_t)full > s->open_items_busy;
  if (people) s->open_items_busy = (uint64_t)full;
  if (held && people) {
    snprintf(s->waiting, sizeof s->waiting,
             "held back: %.0f rows wait for people already (limits.open_items)", open);
    return PMP_OK;
  }
  snprintf(s->waiting, sizeof s->waiting, "%s%s%s%.160s",
           held ? "held back, the run is " : "the run is ", state, reason[0] != '\0' ? ": " : "",
           reason);
  if (!held || strcmp(state, "finished") != 0 || now - s->moved_on < OVER_S) return PMP_OK;
  return pmp_fail(msg, PMP_EBUSY,
                  "the run is over (%.80s) and its rate limiter takes no more rows: %" PRIu64
                  " are there; raise run.max_steps, or set learner.tolerance to unlimited, and run "
                  "the same command again",
                  reason, s->there);
}

/* The daemon does not answer: is it gone, or at another address by now? */
static enum pmp_err is_silent(struct pmp_sender *s, double now, struct pmp_errmsg *msg) {
  char url[PMP_CTL_URL_MAX];
  struct pmp_errmsg none;
  snprintf(s->waiting, sizeof s->waiting, "no answer for %.0f s", now - s->heard);
  if (now - s->heard > s->lost_s)
    return pmp_fail(msg, PMP_ETIMEOUT,
                    "no answer for %.0f s; %" PRIu64 " rows are there, the same command goes on",
                    now - s->heard, s->there);
  if (pmp_ctl_url(s->ctl, url, &none) != PMP_OK || strcmp(url, s->url) == 0) return PMP_OK;
  s->elsewhere = true;
  return pmp_fail(msg, PMP_EUNAVAILABLE, "the daemon is at %s now", url);
}

static enum pmp_err ask_why(struct pmp_sender *s, uint64_t busy, double now,
                            struct pmp_errmsg *msg) {
  const struct pmp_request q = {.verb = PMP_VERB_STATUS};
  struct pmp_reply reply;
  struct pmp_errmsg why = {{0}};
  pmp_arena_release(&s->ctl->arena, 0);
  s->asked = now;
  const enum pmp_err err = pmpo_request(s->ctl->client, &q, &s->ctl->arena, &reply, ASK_MS, &why);
  if (err == PMP_OK && reply.verb == PMP_VERB_STATUS) {
    const bool held = busy > s->busy;
    s->busy = busy;
    s->heard = pmp_ctl_now();
    return explain(s, &reply.u.status, held, now, msg);
  }
  if (err == PMP_ETIMEOUT || err == PMP_EBUSY || err == PMP_EUNAVAILABLE)
    return is_silent(s, pmp_ctl_now(), msg);
  return pmp_fail(msg, err != PMP_OK ? err : PMP_EINTERNAL, "%s", why.text);
}

/* ---- sending ---- */

/* A little patience, and a look at how it goes. *pending: chunks that are not acknowledged. */
static enum pmp_err wait_some(struct pmp_sender *s, uint32_t *pending, struct pmp_errmsg *msg) {
  struct pmpo_append_stats stats;
  const enum pmp_err err = pmpo_flush(s->actor, WAIT_MS, msg);
  if (err != PMP_OK && err != PMP_ETIMEOUT) return err;
  pmpo_append_stats(s->actor, &stats);
  *pending = stats.pending;
  const double now = pmp_ctl_now();
  const uint64_t there = s->base + stats.rows_acked;
  if (there != s->there || stats.pending == 0) {
    s->there = there;
    s->busy = stats.busy;
    s->moved_on = s->heard = now;
    s->waiting[0] = '\0';
  } else if (now - s->moved_on >= QUIET_S && now - s->asked >= QUIET_S) {
    PMP_TRY(ask_why(s, stats.busy, now, msg));
  }
  if (s->show != NULL) s->show(s->show_ctx, s);
  return PMP_OK;
}

enum pmp_err pmp_sender_append(struct pmp_sender *s, const struct pmp_chunk *chunk, uint64_t rows,
                               struct pmp_errmsg *msg) {
  struct state state = {.rows = rows};
  struct pmpo_append_stats stats;
  memcpy(state.magic, magic, sizeof magic);
  pmpo_append_stats(s->actor, &stats);
  for (uint32_t pending = stats.pending; pending == QUEUE_CHUNKS;)
    PMP_TRY(wait_some(s, &pending, msg));
  const struct pmp_bytes kept = {.data = &state, .size = sizeof state};
  return pmpo_append(s->actor, chunk, kept, msg);
}

enum pmp_err pmp_sender_flush(struct pmp_sender *s, struct pmp_errmsg *msg) {
  for (uint32_t pending = 1; pending > 0;) PMP_TRY(wait_some(s, &pending, msg));
  return PMP_OK;
}
