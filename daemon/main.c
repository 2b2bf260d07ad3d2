/* pmpod: the command line. Exit codes: 0 in order, 1 failed, 2 wrong usage or configuration. */
#include "daemon/check.h"
#include "daemon/server.h"

#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char usage[] =
    "usage: pmpod [options]\n"
    "Learns a policy from samples marked accepted or rejected, and serves it.\n"
    "\n"
    "  -c, --config FILE     configuration (YAML); without one the defaults hold\n"
    "  -d, --dir DIR         where the run lives: store.db, checkpoints/, endpoints.json (default "
    "./pmpod-run)\n"
    "  -s, --set KEY=VALUE   one setting, over the file; may be given again (e.g. "
    "learner.batch=128)\n"
    "      --check DIR       verify a store and its checkpoints, name every fault (exit 1 when "
    "there is one)\n"
    "      --check-config F  read and check a configuration, say what is wrong\n"
    "      --print-defaults  the whole configuration, commented, as YAML\n"
    "      --print-reference the same as a Markdown page\n"
    "      --json            with --check: one JSON object\n"
    "  -V, --version         version\n"
    "  -h, --help            this text\n"
    "\n"
    "Signals: SIGTERM stops in order (drains, writes a checkpoint), SIGHUP reads the live settings "
    "again.\n";

enum { OPT_CHECK = 256, OPT_CHECK_CONFIG, OPT_DEFAULTS, OPT_REFERENCE, OPT_JSON };

static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                        {"dir", required_argument, NULL, 'd'},
                                        {"set", required_argument, NULL, 's'},
                                        {"check", required_argument, NULL, OPT_CHECK},
                                        {"check-config", required_argument, NULL, OPT_CHECK_CONFIG},
                                        {"print-defaults", no_argument, NULL, OPT_DEFAULTS},
                                        {"print-reference", no_argument, NULL, OPT_REFERENCE},
                                        {"json", no_argument, NULL, OPT_JSON},
                                        {"version", no_argument, NULL, 'V'},
                                        {"help", no_argument, NULL, 'h'},
                                        {NULL, 0, NULL, 0}};

#define SETS_MAX 64
struct arguments {
  const char *config, *dir, *check, *check_config;
  const char *set[SETS_MAX];
  int sets;
  bool json, defaults, reference;
};

/* -1: go on; else the exit code. */
static int parse(int argc, char **argv, struct arguments *a) {
  int ch;
  while ((ch = getopt_long(argc, argv, "c:d:s:Vh", options, NULL)) != -1) {
    switch (ch) {
    case 'c':
      a->config = optarg;
      break;
    case 'd':
      a->dir = optarg;
      break;
    case 's':
      if (a->sets == SETS_MAX) {
        fprintf(stderr, "pmpod: more than %d --set; write a file\n", SETS_MAX);
        return 2;
      }
      a->set[a->sets++] = optarg;
      break;
    case OPT_CHECK:
      a->check = optarg;
      break;
    case OPT_CHECK_CONFIG:
      a->check_config = optarg;
      break;
    case OPT_DEFAULTS:
      a->defaults = true;
      break;
    case OPT_REFERENCE:
      a->reference = true;
      break;
    case OPT_JSON:
      a->json = true;
      break;
    case 'V':
      printf("pmpod %s\n", PMP_VERSION);
      return 0;
    case 'h':
      fputs(usage, stdout);
      return 0;
    default:
      fputs("pmpod: see pmpod --help\n", stderr);
      return 2;
    }
  }
  if (optind < argc) {
    fprintf(stderr, "pmpod: unexpected argument \"%s\"; see pmpod --help\n", argv[optind]);
    return 2;
  }
  return -1;
}

static enum pmp_err configure(const struct arguments *a, struct pmp_config *config,
                              struct pmp_errmsg *msg) {
  pmp_config_defaults(config);
  const char *path = a->check_config ? a->check_config : a->config;
  if (path) PMP_TRY(pmp_config_load(config, path, msg));
  for (int i = 0; i < a->sets; i++) {
    PMP_TRY(pmp_config_assign(config, a->set[i], msg));
  }
  if (a->defaults) return PMP_OK;
  return pmp_config_check(config, msg);
}

int main(int argc, char **argv) {
  struct arguments a = {.dir = "pmpod-run"};
  const int code = parse(argc, argv, &a);
  if (code >= 0) return code;
  if (a.check) return pmp_check_dir(a.check, a.json, stdout);
  if (a.reference) {
    pmp_config_print_markdown(stdout);
    return 0;
  }
  static struct pmp_config config;
  struct pmp_errmsg msg = {{0}};
  if (configure(&a, &config, &msg) != PMP_OK) {
    fprintf(stderr, "pmpod: %s\n", msg.text);
    return 2;
  }
  if (a.defaults) {
    pmp_config_print(&config, stdout);
    return 0;
  }
  if (a.check_config) {
    printf("%s: good\n", a.check_config);
    return 0;
  }
  umask(077);               /* a run's folder is its owner's, whatever it lies in */
  signal(SIGPIPE, SIG_IGN); /* whoever reads the log may go away */
  const struct pmp_server_options server = {.config = &config,
                                            .config_path = a.config,
                                            .dir = a.dir,
                                            .set = a.set,
                                            .sets = a.sets,
                                            .log_fd = 2};
  return pmp_server_run(&server);
}
