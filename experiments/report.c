#include "experiments/report.h"

#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <spawn.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* ---------------------------------------------------------------- page and files */

#define SETTINGS "Settings: `"

/* The settings line of the page that is there. */
static void read_before(struct pmp_report *r) {
  char path[PMP_REPORT_PATH_MAX], line[sizeof r->before + 32];
  pmp_report_path(r, ".md", path);
  FILE *in = fopen(path, "r");
  while (in != NULL && fgets(line, sizeof line, in) != NULL) {
    if (strncmp(line, SETTINGS, strlen(SETTINGS)) != 0) continue;
    char *text = line + strlen(SETTINGS);
    text[strcspn(text, "`")] = '\0';
    snprintf(r->before, sizeof r->before, "%.*s", (int)sizeof r->before - 1, text);
    break;
  }
  if (in != NULL) fclose(in);
}

enum pmp_err pmp_report_open(struct pmp_report *r, const struct pmp_experiment_options *options,
                             const char *name, struct pmp_errmsg *msg) {
  *r = (struct pmp_report){.options = options, .name = name};
  const int n = options->out != NULL
                    ? snprintf(r->folder, sizeof r->folder, "%s", options->out)
                    : snprintf(r->folder, sizeof r->folder, "experiments-%s", name);
  if (n < 1 || n > PMP_REPORT_PATH_MAX - 100)
    return pmp_fail(msg, PMP_EINVALID, "the folder's name is empty or too long");
  const struct pmp_fs *fs = pmp_fs_real();
  PMP_TRY(fs->make_dir(fs->self, r->folder, msg));
  read_before(r);
  return pmp_report_file(r, ".md", &r->page, msg);
}

void pmp_report_begin(struct pmp_report *r, const char *settings) {
  pmp_report_text(r, "# %s\n\n" SETTINGS "%s`\n", r->name, settings);
  if (r->before[0] == '\0' || strcmp(r->before, settings) == 0) return;
  fprintf(stderr,
          "pmpo-experiment %s: %s held tables, CSV files and figures of %s\n"
          "  written over with those of %s (runs of both stay in %s.jsonl)\n",
          r->name, r->folder, r->before, settings, r->name);
}

enum pmp_err pmp_report_close(struct pmp_report *r, struct pmp_errmsg *msg) {
  FILE *page = r->page;
  r->page = NULL;
  return page != NULL ? pmp_report_file_close(page, msg) : PMP_OK;
}

void pmp_report_path(const struct pmp_report *r, const char *suffix,
                     char out[PMP_REPORT_PATH_MAX]) {
  snprintf(out, PMP_REPORT_PATH_MAX, "%.900s/%.40s%.60s", r->folder, r->name, suffix);
}

enum pmp_err pmp_report_file(const struct pmp_report *r, const char *suffix, FILE **out,
                             struct pmp_errmsg *msg) {
  char path[PMP_REPORT_PATH_MAX];
  pmp_report_path(r, suffix, path);
  *out = fopen(path, "w");
  if (*out != NULL) return PMP_OK;
  return pmp_fail(msg, pmp_err_from_errno(errno), "%s: %s", path, strerror(errno));
}

enum pmp_err pmp_report_file_close(FILE *file, struct pmp_errmsg *msg) {
  const bool bad = ferror(file) != 0;
  errno = 0;
  if (fclose(file) == 0 && !bad) return PMP_OK;
  return pmp_fail(msg, errno != 0 ? pmp_err_from_errno(errno) : PMP_EIO,
                  "the results could not be written: %s", strerror(errno));
}

static void text(struct pmp_report *r, const char *fmt, va_list args) {
  va_list again;
  va_copy(again, args);
  vfprintf(r->page, fmt, args);
  if (!r->options->json) vprintf(fmt, again);
  va_end(again);
}

void pmp_report_text(struct pmp_report *r, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  text(r, fmt, args);
  va_end(args);
}

void pmp_report_json(const struct pmp_report *r, json_t *object) {
  if (object != NULL && r->options->json) {
    json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
    putchar('\n');
  }
  json_decref(object);
}

void pmp_report_claim(struct pmp_report *r, bool holds, const char *fmt, ...) {
  char said[512];
  va_list args;
  va_start(args, fmt);
  vsnprintf(said, sizeof said, fmt, args);
  va_end(args);
  pmp_report_text(r, "* %s: %s\n", holds ? "holds" : "**does not hold**", said);
  pmp_report_json(r, json_pack("{s:s, s:b}", "claim", said, "holds", (int)holds));
  if (holds) return;
  r->failed++;
  fprintf(stderr, "pmpo-experiment %s: does not hold: %s\n", r->name, said);
}

