/* Checkpoints: a folder each, `DIR/step-000000012345/` with `state.safetensors` and `manifest.json`
 * (written last), made beside as `.tmp-...`, every file fsynced, renamed, the parent fsynced. The
 * folder of checkpoints is the truth.
 *
 * Called on the learner's thread (blocks on the disk). `context` is the daemon's own JSON object
 * (commit id, rate limiter, versions): stored and given back, not looked into. */
#ifndef PMP_LEARNER_CHECKPOINT_H
#define PMP_LEARNER_CHECKPOINT_H

#include "base/fs.h"
#include "learner/trainer.h"

struct pmp_checkpoint_info {
  uint64_t step;
  char path[512];
  char hash[33]; /* of state.safetensors */
  char fingerprint[65];
};

/* Writes the trainer's state. context: a JSON text (borrowed). */
PMP_MUST_CHECK enum pmp_err pmp_checkpoint_save(const struct pmp_fs *fs, const char *dir,
                                                struct pmp_trainer *t, const char *context,
                                                struct pmp_checkpoint_info *info,
                                                struct pmp_errmsg *msg);
/* Restores the newest good one: each is verified (manifest, hash, shapes); a bad one is reported
 * through `bad` (nullable, may be called several times) and the one before is tried. *context
 * malloc'd, caller frees. The replay ring is set up to be refilled (pmp_replay_resume).
 * PMP_ENOTFOUND when there is none at all; PMP_ECORRUPT when there are some and none is good;
 * PMP_ECONFLICT when the newest good one is of another configuration of networks. */
PMP_MUST_CHECK enum pmp_err
pmp_checkpoint_load(const struct pmp_fs *fs, const char *dir, struct pmp_trainer *t, char **context,
                    struct pmp_checkpoint_info *info,
                    void (*bad)(void *ctx, const char *path, const char *why), void *ctx,
                    struct pmp_errmsg *msg);
/* Infos of all complete ones, oldest first, malloc'd (caller frees). Checks names and manifests,
 * not the hashes. */
PMP_MUST_CHECK enum pmp_err pmp_checkpoint_list(const struct pmp_fs *fs, const char *dir,
                                                struct pmp_checkpoint_info **list, size_t *count,
                                                struct pmp_errmsg *msg);
/* Reads one whole and checks every hash: for `pmpod --check`. *context (nullable) malloc'd, caller
 * frees. */
PMP_MUST_CHECK enum pmp_err pmp_checkpoint_verify(const struct pmp_fs *fs, const char *path,
                                                  struct pmp_checkpoint_info *info, char **context,
                                                  struct pmp_errmsg *msg);
/* Removes all but the newest `keep` and every leftover of an interrupted save. */
PMP_MUST_CHECK enum pmp_err pmp_checkpoint_prune(const struct pmp_fs *fs, const char *dir,
                                                 uint32_t keep, struct pmp_errmsg *msg);

#endif
