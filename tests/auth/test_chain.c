/* The chain of hashes against Python's hashlib.blake2b over struct-packed bytes. */
#include "auth/chain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void hex_is(const uint8_t *hash, const char *hex) {
  char have[2 * PMP_CHAIN_BYTES + 1];
  for (int i = 0; i < PMP_CHAIN_BYTES; i++) snprintf(have + (size_t)(2 * i), 3, "%02x", hash[i]);
  assert_string_equal(have, hex);
}

/* h = hashlib.blake2b(h + struct.pack('<Qq', id, ns) + b''.join(struct.pack('<I', len(x)) + x for x
 * in (who, kind, detail)), digest_size=32), from h = bytes(32). */
static void it_is_what_another_implementation_computes(void **state) {
  (void)state;
  uint8_t hash[PMP_CHAIN_BYTES] = {0};
  pmp_chain_next(hash, 7, 1700000000123456789, "daemon", "start", "{}");
  hex_is(hash, "339b1622d5aef73e3e0c1a609d1692e8e10a07b130014906929d69a657ebd9d3");
  pmp_chain_next(hash, 8, -1, "", "verdict", "{\"item\":\"3:1\",\"who\":\"zo\xc3\xa9\"}");
  hex_is(hash, "affe9a04f2577835a06ae7f48b5440b765753de1887bc2db65f4f6d0333eb77d");
}

/* Moving a letter from one field into the next is another event. */
static void every_part_counts(void **state) {
  (void)state;
  static const struct {
    uint64_t id;
    int64_t ns;
    const char *who, *kind, *detail;
  } e[] = {{1, 2, "ab", "c", "{}"}, {1, 2, "a", "bc", "{}"},  {2, 2, "ab", "c", "{}"},
           {1, 3, "ab", "c", "{}"}, {1, 2, "ab", "c", "{ }"}, {1, 2, "abc", "", "{}"}};
  uint8_t hash[6][PMP_CHAIN_BYTES] = {{0}};
  for (int i = 0; i < 6; i++) {
    pmp_chain_next(hash[i], e[i].id, e[i].ns, e[i].who, e[i].kind, e[i].detail);
    for (int j = 0; j < i; j++) assert_memory_not_equal(hash[i], hash[j], PMP_CHAIN_BYTES);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(it_is_what_another_implementation_computes),
      cmocka_unit_test(every_part_counts),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
