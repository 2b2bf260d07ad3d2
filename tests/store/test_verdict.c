/* What people say: labels and weights, repetition, replacing, withdrawing, surplus, and the same
 * labels in a replay. */
#include "store/labels.h"
#include "tests/store/support.h"

#include <math.h>

enum { ACCEPT = 1, REJECT, SKIP, WITHDRAW };

/* One actor with one chunk (id 1) of 10 rows without labels. */
static int judge_setup(void **state) {
  bench_setup(state);
  struct bench *b = *state;
  assert_int_equal(append(b, "a1", hello(b, "a1", 1), 1, "ten rows", 10), 1);
  return 0;
}

static struct pmp_store_verdict judge(struct bench *b, const char *who, const char *request,
                                      uint32_t row, uint32_t rows, int judgement,
                                      float confidence) {
  struct pmp_store_op op = op_verdict(who, request, 1, row, rows, judgement, confidence);
  run_ok(b, &op);
  return op.u.verdict;
}

static void done(struct pmp_store_verdict *v) {
  free(v->label);
  free(v->judge);
  free(v->data);
}

static void assert_label(const struct pmp_store_verdict *v, uint32_t i, uint32_t row, int label,
                         int before, float weight) {
  assert_true(i < v->labels);
  assert_int_equal(v->label[i].row, row);
  assert_int_equal(v->label[i].label, label);
  assert_int_equal(v->label[i].before, before);
  if (v->label[i].weight != weight)
    fail_msg("row %u: weight %g instead of %g", row, (double)v->label[i].weight, (double)weight);
}

static void test_a_verdict_labels_its_rows(void **state) {
  struct bench *b = *state;
  struct pmp_store_verdict v = judge(b, "p", "r1", 2, 3, ACCEPT, 0.5F);
  assert_int_equal(v.commit, 2);
  assert_false(v.duplicate || v.replaced || v.surplus);
  assert_true(v.first);
  assert_int_equal(v.labels, 3);
  for (uint32_t i = 0; i < 3; i++) assert_label(&v, i, 2 + i, 1, 0, 0.5F);
  assert_int_equal(v.bytes, 8);
  assert_memory_equal(v.data, "ten rows", 8);
  done(&v);
  assert_int_equal(stats(b).open_items_rows, 7);
  assert_int_equal(stats(b).last_commit, 2);
}

static void test_label_is_the_sign_of_the_sum(void **state) {
  struct bench *b = *state;
  struct pmp_store_verdict v = judge(b, "p1", "r1", 0, 1, ACCEPT, 0.25F);
  assert_label(&v, 0, 0, 1, 0, 0.25F);
  done(&v);
  v = judge(b, "p2", "r1", 0, 1, REJECT, 1.0F);
  assert_false(v.first);
  assert_label(&v, 0, 0, -1, 1, 0.375F);
  done(&v);
  v = judge(b, "p3", "r1", 0, 1, ACCEPT, 0.75F);
  assert_label(&v, 0, 0, 0, -1, 0.0F); /* they cancel: not trainable */
  done(&v);
  v = judge(b, "p4", "r1", 0, 1, ACCEPT, 1.0F);
  assert_label(&v, 0, 0, 1, 0, 0.25F);
  done(&v);
  assert_int_equal(stats(b).open_items_rows, 9);
}

static void test_overlapping_items_add_up(void **state) {
  struct bench *b = *state;
  struct pmp_store_verdict v = judge(b, "p", "r1", 0, 6, ACCEPT, 1.0F);
  done(&v);
  v = judge(b, "q", "r1", 4, 4, REJECT, 0.5F);
  assert_true(v.first);
  assert_int_equal(v.labels, 4);
  assert_label(&v, 0, 4, 1, 1, 0.25F); /* the sign stays, the weight changes */
  assert_label(&v, 1, 5, 1, 1, 0.25F);
  assert_label(&v, 2, 6, -1, 0, 0.5F);
  assert_label(&v, 3, 7, -1, 0, 0.5F);
  done(&v);
  /* The same person on another item of the same rows: both count. */
  v = judge(b, "p", "r2", 0, 1, REJECT, 0.5F);
  assert_false(v.replaced);
  assert_label(&v, 0, 0, 1, 1, 0.25F);
  done(&v);
  assert_int_equal(stats(b).open_items_rows, 2);
}

