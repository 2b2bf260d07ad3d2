/* pmpo-eval's lines: answers worked out by hand, every error's sentence, and what a line may look
 * like. */
#include "tests/eval/ask.h"

#include <stdint.h>

#define TOLERANCE 1e-14
#define LN2 0.693147180559945309417
#define LN3 1.09861228866810969140
#define HALF_LN_2PI 0.918938533204672741780

static void expect_near(double got, double want, double tolerance) {
  if (!(fabs(got - want) <= tolerance)) fail_msg("%.17g, not %.17g", got, want);
}

/* The answer is what was worked out: grad's numbers in the order of pi's. */
static void expect(const char *line, double loss, double policy_term, double kl, size_t n,
                   const double *grad) {
  json_t *answer = ask(line);
  double got[64] = {0};
  size_t used = 0;
  const char *key;
  json_t *part;
  json_object_foreach(json_object_get(answer, "grad"), key, part) {
    used += numbers_of(part, got + used, 64 - used);
  }
  expect_near(number_at(answer, "loss"), loss, TOLERANCE);
  expect_near(number_at(answer, "policy_term"), policy_term, TOLERANCE);
  if (isnan(kl)) {
    assert_true(json_is_null(json_object_get(answer, "kl")));
  } else {
    expect_near(number_at(answer, "kl"), kl, TOLERANCE);
  }
  assert_int_equal(used, n);
  for (size_t i = 0; i < n; i++) expect_near(got[i], grad[i], TOLERANCE);
  json_decref(answer);
}

#define EXPECT(line, loss, policy_term, kl, ...)                                                   \
  expect(line, loss, policy_term, kl, sizeof((double[]){__VA_ARGS__}) / sizeof(double),            \
         (double[]){__VA_ARGS__})

#define TABLE "'policy':'categorical','pi':{'logits':[[[0,0]]]},"
#define TABLE_REF TABLE "'ref':{'logits':[[[0,0]]]},"

static void test_pmpo_over_two_actions(void **state) {
  (void)state;
  EXPECT("{'objective':'pmpo'," TABLE "'beta':0,'y':[[0],[1]],'verdict':[1,-1]}", 0, 0, NAN, -0.5,
         0.5);
  /* ref = (3/4, 1/4): KL = 3/4 ln(3/2) + 1/4 ln(1/2) = 3/4 ln 3 - ln 2 */
  const double kl = 0.75 * LN3 - LN2;
  EXPECT("{'objective':'pmpo','alpha':1,'beta':2,'policy':'categorical','pi':{'logits':[[[5,5]]]},"
         "'ref':{'logits':[[[1.09861228866810969140,0]]]},'y':[[0]],'verdict':[1]}",
         LN2 + 2 * kl, LN2, kl, -1, 1);
  /* A second row without outcomes takes part in the KL alone. */
  EXPECT(
      "{'objective':'pmpo','alpha':1,'beta':2,'policy':'categorical',"
      "'pi':{'logits':[[[0,0]],[[0,0]]]},'ref':{'logits':[[[0,0]],[[1.09861228866810969140,0]]]},"
      "'y':[[0]],'x':[0],'verdict':[1]}",
      LN2 + kl, LN2, kl / 2, -0.5, 0.5, -0.25, 0.25);
  /* Rejected alone, and an empty set's weight is not handed on. */
  EXPECT("{'objective':'pmpo','alpha':0.25,'beta':0," TABLE "'y':[[0]],'verdict':[-1]}",
         -0.75 * LN2, -0.75 * LN2, NAN, 0.375, -0.375);
  /* Verdict 0 counts nowhere; the default beta is 1/2. */
  EXPECT("{'objective':'pmpo'," TABLE_REF "'y':[[0],[1]],'verdict':[0,0]}", 0, 0, 0, 0, 0);
}

static void test_averaging_and_weights(void **state) {
  (void)state;
  /* Accepted 0 (weight 1) and 1 (weight 3), rejected 0 (weight 2), alpha 1/2. Sets: c = -1/8, -3/8,
   * 1/2; pool: c = -1/12, -3/12, 2/12, loss (4 - 2) / 12 ln 2. */
  const char *sets = "{'objective':'pmpo','beta':0,'averaging':'sets'," TABLE
                     "'y':[[0],[1],[0]],'verdict':[1,1,-1],'weight':[1,3,2]}";
  const char *pool = "{'objective':'pmpo','beta':0,'averaging':'pool'," TABLE
                     "'y':[[0],[1],[0]],'verdict':[1,1,-1],'weight':[1,3,2]}";
  EXPECT(sets, 0, 0, NAN, 0.375, -0.375);
  EXPECT(pool, LN2 / 6, LN2 / 6, NAN, 1.0 / 6, -1.0 / 6);
}

