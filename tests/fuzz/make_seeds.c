/* make_seeds FOLDER: small good inputs for every fuzzer, FOLDER/FUZZER/NAME. Made by the code that
 * writes them in earnest, so that they never fall behind it. */
#include "daemon/config.h"
#include "learner/checkpoint.h"
#include "policy/safetensors.h"
#include "proto/wire.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/specs.h"
#include "tests/learner/trainer_world.h"

enum { ARENA_BYTES = 1 << 20, PATH_BYTES = 512, BINS_ROWS = 3 };

struct seeds {
  const char *folder;
  struct pmp_arena arena;
  struct pmp_errmsg msg;
};

static void keep(struct seeds *s, const char *fuzzer, const char *name, const void *data,
                 size_t size) {
  char path[PATH_BYTES];
  FILE *file = NULL;
  snprintf(path, sizeof path, "%s/%s", s->folder, fuzzer);
  FUZZ_OK(pmp_fs_real()->make_dir(NULL, path, &s->msg), &s->msg);
  snprintf(path, sizeof path, "%s/%s/%s", s->folder, fuzzer, name);
  file = fopen(path, "wb");
  FUZZ_CHECK(file != NULL && fwrite(data, 1, size, file) == size && fclose(file) == 0, "%s", path);
}

/* ---- chunks ---- */

static void keep_chunk(struct seeds *s, const char *name, const struct pmp_chunk *c, int spec_id) {
  const struct pmp_wire_limits limits = pmp_wire_limits_default();
  struct pmp_spec spec;
  struct pmp_chunk back;
  const void *data;
  size_t size;
  pmp_arena_release(&s->arena, 0);
  FUZZ_OK(pmp_wire_encode_chunk(c, &s->arena, &data, &size, &s->msg), &s->msg);
  fuzz_spec(spec_id, &spec);
  FUZZ_OK(pmp_wire_decode_chunk(data, size, &spec, &limits, &s->arena, &back, &s->msg), &s->msg);
  keep(s, "chunk", name, data, size);
}

static void tensor_of(struct pmp_tensor *t, enum pmp_dtype dtype, uint64_t n, const void *data) {
  *t = (struct pmp_tensor){.dtype = dtype, .rank = 1, .shape = {n}, .data = data};
  t->bytes = (size_t)n * pmp_dtype_bytes(dtype);
}

static void chunk_tokens(struct seeds *s) {
  static const int32_t prompt[] = {1, 2, 3, 4, 5}, answer[] = {9, 8, 7, 6, 5, 4, 3};
  static const uint32_t prompt_at[] = {0, 2, 5}, answer_at[] = {0, 3, 3, 5, 7},
                        group[] = {0, 0, 1, 1};
  static const int8_t verdict[] = {1, -1, 0, 1};
  struct pmp_chunk c = {.source = PMP_SOURCE_ACTOR,
                        .shape = PMP_SHAPE_OUTCOMES,
                        .rows = 4,
                        .groups = 2,
                        .group = group,
                        .obs_parts = 1,
                        .obs_offset = prompt_at,
                        .action_offset = answer_at,
                        .verdict = verdict};
  tensor_of(&c.obs[0], PMP_I32, 5, prompt);
  tensor_of(&c.action, PMP_I32, 7, answer);
  keep_chunk(s, "tokens", &c, FUZZ_OUTCOMES_TOKENS);
}

