/* watch: the run live, full screen or a line every few seconds. */
#include "clients/pmpoctl/command.h"
#include "clients/pmpoctl/format.h"
#include "clients/pmpoctl/screen.h"
#include "clients/pmpoctl/summary.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct want {
  struct pmp_watch watch;
  const char *until, *metric;
  double mean;
  bool plain;
};

int pmp_watch_ended(const struct pmp_watch *w, const struct pmp_feed_view *v,
                    const volatile int *stop) {
  const double now = pmp_ctl_now();
  if (pmp_ctl_stopped(stop)) return PMP_EXIT_INTERRUPTED;
  if (w->conditional && v->met) return PMP_EXIT_OK;
  if (now - w->begun_s >= w->for_s) return w->conditional ? PMP_EXIT_NOT_MET : PMP_EXIT_OK;
  if (now - (v->ever ? v->answered_s : w->begun_s) >= w->lost_s) return PMP_EXIT_NO_DAEMON;
  return -1;
}

const char *pmp_watch_goal(const struct pmp_watch *w, char *out, size_t size) {
  static const char *const op[] = {[PMP_LESS] = "<",   [PMP_AT_MOST] = "<=",  [PMP_EQUAL] = "=",
                                   [PMP_OTHER] = "!=", [PMP_AT_LEAST] = ">=", [PMP_MORE] = ">"};
  const struct pmp_condition *c = &w->condition;
  if (c->mean > 1)
    snprintf(out, size, "until %s %s %s, mean of %u", c->name, op[c->compare], c->text, c->mean);
  else
    snprintf(out, size, "until %s %s %s", c->name, op[c->compare], c->text);
  return out;
}

/* ---- plain ---- */

static void part(const char *before, double v,
                 const char *(*format)(double, char[PMP_FORMAT_MAX])) {
  char out[PMP_FORMAT_MAX];
  if (!isnan(v)) printf("  %s%s", before, format(v, out));
}

static void rate(double v) {
  char out[PMP_FORMAT_MAX];
  if (!isnan(v)) printf(" (%s)", pmp_format_rate(v, out));
}

static double number(const void *ctx, const char *name) {
  return pmp_feed_number(ctx, name);
}

static void plain_progress(const struct pmp_feed_view *v) {
  char left[PMP_FORMAT_MAX];
  const double share = pmp_feed_number(v, "run.progress"), s = pmp_feed_number(v, "run.left_s");
  if (isnan(share)) return;
  printf("  %.0f %%", floor(100 * share));
  if (!isnan(s)) printf(", %s left", pmp_format_seconds(s, left));
}

static void plain_evaluation(const struct pmp_feed_view *v) {
  char value[PMP_FORMAT_MAX], age[PMP_FORMAT_MAX];
  const double eval = pmp_feed_number(v, "eval.return"), s = pmp_feed_number(v, "eval.age_s");
  if (!isnan(eval) && !isnan(s))
    printf("  eval_return %s (%s ago)", pmp_format_real(eval, value), pmp_format_seconds(s, age));
}

static void print_lines(const char *head, const char *lines, FILE *out) {
  while (*lines) {
    const int n = (int)strcspn(lines, "\n");
    fprintf(out, "%s%.*s\n", head, n, lines);
    lines += n + (lines[n] == '\n');
  }
}

/* The numbers of `status`, and above them the warnings. */
static void plain_block(const struct pmp_feed_view *v) {
  print_lines("  warning      ", v->warnings, stdout);
  pmp_summary_print(number, v, stdout);
}

static void plain_line(const struct pmp_watch *w, const struct pmp_feed_view *v) {
  char clock[PMP_FORMAT_MAX];
  printf("%s", pmp_format_clock(pmp_ctl_now() - w->begun_s, clock));
  if (!v->ever || v->error[0]) {
    printf("  %s%s%s\n", v->ever ? "no answer for " : "",
           v->ever ? pmp_format_clock(pmp_ctl_now() - v->answered_s, clock) : "",
           v->ever       ? ""
           : v->error[0] ? v->error
                         : "connecting");
    return;
  }
  printf("  %s", v->state);
  plain_progress(v);
  if (w->full) {
    putchar('\n');
    plain_block(v);
    return;
  }
  part("env steps ", pmp_feed_number(v, "env.steps"), pmp_format_count);
  rate(pmp_feed_number(v, "env.steps_per_s"));
  part("learner steps ", pmp_feed_number(v, "learner.steps"), pmp_format_count);
  rate(pmp_feed_number(v, "learner.steps_per_s"));
  const bool evaluated =
      strcmp(v->recent_name, "actor.eval_return") == 0 && !isnan(pmp_feed_number(v, "eval.return"));
  if (evaluated) {
    plain_evaluation(v);
  } else if (!isnan(v->recent)) {
    char value[PMP_FORMAT_MAX];
    const char *dot = strchr(v->recent_name, '.');
    printf("  %s %s", dot ? dot + 1 : v->recent_name, pmp_format_real(v->recent, value));
    if (v->recent_points > 1) printf(" (mean of %u)", v->recent_points);
  }
  part("accepted ", pmp_feed_number(v, "learner.accepted_total"), pmp_format_count);
  part("rejected ", pmp_feed_number(v, "learner.rejected_total"), pmp_format_count);
  part("KL ", pmp_feed_number(v, "learner.kl"), pmp_format_real);
  part("reference ", pmp_feed_number(v, "weights.version"), pmp_format_count);
  putchar('\n');
}

