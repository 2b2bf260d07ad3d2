# pmp_library, pmp_program, pmp_protobuf, pmp_glob: targets whose sources may not exist yet.

set(PMP_ALL_LIBRARIES "")

# pmp_glob(VAR PATTERN...): files below the source folder, found again at each build.
function(pmp_glob out)
  list(TRANSFORM ARGN PREPEND "${CMAKE_SOURCE_DIR}/")
  file(GLOB files CONFIGURE_DEPENDS ${ARGN})
  set(${out} "${files}" PARENT_SCOPE)
endfunction()

# Folders without sources have no target: leaves the ones out that do not exist (plain libraries stay).
function(pmp_existing out)
  set(found "")
  foreach(name IN LISTS ARGN)
    if(TARGET "${name}" OR NOT name MATCHES "^pmp")
      list(APPEND found "${name}")
    endif()
  endforeach()
  set(${out} "${found}" PARENT_SCOPE)
endfunction()

# pmp_library(NAME SOURCES patterns [EXCEPT file] [LINK targets] [PRIVATE targets])
function(pmp_library name)
  cmake_parse_arguments(arg "" "EXCEPT" "SOURCES;LINK;PRIVATE" ${ARGN})
  pmp_glob(sources ${arg_SOURCES})
  if(arg_EXCEPT)
    list(REMOVE_ITEM sources "${CMAKE_SOURCE_DIR}/${arg_EXCEPT}")
  endif()
  if(NOT sources)
    return()
  endif()
  add_library(${name} STATIC ${sources})
  target_include_directories(${name} PUBLIC "${CMAKE_SOURCE_DIR}")
  pmp_existing(link ${arg_LINK})
  pmp_existing(private ${arg_PRIVATE})
  target_link_libraries(${name} PUBLIC ${link} PRIVATE ${private} $<BUILD_INTERFACE:pmp_warnings>)
  set(PMP_ALL_LIBRARIES ${name} ${PMP_ALL_LIBRARIES} PARENT_SCOPE)
endfunction()

# pmp_program(NAME MAIN file [LINK targets] [FOLDER bin-like folder] [INSTALL])
function(pmp_program name)
  cmake_parse_arguments(arg "INSTALL" "MAIN" "LINK" ${ARGN})
  get_filename_component(main "${arg_MAIN}" ABSOLUTE BASE_DIR "${CMAKE_SOURCE_DIR}")
  pmp_glob(found "${arg_MAIN}")
  if(NOT EXISTS "${main}")
    return()
  endif()
  add_executable(${name} "${main}")
  target_include_directories(${name} PRIVATE "${CMAKE_SOURCE_DIR}")
  pmp_existing(link ${arg_LINK})
  target_link_libraries(${name} PRIVATE ${link} pmp_warnings)
  if(arg_INSTALL)
    set_target_properties(${name} PROPERTIES INSTALL_RPATH "\$ORIGIN/../${CMAKE_INSTALL_LIBDIR}/pmpo")
    install(TARGETS ${name} RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
  endif()
endfunction()

# pmp_protobuf(NAME file.proto): C by protoc-c at build time, compiled without our warnings.
function(pmp_protobuf name file)
  pmp_glob(found "${file}")
  if(NOT found)
    return()
  endif()
  get_filename_component(stem "${file}" NAME_WE)
  get_filename_component(folder "${CMAKE_SOURCE_DIR}/${file}" DIRECTORY)
  set(out "${CMAKE_BINARY_DIR}/generated")
  file(MAKE_DIRECTORY "${out}")
  add_custom_command(
    OUTPUT "${out}/${stem}.pb-c.c" "${out}/${stem}.pb-c.h"
    COMMAND "${PMPO_PROTOC_C}" "--c_out=${out}" -I "${folder}" "${CMAKE_SOURCE_DIR}/${file}"
    DEPENDS "${CMAKE_SOURCE_DIR}/${file}"
    COMMENT "Generating ${stem}.pb-c.c" VERBATIM)
  add_library(${name} STATIC "${out}/${stem}.pb-c.c" "${out}/${stem}.pb-c.h")
  target_include_directories(${name} SYSTEM PUBLIC "${out}")
  target_link_libraries(${name} PUBLIC PkgConfig::PROTOBUF_C)
endfunction()

# pmp_embed(TARGET NAME patterns...): the page's files, and the plots' library, as a C source of the target.
function(pmp_embed target name)
  pmp_glob(files ${ARGN})
  set(out "${CMAKE_BINARY_DIR}/generated/${name}.c")
  set(entries "/chart.js=${PMPO_CHART_JS}")
  foreach(file IN LISTS files)
    get_filename_component(leaf "${file}" NAME)
    list(APPEND entries "/${leaf}=${file}")
  endforeach()
  add_custom_command(OUTPUT "${out}"
    COMMAND "${CMAKE_COMMAND}" "-DOUT=${out}" "-DFILES=${entries}" -P "${CMAKE_SOURCE_DIR}/cmake/PmpEmbed.cmake"
    DEPENDS ${files} "${PMPO_CHART_JS}" "${CMAKE_SOURCE_DIR}/cmake/PmpEmbed.cmake"
    COMMENT "Embedding the web page" VERBATIM)
  target_sources(${target} PRIVATE "${out}")
endfunction()
