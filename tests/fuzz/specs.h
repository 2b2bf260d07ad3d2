/* The runs that chunks are held against: every shape and kind of action, with and without
 * conditions. */
#ifndef PMP_TESTS_FUZZ_SPECS_H
#define PMP_TESTS_FUZZ_SPECS_H

#include "proto/chunk.h"
#include "tests/proto/chunks.h"

enum fuzz_spec_id {
  FUZZ_OUTCOMES_BOX,       /* as chunk_outcomes makes them */
  FUZZ_OUTCOMES_BINS,      /* no condition */
  FUZZ_OUTCOMES_TOKENS,    /* both ragged */
  FUZZ_TRAJECTORIES_BOX,   /* as chunk_trajectories makes them */
  FUZZ_TRAJECTORIES_PARTS, /* bins; two observations */
  FUZZ_SPECS
};

static inline void fuzz_spec(int id, struct pmp_spec *s) {
  const bool outcomes = id <= FUZZ_OUTCOMES_TOKENS;
  const bool bins = id == FUZZ_OUTCOMES_BINS || id == FUZZ_TRAJECTORIES_PARTS;
  *s = chunk_spec(outcomes ? PMP_SHAPE_OUTCOMES : PMP_SHAPE_TRAJECTORIES, bins);
  if (id == FUZZ_OUTCOMES_BINS) s->obs_parts = 0;
  if (id == FUZZ_TRAJECTORIES_PARTS) {
    s->obs_parts = 2;
    s->obs[1] = (struct pmp_tensor_spec){.name = "p", .dtype = PMP_F32, .rank = 2, .shape = {2, 2}};
  }
  if (id != FUZZ_OUTCOMES_TOKENS) return;
  s->obs[0] = (struct pmp_tensor_spec){.name = "prompt", .dtype = PMP_I32, .rank = 0};
  s->action.kind = PMP_ACTION_TOKENS;
  s->action.dim = 0;
  s->action.bins = 100;
}

/* The learner has policies for these; tokens are only looked at. */
static inline bool fuzz_spec_learns(const struct pmp_spec *s) {
  return s->action.kind != PMP_ACTION_TOKENS;
}

#endif
