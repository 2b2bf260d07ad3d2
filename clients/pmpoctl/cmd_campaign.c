/* campaign: many control runs, one after the other or side by side, that survive any interruption.
 * Starts daemons of its own. */
#include "base/fs.h"
#include "clients/pmpoctl/campaign_queue.h"
#include "clients/pmpoctl/campaign_settings.h"
#include "clients/pmpoctl/campaign_summary.h"
#include "clients/pmpoctl/campaign_tasks.h"
#include "clients/pmpoctl/command.h"
#include "clients/pmpoctl/format.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

struct campaign_command {
  const char *file, *only, *bin;
  double jobs; /* 0: as many as there are processors for */
  bool status, summary, json, dry_run, retry;
  struct pmp_campaign campaign;
  struct pmp_ledger ledger;
  struct pmp_campaign_world world;
  int lock;
};

/* ---- command line ---- */

static int parse(struct pmp_ctl *ctl, int argc, char **argv, struct campaign_command *k) {
  const struct pmp_ctl_setting own[] = {
      {"jobs", PMP_CTL_NUMBER, &k->jobs, 1, PMP_CAMPAIGN_JOBS_MAX},
      {"only", PMP_CTL_TEXT, &k->only, 0, 0},
      {"bin", PMP_CTL_TEXT, &k->bin, 0, 0},
      {"status", PMP_CTL_FLAG, &k->status, 0, 0},
      {"summary", PMP_CTL_FLAG, &k->summary, 0, 0},
      {"json", PMP_CTL_FLAG, &k->json, 0, 0},
      {"dry-run", PMP_CTL_FLAG, &k->dry_run, 0, 0},
      {"retry", PMP_CTL_FLAG, &k->retry, 0, 0},
      {0}};
  if (pmp_ctl_settings(ctl, argc, argv, own) == PMP_CTL_END) return ctl->exit_code;
  if (k->jobs != (double)(uint32_t)k->jobs)
    return pmp_ctl_usage(ctl, "--jobs takes a whole number");
  if (argc - optind != 1) return pmp_ctl_usage(ctl, "takes the campaign's file");
  if (k->status + k->summary + k->dry_run > 1)
    return pmp_ctl_usage(ctl, "--status, --summary and --dry-run exclude each other");
  k->file = argv[optind];
  return PMP_EXIT_OK;
}

static enum pmp_err absolute(const char *path, char out[PMP_CAMPAIGN_PATH_MAX],
                             struct pmp_errmsg *msg) {
  char *real = realpath(path, NULL);
  const bool fits = real != NULL && strlen(real) < PMP_CAMPAIGN_PATH_MAX - 200;
  if (fits) strcpy(out, real);
  free(real);
  if (fits) return PMP_OK;
  return pmp_fail(msg, PMP_EINVALID, "%.300s: %s", path,
                  real != NULL ? "the path is too long" : strerror(errno));
}

/* Of --bin, else the folder of this program. */
static enum pmp_err find_bin(const char *given, char out[PMP_CAMPAIGN_PATH_MAX],
                             struct pmp_errmsg *msg) {
  if (given != NULL) return absolute(given, out, msg);
  PMP_TRY(absolute("/proc/self/exe", out, msg));
  *strrchr(out, '/') = '\0';
  return PMP_OK;
}

static uint32_t jobs_of(const struct campaign_command *k) {
  cpu_set_t set;
  if (k->jobs >= 1) return (uint32_t)k->jobs;
  const int cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  const uint32_t jobs = (uint32_t)cores / k->campaign.threads;
  return jobs < 1 ? 1 : jobs > PMP_CAMPAIGN_JOBS_MAX ? PMP_CAMPAIGN_JOBS_MAX : jobs;
}

/* ---- the folder ---- */

static enum pmp_err take_lock(struct campaign_command *k, struct pmp_errmsg *msg) {
  char path[PMP_CAMPAIGN_PATH_MAX + 16];
  snprintf(path, sizeof path, "%s/lock", k->world.dir);
  k->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (k->lock < 0) return pmp_fail(msg, pmp_err_from_errno(errno), "%s: %s", path, strerror(errno));
  if (flock(k->lock, LOCK_EX | LOCK_NB) == 0) return PMP_OK;
  return pmp_fail(msg, PMP_EBUSY, "another pmpoctl works on %.400s", k->world.dir);
}

