#!/usr/bin/env bash
# `pmpo-actor control --evaluate` beside a real daemon: it ends when the run is complete and its last weights have been
# evaluated, says so, and not before.
# shellcheck source=tests/support/run.sh
. "$PMP_SOURCE/tests/support/run.sh"

control() { "$PMP_BIN/pmpo-actor" control --connect "$(ctl status desk_url)" --quiet "$@"; }
evaluate() { control --name evaluator --evaluate --episodes 2 "$@"; }

cat >"$work/config.yaml" <<'END'
run: {max_steps: 60}
spec: {task: cartpole_balance, shape: trajectories, observation: [5], action: box, action_dim: 1, action_low: -1, action_high: 1}
policy: {hidden: [16, 16]}
critic: {hidden: [16, 16], atoms: 11, value_samples: 3, target_period: 20}
objective: {beta_mean: 1, beta_std: 50}
label: {judge: critic}
learner: {batch: 32, min_size: 200, capacity: 100000, samples_per_insert: 5, refresh_period: 25}
END
serve --config "$work/config.yaml"
ctl wait state '!=' loading --every 0.05 >/dev/null || no "no daemon: $(cat "$work/pmpod.log")"

# Beside the run, from its first weights on.
evaluate --json >"$work/evaluations" 2>"$work/evaluator.log" &
aside=$!
until [ -s "$work/evaluations" ]; do
  kill -0 "$aside" 2>/dev/null || { no "the evaluator ended: $(cat "$work/evaluator.log")"; exit 1; }
  sleep 0.02
done
control --name actor --envs 2 --chunk-rows 64 2>"$work/actor.log" || no "the actor ended with status $?: $(cat "$work/actor.log")"
ctl wait state = finished --every 0.05 >/dev/null || no "the run is not complete"
wait "$aside" || no "the evaluator ended with status $?: $(cat "$work/evaluator.log")"
aside=''
python3 - "$work/evaluations" "$(ctl status weights.version)" <<'END' || no "the evaluations: $(cat "$work/evaluations")"
import json, sys
*rows, end = [json.loads(line) for line in open(sys.argv[1])]
assert all("event" not in r for r in rows) and end["event"] == "complete", end
assert len(rows) >= 2 and end["evaluations"] == len(rows)
versions = [r["version"] for r in rows]
assert versions == sorted(set(versions)) and versions[0] == 1, versions  # each once
assert end["version"] == versions[-1] == int(sys.argv[2]) == 3, versions  # 60 steps, a refresh every 25
best = max(rows, key=lambda r: r["eval_return"])
assert (end["last"], end["env_steps"]) == (rows[-1]["eval_return"], rows[-1]["env_steps"])
assert (end["best"], end["best_env_steps"]) == (best["eval_return"], best["env_steps"])
assert end["task"] == "cartpole_balance" and end["learner_step"] == 50
END

# One that comes when all is over: one evaluation, whatever the period.
for options in '--period 100000' '--policy latest'; do
  # shellcheck disable=SC2086
  evaluate $options >"$work/out" 2>"$work/err" || no "$options: status $?: $(cat "$work/err")"
  [ "$(wc -l <"$work/out")" -eq 2 ] || no "$options: not one evaluation and the end: $(cat "$work/out")"
  has '^complete evaluations=1 '
done
has 'version=61 learner_step=60 '
evaluate --once >"$work/out" || no "--once: status $?"
[ "$(wc -l <"$work/out")" -eq 1 ] || no "--once says more than its evaluation: $(cat "$work/out")"
stop
exit $bad
