/* weights and export: versions of the reference by byte ranges, long polls, and snapshots of the
 * policy on request. */
#include "daemon/server.h"
#include "policy/safetensors.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define RANGE_MAX ((size_t)4 << 20)

void pmp_weights_reserve(struct pmp_server *s, uint64_t at_least);

static void reserve_done(struct pmp_server *s, struct pmp_pending *p) {
  const enum pmp_err err = p->op.err;
  const uint64_t reserved = p->op.u.version.reserved;
  free(p);
  if (err != PMP_OK) { /* the next tick asks again */
    s->publisher.reserving = false;
    return;
  }
  if (pmp_publisher_reserved(&s->publisher, reserved, pmp_clock_mono(&s->clock)))
    pmp_weights_due(s);
}

void pmp_weights_reserve(struct pmp_server *s, uint64_t at_least) {
  if (s->publisher.reserving) return;
  struct pmp_pending *p = pmp_pending_new(s, PMP_OP_VERSION);
  if (!p) return;
  p->finish = reserve_done;
  p->op.u.version.up_to = at_least + PMP_VERSION_BLOCK;
  if (pmp_server_submit(s, p) != PMP_OK) {
    free(p);
    return;
  }
  s->publisher.reserving = true;
}

void pmp_weights_snapshot(struct pmp_server *s, struct pmp_snapshot *snapshot) {
  uint64_t want = 0;
  const uint64_t version = snapshot->version;
  if (pmp_publisher_offer(&s->publisher, snapshot, pmp_clock_mono(&s->clock), &want)) {
    if (version + PMP_VERSION_BLOCK / 4 > s->publisher.reserved) pmp_weights_reserve(s, version);
    pmp_weights_due(s);
  } else {
    pmp_weights_reserve(s, want);
  }
}

static enum pmp_err fill_views(const struct pmp_manifest *m, struct pmp_arena *a,
                               struct pmp_weights_reply *w) {
  struct pmp_wire_view *view = pmp_arena_zeroed(a, m->views, sizeof *view);
  if (!view) return PMP_ENOMEM;
  for (uint32_t i = 0; i < m->views; i++) {
    view[i].name = m->view[i].name;
    view[i].rank = m->view[i].rank;
    for (uint32_t k = 0; k < m->view[i].rank; k++) view[i].shape[k] = m->view[i].shape[k];
    view[i].offset = m->view[i].offset;
  }
  w->view = view;
  w->views = m->views;
  return PMP_OK;
}

static size_t range(uint64_t total, uint64_t offset, uint64_t length, size_t most) {
  if (offset >= total) return 0;
  uint64_t n = total - offset;
  if (n > length) n = length;
  return n > most ? most : (size_t)n;
}

static size_t range_max(const struct pmp_server *s) {
  const size_t half = s->limits.message_bytes / 2;
  return half < RANGE_MAX ? half : RANGE_MAX;
}

static void answer_weights(struct pmp_server *s, struct pmp_call *call,
                           const struct pmp_snapshot *snap) {
  const struct pmp_weights *q = &pmp_call_request(call)->u.weights;
  struct pmp_reply reply = {.code = PMP_OK, .verb = PMP_VERB_WEIGHTS};
  struct pmp_weights_reply *w = &reply.u.weights;
  w->version = snap->version;
  w->learner_step = snap->step;
  w->bytes = snap->floats * sizeof(float);
  w->hash = snap->hash;
  w->base_hash = "";
  w->policy = q->offset == 0 ? s->policy_json : "";
  w->offset = q->offset;
  if (q->offset > w->bytes) {
    pmp_refuse(s, call, PMP_EINVALID, 0,
               "weights.offset %" PRIu64 " is beyond the %" PRIu64 " bytes there are", q->offset,
               w->bytes);
    return;
  }
  if (q->offset == 0 &&
      fill_views(&pmp_learn_policy(s->learn)->manifest, &call->arena, w) != PMP_OK) {
    pmp_refuse(s, call, PMP_EUNAVAILABLE, 1000, "out of memory");
    return;
  }
  w->data = (struct pmp_bytes){.data = (const char *)snap->data + q->offset,
                               .size = range(w->bytes, q->offset, q->length, range_max(s))};
  pmp_answer(s, call, &reply);
}