static void test_skips_are_kept_without_a_label(void **state) {
  struct bench *b = *state;
  struct pmp_store_verdict v = judge(b, "p", "r1", 0, 2, SKIP, 0.0F);
  assert_int_equal(v.commit, 2);
  assert_true(v.first);
  assert_int_equal(v.labels, 0);
  assert_null(v.label);
  assert_null(v.data);
  assert_int_equal(stats(b).open_items_rows, 8);
  v = judge(b, "q", "r1", 0, 2, ACCEPT, 1.0F);
  assert_false(v.first);
  assert_label(&v, 0, 0, 1, 0, 1.0F); /* a skip does not thin the weight */
  done(&v);
  v = judge(b, "q", "r2", 0, 2, SKIP, 0.0F);
  assert_true(v.replaced);
  assert_int_equal(v.labels, 2);
  assert_label(&v, 0, 0, 0, 1, 0.0F);
  done(&v);
}

static void test_requests_are_kept_once(void **state) {
  struct bench *b = *state;
  struct pmp_store_op op = op_verdict("p", "r1", 1, 3, 2, ACCEPT, 1.0F);
  op.u.verdict.note = "fine";
  run_ok(b, &op);
  free_verdict(&op);
  for (int round = 0; round < 2; round++) {
    op = op_verdict("p", "r1", 1, 3, 2, ACCEPT, 1.0F);
    op.u.verdict.note = "fine";
    run_ok(b, &op);
    assert_true(op.u.verdict.duplicate);
    assert_int_equal(op.u.verdict.commit, 2);
    assert_true(op.u.verdict.first);
    assert_int_equal(op.u.verdict.labels, 0);
    assert_null(op.u.verdict.data);
    bench_reopen(b);
  }
  static const struct {
    uint32_t row, rows;
    int judgement;
    float confidence;
    const char *note;
  } other[] = {{4, 2, ACCEPT, 1.0F, "fine"},
               {3, 1, ACCEPT, 1.0F, "fine"},
               {3, 2, REJECT, 1.0F, "fine"},
               {3, 2, ACCEPT, 0.5F, "fine"},
               {3, 2, ACCEPT, 1.0F, "Fine"}};
  for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
    op = op_verdict("p", "r1", 1, other[i].row, other[i].rows, other[i].judgement,
                    other[i].confidence);
    op.u.verdict.note = other[i].note;
    run_fails(b, &op, PMP_ECONFLICT, "kept with another verdict");
  }
  /* Another person's request of the same id is another one. */
  op = op_verdict("q", "r1", 1, 3, 2, ACCEPT, 1.0F);
  run_ok(b, &op);
  assert_int_equal(op.u.verdict.commit, 3);
  free_verdict(&op);
  assert_int_equal(stats(b).last_commit, 3);
}

static void test_a_different_verdict_replaces(void **state) {
  struct bench *b = *state;
  struct pmp_store_verdict v = judge(b, "p", "r1", 0, 1, ACCEPT, 1.0F);
  done(&v);
  v = judge(b, "p", "r2", 0, 1, REJECT, 0.5F);
  assert_true(v.replaced);
  assert_false(v.first || v.surplus);
  assert_label(&v, 0, 0, -1, 1, 0.5F);
  done(&v);
  v = judge(b, "p", "r3", 0, 1, REJECT, 1.0F); /* only surer */
  assert_true(v.replaced);
  assert_label(&v, 0, 0, -1, -1, 1.0F);
  done(&v);
  assert_int_equal(stats(b).open_items_rows, 9);
  /* The replaced ones' requests are still known. */
  v = judge(b, "p", "r1", 0, 1, ACCEPT, 1.0F);
  assert_true(v.duplicate);
  v = judge(b, "p", "r2", 0, 1, REJECT, 0.5F);
  assert_true(v.duplicate && v.replaced);
}

