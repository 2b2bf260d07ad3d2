/* How far labelers agree: raw, Cohen's and Fleiss' kappa, Krippendorff's alpha, over accepts and
 * rejects.
 *
 * Pure arithmetic over arrays in float64, in fixed order; no memory of its own. Ratings are sorted
 * by item, and a rater rates an item once at most. */
#ifndef PMP_DAEMON_AGREEMENT_H
#define PMP_DAEMON_AGREEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pmp_rating {
  uint32_t item, rater;
  bool accept;
};

struct pmp_agreement {
  uint64_t items;   /* with two ratings at least */
  uint64_t ratings; /* all of them */
  uint64_t pairs;   /* of ratings of one item by two raters */
  double raw;       /* share of those pairs that agree; known with one pair */
  /* Fleiss (1971), with Gwet's (2014, chapter 3) treatment of items with unequal numbers of
   * ratings:
   *   p_a = mean over items with r_i >= 2 of  sum_q r_iq (r_iq - 1) / (r_i (r_i - 1))
   *   p_e = sum_q (mean over rated items of r_iq / r_i)^2
   *   kappa = (p_a - p_e) / (1 - p_e)
   * which is Fleiss' own when all items have as many. */
  double fleiss;
  /* Krippendorff (2004, chapter 11), nominal: 1 - D_o / D_e over the coincidences of items with two
   * ratings at least. */
  double alpha;
  bool fleiss_known, alpha_known; /* false: there is nothing to compare, or one label alone */
};
void pmp_agreement_all(const struct pmp_rating *rating, size_t n, struct pmp_agreement *out);

struct pmp_pair_table { /* items that two raters both rated, by what they said: 0 reject, 1 accept
                         */
  uint32_t said[2][2];
};
/* table[raters * raters], zeroed here; that of a < b is at a * raters + b. */
void pmp_agreement_tables(const struct pmp_rating *rating, size_t n, uint32_t raters,
                          struct pmp_pair_table *table);

struct pmp_pair_agreement {
  uint64_t items;
  double raw, kappa; /* Cohen (1960): (p_o - p_e) / (1 - p_e) */
  bool kappa_known;  /* false: no common item, or both said one and the same thing always */
};
struct pmp_pair_agreement pmp_agreement_pair(const struct pmp_pair_table *table);

#endif
