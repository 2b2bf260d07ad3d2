#!/usr/bin/env bash
# A tiny campaign through the real daemon and actors: killed in the middle, with its children killed, stopped and gone on with, it
# leaves the same ledger as one that nothing happened to, every mark once. And what is refused, and what fails.
# shellcheck source=tests/support/run.sh
. "$PMP_SOURCE/tests/support/run.sh"
campaign() { "$PMP_BIN/pmpoctl" campaign "$work/$1.yaml" --dir "$work/$2" "${@:3}"; }
# expect CODE WORD FILE DIR OPTION...: exit code and a word of what it says; all of it in $work/out.
expect() {
  local want=$1 word=$2 code
  shift 2
  campaign "$@" >"$work/out" 2>&1
  code=$?
  [ "$code" -eq "$want" ] || no "campaign $*: exit code $code, not $want: $(tail -n 5 "$work/out")"
  grep -q -- "$word" "$work/out" || no "campaign $*: no '$word' in: $(tail -n 5 "$work/out")"
}
# All but the seconds, in the order of runs.
without_time() { cut -d, -f1-6,8-16 "$1" | sort; }

cat >"$work/recipe.yaml" <<'END'
run: {lockstep: true}
spec: {shape: trajectories}
policy: {hidden: [16, 16]}
critic: {hidden: [16, 16], atoms: 11, value_samples: 3, target_period: 20}
objective: {beta_mean: 1, beta_std: 50}
label: {judge: critic}
learner: {batch: 32, min_size: 200, capacity: 100000, samples_per_insert: 5, refresh_period: 25}
END
write_file() { # NAME, further lines on stdin
  { printf '%s\n' 'name: tiny' 'base: recipe.yaml' 'env_steps: 3000' 'evaluate_every: 1000' 'evaluate_episodes: 2' 'final_episodes: 3' && cat; } >"$work/$1.yaml"
}
write_file tiny <<'END'
tasks: [cartpole_balance]
seeds: [1, 2]
actor: [--envs, "2", --chunk-rows, "64"]
END

# As nothing happens to it.
expect 0 '2 of 2 runs done' tiny calm --jobs 2
[ "$(wc -l <"$work/calm/ledger.csv")" -eq 7 ] || no "not a header and six lines: $(cat "$work/calm/ledger.csv")"
[ "$(cut -d, -f13 "$work/calm/ledger.csv" | grep -c 1)" -eq 2 ] || no "not two final evaluations"
for run in cartpole_balance.base.1 cartpole_balance.base.2; do
  [ -s "$work/calm/runs/$run/final.safetensors" ] || no "$run left no weights"
  [ ! -e "$work/calm/runs/$run/store.db" ] || no "$run left its samples"
done
[ -s "$work/calm/summary.csv" ] && [ -s "$work/calm/summary.png" ] || no "no summary"
expect 0 '2 of 2 runs done' tiny calm # nothing to do
[ "$(wc -l <"$work/calm/ledger.csv")" -eq 7 ] || no "a campaign that was done wrote again"

# lines FILE N: waits until it has so many.
lines() {
  local until=$((SECONDS + 120))
  until [ "$(cat "$1" 2>/dev/null | wc -l)" -ge "$2" ]; do
    [ "$SECONDS" -lt "$until" ] || { no "$1 has no $2 lines"; return; }
    sleep 0.02
  done
}
children() { ps -o pid= --ppid "$1"; }
start() {
  "$PMP_BIN/pmpoctl" campaign "$work/tiny.yaml" --dir "$work/hard" --jobs 2 >>"$work/hard.log" 2>&1 &
  aside=$!
}

# kill -9 of pmpoctl: its children go with it.
start
lines "$work/hard/ledger.csv" 2
mapfile -t before < <(children "$aside")
kill -KILL "$aside"
wait "$aside" 2>/dev/null
aside=''
until=$((SECONDS + 60))
for pid in "${before[@]}"; do
  while kill -0 "$pid" 2>/dev/null; do
    [ "$SECONDS" -lt "$until" ] || { no "a child outlives pmpoctl"; break; }
    sleep 0.05
  done