static void test_the_same_again_is_surplus(void **state) {
  struct bench *b = *state;
  struct pmp_store_verdict v = judge(b, "p", "r1", 0, 1, ACCEPT, 1.0F);
  done(&v);
  v = judge(b, "p", "r2", 0, 1, ACCEPT, 1.0F);
  assert_true(v.surplus);
  assert_false(v.replaced || v.duplicate || v.first);
  assert_int_equal(v.commit, 3);
  assert_int_equal(v.labels, 0);
  v = judge(b, "p", "r2", 0, 1, ACCEPT, 1.0F);
  assert_true(v.duplicate && v.surplus);
  /* It never counts: replacing the first one leaves only the new one. */
  v = judge(b, "p", "r3", 0, 1, REJECT, 1.0F);
  assert_label(&v, 0, 0, -1, 1, 1.0F);
  done(&v);
}

static void test_withdrawing(void **state) {
  struct bench *b = *state;
  struct pmp_store_op none = op_verdict("p", "r0", 1, 0, 2, WITHDRAW, 0.0F);
  run_fails(b, &none, PMP_ENOTFOUND, "no active verdict");
  struct pmp_store_verdict v = judge(b, "p", "r1", 0, 2, ACCEPT, 1.0F);
  done(&v);
  v = judge(b, "q", "r1", 0, 2, REJECT, 0.5F);
  done(&v);
  /* Exactly this item, and one's own. */
  none = op_verdict("p", "r2", 1, 0, 1, WITHDRAW, 0.0F);
  run_fails(b, &none, PMP_ENOTFOUND, "1:0+1");
  none = op_verdict("s", "r2", 1, 0, 2, WITHDRAW, 0.0F);
  run_fails(b, &none, PMP_ENOTFOUND, "s has no active verdict");
  v = judge(b, "p", "r2", 0, 2, WITHDRAW, 0.0F);
  assert_false(v.first || v.replaced || v.surplus);
  assert_int_equal(v.labels, 2);
  assert_label(&v, 0, 0, -1, 1, 0.5F);
  done(&v);
  v = judge(b, "p", "r2", 0, 2, WITHDRAW, 0.0F);
  assert_true(v.duplicate);
  assert_int_equal(stats(b).open_items_rows, 8);
  v = judge(b, "q", "r2", 0, 2, WITHDRAW, 0.0F);
  assert_label(&v, 1, 1, 0, -1, 0.0F);
  done(&v);
  assert_int_equal(stats(b).open_items_rows, 10);
  v = judge(b, "p", "r3", 0, 2, REJECT, 1.0F); /* and judge again */
  assert_false(v.first || v.replaced);
  assert_label(&v, 0, 0, -1, 0, 1.0F);
  done(&v);
  assert_clean(b->path, NULL);
}

static void test_what_cannot_be_judged(void **state) {
  struct bench *b = *state;
  struct pmp_store_op op = op_verdict("p", "r", 9, 0, 1, ACCEPT, 1.0F);
  run_fails(b, &op, PMP_ENOTFOUND, "no chunk 9");
  op = op_verdict("p", "r", 1, 8, 3, ACCEPT, 1.0F);
  run_fails(b, &op, PMP_EINVALID, "outside its chunk, which has 10 rows");
  op = op_verdict("p", "r", 1, UINT32_MAX, 2, ACCEPT, 1.0F);
  run_fails(b, &op, PMP_EINVALID, "outside");
  op = op_verdict("p", "r", 1, 0, 0, ACCEPT, 1.0F);
  run_fails(b, &op, PMP_EINVALID, "at least one row");
  op = op_verdict("p", "r", 1, 0, 1, 0, 1.0F);
  run_fails(b, &op, PMP_EINVALID, "not 0");
  op = op_verdict("p", "r", 1, 0, 1, 5, 1.0F);
  run_fails(b, &op, PMP_EINVALID, "not 5");
  static const float bad[] = {0.0F, -0.5F, 1.5F, NAN, INFINITY};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    op = op_verdict("p", "r", 1, 0, 1, REJECT, bad[i]);
    run_fails(b, &op, PMP_EINVALID, "confidence");
  }
  op = op_verdict("", "r", 1, 0, 1, ACCEPT, 1.0F);
  run_fails(b, &op, PMP_EINVALID, "principal");
  op = op_verdict("p", "", 1, 0, 1, ACCEPT, 1.0F);
  run_fails(b, &op, PMP_EINVALID, "request id");
  /* Rows with labels of their own; a chunk where only some have one is for the caller to tell. */
  struct pmp_store_op all = op_append("a1", 1, 2, "all labelled", 4);
  all.u.append.labelled = 4;
  run_ok(b, &all);
  op = op_verdict("p", "r", all.u.append.chunk, 0, 1, ACCEPT, 1.0F);
  run_fails(b, &op, PMP_ECONFLICT, "labels of their own");
  struct pmp_store_op some = op_append("a1", 1, 3, "some labelled", 4);
  some.u.append.labelled = 3;
  run_ok(b, &some);
  op = op_verdict("p", "r", some.u.append.chunk, 0, 1, ACCEPT, 1.0F);
  run_ok(b, &op);
  free_verdict(&op);
  assert_int_equal(stats(b).last_commit, 4);
}

