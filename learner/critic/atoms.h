/* Distributions over a critic's atoms: softmax, expectation, projection, cross-entropy. Pure
 * functions over arrays; any thread. Atom i lies at v_min + i (v_max - v_min) / (atoms - 1).
 * float32 in and out, float64 inside sums, in a fixed order; a logit that is not finite gives a
 * result that is not. 2 <= atoms <= PMP_CRITIC_ATOMS_MAX.
 * `threads` of the OpenMP pool share the larger ones; their number changes no bit. */
#ifndef PMP_LEARNER_CRITIC_ATOMS_H
#define PMP_LEARNER_CRITIC_ATOMS_H

#include "learner/critic/critic.h"

/* values (rows) = sum_i softmax(logits)_i z_i. logits (rows x atoms). */
void pmp_atoms_expect(int threads, size_t rows, uint32_t atoms, float v_min, float v_max,
                      const float *logits, float *values);
/* prob (states x atoms) = mean over the state's `per` rows of softmax(logits). logits (states*per x
 * atoms). */
void pmp_atoms_mean(int threads, size_t states, size_t per, uint32_t atoms, const float *logits,
                    float *prob);
/* *loss = mean over states of - sum_i target_i log softmax(logits)_i; dlogits (states x atoms) its
 * gradient; *mean_q the mean expectation. target (states x atoms). */
void pmp_atoms_loss(size_t states, uint32_t atoms, float v_min, float v_max, const float *logits,
                    const float *target, float *dlogits, double *loss, double *mean_q);

#endif
