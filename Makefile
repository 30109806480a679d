# The front door: sets up what is missing, then calls CMake. Everything here can also be done by hand
# (HACKING.md).
SHELL := /bin/bash
.DEFAULT_GOAL := build
.NOTPARALLEL:
.PHONY: help setup build demo test bench format format-check clean configure

JOBS ?= $(shell nproc)
BUILD := build/release
SOURCES = git ls-files --cached --others --exclude-standard '*.h' '*.cpp' '*.cu'
CLANG_FORMAT ?= $(shell command -v clang-format-14 || echo clang-format)

# make demo TORCH_DIR=... and an exported variable both reach the scripts and CMake.
ifneq ($(TORCH_DIR),)
export TORCH_DIR
endif

help:
	@echo 'make               build everything into $(BUILD)'
	@echo 'make setup         install what build, demo and tests need: Debian packages, torch, default model'
	@echo 'make demo          build the program and run `limbeck demo`   [MODEL=NAME_OR_PATH]'
	@echo 'make test          build and run the tests (labels unit, slow, oracle)'
	@echo 'make bench         time the engine beside transformers, and the kernels'
	@echo 'make format        lay out all C++ files with clang-format 14'
	@echo 'make format-check  fail when a file is laid out otherwise'
	@echo 'make clean         remove build/ (not .venv, not the model)'
	@echo 'Variables: TORCH_DIR=FOLDER an installed torch package instead of .venv; JOBS=N compilers at a'
	@echo 'time; LIMBECK_MODELS=FOLDER where models lie (default ~/.cache/limbeck/models).'

setup:
	@tools/setup.sh packages torch oracles model

# Torch prints a page at every configuration; it is shown when something went wrong.
configure:
	@tools/setup.sh packages torch
	@mkdir -p build
	@cmake --preset release -DTORCH_DIR='$(TORCH_DIR)' >build/configure.log 2>&1 \
	  || { cat build/configure.log >&2; exit 1; }

build: configure
	@cmake --build --preset release --parallel $(JOBS)

demo: configure
	@$(if $(MODEL),,tools/setup.sh model)
	@cmake --build --preset release --parallel $(JOBS) --target limbeck
	@$(BUILD)/limbeck demo $(if $(MODEL),--model '$(MODEL)')

# Without the model the tests that need it are skipped, and say so.
test: configure
	@tools/setup.sh oracles
	@tools/setup.sh model || true
	@cmake --build --preset release --parallel $(JOBS)
	@ctest --preset release

# Without the packages of the oracles, transformers is left out, and the table says so.
bench: configure
	@tools/setup.sh oracles || true
	@$(if $(MODEL),,tools/setup.sh model)
	@cmake --build --preset release --parallel $(JOBS) --target engine_bench kernels_bench
	@python3 bench/compare.py $(if $(MODEL),--model '$(MODEL)')
	@$(BUILD)/kernels_bench

format:
	@tools/setup.sh format-packages
	@$(SOURCES) | xargs -r $(CLANG_FORMAT) -i

format-check:
	@tools/setup.sh format-packages
	@$(SOURCES) | xargs -r $(CLANG_FORMAT) --dry-run -Werror

clean:
	@rm -rf build
