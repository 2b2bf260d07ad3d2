/* What passes between the desk and its labelers, there and back, and what is refused. */
#include "tests/proto/chunks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

static struct pmp_arena arena;
static struct pmp_errmsg msg;
static struct chunk_columns columns;

static int setup(void **state) {
  (void)state;
  return pmp_arena_init(&arena, 8 << 20) == PMP_OK ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  pmp_arena_fini(&arena);
  return 0;
}

/* ---- items of chunks ---- */

static const struct pmp_media prompt = {"prompt", "text/plain", "why \xc3\xa4?", 7};
static const struct pmp_media clip = {"clip", "video/webm", "\x1a\x45\xdf\xa3\0\0", 6};

static enum pmp_err chunk_there_and_back(const struct pmp_chunk *c, struct pmp_chunk *out) {
  struct pmp_wire_limits limits = pmp_wire_limits_default();
  const void *data;
  size_t size;
  pmp_arena_release(&arena, 0);
  PMP_TRY(pmp_wire_encode_chunk(c, &arena, &data, &size, &msg));
  memset(out, 0x99, sizeof *out);
  return pmp_wire_decode_chunk(data, size, NULL, &limits, &arena, out, &msg);
}

static void test_items(void **state) {
  (void)state;
  struct pmp_chunk c, out;
  const struct pmp_media media[] = {prompt, clip, {"", "image/png", NULL, 0}};
  const struct pmp_item item[] = {{0, 3, 0.5F, media, 3}, {5, 1, -2, NULL, 0}, {6, 6, 0, media, 1}};
  for (int outcomes = 0; outcomes < 2; outcomes++) {
    if (outcomes)
      chunk_outcomes(&columns, &c);
    else
      chunk_trajectories(&columns, &c, false);
    c.verdict = NULL;
    c.weight = NULL;
    c.item = item;
    c.items = 3;
    if (chunk_there_and_back(&c, &out) != PMP_OK) fail_msg("%s", msg.text);
    assert_int_equal(out.items, 3);
    for (int i = 0; i < 3; i++) {
      assert_int_equal(out.item[i].row, item[i].row);
      assert_int_equal(out.item[i].rows, item[i].rows);
      assert_true(out.item[i].score == item[i].score);
      assert_int_equal(out.item[i].medias, item[i].medias);
      for (uint32_t k = 0; k < item[i].medias; k++) {
        assert_string_equal(out.item[i].media[k].name, media[k].name);
        assert_string_equal(out.item[i].media[k].type, media[k].type);
        assert_int_equal(out.item[i].media[k].bytes, media[k].bytes);
        if (media[k].bytes > 0)
          assert_memory_equal(out.item[i].media[k].data, media[k].data, media[k].bytes);
      }
    }
    c.items = 0;
    assert_int_equal(chunk_there_and_back(&c, &out), PMP_OK);
    assert_int_equal(out.items, 0);
  }
}

static void refused_item(struct pmp_item item, const char *words) {
  struct pmp_chunk c, out;
  const struct pmp_item list[] = {{2, 2, 0, NULL, 0}, item};
  chunk_outcomes(&columns, &c);
  c.item = list;
  c.items = 2;
  memset(columns.verdict, 0, sizeof columns.verdict);
  columns.verdict[9] = -1;
  c.verdict = columns.verdict;
  c.weight = NULL;
  msg.text[0] = '\0';
  assert_int_equal(chunk_there_and_back(&c, &out), PMP_EINVALID);
  if (strstr(msg.text, words) == NULL) fail_msg("no \"%s\" in: %s", words, msg.text);
}

