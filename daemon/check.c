#include "daemon/check.h"

#include "learner/checkpoint.h"
#include "store/store.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct findings {
  FILE *out;
  bool json;
  json_t *list;
  uint64_t faults;
};

static void found(void *ctx, const char *fault) {
  struct findings *f = ctx;
  f->faults++;
  if (f->json) {
    json_array_append_new(f->list, json_string(fault));
  } else {
    fprintf(f->out, "fault: %s\n", fault);
  }
}

static size_t check_checkpoints(const char *dir, struct findings *f) {
  char path[600];
  snprintf(path, sizeof path, "%s/checkpoints", dir);
  const struct pmp_fs *fs = pmp_fs_real();
  char(*name)[PMP_FS_NAME_MAX] = NULL;
  size_t count = 0, good = 0;
  struct pmp_errmsg msg = {{0}};
  if (fs->list(fs->self, path, &name, &count, &msg) != PMP_OK) {
    found(f, msg.text);
    return 0;
  }
  for (size_t i = 0; i < count; i++) {
    if (strncmp(name[i], "step-", 5) != 0)
      continue; /* a leftover of an interrupted save is no fault */
    char one[900], text[1024];
    snprintf(one, sizeof one, "%s/%s", path, name[i]);
    struct pmp_checkpoint_info info;
    if (pmp_checkpoint_verify(fs, one, &info, NULL, &msg) == PMP_OK) {
      good++;
    } else {
      snprintf(text, sizeof text, "checkpoint %s: %s", name[i], msg.text);
      found(f, text);
    }
  }
  free(name);
  return good;
}

int pmp_check_dir(const char *dir, bool json, FILE *out) {
  char store[600];
  snprintf(store, sizeof store, "%s/store.db", dir);
  if (access(store, R_OK) != 0) {
    fprintf(stderr, "pmpod: %s: no store there (looked for store.db)\n", dir);
    return 2;
  }
  struct findings f = {.out = out, .json = json, .list = json_array()};
  struct pmp_errmsg msg = {{0}};
  uint64_t faults = 0;
  const enum pmp_err err = pmp_store_check(store, NULL, found, &f, &faults, &msg);
  if (err != PMP_OK) found(&f, msg.text[0] ? msg.text : pmp_err_name(err));
  const size_t good = check_checkpoints(dir, &f);
  if (json) {
    json_t *root = json_pack("{s:s, s:I, s:O, s:I}", "dir", dir, "faults", (json_int_t)f.faults,
                             "found", f.list, "good_checkpoints", (json_int_t)good);
    json_dumpf(root, out, JSON_COMPACT);
    fputc('\n', out);
    json_decref(root);
  } else {
    fprintf(out, "%s: %" PRIu64 " fault%s, %zu good checkpoint%s\n", dir, f.faults,
            f.faults == 1 ? "" : "s", good, good == 1 ? "" : "s");
  }
  json_decref(f.list);
  return f.faults ? 1 : 0;
}
