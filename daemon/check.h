/* `pmpod --check DIR`: verifies a store and its checkpoints, and names what is wrong. */
#ifndef PMP_DAEMON_CHECK_H
#define PMP_DAEMON_CHECK_H

#include <stdbool.h>
#include <stdio.h>

/* Writes one line a fault and a summary (one JSON object when json) to out. Returns an exit code: 0
 * clean, 1 faults, 2 nothing there. */
int pmp_check_dir(const char *dir, bool json, FILE *out);

#endif
