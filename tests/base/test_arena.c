/* Alignment, cap, overflow and mark/release of base/arena. */
#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_blocks_are_aligned_and_apart(void **state) {
  (void)state;
  struct pmp_arena a;
  assert_int_equal(pmp_arena_init(&a, 1000), PMP_OK);
  unsigned char *first = pmp_arena_alloc(&a, 3);
  unsigned char *second = pmp_arena_alloc(&a, 100);
  assert_non_null(first);
  assert_non_null(second);
  assert_int_equal((uintptr_t)first % 64, 0);
  assert_int_equal((uintptr_t)second % 64, 0);
  assert_true(second >= first + 3);
  memset(first, 1, 3);
  memset(second, 2, 100);
  assert_int_equal(first[2], 1);
  pmp_arena_fini(&a);
}

static void test_the_cap_holds_to_the_byte(void **state) {
  (void)state;
  struct pmp_arena a;
  assert_int_equal(pmp_arena_init(&a, 128), PMP_OK);
  assert_null(pmp_arena_alloc(&a, 129));
  assert_int_equal(a.used, 0);
  assert_non_null(pmp_arena_alloc(&a, 128));
  assert_null(pmp_arena_alloc(&a, 1));
  assert_non_null(pmp_arena_alloc(&a, 0));
  assert_null(pmp_arena_alloc(&a, SIZE_MAX));
  pmp_arena_fini(&a);
}

static void test_count_times_size_cannot_overflow(void **state) {
  (void)state;
  struct pmp_arena a;
  assert_int_equal(pmp_arena_init(&a, 4096), PMP_OK);
  assert_null(pmp_arena_array(&a, SIZE_MAX / 2 + 1, 2));
  assert_null(pmp_arena_zeroed(&a, SIZE_MAX / 8 + 2, 8));
  assert_non_null(pmp_arena_array(&a, 512, 8));
  pmp_arena_fini(&a);
}

static void test_zeroed_clears_what_was_used_before(void **state) {
  (void)state;
  struct pmp_arena a;
  assert_int_equal(pmp_arena_init(&a, 256), PMP_OK);
  memset(pmp_arena_alloc(&a, 256), 0xFF, 256);
  pmp_arena_release(&a, 0);
  const unsigned char *block = pmp_arena_zeroed(&a, 64, 4);
  assert_non_null(block);
  for (int i = 0; i < 256; i++) assert_int_equal(block[i], 0);
  pmp_arena_fini(&a);
}

static void test_release_gives_the_same_memory_again(void **state) {
  (void)state;
  struct pmp_arena a;
  assert_int_equal(pmp_arena_init(&a, 1024), PMP_OK);
  assert_non_null(pmp_arena_alloc(&a, 10));
  size_t mark = pmp_arena_mark(&a);
  void *once = pmp_arena_alloc(&a, 500);
  pmp_arena_release(&a, mark);
  assert_int_equal(a.used, mark);
  assert_ptr_equal(pmp_arena_alloc(&a, 20), once);
  assert_true(a.peak >= 564);
  pmp_arena_fini(&a);
}

static void test_borrowed_memory_is_aligned_and_not_freed(void **state) {
  (void)state;
  unsigned char memory[256];
  struct pmp_arena a = {.base = memory + 1, .capacity = sizeof memory - 1};
  void *block = pmp_arena_alloc(&a, 64);
  assert_non_null(block);
  assert_int_equal((uintptr_t)block % 64, 0);
  pmp_arena_fini(&a);
  assert_null(a.base);
}

static void test_fini_of_nothing(void **state) {
  (void)state;
  struct pmp_arena a = {0};
  pmp_arena_fini(&a);
  assert_int_equal(pmp_arena_init(&a, SIZE_MAX), PMP_ENOMEM);
  pmp_arena_fini(&a);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_blocks_are_aligned_and_apart),
      cmocka_unit_test(test_the_cap_holds_to_the_byte),
      cmocka_unit_test(test_count_times_size_cannot_overflow),
      cmocka_unit_test(test_zeroed_clears_what_was_used_before),
      cmocka_unit_test(test_release_gives_the_same_memory_again),
      cmocka_unit_test(test_borrowed_memory_is_aligned_and_not_freed),
      cmocka_unit_test(test_fini_of_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
