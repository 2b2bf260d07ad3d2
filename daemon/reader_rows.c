/* The rows of open clips, for the learner to score. */
#include "daemon/reader_desk.h"
#include "daemon/rows.h"

#include <stdlib.h>
#include <string.h>

#define FLOATS_MAX ((size_t)4 << 20) /* of one batch of clips */

/* The chunk's rows as arrays, which live until the next call. */
static enum pmp_err rows_of(struct pmp_desk_reader *r, uint64_t chunk, uint64_t *last,
                            struct pmp_replay_rows *rows) {
  struct pmp_errmsg msg = {{0}};
  if (*last == chunk) return PMP_OK;
  *last = 0;
  PMP_TRY(pmp_desk_reader_chunk(r, chunk, &msg));
  PMP_TRY(pmp_call_arena(&r->rows, pmp_rows_scratch(r->spec, r->decoded.rows) + 65536));
  PMP_TRY(pmp_rows_from_chunk(r->spec, &r->decoded, &r->rows, rows));
  *last = chunk;
  return PMP_OK;
}

void pmp_desk_reader_rows(struct pmp_desk_reader *r, struct pmp_score_work *work) {
  const size_t obs = pmp_spec_obs_size(r->spec), act = r->spec->action.dim;
  size_t total = 0;
  uint32_t clips = 0;
  for (; clips < work->clips; clips++) {
    total += work->clip[clips].ref.rows;
    if (total * (obs + act) > FLOATS_MAX) break;
  }
  work->clips = clips; /* the others with the next batch */
  work->obs = calloc(total * obs + 1, sizeof *work->obs);
  work->act = calloc(total * act + 1, sizeof *work->act);
  if (!work->obs || !work->act) return;
  struct pmp_replay_rows rows = {0};
  uint64_t last = 0;
  for (uint32_t i = 0; i < work->clips; i++) {
    struct pmp_score_clip *c = &work->clip[i];
    if (rows_of(r, c->ref.chunk, &last, &rows) != PMP_OK) continue; /* retention took it */
    if ((uint64_t)c->ref.row + c->ref.rows > rows.rows) continue;
    c->first = work->rows;
    c->found = true;
    if (obs > 0)
      memcpy(work->obs + c->first * obs, rows.obs + (size_t)c->ref.row * obs,
             c->ref.rows * obs * sizeof *work->obs);
    memcpy(work->act + c->first * act, rows.act + (size_t)c->ref.row * act,
           c->ref.rows * act * sizeof *work->act);
    work->rows += c->ref.rows;
  }
}
