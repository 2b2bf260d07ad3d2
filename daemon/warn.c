#include "daemon/warn.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MOSTLY 0.5      /* share of the steps that miss one kind of feedback */
#define FEW_WEIGHTS 0.1 /* effective share of a batch's set */
#define LEAST_SET 8     /* outcomes: below, a share says little */

struct lines {
  char *text;
  size_t used;
  uint32_t count;
};

PMP_PRINTF(2, 3) static void say(struct lines *l, const char *fmt, ...) {
  char line[200];
  va_list args;
  va_start(args, fmt);
  const int n = vsnprintf(line, sizeof line, fmt, args);
  va_end(args);
  const size_t size = n < 0 ? 0 : (size_t)n < sizeof line ? (size_t)n : sizeof line - 1;
  l->count++;
  if (size == 0 || l->used + size + 2 > PMP_WARN_BYTES) return;
  if (l->used > 0) l->text[l->used++] = '\n';
  memcpy(l->text + l->used, line, size + 1);
  l->used += size;
}

static double metric(const struct pmp_learn_status *s, const char *name) {
  for (uint32_t i = 0; i < s->lasts; i++)
    if (strcmp(s->last[i].name, name) == 0) return s->last[i].value;
  return NAN;
}

static void disk(struct lines *l, const struct pmp_warn_facts *f) {
  if (f->store->health != PMP_STORE_HEALTHY) say(l, "store: %.150s", f->store->reason);
  if (f->learn->checkpoint_failures > 0)
    say(l, "%" PRIu64 " checkpoints could not be written", f->learn->checkpoint_failures);
  if (f->metrics_lost > 0)
    say(l, "%" PRIu64 " batches of metrics are missing in the history", f->metrics_lost);
}

static void feedback(struct lines *l, const struct pmp_warn_facts *f) {
  const struct pmp_learn_status *s = f->learn;
  const bool verdicts = f->objective && !f->objective->pairs && !f->objective->needs_f;
  if (metric(s, "learner.informative") == 0)
    say(l, "no batch has anything that the objective learns from");
  if (metric(s, "learner.kl_margin") < 0)
    say(l, "the loss has no finite minimum (kl_margin below 0): raise objective.beta");
  const double no_accepted = metric(s, "learner.empty_accepted"),
               no_rejected = metric(s, "learner.empty_rejected");
  if (verdicts && s->live.alpha > 0 && no_accepted > MOSTLY)
    say(l, "%.0f %% of the steps have nothing accepted", 100 * no_accepted);
  if (verdicts && s->live.alpha < 1 && no_rejected > MOSTLY)
    say(l, "%.0f %% of the steps have nothing rejected", 100 * no_rejected);
  const double accepted = metric(s, "learner.accepted"), rejected = metric(s, "learner.rejected");
  if (accepted >= LEAST_SET && metric(s, "learner.ess_accepted") < FEW_WEIGHTS * accepted)
    say(l, "few weights rule: %.1f of %.0f accepted outcomes count",
        metric(s, "learner.ess_accepted"), accepted);
  if (rejected >= LEAST_SET && metric(s, "learner.ess_rejected") < FEW_WEIGHTS * rejected)
    say(l, "few weights rule: %.1f of %.0f rejected outcomes count",
        metric(s, "learner.ess_rejected"), rejected);
}

static void learner(struct lines *l, const struct pmp_learn_status *s) {
  if (s->skipped_steps > 0)
    say(l, "the guard left out %" PRIu64 " steps (KL above objective.kl_max, or not finite)",
        s->skipped_steps);
  if (s->skipped_rejected > 0)
    say(l, "the guard left out what was rejected in %" PRIu64 " steps", s->skipped_rejected);
  if (s->replay.broken > 0)
    say(l, "%" PRIu64 " rows lost their place in an episode", (uint64_t)s->replay.broken);
}

static void actors(struct lines *l, const struct pmp_warn_facts *f) {
  if (f->learn->state == PMP_LEARN_WAITING && !f->people && f->active == 0) {
    if (f->actors == 0)
      say(l, "waiting for data, and no actor is here");
    else
      say(l, "waiting for data, and none of %" PRIu32 " actors was heard of for a minute",
          f->actors);
  }
  if (f->tally->diverged > 0)
    say(l, "%" PRIu64 " of %" PRIu64 " episodes diverged", f->tally->diverged, f->tally->episodes);
  if (f->refused_invalid > 0)
    say(l, "%" PRIu64 " requests were refused as invalid (the log says whose)", f->refused_invalid);
}

uint32_t pmp_warnings(const struct pmp_warn_facts *f, char out[PMP_WARN_BYTES]) {
  struct lines l = {.text = out};
  out[0] = '\0';
  disk(&l, f);
  feedback(&l, f);
  learner(&l, f->learn);
  actors(&l, f);
  return l.count;
}