static void test_pmpo_over_gaussians(void **state) {
  (void)state;
  /* pi = N(1, 2), ref = N(0, 1), y = 3, one standard deviation off. */
  EXPECT(
      "{'objective':'pmpo','alpha':1,'beta':1,'policy':'diag_gaussian',"
      "'pi':{'mean':[[1]],'std':[[2]]},'ref':{'mean':[[0]],'std':[[1]]},'y':[[3]],'verdict':[1]}",
      LN2 + HALF_LN_2PI + 0.5 + LN2 - 0.25, LN2 + HALF_LN_2PI + 0.5, LN2 - 0.25, -0.25, 0.25);
  /* L = I, y = (1, 2): d log N / dL = y y' - I, lower part. */
  EXPECT(
      "{'objective':'pmpo','alpha':1,'policy':'gaussian',"
      "'pi':{'mean':[[0,0]],'chol':[[[1,0],[0,1]]]},'ref':{'mean':[[0,0]],'chol':[[[1,0],[0,1]]]},"
      "'y':[[1,2]],'verdict':[1]}",
      2 * HALF_LN_2PI + 2.5, 2 * HALF_LN_2PI + 2.5, 0, -1, -2, 0, 0, -2, -3);
}

static void test_split_parts(void **state) {
  (void)state;
  json_t *answer = ask("{'objective':'pmpo','beta_mean':2,'beta_std':4,'policy':'diag_gaussian',"
                       "'pi':{'mean':[[1]],'std':[[2]]},'ref':{'mean':[[0]],'std':[[1]]},'y':[]}");
  double kl[2] = {999.0, 999.0};
  assert_int_equal(numbers_of(json_object_get(answer, "kl"), kl, 2), 2);
  expect_near(kl[0], 0.5, TOLERANCE);
  expect_near(kl[1], LN2 - 0.375, TOLERANCE);
  expect_near(number_at(answer, "loss"), 1.0 + 4 * (LN2 - 0.375), TOLERANCE);
  double grad[2] = {999.0, 999.0};
  const json_t *g = json_object_get(answer, "grad");
  assert_int_equal(numbers_of(json_object_get(g, "mean"), grad, 1), 1);
  assert_int_equal(numbers_of(json_object_get(g, "std"), grad + 1, 1), 1);
  expect_near(grad[0], 2.0, TOLERANCE);
  expect_near(grad[1], 1.5, TOLERANCE);
  json_decref(answer);
}

static void test_pairs(void **state) {
  (void)state;
  /* pi = ref: h = 0, DPO's slope is -tau / 2, IPO's -1 / tau. */
  EXPECT("{'objective':'dpo','tau':0.2," TABLE_REF "'y':[[0],[1]],'verdict':[1,-1]}", LN2, LN2, 0,
         -0.1, 0.1);
  EXPECT("{'objective':'ipo','tau':0.5," TABLE_REF "'y':[[1],[0]],'verdict':[-1,1]}", 1, 1, 0, -2,
         2);
  /* f comes before verdicts, and the middle one is not used. */
  EXPECT("{'objective':'ipo','tau':0.5," TABLE_REF "'y':[[0],[0],[1]],'f':[3,1,-2],"
         "'verdict':[-1,1,1]}",
         1, 1, 0, -2, 2);
  /* Two rows: the mean over conditions. What dpo does not read changes nothing, alone or in a
   * combination that pmpo refuses. */
  EXPECT(
      "{'objective':'dpo','tau':1,'alpha':0.1,'beta':7,'averaging':'pool','kl_weight':'state',"
      "'kl':'bc','eta':3,'policy':'categorical',"
      "'pi':{'logits':[[[0,0]],[[0,0]]]},'ref':{'logits':[[[0,0]],[[0,1.09861228866810969140]]]},"
      "'y':[[0],[1],[1],[0]],'x':[0,1,0,1],'verdict':[1,-1,-1,1]}",
      (LN2 + log(4.0 / 3.0)) / 2, (LN2 + log(4.0 / 3.0)) / 2, (0.75 * LN3 - LN2) / 2, -0.25, 0.25,
      -0.125, 0.125);
}

