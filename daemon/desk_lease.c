/* lease: who gets which item for how long. What a person is shown comes from the store, by way of a
 * reader thread; meanwhile the lease runs. */
#include "daemon/desk.h"
#include "daemon/rows.h"
#include "daemon/server.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *const orders = "oldest, random, least_labelled or most_uncertain";

void pmp_desk_tick(struct pmp_server *s, int64_t now_ns) {
  if (s->people.items) pmp_items_expire(s->people.items, now_ns);
}

void pmp_desk_upkeep(struct pmp_server *s, int64_t now_ns) {
  uint64_t gone[256];
  uint32_t count;
  if (!s->people.items) return;
  /* What is not told here is found out when somebody leases it. */
  while ((count = pmp_store_deleted(s->store, gone, 256)) > 0)
    for (uint32_t i = 0; i < count; i++) pmp_items_drop_chunk(s->people.items, gone[i]);
  pmp_desk_rescore(s, now_ns);
}

void pmp_desk_appended(struct pmp_server *s, const struct pmp_chunk *chunk, uint64_t id) {
  struct pmp_item item;
  enum pmp_err err = PMP_OK;
  for (uint32_t next = 0; s->people.items && err == PMP_OK && pmp_rows_item(chunk, &next, &item);) {
    const struct pmp_item_ref ref = {id, item.row, item.rows};
    err = pmp_items_add(s->people.items, ref, item.score, 0);
  }
  if (err != PMP_OK) pmp_server_fatal(s, "out of memory with a committed item in hand");
  pmp_desk_trim(s);
}

bool pmp_desk_room(struct pmp_server *s, uint32_t items) {
  struct pmp_items_stats st;
  for (;;) {
    pmp_items_stats(s->people.items, &st);
    if (st.open + s->people.pending + items <= s->config.limits.open_items) return true;
    if (!pmp_items_drop_skipped(s->people.items)) return false;
  }
}

void pmp_desk_trim(struct pmp_server *s) {
  struct pmp_items_stats st;
  if (!s->people.items || s->spec.shape != PMP_SHAPE_TRAJECTORIES) return;
  do pmp_items_stats(s->people.items, &st);
  while (st.open > s->config.limits.open_items && pmp_items_drop_oldest(s->people.items));
}

/* What was held and is leased no more, into work->lost. */
static enum pmp_err renew(struct pmp_server *s, const struct pmp_lease *l, int64_t until_ns,
                          struct pmp_lease_work *work) {
  work->lost = calloc(l->helds + 1, sizeof *work->lost);
  if (!work->lost) return PMP_ENOMEM;
  for (uint32_t i = 0; i < l->helds; i++) {
    if (!pmp_items_renew(s->people.items, l->held[i], work->person, until_ns))
      work->lost[work->losts++] = l->held[i];
  }
  return PMP_OK;
}

/* How many new ones it may have; refuses the call when its quota is used up. */
static bool allowed(struct pmp_server *s, struct pmp_call *call, const struct pmp_labeler *who,
                    uint32_t asked, uint32_t *count) {
  const uint64_t quota = s->config.desk.quota, given = who->given + who->pending;
  *count = asked < s->config.desk.leases ? asked : (uint32_t)s->config.desk.leases;
  if (quota == 0 || asked == 0) return true;
  if (given >= quota) {
    s->count.desk_refused_quota++;
    pmp_refuse(s, call, PMP_EFORBIDDEN, 0,
               "%s has given %" PRIu64 " verdicts, as many as desk.quota allows", who->name, given);
    return false;
  }
  if (*count > quota - given) *count = (uint32_t)(quota - given);
  return true;
}

static void finish(struct pmp_server *s, struct pmp_reply *reply,
                   const struct pmp_lease_work *work) {
  struct pmp_items_stats st;
  pmp_items_stats(s->people.items, &st);
  const struct pmp_labeler *who = pmp_labelers_get(&s->people.labelers, work->person);
  reply->verb = PMP_VERB_LEASE;
  reply->u.lease.waiting = st.offered;
  reply->u.lease.lost = work->lost;
  reply->u.lease.losts = work->losts;
  reply->u.lease.render = s->config.desk.render;
  reply->u.lease.judged = who ? who->given : 0;
  reply->u.lease.quota = s->config.desk.quota;
}

