/* pmpo-eval: a line, whatever is in it, has one answer, and the answer's numbers read back. */
#include "clients/pmpo-eval/line.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  bool failed = true;
  json_t *answer = pmp_eval_line((const char *)data, size, true, &failed);
  FUZZ_CHECK(answer != NULL, "no answer");
  const char *error = json_string_value(json_object_get(answer, "error"));
  FUZZ_CHECK(failed == (error != NULL), "%s", error != NULL ? error : "no error");
  FUZZ_CHECK(error == NULL || error[0] != '\0', "an error without a reason");
  char *text = pmp_eval_text(answer);
  FUZZ_CHECK(text != NULL, "no text");
  json_t *again = json_loads(text, 0, NULL);
  FUZZ_CHECK(again != NULL && json_equal(answer, again), "%s", text);
  json_decref(again);
  free(text);
  json_decref(answer);
  return 0;
}
