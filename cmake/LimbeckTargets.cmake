include(GNUInstallDirs)

# Warnings and sanitizers of our own code.
function(limbeck_flags target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wno-unused-parameter
    # These fire on correct code in g++ 12 (variants and strings at -O3).
    $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized$<SEMICOLON>-Wno-restrict>
    # Single files turn off warnings that only g++ has.
    $<$<CXX_COMPILER_ID:Clang>:-Wno-unknown-warning-option>)
  if(LIMBECK_WARNINGS_AS_ERRORS)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
  if(LIMBECK_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${LIMBECK_SANITIZE} -fno-omit-frame-pointer -g1)
    target_link_options(${target} PUBLIC -fsanitize=${LIMBECK_SANITIZE})
  endif()
endfunction()

# The target is installed, and clients know it as limbeck::<name>.
function(limbeck_export target name)
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name})
  install(TARGETS ${target} EXPORT LimbeckTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
endfunction()

# limbeck_room(NAME <room> [TORCH] [RECURSE] DEPS <targets...>): one static library from the .cpp files of the
# folder (RECURSE: and its sub-folders), and one test program from its *_test.cpp files. Tests of suites whose
# name ends in SlowTest have the label `slow`, all others `unit`.
function(limbeck_room)
  cmake_parse_arguments(ROOM "TORCH;RECURSE" "NAME" "DEPS;SOURCES" ${ARGN})
  set(target limbeck_${ROOM_NAME})
  if(ROOM_RECURSE)
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  else()
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  endif()
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_(test|bench|fuzz)\\.cpp$")
  list(FILTER tests INCLUDE REGEX "_test\\.cpp$")
  if(NOT sources)
    add_library(${target} INTERFACE)
    limbeck_export(${target} ${ROOM_NAME})
    return()
  endif()
  add_library(${target} STATIC ${sources})
  limbeck_export(${target} ${ROOM_NAME})
  target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>
                             $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(${target} PUBLIC ${ROOM_DEPS})
  limbeck_flags(${target})
  if(ROOM_TORCH)
    target_link_libraries(${target} PUBLIC limbeck_torch)
    target_precompile_headers(${target} REUSE_FROM limbeck_pch)
    target_compile_options(${target} PRIVATE -fpch-preprocess -Winvalid-pch)
  endif()
  if(LIMBECK_BUILD_TESTS AND tests)
    add_executable(${target}_test ${tests})
    target_link_libraries(${target}_test PRIVATE ${target} GTest::gtest_main)
    limbeck_flags(${target}_test)
    if(ROOM_TORCH)
      target_precompile_headers(${target}_test REUSE_FROM limbeck_pch)
      # -fPIC as the precompiled header was built: programs would get -fPIE, with which it is invalid.
      target_compile_options(${target}_test PRIVATE -fPIC -fpch-preprocess -Winvalid-pch)
    endif()
    gtest_discover_tests(${target}_test DISCOVERY_TIMEOUT 60 TEST_FILTER "-*SlowTest.*"
      WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} PROPERTIES LABELS unit TIMEOUT 300)
    gtest_discover_tests(${target}_test DISCOVERY_TIMEOUT 60 TEST_FILTER "*SlowTest.*"
      TEST_LIST ${target}_slow_tests
      WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} PROPERTIES LABELS slow TIMEOUT 1800)
  endif()
endfunction()
