/* `pmpo-actor bandit`: a function to minimise; no condition, groups of outcomes, f = -value. */
#ifndef PMP_BANDIT_BANDIT_H
#define PMP_BANDIT_BANDIT_H

/* argv[0] is "bandit". Returns the process's exit code (enum pmp_exit). */
int pmp_bandit_main(int argc, char **argv);

#endif
