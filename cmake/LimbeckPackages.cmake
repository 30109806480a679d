# Everything we build on: Debian packages, and libtorch from a Python package or from TORCH_DIR.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(yaml-cpp REQUIRED)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
if(LIMBECK_BUILD_TESTS)
  find_package(GTest REQUIRED)
endif()

# --- torch ---------------------------------------------------------------------------------------
set(TORCH_DIR "" CACHE PATH "An installed torch package (the folder that holds lib/ and share/cmake)")
if(NOT TORCH_DIR AND DEFINED ENV{TORCH_DIR})
  set(TORCH_DIR $ENV{TORCH_DIR} CACHE PATH "" FORCE)
endif()
if(NOT TORCH_DIR)
  file(GLOB LIMBECK_VENV_TORCH ${CMAKE_SOURCE_DIR}/.venv/lib/python3*/site-packages/torch)
  if(LIMBECK_VENV_TORCH)
    list(GET LIMBECK_VENV_TORCH 0 TORCH_DIR)
  else()
    execute_process(COMMAND python3 -c "import torch, os; print(os.path.dirname(torch.__file__))"
                    OUTPUT_VARIABLE TORCH_DIR OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  endif()
endif()
if(NOT TORCH_DIR OR NOT EXISTS ${TORCH_DIR}/share/cmake/Torch/TorchConfig.cmake)
  message(FATAL_ERROR
    "torch was not found (looked at TORCH_DIR, .venv, and python3). Run `make setup`, which installs "
    "torch==2.13.0 into .venv, or point TORCH_DIR at an installed torch package, e.g. "
    "make test TORCH_DIR=$(python3 -c 'import torch,os;print(os.path.dirname(torch.__file__))')")
endif()
# A CUDA build of torch makes find_package demand the whole toolkit; say so before it does.
if(EXISTS ${TORCH_DIR}/lib/libtorch_cuda.so)
  find_program(LIMBECK_NVCC nvcc HINTS /usr/local/cuda/bin ENV CUDA_HOME PATH_SUFFIXES bin)
  if(NOT LIMBECK_NVCC)
    message(FATAL_ERROR
      "The torch in ${TORCH_DIR} is a CUDA build, and nvcc was not found. Either install the CUDA "
      "toolkit (and put nvcc on PATH or set CUDA_HOME), or point TORCH_DIR at a CPU build of torch: "
      "remove .venv and run `make setup` with LIMBECK_TORCH_INDEX naming a package index of CPU builds, "
      "or install a CPU build of torch==2.13.0 into another environment, then "
      "make test TORCH_DIR=<that environment>/lib/python3.X/site-packages/torch")
  endif()
endif()
# What an earlier configuration found in another torch would be mixed with this one.
if(LIMBECK_TORCH_USED AND NOT LIMBECK_TORCH_USED STREQUAL TORCH_DIR)
  get_cmake_property(cached CACHE_VARIABLES)
  list(REMOVE_ITEM cached TORCH_DIR LIMBECK_TORCH_USED)
  foreach(variable ${cached})
    string(FIND "${${variable}}" "${LIMBECK_TORCH_USED}/" place)
    if(place EQUAL 0)
      unset(${variable} CACHE)
    endif()
  endforeach()
endif()
set(LIMBECK_TORCH_USED ${TORCH_DIR} CACHE INTERNAL "The torch that this build folder was configured with")
list(PREPEND CMAKE_PREFIX_PATH ${TORCH_DIR}/share/cmake)
find_package(Torch REQUIRED)
separate_arguments(LIMBECK_TORCH_FLAGS UNIX_COMMAND "${TORCH_CXX_FLAGS}")

# torch brings its own libgomp. A second one would mean a second thread pool, so our OpenMP code links
# to torch's copy and never to the compiler's.
file(GLOB LIMBECK_TORCH_GOMP ${TORCH_DIR}/lib/libgomp*.so* ${TORCH_DIR}/../torch.libs/libgomp*.so*)
if(LIMBECK_TORCH_GOMP)
  list(GET LIMBECK_TORCH_GOMP 0 LIMBECK_GOMP)
else()
  set(LIMBECK_GOMP gomp)
endif()
# What is set for the build only is found anew by an installed copy: cmake/LimbeckConfig.cmake.in.
add_library(limbeck_openmp INTERFACE)
target_compile_options(limbeck_openmp INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fopenmp>)
target_link_libraries(limbeck_openmp INTERFACE $<BUILD_INTERFACE:${LIMBECK_GOMP}>)

# torch ships headers of another fmt version in its include folder. Ours must come first, or half of our
# code would be compiled against one version and linked to the other.
get_target_property(LIMBECK_FMT_INCLUDE fmt::fmt INTERFACE_INCLUDE_DIRECTORIES)
find_path(LIMBECK_FMT_DIR fmt/format.h PATHS ${LIMBECK_FMT_INCLUDE} /usr/include NO_DEFAULT_PATH REQUIRED)
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/include-first)
file(CREATE_LINK ${LIMBECK_FMT_DIR}/fmt ${CMAKE_BINARY_DIR}/include-first/fmt SYMBOLIC)

add_library(limbeck_torch INTERFACE)
target_include_directories(limbeck_torch INTERFACE $<BUILD_INTERFACE:${CMAKE_BINARY_DIR}/include-first>)
target_include_directories(limbeck_torch SYSTEM INTERFACE "$<BUILD_INTERFACE:${TORCH_INCLUDE_DIRS}>")
target_compile_options(limbeck_torch INTERFACE ${LIMBECK_TORCH_FLAGS})
foreach(library ${TORCH_LIBRARIES})
  target_link_libraries(limbeck_torch INTERFACE $<BUILD_INTERFACE:${library}>)
endforeach()
target_link_libraries(limbeck_torch INTERFACE limbeck_openmp)
