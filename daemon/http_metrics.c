/* GET /metrics: the status' numbers in Prometheus' text format 0.0.4. */
#include "daemon/http_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Numbers that only grow in one process: counters, whose names end with _total. */
static bool is_counter(const char *name) {
  static const char *const counter[] = {"learner.steps",
                                        "learner.checkpoints",
                                        "learner.checkpoint_failures",
                                        "learner.accepted_total",
                                        "learner.rejected_total",
                                        "learner.unlabelled_total",
                                        "replay.evicted",
                                        "replay.broken",
                                        "replay.stale",
                                        "store.rows_total",
                                        "store.commits",
                                        "store.operations",
                                        "store.refused",
                                        "store.sync_errors",
                                        "store.deleted_rows",
                                        "rpc.requests",
                                        "rpc.connections_refused",
                                        "rpc.connections_silent",
                                        "rpc.replies_lost",
                                        "rpc.throttled",
                                        "rpc.refused_invalid",
                                        "rpc.refused_too_large",
                                        "rpc.refused_unauthenticated",
                                        "rpc.refused_forbidden",
                                        "rpc.refused_not_found",
                                        "rpc.refused_conflict",
                                        "rpc.refused_busy",
                                        "rpc.refused_unavailable",
                                        "rpc.refused_internal",
                                        "rpc.metrics_lost",
                                        "ingest.appends",
                                        "ingest.rows",
                                        "ingest.bytes",
                                        "ingest.duplicates",
                                        "ingest.holds",
                                        "ingest.hold_busy",
                                        "ingest.open_items_busy",
                                        "ingest.no_job_busy",
                                        "desk.verdicts",
                                        "desk.verdict_duplicates",
                                        "desk.reports",
                                        "desk.report_duplicates",
                                        "weights.published",
                                        "env.steps"};
  for (size_t i = 0; i < sizeof counter / sizeof counter[0]; i++)
    if (strcmp(name, counter[i]) == 0) return true;
  return false;
}

/* "learner.steps" -> "pmpod_learner_steps_total". */
static void metric_name(const char *name, bool counter, char out[128]) {
  const size_t n = (size_t)snprintf(out, 120, "pmpod_%.100s", name);
  for (size_t i = 0; i < n; i++) {
    const char c = out[i];
    const bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!fine) out[i] = '_';
  }
  const char *end = "_total";
  if (counter && (n < 6 || strcmp(out + n - 6, end) != 0)) strcpy(out + n, end);
}

static void print_value(FILE *f, double v) {
  if (isnan(v)) {
    fputs(" NaN\n", f);
  } else if (isinf(v)) {
    fputs(v > 0 ? " +Inf\n" : " -Inf\n", f);
  } else {
    fprintf(f, " %.17g\n", v);
  }
}

static void print_label(FILE *f, const char *name, const char *value, bool last) {
  fprintf(f, "%s=\"", name);
  for (const char *s = value; *s; s++) {
    if (*s == '\\' || *s == '"') fputc('\\', f);
    if (*s == '\n') {
      fputs("\\n", f);
    } else {
      fputc(*s, f);
    }
  }
  fputs(last ? "\"}" : "\",", f);
}

static const char *text_of(const struct pmp_status_reply *s, const char *name) {
  for (uint32_t i = 0; i < s->texts; i++)
    if (strcmp(s->text[i].name, name) == 0) return s->text[i].value;
  return "";
}

static void print_info(FILE *f, const struct pmp_status_reply *s) {
  fputs("# HELP pmpod_info The run and what it is doing.\n# TYPE pmpod_info gauge\npmpod_info{", f);
  print_label(f, "version", PMP_VERSION, false);
  print_label(f, "run", text_of(s, "run_name"), false);
  print_label(f, "run_id", text_of(s, "run_id"), false);
  print_label(f, "task", text_of(s, "task"), false);
  print_label(f, "state", text_of(s, "state"), true);
  fputs(" 1\n", f);
}

static void print_actors(FILE *f, const struct pmp_status_reply *s) {
  static const char *const what[] = {"rows", "env_steps", "idle_seconds"};
  static const char *const help[] = {"Rows that the actor's name appended, ever.",
                                     "Environment steps that the actor last reported.",
                                     "Seconds since the actor was last heard of."};
  for (int k = 0; k < 3 && s->actors > 0; k++) {
    fprintf(f, "# HELP pmpod_actor_%s %s\n# TYPE pmpod_actor_%s gauge\n", what[k], help[k],
            what[k]);
    for (uint32_t i = 0; i < s->actors; i++) {
      const struct pmp_actor_status *a = &s->actor[i];
      const double value[] = {(double)a->rows, (double)a->env_steps, (double)a->idle_ms / 1000};
      fprintf(f, "pmpod_actor_%s{", what[k]);
      print_label(f, "actor", a->name, true);
      print_value(f, value[k]);
    }
  }
}

struct MHD_Response *pmp_http_metrics_text(const struct pmp_status_reply *s) {
  char *text = NULL, name[128];
  size_t size = 0;
  FILE *f = open_memstream(&text, &size);
  if (!f) return NULL;
  print_info(f, s);
  for (uint32_t i = 0; i < s->numbers; i++) {
    const bool counter = is_counter(s->number[i].name);
    metric_name(s->number[i].name, counter, name);
    fprintf(f, "# HELP %s %s of the status (docs/protocol.md).\n# TYPE %s %s\n%s", name,
            s->number[i].name, name, counter ? "counter" : "gauge", name);
    print_value(f, s->number[i].value);
  }
  print_actors(f, s);
  if (fclose(f) != 0) {
    free(text);
    return NULL;
  }
  struct MHD_Response *response =
      MHD_create_response_from_buffer(size, text, MHD_RESPMEM_MUST_FREE);
  if (!response) {
    free(text);
    return NULL;
  }
  MHD_add_response_header(response, "Content-Type", "text/plain; version=0.0.4; charset=utf-8");
  pmp_http_headers(response, true);
  return response;
}