static void test_items_that_may_not_be(void **state) {
  (void)state;
  refused_item((struct pmp_item){5, 0, 0, NULL, 0}, "no rows");
  refused_item((struct pmp_item){3, 2, 0, NULL, 0}, "do not overlap");
  refused_item((struct pmp_item){0, 1, 0, NULL, 0}, "in order");
  refused_item((struct pmp_item){10, 3, 0, NULL, 0}, "10+3");
  refused_item((struct pmp_item){10, UINT32_MAX, 0, NULL, 0}, "of a chunk with 12");
  refused_item((struct pmp_item){5, 1, NAN, NULL, 0}, "finite");
  refused_item((struct pmp_item){5, 1, INFINITY, NULL, 0}, "finite");
  refused_item((struct pmp_item){8, 3, 0, NULL, 0}, "row 9 brought a label");
  const struct pmp_media bad[] = {{"a", "text/html", "<b>", 3},
                                  {"a", "image/svg+xml", "<svg/>", 6},
                                  {"a", "", "x", 1},
                                  {"a", "text/plain", "\xff\xfe", 2},
                                  {"a", "text/plain", "a\0b", 3}};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
    refused_item((struct pmp_item){5, 1, 0, &bad[i], 1}, "media");
}

static void test_items_are_bounded(void **state) {
  (void)state;
  struct pmp_wire_limits limits = pmp_wire_limits_default();
  struct pmp_chunk c, out;
  const void *data;
  size_t size;
  static struct pmp_media many[PMP_ITEM_MEDIA_MAX + 1];
  for (int i = 0; i <= PMP_ITEM_MEDIA_MAX; i++) many[i] = prompt;
  struct pmp_item item[12];
  for (uint32_t i = 0; i < 12; i++) item[i] = (struct pmp_item){i, 1, 0, many, 1};
  chunk_outcomes(&columns, &c);
  c.verdict = NULL;
  c.weight = NULL;
  c.item = item;
  c.items = 12;
  pmp_arena_release(&arena, 0);
  assert_int_equal(pmp_wire_encode_chunk(&c, &arena, &data, &size, &msg), PMP_OK);
  limits.repeated = 11;
  assert_int_equal(pmp_wire_decode_chunk(data, size, NULL, &limits, &arena, &out, &msg),
                   PMP_ETOOLARGE);
  limits.repeated = 12;
  assert_int_equal(pmp_wire_decode_chunk(data, size, NULL, &limits, &arena, &out, &msg), PMP_OK);
  /* What the daemon sets aside for such a chunk is enough. */
  struct pmp_arena exact;
  assert_int_equal(pmp_arena_init(&exact, pmp_wire_chunk_arena(size, &limits)), PMP_OK);
  assert_int_equal(pmp_wire_decode_chunk(data, size, NULL, &limits, &exact, &out, &msg), PMP_OK);
  pmp_arena_fini(&exact);
  item[0].medias = PMP_ITEM_MEDIA_MAX + 1;
  assert_int_equal(pmp_wire_encode_chunk(&c, &arena, &data, &size, &msg), PMP_EINVALID);
}

/* Thousands of the smallest items, and of the smallest media, unpack in what is set aside. */
static void test_small_items_fit_the_arena(void **state) {
  (void)state;
  enum { ROWS = 4000 };
  static float y[ROWS];
  static struct pmp_item item[ROWS];
  static const struct pmp_media tiny = {"", "text/plain", "", 0};
  struct pmp_wire_limits limits = pmp_wire_limits_default();
  for (int media = 0; media < 2; media++) {
    for (uint32_t i = 0; i < ROWS; i++)
      item[i] = (struct pmp_item){i, 1, 0, media ? &tiny : NULL, (uint32_t)media};
    struct pmp_chunk out, c = {.source = PMP_SOURCE_ACTOR,
                               .shape = PMP_SHAPE_OUTCOMES,
                               .rows = ROWS,
                               .groups = ROWS,
                               .item = item,
                               .items = ROWS};
    chunk_tensor(&c.action, PMP_F32, ROWS, 1, y);
    const void *data;
    size_t size;
    pmp_arena_release(&arena, 0);
    assert_int_equal(pmp_wire_encode_chunk(&c, &arena, &data, &size, &msg), PMP_OK);
    struct pmp_arena exact;
    assert_int_equal(pmp_arena_init(&exact, pmp_wire_chunk_arena(size, &limits)), PMP_OK);
    if (pmp_wire_decode_chunk(data, size, NULL, &limits, &exact, &out, &msg) != PMP_OK)
      fail_msg("%s", msg.text);
    assert_int_equal(out.items, ROWS);
    pmp_arena_fini(&exact);
  }
}

