#include "clients/pmpoctl/summary.h"

#include <math.h>
#include <string.h>

#define COUNT PMP_UNIT_COUNT
#define SOME PMP_UNIT_SOME
#define REAL PMP_UNIT_REAL
#define RATE PMP_UNIT_RATE
#define BYTES PMP_UNIT_BYTES
#define SECONDS PMP_UNIT_SECONDS
#define SHARE PMP_UNIT_SHARE
#define ERROR PMP_UNIT_ERROR
#define SPAN PMP_UNIT_SPAN

static const struct pmp_summary_line table[] = {
    {.head = "progress",
     .part = {{"", "run.progress", SHARE, ""},
              {" of ", "run.max_steps", COUNT, " learner steps"},
              {"", "run.left_s", SPAN, " left"}}},
    {.head = "environment",
     .part = {{"", "env.steps", COUNT, " steps"},
              {"", "env.steps_per_s", RATE, ""},
              {"", "ingest.rows", COUNT, " rows taken in"},
              {"", "learner.rows_per_s", RATE, ""}}},
    {.head = "learner",
     .part = {{"", "learner.steps", COUNT, " steps"},
              {"", "learner.steps_per_s", RATE, ""},
              {"reference ", "weights.version", COUNT, ""},
              {"saved at ", "learner.checkpoint_step", COUNT, ""}}},
    {.head = "return",
     .part = {{"last ", "return.last", REAL, ""},
              {"mean of ", "return.mean_of", COUNT, ":"},
              {" ", "return.mean", REAL, ""},
              {"best ", "return.best", REAL, ""},
              {"", "return.episodes", COUNT, " episodes"}}},
    {.head = "evaluation",
     .part = {{"", "eval.return", REAL, ""},
              {" +- ", "eval.stderr", ERROR, ""},
              {"at ", "eval.env_steps", COUNT, " env steps"},
              {"", "eval.age_s", SPAN, " ago"},
              {"best ", "eval.best", REAL, ""},
              {"", "eval.min", REAL, ""},
              {" to ", "eval.max", REAL, ""},
              {" over ", "eval.episodes", COUNT, " episodes"}}},
    {.head = "loss",
     .part = {{"", "learner.loss", REAL, ""},
              {"accepted ", "learner.loss_accepted", REAL, ""},
              {"rejected ", "learner.loss_rejected", REAL, ""},
              {"KL ", "learner.loss_kl", REAL, ""},
              {"dual ", "learner.loss_dual", REAL, ""},
              {"gradient ", "learner.grad_norm", REAL, ""}}},
    {.head = "policy",
     .part = {{"KL ", "learner.kl", REAL, ""},
              {"of the spread ", "learner.kl_std", REAL, ""},
              {"entropy ", "learner.entropy", REAL, ""},
              {"std ", "learner.std", REAL, ""},
              {"margin ", "learner.kl_margin", REAL, ""},
              {"temperature ", "learner.temperature", REAL, ""}}},
    {.head = "critic",
     .part = {{"Q ", "learner.q_mean", REAL, ""},
              {" in ", "learner.q_min", REAL, ""},
              {" to ", "learner.q_max", REAL, ""},
              {"spread over actions ", "learner.q_std", REAL, ""},
              {"loss ", "learner.critic_loss", REAL, ""},
              {"gradient ", "learner.critic_grad_norm", REAL, ""},
              {"n-step return ", "learner.return_n", REAL, ""}}},
    {.head = "labels",
     .part = {{"accepted ", "labels.accepted_share", SHARE, ""},
              {"rejected ", "labels.rejected_share", SHARE, ""},
              {"effective ", "learner.ess_accepted", REAL, ""},
              {" of ", "learner.accepted", REAL, ""},
              {" and ", "learner.ess_rejected", REAL, ""},
              {" of ", "learner.rejected", REAL, ""},
              {"unlabelled ", "labels.unlabelled_share", SHARE, ""},
              {"open for people ", "store.open_items", SOME, ""}}},
    {.head = "inserts",
     .part = {{"trained ", "limiter.achieved", REAL, ""},
              {" of ", "limiter.samples_per_insert", REAL, " times"},
              {"debt ", "limiter.debt", COUNT, " rows"},
              {"staleness ", "learner.staleness", REAL, ""},
              {"appends held ", "ingest.held", SOME, ""}}},
    {.head = "time",
     .part = {{"waiting for data ", "learner.wait_share", SHARE, ""},
              {"products ", "learner.product_share", SHARE, ""},
              {"rest ", "learner.rest_share", SHARE, ""}}},
    {.head = "store",
     .part = {{"", "store.rows", COUNT, " rows"},
              {"", "store.bytes", BYTES, ""},
              {"", "store.commits", COUNT, " commits"},
              {"", "store.refused", SOME, " refused"},
              {"", "replay.trainable", COUNT, " trainable"},
              {"", "replay.pending", SOME, " pending"},
              {"", "replay.bytes", BYTES, " of memory"}}},
    {.head = "verdicts",
     .part = {{"", "learner.accepted_total", COUNT, " accepted"},
              {"", "learner.rejected_total", COUNT, " rejected"},
              {"", "learner.unlabelled_total", COUNT, " not judged"}},
     .aside = true},
    {.head = "step time",
     .part = {{"sampling ", "learner.sample_s", SECONDS, ""},
              {"reference ", "learner.reference_s", SECONDS, ""},
              {"targets ", "learner.target_s", SECONDS, ""},
              {"critic ", "learner.critic_s", SECONDS, ""},
              {"labels ", "learner.label_s", SECONDS, ""},
              {"policy ", "learner.policy_s", SECONDS, ""},
              {"optimiser ", "learner.optimiser_s", SECONDS, ""}},
     .aside = true},
    {.head = "process",
     .part = {{"up ", "process.uptime_s", SPAN, ""},
              {"CPU ", "process.cpu_s", SECONDS, ""},
              {"peak memory ", "process.rss_peak_bytes", BYTES, ""},
              {"", "actors.active", COUNT, ""},
              {" of ", "actors.sessions", COUNT, " actors heard of lately"},
              {"connections ", "rpc.connections", COUNT, ""}},
     .aside = true},
};