/* write: the folder is made and locked, else only looked at. */
static enum pmp_err open_folder(struct pmp_ctl *ctl, struct campaign_command *k, bool write,
                                struct pmp_errmsg *msg) {
  const struct pmp_fs *fs = pmp_fs_real();
  char dir[PMP_CAMPAIGN_PATH_MAX], ledger[PMP_CAMPAIGN_PATH_MAX + 16];
  if (ctl->dir != NULL)
    snprintf(dir, sizeof dir, "%s", ctl->dir);
  else
    snprintf(dir, sizeof dir, "campaign-%s", k->campaign.name);
  if (write) PMP_TRY(fs->make_dir(fs->self, dir, msg));
  if (!write && access(dir, F_OK) != 0)
    snprintf(k->world.dir, sizeof k->world.dir, "%s", dir); /* nothing there yet */
  else
    PMP_TRY(absolute(dir, k->world.dir, msg));
  if (write) PMP_TRY(take_lock(k, msg));
  snprintf(ledger, sizeof ledger, "%s/ledger.csv", k->world.dir);
  PMP_TRY(pmp_ledger_open(&k->ledger, ledger, write, msg));
  return pmp_campaign_settings(&k->world, &k->ledger, write, msg);
}

/* ---- what it can do ---- */

static void show_status(const struct campaign_command *k) {
  const struct pmp_campaign *c = &k->campaign;
  struct pmp_table t;
  uint32_t count[3] = {0};
  pmp_table_init(&t, "run|state|>env steps|>marks|>return|>time");
  for (uint32_t i = 0; i < pmp_campaign_runs(c); i++) {
    static const char *const word[] = {"waiting", "done", "failed"};
    const struct pmp_campaign_run_id id = pmp_campaign_run(c, i);
    struct pmp_ledger_run r;
    char name[PMP_CAMPAIGN_RUN_NAME_MAX], text[PMP_TABLE_CELL], number[PMP_FORMAT_MAX];
    if (!pmp_queue_takes(c, id, k->only)) continue;
    pmp_ledger_run_of(&k->ledger, c, id, &r);
    const int state = r.done ? 1 : r.failed ? 2 : 0;
    count[state]++;
    pmp_campaign_run_name(c, id, name);
    if (k->json) {
      json_t *o = json_pack("{s:s, s:s, s:I, s:i, s:i, s:f}", "run", name, "state",
                            state == 0 && r.began ? "begun" : word[state], "env_steps",
                            (json_int_t)r.env_steps, "marks", (int)r.mark, "of",
                            (int)pmp_campaign_marks(c), "wall_s", r.wall_s);
      if (r.last != NULL) json_object_set_new(o, "eval_return", json_real(r.last->eval_return));
      if (state == 2) json_object_set_new(o, "reason", json_string(r.last_failure->status));
      json_dumpf(o, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
      putchar('\n');
      json_decref(o);
      continue;
    }
    if (!pmp_table_row(&t)) break;
    pmp_table_set(&t, 0, name);
    pmp_table_set(&t, 1, state == 0 && r.began ? "begun" : word[state]);
    pmp_table_set(&t, 2, pmp_format_count((double)r.env_steps, number));
    snprintf(text, sizeof text, "%u/%u", r.mark, pmp_campaign_marks(c));
    pmp_table_set(&t, 3, text);
    if (r.last != NULL) {
      snprintf(text, sizeof text, "%.1f", r.last->eval_return);
      pmp_table_set(&t, 4, text);
    }
    pmp_table_set(&t, 5, r.wall_s > 0 ? pmp_format_seconds(r.wall_s, number) : "");
    if (state == 2) fprintf(stderr, "%s: %s\n", name, r.last_failure->status);
  }
  if (!k->json) {
    pmp_table_print(&t, stdout);
    printf("%u done, %u failed, %u to do\n", count[1], count[2], count[0]);
  }
  pmp_table_fini(&t);
}

static void print_words(const struct pmp_words *w) {
  for (size_t i = 0; i < w->words; i++) {
    const bool plain = strpbrk(w->word[i], " []'\"$*?;&|<>()") == NULL;
    printf("%s%s%s%s", i ? " " : "  ", plain ? "" : "'", w->word[i], plain ? "" : "'");
  }
  putchar('\n');
}

static void show_commands(const struct campaign_command *k) {
  const struct pmp_campaign *c = &k->campaign;
  for (uint32_t i = 0; i < pmp_campaign_runs(c); i++) {
    const struct pmp_campaign_run_id id = pmp_campaign_run(c, i);
    struct pmp_words w[3] = {{.words = 0}, {.words = 0}, {.words = 0}};
    struct pmp_ledger_run r;
    char name[PMP_CAMPAIGN_RUN_NAME_MAX];
    if (!pmp_queue_takes(c, id, k->only)) continue;
    pmp_ledger_run_of(&k->ledger, c, id, &r);
    printf("%s: %s\n", pmp_campaign_run_name(c, id, name),
           r.done     ? "done"
           : r.failed ? "failed"
           : r.began  ? "goes on"
                      : "to do");
    if (r.done) continue;
    pmp_campaign_run_daemon_words(&k->world, id, &w[0]);
    pmp_campaign_run_actor_words(&k->world, id, "URL", pmp_campaign_mark(c, r.mark + 1), &w[1]);
    pmp_campaign_run_evaluator_words(&k->world, id, "URL", r.mark + 1, &w[2]);
    for (int n = 0; n < 3; n++) print_words(&w[n]);
  }
  printf("%u runs at once\n", jobs_of(k));
}

static enum pmp_err summarise(const struct campaign_command *k, bool print,
                              struct pmp_errmsg *msg) {
  struct pmp_results s = {0};
  enum pmp_err err = pmp_results_init(&s, &k->campaign, &k->ledger, msg);
  if (err == PMP_OK) err = pmp_results_write(&s, k->world.dir, msg);
  if (print && s.cell != NULL && (err == PMP_OK || err == PMP_ENOTFOUND))
    pmp_results_text(&s, stdout);
  pmp_results_fini(&s);
  return err;
}

/* ---- the runs ---- */

static int outcome(struct pmp_ctl *ctl, const struct campaign_command *k,
                   const struct pmp_queue_outcome *o) {
  if (k->json) {
    printf("{\"event\":\"end\",\"done\":%u,\"failed\":%u,\"total\":%u,\"stopped\":%s}\n", o->done,
           o->failed, o->total, o->stopped ? "true" : "false");
  } else {
    printf("%u of %u runs done, %u failed; results: %s/summary.txt\n", o->done, o->total, o->failed,
           k->world.dir);
  }
  if (o->stopped) {
    fprintf(stderr,
            "pmpoctl campaign: stopped; the same command goes on: pmpoctl campaign %s%s%s\n",
            k->file, ctl->dir != NULL ? " --dir " : "", ctl->dir != NULL ? ctl->dir : "");
    return PMP_EXIT_INTERRUPTED;
  }
  if (o->failed > 0)
    fprintf(stderr, "pmpoctl campaign: %u runs failed; --retry tries them again\n", o->failed);
  return o->failed > 0 ? PMP_EXIT_FAILED : PMP_EXIT_OK;
}

static enum pmp_err work(struct pmp_ctl *ctl, struct campaign_command *k, int *code,
                         struct pmp_errmsg *msg) {
  struct pmp_queue_outcome o;
  const struct pmp_queue_options options = {.jobs = jobs_of(k),
                                            .only = k->only,
                                            .retry = k->retry,
                                            .form = k->json ? PMP_CAMPAIGN_FORM_JSON
                                                    : isatty(STDOUT_FILENO)
                                                        ? PMP_CAMPAIGN_FORM_TERMINAL
                                                        : PMP_CAMPAIGN_FORM_PLAIN};
  /* Spinning threads of several learners would starve each other. */
  setenv("OMP_WAIT_POLICY", "passive", 0);
  setenv("OMP_DYNAMIC", "false", 0);
  PMP_TRY(pmp_campaign_version(k->world.bin, k->world.version, sizeof k->world.version, msg));
  if (k->ledger.cut > 0)
    fprintf(stderr, "pmpoctl campaign: a torn last line of %s (%llu bytes) was cut off\n",
            k->ledger.path, (unsigned long long)k->ledger.cut);
  PMP_TRY(pmp_queue_run(&k->world, &options, &o, msg));
  /* A figure that cannot be drawn takes nothing from the runs. */
  if (summarise(k, !k->json && !o.stopped, msg) != PMP_OK)
    fprintf(stderr, "pmpoctl campaign: %s\n", msg->text);
  *code = outcome(ctl, k, &o);
  return PMP_OK;
}

static enum pmp_err some_run(const struct campaign_command *k, struct pmp_errmsg *msg) {
  for (uint32_t i = 0; i < pmp_campaign_runs(&k->campaign); i++)
    if (pmp_queue_takes(&k->campaign, pmp_campaign_run(&k->campaign, i), k->only)) return PMP_OK;
  return pmp_fail(msg, PMP_EINVALID, "--only %.80s matches no TASK.VARIANT.SEED of %.200s", k->only,
                  k->file);
}

static enum pmp_err act(struct pmp_ctl *ctl, struct campaign_command *k, int *code,
                        struct pmp_errmsg *msg) {
  const bool only_look = k->status || k->summary || k->dry_run;
  PMP_TRY(pmp_campaign_load(&k->campaign, k->file, msg));
  k->world.campaign = &k->campaign;
  k->world.ledger = &k->ledger;
  k->world.stop = ctl->stop;
  PMP_TRY(some_run(k, msg));
  if (!k->status && !k->summary) {
    PMP_TRY(find_bin(k->bin, k->world.bin, msg));
    PMP_TRY(pmp_campaign_tasks(&k->campaign, k->world.bin, msg));
    PMP_TRY(pmp_campaign_check(&k->campaign, k->world.bin, msg));
  }
  PMP_TRY(open_folder(ctl, k, !only_look, msg));
  if (k->status) show_status(k);
  if (k->dry_run) show_commands(k);
  if (k->summary) {
    if (access(k->world.dir, F_OK) != 0)
      return pmp_fail(msg, PMP_ENOTFOUND, "%.400s is not there: nothing has run yet", k->world.dir);
    return summarise(k, true, msg);
  }
  return only_look ? PMP_OK : work(ctl, k, code, msg);
}

static int run_campaign(struct pmp_ctl *ctl, int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], PMP_CHILD_VERB) == 0) return pmp_child_become(argc, argv);
  struct campaign_command *k = calloc(1, sizeof *k);
  struct pmp_errmsg msg = {{0}};
  if (k == NULL) return pmp_ctl_failed(ctl, pmp_fail(&msg, PMP_ENOMEM, "out of memory"), &msg);
  k->lock = k->ledger.fd = -1;
  int code = parse(ctl, argc, argv, k);
  if (k->file != NULL) {
    const enum pmp_err err = act(ctl, k, &code, &msg);
    if (err != PMP_OK) code = pmp_ctl_failed(ctl, err, &msg);
    if (err == PMP_EINVALID) code = PMP_EXIT_USAGE;
  }
  pmp_ledger_close(&k->ledger);
  pmp_campaign_free(&k->campaign);
  if (k->lock >= 0) close(k->lock);
  free(k);
  return code;
}

