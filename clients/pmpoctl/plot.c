#include "clients/pmpoctl/plot.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static const char *const axis_label[] = {[PMP_PLOT_STEP] = "learner steps",
                                         [PMP_PLOT_ENV] = "environment steps",
                                         [PMP_PLOT_WALL] = "wall time [s]"};

void pmp_plot_quoted(const char *text, FILE *out) {
  fputc('"', out);
  for (; *text; text++) fputc(strchr("\"\\`\n\r", *text) ? ' ' : *text, out);
  fputc('"', out);
}

static double at(const struct pmp_series *s, uint32_t i, enum pmp_plot_axis axis,
                 int64_t start_ns) {
  if (axis == PMP_PLOT_STEP) return (double)s->step[i];
  if (axis == PMP_PLOT_ENV) return (double)s->env_steps[i];
  return (double)(s->wall_ns[i] - start_ns) / 1e9;
}

/* A value, or what gnuplot leaves a gap for. */
static void number(double v, bool log, FILE *out) {
  if (log && !(v > 0))
    fputs(" NaN", out);
  else
    fprintf(out, " %.10g", v);
}

/* Columns: learner steps, environment steps, seconds, value, trailing mean (of all values, also of
 * those that a logarithmic scale does not show). */
static void data_block(const struct pmp_series *s, uint32_t index, uint32_t mean, bool log,
                       int64_t start_ns, FILE *out) {
  double sum = 0;
  fprintf(out, "$s%u << EOD\n", index);
  for (uint32_t i = 0; i < s->points; i++) {
    sum += s->value[i];
    if (i >= mean) sum -= s->value[i - mean];
    const uint32_t n = i + 1 < mean ? i + 1 : mean;
    for (int a = 0; a < PMP_PLOT_AXES; a++)
      fprintf(out, "%s%.12g", a ? " " : "", at(s, i, (enum pmp_plot_axis)a, start_ns));
    number(s->value[i], log, out);
    number(sum / n, log, out);
    fputc('\n', out);
  }
  fputs("EOD\n", out);
}

static void panel(const struct pmp_plot *p, enum pmp_plot_axis axis,
                  const struct pmp_series *series, uint32_t count, FILE *out) {
  const int x = (int)axis + 1;
  fprintf(out, "set xlabel \"%s\"\nset format x \"%s\"\n", axis_label[axis],
          axis == PMP_PLOT_WALL ? "%g" : "%.0s%c");
  if (count == 1) {
    fputs("set ylabel ", out);
    pmp_plot_quoted(series[0].name, out);
    fputc('\n', out);
  }
  fputs("plot ", out);
  for (uint32_t i = 0; i < count; i++) {
    const bool mean = p->mean > 1, lone = count == 1; /* the axis names a lone series */
    fprintf(out, "%s$s%u using %d:4 with %s lc %u title ", i ? ", " : "", i, x,
            mean ? "points pt 7 ps 0.35" : "linespoints lw 1.8 pt 7 ps 0.3", i + 1);
    pmp_plot_quoted(mean || lone ? "" : series[i].name, out);
    if (!mean) continue;
    char name[128];
    snprintf(name, sizeof name, "%.80s%smean of %u", lone ? "" : series[i].name, lone ? "" : ", ",
             p->mean);
    fprintf(out, ", $s%u using %d:5 with lines lw 2.4 lc %u title ", i, x, i + 1);
    pmp_plot_quoted(name, out);
  }
  if (!isnan(p->line))
    fprintf(out, ", %.10g with lines dt 2 lw 1.2 lc rgb \"#888888\" notitle", p->line);
  fputc('\n', out);
}

