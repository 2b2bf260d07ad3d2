#include "daemon/agreement.h"

#include <string.h>

/* Ratings [from, returned) are of one item. */
static size_t item_end(const struct pmp_rating *r, size_t n, size_t from) {
  size_t to = from;
  while (to < n && r[to].item == r[from].item) to++;
  return to;
}

void pmp_agreement_all(const struct pmp_rating *r, size_t n, struct pmp_agreement *out) {
  *out = (struct pmp_agreement){.ratings = n};
  double agreeing = 0, share = 0, accepts = 0, rated = 0;
  double same = 0, total = 0, of[2] = {0, 0}; /* Krippendorff's coincidences */
  for (size_t from = 0, to; from < n; from = to) {
    to = item_end(r, n, from);
    const double m = (double)(to - from);
    double yes = 0;
    for (size_t i = from; i < to; i++) yes += r[i].accept;
    const double no = m - yes, equal = yes * (yes - 1) + no * (no - 1);
    rated++;
    accepts += yes / m;
    if (m < 2) continue;
    out->items++;
    out->pairs += (uint64_t)(m * (m - 1) / 2);
    agreeing += equal / 2;
    share += equal / (m * (m - 1));
    same += equal / (m - 1);
    total += m;
    of[0] += no;
    of[1] += yes;
  }
  if (out->items == 0) return;
  out->raw = agreeing / (double)out->pairs;
  const double p_a = share / (double)out->items, p = accepts / rated;
  const double p_e = p * p + (1 - p) * (1 - p);
  out->fleiss_known = p > 0 && p < 1;
  if (out->fleiss_known) out->fleiss = (p_a - p_e) / (1 - p_e);
  out->alpha_known = of[0] > 0 && of[1] > 0;
  if (!out->alpha_known) return;
  const double observed = 1 - same / total;
  const double expected = 1 - (of[0] * (of[0] - 1) + of[1] * (of[1] - 1)) / (total * (total - 1));
  out->alpha = 1 - observed / expected;
}

void pmp_agreement_tables(const struct pmp_rating *r, size_t n, uint32_t raters,
                          struct pmp_pair_table *table) {
  memset(table, 0, (size_t)raters * raters * sizeof *table);
  for (size_t from = 0, to; from < n; from = to) {
    to = item_end(r, n, from);
    for (size_t i = from; i < to; i++) {
      for (size_t k = i + 1; k < to; k++) {
        const struct pmp_rating *a = &r[i], *b = &r[k];
        if (a->rater >= raters || b->rater >= raters) continue;
        if (a->rater > b->rater) {
          a = b;
          b = &r[i];
        }
        table[(size_t)a->rater * raters + b->rater].said[a->accept][b->accept]++;
      }
    }
  }
}

struct pmp_pair_agreement pmp_agreement_pair(const struct pmp_pair_table *t) {
  struct pmp_pair_agreement out = {0};
  const double n00 = t->said[0][0], n01 = t->said[0][1], n10 = t->said[1][0], n11 = t->said[1][1];
  const double n = n00 + n01 + n10 + n11;
  out.items = (uint64_t)n;
  if (n == 0) return out;
  out.raw = (n00 + n11) / n;
  const double p_e = ((n10 + n11) * (n01 + n11) + (n00 + n01) * (n00 + n10)) / (n * n);
  out.kappa_known = p_e < 1;
  if (out.kappa_known) out.kappa = (out.raw - p_e) / (1 - p_e);
  return out;
}