/* ---- requests ---- */

static enum pmp_err request_there_and_back(const struct pmp_request *r, struct pmp_request *out) {
  struct pmp_wire_limits limits = pmp_wire_limits_default();
  const void *data;
  size_t size;
  memset(out, 0x99, sizeof *out);
  pmp_arena_release(&arena, 0);
  PMP_TRY(pmp_wire_encode_request(r, &arena, &data, &size, &msg));
  return pmp_wire_decode_request(data, size, &limits, &arena, out, &msg);
}

static void test_lease(void **state) {
  (void)state;
  const struct pmp_item_ref held[] = {{7, 0, 1}, {UINT64_MAX, 5, 9}}, back[] = {{8, 2, 0}};
  struct pmp_request out, r = {.version = 1, .request_id = 5, .verb = PMP_VERB_LEASE};
  r.u.lease = (struct pmp_lease){.count = 3,
                                 .seconds = 60,
                                 .order = "random",
                                 .held = held,
                                 .helds = 2,
                                 .release = back,
                                 .releases = 1};
  assert_int_equal(request_there_and_back(&r, &out), PMP_OK);
  assert_int_equal(out.u.lease.count, 3);
  assert_int_equal(out.u.lease.seconds, 60);
  assert_string_equal(out.u.lease.order, "random");
  assert_int_equal(out.u.lease.helds, 2);
  assert_memory_equal(out.u.lease.held, held, sizeof held);
  assert_int_equal(out.u.lease.releases, 1);
  assert_int_equal(out.u.lease.release[0].rows, 1); /* nothing said: one */
  const struct pmp_item_ref beyond[] = {{1, UINT32_MAX, 2}};
  r.u.lease.held = beyond;
  r.u.lease.helds = 1;
  assert_int_equal(request_there_and_back(&r, &out), PMP_EINVALID);
  static struct pmp_item_ref many[4097];
  r.u.lease.held = many;
  r.u.lease.helds = 4097;
  assert_int_equal(request_there_and_back(&r, &out), PMP_ETOOLARGE);
}

static void test_review(void **state) {
  (void)state;
  struct pmp_request out, r = {.version = 1, .request_id = 5, .verb = PMP_VERB_REVIEW};
  for (int subject = 0; subject <= 6; subject++) {
    r.u.review = (struct pmp_review){
        .subject = (enum pmp_subject)subject, .after = 9, .count = 4, .who = "local:ann"};
    const enum pmp_err err = request_there_and_back(&r, &out);
    assert_int_equal(err, subject >= 1 && subject <= 5 ? PMP_OK : PMP_EINVALID);
    if (err != PMP_OK) continue;
    assert_int_equal(out.u.review.subject, subject);
    assert_int_equal(out.u.review.after, 9);
    assert_int_equal(out.u.review.count, 4);
    assert_string_equal(out.u.review.who, "local:ann");
  }
}

/* ---- replies ---- */

static enum pmp_err reply_there_and_back(const struct pmp_reply *r, struct pmp_reply *out) {
  struct pmp_wire_limits limits = pmp_wire_limits_default();
  const void *data;
  size_t size;
  memset(out, 0x99, sizeof *out);
  pmp_arena_release(&arena, 0);
  PMP_TRY(pmp_wire_encode_reply(r, &arena, &data, &size, &msg));
  return pmp_wire_decode_reply(data, size, &limits, &arena, out, &msg);
}

