#!/usr/bin/env bash
# Makes src/pmpo/pmpo_pb2.py and .pyi anew from proto/pmpo.proto, into the folder given (default: src/pmpo).
# Needs Debian's protobuf-compiler, and mypy-protobuf (requirements.txt) of the Python in $PYTHON.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/src/pmpo}
plugin=$(dirname "$("${PYTHON:-python3}" -c 'import sys; print(sys.executable)')")/protoc-gen-mypy
protoc -I "$here/../../proto" --plugin="protoc-gen-mypy=$plugin" --python_out="$out" --mypy_out=quiet:"$out" pmpo.proto