static void test_clone_and_boltzmann(void **state) {
  (void)state;
  EXPECT("{'objective':'bc'," TABLE "'y':[[0],[0],[1]]}", LN2, LN2, NAN, -1.0 / 6, 1.0 / 6);
  EXPECT("{'objective':'bc'," TABLE_REF "'y':[[0],[0],[1]],'verdict':[1,-1,0]}", LN2, LN2, 0,
         -1.0 / 6, 1.0 / 6);
  /* q = (3/4, 1/4) */
  EXPECT("{'objective':'boltzmann','alpha':1,'beta':0,'eta':1," TABLE "'y':[[0],[1]],"
         "'f':[1.09861228866810969140,0]}",
         LN2, LN2, NAN, -0.25, 0.25);
  /* Nor does boltzmann read what pmpo alone does. */
  EXPECT("{'objective':'boltzmann','alpha':1,'beta':2,'averaging':'pool','kl_weight':'state',"
         "'tau':7,'pairs':2," TABLE_REF "'y':[[0],[1]],'f':[1.09861228866810969140,0]}",
         LN2, LN2, 0, -0.25, 0.25);
  /* KL by cloning: beta times - mean log pi over all outcomes. */
  EXPECT("{'objective':'pmpo','alpha':1,'beta':2,'kl':'bc'," TABLE
         "'y':[[0],[1],[1]],'verdict':[1,0,0]}",
         3 * LN2, LN2, LN2, -0.5 + 1.0 / 3, 0.5 - 1.0 / 3);
}

static void test_impossible_bins(void **state) {
  (void)state;
  /* null is probability 0, in ref and, where ref agrees, in pi. */
  EXPECT("{'objective':'pmpo','alpha':1,'beta':1,'policy':'categorical','pi':{'logits':[[[0,0,null]"
         "]]},"
         "'ref':{'logits':[[[0,null,null]]]},'y':[[1]],'verdict':[1]}",
         2 * LN2, LN2, LN2, 0.5 - 0.5, -0.5 + 0.5, 0);
}

static void test_a_line_may_look_otherwise(void **state) {
  (void)state;
  /* A plain list of outcomes for one dimension, null for what is not given, an id handed back. */
  bool failed = true;
  json_t *answer = ask_verbose("  {'id':[7,'a'],'objective':'pmpo','beta':0," TABLE
                               "'ref':null,'x':null,'f':null,'y':[0,1],'verdict':[1,-1]}\r\n",
                               false, &failed);
  assert_false(failed);
  char *text = pmp_eval_text(answer);
  assert_string_equal(text, "{\"loss\":0.0,\"policy_term\":0.0,\"kl\":null,\"grad\":{\"logits\":"
                            "[[[-0.5,0.5]]]},\"id\":[7,\"a\"]}");
  free(text);
  json_decref(answer);
  /* x left out: as many outcomes as rows, or one row. */
  json_t *a = ask("{'objective':'bc','policy':'categorical','pi':{'logits':[[[0,0]],[[0,1]]]},"
                  "'y':[[1],[0]]}");
  json_t *b = ask("{'objective':'bc','policy':'categorical','pi':{'logits':[[[0,0]],[[0,1]]]},"
                  "'y':[[1],[0]],'x':[0,1]}");
  assert_true(json_equal(a, b));
  json_decref(a);
  json_decref(b);
}

static void test_verbose(void **state) {
  (void)state;
  bool failed = true;
  json_t *answer = ask_verbose(
      "{'objective':'pmpo','alpha':0.25,'policy':'categorical','pi':{'logits':[[[0,0]],[[0,0]]]},"
      "'ref':{'logits':[[[0,0]],[[0,0]]]},'y':[[0],[1],[0]],'x':[1,0,1],'verdict':[1,-1,-1]}",
      true, &failed);
  assert_false(failed);
  /* In the line's order, whatever the order of x. */
  const double want[] = {-0.25, 0.375, 0.375};
  double c[3] = {999.0, 999.0, 999.0};
  assert_int_equal(numbers_of(json_object_get(answer, "c"), c, 3), 3);
  for (size_t i = 0; i < 3; i++) expect_near(c[i], want[i], TOLERANCE);
  /* Row 0: beta - B (3/4) / 2. */
  expect_near(number_at(answer, "kl_margin"), 0.5 - 0.75, TOLERANCE);
  assert_int_equal(numbers_of(json_object_get(answer, "log_pi"), c, 3), 3);
  for (size_t i = 0; i < 3; i++) expect_near(c[i], -LN2, TOLERANCE);
  assert_true(json_is_null(json_object_get(answer, "log_ref")));
  json_decref(answer);
}