static void test_lease_reply(void **state) {
  (void)state;
  static const float x[] = {1, 2, 3}, y[] = {4, 5, 6, 7};
  const struct pmp_media media[] = {prompt, clip};
  struct pmp_leased_item item[2] = {{.item = {3, 4, 2},
                                     .labels = 1,
                                     .lease_ms = 5000,
                                     .score = 0.5F,
                                     .media = media,
                                     .medias = 2,
                                     .conditions = 1,
                                     .actor = "a1",
                                     .ref_version = 17},
                                    {.item = {9, 0, 1}, .actor = ""}};
  item[0].condition[0] =
      (struct pmp_tensor){.dtype = PMP_F32, .rank = 1, .shape = {3}, .data = x, .bytes = sizeof x};
  chunk_tensor(&item[0].outcome, PMP_F32, 2, 2, y);
  const struct pmp_item_ref lost[] = {{1, 2, 3}};
  struct pmp_reply out, r = {.code = PMP_OK, .verb = PMP_VERB_LEASE};
  r.u.lease = (struct pmp_lease_reply){.item = item,
                                       .items = 2,
                                       .waiting = 99,
                                       .judged = 5,
                                       .quota = 10,
                                       .lost = lost,
                                       .losts = 1,
                                       .render = "color"};
  if (reply_there_and_back(&r, &out) != PMP_OK) fail_msg("%s", msg.text);
  const struct pmp_lease_reply *l = &out.u.lease;
  assert_int_equal(l->items, 2);
  assert_int_equal(l->waiting, 99);
  assert_int_equal(l->judged, 5);
  assert_int_equal(l->quota, 10);
  assert_string_equal(l->render, "color");
  assert_int_equal(l->losts, 1);
  assert_memory_equal(l->lost, lost, sizeof lost);
  const struct pmp_leased_item *i = &l->item[0];
  assert_memory_equal(&i->item, &item[0].item, sizeof i->item);
  assert_int_equal(i->labels, 1);
  assert_int_equal(i->lease_ms, 5000);
  assert_true(i->score == 0.5F);
  assert_int_equal(i->medias, 2);
  assert_memory_equal(i->media[1].data, clip.data, clip.bytes);
  assert_int_equal(i->conditions, 1);
  assert_memory_equal(i->condition[0].data, x, sizeof x);
  assert_int_equal(i->outcome.shape[1], 2);
  assert_memory_equal(i->outcome.data, y, sizeof y);
  assert_string_equal(i->actor, "a1");
  assert_int_equal(i->ref_version, 17);
  assert_int_equal(l->item[1].outcome.dtype, PMP_DTYPE_NONE);
  item[1].score = NAN;
  assert_int_equal(reply_there_and_back(&r, &out), PMP_EINVALID);
}