const struct pmp_summary_line *pmp_summary_lines(size_t *count) {
  *count = sizeof table / sizeof table[0];
  return table;
}

const char *pmp_summary_value(enum pmp_summary_unit unit, double v, char out[PMP_FORMAT_MAX]) {
  switch (unit) {
  case PMP_UNIT_COUNT:
  case PMP_UNIT_SOME:
    return pmp_format_count(v, out);
  case PMP_UNIT_REAL:
    return pmp_format_real(v, out);
  case PMP_UNIT_RATE:
    return pmp_format_rate(v, out);
  case PMP_UNIT_BYTES:
    return pmp_format_bytes(v, out);
  case PMP_UNIT_SECONDS:
    return pmp_format_seconds(v, out);
  case PMP_UNIT_ERROR:
    snprintf(out, PMP_FORMAT_MAX, v >= 9.95 ? "%.0f" : v >= 0.995 ? "%.1f" : "%.2g", v);
    return out;
  case PMP_UNIT_SPAN:
    if (v >= 59.5) return pmp_format_seconds(round(v), out);
    snprintf(out, PMP_FORMAT_MAX, "%.0f s", v);
    return out;
  case PMP_UNIT_SHARE: /* all of it is 100 % alone */
    if (v >= 0.995 && v < 1) v = 0.99;
    snprintf(out, PMP_FORMAT_MAX, v > 0 && v < 0.095 ? "%.1f %%" : "%.0f %%", 100 * v);
    return out;
  }
  return "";
}

size_t pmp_summary_pieces(const struct pmp_summary_line *line, pmp_summary_number *number,
                          const void *ctx, struct pmp_summary_piece out[PMP_SUMMARY_PARTS]) {
  size_t n = 0;
  for (size_t i = 0; i < PMP_SUMMARY_PARTS && line->part[i].name; i++) {
    const struct pmp_summary_part *p = &line->part[i];
    const double v = number(ctx, p->name);
    if (!isfinite(v) || (p->unit == SOME && v == 0)) continue;
    struct pmp_summary_piece *piece = &out[n];
    piece->joined = n > 0 && p->before[0] == ' ';
    snprintf(piece->before, sizeof piece->before, "%s",
             n == 0 && p->before[0] == ' ' ? p->before + 1 : p->before);
    pmp_summary_value(p->unit, v, piece->value);
    snprintf(piece->after, sizeof piece->after, "%s", p->after);
    n++;
  }
  return n;
}

void pmp_summary_print(pmp_summary_number *number, const void *ctx, FILE *out) {
  for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
    struct pmp_summary_piece piece[PMP_SUMMARY_PARTS];
    const size_t n = pmp_summary_pieces(&table[i], number, ctx, piece);
    for (size_t k = 0; k < n; k++) {
      if (k == 0)
        fprintf(out, "  %-12s ", table[i].head);
      else if (!piece[k].joined)
        fputs(", ", out);
      fprintf(out, "%s%s%s", piece[k].before, piece[k].value, piece[k].after);
    }
    if (n > 0) fputc('\n', out);
  }
}