/* ---- how many an item takes ---------------------------------------------------------------- */

static struct pmp_store_verdict judge_wanted(struct bench *b, const char *who, const char *request,
                                             int judgement, uint32_t wanted, bool leased) {
  struct pmp_store_op op = op_verdict(who, request, 1, 0, 2, judgement, 1.0F);
  op.u.verdict.wanted = wanted;
  op.u.verdict.leased = leased;
  op.u.verdict.labels_now = 999;
  run_ok(b, &op);
  return op.u.verdict;
}

static void test_an_item_takes_what_is_wanted(void **state) {
  struct bench *b = *state;
  struct pmp_store_verdict v = judge_wanted(b, "p", "r1", ACCEPT, 2, false);
  assert_int_equal(v.labels_now, 1);
  done(&v);
  v = judge_wanted(b, "s", "r1", SKIP, 2, false); /* is no label */
  assert_int_equal(v.labels_now, 1);
  assert_false(v.surplus);
  done(&v);
  v = judge_wanted(b, "q", "r1", REJECT, 2, false);
  assert_int_equal(v.labels_now, 2);
  assert_false(v.surplus);
  done(&v);
  v = judge_wanted(b, "t", "r1", REJECT, 2, false);
  assert_true(v.surplus);
  assert_int_equal(v.labels_now, 2);
  assert_int_equal(v.labels, 0);
  done(&v);
  v = judge_wanted(b, "t", "r1", REJECT, 2, false);
  assert_true(v.duplicate && v.surplus);
  assert_int_equal(v.labels_now, 2);
  v = judge_wanted(b, "t", "r2", ACCEPT, 2, false); /* another opinion, still too many */
  assert_true(v.surplus && v.replaced);
  assert_int_equal(v.labels, 0);
  done(&v);
  v = judge_wanted(b, "s", "r2", ACCEPT, 2, false); /* its skip was none of the two */
  assert_true(v.surplus && v.replaced);
  done(&v);
  v = judge_wanted(b, "u", "r1", ACCEPT, 2, true); /* it was leased to u */
  assert_false(v.surplus);
  assert_int_equal(v.labels_now, 3);
  done(&v);
  v = judge_wanted(b, "p", "r2", REJECT, 2, false); /* one of the labels: it stays one */
  assert_true(v.replaced && !v.surplus);
  assert_int_equal(v.labels_now, 3);
  done(&v);
  v = judge_wanted(b, "w", "r1", REJECT, 0, false); /* any number */
  assert_false(v.surplus);
  assert_int_equal(v.labels_now, 4);
  done(&v);
  assert_clean(b->path, NULL);
}