static void test_review_reply(void **state) {
  (void)state;
  const struct pmp_item_record item[] = {{{1, 2, 3}, 4, 5, 0.25F}};
  const struct pmp_verdict_record verdict[] = {{.id = 11,
                                                .who = "ann",
                                                .note = "n",
                                                .request_id = "r",
                                                .item = {1, 2, 3},
                                                .judgement = PMP_REJECT,
                                                .confidence = 0.5F,
                                                .state = 2,
                                                .wall_ns = -5,
                                                .media = &prompt,
                                                .medias = 1}};
  const struct pmp_labeler_record labeler[] = {{"ann", 1, 2, 3, 4, 5, 6, 7, 8, -9, 10, 0.75}};
  const struct pmp_pair_record pair[] = {{"ann", "bob", 3, 0.5, -0.25, true}};
  const struct pmp_number number[] = {{"items", 3}, {"alpha", NAN}};
  struct pmp_reply out, r = {.code = PMP_OK, .verb = PMP_VERB_REVIEW};
  r.u.review = (struct pmp_review_reply){item, verdict, labeler, pair, number, 1, 1, 1, 1, 2};
  if (reply_there_and_back(&r, &out) != PMP_OK) fail_msg("%s", msg.text);
  const struct pmp_review_reply *v = &out.u.review;
  assert_int_equal(v->items, 1);
  assert_memory_equal(&v->item[0].item, &item[0].item, sizeof item[0].item);
  assert_int_equal(v->item[0].labels, 4);
  assert_int_equal(v->item[0].leases, 5);
  assert_true(v->item[0].score == 0.25F);
  assert_int_equal(v->verdicts, 1);
  assert_int_equal(v->verdict[0].id, 11);
  assert_string_equal(v->verdict[0].who, "ann");
  assert_string_equal(v->verdict[0].note, "n");
  assert_string_equal(v->verdict[0].request_id, "r");
  assert_int_equal(v->verdict[0].judgement, PMP_REJECT);
  assert_true(v->verdict[0].confidence == 0.5F);
  assert_int_equal(v->verdict[0].state, 2);
  assert_true(v->verdict[0].wall_ns == -5);
  assert_int_equal(v->verdict[0].medias, 1);
  assert_int_equal(v->labelers, 1);
  const struct pmp_labeler_record *l = &v->labeler[0];
  assert_string_equal(l->who, "ann");
  assert_true(l->accepts == 1 && l->rejects == 2 && l->skips == 3 && l->surplus == 4);
  assert_true(l->withdrawn == 5 && l->gold == 6 && l->gold_right == 7 && l->pairs == 8);
  assert_true(l->first_ns == -9 && l->last_ns == 10 && l->agreement == 0.75);
  assert_int_equal(v->pairs, 1);
  assert_string_equal(v->pair[0].b, "bob");
  assert_true(v->pair[0].items == 3 && v->pair[0].raw == 0.5 && v->pair[0].kappa == -0.25);
  assert_true(v->pair[0].kappa_known);
  assert_int_equal(v->numbers, 1); /* what has no value is left out */
  struct pmp_verdict_record bad = verdict[0];
  bad.state = 5;
  r.u.review.verdict = &bad;
  assert_int_equal(reply_there_and_back(&r, &out), PMP_EINVALID);
}

static void test_event_hash(void **state) {
  (void)state;
  static const unsigned char hash[PMP_EVENT_HASH_BYTES] = {1, 2, 3};
  struct pmp_event event[2] = {
      {.id = 1, .who = "a", .kind = "b", .detail = "{}", .hash = {hash, sizeof hash}},
      {.id = 2, .who = "a", .kind = "b", .detail = "{}"}};
  struct pmp_reply out, r = {.code = PMP_OK, .verb = PMP_VERB_EVENTS};
  r.u.events.event = event;
  r.u.events.count = 2;
  assert_int_equal(reply_there_and_back(&r, &out), PMP_OK);
  assert_int_equal(out.u.events.event[0].hash.size, sizeof hash);
  assert_memory_equal(out.u.events.event[0].hash.data, hash, sizeof hash);
  assert_int_equal(out.u.events.event[1].hash.size, 0);
  event[0].hash.size = 31;
  assert_int_equal(reply_there_and_back(&r, &out), PMP_EINVALID);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_items, setup, teardown),
      cmocka_unit_test_setup_teardown(test_items_that_may_not_be, setup, teardown),
      cmocka_unit_test_setup_teardown(test_items_are_bounded, setup, teardown),
      cmocka_unit_test_setup_teardown(test_small_items_fit_the_arena, setup, teardown),
      cmocka_unit_test_setup_teardown(test_lease, setup, teardown),
      cmocka_unit_test_setup_teardown(test_review, setup, teardown),
      cmocka_unit_test_setup_teardown(test_lease_reply, setup, teardown),
      cmocka_unit_test_setup_teardown(test_review_reply, setup, teardown),
      cmocka_unit_test_setup_teardown(test_event_hash, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
