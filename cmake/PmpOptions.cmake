# Compiler settings, by flavour (one a preset): dev, release, asan, tsan, fuzz.

set(PMPO_FLAVOUR "dev" CACHE STRING "dev, release, asan, tsan or fuzz")
option(PMPO_WERROR "Warnings are errors" OFF)

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/archive")

find_program(PMPO_CCACHE ccache)
if(PMPO_CCACHE AND NOT CMAKE_C_COMPILER_LAUNCHER)
  set(CMAKE_C_COMPILER_LAUNCHER "${PMPO_CCACHE}")
endif()

# The flavour alone decides the optimisation. NDEBUG is never set: an assertion guards against our own bugs,
# also where the results are used.
set(sanitize "")
set(optimise "-O1")
if(PMPO_FLAVOUR STREQUAL "release")
  set(optimise "-O3")
elseif(PMPO_FLAVOUR STREQUAL "asan")
  set(sanitize -fsanitize=address,undefined -fno-sanitize-recover=all)
elseif(PMPO_FLAVOUR STREQUAL "tsan")
  set(sanitize -fsanitize=thread)
elseif(PMPO_FLAVOUR STREQUAL "fuzz")
  set(sanitize -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all)
elseif(NOT PMPO_FLAVOUR STREQUAL "dev")
  message(FATAL_ERROR "PMPO_FLAVOUR is dev, release, asan, tsan or fuzz, not '${PMPO_FLAVOUR}'.")
endif()

# Results must not depend on the compiler's taste: no contraction into fused multiply-adds, no fast-math.
# Errno and traps of mathematics are never read, and without them loops vectorise.
add_compile_options(${optimise} -g -fno-omit-frame-pointer -ffp-contract=off -fno-math-errno -fno-trapping-math
  ${sanitize})
add_link_options(${sanitize})
add_compile_definitions(_GNU_SOURCE=)
if(sanitize)
  # Function multiversioning runs resolvers before a sanitizer is ready.
  add_compile_definitions(PMP_SANITIZED=1)
else()
  add_compile_options(-fstack-protector-strong)
  if(PMPO_FLAVOUR STREQUAL "release")
    add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
  endif()
endif()

# For our own sources; generated ones are compiled without.
add_library(pmp_warnings INTERFACE)
target_compile_options(pmp_warnings INTERFACE -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wvla
  $<$<BOOL:${PMPO_WERROR}>:-Werror>)