static void chunks(struct seeds *s) {
  static struct chunk_columns columns;
  static const float parts[CHUNK_ROWS][2][2];
  struct pmp_chunk c;
  chunk_outcomes(&columns, &c);
  keep_chunk(s, "outcomes", &c, FUZZ_OUTCOMES_BOX);
  static const struct pmp_media media[] = {{"prompt", "text/plain", "why?", 4},
                                           {"clip", "image/png", "\x89PNG", 4}};
  static const struct pmp_item item[] = {{0, 2, 0.5f, media, 2}, {2, 1, -1, NULL, 0}};
  c.verdict = NULL;
  c.weight = NULL;
  c.item = item;
  c.items = 2;
  keep_chunk(s, "items", &c, FUZZ_OUTCOMES_BOX);
  chunk_trajectories(&columns, &c, false);
  keep_chunk(s, "trajectories", &c, FUZZ_TRAJECTORIES_BOX);
  c.rows = c.envs = c.episodes = c.versions = 1;
  c.obs[0].shape[0] = c.action.shape[0] = 1;
  c.obs[0].bytes = CHUNK_OBS * sizeof(float);
  c.action.bytes = CHUNK_DIM * sizeof(float);
  keep_chunk(s, "one_row", &c, FUZZ_TRAJECTORIES_BOX);
  chunk_trajectories(&columns, &c, true);
  c.obs_parts = 2;
  c.obs[1] = (struct pmp_tensor){.dtype = PMP_F32,
                                 .rank = 3,
                                 .shape = {CHUNK_ROWS, 2, 2},
                                 .data = parts,
                                 .bytes = sizeof parts};
  keep_chunk(s, "parts", &c, FUZZ_TRAJECTORIES_PARTS);
  static const int32_t bins[BINS_ROWS][CHUNK_DIM] = {{0, 10}, {3, 4}, {5, 6}};
  static const float f[BINS_ROWS] = {1, -2, 3};
  c = (struct pmp_chunk){.source = PMP_SOURCE_PERSON,
                         .shape = PMP_SHAPE_OUTCOMES,
                         .rows = BINS_ROWS,
                         .groups = BINS_ROWS,
                         .f = f};
  chunk_tensor(&c.action, PMP_I32, BINS_ROWS, CHUNK_DIM, bins);
  keep_chunk(s, "bins", &c, FUZZ_OUTCOMES_BINS);
  chunk_tokens(s);
}

/* ---- requests ---- */

static void keep_request(struct seeds *s, const char *name, struct pmp_request *r) {
  const void *data;
  size_t size;
  r->version = 1;
  r->request_id = 7;
  if (r->verb != PMP_VERB_HELLO) r->session = (struct pmp_bytes){"0123456789abcdef", 16};
  pmp_arena_release(&s->arena, 0);
  FUZZ_OK(pmp_wire_encode_request(r, &s->arena, &data, &size, &s->msg), &s->msg);
  keep(s, "request", name, data, size);
}

static void requests(struct seeds *s) {
  static const struct pmp_number number[] = {{"return", 1.5}, {"length", 1000}};
  static const char *const names[] = {"loss", "kl"};
  static const struct pmp_verdict verdict[] = {{"q", "why", 1, 0, 1, PMP_ACCEPT, 1},
                                               {"p", "", 1, 1, 2, PMP_REJECT, 0.5f}};
  struct pmp_request r = {.verb = PMP_VERB_HELLO};
  r.u.hello = (struct pmp_hello){.role = PMP_ROLE_ACTOR,
                                 .name = "a-1",
                                 .client = "actor",
                                 .instance = {"0123456789abcdef", 16},
                                 .has_spec = true};
  fuzz_spec(FUZZ_TRAJECTORIES_PARTS, &r.u.hello.spec);
  keep_request(s, "hello", &r);
  r = (struct pmp_request){.verb = PMP_VERB_APPEND, .u.append = {1, {"chunk", 5}, {"state", 5}}};
  keep_request(s, "append", &r);
  r = (struct pmp_request){.verb = PMP_VERB_WEIGHTS, .u.weights = {.newer_than = 3, .wait_ms = 9}};
  keep_request(s, "weights", &r);
  r = (struct pmp_request){.verb = PMP_VERB_REPORT, .u.report = {number, 2, 3, 4}};
  keep_request(s, "report", &r);
  r = (struct pmp_request){.verb = PMP_VERB_STATUS, .u.status = {true}};
  keep_request(s, "status", &r);
  r = (struct pmp_request){.verb = PMP_VERB_HISTORY, .u.history = {names, 2, 1, 9, 100}};
  keep_request(s, "history", &r);
  r = (struct pmp_request){.verb = PMP_VERB_EVENTS, .u.events = {3, 10}};
  keep_request(s, "events", &r);
  r = (struct pmp_request){.verb = PMP_VERB_CONTROL,
                           .u.control = {PMP_CONTROL_SET, "optim.lr", "0.001"}};
  keep_request(s, "control", &r);
  r = (struct pmp_request){.verb = PMP_VERB_EXPORT, .u.export_ = {PMP_WHICH_POLICY, 1, 2, 3}};
  keep_request(s, "export", &r);
  r = (struct pmp_request){.verb = PMP_VERB_VERDICTS, .u.verdicts = {verdict, 2}};
  keep_request(s, "verdicts", &r);
  r = (struct pmp_request){.verb = PMP_VERB_LEASE, .u.lease = {5, 60, "newest"}};
  static const struct pmp_item_ref refs[] = {{7, 0, 1}, {8, 4, 2}};
  r.u.lease = (struct pmp_lease){5, 60, "random", refs, refs, 2, 1};
  keep_request(s, "lease_held", &r);
  r = (struct pmp_request){.verb = PMP_VERB_REVIEW,
                           .u.review = {PMP_SUBJECT_VERDICTS, 3, 10, "local:ann"}};
  keep_request(s, "review", &r);
  r = (struct pmp_request){.verb = PMP_VERB_LEASE, .u.lease = {5, 60, "newest"}};
  keep_request(s, "lease", &r);
}

