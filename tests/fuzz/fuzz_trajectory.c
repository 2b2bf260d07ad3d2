/* Recorded trajectories of the control tasks: files that people may have made themselves. */
#include "actors/control/recording.h"
#include "tests/fuzz/fuzz.h"

#include <math.h>

static void all_finite(const double *v, size_t n, const char *what) {
  for (size_t i = 0; i < n; i++) FUZZ_CHECK(isfinite(v[i]), "%s[%zu]", what, i);
}

static void walk(const struct pmp_recording *r) {
  const size_t steps = (size_t)r->steps, rows = steps + 1;
  FUZZ_CHECK(r->episodes >= 1 && r->steps >= 0, "%d episodes of %d steps", r->episodes, r->steps);
  for (int e = 0; e < r->episodes; e++) {
    const struct pmp_recording_episode *ep = &r->episode[e];
    FUZZ_CHECK(ep->edit_count >= 0, "%d edits", ep->edit_count);
    all_finite(ep->edits, 3 * (size_t)ep->edit_count, "edits");
    all_finite(ep->actions, steps * (size_t)r->nu, "actions");
    all_finite(ep->qpos, rows * (size_t)r->nq, "qpos");
    all_finite(ep->qvel, rows * (size_t)r->nv, "qvel");
    all_finite(ep->obs, rows * (size_t)r->obs_dim, "obs");
    all_finite(ep->rewards + 1, steps, "rewards");
    fuzz_touch(ep->rewards, sizeof *ep->rewards);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct pmp_errmsg msg = {{0}};
  struct pmp_recording r;
  memset(&r, 0x99, sizeof r);
  enum pmp_err err = pmp_recording_parse(&r, data, size, &msg);
  if (err == PMP_OK) {
    walk(&r);
  } else {
    FUZZ_CHECK(err == PMP_EINVALID, "%s", pmp_err_name(err));
    FUZZ_REFUSED(err, &msg);
  }
  pmp_recording_free(&r);
  return 0;
}
