/* A task of the control suite, its model loaded, for benchmarks; and which tasks are meant by the
 * command line. */
#ifndef PMP_BENCH_CONTROL_WORLD_H
#define PMP_BENCH_CONTROL_WORLD_H

#include "actors/control/env.h"
#include "bench/bench.h"

struct control_world {
  const struct pmp_task *task;
  struct pmp_env_model model;
};

static inline void control_open(struct control_world *w, const struct pmp_task *task) {
  struct pmp_errmsg msg = {{0}};
  char bin[400], suite[512];
  bench_bin(bin, sizeof bin);
  snprintf(suite, sizeof suite, "%s/../share/pmpo/dm_control/suite", bin);
  w->task = task;
  bench_must(pmp_env_model_load(&w->model, task, suite, &msg), "model", &msg);
}

static inline void control_close(struct control_world *w) {
  pmp_env_model_free(&w->model);
}

/* Takes `--task NAME` out of the arguments; "" when it is not among them. */
static inline const char *control_task_option(int *argc, char **argv) {
  const char *name = "";
  int kept = 1;
  for (int i = 1; i < *argc; i++) {
    if (strcmp(argv[i], "--task") == 0 && i + 1 < *argc)
      name = argv[++i];
    else
      argv[kept++] = argv[i];
  }
  *argc = kept;
  return name;
}

/* Whether task is one of those that `name` asks for: all by "", else the one of this name. */
static inline bool control_asked(const struct pmp_task *task, const char *name) {
  return name[0] == 0 || strcmp(task->name, name) == 0;
}

/* Ends the program when no task has this name. */
static inline void control_check_name(const char *name) {
  struct pmp_errmsg msg = {{0}};
  const struct pmp_task *task = NULL;
  if (name[0] != 0) bench_must(pmp_task_find(name, &task, &msg), "--task", &msg);
}

#endif