static void test_numbers_read_back_exactly(void **state) {
  (void)state;
  json_t *answer = ask("{'objective':'bc','policy':'diag_gaussian','pi':{'mean':[[0.1,1e-300]],"
                       "'std':[[0.3,123456.789]]},'y':[[0.7,-1e5]]}");
  char *text = pmp_eval_text(answer);
  json_t *again = json_loads(text, 0, NULL);
  assert_non_null(again);
  assert_true(json_equal(answer, again));
  assert_null(strchr(text, ' '));
  free(text);
  json_decref(again);
  json_decref(answer);
}

static void test_a_line_of_megabytes(void **state) {
  (void)state;
  enum { BINS = 100000 };
  const size_t room = (size_t)2 * BINS * 24 + 1024;
  char *text = malloc(room);
  assert_non_null(text);
  size_t used = 0;
  for (int who = 0; who < 2; who++) {
    used += (size_t)snprintf(text + used, room - used, "%s{'logits':[[[",
                             who == 0 ? "{'objective':'pmpo','policy':'categorical','pi':"
                                      : "]]]},'ref':");
    for (int k = 0; k < BINS; k++)
      used += (size_t)snprintf(text + used, room - used, "%s%.15f", k == 0 ? "" : ",",
                               sin(k * (who + 1.0)));
  }
  snprintf(text + used, room - used, "]]]},'y':[[99999],[5]],'verdict':[1,-1]}");
  assert_true(used > 3000000);
  json_t *answer = ask(text);
  double *grad = malloc(BINS * sizeof *grad), sum = 0.0;
  assert_non_null(grad);
  assert_int_equal(numbers_of(json_object_get(answer, "grad"), grad, 0), 0);
  assert_int_equal(
      numbers_of(json_object_get(json_object_get(answer, "grad"), "logits"), grad, BINS), BINS);
  for (int k = 0; k < BINS; k++) sum += grad[k];
  expect_near(sum, 0.0, 1e-12);
  free(grad);
  free(text);
  json_decref(answer);
}

/* ---- errors ---- */

#define G "'policy':'diag_gaussian',"
#define F "'policy':'gaussian',"
#define C "'policy':'categorical',"
#define N01 "'pi':{'mean':[[0]],'std':[[1]]},'ref':{'mean':[[0]],'std':[[1]]},"
#define TWO_ROWS "'pi':{'logits':[[[0,0]],[[0,0]]]},'ref':{'logits':[[[0,0]],[[0,0]]]},"
#define P "{'objective':'pmpo',"
#define D "{'objective':'dpo',"

