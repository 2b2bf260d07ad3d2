#!/usr/bin/env bash
# pmpoctl import against real daemons: what it says, its exit codes, and what holds it back.
# shellcheck source=tests/support/run.sh
. "$PMP_SOURCE/tests/support/run.sh"

# For `interruptible ... &`: the process is pmpoctl itself, to be signalled.
interruptible() { exec "$PMP_BIN/pmpoctl" --dir "$work/run" --timeout 20 "$@"; }
# start DAEMON-OPTION...: a fresh run: one condition, one number as outcome.
start() {
  rm -rf "$work/run"
  narrow "$@"
  ctl wait state '!=' loading --every 0.05 >/dev/null || no "no daemon: $(cat "$work/pmpod.log")"
}
narrow() {
  serve -s 'spec.observation=[1]' -s spec.action_dim=1 -s 'policy.hidden=[8]' -s learner.min_size=64 -s learner.batch=16 \
    -s limits.chunk_rows=64 -s learner.capacity=4096 "$@"
}
rows() { ctl status store.rows; }
number() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$work/out" "$1"; }

# FILE ROWS: verdicts by turns.
write() {
  awk -v n="$2" 'BEGIN { for (i = 0; i < n; i++) printf "{\"x\": [%g], \"y\": [%g], \"verdict\": %d}\n", i % 7, i % 5 - 2, i % 2 ? 1 : -1 }' >"$1"
}
write "$work/few.jsonl" 50
write "$work/some.jsonl" 1000
write "$work/many.jsonl" 6000

# without a daemon
expect 2 import
expect 2 import a b
expect 2 import --nonsense a
expect 2 import --lost 0 a
expect 2 import --as me a
has 'named after its rows' err
"$PMP_BIN/pmpoctl" --dir "$work/nothing" --timeout 0.2 import "$work/few.jsonl" 2>/dev/null
[ $? -eq 3 ] || no "a folder that nobody serves is not exit code 3"

start -s learner.tolerance=unlimited
# nothing is sent of a file with a bad line, and it is named
expect 1 import "$work/none.jsonl"
has 'none.jsonl: cannot be opened' err
(head -n 20 "$work/few.jsonl"; echo '{"x": [1], "y": [1, 2]}'; head -n 5 "$work/few.jsonl") >"$work/bad.jsonl"
expect 1 import "$work/bad.jsonl"
has 'bad.jsonl:21: "y" has 2 numbers; the run takes 1' err
expect 1 import --dry-run "$work/bad.jsonl"
expect 1 import /dev/null
has 'no row' err
gzip -k "$work/few.jsonl"
expect 1 import "$work/few.jsonl.gz"
has 'zcat' err
[ "$(rows)" -eq 0 ] || no "$(rows) rows were sent of bad files"

expect 0 import --dry-run "$work/few.jsonl"
has '50 rows in 50 groups, not sent'
has '25 accepted, 25 rejected'
[ "$(rows)" -eq 0 ] || no "a dry run sent $(rows) rows"
[ -z "$(ctl actors --json | grep import-)" ] || no "a dry run made an actor"

# a file smaller than min_size: it is taken, and the learner says what it waits for
expect 0 import "$work/few.jsonl"
has '50 new, 0 were there already'
has 'waiting for data: 50 trainable rows of 64'
zcat "$work/few.jsonl.gz" | ctl import --json - >"$work/out" || no "standard input: exit code $?"
[ "$(number new) $(number already) $(rows)" = "0 50 50" ] || no "the same rows counted again: $(cat "$work/out")"
ctl import <(cat "$work/few.jsonl") >"$work/out" || no "a pipe: exit code $?"
has '0 new, 50 were there already'

expect 0 import --skip-bad --json "$work/bad.jsonl"
[ "$(number rows) $(number refused) $(number new)" = "25 1 25" ] || no "--skip-bad: $(cat "$work/out")"
has 'bad.jsonl:21:' err
expect 0 import "$work/some.jsonl"
has '1,000 new'
[ "$(rows)" -eq 1075 ] || no "$(rows) rows, not 1075"
expect 0 wait learner.steps '>=' 1 --timeout 20

# interrupted: what is there stays, and the same command goes on
expect 0 pause
interruptible import "$work/many.jsonl" >"$work/out" 2>"$work/err" &
pid=$!
for _ in $(seq 500); do
  [ "$(rows)" -gt 1075 ] && break
done
kill -INT "$pid" 2>/dev/null
wait "$pid"
code=$?
[ "$code" -eq 130 ] || [ "$code" -eq 0 ] || no "after SIGINT: exit code $code: $(cat "$work/err")"
[ "$code" -eq 0 ] || has 'the same command goes on' err
expect 0 import "$work/many.jsonl"
[ "$(rows)" -eq 7075 ] || no "$(rows) rows, not 7075"
stop

# the rate limiter holds rows back: slower, but never for good, whatever the sizes
start -s learner.samples_per_insert=2
expect 0 import -q "$work/many.jsonl"
[ "$(rows)" -eq 6000 ] || no "$(rows) rows, not 6000"
expect 0 wait learner.steps '>=' 700 --timeout 60 # (6000 - 64) * 2 / 16 and the tolerance behind it
stop

# a run that is over takes no more, and says so
start -s learner.samples_per_insert=32 -s run.max_steps=3
expect 1 import -q "$work/many.jsonl"
has 'the run is over (' err
[ "$(rows)" -lt 6000 ] || no "the limiter held nothing back"
stop
narrow -s limits.chunk_rows=48 -s learner.tolerance=unlimited
expect 0 import --json "$work/many.jsonl"
[ "$(number already)" -gt 0 ] && [ $(($(number already) + $(number new))) -eq 6000 ] || no "it did not go on: $(cat "$work/out")"
[ "$(rows)" -eq 6000 ] || no "$(rows) rows, not 6000"
stop

# rows that wait for people are bounded
start -s label.judge=people -s limits.open_items=100 -s learner.tolerance=unlimited
sed 's/, "verdict": [-1]*//' "$work/some.jsonl" >"$work/open.jsonl"
interruptible import -q --json "$work/open.jsonl" >"$work/out" 2>"$work/err" &
pid=$!
ctl wait store.open_items '>=' 64 --every 0.05 --timeout 20 >/dev/null || no "no row waits for people"
ctl wait ingest.open_items_busy '>=' 1 --every 0.05 --timeout 20 >/dev/null || no "open items are not bounded"
[ "$(rows)" -eq 64 ] || no "$(rows) rows wait for people, not one chunk of 64"
ctl verdict 1:0+64 accept >/dev/null || no "no verdict"
ctl wait store.rows '>=' 128 --every 0.05 --timeout 20 >/dev/null || no "the import did not go on"
kill -TERM "$pid"
wait "$pid"
[ $? -eq 130 ] || no "SIGTERM is not exit code 130"
stop

# trajectories come from actors
start -s spec.shape=trajectories -s label.judge=critic
expect 1 import "$work/few.jsonl"
has 'trajectories' err
stop

# a daemon that is gone for good
start -s learner.tolerance=unlimited
expect 0 pause
interruptible import -q --lost 1 "$work/many.jsonl" >"$work/out" 2>"$work/err" &
pid=$!
for _ in $(seq 500); do
  [ "$(rows)" -gt 0 ] && break
done
kill -KILL "$daemon"
wait "$daemon" 2>/dev/null
daemon=''
wait "$pid"
code=$?
[ "$code" -eq 3 ] || [ "$code" -eq 0 ] || no "a lost daemon: exit code $code: $(cat "$work/err")"
exit $bad