/* ---- replies ---- */

static void keep_reply(struct seeds *s, const char *name, struct pmp_reply *r) {
  const void *data;
  size_t size;
  r->request_id = 7;
  pmp_arena_release(&s->arena, 0);
  FUZZ_OK(pmp_wire_encode_reply(r, &s->arena, &data, &size, &s->msg), &s->msg);
  keep(s, "reply", name, data, size);
}

static void replies_of_numbers(struct seeds *s) {
  static const struct pmp_number number[] = {{"learner.steps", 12}, {"kl", 0.01}};
  static const struct pmp_text text[] = {{"state", "running"}};
  static const struct pmp_actor_status actor[] = {{"a-1", 1, 2, 3, 4, 5, -1, number, 2, number, 1}};
  static const uint64_t step[] = {1, 5};
  static const int64_t wall[] = {-1, 7};
  static const double value[] = {0.5, -0.25};
  static const struct pmp_series series[] = {{"loss", step, step, wall, value, 2}, {.name = "kl"}};
  static const struct pmp_event event[] = {
      {1, 2, "boss", "pause", "{}", {"0123456789abcdef0123456789abcdef", 32}}};
  struct pmp_reply r = {.verb = PMP_VERB_STATUS, .u.status = {text, 1, number, 2, actor, 1}};
  keep_reply(s, "status", &r);
  r = (struct pmp_reply){.verb = PMP_VERB_HISTORY, .u.history = {series, 2}};
  keep_reply(s, "history", &r);
  r = (struct pmp_reply){.verb = PMP_VERB_EVENTS, .u.events = {event, 1}};
  keep_reply(s, "events", &r);
}

static void desk_replies(struct seeds *s) {
  static const struct pmp_media media[] = {{"prompt", "text/plain", "why?", 4}};
  static const struct pmp_item_ref lost[] = {{1, 2, 3}};
  static const float y[] = {1, 2};
  static const struct pmp_item_record record[] = {{{1, 2, 3}, 1, 0, 0.5f}};
  static const struct pmp_labeler_record labeler[] = {{.who = "ann", .accepts = 3, .pairs = 1}};
  static const struct pmp_pair_record pair[] = {{"ann", "bob", 3, 0.5, 0.25, true}};
  static const struct pmp_number number[] = {{"items", 3}};
  struct pmp_leased_item item = {.item = {1, 0, 1}, .media = media, .medias = 1, .actor = "a"};
  item.outcome = (struct pmp_tensor){PMP_F32, 2, {1, 2}, y, sizeof y};
  item.condition[0] = item.outcome;
  item.conditions = 1;
  struct pmp_reply r = {.verb = PMP_VERB_LEASE};
  r.u.lease = (struct pmp_lease_reply){&item, 1, 2, 3, 4, lost, 1, "numbers"};
  keep_reply(s, "lease", &r);
  const struct pmp_verdict_record verdict[] = {{.id = 4,
                                                .who = "ann",
                                                .note = "",
                                                .request_id = "r",
                                                .item = {1, 0, 1},
                                                .judgement = PMP_ACCEPT,
                                                .confidence = 1,
                                                .state = 1,
                                                .media = media,
                                                .medias = 1}};
  r = (struct pmp_reply){.verb = PMP_VERB_REVIEW};
  r.u.review = (struct pmp_review_reply){record, verdict, labeler, pair, number, 1, 1, 1, 1, 1};
  keep_reply(s, "review", &r);
}

