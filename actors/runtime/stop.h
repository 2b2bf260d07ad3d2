/* SIGINT and SIGTERM as a flag that everything looks at: the first asks the actor to stop, the
 * second ends it at once.
 *
 * Start it before any other thread, so that all of them leave the signals alone. */
#ifndef PMP_ACTORS_RUNTIME_STOP_H
#define PMP_ACTORS_RUNTIME_STOP_H

#include "base/err.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct pmp_stop {
  volatile int requested; /* written atomically; what `struct pmpo_options` wants */
  pthread_t thread;
  atomic_bool closing;
  bool running;
};

/* PMP_ENOMEM. The struct must stay where it is. */
PMP_MUST_CHECK enum pmp_err pmp_stop_start(struct pmp_stop *s);
/* Safe on a zeroed struct. */
void pmp_stop_end(struct pmp_stop *s);

static inline bool pmp_stop_requested(const struct pmp_stop *s) {
  return __atomic_load_n(&s->requested, __ATOMIC_RELAXED) != 0;
}

#endif
