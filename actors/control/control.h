/* `pmpo-actor control`: environments of the control suite as an actor. */
#ifndef PMP_CONTROL_CONTROL_H
#define PMP_CONTROL_CONTROL_H

/* argv[0] is "control". Returns the process's exit code (enum pmp_exit). */
int pmp_control_main(int argc, char **argv);

#endif
