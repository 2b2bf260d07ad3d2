#!/usr/bin/env bash
# Says which Python has this package's requirements.txt, after making its environment in the cache folder once. Exit
# code 77 (a skipped test) where there is no CPython 3.11 or no network.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd) || exit 1
cache=${PMPO_CACHE:-${XDG_CACHE_HOME:-${HOME:-/var/tmp}/.cache}/pmpod}
want='import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 11))'

skip() {
  echo "$*" >&2
  exit 77
}

python=''
for candidate in python3 /usr/bin/python3 python3.11; do
  "$candidate" -c "$want" 2>/dev/null && python=$candidate && break
done
[ -n "$python" ] || skip "There is no CPython 3.11 with venv (Debian's python3-venv)."
key=$( (cat "$here/requirements.txt"; "$python" -c 'import sys; print(sys.version, sys.base_prefix)') | sha256sum | cut -c 1-12)
home=$cache/python-$key
mkdir -p "$cache" || exit 1
exec 9>"$home.lock" || exit 1
flock 9
if [ ! -e "$home/complete" ]; then
  rm -rf "$home"
  "$python" -m venv "$home" >&2 || skip "python3 -m venv does not work here."
  "$home/bin/python" -m pip --disable-pip-version-check --quiet install --require-hashes --only-binary=:all: \
    -r "$here/requirements.txt" >&2 || skip "The Python packages could not be installed (no network?)."
  touch "$home/complete"
fi
echo "$home/bin/python"
