/* How uncertain the open items are, as the reward that is learned from verdicts sees them: a sweep
 * over all of them, in batches, while the reward is fitted or items come in. With each batch go the
 * items that would be asked next by the scores that they have.
 *
 * A batch's rows are read by a reader thread and scored by the learner's: one batch at a time is
 * all that this takes of memory. */
#include "daemon/desk.h"
#include "daemon/server.h"

#include <stdlib.h>

#define EVERY_NS 2000000000
#define BATCH 256
#define TOP 64 /* of a batch: with the largest scores */

/* Has anything happened since the sweep that ended last began? */
static bool wanted(struct pmp_server *s) {
  const struct pmp_rescoring *r = &s->people.rescoring;
  if (!s->people.items || s->config.reward.source != PMP_REWARD_PEOPLE || s->stopping) return false;
  const uint64_t fits = pmp_learn_reward_fits(s->learn);
  return fits > 0 && (!r->settled || r->fits != fits || r->appends != s->count.appends);
}

static void begin_sweep(struct pmp_server *s) {
  struct pmp_rescoring *r = &s->people.rescoring;
  r->settled = false;
  r->fits = pmp_learn_reward_fits(s->learn);
  r->appends = s->count.appends;
}

static uint32_t choose(struct pmp_server *s, struct pmp_items_view view[BATCH]) {
  struct pmp_rescoring *r = &s->people.rescoring;
  const uint32_t top = pmp_items_top(s->people.items, TOP, view);
  const uint32_t rest = pmp_items_walk(s->people.items, r->chunk, r->row, BATCH - top, view + top);
  if (rest > 0) {
    r->chunk = view[top + rest - 1].ref.chunk;
    r->row = view[top + rest - 1].ref.row;
  }
  if (rest < BATCH - top) r->chunk = r->row = 0; /* the end: its last batch */
  return top + rest;
}

void pmp_desk_rescore(struct pmp_server *s, int64_t now_ns) {
  struct pmp_rescoring *r = &s->people.rescoring;
  if (r->under_way || now_ns - r->begun_ns < EVERY_NS || !wanted(s)) return;
  r->begun_ns = now_ns;
  struct pmp_items_view view[BATCH];
  if (r->chunk == 0) begin_sweep(s);
  const uint32_t count = choose(s, view);
  struct pmp_score_work *work = calloc(1, sizeof *work);
  if (work) work->clip = calloc(count + 1, sizeof *work->clip);
  if (!work || !work->clip) {
    pmp_score_work_free(work);
    return;
  }
  work->clips = count;
  for (uint32_t i = 0; i < count; i++) work->clip[i].ref = view[i].ref;
  r->under_way = pmp_readers_post_score(s->reader, work) == PMP_OK;
  if (!r->under_way) pmp_score_work_free(work);
}

void pmp_desk_rows_found(struct pmp_server *s, struct pmp_score_work *work) {
  struct pmp_learn_in *in = work->obs && work->act ? calloc(1, sizeof *in) : NULL;
  if (in) {
    in->kind = PMP_LEARN_SCORE;
    in->score = work;
    if (pmp_learn_post(s->learn, in) == PMP_OK) return;
    free(in);
  }
  s->people.rescoring.under_way = false;
  pmp_score_work_free(work);
}

void pmp_desk_rescored(struct pmp_server *s, struct pmp_score_work *work) {
  struct pmp_rescoring *r = &s->people.rescoring;
  r->under_way = false;
  for (uint32_t i = 0; s->people.items && i < work->clips; i++) {
    if (!work->clip[i].scored) continue;
    pmp_items_score(s->people.items, work->clip[i].ref, work->clip[i].score);
    r->scored++;
  }
  if (r->chunk == 0) r->settled = true;
  pmp_score_work_free(work);
}
