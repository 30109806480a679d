#!/usr/bin/env bash
# Brings in what the build, the demo and the tests need. Every step first looks whether there is
# anything to do, so that a second run takes no time.
#
#   tools/setup.sh STEP...
#     packages         Debian packages of the build and the tests
#     format-packages  clang-format
#     torch            torch in .venv, unless TORCH_DIR names an installed one
#     oracles          the Python packages of tools/requirements-test.txt and -peers.txt in .venv
#     model            the default model in $LIMBECK_MODELS (default ~/.cache/limbeck/models)
set -euo pipefail
cd "$(dirname "$0")/.."

build_packages=(g++ cmake ninja-build ccache pkg-config nlohmann-json3-dev libcli11-dev libfmt-dev
  libpcre2-dev libutf8proc-dev libyaml-cpp-dev libzstd-dev libxxhash-dev libgtest-dev
  libbenchmark-dev librapidcheck-dev python3-venv)
# The layout of our files is what version 14 makes of them.
format_packages=(clang-format-14)

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$@" >&2; exit 1; }

# quietly COMMAND...: shows what a command printed only when it fails.
quietly() {
  local log status=0
  log=$(mktemp)
  "$@" </dev/null >"$log" 2>&1 || status=$?
  [ "$status" -eq 0 ] || cat "$log" >&2
  rm -f "$log"
  return "$status"
}

missing_packages() {
  local package
  for package in "$@"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || echo "$package"
  done
}

install_packages() {
  if ! command -v dpkg-query >/dev/null; then
    say "this is no Debian system; the packages are called there: $*"
    return
  fi
  local missing root=()
  mapfile -t missing < <(missing_packages "$@")
  [ "${#missing[@]}" -gt 0 ] || return 0
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null ||
      fail "these packages are missing, and there is no sudo to install them with. As root:" \
           "  apt-get install ${missing[*]}"
    root=(sudo)
  fi
  say "installing ${missing[*]}"
  # sudo resets the environment, hence env behind it.
  local get=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq)
  quietly "${get[@]}" update || say "apt-get update failed; trying with the lists that are there"
  quietly "${get[@]}" install -y --no-install-recommends "${missing[@]}" ||
    fail "apt-get could not install: ${missing[*]}"
}

ensure_venv() {
  if .venv/bin/python -m pip --version >/dev/null 2>&1; then return; fi
  say "creating .venv"
  quietly python3 -m venv --clear .venv ||
    fail "python3 -m venv failed; on Debian the package python3-venv provides it"
}

# The stamp holds what was installed, so that a changed requirements file installs again.
pip_install() {
  local requirements=$1 stamp=.venv/limbeck-$(basename "$1").installed
  shift
  if cmp -s "$requirements" "$stamp"; then return; fi
  ensure_venv
  say "installing $(grep -v '^#' "$requirements" | paste -sd' ') into .venv"
  quietly .venv/bin/python -m pip install --quiet --no-input "$@" -r "$requirements" ||
    fail "pip could not install $requirements"
  cp "$requirements" "$stamp"
}

install_torch() {
  if [ -n "${TORCH_DIR:-}" ]; then
    [ -e "$TORCH_DIR/share/cmake/Torch/TorchConfig.cmake" ] ||
      fail "TORCH_DIR=$TORCH_DIR holds no share/cmake/Torch/TorchConfig.cmake; it must be the folder" \
           "  python3 -c 'import torch, os; print(os.path.dirname(torch.__file__))'"
    return
  fi
  # Elsewhere pip may bring a CUDA build, which configure refuses where there is no CUDA toolkit; a package
  # index of CPU builds can be named in LIMBECK_TORCH_INDEX.
  local index=()
  [ -z "${LIMBECK_TORCH_INDEX:-}" ] || index=(--extra-index-url "$LIMBECK_TORCH_INDEX")
  pip_install tools/requirements-torch.txt "${index[@]}"
}

install_oracles() {
  if [ -n "${TORCH_DIR:-}" ]; then
    say "TORCH_DIR is given: the oracles use the Python beside it; those whose packages it lacks are skipped"
    return
  fi
  pip_install tools/requirements-test.txt
  pip_install tools/requirements-peers.txt --no-deps
}

fetch_model() {
  python3 tools/fetch_model.py --check && return
  ensure_venv
  .venv/bin/python tools/fetch_model.py
}

[ $# -gt 0 ] || fail "name at least one step: packages, format-packages, torch, oracles, model"
for step in "$@"; do
  case $step in
    packages) install_packages "${build_packages[@]}" ;;
    format-packages) install_packages "${format_packages[@]}" ;;
    torch) install_torch ;;
    oracles) install_oracles ;;
    model) fetch_model ;;
    *) fail "there is no step $step" ;;
  esac
done
