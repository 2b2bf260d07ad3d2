/* Recorded trajectories of a task, and how far our environment strays from them.
 *
 * A file is a row of little-endian float64: ten header numbers (0x474D5544, 1, episodes E, steps N,
 * nq, nv, nu, nobs, substeps, integrator), then for each episode: k and k triples (field, flat
 * index, value) of cells of the model that are set before the start (enum pmp_field), actions N*nu,
 * qpos (N+1)*nq, qvel (N+1)*nv, observations (N+1)*nobs, rewards N+1. Row 0 is the start; its
 * reward means nothing. Everything here blocks on nothing but the file. */
#ifndef PMP_CONTROL_RECORDING_H
#define PMP_CONTROL_RECORDING_H

#include "actors/control/env.h"
#include "base/err.h"
#include "base/fs.h"

#include <stddef.h>
#include <stdio.h>

#define PMP_RECORDING_BYTES_MAX ((size_t)256 << 20)

struct pmp_recording_episode {
  int edit_count;
  const double *edits;   /* [edit_count][3]: field, flat index, value */
  const double *actions; /* [steps][nu] */
  const double *qpos;    /* [steps + 1][nq] */
  const double *qvel;    /* [steps + 1][nv] */
  const double *obs;     /* [steps + 1][obs_dim] */
  const double *rewards; /* [steps + 1] */
};

struct pmp_recording {
  int episodes, steps, nq, nv, nu, obs_dim, substeps, integrator;
  double *values;                        /* owned */
  struct pmp_recording_episode *episode; /* owned, [episodes] */
};

/* Takes a file's bytes apart (they are copied). PMP_EINVALID says what is wrong and where;
 * PMP_ENOMEM. */
PMP_MUST_CHECK enum pmp_err pmp_recording_parse(struct pmp_recording *r, const void *bytes,
                                                size_t size, struct pmp_errmsg *msg);
/* The same from a file of at most PMP_RECORDING_BYTES_MAX. */
PMP_MUST_CHECK enum pmp_err pmp_recording_read(struct pmp_recording *r, const struct pmp_fs *fs,
                                               const char *path, struct pmp_errmsg *msg);
/* Safe on a zeroed struct and after a failure. */
void pmp_recording_free(struct pmp_recording *r);

/* Largest |ours - recorded|, and the largest of it relative to the larger of the two magnitudes. */
struct pmp_deviation {
  double absolute, relative;
};
struct pmp_deviations {
  struct pmp_deviation qpos, qvel, observation, reward;
};

/* Starts every episode from its recorded start, repeats its actions and compares each row.
 * PMP_EINVALID: the file is of another task or edits what the model does not have; PMP_ENONFINITE:
 * our physics diverged. */
PMP_MUST_CHECK enum pmp_err pmp_recording_run(const struct pmp_recording *r,
                                              const struct pmp_env_model *em,
                                              struct pmp_deviations *out, struct pmp_errmsg *msg);
/* Writes one line of JSON: {"qpos": {"absolute": .., "relative": ..}, "qvel": .., "observation":
 * .., "reward": ..}. PMP_ENONFINITE, PMP_EIO. */
PMP_MUST_CHECK enum pmp_err pmp_deviations_print(const struct pmp_deviations *d, FILE *out,
                                                 struct pmp_errmsg *msg);
/* The largest deviation of a[n] from the recorded b[n], taken into *d. */
void pmp_deviation_add(struct pmp_deviation *d, const double *a, const double *b, int n);

#endif
