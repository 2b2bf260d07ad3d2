/* experiment: the papers' experiments, by the program beside this one. Needs no daemon. */
#include "clients/pmpoctl/command.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROGRAM "pmpo-experiment"

/* PROGRAM in the folder of this program. */
static bool beside(char *out, size_t size) {
  char *self = realpath("/proc/self/exe", NULL);
  char *slash = self != NULL ? strrchr(self, '/') : NULL;
  if (slash != NULL) *slash = '\0';
  const int n = slash != NULL ? snprintf(out, size, "%s/" PROGRAM, self) : -1;
  free(self);
  return n > 0 && (size_t)n < size;
}

/* All words are the other program's; this process becomes it. */
static int run_experiment(struct pmp_ctl *ctl, int argc, char **argv) {
  char path[PATH_MAX];
  struct pmp_errmsg msg = {{0}};
  if (argc < 2) return pmp_ctl_usage(ctl, "takes the name of an experiment");
  if (!beside(path, sizeof path)) snprintf(path, sizeof path, PROGRAM);
  argv[0] = path;
  fflush(stdout);
  execv(path, argv);
  return pmp_ctl_failed(
      ctl, pmp_fail(&msg, PMP_EUNAVAILABLE, "%s cannot be started: %s", path, strerror(errno)),
      &msg);
}

const struct pmp_command pmp_command_experiment = {
    "experiment",
    "experiment NAME [--quick] [--seeds N] [--steps N] [--threads N] [--out DIR] [--functions "
    "LIST] "
    "[--methods LIST] [--dims LIST] [--end-to-end] [--json] [--quiet] | --list | --help | "
    "--version",
    "run one of the papers' experiments (no daemon needed)",
    "  bandits           six functions, every method, 2 and 10 dimensions (PMPO Fig. 1)\n"
    "  beta-sweep        the weight of the KL from 0 to 2 for A, R and AR\n"
    "  ipo-d1-d3         DPO, IPO and PMPO on D1, D3 and D3' (IPO Sec. 5.4)\n"
    "\n"
    "  --quick           few seeds, seconds; ends with 1 when a claim does not hold\n"
    "  --seeds N         runs of each setting (10)\n"
    "  --steps N         learner steps of a run (the papers')\n"
    "  --threads N       runs at once (one a core)\n"
    "  --out DIR         where tables, CSV and figures go (experiments-NAME)\n"
    "  --functions LIST  bandits, beta-sweep: only these, with commas between: sphere, "
    "rosenbrock,\n"
    "                    schwefel, cigar, diffpow, elli\n"
    "  --methods LIST    bandits: only these: AR, A, R, DPO, DPO-20, BW, boltzmann, exact-AR,\n"
    "                    exact-R, paths-AR, paths-R\n"
    "  --dims LIST       bandits, beta-sweep: dimensions, 1 to 64 (2,10)\n"
    "  --end-to-end      bandits: one run (the first of each list) through pmpod and pmpo-actor\n"
    "                    against the same run here\n"
    "  --json            one JSON object a line instead of tables\n"
    "  --quiet           no progress\n"
    "  --list            experiments, functions and methods that there are\n"
    "  --help            what " PROGRAM " says of itself\n"
    "  --version         its version\n"
    "\n"
    "A grid that was stopped goes on where it was with the same command. A claim that needs more\n"
    "seeds, or other steps or methods, is shown as not judged. Exit codes: 0; 1 a claim does not\n"
    "hold, or something failed; 2 usage; 130 stopped.\n"
    "\n"
    "  pmpoctl experiment bandits --quick\n"
    "  pmpoctl experiment bandits --end-to-end --functions sphere --methods AR --dims 2\n",
    run_experiment};