bool pmp_plot_script(const struct pmp_plot *p, const struct pmp_series *series, uint32_t count,
                     FILE *out) {
  int64_t start = INT64_MAX;
  for (uint32_t i = 0; i < count; i++)
    if (series[i].points && series[i].wall_ns[0] < start) start = series[i].wall_ns[0];
  /* cairo where it is built in, else libgd; both write to stdout. */
  fprintf(out,
          "if (strstrt(GPVAL_TERMINALS, \" pngcairo \")) {\n  set terminal pngcairo size %d,%d "
          "font \"DejaVu Sans,10\"\n"
          "} else {\n  set terminal png size %d,%d truecolor\n}\n",
          p->width * (int)p->panels, p->height, p->width * (int)p->panels, p->height);
  fputs("set termoption noenhanced\nset grid lc rgb \"#dddddd\"\nset border 3 lc rgb "
        "\"#444444\"\nset tics nomirror\nset key "
        "top left Left reverse samplen 2\n"
        "set linetype 1 lc rgb \"#2b6cb0\"\nset linetype 2 lc rgb \"#c05621\"\nset linetype 3 lc "
        "rgb \"#2f855a\"\n"
        "set linetype 4 lc rgb \"#805ad5\"\nset autoscale yfix\nset offsets 0, 0, graph 0.06, "
        "graph 0.03\n",
        out);
  for (uint32_t i = 0; i < count; i++) data_block(&series[i], i, p->mean, p->log, start, out);
  if (p->log) fputs("set logscale y\n", out);
  fprintf(out, "set multiplot layout 1,%u title ", p->panels);
  pmp_plot_quoted(p->title, out);
  fputc('\n', out);
  for (uint32_t i = 0; i < p->panels; i++) panel(p, p->panel[i], series, count, out);
  fputs("unset multiplot\n", out);
  return fflush(out) == 0;
}

/* gnuplot with the script on stdin and the picture on stdout: no name of ours is ever quoted into
 * its language. */
static enum pmp_err draw(FILE *script, int picture, struct pmp_errmsg *msg) {
  posix_spawn_file_actions_t actions;
  pid_t pid = 0;
  int status = 0;
  char *argv[] = {(char[]){"gnuplot"}, NULL};
  if (posix_spawn_file_actions_init(&actions) != 0)
    return pmp_fail(msg, PMP_ENOMEM, "out of memory");
  posix_spawn_file_actions_adddup2(&actions, fileno(script), 0);
  posix_spawn_file_actions_adddup2(&actions, picture, 1);
  const int rc = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  if (rc != 0)
    return pmp_fail(msg, rc == ENOENT ? PMP_ENOTFOUND : PMP_EIO, "gnuplot cannot be started: %s",
                    strerror(rc));
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) == 127)
    return pmp_fail(msg, PMP_ENOTFOUND, "gnuplot cannot be started (Debian: gnuplot-nox)");
  if (WEXITSTATUS(status) != 0)
    return pmp_fail(msg, PMP_EIO, "gnuplot ended with status %d", WEXITSTATUS(status));
  return PMP_OK;
}

uint64_t pmp_plot_hidden(const struct pmp_series *series, uint32_t count) {
  uint64_t hidden = 0;
  for (uint32_t i = 0; i < count; i++)
    for (uint32_t k = 0; k < series[i].points; k++) hidden += series[i].value[k] > 0 ? 0 : 1;
  return hidden;
}

enum pmp_err pmp_plot_draw(FILE *script, const char *path, struct pmp_errmsg *msg) {
  char beside[1100];
  if (snprintf(beside, sizeof beside, "%s.tmp", path) >= (int)sizeof beside)
    return pmp_fail(msg, PMP_EINVALID, "the path is too long");
  const int picture = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (picture < 0)
    return pmp_fail(msg, pmp_err_from_errno(errno), "%s: %s", beside, strerror(errno));
  rewind(script);
  enum pmp_err err = draw(script, picture, msg);
  if (close(picture) != 0 && err == PMP_OK)
    err = pmp_fail(msg, PMP_EIO, "%s: %s", beside, strerror(errno));
  if (err == PMP_OK && rename(beside, path) != 0)
    err = pmp_fail(msg, PMP_EIO, "%s: %s", path, strerror(errno));
  if (err != PMP_OK) unlink(beside);
  return err;
}

enum pmp_err pmp_plot_png(const struct pmp_plot *p, const struct pmp_series *series, uint32_t count,
                          const char *path, struct pmp_errmsg *msg) {
  uint32_t points = 0;
  for (uint32_t i = 0; i < count; i++) points += series[i].points;
  if (points == 0) return pmp_fail(msg, PMP_EINVALID, "there are no points to draw");
  if (p->log && pmp_plot_hidden(series, count) == points)
    return pmp_fail(msg, PMP_EINVALID,
                    "no point is above 0, and a logarithmic scale shows no others");
  FILE *script = tmpfile();
  if (!script)
    return pmp_fail(msg, pmp_err_from_errno(errno), "a temporary file: %s", strerror(errno));
  const enum pmp_err err =
      pmp_plot_script(p, series, count, script)
          ? pmp_plot_draw(script, path, msg)
          : pmp_fail(msg, pmp_err_from_errno(errno), "the script for gnuplot: %s", strerror(errno));
  fclose(script);
  return err;
}
