/* The shapes that the control suite's rewards are made of. Pure functions.
 *
 * A tolerance is 1 inside [lower, upper] and falls off outside: at a distance of `margin` from the
 * nearer bound it is `value_at_margin`. */
#ifndef PMP_CONTROL_REWARD_H
#define PMP_CONTROL_REWARD_H

enum pmp_sigmoid {
  PMP_SIGMOID_GAUSSIAN,
  PMP_SIGMOID_HYPERBOLIC,
  PMP_SIGMOID_LONG_TAIL,
  PMP_SIGMOID_RECIPROCAL,
  PMP_SIGMOID_COSINE,
  PMP_SIGMOID_LINEAR,
  PMP_SIGMOID_QUADRATIC,
  PMP_SIGMOID_TANH_SQUARED
};

/* Bounds may be infinite. margin >= 0; 0 gives a step (and 0 for NaN). value_at_margin in (0,1),
 * and also 0 for cosine, linear and quadratic. */
double pmp_tolerance(double x, double lower, double upper, double margin, enum pmp_sigmoid sigmoid,
                     double value_at_margin);
/* The suite's default fall-off: Gaussian, 0.1 at the margin. */
double pmp_tolerance_gauss(double x, double lower, double upper, double margin);
/* (4 + mean_i max(0, 1 - c_i^2)) / 5 of the raw action c[n]: how little the agent spends, in [0.8,
 * 1]. */
double pmp_small_control(const double *ctrl, int n);

#endif