void pmp_desk_leased(struct pmp_server *s, struct pmp_call *call, struct pmp_reply *reply,
                     struct pmp_lease_work *work) {
  for (uint32_t i = 0; i < work->views; i++) {
    const struct pmp_item_ref ref = work->view[i].ref;
    if (work->fate[i] == PMP_LEASE_GONE) {
      pmp_items_drop_chunk(s->people.items, ref.chunk);
    } else if (work->fate[i] == PMP_LEASE_NO_ROOM || reply->code != PMP_OK) {
      pmp_items_release(s->people.items, ref, work->person);
    }
  }
  if (reply->code == PMP_OK) finish(s, reply, work);
  pmp_answer(s, call, reply);
  pmp_lease_work_free(work);
}

/* Leases and hands on to the reader; the call is answered in any case. */
static void lease(struct pmp_server *s, struct pmp_call *call, const struct pmp_lease *l,
                  enum pmp_items_order order, uint32_t count, int64_t until_ns,
                  struct pmp_lease_work *work) {
  struct pmp_reply reply = {.code = PMP_OK};
  work->view = calloc((size_t)count + 1, sizeof *work->view);
  work->fate = calloc((size_t)count + 1, sizeof *work->fate);
  if (!work->view || !work->fate) {
    pmp_refuse(s, call, PMP_EUNAVAILABLE, 1000, "out of memory");
    pmp_lease_work_free(work);
    return;
  }
  if (count > 0)
    work->views = pmp_items_lease(s->people.items, work->person, order, l->held, l->helds, until_ns,
                                  count, work->view);
  if (work->views == 0) {
    pmp_desk_leased(s, call, &reply, work);
    return;
  }
  if (pmp_readers_post(s->lease_reader, call, pmp_call_request(call), work) == PMP_OK) return;
  s->count.desk_refused_busy++;
  reply = (struct pmp_reply){
      .code = PMP_EBUSY, .message = "too many leases wait for the disk", .retry_after_ms = 50};
  pmp_desk_leased(s, call, &reply, work);
}

void pmp_serve_lease(struct pmp_server *s, struct pmp_call *call, struct pmp_session *session,
                     const struct pmp_lease *l) {
  enum pmp_items_order order = (enum pmp_items_order)s->config.desk.order;
  if (!s->people.items) {
    s->count.desk_refused_judge++;
    pmp_refuse(s, call, PMP_EUNAVAILABLE, 0,
               "this run is not judged by people (label.judge: people)");
    return;
  }
  if (l->order[0] && !pmp_items_order_named(l->order, &order)) {
    pmp_refuse(s, call, PMP_EINVALID, 0, "lease.order: \"%.40s\" is none of %s", l->order, orders);
    return;
  }
  const int64_t now = pmp_clock_mono(&s->clock);
  pmp_desk_tick(s, now);
  struct pmp_labeler *who = pmp_labelers_get(&s->people.labelers, session->principal);
  struct pmp_lease_work *work = calloc(1, sizeof *work);
  if (!who || !work) {
    free(work);
    pmp_refuse(s, call, PMP_EUNAVAILABLE, 1000, "out of memory");
    return;
  }
  who->heard_ns = now;
  snprintf(work->person, sizeof work->person, "%s", session->principal);
  work->now_ns = now;
  const uint64_t longest = s->config.desk.lease_s;
  const uint64_t seconds = l->seconds == 0 || l->seconds > longest ? longest : l->seconds;
  const int64_t until = now + (int64_t)seconds * 1000000000;
  for (uint32_t i = 0; i < l->releases; i++)
    pmp_items_release(s->people.items, l->release[i], work->person);
  uint32_t count = 0;
  if (!allowed(s, call, who, l->count, &count)) {
    pmp_lease_work_free(work);
    return;
  }
  if (renew(s, l, until, work) != PMP_OK) {
    pmp_refuse(s, call, PMP_EUNAVAILABLE, 1000, "out of memory");
    pmp_lease_work_free(work);
    return;
  }
  s->count.lease_requests++;
  lease(s, call, l, order, count, until, work);
}
