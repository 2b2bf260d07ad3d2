#!/usr/bin/env bash
# Tuples a second of one Python actor: clients/python/bench/python_actor.py in the environment of its tests.
set -u
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd) || exit 1
package=$top/clients/python
python=$(bash "$package/venv.sh") || exit
export PMP_BIN=${PMP_BIN:-$top/build/release/bin} PYTHONPATH=$package/src PYTHONDONTWRITEBYTECODE=1
exec "$python" "$package/bench/python_actor.py" "$@"
