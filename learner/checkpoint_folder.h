/* Names in the folder of checkpoints and the check of one checkpoint, for checkpoint.c and
 * checkpoint_read.c. Private to learner/. */
#ifndef PMP_LEARNER_CHECKPOINT_FOLDER_H
#define PMP_LEARNER_CHECKPOINT_FOLDER_H

#include "learner/checkpoint.h"
#include "learner/trainer_state.h"
#include "policy/safetensors.h"

#include <jansson.h>
#include <xxhash.h>

#define PMP_CHECKPOINT_FORMAT 1
#define PMP_CHECKPOINT_STATE "state.safetensors"
#define PMP_CHECKPOINT_MANIFEST "manifest.json"
#define PMP_CHECKPOINT_TMP ".tmp-"
#define PMP_CHECKPOINT_WORDS "trainer/words"
#define PMP_CHECKPOINT_IMPROVE "trainer/improve"     /* float64 as words */
#define PMP_CHECKPOINT_MOMENTS "trainer/observation" /* float64 as words */
#define PMP_CHECKPOINT_MARK "replay/mark"
#define PMP_CHECKPOINT_PATH_MAX 512

/* `step-000000012345`, or with `-r0001` when that step was saved before. */
struct pmp_checkpoint_entry {
  uint64_t step;
  uint32_t revision;
  char name[64];
};

/* Oldest first, malloc'd; none when the folder is not there. */
enum pmp_err pmp_checkpoint_entries(const struct pmp_fs *fs, const char *dir,
                                    struct pmp_checkpoint_entry **out, size_t *count,
                                    struct pmp_errmsg *msg);
bool pmp_checkpoint_name_parse(const char *name, struct pmp_checkpoint_entry *out);
/* PMP_EINVALID when the path is too long. */
enum pmp_err pmp_checkpoint_path(char out[PMP_CHECKPOINT_PATH_MAX], const char *dir,
                                 const char *name, struct pmp_errmsg *msg);
void pmp_checkpoint_digest(XXH3_state_t *state, char out[33]);
/* Hash of a manifest's canonical text without its own "check". */
enum pmp_err pmp_checkpoint_manifest_check(const json_t *manifest, char out[33]);
/* What the parameters mean: policy and critic, as they stand in a manifest. NULL without memory. */
json_t *pmp_checkpoint_networks(const struct pmp_trainer *t);

/* A mark as words, and back. */
void pmp_checkpoint_mark_pack(const struct pmp_replay_mark *mark,
                              uint64_t words[PMP_REPLAY_MARK_WORDS]);
void pmp_checkpoint_mark_unpack(struct pmp_replay_mark *mark,
                                const uint64_t words[PMP_REPLAY_MARK_WORDS]);

/* One checkpoint, read and verified. */
struct pmp_checkpoint_content {
  json_t *manifest;      /* owned */
  void *data;            /* owned */
  struct pmp_st_file st; /* points into data */
};
/* PMP_ECORRUPT with the reason; PMP_ENOMEM. With `whole` false only the manifest is read. */
enum pmp_err pmp_checkpoint_read(const struct pmp_fs *fs, const char *path, bool whole,
                                 struct pmp_checkpoint_content *out,
                                 struct pmp_checkpoint_info *info, struct pmp_errmsg *msg);
void pmp_checkpoint_content_fini(struct pmp_checkpoint_content *c);

#endif
