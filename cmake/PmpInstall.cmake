# cmake --install: programs (PmpTargets.cmake), the two client libraries as whole archives with their headers and
# pkg-config files, MuJoCo's library, task models, examples, documents, completion, the systemd unit.

set(private_libdir "${CMAKE_INSTALL_LIBDIR}/pmpo")
set(share "${CMAKE_INSTALL_DATADIR}/pmpo")
# pkg-config files find their prefix from where they lie, so that an install may be moved.
file(RELATIVE_PATH PMP_PC_TO_PREFIX "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig" "${CMAKE_INSTALL_PREFIX}")

# pmp_whole_archive(NAME targets...): one installed archive lib<NAME>.a with the objects of all of them.
function(pmp_whole_archive name)
  set(objects "")
  foreach(target IN LISTS ARGN)
    if(TARGET ${target})
      list(APPEND objects "$<TARGET_OBJECTS:${target}>")
    endif()
  endforeach()
  if(NOT objects)
    return()
  endif()
  add_library(whole_${name} STATIC ${objects})
  set_target_properties(whole_${name} PROPERTIES OUTPUT_NAME "${name}" LINKER_LANGUAGE C
    ARCHIVE_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib")
  install(TARGETS whole_${name} ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
  configure_file("${CMAKE_SOURCE_DIR}/cmake/lib${name}.pc.in" "${CMAKE_BINARY_DIR}/lib/pkgconfig/lib${name}.pc" @ONLY)
  install(FILES "${CMAKE_BINARY_DIR}/lib/pkgconfig/lib${name}.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
endfunction()

pmp_whole_archive(pmpo pmp_base pmp_proto pmp_proto_generated pmpo)
pmp_whole_archive(pmpo-policy pmp_policy pmpo_policy)
install(FILES ${PMP_NNG_ARCHIVES} DESTINATION "${private_libdir}")
install(FILES "${mujoco_library}" DESTINATION "${private_libdir}")

# Headers keep their folders, so that one include line serves inside and outside of this tree.
foreach(folder base proto policy clients/libpmpo clients/libpmpo-policy)
  if(IS_DIRECTORY "${CMAKE_SOURCE_DIR}/${folder}")
    install(DIRECTORY "${CMAKE_SOURCE_DIR}/${folder}/" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/pmpo/${folder}"
      FILES_MATCHING PATTERN "*.h")
  endif()
endforeach()

install(DIRECTORY "${deps}/share/dm_control" DESTINATION "${share}")
install(DIRECTORY "${deps}/share/licences" DESTINATION "${CMAKE_INSTALL_DOCDIR}")
install(DIRECTORY "${CMAKE_SOURCE_DIR}/examples" DESTINATION "${share}")
install(DIRECTORY "${CMAKE_SOURCE_DIR}/docs/" DESTINATION "${CMAKE_INSTALL_DOCDIR}" FILES_MATCHING PATTERN "*.md" PATTERN "*.png")
pmp_glob(manuals docs/man/*.1)
install(FILES ${manuals} DESTINATION "${CMAKE_INSTALL_MANDIR}/man1")

pmp_glob(completions deploy/completion/*.bash)
foreach(file IN LISTS completions)
  get_filename_component(name "${file}" NAME_WE)
  install(FILES "${file}" DESTINATION "${CMAKE_INSTALL_DATADIR}/bash-completion/completions" RENAME "${name}")
endforeach()

if(EXISTS "${CMAKE_SOURCE_DIR}/deploy/pmpod.service")
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/deploy/pmpod.service")
  file(READ "${CMAKE_SOURCE_DIR}/deploy/pmpod.service" unit)
  string(REPLACE "/usr/local/bin" "${CMAKE_INSTALL_FULL_BINDIR}" unit "${unit}")
  file(WRITE "${CMAKE_BINARY_DIR}/lib/systemd/pmpod.service" "${unit}")
  install(FILES "${CMAKE_BINARY_DIR}/lib/systemd/pmpod.service" DESTINATION lib/systemd/system)
endif()
