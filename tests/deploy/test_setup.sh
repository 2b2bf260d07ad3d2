#!/usr/bin/env bash
# ./run's set-up says in a sentence what is missing, checks every archive, and does nothing a second time. Programs it
# asks about the machine and the network are replaced by small ones that lie; no network is used.
set -u
box=$(mktemp -d) && trap 'rm -rf "$box"' EXIT
mkdir "$box/bin" "$box/tree"
cp -r "${PMP_SOURCE:?}/run" "$PMP_SOURCE/deploy" "$box/tree/"
failed=0

# expect STATUS TEXT COMMAND...: status and a piece of what it says; a shell's trace is never part of it.
expect() {
  local status=$1 text=$2 got
  shift 2
  PATH=$box/bin:$PATH PMPO_CACHE=$box/cache "$@" >"$box/said" 2>&1 </dev/null
  got=$?
  if [ "$got" -ne "$status" ] || ! grep -q -e "$text" "$box/said" || grep -qE 'line [0-9]+:|Traceback' "$box/said"; then
    echo "FAILED: $* ended with $got (expected $status, saying '$text'):"
    cat "$box/said"
    failed=1
  fi
}
lie() {
  printf '#!/bin/sh\n%s\n' "$2" >"$box/bin/$1"
  chmod +x "$box/bin/$1"
}
truth() { rm -f "$box/bin/"*; }
run=$box/tree/run

expect 0 'usage: ./run' "$run" help
expect 0 'usage: ./run' "$run" --help
expect 0 'usage: ./run' "$run"
expect 1 "'frobnicate' is no command" "$run" frobnicate
expect 1 "'fast' is no preset" "$run" build fast

lie uname 'echo riscv64'
expect 1 'this machine is riscv64' "$run" setup
truth
lie df 'printf "f\n/dev/x 9 9 7 9%% /\n"'
expect 1 'only 7 MB are free' "$run" setup
truth

# The network gives nothing; then something else than was asked for; then a stale copy lies in the cache.
lie python3 'case "$*" in *--version) exit 0 ;; esac; echo no route >&2; exit 1'
expect 1 'mujoco 3.17.0 could not be downloaded' "$run" setup
lie python3 'case "$*" in *--version) exit 0 ;; esac; while [ "$1" != -d ]; do shift; done; echo bad >"$2/archive"'
expect 1 'does not have the hash' "$run" setup
mkdir -p "$box/cache/archives"
echo stale >"$box/cache/archives/mujoco-3.17.0.wheel"
expect 1 'fetching it again' "$run" setup
[ ! -e "$box/cache/archives/mujoco-3.17.0.wheel" ] || [ "$(cat "$box/cache/archives/mujoco-3.17.0.wheel")" != stale ] ||
  { echo "FAILED: the stale archive is still there"; failed=1; }
[ -z "$(find "$box/cache" -name 'work.*' -o -name 'prefix-*')" ] ||
  { echo "FAILED: a failed set-up left $(ls "$box/cache")"; failed=1; }

# A package that is missing, without root's rights and without sudo.
echo no-such-package-pmpod >>"$box/tree/deploy/packages.txt"
lie id 'echo 1000'
lie sudo 'exit 1'
expect 1 'apt-get install no-such-package-pmpod' "$run" setup
truth
sed -i '/no-such-package-pmpod/d' "$box/tree/deploy/packages.txt"

# All there: nothing is asked of the network, of apt or of the disk again.
prefix=$box/cache/prefix-$(cat "$box/tree/deploy/pins.txt" "$box/tree/deploy/deps.sh" | sha256sum | cut -c 1-16)
mkdir -p "$prefix" && touch "$prefix/complete"
for program in python3 apt-get sudo cmake unzip tar df; do lie "$program" 'echo called >&2; exit 9'; done
expect 0 "Set up: $prefix" "$run" setup
truth
[ "$(readlink "$box/tree/.deps")" = "$prefix" ] || { echo "FAILED: .deps does not lead to the prefix"; failed=1; }
exit "$failed"
