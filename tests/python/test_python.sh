#!/usr/bin/env bash
# The Python package: types, style, and its own tests against the pmpod in PMP_BIN.
set -u
top=${PMP_SOURCE:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}
package=$top/clients/python
case ${PMP_FLAVOUR:-release} in
  asan | tsan) echo "a sanitizer's daemon has tests of its own" && exit 77 ;;
esac
python=$(bash "$package/venv.sh") || exit
work=$(mktemp -d "${TMPDIR:-/tmp}/pmpo-python-XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
cd "$package" || exit 1
export PMP_BIN=${PMP_BIN:-$top/build/release/bin} PYTHONPATH=$package/src PYTHONDONTWRITEBYTECODE=1
export IPYTHONDIR=$work/ipython JUPYTER_PLATFORM_DIRS=1 JUPYTER_RUNTIME_DIR=$work/jupyter
failed=0
"$python" -m mypy --cache-dir "$work/mypy" || failed=1
"$python" -m ruff check --no-cache . || failed=1
"$python" -m ruff format --no-cache --check . || failed=1
"$python" -m pytest -q -p no:cacheprovider --basetemp "$work/pytest" --durations 5 || failed=1
exit "$failed"
