/* pmpo-experiment: the papers' experiments, run, drawn and checked. `pmpoctl experiment` is the
 * same. */
#include "experiments/bandit_grid.h"
#include "experiments/experiment.h"
#include "experiments/grid.h"
#include "experiments/names.h"

#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A signal's handler has nothing but globals. */
static volatile sig_atomic_t stop;

static void on_signal(int number) {
  (void)number;
  __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
}

static void catch_signals(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  /* A second Ctrl-C ends it at once. */
  action.sa_flags = (int)SA_RESETHAND;
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
}

static void list(FILE *out) {
  for (size_t i = 0; pmp_experiment_at(i) != NULL; i++)
    fprintf(out, "  %-12s %s\n", pmp_experiment_at(i)->name, pmp_experiment_at(i)->brief);
}

/* What --functions and --methods take. */
static void list_names(FILE *out) {
  char names[256];
  pmp_names_join(pmp_bandit_function_name, names, sizeof names);
  fprintf(out, "  functions    %s\n", names);
  pmp_names_join(pmp_bandit_method_name, names, sizeof names);
  fprintf(out, "  methods      %s\n", names);
}

static void usage(FILE *out) {
  fputs("usage: pmpo-experiment NAME [options]\n\n", out);
  list(out);
  fputc('\n', out);
  list_names(out);
  fputs(
      "\n"
      "  --quick           few seeds, seconds; ends with 1 when a claim does not hold\n"
      "  --seeds N         runs of each setting (10)\n"
      "  --steps N         learner steps of a run (the papers')\n"
      "  --threads N       runs at once (one a core)\n"
      "  --out DIR         where results go (experiments-NAME)\n"
      "  --functions LIST  bandits, beta-sweep: only these, with commas between\n"
      "  --methods LIST    bandits: only these\n"
      "  --dims LIST       bandits, beta-sweep: dimensions, 1 to 64 (2,10)\n"
      "  --end-to-end      bandits: one run through pmpod and pmpo-actor, held against the same\n"
      "                    run in this process\n"
      "  --json            results as one JSON object a line instead of tables\n"
      "  --quiet           no progress on stderr\n"
      "  --list            experiments, functions and methods that there are\n"
      "  --help            this text\n"
      "  --version         the version\n"
      "\n"
      "Runs are kept as they come (NAME.jsonl): the same command goes on where one was stopped.\n",
      out);
}

static bool parse_count(const char *name, const char *text, uint32_t *out) {
  char *end = NULL;
  const unsigned long value = strtoul(text, &end, 10);
  if (text[0] >= '0' && text[0] <= '9' && *end == '\0' && value >= 1 && value <= 1000000000) {
    *out = (uint32_t)value;
    return true;
  }
  fprintf(stderr, "pmpo-experiment: --%s: \"%.40s\" is no number from 1 to 1000000000\n", name,
          text);
  return false;
}

enum { OPT_OUT = 256, OPT_FUNCTIONS, OPT_METHODS, OPT_DIMS, OPT_END, OPT_LIST, OPT_VERSION };

static const struct option long_options[] = {{"quick", no_argument, NULL, 'q'},
                                             {"seeds", required_argument, NULL, 'n'},
                                             {"steps", required_argument, NULL, 's'},
                                             {"threads", required_argument, NULL, 't'},
                                             {"out", required_argument, NULL, OPT_OUT},
                                             {"functions", required_argument, NULL, OPT_FUNCTIONS},
                                             {"methods", required_argument, NULL, OPT_METHODS},
                                             {"dims", required_argument, NULL, OPT_DIMS},
                                             {"end-to-end", no_argument, NULL, OPT_END},
                                             {"json", no_argument, NULL, 'j'},
                                             {"quiet", no_argument, NULL, 'Q'},
                                             {"list", no_argument, NULL, OPT_LIST},
                                             {"version", no_argument, NULL, OPT_VERSION},
                                             {"help", no_argument, NULL, 'h'},
                                             {NULL, 0, NULL, 0}};

/* -1: go on; else the exit code. */
static int take(struct pmp_experiment_options *o, int ch) {
  const int bad = PMP_EXPERIMENT_USAGE;
  switch (ch) {
  case 'q':
    o->quick = true;
    return -1;
  case 'j':
    o->json = true;
    return -1;
  case 'Q':
    o->quiet = true;
    return -1;
  case 'n':
    return parse_count("seeds", optarg, &o->seeds) ? -1 : bad;
  case 's':
    return parse_count("steps", optarg, &o->steps) ? -1 : bad;
  case 't':
    return parse_count("threads", optarg, &o->threads) ? -1 : bad;
  case OPT_OUT:
    o->out = optarg;
    return -1;
  case OPT_FUNCTIONS:
    o->functions = optarg;
    return -1;
  case OPT_METHODS:
    o->methods = optarg;
    return -1;
  case OPT_DIMS:
    o->dims = optarg;
    return -1;
  case OPT_END:
    o->end_to_end = true;
    return -1;
  case OPT_LIST:
    list(stdout);
    list_names(stdout);
    return 0;
  case OPT_VERSION:
    puts("pmpo-experiment " PMP_VERSION);
    return 0;
  case 'h':
    usage(stdout);
    return 0;
  default:
    return bad;
  }
}

static int run(const struct pmp_experiment *e, const struct pmp_experiment_options *o) {
  struct pmp_errmsg msg = {{0}};
  uint32_t failed = 0;
  const enum pmp_err err = e->run(o, &failed, &msg);
  if (err == PMP_ECLOSED) {
    fprintf(stderr, "pmpo-experiment %s: stopped; the same command goes on from here\n", e->name);
    return PMP_EXPERIMENT_STOPPED;
  }
  if (err != PMP_OK) {
    fprintf(stderr, "pmpo-experiment %s: %s\n", e->name,
            msg.text[0] != '\0' ? msg.text : pmp_err_name(err));
    return err == PMP_EINVALID ? PMP_EXPERIMENT_USAGE : PMP_EXPERIMENT_FAILED;
  }
  if (fflush(stdout) != 0) {
    perror("pmpo-experiment: stdout");
    return PMP_EXPERIMENT_FAILED;
  }
  return failed > 0 ? PMP_EXPERIMENT_FAILED : PMP_EXPERIMENT_OK;
}

int main(int argc, char **argv) {
  struct pmp_experiment_options o = {.threads = pmp_grid_cores(), .stop = &stop};
  for (int ch; (ch = getopt_long(argc, argv, "h", long_options, NULL)) != -1;) {
    const int code = take(&o, ch);
    if (code >= 0) return code;
  }
  if (optind + 1 != argc) {
    usage(stderr);
    return PMP_EXPERIMENT_USAGE;
  }
  const struct pmp_experiment *e = pmp_experiment_find(argv[optind]);
  if (e == NULL) {
    fprintf(stderr, "pmpo-experiment: there is no experiment \"%.40s\"; there are\n", argv[optind]);
    list(stderr);
    return PMP_EXPERIMENT_USAGE;
  }
  char *self = realpath("/proc/self/exe", NULL);
  char *slash = self != NULL ? strrchr(self, '/') : NULL;
  if (slash != NULL) *slash = '\0';
  o.bin = self != NULL ? self : ".";
  catch_signals();
  const int code = run(e, &o);
  free(self);
  return code;
}