done
printf 'tiny,cartpole_balance,base,1,20' >>"$work/hard/ledger.csv" # and the power with it
# kill -9 of a child: the run begins again where it was.
start
lines "$work/hard/ledger.csv" 4
kill -KILL "$(children "$aside" | head -n 1)" 2>/dev/null
lines "$work/hard/ledger.csv" 5
# Ctrl-C.
expect 1 'another pmpoctl' tiny hard
kill -INT "$aside"
wait "$aside"
code=$?
aside=''
[ "$code" -eq 130 ] || [ "$code" -eq 0 ] || no "stopped with exit code $code: $(tail -n 3 "$work/hard.log")"
expect 0 '2 of 2 runs done' tiny hard --jobs 2
grep -q 'torn last line' "$work/hard.log" || no "the torn line was not noticed: $(cat "$work/hard.log")"
diff <(without_time "$work/calm/ledger.csv") <(without_time "$work/hard/ledger.csv") >&2 || no "another ledger after kills"
[ -s "$work/hard/runs/cartpole_balance.base.2/final.safetensors" ] || no "no weights after kills"

# What was done with other settings is not gone on with.
sed -i 's/batch: 32/batch: 16/' "$work/recipe.yaml"
expect 1 'learner.batch "32" -> "16"' tiny calm
sed -i 's/batch: 16/batch: 32/' "$work/recipe.yaml"
expect 0 'done' tiny calm --status

# One task of two, one variant of two: the rest of the figure is empty.
write_file part <<'END'
tasks: [cartpole_balance, cartpole_swingup]
seeds: [1, 2]
variants: [{name: one}, {name: two}]
actor: [--envs, "2", --chunk-rows, "64"]
END
expect 0 '1 of 1 runs done' part part --only '*_balance.two.1'
[ -s "$work/part/summary.png" ] && [ "$(wc -l <"$work/part/summary.csv")" -eq 4 ] || no "no summary of a part"

# A run that fails is recorded; the others go on; --retry tries it again.
write_file broken <<'END'
tasks: [cartpole_balance]
seeds: [1]
variants:
  - {name: bad, actor: [--envs, "0"]}
  - {name: good, actor: [--envs, "2", --chunk-rows, "64"]}
END
sed -i 's/env_steps: 3000/env_steps: 1000/' "$work/broken.yaml"
expect 1 '1 of 2 runs done, 1 failed' broken broken
grep -q 'cartpole_balance,bad,1,0,.*,failed: the actor ended with status' "$work/broken/ledger.csv" || no "no reason: $(cat "$work/broken/ledger.csv")"
expect 1 '1 of 2 runs done, 1 failed' broken broken
[ "$(grep -c failed "$work/broken/ledger.csv")" -eq 1 ] || no "a failed run was begun again unasked"
expect 1 'FAILED' broken broken --retry
expect 1 '"event":"failed"' broken broken --retry --json
[ "$(grep -c failed "$work/broken/ledger.csv")" -eq 3 ] || no "--retry did not try"

# Mistakes that show before anything runs.
sed 's/cartpole_balance/cartpole_balanec/' "$work/tiny.yaml" >"$work/typo.yaml"
expect 2 'near are cartpole_balance' typo typo
[ ! -e "$work/typo" ] || no "a campaign with a mistake made a folder"
{ cat "$work/tiny.yaml" && echo 'set: [learner.bacth=3]'; } >"$work/key.yaml"
expect 2 'learner.bacth' key key
expect 2 'matches no' tiny x --only 'walker*'
expect 2 'exclude' tiny x --status --summary
expect 0 'max-env-steps 1000' tiny x --dry-run --only '*.2'
exit $bad
