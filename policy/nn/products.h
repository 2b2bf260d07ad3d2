/* Products by oneDNN's matmul, each shape prepared once; inside policy/nn only.
 *
 * oneDNN takes some microseconds to look a product up, of which a small network's step would feel
 * every one: a table keeps them. One thread at a time. */
#ifndef PMP_POLICY_NN_PRODUCTS_H
#define PMP_POLICY_NN_PRODUCTS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pmp_products;

/* c (m x n) = op(a) op(b) + beta c, as in compute.h; a and b are bfloat16 when `half`. */
struct pmp_product {
  int64_t m, n, k, lda, ldb, ldc;
  float beta;
  bool ta, tb, half;
};

/* packs (nullable): whose packed operands these products read, instead of their own; it must stay
 * open and pack nothing while they run. */
PMP_MUST_CHECK enum pmp_err pmp_products_open(struct pmp_products **products,
                                              const struct pmp_products *packs);
void pmp_products_close(struct pmp_products *products);
/* m, n, k > 0. PMP_EINTERNAL when oneDNN refuses. */
PMP_MUST_CHECK enum pmp_err pmp_products_run(struct pmp_products *products,
                                             const struct pmp_product *p, const void *a,
                                             const void *b, float *c);

/* Floats of room for a packed b (k x n). */
size_t pmp_products_packed_floats(int64_t n, int64_t k);
/* b (k x n, dense, float32) as oneDNN likes it best for products of `m` rows, rounded when `half`.
 * PMP_EUNAVAILABLE when there is no such layout. */
PMP_MUST_CHECK enum pmp_err pmp_products_pack(struct pmp_products *products, int64_t m, int64_t n,
                                              int64_t k, bool half, const float *b, float *packed);
/* c (m x n) = a (m x k) b, all dense, b packed. */
PMP_MUST_CHECK enum pmp_err pmp_products_run_packed(struct pmp_products *products, int64_t m,
                                                    int64_t n, int64_t k, bool half, const void *a,
                                                    const float *packed, float *c);

#endif
