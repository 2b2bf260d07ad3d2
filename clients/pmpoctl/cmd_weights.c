/* weights and export: what the reference is, and the policy as a file. */
#include "base/fs.h"
#include "clients/pmpoctl/answer.h"
#include "clients/pmpoctl/command.h"
#include "clients/pmpoctl/format.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { OPT_JSON = 256, OPT_WHICH, OPT_VERSION };

#define EXPORT_RESTARTS 5

static bool parse_which(const char *text, enum pmp_which *which) {
  if (strcmp(text, "reference") != 0 && strcmp(text, "policy") != 0) return false;
  *which = text[0] == 'p' ? PMP_WHICH_POLICY : PMP_WHICH_REFERENCE;
  return true;
}

/* ---- weights: the manifest, served at the data address ---- */

static json_t *manifest_json(const struct pmp_weights_reply *w) {
  json_t *views = json_array();
  for (uint32_t i = 0; i < w->views; i++) {
    json_t *shape = json_array();
    for (uint32_t k = 0; k < w->view[i].rank; k++)
      json_array_append_new(shape, json_integer((json_int_t)w->view[i].shape[k]));
    json_array_append_new(views, json_pack("{s:s, s:o, s:I}", "name", w->view[i].name, "shape",
                                           shape, "offset", (json_int_t)w->view[i].offset));
  }
  json_t *policy = json_loads(w->policy, JSON_DECODE_ANY, NULL);
  return json_pack("{s:I, s:I, s:I, s:s, s:s, s:o, s:o}", "version", (json_int_t)w->version,
                   "learner_step", (json_int_t)w->learner_step, "bytes", (json_int_t)w->bytes,
                   "hash", w->hash, "base_hash", w->base_hash, "policy",
                   policy ? policy : json_null(), "views", views);
}

static void print_manifest(const struct pmp_weights_reply *w) {
  char out[PMP_FORMAT_MAX];
  struct pmp_table t;
  printf("version %" PRIu64 " of learner step %" PRIu64 ", %s, hash %s\n", w->version,
         w->learner_step, pmp_format_bytes((double)w->bytes, out), w->hash);
  pmp_table_init(&t, "tensor|shape|>floats|>offset");
  for (uint32_t i = 0; i < w->views && pmp_table_row(&t); i++) {
    char shape[PMP_TABLE_CELL] = "";
    double floats = 1;
    for (uint32_t k = 0; k < w->view[i].rank; k++) {
      const size_t used = strlen(shape);
      snprintf(shape + used, sizeof shape - used, "%s%" PRIu64, k ? " x " : "",
               w->view[i].shape[k]);
      floats *= (double)w->view[i].shape[k];
    }
    pmp_table_set(&t, 0, w->view[i].name);
    pmp_table_set(&t, 1, shape);
    pmp_table_set(&t, 2, pmp_format_count(floats, out));
    pmp_table_set(&t, 3, pmp_format_count((double)w->view[i].offset, out));
  }
  pmp_table_print(&t, stdout);
  pmp_table_fini(&t);
}

static int run_weights(struct pmp_ctl *ctl, int argc, char **argv) {
  static const struct option options[] = {
      {"json", no_argument, NULL, OPT_JSON}, {"which", required_argument, NULL, OPT_WHICH}, {0}};
  enum pmp_which which = PMP_WHICH_REFERENCE;
  bool json = false;
  int ch;
  while ((ch = pmp_ctl_option(ctl, argc, argv, options, false)) >= 0) {
    json |= ch == OPT_JSON;
    if (ch == OPT_WHICH && !parse_which(optarg, &which))
      return pmp_ctl_usage(ctl, "--which: reference or policy");
  }
  if (ch == PMP_CTL_END) return ctl->exit_code;
  if (optind < argc) return pmp_ctl_usage(ctl, "takes no arguments");
  struct pmp_errmsg msg = {{0}};
  struct pmp_weights_reply w;
  float *buffer = NULL;
  enum pmp_err err = pmp_ctl_open(ctl, PMP_ROLE_OBSERVER, &msg);
  if (err == PMP_OK)
    err = pmpo_weights(ctl->client, which, 0, 0, 0, &ctl->arena, &w, &buffer, &msg);
  free(buffer); /* fetched, so that the hash was checked */
  if (err != PMP_OK) return pmp_ctl_failed(ctl, err, &msg);
  if (!json) {
    print_manifest(&w);
    return PMP_EXIT_OK;
  }
  return pmp_answer_print(manifest_json(&w), JSON_INDENT(2), stdout) ? PMP_EXIT_OK
                                                                     : PMP_EXIT_FAILED;
}