static const char *const errors[][2] = {
    {"", "not JSON at column"},
    {"{'objective':'pmpo'", "not JSON at column"},
    {"{'a':1,'a':2}", "duplicate"},
    {"[1]", "the line is a list: it must be a JSON object"},
    {"7", "the line is a number"},
    {"{'objective':'bc',{'logits':[[[0,-Infinity]]]}}", "is null"},
    {"{'alpha':NaN}", "JSON has no NaN"},
    {"{'alpha':1e999}", "real number overflow"},
    {"{}", "objective is missing"},
    {"{'objective':'pmp'}", "objective is \"pmp\": it must be "},
    {"{'objective':3}", "objective is a number: it must be"},
    {"{'objective':'pmpo'}", "policy is missing"},
    {P "'policy':'tabular'}", "it must be diag_gaussian, gaussian or categorical"},
    {P C "'aplha':1}", "there is no field \"aplha\"; did you mean alpha?"},
    {P C "'verdicts':[1]}", "did you mean verdict?"},
    {P C "'XYZ':1}", "there are objective, policy, "},
    {P C "'alpha':'a'}", "alpha is text where a number belongs"},
    {P C "'alpha':1.5}", "alpha is 1.5: it must be from 0 to 1"},
    {P C "'beta':-1}", "beta is -1: it must be 0 or above"},
    {P C "'tau':0}", "tau is 0: it must be above 0"},
    {P C "'eta':-2}", "eta is -2: it must be above 0"},
    {P C "'averaging':'mean'}", "averaging is \"mean\": it must be sets or pool"},
    {P C "'kl':'sampled'}", "it must be exact or bc"},
    {P C "'kl_weight':'x'}", "it must be uniform or state"},
    {P C "'kl_weight':'state','averaging':'pool'}", "it needs averaging sets"},
    {P C "'kl_weight':'state','kl':'bc'}", "needs kl exact"},
    {D C "'kl_weight':'X'}", "it must be uniform or state"},
    {P C "'pairs':3}", "pairs is 3: it must be 1 or 2"},
    {P C "'pairs':1.5}", "pairs is 1.5: it must be 1 or 2"},
    {P G "'beta':1,'beta_mean':1,'beta_std':1}", "beta is given beside"},
    {P G "'beta_mean':1}", "beta_mean is given without beta_std"},
    {P G "'parts':'joint','beta_mean':1,'beta_std':1}", "for parts \"split\""},
    {P C "'parts':'split'}", "a categorical policy has no spread"},
    {D G "'parts':'split'}", "dpo takes the joint likelihood"},
    {P C "'y':[[0]]}", "pi is missing"},
    {P C "'pi':[0]}", "pi is a list: it must be an object with logits"},
    {P G "'pi':[0]}", "pi is a list: it must be an object with mean and std"},
    {P G "'pi':{'mean':[[0]],'sdt':[[1]]}}", "pi: there is no field \"sdt\"; did you mean std?"},
    {P G "'pi':{'mean':[[0]]}}", "pi.std is missing: it is a list of conditions"},
    {P G "'pi':{'mean':[],'std':[]}}", "pi.mean is empty"},
    {P G "'pi':{'mean':[[]],'std':[[]]}}", "pi.mean[0] is an empty list"},
    {P G "'pi':{'mean':[0],'std':[1]}}", "pi.mean[0] is a number where a list belongs"},
    {P G "'pi':{'mean':[[0],[[1]]],'std':[[1],[1]]}}", "pi.mean[1][0] is a list where a number"},
    {P G "'pi':{'mean':[[0,1],[2]],'std':[[1]]}}", "pi.mean[1] has 1 entries and pi.mean[0] has 2"},
    {P G "'pi':{'mean':[[0,null]],'std':[[1,1]]}}", "pi.mean[0][1] is null where a number belongs"},
    {P G "'pi':{'mean':[[0]],'std':[[1],[1]]}}", "pi.std has 2 conditions and pi.mean has 1"},
    {P G "'pi':{'mean':[[0]],'std':[[1,1]]}}", "pi.std has 2 dimensions and pi.mean has 1"},
    {P G "'pi':{'mean':[[0,0]],'std':[[1,0]]}}", "pi.std[0][1] is 0: it must be above 0"},
    {P F "'pi':{'mean':[[0,0]],'chol':[[[1,0]]]}}", "pi.chol has 1 rows and pi.mean has 2"},
    {P F "'pi':{'mean':[[0,0]],'chol':[[[1],[0]]]}}", "pi.chol has 1 columns and pi.mean has 2"},
    {P F "'pi':{'mean':[[0,0]],'chol':[[[1,0],[1,-1]]]}}", "pi.chol[0][1][1] is -1: the diagonal"},
    {P F "'pi':{'mean':[[0,0]],'chol':[[[1,0.5],[1,1]]]}}",
     "pi.chol[0][0][1] is 0.5: chol is lower"},
    {P C "'pi':{'logits':[[[null,null]]]}}", "pi.logits[0][0] is null throughout"},
    {P C "'pi':{'logits':[[[1]]]}}", "pi: "},
    {P G "'pi':{'mean':[[0]],'std':[[1]]},'ref':{'mean':[[0],[0]],'std':[[1],[1]]},'y':[]}",
     "ref has 2 conditions and pi has 1"},
    {P G "'pi':{'mean':[[0]],'std':[[1]]},'ref':{'mean':[[0,0]],'std':[[1,1]]},'y':[]}",
     "ref has 2 dimensions and pi has 1"},
    {P C "'pi':{'logits':[[[0,0]]]},'ref':{'logits':[[[0,0,0]]]},'y':[]}",
     "ref has 3 bins and pi has 2"},
    {P G "'pi':{'mean':[[0]],'std':[[1]]},'ref':{'mean':[[0]],'std':[[-1]]},'y':[]}",
     "ref.std[0][0] is -1: it must be above 0"},
    {P G "'pi':{'mean':[[0]],'std':[[1e-200]]}}",
     "pi.std[0][0] is 1e-200: it must be above 0 (1e-100"},
    {P G N01 "'verdict':[1]}", "y is missing"},
    {P G N01 "'y':3}", "y is a number where a list belongs"},
    {P G N01 "'y':[[1,2]],'verdict':[1]}", "y[0] has 2 entries and pi has 1 dimensions"},
    {P G N01 "'y':[[1],[2,3]],'verdict':[1,1]}", "y[1] has 2 entries and y[0] has 1"},
    {P C TWO_ROWS "'y':[[0],[2]],'verdict':[1,1]}", "y[1][0] is 2: it must be a bin, 0 to 1"},
    {P C TWO_ROWS "'y':[[0],[0.5]],'verdict':[1,1]}", "y[1][0] is 0.5: it must be a bin"},
    {P C TWO_ROWS "'y':[[0],[-1]],'verdict':[1,1]}", "y[1][0] is -1: it must be a bin"},
    {P C TWO_ROWS "'y':[[0],[1],[1]],'verdict':[1,1,1]}", "x is missing: with 2 rows of pi and 3"},
    {P C TWO_ROWS "'y':[[0],[1],[1]],'x':[0,1],'verdict':[1,1,1]}", "x has 2 entries and y has 3"},
    {P C TWO_ROWS "'y':[[0]],'x':[2],'verdict':[1]}", "x[0] is 2: it must be a row of pi, 0 to 1"},
    {P C TWO_ROWS "'y':[[0],[0]],'x':[0,0.5],'verdict':[1]}", "x[1] is 0.5: it must be a row"},
    {P C TWO_ROWS "'y':[[0],[0]],'x':[0,-1],'verdict':[1]}", "x[1] is -1: it must be a row"},
    {P G N01 "'y':[[0]]}", "verdict is missing"},
    {P G N01 "'y':[[0]],'verdict':[1,1]}", "verdict has 2 entries and y has 1"},
    {P C TWO_ROWS "'y':[[0],[1]],'x':[1,0],'verdict':[1,2]}", "verdict[1] is 2: it must be 1"},
    {P G N01 "'y':[[0]],'verdict':[true]}", "verdict[0] is true where a number belongs"},
    {P G N01 "'y':[[0]],'verdict':[1],'weight':[-2]}", "weight[0] is -2: it must be 0 or above"},
    {P G N01 "'y':[[0]],'verdict':[1],'weight':[]}", "weight has 0 entries and y has 1"},
    {P G "'pi':{'mean':[[0]],'std':[[1]]},'y':[[0]],'verdict':[1]}",
     "ref is missing: a beta above"},
    {P G "'pi':{'mean':[[0]],'std':[[1]]},'beta_mean':0,'beta_std':0,'y':[[0]],'verdict':[1]}",
     "ref is missing: the split loss reads it"},
    {"{'objective':'boltzmann'," G N01 "'y':[[0]]}", "f is missing: boltzmann"},
    {D G N01 "'y':[[0],[1]]}", "f or verdict is missing: dpo"},
    {D G "'pi':{'mean':[[0]],'std':[[1]]},'y':[[0],[1]],'verdict':[1,-1]}", "ref is missing: dpo"},
    {D C TWO_ROWS "'y':[[0],[1]],'x':[0,0],'verdict':[1,-1]}",
     "row 1 of pi has 0 accepted and 0 rejected outcomes: without f, dpo with pairs 1 wants 1 of"},
    {D C TWO_ROWS "'y':[[0],[1],[0]],'x':[0,0,1],'f':[1,2,3]}",
     "row 1 of pi has 1 outcomes: dpo with pairs 1 compares 2 by their f"},
    {D G N01 "'y':[[0],[1],[2]],'verdict':[1,1,-1]}", "row 0 of pi has 2 accepted and 1 rejected"},
    {D G N01 "'y':[[0],[1]],'verdict':[1,-1],'weight':[0,1]}", "row 0 of pi has 0 accepted and 1"},
    {D G N01 "'y':[[0],[1]],'f':[2,2]}", "f of the best outcome equals that of the worst"},
    {D G N01 "'y':[[0],[1],[2]],'f':[1,2,3],'pairs':2}", "dpo with pairs 2 compares 4"},
    {D G N01 "'y':[[0],[1],[2],[3]],'f':[1,2,2,3],'pairs':2}", "f of the second best outcome"},
    {P C "'pi':{'logits':[[[0,null]]]},'ref':{'logits':[[[0,0]]]},'y':[[0]],'verdict':[1]}",
     "KL(ref||pi) of row 0 of pi is not finite"},
    {P C "'beta':0,'pi':{'logits':[[[0,1]],[[0,null]]]},'y':[[0],[1]],'x':[1,1],'verdict':[1,1]}",
     "log pi(y|x) of y[1] is not finite: pi's row 1"},
    {D C "'pi':{'logits':[[[0,0]]]},'ref':{'logits':[[[0,null]]]},'y':[[1],[0]],'verdict':[1,-1]}",
     "log ref(y|x) of y[0] is not finite: ref's row 0"},
    {P G "'pi':{'mean':[[0]],'std':[[1]]},'ref':{'mean':[[1e200]],'std':[[1]]},'y':[]}",
     "KL(ref||pi) of row 0 of pi is not finite"},
};