static int plain_run(const struct pmp_watch *w, struct pmp_feed *feed, const volatile int *stop) {
  struct pmp_feed_view *v = malloc(sizeof *v);
  double next = w->begun_s + 0.3; /* the first answer takes a moment */
  int code = -1;
  bool doubted = false;
  if (!v) return PMP_EXIT_FAILED;
  while (code < 0) {
    pmp_ctl_sleep(stop, 0.1);
    pmp_feed_view(feed, v);
    code = pmp_watch_ended(w, v, stop);
    if (code < 0 && pmp_ctl_now() < next) continue;
    if (!doubted) print_lines("pmpoctl watch: ", v->doubt, stderr);
    doubted |= v->doubt[0] != '\0';
    if (code != PMP_EXIT_INTERRUPTED) plain_line(w, v);
    if (fflush(stdout) != 0 && code < 0) code = PMP_EXIT_FAILED;
    next += w->every_s;
  }
  free(v);
  return code;
}

/* ---- command ---- */

static int parse(struct pmp_ctl *ctl, int argc, char **argv, struct want *w) {
  struct pmp_watch *v = &w->watch;
  const struct pmp_ctl_setting own[] = {
      {"plain", PMP_CTL_FLAG, &w->plain, 0, 0},
      {"full", PMP_CTL_FLAG, &v->full, 0, 0},
      {"log", PMP_CTL_FLAG, &v->log, 0, 0},
      {"until", PMP_CTL_TEXT, &w->until, 0, 0},
      {"metric", PMP_CTL_TEXT, &w->metric, 0, 0},
      {"every", PMP_CTL_NUMBER, &v->every_s, 0.1, 86400},
      {"mean", PMP_CTL_NUMBER, &w->mean, 1, PMP_CONDITION_MEAN_MAX},
      {"for", PMP_CTL_NUMBER, &v->for_s, 0, 1e9},
      {"lost", PMP_CTL_NUMBER, &v->lost_s, 1, 1e9},
      {0}};
  struct pmp_errmsg msg;
  const int ch = pmp_ctl_settings(ctl, argc, argv, own);
  w->plain |= v->full;
  if (ch == PMP_CTL_ARGS && w->until) {
    w->watch.conditional = true;
    if (pmp_condition_parse_text(&w->watch.condition, w->until, (uint32_t)w->mean, &msg) !=
        PMP_OK) {
      ctl->exit_code = pmp_ctl_usage(ctl, "--until: %s", msg.text);
      return PMP_CTL_END;
    }
  }
  return ch;
}

static int run_watch(struct pmp_ctl *ctl, int argc, char **argv) {
  struct want w = {.watch = {.every_s = 5, .for_s = INFINITY, .lost_s = INFINITY}, .mean = 1};
  if (parse(ctl, argc, argv, &w) == PMP_CTL_END) return ctl->exit_code;
  if (optind < argc) return pmp_ctl_usage(ctl, "takes no arguments");
  struct pmp_errmsg msg = {{0}};
  struct pmp_feed *feed = NULL;
  w.watch.begun_s = pmp_ctl_now();
  const enum pmp_err err =
      pmp_feed_start(&feed, ctl, w.metric, w.watch.conditional ? &w.watch.condition : NULL, &msg);
  if (err != PMP_OK) return pmp_ctl_failed(ctl, err, &msg);
  int code = -1;
  if (!w.plain && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO))
    code = pmp_screen_run(&w.watch, feed, ctl->stop);
  if (code < 0) code = plain_run(&w.watch, feed, ctl->stop);
  pmp_feed_stop(feed);
  if (code == PMP_EXIT_INTERRUPTED && !w.watch.conditional)
    code = PMP_EXIT_OK; /* Ctrl-C is how a plain watch ends */
  return code;
}

const struct pmp_command pmp_command_watch = {
    "watch", "watch [--plain] [--full] [--until \"NAME OP VALUE\" [--mean N]] [--for S]",
    "the run live, full screen",
    "  --plain         a line every few seconds (so it is too when the output is no terminal)\n"
    "  --full          plain, and all the numbers each time\n"
    "  --every S       between lines (5)\n"
    "  --metric NAME   series of the curve (evaluation return, else return, else loss)\n"
    "  --log           the curve on a logarithmic scale: points at or below 0 are gaps\n"
    "  --until COND    end with 0 when the condition holds: \"actor.eval_return >= 800\"\n"
    "  --mean N        over the mean of the last N points\n"
    "  --for S         end after S seconds: with 4 when a condition was waited for\n"
    "  --lost S        end with 3 when the daemon has not answered for S seconds (never)\n"
    "\n"
    "Keys: q quit, p pause and resume, c checkpoint, r refresh the reference, m next curve,\n"
    "l logarithmic scale and back.\n"
    "A daemon that restarts is found again; until then the view says since when it has not "
    "answered.\n",
    run_watch};
