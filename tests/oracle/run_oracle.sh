#!/bin/sh
# run_oracle.sh PYTHON "MODULES" SCRIPT [ARGUMENT...]
# Runs an oracle. @DATA@ stands for the folder of test data ($LIMBECK_TEST_DATA, default ../shared/data),
# @MODEL@ for the default model ($LIMBECK_MODELS, default ~/.cache/limbeck/models). What is missing is
# said: a package skips the oracle (exit status 77), data or model only the parts that need them.
set -eu
python=$1 modules=$2 script=$3
shift 3

skip() { echo "skipped: $*"; exit 77; }

command -v "$python" >/dev/null 2>&1 || skip "no Python interpreter was found (make setup creates .venv)"
# find_spec of a name with a dot fails, instead of answering, when the package is missing.
missing=$("$python" - $modules <<'PYTHON'
import importlib.util
import sys

def there(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False

print(*[name for name in sys.argv[1:] if not there(name)])
PYTHON
)
[ -z "$missing" ] || skip "$python has no module $missing (make setup installs them into .venv)"

data=${LIMBECK_TEST_DATA:-../shared/data}
model=${LIMBECK_MODELS:-${HOME:-}/.cache/limbeck/models}/smollm2-135m.gguf
for argument do
  shift
  case $argument in
    @DATA@)
      [ -d "$data" ] || echo "skipped: the parts that need the data folder; there is no $data (LIMBECK_TEST_DATA)"
      set -- "$@" --data "$data" ;;
    @MODEL@)
      if [ -f "$model" ]; then
        set -- "$@" --model "$model"
      else
        echo "skipped: the parts that need the default model; there is no $model (make setup fetches it)"
      fi ;;
    *) set -- "$@" "$argument" ;;
  esac
done
exec "$python" "$script" "$@"