const struct pmp_command pmp_command_campaign = {
    "campaign",
    "campaign FILE [--dir DIR] [--jobs N] [--only GLOB] [--retry] [--status | --summary | "
    "--dry-run] "
    "[--json] [--bin DIR]",
    "a queue of control runs: tasks x variants x seeds (starts daemons)",
    "  FILE         what to run, as YAML (examples/control/campaign-*.yaml, docs/campaign.md)\n"
    "  --dir DIR    where it all lies (campaign-NAME): ledger.csv, summary.*, runs/\n"
    "  --jobs N     runs at once (as many as there are processors for, one a learner's thread)\n"
    "  --only GLOB  only runs whose TASK.VARIANT.SEED it matches, such as 'walker_*.ar.*'\n"
    "  --retry      runs that failed, too; they go on from their folder\n"
    "  --status     every run's state, from the ledger\n"
    "  --summary    summary.txt, .csv and .png of what is there\n"
    "  --dry-run    check everything and show the commands\n"
    "  --json       one JSON object a line\n"
    "  --bin DIR    folder of pmpod and pmpo-actor (this program's)\n"
    "\n"
    "Ctrl-C, a kill or a power cut loses nothing: the same command goes on. Exit codes: 0 all "
    "runs\n"
    "are done; 1 some failed; 2 the file or the command line is wrong; 130 stopped.\n"
    "\n"
    "  pmpoctl campaign examples/control/campaign-six.yaml --dir six --jobs 2\n"
    "  pmpoctl campaign examples/control/campaign-six.yaml --dir six --summary\n",
    run_campaign};
