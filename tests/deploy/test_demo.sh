#!/usr/bin/env bash
# The demo with a goal that is reached at once: it ends well, leaves its files and no process; so it does after Ctrl-C.
set -u
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
bad=0
no() {
  echo "FAILED: $*" >&2
  bad=1
}
# Processes of a run name its folder or its address on their command line.
left() { pgrep -f -- "$work|$1"; }

PMPO_DEMO_DIR=$work/a bash "$PMP_SOURCE/deploy/demo.sh" --plain --goal 1 --minutes 2 --seed 3 >"$work/out" 2>&1 ||
  no "exit code $?: $(tail -n 5 "$work/out")"
grep -q '^Learned: ' "$work/out" || no "no success in: $(cat "$work/out")"
for file in store.db policy.safetensors curve.png pmpod.log actor.log evaluator.log config.yaml; do
  [ -s "$work/a/$file" ] || no "$file is missing"
done
[ -n "$(ls -A "$work/a/checkpoints")" ] || no "there is no checkpoint"
url=$(sed 's/.*"desk": "\([^"]*\)".*/\1/' "$work/a/endpoints.json")
! left "$url" || no "processes are left"
PMPO_DEMO_DIR=$work/a bash "$PMP_SOURCE/deploy/demo.sh" --plain >/dev/null 2>&1 && no "a used folder was taken"
bash "$PMP_SOURCE/deploy/demo.sh" --nonsense >/dev/null 2>&1
[ $? -eq 2 ] || no "a wrong option is not exit code 2"

n=0
for moment in 0.05 0.3 2; do
  n=$((n + 1))
  PMPO_DEMO_DIR=$work/int-$n setsid bash -c 'trap - INT; exec bash "$PMP_SOURCE/deploy/demo.sh" --plain' >"$work/out" 2>&1 &
  demo=$!
  sleep "$moment"
  kill -TERM "$demo"
  wait "$demo"
  code=$?
  [ "$code" -eq 143 ] || no "after a signal at $moment s the exit code is $code: $(tail -n 3 "$work/out")"
  url=$(sed 's/.*"desk": "\([^"]*\)".*/\1/' "$work/int-$n/endpoints.json" 2>/dev/null)
  ! left "${url:-no address}" || no "processes are left after a signal at $moment s"
done
exit $bad
