#!/usr/bin/env bash
# A bandit through the daemon and the actor ends where the same run in one process does, bit for bit; and IPO on the file of
# D1, imported into the daemon of the example, ends at its closed form.
set -u
work=$(mktemp -d) || exit 1
daemon=''
trap '[ -z "$daemon" ] || kill "$daemon" 2>/dev/null; wait; rm -rf "$work"' EXIT
bad=0
for case in "sphere AR 2" "rosenbrock exact-AR 3" "elli DPO 2" "cigar paths-AR 3" "sphere paths-R 2"; do
  # shellcheck disable=SC2086
  set -- $case
  "$PMP_BIN/pmpoctl" experiment bandits --end-to-end --steps 400 --functions "$1" --methods "$2" --dims "$3" --out "$work" >"$work/out" 2>"$work/err"
  code=$?
  if [ "$code" -ne 0 ] || ! grep -q 'parameters bit-equal' "$work/out"; then
    echo "FAILED: $case: exit code $code: $(cat "$work/out" "$work/err")" >&2
    bad=1
  fi
done

ctl() { "$PMP_BIN/pmpoctl" --dir "$work/d1" --timeout 20 "$@" >>"$work/ctl.log" 2>&1; }
"$PMP_BIN/pmpod" --config "$PMP_SOURCE/examples/experiments/ipo-d1.yaml" --dir "$work/d1" -s run.max_steps=3000 \
  -s listen.desk=tcp://127.0.0.1:0 -s listen.data=tcp://127.0.0.1:0 2>"$work/pmpod.log" &
daemon=$!
ctl import "$PMP_SOURCE/examples/experiments/d1.jsonl" && ctl wait state = finished --timeout 60 &&
  ctl export --which policy "$work/d1.safetensors" && ctl stop && wait "$daemon" && daemon='' &&
  python3 - "$work/d1.safetensors" <<'END' || { echo "FAILED: D1 in the daemon: $(tail -n 3 "$work/ctl.log" "$work/pmpod.log")" >&2 && bad=1; }
import math, struct, sys
data = open(sys.argv[1], "rb").read()
head = struct.unpack("<Q", data[:8])[0]
logits = struct.unpack("<3f", data[8 + head:8 + head + 12])
p = [math.exp(z) for z in logits]
want = [math.exp(1 / 3 / 0.5 * k) for k in (2, 1, 0)]
for got, closed in zip(p, want):
    assert abs(got / sum(p) - closed / sum(want)) < 0.03, (p, want)
END
exit $bad