static void test_what_is_withdrawn_makes_room(void **state) {
  struct bench *b = *state;
  struct pmp_store_verdict v = judge_wanted(b, "p", "r1", ACCEPT, 1, false);
  assert_int_equal(v.judges, 0);
  done(&v);
  v = judge_wanted(b, "q", "r1", REJECT, 1, false);
  assert_true(v.surplus);
  done(&v);
  v = judge_wanted(b, "s", "r1", SKIP, 1, false);
  done(&v);
  v = judge_wanted(b, "p", "r2", WITHDRAW, 1, false);
  assert_int_equal(v.labels_now, 0);
  assert_int_equal(v.judges, 2); /* whom nobody need ask again */
  assert_string_equal(v.judge[0], "q");
  assert_string_equal(v.judge[1], "s");
  assert_label(&v, 0, 0, 0, 1, 0.0F);
  done(&v);
  v = judge_wanted(b, "q", "r2", REJECT, 1, false); /* the same words, and now they count */
  assert_false(v.surplus);
  assert_int_equal(v.labels_now, 1);
  assert_label(&v, 0, 0, -1, 0, 1.0F);
  done(&v);
  v = judge_wanted(b, "q", "r3", SKIP, 1, false);
  assert_int_equal(v.labels_now, 0);
  assert_int_equal(v.judges, 2);
  done(&v);
  v = judge_wanted(b, "p", "r4", ACCEPT, 1, false);
  done(&v);
  v = judge_wanted(b, "t", "r1", ACCEPT, 1, false);
  assert_true(v.surplus);
  done(&v);
  v = judge_wanted(b, "t", "r2", WITHDRAW, 1, false); /* a surplus one, too */
  assert_int_equal(v.labels_now, 1);
  assert_int_equal(v.labels, 0);
  done(&v);
  struct pmp_store_op none = op_verdict("t", "r3", 1, 0, 2, WITHDRAW, 0.0F);
  run_fails(b, &none, PMP_ENOTFOUND, "t has no active verdict");
  /* What was said twice is gone at once. */
  v = judge_wanted(b, "p", "r5", ACCEPT, 1, false);
  assert_true(v.surplus);
  done(&v);
  v = judge_wanted(b, "p", "r6", WITHDRAW, 1, false);
  done(&v);
  none = op_verdict("p", "r7", 1, 0, 2, WITHDRAW, 0.0F);
  run_fails(b, &none, PMP_ENOTFOUND, "p has no active verdict");
  assert_clean(b->path, NULL);
}

struct listing {
  char text[1024];
};

static enum pmp_err list_verdict(void *ctx, const struct pmp_reader_verdict *v) {
  struct listing *l = ctx;
  const size_t used = strlen(l->text);
  snprintf(l->text + used, sizeof l->text - used, "%d:%s:%s:%u+%u:%d:%g:%s:%d ", (int)v->id, v->who,
           v->request_id, v->row, v->rows, v->judgement, (double)v->confidence, v->note, v->state);
  return PMP_OK;
}

static enum pmp_err list_given(void *ctx, const char *who, uint64_t verdicts) {
  struct listing *l = ctx;
  const size_t used = strlen(l->text);
  snprintf(l->text + used, sizeof l->text - used, "%s:%d ", who, (int)verdicts);
  return PMP_OK;
}

static enum pmp_err list_chunk(void *ctx, const struct pmp_entry *e, struct pmp_errmsg *msg) {
  struct listing *l = ctx;
  (void)msg;
  const size_t used = strlen(l->text);
  snprintf(l->text + used, sizeof l->text - used, "%d:%s:%u:%.*s ", (int)e->chunk, e->actor,
           e->rows, (int)e->bytes, (const char *)e->data);
  return PMP_OK;
}

