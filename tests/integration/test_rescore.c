/* Clips whose verdicts train a reward: how uncertain the open ones are follows from what people
 * said, also after the daemon was killed. */
#include "tests/support/small_run.h"

#include <math.h>

#define CLIP 10
#define CLIPS 4 /* of a chunk, whose last row has an observation alone */
#define ROWS (CLIP * CLIPS + 1)

static void rescore_init(struct small_run *s) {
  memset(s, 0, sizeof *s);
  test_pmpod_init(&s->d);
  test_pmpod_set(&s->d, "spec.shape=trajectories");
  test_pmpod_set(&s->d, "spec.observation=[3]");
  test_pmpod_set(&s->d, "spec.action_dim=2");
  test_pmpod_set(&s->d, "policy.hidden=[8]");
  test_pmpod_set(&s->d, "critic.hidden=[8]");
  test_pmpod_set(&s->d, "label.judge=critic");
  test_pmpod_set(&s->d, "reward.source=people");
  test_pmpod_set(&s->d, "reward.min_verdicts=4");
  test_pmpod_set(&s->d, "reward.hidden=[8]");
  test_pmpod_set(&s->d, "learner.n_step=1");
  test_pmpod_set(&s->d, "learner.batch=16");
  test_pmpod_set(&s->d, "learner.min_size=32");
  test_pmpod_set(&s->d, "learner.capacity=4096");
  test_pmpod_set(&s->d, "limits.chunk_rows=256");
}

/* An episode; in its clip c all observations are what they are called: (c odd, its number, 1). */
static uint64_t append(struct small_run *s, uint64_t seq) {
  _Alignas(16) float obs[ROWS][3];
  _Alignas(16) float act[ROWS][2];
  float reward[ROWS] = {0}, discount[ROWS];
  uint32_t t[ROWS], env = 0, episode = (uint32_t)seq;
  uint8_t flags[ROWS] = {0};
  struct pmp_item item[CLIPS];
  uint64_t version = 1;
  for (uint32_t r = 0; r < ROWS; r++) {
    const uint32_t clip = r / CLIP;
    obs[r][0] = clip % 2 ? 1 : -1;
    obs[r][1] = (float)seq / 8;
    obs[r][2] = 1;
    act[r][0] = (float)(r % 3) - 1;
    act[r][1] = 0.5F;
    discount[r] = 1;
    t[r] = r;
  }
  flags[0] = PMP_CHUNK_FIRST;
  flags[ROWS - 1] = PMP_CHUNK_LAST;
  for (uint32_t c = 0; c < CLIPS; c++) item[c] = (struct pmp_item){.row = c * CLIP, .rows = CLIP};
  const struct pmp_chunk chunk = {
      .source = PMP_SOURCE_ACTOR,
      .shape = PMP_SHAPE_TRAJECTORIES,
      .rows = ROWS,
      .obs = {{.dtype = PMP_F32, .rank = 2, .shape = {ROWS, 3}, .data = obs, .bytes = sizeof obs}},
      .obs_parts = 1,
      .action = {.dtype = PMP_F32, .rank = 2, .shape = {ROWS, 2}, .data = act, .bytes = sizeof act},
      .version = &version,
      .versions = 1,
      .item = item,
      .items = CLIPS,
      .env = &env,
      .envs = 1,
      .episode = &episode,
      .episodes = 1,
      .t = t,
      .reward = reward,
      .discount = discount,
      .flags = flags};
  const enum pmp_err err = test_rpc_append_wait(&s->actor, seq, &chunk, NULL, 0, 5000);
  if (err != PMP_OK) fail_msg("append: %s: %s", pmp_err_name(err), s->actor.reply.message);
  return s->actor.reply.u.append.chunk;
}

static void judge(struct test_rpc *r, uint64_t chunk, uint32_t clip) {
  char request[32];
  snprintf(request, sizeof request, "%llu-%u", (unsigned long long)chunk, clip);
  const struct pmp_verdict v = {.request_id = request,
                                .note = "",
                                .chunk = chunk,
                                .row = clip * CLIP,
                                .rows = CLIP,
                                .judgement = clip % 2 ? PMP_ACCEPT : PMP_REJECT,
                                .confidence = 1};
  struct pmp_request q = {.verb = PMP_VERB_VERDICTS, .u.verdicts = {&v, 1}};
  assert_int_equal(test_rpc_call(r, &q), PMP_OK);
  assert_int_equal(r->reply.u.verdicts.result[0].code, PMP_OK);
}

