#include "clients/pmpoctl/campaign_progress.h"

#include "clients/pmpoctl/format.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define TERMINAL_S 0.5
#define PLAIN_S 30.0
#define JSON_S 5.0
#define LINE_MAX_BYTES 512
#define LINES_MAX 24 /* of the block; further runs are counted */

static const char *const phase_name[] = {
    [PMP_RUN_FOLDER] = "folder in use",  [PMP_RUN_STARTING] = "loading",
    [PMP_RUN_TRAINING] = "training",     [PMP_RUN_SETTLING] = "catching up",
    [PMP_RUN_EVALUATING] = "evaluating", [PMP_RUN_EXPORTING] = "exporting",
    [PMP_RUN_STOPPING] = "stopping",     [PMP_RUN_ENDED] = "ended"};

/* ---- time left ---- */

double pmp_campaign_run_left(const struct pmp_active_run *r) {
  const uint64_t end = r->world->campaign->env_steps;
  const double rate = pmp_campaign_run_rate(r);
  if (!(rate > 0)) return NAN;
  return r->env_steps < end ? (double)(end - r->env_steps) / rate : 0;
}

struct speed { /* steps and the seconds that they took */
  double steps, seconds;
};

static void add(struct speed *s, double steps, double seconds) {
  if (!(steps > 0) || !(seconds > 0)) return;
  s->steps += steps;
  s->seconds += seconds;
}

/* Speeds of each task, and behind them that of all. From runs that are done and that run. */
static void speeds(const struct pmp_campaign_moment *m, struct speed *of) {
  const struct pmp_campaign *c = m->world->campaign;
  const struct pmp_ledger *l = m->world->ledger;
  memset(of, 0, (c->tasks + 1) * sizeof *of);
  for (uint32_t i = 0; i < l->lines; i++) {
    if (!l->line[i].final) continue;
    for (uint32_t t = 0; t < c->tasks; t++) {
      if (strcmp(c->task[t].name, l->line[i].task) != 0) continue;
      add(&of[t], (double)l->line[i].env_steps, l->line[i].wall_s);
      add(&of[c->tasks], (double)l->line[i].env_steps, l->line[i].wall_s);
    }
  }
  for (uint32_t i = 0; i < m->slots; i++) {
    const struct pmp_active_run *r = m->running[i];
    const double rate = r != NULL ? pmp_campaign_run_rate(r) : (double)NAN;
    if (!(rate > 0)) continue;
    const double seconds = pmp_ctl_now() - r->learn_begin_s;
    add(&of[r->id.task], rate * seconds, seconds);
    add(&of[c->tasks], rate * seconds, seconds);
  }
}

double pmp_campaign_left(const struct pmp_campaign_moment *m) {
  const struct pmp_campaign *c = m->world->campaign;
  struct speed of[PMP_CAMPAIGN_TASKS_MAX + 1];
  double work = 0, longest = 0;
  speeds(m, of);
  if (!(of[c->tasks].seconds > 0)) return NAN;
  for (uint32_t i = 0; i < m->slots + m->waits; i++) {
    const struct pmp_active_run *r = i < m->slots ? m->running[i] : NULL;
    if (i < m->slots && r == NULL) continue;
    const uint32_t task = r != NULL ? r->id.task : m->waiting[i - m->slots].task;
    uint64_t have = r != NULL ? r->env_steps : 0;
    if (r == NULL) {
      struct pmp_ledger_run known;
      pmp_ledger_run_of(m->world->ledger, c, m->waiting[i - m->slots], &known);
      have = known.env_steps;
    }
    const struct speed *s = of[task].seconds > 0 ? &of[task] : &of[c->tasks];
    const double left =
        have < c->env_steps ? (double)(c->env_steps - have) * s->seconds / s->steps : 0;
    work += left;
    if (r != NULL && left > longest) longest = left;
  }
  const double shared = work / (m->slots > 0 ? m->slots : 1);
  return shared > longest ? shared : longest;
}

/* ---- the three forms ---- */

void pmp_campaign_progress_begin(struct pmp_campaign_progress *p, enum pmp_campaign_form form) {
  *p = (struct pmp_campaign_progress){.form = form, .begin_s = pmp_ctl_now()};
}

static void erase(struct pmp_campaign_progress *p) {
  if (p->drawn > 0) printf("\033[%uA\r\033[J", p->drawn);
  p->drawn = 0;
}

void pmp_campaign_progress_end(struct pmp_campaign_progress *p) {
  erase(p);
  fflush(stdout);
}