static void test_what_people_said_is_read_back(void **state) {
  struct bench *b = *state;
  struct pmp_errmsg msg = {{0}};
  struct pmp_store_op own = op_append("a1", 1, 2, "their own", 2);
  own.u.append.labelled = 2;
  run_ok(b, &own);
  append(b, "a1", 1, 3, "more", 3);
  struct pmp_store_op op = op_verdict("p", "r1", 1, 0, 2, ACCEPT, 0.5F);
  op.u.verdict.note = "fine";
  run_ok(b, &op);
  free_verdict(&op);
  struct pmp_store_verdict v = judge_wanted(b, "q", "r1", SKIP, 1, false);
  done(&v);
  v = judge_wanted(b, "p", "r2", REJECT, 1, false);
  done(&v);
  v = judge_wanted(b, "q", "r2", REJECT, 1, false);
  done(&v);
  v = judge_wanted(b, "q", "r3", WITHDRAW, 1, false);
  done(&v);
  struct pmp_reader *r = NULL;
  assert_int_equal(pmp_reader_open(&r, b->path, NULL, &msg), PMP_OK);
  struct listing l = {{0}};
  assert_int_equal(pmp_reader_verdicts(r, 0, 100, NULL, list_verdict, &l, &msg), PMP_OK);
  assert_string_equal(l.text, "4:p:r1:0+2:1:0.5:fine:3 5:q:r1:0+2:3:0::3 6:p:r2:0+2:2:1::1 "
                              "7:q:r2:0+2:2:1::4 8:q:r3:0+2:4:0::4 ");
  l.text[0] = '\0';
  assert_int_equal(pmp_reader_verdicts(r, 4, 2, NULL, list_verdict, &l, &msg), PMP_OK);
  assert_string_equal(l.text, "5:q:r1:0+2:3:0::3 6:p:r2:0+2:2:1::1 ");
  l.text[0] = '\0';
  assert_int_equal(pmp_reader_verdicts(r, 5, 9, "q", list_verdict, &l, &msg), PMP_OK);
  assert_string_equal(l.text, "7:q:r2:0+2:2:1::4 8:q:r3:0+2:4:0::4 ");
  l.text[0] = '\0';
  assert_int_equal(pmp_reader_chunk_verdicts(r, 1, list_verdict, &l, &msg), PMP_OK);
  assert_string_equal(l.text, "6:p:r2:0+2:2:1::1 ");
  l.text[0] = '\0';
  assert_int_equal(pmp_reader_given(r, list_given, &l, &msg), PMP_OK);
  assert_string_equal(l.text, "p:2 q:2 ");
  l.text[0] = '\0';
  assert_int_equal(pmp_reader_open_chunks(r, list_chunk, &l, &msg), PMP_OK);
  assert_string_equal(l.text, "1:a1:10:ten rows 3:a1:3:more ");
  struct pmp_entry e;
  assert_int_equal(pmp_reader_chunk(r, 2, &e, &msg), PMP_OK);
  assert_int_equal(e.rows, 2);
  assert_int_equal(pmp_reader_chunk(r, 9, &e, &msg), PMP_ENOTFOUND);
  pmp_reader_close(r);
}

/* ---- replay --------------------------------------------------------------------------------- */

struct heard { /* what the operations gave at the time */
  struct pmp_store_verdict verdict[64];
  uint64_t settings;
  uint32_t count, next;
};

static enum pmp_err compare_entry(void *ctx, const struct pmp_entry *e, struct pmp_errmsg *msg) {
  struct heard *h = ctx;
  (void)msg;
  if (e->kind == PMP_ENTRY_SETTING) {
    assert_string_equal(e->key, "lr");
    assert_string_equal(e->value, "0.1");
    h->settings++;
    return PMP_OK;
  }
  assert_int_equal(e->chunk, 1);
  assert_memory_equal(e->data, "ten rows", 8);
  assert_int_equal(e->rows, 10);
  assert_string_equal(e->actor, "a1");
  assert_int_equal(e->epoch, 1);
  assert_int_equal(e->seq, 1);
  if (e->kind == PMP_ENTRY_CHUNK) return PMP_OK;
  const struct pmp_store_verdict *v = &h->verdict[h->next++];
  assert_int_equal(e->commit, v->commit);
  assert_int_equal(e->first, v->first);
  assert_int_equal(e->labels, v->labels);
  for (uint32_t i = 0; i < v->labels; i++) {
    assert_int_equal(e->label[i].row, v->label[i].row);
    assert_int_equal(e->label[i].label, v->label[i].label);
    assert_int_equal(e->label[i].before, v->label[i].before);
    assert_memory_equal(&e->label[i].weight, &v->label[i].weight, sizeof(float));
  }
  return PMP_OK;
}

