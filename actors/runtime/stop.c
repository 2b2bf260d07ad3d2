#include "actors/runtime/stop.h"

#include <signal.h>
#include <string.h>

static void stop_signals(sigset_t *set) {
  sigemptyset(set);
  sigaddset(set, SIGINT);
  sigaddset(set, SIGTERM);
}

static void *wait_for_signals(void *arg) {
  struct pmp_stop *s = arg;
  sigset_t set;
  int number;
  stop_signals(&set);
  while (sigwait(&set, &number) == 0 && !atomic_load(&s->closing)) {
    if (__atomic_exchange_n(&s->requested, 1, __ATOMIC_RELAXED) == 0) continue;
    /* Asked twice: what the signal does by default. */
    signal(number, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    raise(number);
  }
  return NULL;
}

enum pmp_err pmp_stop_start(struct pmp_stop *s) {
  memset(s, 0, sizeof *s);
  sigset_t set;
  stop_signals(&set);
  pthread_sigmask(SIG_BLOCK, &set, NULL);
  if (pthread_create(&s->thread, NULL, wait_for_signals, s) != 0) return PMP_ENOMEM;
  s->running = true;
  return PMP_OK;
}

void pmp_stop_end(struct pmp_stop *s) {
  if (!s->running) return;
  atomic_store(&s->closing, true);
  pthread_kill(s->thread, SIGTERM);
  pthread_join(s->thread, NULL);
  s->running = false;
}
