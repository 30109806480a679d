# Which sources and which compiler a program was made from, for the records of its runs: a file that
# is written anew at every build and changes only when its contents do.
#
# Included: limbeck_build_facts(<target>) gives the target build_facts.inc. Run as a script (cmake -P): writes the file.

if(CMAKE_SCRIPT_MODE_FILE)
  set(commit "unknown")
  set(dirty "false")
  find_program(GIT git)
  if(GIT)
    execute_process(COMMAND ${GIT} -C ${SOURCE} rev-parse HEAD OUTPUT_VARIABLE found
                    OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
    if(NOT failed)
      set(commit ${found})
      execute_process(COMMAND ${GIT} -C ${SOURCE} status --porcelain --untracked-files=no
                      OUTPUT_VARIABLE changes ERROR_QUIET)
      if(NOT "${changes}" STREQUAL "")
        set(dirty "true")
      endif()
    endif()
  endif()
  set(text "constexpr char kCommit[] = \"${commit}\";\nconstexpr bool kDirty = ${dirty};\n")
  if(EXISTS ${OUT})
    file(READ ${OUT} before)
  endif()
  if(NOT "${before}" STREQUAL "${text}")
    file(WRITE ${OUT} "${text}")
  endif()
  return()
endif()

set(LIMBECK_BUILD_FACTS_SCRIPT ${CMAKE_CURRENT_LIST_FILE})
function(limbeck_build_facts target)
  set(out ${CMAKE_CURRENT_BINARY_DIR}/facts/build_facts.inc)
  add_custom_target(${target}_facts
    COMMAND ${CMAKE_COMMAND} -DSOURCE=${PROJECT_SOURCE_DIR} -DOUT=${out} -P ${LIMBECK_BUILD_FACTS_SCRIPT}
    BYPRODUCTS ${out} VERBATIM)
  add_dependencies(${target} ${target}_facts)
  target_include_directories(${target} PRIVATE ${CMAKE_CURRENT_BINARY_DIR}/facts)
  set_property(SOURCE build_facts.cpp APPEND PROPERTY COMPILE_DEFINITIONS
    LIMBECK_VERSION="${PROJECT_VERSION}"
    LIMBECK_COMPILER="${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}"
    LIMBECK_BUILD_TYPE="$<CONFIG>"
    LIMBECK_SANITIZERS="${LIMBECK_SANITIZE}"
    LIMBECK_FLAGS="${CMAKE_CXX_FLAGS}")
endfunction()
