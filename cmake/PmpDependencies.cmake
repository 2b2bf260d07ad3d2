# What comes from outside: Debian's packages by pkg-config, and the prefix that `./run setup` fills with nng,
# mbedTLS, MuJoCo and the task models.

set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS C)
find_package(PkgConfig REQUIRED)
pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(UV REQUIRED IMPORTED_TARGET libuv)
pkg_check_modules(MICROHTTPD REQUIRED IMPORTED_TARGET libmicrohttpd)
pkg_check_modules(CYAML REQUIRED IMPORTED_TARGET libcyaml)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)
pkg_check_modules(SODIUM REQUIRED IMPORTED_TARGET libsodium)
pkg_check_modules(SYSTEMD REQUIRED IMPORTED_TARGET libsystemd)
pkg_check_modules(NCURSES REQUIRED IMPORTED_TARGET ncursesw)
pkg_check_modules(PNG REQUIRED IMPORTED_TARGET libpng)
pkg_check_modules(PROTOBUF_C REQUIRED IMPORTED_TARGET libprotobuf-c)
# Headers alone: the libraries are loaded when something is drawn.
find_path(PMPO_EGL_HEADERS EGL/egl.h REQUIRED)
find_path(PMPO_OSMESA_HEADERS GL/osmesa.h REQUIRED)
find_program(PMPO_PROTOC_C protoc-c REQUIRED)
# The page's plots: becomes part of pmpod.
find_file(PMPO_CHART_JS chart.min.js PATHS /usr/share/javascript/chart.js NO_DEFAULT_PATH REQUIRED)
find_library(PMPO_DNNL_LIBRARY dnnl REQUIRED)

# Given by -DPMPO_DEPS, the environment, or the link that set-up leaves in the tree.
if(NOT PMPO_DEPS)
  if(DEFINED ENV{PMPO_DEPS})
    set(PMPO_DEPS "$ENV{PMPO_DEPS}")
  else()
    set(PMPO_DEPS "${CMAKE_SOURCE_DIR}/.deps")
  endif()
endif()
get_filename_component(deps "${PMPO_DEPS}" REALPATH)
foreach(file lib/libnng.a lib/libmbedtls.a include/nng/nng.h include/mujoco/mujoco.h share/dm_control/suite/cartpole.xml)
  if(NOT EXISTS "${deps}/${file}")
    message(FATAL_ERROR "${deps}/${file} is missing: run ./run setup first, or set PMPO_DEPS to its prefix.")
  endif()
endforeach()
file(GLOB mujoco_library "${deps}/lib/libmujoco.so.*")

add_library(pmp_dnnl INTERFACE)
target_link_libraries(pmp_dnnl INTERFACE "${PMPO_DNNL_LIBRARY}")

add_library(pmp_nng INTERFACE)
target_include_directories(pmp_nng SYSTEM INTERFACE "${deps}/include")
target_compile_definitions(pmp_nng INTERFACE NNG_STATIC_LIB)
set(PMP_NNG_ARCHIVES nng mbedtls mbedx509 mbedcrypto everest p256m)
list(TRANSFORM PMP_NNG_ARCHIVES PREPEND "${deps}/lib/lib")
list(TRANSFORM PMP_NNG_ARCHIVES APPEND ".a")
target_link_libraries(pmp_nng INTERFACE ${PMP_NNG_ARCHIVES} Threads::Threads)

add_library(pmp_mujoco SHARED IMPORTED)
set_target_properties(pmp_mujoco PROPERTIES IMPORTED_LOCATION "${mujoco_library}")
target_include_directories(pmp_mujoco SYSTEM INTERFACE "${deps}/include")

# A program finds its task models at ../share/pmpo from its own folder, in the build tree as after an install.
file(MAKE_DIRECTORY "${CMAKE_BINARY_DIR}/share/pmpo")
file(CREATE_LINK "${deps}/share/dm_control" "${CMAKE_BINARY_DIR}/share/pmpo/dm_control" SYMBOLIC)