static char *config_text(const struct pmp_server *s) {
  char *text = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&text, &size);
  if (!out) return NULL;
  pmp_config_print(&s->config, out);
  if (fclose(out) != 0) {
    free(text);
    return NULL;
  }
  return text;
}

static void answer_export(struct pmp_server *s, struct pmp_call *call,
                          const struct pmp_snapshot *snap) {
  const struct pmp_export *q = &pmp_call_request(call)->u.export_;
  const struct pmp_manifest *m = &pmp_learn_policy(s->learn)->manifest;
  struct pmp_st_tensor *tensor = pmp_arena_zeroed(&call->arena, m->views, sizeof *tensor);
  char *config = config_text(s);
  void *header = NULL;
  size_t header_size = 0;
  char version[24], step[24];
  snprintf(version, sizeof version, "%" PRIu64, snap->version);
  snprintf(step, sizeof step, "%" PRIu64, snap->step);
  struct pmp_errmsg msg = {{0}};
  enum pmp_err err = tensor && config ? PMP_OK : PMP_ENOMEM;
  for (uint32_t i = 0; err == PMP_OK && i < m->views; i++) {
    snprintf(tensor[i].name, sizeof tensor[i].name, "%s", m->view[i].name);
    tensor[i].dtype = PMP_ST_F32;
    tensor[i].rank = m->view[i].rank;
    for (uint32_t k = 0; k < m->view[i].rank; k++) tensor[i].shape[k] = m->view[i].shape[k];
    tensor[i].data = snap->data + m->view[i].offset;
    tensor[i].bytes = m->view[i].count * sizeof(float);
  }
  const struct pmp_st_meta meta[] = {{"format", "pmpod"},
                                     {"run_id", s->run_id},
                                     {"run_name", s->config.run.name},
                                     {"which", snap->policy ? "policy" : "reference"},
                                     {"version", version},
                                     {"learner_step", step},
                                     {"policy", s->policy_json},
                                     {"config", config}};
  if (err == PMP_OK)
    err = pmp_st_header(tensor, m->views, meta, sizeof meta / sizeof meta[0], &header, &header_size,
                        &msg);
  const size_t total = header_size + snap->floats * sizeof(float);
  const size_t n = range(total, q->offset, q->length ? q->length : total, range_max(s));
  char *data = err == PMP_OK ? malloc(n ? n : 1) : NULL;
  if (!data) {
    pmp_refuse(s, call, PMP_EUNAVAILABLE, 1000, "%s", msg.text[0] ? msg.text : "out of memory");
  } else {
    const size_t from_header = q->offset < header_size ? range(header_size, q->offset, n, n) : 0;
    if (from_header) memcpy(data, (char *)header + q->offset, from_header);
    const uint64_t rest = q->offset + from_header - header_size;
    if (n > from_header) memcpy(data + from_header, (char *)snap->data + rest, n - from_header);
    struct pmp_reply reply = {.code = PMP_OK, .verb = PMP_VERB_EXPORT};
    reply.u.export_ = (struct pmp_export_reply){.version = snap->version,
                                                .bytes = total,
                                                .offset = q->offset,
                                                .data = {.data = data, .size = n}};
    pmp_answer(s, call, &reply);
  }
  free(data);
  free(header);
  free(config);
}

static void answer_snapshot(struct pmp_server *s, struct pmp_call *call,
                            const struct pmp_snapshot *snap) {
  if (pmp_call_request(call)->verb == PMP_VERB_EXPORT) {
    answer_export(s, call, snap);
  } else {
    answer_weights(s, call, snap);
  }
}

/* The policy changes with every step: version 0 takes a snapshot (its version is the learner's
 * step plus one), later ranges name it. */
