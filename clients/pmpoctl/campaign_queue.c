#include "clients/pmpoctl/campaign_queue.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TICK_US 20000

struct queue {
  const struct pmp_campaign_world *world;
  const struct pmp_queue_options *options;
  struct pmp_campaign_progress progress;
  struct pmp_campaign_run_id *waiting; /* owned, (waits), the next one last */
  uint32_t waits;
  struct pmp_active_run *run[PMP_CAMPAIGN_JOBS_MAX]; /* owned, (slots); NULL: free */
  uint32_t slots;
  struct pmp_queue_outcome *outcome;
};

bool pmp_queue_takes(const struct pmp_campaign *c, struct pmp_campaign_run_id id,
                     const char *only) {
  char name[PMP_CAMPAIGN_RUN_NAME_MAX];
  return only == NULL || fnmatch(only, pmp_campaign_run_name(c, id, name), 0) == 0;
}

/* What is to be done. Runs that are done leave no samples, whatever ended the process that should
 * have removed them. */
static enum pmp_err enlist(struct queue *q, struct pmp_errmsg *msg) {
  const struct pmp_campaign *c = q->world->campaign;
  const uint32_t runs = pmp_campaign_runs(c);
  q->waiting = calloc(runs, sizeof *q->waiting);
  if (q->waiting == NULL) return pmp_fail(msg, PMP_ENOMEM, "out of memory");
  for (uint32_t i = runs; i-- > 0;) {
    const struct pmp_campaign_run_id id = pmp_campaign_run(c, i);
    struct pmp_ledger_run known;
    if (!pmp_queue_takes(c, id, q->options->only)) continue;
    pmp_ledger_run_of(q->world->ledger, c, id, &known);
    q->outcome->total++;
    if (known.done) {
      char folder[PMP_CHILD_PATH_MAX];
      pmp_campaign_run_folder(q->world, id, folder);
      if (!c->keep) pmp_campaign_run_clean(folder);
      q->outcome->done++;
    } else if (known.failed && !q->options->retry) {
      q->outcome->failed++;
    } else {
      q->waiting[q->waits++] = id;
    }
  }
  return PMP_OK;
}

static enum pmp_err fill_slots(struct queue *q, struct pmp_errmsg *msg) {
  for (uint32_t i = 0; i < q->slots && q->waits > 0; i++) {
    if (q->run[i] != NULL) continue;
    q->run[i] = calloc(1, sizeof *q->run[i]);
    if (q->run[i] == NULL) return pmp_fail(msg, PMP_ENOMEM, "out of memory");
    PMP_TRY(pmp_campaign_run_begin(q->run[i], q->world, q->waiting[--q->waits], msg));
    pmp_campaign_began(&q->progress, q->run[i]);
  }
  return PMP_OK;
}

static enum pmp_err step(struct queue *q, uint32_t i, struct pmp_errmsg *msg) {
  struct pmp_active_run *r = q->run[i];
  PMP_TRY(pmp_campaign_run_step(r, msg));
  if (r->evaluated) pmp_campaign_evaluated(&q->progress, r);
  r->evaluated = false;
  if (r->phase != PMP_RUN_ENDED) return PMP_OK;
  pmp_campaign_ended(&q->progress, r);
  q->outcome->done += r->done;
  q->outcome->failed += r->failed;
  pmp_campaign_run_fini(r);
  free(r);
  q->run[i] = NULL;
  return PMP_OK;
}

static uint32_t running(const struct queue *q) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < q->slots; i++) n += q->run[i] != NULL;
  return n;
}

static enum pmp_err work(struct queue *q, struct pmp_errmsg *msg) {
  for (;;) {
    const bool stop = pmp_ctl_stopped(q->world->stop);
    if (stop && !q->outcome->stopped) {
      q->outcome->stopped = true;
      if (running(q) > 0) pmp_campaign_note(&q->progress, "stopping: daemons write checkpoints");
    }
    if (!stop) PMP_TRY(fill_slots(q, msg));
    if (running(q) == 0) return PMP_OK;
    for (uint32_t i = 0; i < q->slots; i++) {
      if (q->run[i] == NULL) continue;
      if (stop) pmp_campaign_run_stop(q->run[i]);
      PMP_TRY(step(q, i, msg));
    }
    const struct pmp_campaign_moment m = {.world = q->world,
                                          .running = q->run,
                                          .slots = q->slots,
                                          .total = q->outcome->total,
                                          .done = q->outcome->done,
                                          .failed = q->outcome->failed,
                                          .waiting = q->waiting,
                                          .waits = q->waits};
    pmp_campaign_show(&q->progress, &m);
    usleep(TICK_US);
  }
}

enum pmp_err pmp_queue_run(const struct pmp_campaign_world *w, const struct pmp_queue_options *o,
                           struct pmp_queue_outcome *out, struct pmp_errmsg *msg) {
  struct queue *q = calloc(1, sizeof *q);
  if (q == NULL) return pmp_fail(msg, PMP_ENOMEM, "out of memory");
  memset(out, 0, sizeof *out);
  q->world = w;
  q->options = o;
  q->outcome = out;
  pmp_campaign_progress_begin(&q->progress, o->form);
  enum pmp_err err = enlist(q, msg);
  q->slots = o->jobs < q->waits ? o->jobs : q->waits;
  if (err == PMP_OK) err = work(q, msg);
  pmp_campaign_progress_end(&q->progress);
  for (uint32_t i = 0; i < q->slots; i++) {
    if (q->run[i] == NULL) continue;
    pmp_campaign_run_fini(q->run[i]);
    free(q->run[i]);
  }
  free(q->waiting);
  free(q);
  return err;
}