void pmp_report_unjudged(struct pmp_report *r, const char *needs, const char *fmt, ...) {
  char said[512];
  va_list args;
  va_start(args, fmt);
  vsnprintf(said, sizeof said, fmt, args);
  va_end(args);
  pmp_report_text(r, "* not judged: %s: needs %s\n", said, needs);
  pmp_report_json(r, json_pack("{s:s, s:n, s:s}", "claim", said, "holds", "needs", needs));
}

json_t *pmp_report_number(double value) {
  return isfinite(value) ? json_real(value) : json_null();
}

/* ---------------------------------------------------------------- figures */

enum pmp_err pmp_report_figure(const struct pmp_report *r, const char *suffix, int columns,
                               int rows, int width, int height, const char *title, FILE **script,
                               struct pmp_errmsg *msg) {
  char name[100];
  snprintf(name, sizeof name, "%.60s.gp", suffix);
  PMP_TRY(pmp_report_file(r, name, script, msg));
  FILE *out = *script;
  /* Pixels: left, between panels, below (axis and key), above (title). */
  const int left = 64, gap_x = 58, gap_y = 62, below = 84, above = 62;
  const int w = left + columns * width + (columns - 1) * gap_x + 18;
  const int h = below + rows * height + (rows - 1) * gap_y + above;
  fprintf(out,
          "# gnuplot %s%s.gp draws %s%s.png\n"
          "set terminal pngcairo size %d,%d font \"DejaVu Sans,10\"\n"
          "set output \"%s%s.png\"\n",
          r->name, suffix, r->name, suffix, w, h, r->name, suffix);
  fputs("set encoding utf8\nset grid xtics ytics lt 1 lc rgb \"#e6e6e6\" lw 0.8\nset border 3 lc "
        "rgb \"#555555\"\n"
        "set tics nomirror scale 0.6\nset style fill transparent solid 0.12 noborder\nunset key\n",
        out);
  fprintf(out,
          "set multiplot layout %d,%d rowsfirst downwards margins screen %.4f,%.4f,%.4f,%.4f "
          "spacing screen %.4f,%.4f\n"
          "set label 1 \"%s\" at screen 0.5,%.4f center font \"DejaVu Sans,13\"\n",
          rows, columns, (double)left / w, 1.0 - 18.0 / w, (double)below / h,
          1.0 - (double)above / h, (double)gap_x / w, (double)gap_y / h, title, 1.0 - 18.0 / h);
  return PMP_OK;
}

void pmp_report_key(FILE *script) {
  /* A plot of its own, as wide as the picture: a panel's key would have to fit that panel. */
  fputs("unset title\nunset logscale\nunset border\nunset tics\nunset grid\nunset xlabel\n"
        "set lmargin at screen 0.02\nset rmargin at screen 0.98\n"
        "set bmargin at screen 0\nset tmargin at screen 0.1\n"
        "set xrange [0:1]\nset yrange [0:1]\n"
        "set key at screen 0.5,0.012 center bottom horizontal Left reverse samplen 2 width 0.5\n"
        "plot NaN notitle",
        script);
}

/* gnuplot in the folder, on the script; its words go to stderr. */
static enum pmp_err run_gnuplot(const char *folder, const char *script, struct pmp_errmsg *msg) {
  posix_spawn_file_actions_t actions;
  pid_t pid = 0;
  int status = 0;
  char program[] = "gnuplot", file[PMP_REPORT_PATH_MAX];
  char *argv[] = {program, file, NULL};
  snprintf(file, sizeof file, "%s", script);
  if (posix_spawn_file_actions_init(&actions) != 0)
    return pmp_fail(msg, PMP_ENOMEM, "out of memory");
  posix_spawn_file_actions_addchdir_np(&actions, folder);
  posix_spawn_file_actions_adddup2(&actions, 2, 1);
  const int rc = posix_spawnp(&pid, program, &actions, NULL, argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  if (rc != 0)
    return pmp_fail(msg, rc == ENOENT ? PMP_ENOTFOUND : PMP_EIO,
                    "gnuplot cannot be started: %s (Debian: gnuplot-nox)", strerror(rc));
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return PMP_OK;
  return pmp_fail(msg, PMP_EIO, "gnuplot could not draw %s/%s", folder, script);
}

enum pmp_err pmp_report_draw(const struct pmp_report *r, const char *suffix, FILE *script,
                             struct pmp_errmsg *msg) {
  char name[200];
  fputs("unset multiplot\nunset output\n", script);
  PMP_TRY(pmp_report_file_close(script, msg));
  snprintf(name, sizeof name, "%.60s%.60s.gp", r->name, suffix);
  return run_gnuplot(r->folder, name, msg);
}
