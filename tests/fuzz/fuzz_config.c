/* The configuration: a YAML file, and its first line as an assignment, as --set takes it. */
#include "daemon/config.h"
#include "tests/fuzz/fuzz.h"

enum { LINE_MAX_BYTES = 400 };

/* What is in the struct is printed as a file that reads back equal. */
static void there_and_back(const struct pmp_config *first) {
  static struct fuzz_file file = {.fd = -1};
  struct pmp_errmsg msg = {{0}};
  struct pmp_config second;
  char *text = NULL;
  size_t size = 0, keys = 0;
  FILE *out = open_memstream(&text, &size);
  FUZZ_CHECK(out != NULL, "no memory");
  pmp_config_print(first, out);
  FUZZ_CHECK(fclose(out) == 0, "no memory");
  if (file.fd < 0) fuzz_file_open(&file);
  fuzz_file_set(&file, text, size);
  pmp_config_defaults(&second);
  FUZZ_OK(pmp_config_load(&second, file.path, &msg), &msg);
  const struct pmp_config_key *key = pmp_config_keys(&keys);
  for (size_t i = 0; i < keys; i++) {
    char want[2 * PMP_CONFIG_TEXT_MAX], have[2 * PMP_CONFIG_TEXT_MAX];
    pmp_config_get(first, &key[i], want, sizeof want);
    pmp_config_get(&second, &key[i], have, sizeof have);
    FUZZ_CHECK(strcmp(want, have) == 0, "%s.%s: %s became %s", key[i].section, key[i].key, want,
               have);
  }
  free(text);
}

/* A configuration that passes is one that the daemon's parts can be made of. */
static void use(struct pmp_config *c) {
  struct pmp_errmsg msg = {{0}};
  enum pmp_err err = pmp_config_check(c, &msg);
  if (err != PMP_OK) {
    FUZZ_REFUSED(err, &msg);
    return;
  }
  struct pmp_trainer_config trainer;
  struct pmp_spec spec;
  pmp_config_trainer(c, &trainer);
  pmp_config_spec(c, &spec);
  FUZZ_CHECK(trainer.policy.obs == pmp_spec_obs_size(&spec), "%u floats", trainer.policy.obs);
  FUZZ_CHECK(trainer.batch > 0 && trainer.replay.capacity >= trainer.batch, "%u rows of %zu",
             trainer.batch, trainer.replay.capacity);
}

static void load(const uint8_t *data, size_t size) {
  static struct fuzz_file file = {.fd = -1};
  struct pmp_errmsg msg = {{0}};
  struct pmp_config c;
  if (file.fd < 0) fuzz_file_open(&file);
  fuzz_file_set(&file, data, size);
  pmp_config_defaults(&c);
  enum pmp_err err = pmp_config_load(&c, file.path, &msg);
  if (err != PMP_OK) {
    FUZZ_REFUSED(err, &msg);
    return;
  }
  there_and_back(&c);
  use(&c);
}

static void assign(const uint8_t *data, size_t size) {
  char line[LINE_MAX_BYTES + 1];
  struct pmp_errmsg msg = {{0}};
  struct pmp_config c;
  size_t length = 0;
  while (length < size && length < LINE_MAX_BYTES && data[length] != '\n') length++;
  memcpy(line, data, length);
  line[length] = '\0';
  pmp_config_defaults(&c);
  enum pmp_err err = pmp_config_assign(&c, line, &msg);
  if (err != PMP_OK) {
    FUZZ_REFUSED(err, &msg);
    return;
  }
  there_and_back(&c);
  use(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  load(data, size);
  assign(data, size);
  return 0;
}
