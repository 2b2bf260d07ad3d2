/* An actor of one's own: a two-link arm that learns to reach.
 *
 * The condition is a point in the plane, the outcome two joint angles drawn from the run's
 * reference, and f, what the outcome is worth, minus the distance from the arm's tip to the point.
 * The daemon accepts the two best of four and rejects the two worst (arm.yaml). Everything that an
 * actor needs is here: connect, follow the reference, draw, send, report.
 *
 *   pmpod --config arm.yaml --dir arm-run &
 *   ./arm tcp://127.0.0.1:7447 200000 */
#include <clients/libpmpo-policy/pmpo_policy.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { GROUPS = 16, SAMPLES = 4, ROWS = GROUPS * SAMPLES, DIM = 2, REPORT_CHUNKS = 50 };

struct columns {
  float point[GROUPS * DIM]; /* conditions */
  float angle[ROWS * DIM];   /* outcomes as drawn: what is sent */
  float clipped[ROWS * DIM]; /* outcomes as the arm takes them */
  float f[ROWS];             /* evaluations */
  uint32_t group[ROWS];      /* 0,0,0,0,1,1,1,1,... */
};

/* Distance from the tip of an arm with two links of length 1 to the point. */
static double miss(const float *angle, const float *point) {
  double a = (double)angle[0] * 3,
         b = a + (double)angle[1] * 3; /* angles in [-1, 1] stand for [-3, 3] radians */
  return hypot(cos(a) + cos(b) - (double)point[0], sin(a) + sin(b) - (double)point[1]);
}

static enum pmp_err draw(struct pmpo_policy *policy, struct pmp_rng *rng, struct columns *c,
                         struct pmp_errmsg *msg) {
  for (int g = 0; g < GROUPS; g++) { /* points in the ring between 0.5 and 1.5 */
    double r = 0.5 + pmp_rng_double(rng), angle = 6.283185307179586 * pmp_rng_double(rng);
    c->point[g * DIM] = (float)(r * cos(angle));
    c->point[g * DIM + 1] = (float)(r * sin(angle));
  }
  PMP_TRY(pmpo_policy_sample(policy, GROUPS, SAMPLES, c->point, rng, c->angle, msg));
  pmpo_policy_action(policy, ROWS, c->angle, c->clipped);
  for (uint32_t i = 0; i < ROWS; i++) {
    c->group[i] = i / SAMPLES;
    c->f[i] = (float)-miss(c->clipped + i * DIM, c->point + c->group[i] * DIM);
  }
  return PMP_OK;
}

static enum pmp_err send(struct pmpo *client, const struct columns *c, uint64_t version,
                         struct pmp_errmsg *msg) {
  struct pmp_chunk chunk = {
      .source = PMP_SOURCE_ACTOR, .shape = PMP_SHAPE_OUTCOMES, .rows = ROWS, .groups = GROUPS};
  chunk.obs_parts = 1;
  chunk.obs[0] = (struct pmp_tensor){.dtype = PMP_F32,
                                     .rank = 2,
                                     .shape = {GROUPS, DIM},
                                     .data = c->point,
                                     .bytes = sizeof c->point};
  chunk.action = (struct pmp_tensor){.dtype = PMP_F32,
                                     .rank = 2,
                                     .shape = {ROWS, DIM},
                                     .data = c->angle,
                                     .bytes = sizeof c->angle};
  chunk.group = c->group;
  chunk.f = c->f;
  chunk.version = &version;
  chunk.versions = 1;
  return pmpo_append(client, &chunk, (struct pmp_bytes){0},
                     msg); /* waits while the queue is full */
}

static enum pmp_err act(struct pmpo *client, struct pmpo_policy *policy, uint64_t rows,
                        struct pmp_errmsg *msg) {
  static struct columns c;
  struct pmp_rng rng;
  double sum = 0;
  pmp_rng_init(&rng, pmpo_run(client)->seed,
               pmpo_run(client)->actor_rows); /* another stream each time it starts */
  PMP_TRY(pmpo_policy_wait(policy, 1, false, -1, msg));
  for (uint64_t chunk = 1; chunk * ROWS <= rows; chunk++) {
    PMP_TRY(pmpo_policy_update(policy, msg));
    PMP_TRY(draw(policy, &rng, &c, msg));
    PMP_TRY(send(client, &c, pmpo_policy_version(policy, NULL), msg));
    for (int i = 0; i < ROWS; i++) sum -= (double)c.f[i] / ROWS;
    if (chunk % REPORT_CHUNKS != 0) continue;
    const struct pmp_number miss_mean = {"miss", sum / REPORT_CHUNKS};
    if (pmpo_report(client, &miss_mean, 1, pmpo_policy_version(policy, NULL), chunk * ROWS, msg) ==
        PMP_OK)
      printf("rows=%llu miss=%.4f\n", (unsigned long long)(chunk * ROWS), miss_mean.value);
    sum = 0;
  }
  return pmpo_flush(client, -1, msg);
}

int main(int argc, char **argv) {
  struct pmp_spec spec = {.task = "arm", .shape = PMP_SHAPE_OUTCOMES, .obs_parts = 1};
  spec.obs[0] =
      (struct pmp_tensor_spec){.name = "observation", .dtype = PMP_F32, .rank = 1, .shape = {DIM}};
  spec.action.kind = PMP_ACTION_BOX;
  spec.action.dim = DIM;
  spec.action.low = -1;
  spec.action.high = 1;
  const struct pmpo_options options = {.url = argc > 1 ? argv[1] : NULL,
                                       .role = PMP_ROLE_ACTOR,
                                       .name = "arm",
                                       .client = "arm example",
                                       .spec = &spec};
  const struct pmpo_policy_options mirror = {.rows_max = GROUPS, .follow = true};
  struct pmp_errmsg msg = {{0}};
  struct pmpo *client = NULL;
  struct pmpo_policy *policy = NULL;
  enum pmp_err err = pmpo_open(&client, &options, &msg);
  if (err == PMP_OK) err = pmpo_policy_open(&policy, client, &mirror, &msg);
  if (err == PMP_OK)
    err = act(client, policy, argc > 2 ? strtoull(argv[2], NULL, 10) : UINT64_MAX, &msg);
  if (err != PMP_OK) fprintf(stderr, "arm: %s\n", msg.text);
  if (client != NULL && pmpo_complete(client)) err = PMP_OK; /* run.max_steps: nothing left to do */
  pmpo_policy_close(policy);
  pmpo_close(client);
  return err == PMP_OK ? 0 : 1;
}
