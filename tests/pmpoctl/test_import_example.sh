#!/usr/bin/env bash
# The offline example as docs/offline.md tells it: data, import, training, export, and a policy that does better than the data.
# shellcheck source=tests/support/run.sh
. "$PMP_SOURCE/tests/support/run.sh"
no() {
  echo "FAILED: $*; $(tail -n 3 "$work/pmpod.log" 2>/dev/null)" >&2
  exit 1
}
here=$PMP_SOURCE/examples/offline

start() { serve --config "$here/offline.yaml" "$@"; }
# A policy of this step accepts at least this share.
good() {
  ctl wait state = finished --timeout 240 --every 0.1 >/dev/null || no "the run did not finish"
  ctl export --which policy "$work/policy.safetensors" >/dev/null || no "no export"
  python3 "$here/check.py" "$work/policy.safetensors" "$1" >"$work/table" || no "share of accepted: $(cat "$work/table")"
  stop
}

python3 "$here/make_data.py" >"$work/data.jsonl" || no "no data"
start
ctl import --dry-run "$work/data.jsonl" >/dev/null || no "the file does not fit the configuration"
ctl import "$work/data.jsonl" >"$work/out" || no "not imported"
grep -q '20,000 new' "$work/out" || no "$(cat "$work/out")"
good 0.6 # the data: a quarter
ctl --timeout 1 status >/dev/null 2>&1 && no "the daemon still answers"

# The other way: clone the data, make that the reference, and improve on it with the exact KL.
rm -rf "$work/run"
start --set objective.name=bc --set run.max_steps=2000
ctl import --quiet "$work/data.jsonl" >/dev/null || no "not imported"
ctl wait state = finished --timeout 240 --every 0.1 >/dev/null || no "the run did not finish"
ctl refresh >/dev/null || no "no refresh"
stop
start --set objective.kl=exact
good 0.6
