/* The six functions of the bandit experiment, all with minimum 0 (Hansen, Mueller, Koumoutsakos
 * 2003, Table 1). Pure; any thread. */
#ifndef PMP_BANDIT_FUNCTION_H
#define PMP_BANDIT_FUNCTION_H

#include "base/err.h"

#include <stdint.h>

struct pmp_function {
  const char *name;
  double (*value)(const double *x, uint32_t n); /* n >= 1 */
};

/* PMP_ENOTFOUND, with the names that exist. */
PMP_MUST_CHECK enum pmp_err pmp_function_find(const char *name, const struct pmp_function **out,
                                              struct pmp_errmsg *msg);
uint32_t pmp_function_count(void);
const struct pmp_function *pmp_function_at(uint32_t i);

#endif