/* The open items' scores; returns how many there are. */
static uint32_t scores(struct small_run *s, float out[64]) {
  struct pmp_request q = {.verb = PMP_VERB_REVIEW,
                          .u.review = {.subject = PMP_SUBJECT_ITEMS, .who = ""}};
  assert_int_equal(test_rpc_call(&s->observer, &q), PMP_OK);
  const struct pmp_review_reply *r = &s->observer.reply.u.review;
  assert_true(r->items <= 64);
  for (uint32_t i = 0; i < r->items; i++) out[i] = r->item[i].score;
  return r->items;
}

/* Waits until every open item has a score above 0 that is not the one in `before`. */
static void wait_changed(struct small_run *s, uint32_t items, const float *before, float now[64]) {
  for (int waited = 0; waited < 30000; waited += 100) {
    uint32_t changed = 0;
    assert_int_equal(scores(s, now), items);
    for (uint32_t i = 0; i < items; i++) changed += now[i] > 0 && (!before || now[i] != before[i]);
    if (changed == items) return;
    test_sleep_ms(100);
  }
  fail_msg("scores did not change within 30 s");
}

static void scores_follow_what_people_say(void **state) {
  (void)state;
  struct small_run s;
  rescore_init(&s);
  small_run_start(&s);
  struct test_rpc ann;
  test_rpc_open(&ann, s.d.desk);
  assert_int_equal(test_rpc_hello(&ann, PMP_ROLE_LABELER, "ann", 0), PMP_OK);
  uint64_t chunk[4];
  for (uint64_t i = 0; i < 4; i++) chunk[i] = append(&s, i + 1);
  float first[64], second[64], third[64];
  assert_int_equal(scores(&s, first), 4 * CLIPS);
  for (uint32_t i = 0; i < 4 * CLIPS; i++) assert_true(first[i] == 0); /* the actor said nothing */
  for (uint32_t c = 0; c < CLIPS; c++) judge(&ann, chunk[0], c);
  wait_changed(&s, 3 * CLIPS, NULL, first);
  assert_true(test_rpc_status(&s.observer) == PMP_OK &&
              test_rpc_number(&s.observer, "desk.rescored") >= 3 * CLIPS);
  for (uint32_t c = 0; c < CLIPS; c++) judge(&ann, chunk[1], c);
  wait_changed(&s, 2 * CLIPS, first + CLIPS, second);
  for (uint32_t i = 0; i < 2 * CLIPS; i++) assert_true(isfinite(second[i]));
  /* The most uncertain is asked first. */
  struct pmp_request q = {.verb = PMP_VERB_LEASE,
                          .u.lease = {.count = 8, .order = "most_uncertain"}};
  assert_int_equal(test_rpc_call(&ann, &q), PMP_OK);
  const struct pmp_lease_reply *l = &ann.reply.u.lease;
  assert_int_equal(l->items, 8);
  for (uint32_t i = 0; i < 8; i++) {
    assert_true(l->item[i].score > 0);
    assert_true(i == 0 || l->item[i].score <= l->item[i - 1].score);
  }
  /* A new daemon fits the reward anew and scores what is open. */
  small_run_disconnect(&s);
  test_rpc_close(&ann);
  test_pmpod_kill(&s.d);
  test_pmpod_start(&s.d);
  small_run_connect(&s, 1);
  wait_changed(&s, 2 * CLIPS, NULL, third);
  small_run_fini(&s);
}

/* A clip longer than the reward takes is kept, said, and learned from by nobody: the run goes on,
 * and on after a kill. */
static void clips_too_long_stop_nothing(void **state) {
  (void)state;
  struct small_run s;
  rescore_init(&s);
  test_pmpod_set(&s.d, "reward.clip_rows=9");
  small_run_start(&s);
  struct test_rpc ann;
  test_rpc_open(&ann, s.d.desk);
  assert_int_equal(test_rpc_hello(&ann, PMP_ROLE_LABELER, "ann", 0), PMP_OK);
  const uint64_t chunk = append(&s, 1);
  for (uint32_t c = 0; c < CLIPS; c++) judge(&ann, chunk, c);
  test_sleep_ms(200);
  test_rpc_close(&ann);
  small_run_disconnect(&s);
  test_pmpod_kill(&s.d);
  test_pmpod_start(&s.d);
  small_run_connect(&s, 1);
  for (int waited = 0;; waited += 50) {
    assert_int_equal(test_rpc_status(&s.observer), PMP_OK);
    const char *why = test_rpc_text(&s.observer, "reason");
    if (strstr(why, "0 of 4 clips judged")) break;
    if (waited > 10000) fail_msg("the learner says: %s", why);
    test_sleep_ms(50);
  }
  assert_int_equal(append(&s, 2) > chunk, 1);
  small_run_fini(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(scores_follow_what_people_say),
                                     cmocka_unit_test(clips_too_long_stop_nothing)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
