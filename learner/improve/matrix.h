/* Small dense symmetric matrices in float64, row-major: eigenvectors by Jacobi's rotations,
 * Cholesky factors, triangular solves. For n up to a few hundred, where accuracy counts more than
 * speed. Pure functions over arrays: no I/O, no allocation; any thread. Knows nothing of policies.
 */
#ifndef PMP_LEARNER_IMPROVE_MATRIX_H
#define PMP_LEARNER_IMPROVE_MATRIX_H

#include "base/err.h"

#include <stddef.h>

/* a (n x n, symmetric) -> its eigenvalues w (n, no order) and eigenvectors v (n x n, row i belongs
 * to w[i]): a = sum_i w_i v_i v_i'. a is destroyed. PMP_ENONFINITE when the rotations do not come
 * to an end, which finite input does not do. */
PMP_MUST_CHECK enum pmp_err pmp_matrix_eigen(size_t n, double *a, double *w, double *v);
/* Lower triangle of a (n x n) -> lower triangular l (n x n, zeros above), a = l l'. l may be a.
 * PMP_ENONFINITE when a is not positive definite. */
PMP_MUST_CHECK enum pmp_err pmp_matrix_cholesky(size_t n, const double *a, double *l);
/* x (n) <- l^-1 x, for a lower triangular l (n x n) with a diagonal without zeros. */
void pmp_matrix_solve_lower(size_t n, const double *l, double *x);
/* out (n x n, zeros above) <- a b for lower triangular a and b. out is neither. */
void pmp_matrix_lower_product(size_t n, const double *a, const double *b, double *out);

#endif
