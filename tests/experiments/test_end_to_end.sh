#!/usr/bin/env bash
# A bandit through the daemon and the actor ends where the same run in one process does, bit for bit.
set -u
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
bad=0
for case in "sphere AR 2" "rosenbrock exact-AR 3" "elli DPO 2"; do
  # shellcheck disable=SC2086
  set -- $case
  "$PMP_BIN/pmpoctl" experiment bandits --end-to-end --steps 400 --functions "$1" --methods "$2" --dims "$3" --out "$work" >"$work/out" 2>"$work/err"
  code=$?
  if [ "$code" -ne 0 ] || ! grep -q 'parameters bit-equal' "$work/out"; then
    echo "FAILED: $case: exit code $code: $(cat "$work/out" "$work/err")" >&2
    bad=1
  fi
done
exit $bad