static void replies(struct seeds *s) {
  static const struct pmp_wire_view view[] = {{"policy/mean_raw", {2}, 1, 0}};
  static const float weights[] = {0.5f, 0.25f};
  static const struct pmp_verdict_result result[] = {
      {PMP_OK, "", false, true, false}, {PMP_ENOTFOUND, "no such chunk", false, false, true}};
  struct pmp_reply r = {.verb = PMP_VERB_HELLO};
  r.u.hello = (struct pmp_hello_reply){.run_id = "r",
                                       .policy = "{}",
                                       .data_url = "tcp://127.0.0.1:7771",
                                       .epoch = 1,
                                       .last_seq = 2,
                                       .actor_state = {"state", 5},
                                       .limits = pmp_wire_limits_default(),
                                       .seed = 3};
  fuzz_spec(FUZZ_OUTCOMES_BINS, &r.u.hello.spec);
  keep_reply(s, "hello", &r);
  r = (struct pmp_reply){.verb = PMP_VERB_APPEND, .u.append = {4, 5, 6, true}};
  keep_reply(s, "append", &r);
  r = (struct pmp_reply){.verb = PMP_VERB_WEIGHTS};
  r.u.weights = (struct pmp_weights_reply){.version = 3,
                                           .bytes = sizeof weights,
                                           .hash = "00112233445566778899aabbccddeeff",
                                           .policy = "{}",
                                           .view = view,
                                           .views = 1,
                                           .data = {weights, sizeof weights}};
  keep_reply(s, "weights", &r);
  r = (struct pmp_reply){.verb = PMP_VERB_CONTROL, .u.control = {"{\"old\": 1}"}};
  keep_reply(s, "control", &r);
  r = (struct pmp_reply){.verb = PMP_VERB_EXPORT, .u.export_ = {1, 9, 3, {"bytes", 5}}};
  keep_reply(s, "export", &r);
  r = (struct pmp_reply){.verb = PMP_VERB_VERDICTS, .u.verdicts = {result, 2}};
  keep_reply(s, "verdicts", &r);
  r = (struct pmp_reply){.code = PMP_EINVALID, .message = "protocol version 2"};
  keep_reply(s, "refused", &r);
  desk_replies(s);
  r = (struct pmp_reply){.verb = PMP_VERB_REPORT, .code = PMP_ECONFLICT, .expected_seq = 9};
  keep_reply(s, "report", &r);
  replies_of_numbers(s);
}

/* ---- files ---- */

static void safetensors(struct seeds *s) {
  static const double wide[3] = {1, 2, 3};
  static const float narrow[2][2] = {{1, 2}, {3, 4}};
  static const struct pmp_st_tensor tensor[] = {{"a/wide", PMP_ST_F64, 1, {3}, wide, sizeof wide},
                                                {"b", PMP_ST_F32, 2, {2, 2}, narrow, sizeof narrow},
                                                {"empty", PMP_ST_F32, 2, {0, 5}, narrow, 0},
                                                {"scalar", PMP_ST_U8, 0, {0}, "x", 1}};
  static const struct pmp_st_meta meta = {"format", "seed"};
  unsigned char file[2048];
  void *header = NULL;
  size_t size = 0, used;
  FUZZ_OK(pmp_st_header(tensor, 4, &meta, 1, &header, &size, &s->msg), &s->msg);
  FUZZ_CHECK(size <= 1024, "%zu bytes", size);
  memcpy(file, header, used = size);
  for (size_t i = 0; i < 4; used += tensor[i++].bytes)
    memcpy(file + used, tensor[i].data, tensor[i].bytes);
  keep(s, "safetensors", "file", file, used);
  size_t text = size;
  while (file[text - 1] == ' ') text--;
  memmove(file + text, file + size, used - size);
  keep(s, "safetensors", "text", file + sizeof(uint64_t), text - sizeof(uint64_t) + used - size);
  free(header);
}

static void policies(struct seeds *s) {
  const struct pmp_trainer_config critic = world_critic(1), bandit = world_bandit(1);
  struct pmp_policy_spec bins = critic.policy;
  char *text = NULL;
  bins.dist = (struct pmp_dist){.kind = PMP_DIST_CATEGORICAL, .dim = 2, .bins = 11};
  const struct pmp_policy_spec *const specs[] = {&critic.policy, &bandit.policy, &bins};
  static const char *const names[] = {"network", "bandit", "bins"};
  for (size_t i = 0; i < 3; i++) {
    FUZZ_OK(pmp_policy_spec_to_json(specs[i], &text), &s->msg);
    keep(s, "policy", names[i], text, strlen(text));
    free(text);
  }
}

