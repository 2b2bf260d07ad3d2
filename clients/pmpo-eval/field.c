#include "clients/pmpo-eval/field.h"

#include "base/nearest.h"
#include "clients/pmpo-eval/tensor.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

const json_t *pmp_field(const json_t *object, const char *name) {
  const json_t *value = json_object_get(object, name);
  return json_is_null(value) ? NULL : value;
}

enum pmp_err pmp_field_number(const json_t *object, const char *name, double low, double high,
                              const char *range, double *out, struct pmp_errmsg *msg) {
  const json_t *value = pmp_field(object, name);
  if (value == NULL) return PMP_OK;
  if (!json_is_number(value))
    return pmp_fail(msg, PMP_EINVALID, "%s is %s where a number belongs", name,
                    pmp_tensor_kind(value));
  const double number = json_number_value(value);
  if (!(number >= low && number <= high))
    return pmp_fail(msg, PMP_EINVALID, "%s is %.10g: it must be %s", name, number, range);
  *out = number;
  return PMP_OK;
}

/* "a, b or c" of the words, as far as `size` goes. */
static void join(const char *const *words, char *out, size_t size) {
  size_t used = 0;
  out[0] = '\0';
  for (size_t i = 0; words[i] != NULL && used < size; i++) {
    const char *between = i == 0 ? "" : words[i + 1] == NULL ? " or " : ", ";
    used += (size_t)snprintf(out + used, size - used, "%s%s", between, words[i]);
  }
}

enum pmp_err pmp_field_word(const json_t *object, const char *name, const char *const *words,
                            int *out, struct pmp_errmsg *msg) {
  const json_t *value = pmp_field(object, name);
  if (value == NULL) return PMP_OK;
  char all[160];
  join(words, all, sizeof all);
  if (!json_is_string(value))
    return pmp_fail(msg, PMP_EINVALID, "%s is %s: it must be %s", name, pmp_tensor_kind(value),
                    all);
  for (int i = 0; words[i] != NULL; i++) {
    if (strcmp(words[i], json_string_value(value)) == 0) {
      *out = i;
      return PMP_OK;
    }
  }
  return pmp_fail(msg, PMP_EINVALID, "%s is \"%.40s\": it must be %s", name,
                  json_string_value(value), all);
}

const char *pmp_field_nearest(const char *name, const char *const *names) {
  enum { FAR = 4 };
  struct pmp_nearest n;
  pmp_nearest_init(&n, name, 1, FAR);
  for (size_t i = 0; names[i] != NULL; i++) {
    /* Half of a short name changed is another name. */
    const bool close = 2 * pmp_nearest_distance(name, names[i]) <= strlen(names[i]);
    const bool begins = strncmp(names[i], name, strlen(name)) == 0;
    if (close || begins) pmp_nearest_offer(&n, i, names[i]);
  }
  return n.count > 0 ? names[n.index[0]] : NULL;
}

enum pmp_err pmp_field_known(json_t *object, const char *place, const char *const *names,
                             struct pmp_errmsg *msg) {
  const char *key;
  json_t *value;
  json_object_foreach(object, key, value) {
    bool known = false;
    for (size_t k = 0; names[k] != NULL; k++) known = known || strcmp(names[k], key) == 0;
    if (known) continue;
    const char *near = pmp_field_nearest(key, names);
    if (near != NULL)
      return pmp_fail(msg, PMP_EINVALID, "%sthere is no field \"%.40s\"; did you mean %s?", place,
                      key, near);
    char all[320];
    join(names, all, sizeof all);
    return pmp_fail(msg, PMP_EINVALID, "%sthere is no field \"%.40s\"; there are %s", place, key,
                    all);
  }
  return PMP_OK;
}
