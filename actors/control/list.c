#include "actors/control/list.h"

#include "actors/control/env.h"

#include <jansson.h>
#include <limits.h>
#include <string.h>

/* Tasks of one domain stand together and mostly share a model file: the last one's step is kept. */
struct physics_step {
  const char *xml;
  double seconds;
};

struct parse_call {
  const char *path;
  char error[256];
  mjSpec *spec;
};

static void parse_model(void *arg) {
  struct parse_call *call = arg;
  call->spec = mj_parseXML(call->path, NULL, call->error, (int)sizeof call->error);
}

/* From the parsed file: compiling the models would take most of a second. */
static enum pmp_err read_step(const struct pmp_task *task, const char *suite_dir,
                              struct physics_step *kept, struct pmp_errmsg *msg) {
  char path[PATH_MAX];
  struct parse_call call = {.path = path};
  if (kept->xml != NULL && strcmp(kept->xml, task->xml) == 0) return PMP_OK;
  if (snprintf(path, sizeof path, "%s/%s", suite_dir, task->xml) >= (int)sizeof path)
    return pmp_fail(msg, PMP_EINVALID, "the suite's path is too long");
  PMP_TRY(pmp_physics_guard(parse_model, &call, msg));
  if (call.spec == NULL)
    return pmp_fail(msg, PMP_ENOTFOUND, "cannot load %.256s: %s", path, call.error);
  *kept = (struct physics_step){task->xml, call.spec->option.timestep};
  mj_deleteSpec(call.spec);
  return PMP_OK;
}

static enum pmp_err write_json(FILE *out, const struct pmp_task *task, double control_s,
                               struct pmp_errmsg *msg) {
  json_t *o = json_pack("{s:s, s:i, s:i, s:f, s:i, s:i}", "task", task->name, "observation",
                        task->obs_dim, "action", task->act_dim, "control_timestep", control_s,
                        "substeps", task->substeps, "episode_steps", task->step_limit);
  if (o == NULL) return pmp_fail(msg, PMP_ENOMEM, "no memory to list the tasks");
  int rc = json_dumpf(o, out, JSON_REAL_PRECISION(12));
  json_decref(o);
  if (rc != 0 || fputc('\n', out) == EOF)
    return pmp_fail(msg, PMP_EIO, "the list of tasks cannot be written");
  return PMP_OK;
}

enum pmp_err pmp_tasks_list(FILE *out, bool json, const char *suite_dir, struct pmp_errmsg *msg) {
  struct physics_step step = {NULL, 0};
  pmp_physics_hooks_install();
  if (!json)
    fprintf(out, "%-28s %11s %6s %9s %8s %13s\n", "task", "observation", "action", "control s",
            "substeps", "episode steps");
  for (size_t i = 0; i < pmp_task_count(); i++) {
    const struct pmp_task *task = pmp_task_at(i);
    PMP_TRY(read_step(task, suite_dir, &step, msg));
    const double control_s = step.seconds * task->substeps;
    if (json)
      PMP_TRY(write_json(out, task, control_s, msg));
    else
      fprintf(out, "%-28s %11d %6d %9.4g %8d %13d\n", task->name, task->obs_dim, task->act_dim,
              control_s, task->substeps, task->step_limit);
  }
  if (fflush(out) != 0) return pmp_fail(msg, PMP_EIO, "the list of tasks cannot be written");
  return PMP_OK;
}
