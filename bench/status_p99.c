/* How long a status takes, asked every few milliseconds, while the learner trains at full load and
 * four actors append and fetch weights. */
#include "bench/support/load.h"

enum { RUNS_MAX = 5, EACH_MAX = 700, PAUSE_US = 4000, RING_ROWS = 20000 };

int main(int argc, char **argv) {
  struct bench b;
  int code = bench_begin(&b, argc, argv, "status_p99",
                         "Round trip of a status at full training load, 99th percentile. Goal: at "
                         "most 10 ms.");
  if (code >= 0) return code;
  static struct load l;
  static double ms[EACH_MAX];
  static const char *const none[] = {NULL};
  struct pmp_errmsg msg = {{0}};
  const int runs = b.quick ? 3 : RUNS_MAX;
  const size_t each = b.quick ? 300 : EACH_MAX;
  double p99[RUNS_MAX], p50[RUNS_MAX], steps = 0.0, first = 0.0;
  enum pmp_err err = load_open(&l, "status_p99", RING_ROWS, -1, none, &msg);
  if (err == PMP_OK) first = daemon_number(&l.status, "learner.steps");
  int64_t begin = bench_now();
  for (int i = 0; i < runs && err == PMP_OK; i++) {
    for (size_t k = 0; k < each && err == PMP_OK; k++) {
      int64_t start = bench_now();
      err = daemon_ask(l.desk, &l.status, &msg);
      ms[k] = bench_seconds(start) * 1e3;
      usleep(PAUSE_US);
    }
    p99[i] = bench_percentile(ms, each, 0.99);
    p50[i] = bench_percentile(ms, each, 0.5);
  }
  if (err == PMP_OK) err = load_alive(&l, &msg);
  if (err != PMP_OK) {
    bench_missing(&b, "status_p99", "ms", "<=10", msg.text);
  } else {
    steps = daemon_number(&l.status, "learner.steps") - first;
    bench_at_most(&b, "status_p99", bench_median(p99, (size_t)runs), "ms", 10.0,
                  "the loop or this program waited for a core");
    bench_note(&b, "status_p99.p50", bench_median(p50, (size_t)runs), "ms");
    bench_note(&b, "status_p99.learner", steps / bench_seconds(begin), "steps/s");
  }
  load_close(&l);
  return 0;
}