static void serve_policy(struct pmp_server *s, struct pmp_call *call, uint64_t version,
                         uint64_t offset) {
  if (version != 0) {
    if (s->publisher.policy && s->publisher.policy->version == version) {
      answer_snapshot(s, call, s->publisher.policy);
    } else {
      pmp_refuse(s, call, PMP_ENOTFOUND, 0,
                 "policy snapshot %" PRIu64 " is gone; begin again with version 0", version);
    }
    return;
  }
  if (offset != 0) {
    pmp_refuse(s, call, PMP_EINVALID, 0,
               "a later range must name the version that the first reply gave");
    return;
  }
  if (s->policy_waiting >= s->publisher.waiters_max) {
    pmp_refuse(s, call, PMP_EBUSY, 200,
               "a quarter of the data contexts wait for the policy already");
    return;
  }
  struct pmp_learn_in *in = calloc(1, sizeof *in);
  if (in) {
    in->kind = PMP_LEARN_POLICY;
    in->owner = call;
    s->policy_waiting++;
    if (pmp_learn_post(s->learn, in) == PMP_OK) return;
    s->policy_waiting--;
    free(in);
  }
  pmp_refuse(s, call, PMP_EBUSY, 100, "the learner's queue is full");
}

void pmp_weights_policy(struct pmp_server *s, struct pmp_learn_in *in, struct pmp_learn_out *out) {
  s->policy_waiting--;
  if (!out->snapshot) {
    pmp_refuse(s, in->owner, PMP_EUNAVAILABLE, 1000, "%s",
               out->msg.text[0] ? out->msg.text : "out of memory");
    return;
  }
  pmp_snapshot_release(s->publisher.policy);
  s->publisher.policy = out->snapshot;
  out->snapshot = NULL;
  answer_snapshot(s, in->owner, s->publisher.policy);
}

void pmp_weights_due(struct pmp_server *s) {
  struct pmp_call *call = NULL;
  while (pmp_publisher_due(&s->publisher, pmp_clock_mono(&s->clock), &call)) {
    const struct pmp_weights *q = &pmp_call_request(call)->u.weights;
    const struct pmp_snapshot *snap = pmp_publisher_find(&s->publisher, 0);
    if (snap && snap->version > q->newer_than) {
      answer_weights(s, call, snap);
    } else {
      pmp_refuse(s, call, PMP_ENOTFOUND, 0, "nothing newer than version %" PRIu64 " yet",
                 q->newer_than);
    }
  }
}

void pmp_serve_weights(struct pmp_server *s, struct pmp_call *call, const struct pmp_weights *q) {
  if (q->which == PMP_WHICH_POLICY) {
    serve_policy(s, call, q->version, q->offset);
    return;
  }
  const struct pmp_snapshot *snap = pmp_publisher_find(&s->publisher, q->version);
  if (q->version != 0) {
    if (snap) {
      answer_weights(s, call, snap);
    } else {
      pmp_refuse(s, call, PMP_ENOTFOUND, 0,
                 "version %" PRIu64 " is not (or no longer) kept; the newest is %" PRIu64,
                 q->version, pmp_publisher_version(&s->publisher));
    }
    return;
  }
  if (snap && snap->version > q->newer_than) {
    answer_weights(s, call, snap);
    return;
  }
  uint64_t wait_ms = q->wait_ms;
  if (wait_ms > s->config.limits.poll_ms) wait_ms = s->config.limits.poll_ms;
  const int64_t until = pmp_clock_mono(&s->clock) + (int64_t)wait_ms * 1000000;
  if (wait_ms == 0) {
    pmp_refuse(s, call, PMP_ENOTFOUND, 0, "nothing newer than version %" PRIu64 " yet",
               q->newer_than);
  } else if (!pmp_publisher_wait(&s->publisher, call, q->newer_than, until)) {
    pmp_refuse(s, call, PMP_EBUSY, 200, "a quarter of the data contexts hold long polls already");
  }
}

void pmp_serve_export(struct pmp_server *s, struct pmp_call *call, const struct pmp_export *q) {
  if (q->which == PMP_WHICH_POLICY) {
    serve_policy(s, call, q->version, q->offset);
    return;
  }
  if (q->version == 0 && q->offset != 0) {
    pmp_refuse(s, call, PMP_EINVALID, 0,
               "a later range must name the version that the first reply gave");
    return;
  }
  const struct pmp_snapshot *snap = pmp_publisher_find(&s->publisher, q->version);
  if (snap) {
    answer_export(s, call, snap);
  } else {
    pmp_refuse(s, call, PMP_ENOTFOUND, 0, "version %" PRIu64 " is not kept", q->version);
  }
}