const struct pmp_command pmp_command_weights = {
    "weights", "weights [--which reference|policy] [--json]",
    "what the weights are: version, tensors, hash",
    "  --which W  the reference that actors act with (default), or the policy that is trained\n"
    "  --json     one JSON object, with what a policy is built from\n",
    run_weights};

/* ---- export ---- */

struct download {
  char *data; /* owned */
  uint64_t bytes, have, version;
};

static enum pmp_err download(struct pmp_ctl *ctl, enum pmp_which which, uint64_t version,
                             struct download *d, struct pmp_errmsg *msg) {
  free(d->data);
  *d = (struct download){.version = version};
  do {
    struct pmp_request q = {
        .verb = PMP_VERB_EXPORT,
        .u.export_ = {.which = which, .version = d->version, .offset = d->have}};
    struct pmp_reply reply;
    PMP_TRY(pmp_ctl_ask(ctl, &q, &reply, msg));
    const struct pmp_export_reply *e = &reply.u.export_;
    if (!d->data) {
      d->bytes = e->bytes;
      d->version = e->version;
      d->data = e->bytes < (uint64_t)1 << 40 ? malloc((size_t)e->bytes + 1) : NULL;
      if (!d->data) return pmp_fail(msg, PMP_ENOMEM, "no memory for %" PRIu64 " bytes", e->bytes);
    }
    if (e->version != d->version || e->bytes != d->bytes || e->offset != d->have ||
        e->data.size > d->bytes - d->have || e->data.size == 0)
      return pmp_fail(msg, PMP_EINTERNAL, "the daemon sent another range than it was asked for");
    memcpy(d->data + d->have, e->data.data, e->data.size);
    d->have += e->data.size;
  } while (d->have < d->bytes);
  return PMP_OK;
}

static int run_export(struct pmp_ctl *ctl, int argc, char **argv) {
  static const struct option options[] = {{"which", required_argument, NULL, OPT_WHICH},
                                          {"at", required_argument, NULL, OPT_VERSION},
                                          {0}};
  enum pmp_which which = PMP_WHICH_REFERENCE;
  struct pmp_errmsg msg = {{0}};
  double version = 0;
  int ch;
  while ((ch = pmp_ctl_option(ctl, argc, argv, options, false)) >= 0) {
    if (ch == OPT_WHICH && !parse_which(optarg, &which))
      return pmp_ctl_usage(ctl, "--which: reference or policy");
    if (ch == OPT_VERSION && pmp_ctl_number(optarg, 1, 9e15, &version, &msg) != PMP_OK)
      return pmp_ctl_usage(ctl, "--at: %s", msg.text);
  }
  if (ch == PMP_CTL_END) return ctl->exit_code;
  if (argc - optind != 1) return pmp_ctl_usage(ctl, "takes the file to write");
  struct download d = {0};
  enum pmp_err err = pmp_ctl_open(ctl, PMP_ROLE_OPERATOR, &msg);
  for (int i = 0; err == PMP_OK && i < EXPORT_RESTARTS;
       i++) { /* a version may go while its ranges are fetched */
    err = download(ctl, which, (uint64_t)version, &d, &msg);
    if (err != PMP_ENOTFOUND || d.have == 0 || version > 0) break;
    if (i + 1 < EXPORT_RESTARTS) err = PMP_OK;
  }
  if (err == PMP_OK) {
    const void *part = d.data;
    const size_t size = (size_t)d.bytes;
    err = pmp_fs_replace(pmp_fs_real(), argv[optind], &part, &size, 1, &msg);
  }
  free(d.data);
  if (err != PMP_OK) return pmp_ctl_failed(ctl, err, &msg);
  char bytes[PMP_FORMAT_MAX];
  const bool policy = which == PMP_WHICH_POLICY;
  /* A snapshot of the policy is named by the step after it, since 0 asks for a new one. */
  printf("%s: %s %" PRIu64 ", %s\n", argv[optind], policy ? "policy, step" : "reference, version",
         policy && d.version > 0 ? d.version - 1 : d.version,
         pmp_format_bytes((double)d.bytes, bytes));
  return PMP_EXIT_OK;
}

const struct pmp_command pmp_command_export = {
    "export", "export FILE [--which reference|policy] [--at VERSION]",
    "the weights as a safetensors file",
    "  FILE        written beside and renamed: it is there whole or not at all\n"
    "  --which W   the reference that actors act with (default), or the policy that is trained\n"
    "  --at V      this version of the reference, as long as the daemon keeps it\n"
    "\n"
    "The file's metadata holds run, version, step, what the policy is built from, and the "
    "configuration.\n",
    run_export};