static void configs(struct seeds *s) {
  static const char brief[] = "run: {name: \"a b\", seed: 1e6}\nspec:\n  observation: [3, 2]\n"
                              "  shape: trajectories\nobjective:\n  beta: auto\n",
                    set[] = "learner.batch=256\n", list[] = "policy.hidden=[64, 64]\n";
  struct pmp_config c;
  char *text = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&text, &size);
  pmp_config_defaults(&c);
  pmp_config_print(&c, out);
  FUZZ_CHECK(fclose(out) == 0, "no memory");
  keep(s, "config", "defaults", text, size);
  keep(s, "config", "brief", brief, sizeof brief - 1);
  keep(s, "config", "set", set, sizeof set - 1);
  keep(s, "config", "list", list, sizeof list - 1);
  free(text);
}

/* A manifest, a NUL, a state file. */
static void checkpoints(struct seeds *s) {
  const struct pmp_fs *fs = pmp_fs_real();
  const struct pmp_trainer_config config = world_bandit(5);
  struct pmp_trainer *trainer = world_open(&config);
  struct pmp_checkpoint_info info;
  char folder[PATH_BYTES], path[2 * PATH_BYTES];
  void *manifest = NULL, *state = NULL;
  size_t manifest_bytes = 0, state_bytes = 0;
  snprintf(folder, sizeof folder, "%s/made", s->folder);
  FUZZ_OK(fs->make_dir(NULL, folder, &s->msg), &s->msg);
  FUZZ_OK(pmp_checkpoint_save(fs, folder, trainer, "{\"commit\": 3}", &info, &s->msg), &s->msg);
  FUZZ_OK(pmp_checkpoint_prune(fs, folder, 1, &s->msg), &s->msg); /* of earlier calls */
  snprintf(path, sizeof path, "%s/manifest.json", info.path);
  FUZZ_OK(fs->read_all(NULL, path, 1 << 16, &manifest, &manifest_bytes, &s->msg), &s->msg);
  snprintf(path, sizeof path, "%s/state.safetensors", info.path);
  FUZZ_OK(fs->read_all(NULL, path, 1 << 16, &state, &state_bytes, &s->msg), &s->msg);
  unsigned char *both = malloc(manifest_bytes + 1 + state_bytes);
  FUZZ_CHECK(both != NULL, "no memory");
  memcpy(both, manifest, manifest_bytes);
  both[manifest_bytes] = '\0';
  memcpy(both + manifest_bytes + 1, state, state_bytes);
  keep(s, "checkpoint", "bandit", both, manifest_bytes + 1 + state_bytes);
  keep(s, "checkpoint", "manifest", manifest, manifest_bytes);
  free(both);
  free(manifest);
  free(state);
  pmp_trainer_close(trainer);
}

static void trajectories(struct seeds *s) {
  /* Header; one edit, one action, two rows of each column. */
  static const double one[] = {1196250436.0, 1,   1,   1,   1,    1,    1,   1,   2, 0, 1, 0, 3,
                               0.25,         0.5, 1.5, 2.5, -1.0, -2.0, 0.1, 0.2, 0, 1};
  keep(s, "trajectory", "one", one, sizeof one);
}

static void stores(struct seeds *s) {
  static const unsigned char page[] = {0x05, 0x10, 0x00, 0x01}, header[] = {44, 0, 0, 9},
                             cut[] = {4};
  keep(s, "store", "page", page, sizeof page);
  keep(s, "store", "header", header, sizeof header);
  keep(s, "store", "cut", cut, sizeof cut);
}

int main(int argc, char **argv) {
  struct seeds s = {.folder = argc == 2 ? argv[1] : NULL};
  if (s.folder == NULL) {
    fprintf(stderr, "usage: make_seeds FOLDER\n");
    return 2;
  }
  FUZZ_OK(pmp_arena_init(&s.arena, ARENA_BYTES), &s.msg);
  chunks(&s);
  requests(&s);
  replies(&s);
  safetensors(&s);
  policies(&s);
  configs(&s);
  checkpoints(&s);
  trajectories(&s);
  stores(&s);
  pmp_arena_fini(&s.arena);
  return 0;
}
