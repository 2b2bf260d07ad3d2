/* What JAX and PyTorch need for the same: a Python script beside this file, run in a virtual
 * environment of its own (peers.sh makes it, once), one line a peer: `NAME VALUE`, or `NAME -
 * REASON`.
 *
 * Blocks, minutes when the environment is made. A peer that says nothing has a reason. */
#ifndef PMP_BENCH_PEERS_H
#define PMP_BENCH_PEERS_H

#include "bench/bench.h"

struct bench_peer {
  const char *name; /* "jax", "torch" */
  double value;
  char reason[160]; /* "": measured */
};

static inline void bench_peer_line(const char *line, struct bench_peer *peer, size_t count) {
  char name[32], value[64];
  int rest = 0;
  if (sscanf(line, "%31s %63s %n", name, value, &rest) < 2) return;
  for (size_t i = 0; i < count; i++) {
    if (strcmp(peer[i].name, name) != 0) continue;
    char *end = NULL;
    peer[i].value = strtod(value, &end);
    const bool good = *end == 0 && end != value && isfinite(peer[i].value) && peer[i].value > 0;
    snprintf(peer[i].reason, sizeof peer[i].reason, "%.150s", good ? "" : line + rest);
    peer[i].reason[strcspn(peer[i].reason, "\n")] = 0;
    if (!good && peer[i].reason[0] == 0)
      snprintf(peer[i].reason, sizeof peer[i].reason, "no value");
  }
}

/* `script`: its name in bench/support. Values are what the script says they are; `--quick` is
 * handed on. */
static inline void bench_peers(const char *script, bool quick, struct bench_peer *peer,
                               size_t count) {
  char bin[1024], command[3000], line[512];
  const char *source = getenv("PMP_SOURCE");
  bench_bin(bin, sizeof bin);
  for (size_t i = 0; i < count; i++)
    snprintf(peer[i].reason, sizeof peer[i].reason, "%s said nothing of it", script);
  /* Both names are ours; the folder is quoted for the shell but for a quote in itself. */
  snprintf(command, sizeof command, "bash '%s%s/bench/support/peers.sh' %s%s",
           source != NULL ? source : bin, source != NULL ? "" : "/../../..", script,
           quick ? " --quick" : "");
  FILE *out = popen(command, "r");
  if (out == NULL) return;
  while (fgets(line, sizeof line, out) != NULL) bench_peer_line(line, peer, count);
  pclose(out);
}

#endif