static void test_errors_say_what_and_where(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
    bool failed = false;
    json_t *answer = ask_verbose(errors[i][0], false, &failed);
    const char *text = json_string_value(json_object_get(answer, "error"));
    if (!failed || text == NULL || json_object_size(answer) != 1)
      fail_msg("%s\nis answered", errors[i][0]);
    if (strstr(text, errors[i][1]) == NULL)
      fail_msg("%s\n-> %s\nwithout \"%s\"", errors[i][0], text, errors[i][1]);
    json_decref(answer);
  }
}

static void test_errors_stay_text(void **state) {
  (void)state;
  /* A name of many bytes a character, cut in the middle of one. */
  bool failed = false;
  json_t *answer = ask_verbose("{'aäääääääääääääääääääääääääääää':1,'id':'q'}", false, &failed);
  assert_true(failed);
  assert_non_null(strstr(json_string_value(json_object_get(answer, "error")), "there is no field"));
  assert_string_equal(json_string_value(json_object_get(answer, "id")), "q");
  json_decref(answer);
}

/* Whatever is cut out of a line or put into it, there is an answer. */
static void test_broken_lines_are_answered(void **state) {
  (void)state;
  static const char seed[] =
      "{\"objective\":\"pmpo\",\"policy\":\"gaussian\",\"pi\":{\"mean\":[[0,1],[2,3]],\"chol\":"
      "[[[1,0],[2,1]],[[3,0],[1,1]]]},\"ref\":{\"mean\":[[0,1],[2,3]],\"chol\":[[[1,0],[2,1]],"
      "[[3,0],[1,1]]]},\"y\":[[1,2],[3,4],[5,6]],\"x\":[1,0,1],\"verdict\":[1,-1,0],\"f\":[1,2,3]}";
  static const char alphabet[] = "0123456789-e.,[]{}\":nulx ";
  uint64_t random = 88172645463325252u;
  size_t good = 0;
  for (int round = 0; round < 20000; round++) {
    char text[sizeof seed];
    memcpy(text, seed, sizeof seed);
    for (int k = 0; k <= round % 3; k++) {
      random ^= random << 13, random ^= random >> 7, random ^= random << 17;
      text[random % (sizeof seed - 1)] = alphabet[(random >> 32) % (sizeof alphabet - 1)];
    }
    bool failed = true;
    json_t *answer = pmp_eval_line(text, sizeof seed - 1, true, &failed);
    assert_non_null(answer);
    assert_true(failed == (json_object_get(answer, "error") != NULL));
    good += !failed;
    json_decref(answer);
  }
  print_message("%zu of 20000 broken lines still make sense\n", good);
  assert_true(good > 100 && good < 15000);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_pmpo_over_two_actions),
                                     cmocka_unit_test(test_averaging_and_weights),
                                     cmocka_unit_test(test_pmpo_over_gaussians),
                                     cmocka_unit_test(test_split_parts),
                                     cmocka_unit_test(test_pairs),
                                     cmocka_unit_test(test_clone_and_boltzmann),
                                     cmocka_unit_test(test_impossible_bins),
                                     cmocka_unit_test(test_a_line_may_look_otherwise),
                                     cmocka_unit_test(test_verbose),
                                     cmocka_unit_test(test_numbers_read_back_exactly),
                                     cmocka_unit_test(test_a_line_of_megabytes),
                                     cmocka_unit_test(test_errors_say_what_and_where),
                                     cmocka_unit_test(test_errors_stay_text),
                                     cmocka_unit_test(test_broken_lines_are_answered)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
