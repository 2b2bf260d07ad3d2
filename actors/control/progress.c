#include "actors/control/progress.h"

#include "base/clock.h"

#include <string.h>
#include <unistd.h>

#define FIRST_NS INT64_C(1000000000)
#define EVERY_NS INT64_C(250000000)

static int64_t now_ns(void) {
  struct pmp_clock clock = pmp_clock_real();
  return pmp_clock_mono(&clock);
}

void pmp_progress_begin(struct pmp_progress *p, FILE *out, const char *what, bool quiet) {
  memset(p, 0, sizeof *p);
  p->out = !quiet && isatty(fileno(out)) ? out : NULL;
  p->what = what;
  p->start_ns = now_ns();
  p->next_ns = p->start_ns + FIRST_NS;
}

static void print_left(FILE *out, double seconds) {
  if (seconds >= 3600)
    fprintf(out, "%.1f h", seconds / 3600);
  else if (seconds >= 100)
    fprintf(out, "%.0f min", seconds / 60);
  else
    fprintf(out, "%.0f s", seconds);
}

void pmp_progress_show(struct pmp_progress *p, double fraction) {
  if (p->out == NULL) return;
  int64_t now = now_ns();
  if (now < p->next_ns || !(fraction > 0)) return;
  p->next_ns = now + EVERY_NS;
  p->shown = true;
  fprintf(p->out, "\r%s: %3.0f %%, about ", p->what, 100 * fraction);
  print_left(p->out, (double)(now - p->start_ns) * 1e-9 * (1 - fraction) / fraction);
  fprintf(p->out, " left   ");
  fflush(p->out);
}

void pmp_progress_end(struct pmp_progress *p) {
  if (p->shown) {
    fprintf(p->out, "\r%60s\r", "");
    fflush(p->out);
  }
  p->shown = false;
}