/* Above the block, which is drawn again with the next progress. */
static void line(struct pmp_campaign_progress *p, const char *fmt, ...) PMP_PRINTF(2, 3);
static void line(struct pmp_campaign_progress *p, const char *fmt, ...) {
  va_list args;
  erase(p);
  va_start(args, fmt);
  vprintf(fmt, args);
  va_end(args);
  putchar('\n');
  fflush(stdout);
  if (p->form == PMP_CAMPAIGN_FORM_TERMINAL) p->shown_s = 0;
}

static json_t *number(double v) {
  return isfinite(v) ? json_real(v) : json_null();
}

static void emit(json_t *o) {
  if (o != NULL) {
    json_dumpf(o, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
    putchar('\n');
    fflush(stdout);
  }
  json_decref(o);
}

static json_t *event(const char *what, const struct pmp_active_run *r) {
  const struct pmp_campaign *c = r->world->campaign;
  return json_pack("{s:s, s:s, s:s, s:s, s:I}", "event", what, "run", r->name, "task",
                   c->task[r->id.task].name, "variant", c->variant[r->id.variant].name, "seed",
                   (json_int_t)c->seed[r->id.seed]);
}

void pmp_campaign_note(struct pmp_campaign_progress *p, const char *fmt, ...) {
  char text[600];
  va_list args;
  va_start(args, fmt);
  vsnprintf(text, sizeof text, fmt, args);
  va_end(args);
  if (p->form == PMP_CAMPAIGN_FORM_JSON)
    emit(json_pack("{s:s, s:s}", "event", "note", "text", text));
  else
    line(p, "%s", text);
}

void pmp_campaign_began(struct pmp_campaign_progress *p, const struct pmp_active_run *r) {
  const uint64_t mark = pmp_campaign_mark(r->world->campaign, r->mark);
  char steps[PMP_FORMAT_MAX];
  if (p->form == PMP_CAMPAIGN_FORM_JSON) {
    json_t *o = event("begin", r);
    json_object_set_new(o, "next_mark", json_integer((json_int_t)mark));
    emit(o);
  } else if (r->mark > 1) {
    line(p, "%s goes on, towards %s steps", r->name, pmp_format_count((double)mark, steps));
  } else {
    line(p, "%s begins", r->name);
  }
}

void pmp_campaign_evaluated(struct pmp_campaign_progress *p, const struct pmp_active_run *r) {
  const struct pmp_ledger_line *e = &r->line;
  char steps[PMP_FORMAT_MAX], time[PMP_FORMAT_MAX];
  if (p->form == PMP_CAMPAIGN_FORM_JSON) {
    json_t *o = event("evaluation", r);
    json_object_set_new(o, "env_steps", json_integer((json_int_t)e->env_steps));
    json_object_set_new(o, "learner_steps", json_integer((json_int_t)e->learner_steps));
    json_object_set_new(o, "eval_return", number(e->eval_return));
    json_object_set_new(o, "eval_sem", number(e->eval_sem));
    json_object_set_new(o, "episodes", json_integer((json_int_t)e->episodes));
    json_object_set_new(o, "final", json_boolean(e->final));
    json_object_set_new(o, "wall_s", number(e->wall_s));
    emit(o);
    return;
  }
  line(p, "%s %s at %s steps: return %.1f (%.1f to %.1f, %u episodes) after %s", r->name,
       e->final ? "final" : "evaluated", pmp_format_count((double)e->env_steps, steps),
       e->eval_return, e->eval_min, e->eval_max, e->episodes, pmp_format_seconds(e->wall_s, time));
}

void pmp_campaign_ended(struct pmp_campaign_progress *p, const struct pmp_active_run *r) {
  const char *what = r->failed ? "failed" : r->done ? "done" : "stopped";
  if (p->form == PMP_CAMPAIGN_FORM_JSON) {
    json_t *o = event(what, r);
    if (r->failed) json_object_set_new(o, "reason", json_string(r->reason));
    emit(o);
  } else if (r->failed) {
    line(p, "%s FAILED: %s", r->name, r->reason);
  } else if (p->form == PMP_CAMPAIGN_FORM_PLAIN) {
    line(p, "%s %s", r->name, what);
  }
}

/* ---- progress ---- */

static double last_return(const struct pmp_active_run *r) {
  struct pmp_ledger_run known;
  pmp_ledger_run_of(r->world->ledger, r->world->campaign, r->id, &known);
  return known.last != NULL ? known.last->eval_return : (double)NAN;
}

static void run_text(const struct pmp_active_run *r, int width, char out[LINE_MAX_BYTES]) {
  char steps[PMP_FORMAT_MAX], rate[PMP_FORMAT_MAX] = "-", left[PMP_FORMAT_MAX] = "-",
                              ret[PMP_FORMAT_MAX] = "-";
  const double seconds = pmp_campaign_run_left(r), speed = pmp_campaign_run_rate(r),
               last = last_return(r);
  if (isfinite(speed)) pmp_format_rate(speed, rate);
  if (isfinite(seconds)) pmp_format_seconds(seconds, left);
  if (isfinite(last)) snprintf(ret, sizeof ret, "%.1f", last);
  snprintf(out, LINE_MAX_BYTES, "  %-*s %3.0f%% %9s %8s  return %6s  left %-11s %s", width, r->name,
           100 * (double)r->env_steps / (double)r->world->campaign->env_steps,
           pmp_format_count((double)r->env_steps, steps), rate, ret, left, phase_name[r->phase]);
}

static void head_text(const struct pmp_campaign_progress *p, const struct pmp_campaign_moment *m,
                      char out[LINE_MAX_BYTES]) {
  char left[PMP_FORMAT_MAX] = "not known yet", since[PMP_FORMAT_MAX], failed[40] = "";
  const double seconds = pmp_campaign_left(m);
  if (isfinite(seconds)) pmp_format_seconds(seconds, left);
  if (m->failed > 0) snprintf(failed, sizeof failed, ", %u failed", m->failed);
  snprintf(out, LINE_MAX_BYTES, "campaign %s: %u of %u runs done%s, %s so far, left %s",
           m->world->campaign->name, m->done, m->total, failed,
           pmp_format_clock(pmp_ctl_now() - p->begin_s, since), left);
}

static void show_json(const struct pmp_campaign_moment *m) {
  json_t *running = json_array();
  for (uint32_t i = 0; i < m->slots; i++) {
    const struct pmp_active_run *r = m->running[i];
    if (r == NULL) continue;
    json_array_append_new(running,
                          json_pack("{s:s, s:s, s:I, s:I, s:o, s:o, s:o}", "run", r->name, "phase",
                                    phase_name[r->phase], "env_steps", (json_int_t)r->env_steps,
                                    "learner_steps", (json_int_t)r->learner_steps, "eval_return",
                                    number(last_return(r)), "env_steps_per_s",
                                    number(pmp_campaign_run_rate(r)), "left_s",
                                    number(pmp_campaign_run_left(r))));
  }
  emit(json_pack("{s:s, s:i, s:i, s:i, s:o, s:o}", "event", "progress", "done", (int)m->done,
                 "failed", (int)m->failed, "total", (int)m->total, "left_s",
                 number(pmp_campaign_left(m)), "running", running));
}

static int columns_of_terminal(void) {
  struct winsize size;
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
}

static void show_lines(struct pmp_campaign_progress *p, const struct pmp_campaign_moment *m) {
  const bool terminal = p->form == PMP_CAMPAIGN_FORM_TERMINAL;
  const int columns = terminal ? columns_of_terminal() - 1 : LINE_MAX_BYTES;
  char text[LINE_MAX_BYTES];
  int width = 0;
  uint32_t drawn = 1, hidden = 0;
  for (uint32_t i = 0; i < m->slots; i++)
    if (m->running[i] != NULL && (int)strlen(m->running[i]->name) > width)
      width = (int)strlen(m->running[i]->name);
  erase(p);
  head_text(p, m, text);
  printf("%.*s\n", columns, text);
  for (uint32_t i = 0; i < m->slots; i++) {
    if (m->running[i] == NULL) continue;
    if (terminal && drawn == LINES_MAX) {
      hidden++;
      continue;
    }
    run_text(m->running[i], width, text);
    printf("%.*s\n", columns, text);
    drawn++;
  }
  if (hidden > 0) printf("  and %u more\n", hidden);
  if (terminal) p->drawn = drawn + (hidden > 0);
  fflush(stdout);
}

void pmp_campaign_show(struct pmp_campaign_progress *p, const struct pmp_campaign_moment *m) {
  static const double period[] = {[PMP_CAMPAIGN_FORM_TERMINAL] = TERMINAL_S,
                                  [PMP_CAMPAIGN_FORM_PLAIN] = PLAIN_S,
                                  [PMP_CAMPAIGN_FORM_JSON] = JSON_S};
  const double now = pmp_ctl_now();
  if (now - p->shown_s < period[p->form]) return;
  p->shown_s = now;
  if (p->form == PMP_CAMPAIGN_FORM_JSON)
    show_json(m);
  else
    show_lines(p, m);
}