static void test_a_replay_gives_the_labels_of_then(void **state) {
  struct bench *b = *state;
  struct pmp_errmsg msg = {{0}};
  struct heard h = {.count = 0};
  uint32_t x = 7;
  for (int i = 0; i < 64; i++) {
    char who[8], request[16];
    x = x * 1664525U + 1013904223U;
    uint32_t row = (x >> 8) % 10, rows = 1 + (x >> 12) % (10 - row);
    snprintf(who, sizeof who, "p%u", (x >> 16) % 3);
    snprintf(request, sizeof request, "r%d", i);
    struct pmp_store_op op = op_verdict(who, request, 1, row, rows, 1 + (int)((x >> 20) % 4),
                                        (float)(1 + (x >> 24) % 8) / 8.0F);
    enum pmp_err err = pmp_store_run(b->store, &op);
    if (err == PMP_ENOTFOUND) continue; /* a withdrawal of nothing */
    assert_int_equal(err, PMP_OK);
    h.verdict[h.count++] = op.u.verdict;
    if (i % 16 == 3) {
      struct pmp_store_op set = {.kind = PMP_OP_SETTING};
      set.u.setting = (struct pmp_store_setting){.key = "lr", .value = "0.1", .who = "o"};
      run_ok(b, &set);
    }
  }
  assert_true(h.count > 40);
  bench_reopen(b);
  struct pmp_reader *r = NULL;
  assert_int_equal(pmp_reader_open(&r, b->path, NULL, &msg), PMP_OK);
  enum pmp_err err = pmp_reader_entries(r, 1, UINT64_MAX, compare_entry, &h, &msg);
  if (err != PMP_OK) fail_msg("%s", msg.text);
  assert_int_equal(h.next, h.count);
  assert_int_equal(h.settings, 4);
  pmp_reader_close(r);
  for (uint32_t i = 0; i < h.count; i++) done(&h.verdict[i]);
  assert_clean(b->path, NULL);
}

static void test_labels_are_packed_in_runs(void **state) {
  (void)state;
  struct pmp_store_label in[5] = {{.row = 3, .label = 1, .weight = 0.5F},
                                  {.row = 4, .label = 1, .weight = 0.5F},
                                  {.row = 5, .label = -1, .before = 1, .weight = 0.25F},
                                  {.row = 7, .label = -1, .before = 1, .weight = 0.25F},
                                  {.row = 8, .label = 0, .before = -1}};
  unsigned char packed[80];
  struct pmp_store_label *out = NULL;
  uint32_t count = 999;
  struct pmp_errmsg msg = {{0}};
  size_t bytes = pmp_labels_pack(in, 5, packed);
  assert_int_equal(bytes, 64);
  assert_int_equal(pmp_labels_unpack(packed, bytes, 9, &out, &count, &msg), PMP_OK);
  assert_int_equal(count, 5);
  for (uint32_t i = 0; i < 5; i++) {
    assert_int_equal(out[i].row, in[i].row);
    assert_int_equal(out[i].label, in[i].label);
    assert_int_equal(out[i].before, in[i].before);
    assert_true(out[i].weight == in[i].weight);
  }
  free(out);
  assert_int_equal(pmp_labels_unpack(packed, bytes, 8, &out, &count, &msg), PMP_ECORRUPT);
  assert_int_equal(pmp_labels_unpack(packed, bytes - 1, 9, &out, &count, &msg), PMP_ECORRUPT);
  packed[8] = 2;
  assert_int_equal(pmp_labels_unpack(packed, bytes, 9, &out, &count, &msg), PMP_ECORRUPT);
  assert_null(out);
}

#define WITH_CHUNK(test) cmocka_unit_test_setup_teardown(test, judge_setup, bench_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_CHUNK(test_a_verdict_labels_its_rows),
      WITH_CHUNK(test_label_is_the_sign_of_the_sum),
      WITH_CHUNK(test_overlapping_items_add_up),
      WITH_CHUNK(test_skips_are_kept_without_a_label),
      WITH_CHUNK(test_requests_are_kept_once),
      WITH_CHUNK(test_a_different_verdict_replaces),
      WITH_CHUNK(test_the_same_again_is_surplus),
      WITH_CHUNK(test_withdrawing),
      WITH_CHUNK(test_what_cannot_be_judged),
      WITH_CHUNK(test_an_item_takes_what_is_wanted),
      WITH_CHUNK(test_what_is_withdrawn_makes_room),
      WITH_CHUNK(test_what_people_said_is_read_back),
      WITH_CHUNK(test_a_replay_gives_the_labels_of_then),
      cmocka_unit_test(test_labels_are_packed_in_runs),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
