#!/usr/bin/env bash
# The demo: a daemon, an actor and an evaluator learn cartpole_swingup from nothing, shown live, until the policy is good.
#
# ./run demo calls this with PMP_BIN, the folder of the programs. Everything it writes lies in one fresh folder, and every
# process it starts is gone when it ends, however it ends.
set -u

task=cartpole_swingup goal=800 minutes=10 seed=1 plain=()
source_dir=${PMP_SOURCE:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)}
bin=${PMP_BIN:-$source_dir/build/release/bin}

usage() {
  cat <<END
usage: ./run demo [--seed N] [--plain] [--goal RETURN] [--minutes N]

  --seed N        of everything random (1)
  --plain         a line every few seconds instead of the full screen
  --goal RETURN   stop when the mean evaluation return over 10 episodes is at least this (800)
  --minutes N     give up after so long, with exit code 1 (10)

What the run leaves lies in demo-run/TIME/ (PMPO_DEMO_DIR: another, fresh folder).
Keys of the full screen: q quit, p pause and resume, c checkpoint, r refresh, m next curve.
END
}

# shellcheck source=deploy/processes.sh
. "$source_dir/deploy/processes.sh"

while [ $# -gt 0 ]; do
  case $1 in
    --seed | --goal | --minutes)
      if [ $# -lt 2 ] || ! is_number "$2"; then
        usage >&2
        exit 2
      fi
      case $1 in --seed) seed=$2 ;; --goal) goal=$2 ;; *) minutes=$2 ;; esac
      shift ;;
    --plain) plain=(--plain) ;;
    -h | --help)
      usage
      exit 0 ;;
    *)
      printf 'demo: there is no option %s\n' "$1" >&2
      usage >&2
      exit 2 ;;
  esac
  shift
done

[ -z "${PMP_PARSE_ONLY:-}" ] || exit 0

pmpod='' actor='' evaluator='' watch='' dir=''
watch_signals

start_actors() {
  background "$dir/actor.log" "$bin/pmpo-actor" control --task "$task" --connect "$url" --name actor-1 \
    --noise-correlation 0.9
  actor=$!
  background "$dir/evaluator.log" "$bin/pmpo-actor" control --task "$task" --connect "$url" --name evaluator --evaluate \
    --episodes 10 --period 2
  evaluator=$!
}

# The view, until it ends or one of the others does.
show() {
  "${guard[@]}" "$bin/pmpoctl" --dir "$dir" watch "${plain[@]}" --until "actor.eval_return >= $goal" --for $((60 * minutes)) --lost 30 <&3 &
  watch=$!
  local first='' status
  wait -n -p first "$watch" "$pmpod" "$actor" "$evaluator"
  status=$?
  [ "$first" = "$watch" ] && return "$status"
  stop 2 "$watch"
  echo >&2
  case $first in
    "$pmpod") died pmpod "$dir/pmpod.log" ;;
    "$actor") died "the actor" "$dir/actor.log" ;;
    *) died "the evaluator" "$dir/evaluator.log" ;;
  esac
}

keep_results() {
  local wrong=0
  stop 5 "$actor" "$evaluator"
  ctl --timeout 30 checkpoint >/dev/null || wrong=1
  ctl --timeout 30 export "$dir/policy.safetensors" >/dev/null || wrong=1
  ctl --timeout 30 history actor.eval_return --png "$dir/curve.png" --x env,wall --line "$goal" \
    --title "$task, seed $seed: mean return over 10 evaluation episodes" || wrong=1
  return "$wrong"
}

where() {
  local newest
  newest=$(find "$dir/checkpoints" -mindepth 1 -maxdepth 1 ! -name '*.tmp' 2>/dev/null | sort -V | tail -n 1)
  say "  store       $dir/store.db"
  say "  checkpoint  ${newest:-none}"
  say "  weights     $dir/policy.safetensors"
  say "  curve       $dir/curve.png"
  say "  logs        $dir/*.log"
}

main() {
  local status begun took steps best
  exec 3<&0
  fresh_folder
  say "The run lives in $dir; Ctrl-C ends it."
  start_daemon "examples/control/$task.yaml"
  begun=${EPOCHREALTIME/[.,]/}
  start_actors
  show
  status=$?
  took=$(((${EPOCHREALTIME/[.,]/} - begun) / 1000000))
  case $status in
    0 | 4) ;;
    130) say "Ended by hand. The run is kept in $dir." && exit 130 ;;
    *) fail "the view ended with status $status; see $dir/pmpod.log." ;;
  esac
  steps=$(ctl status env.steps) || steps='?'
  best=$(ctl history actor.eval_return --csv | awk -F, 'NR > 1 { last = $5 } END { printf "%.1f", last }')
  keep_results || fail "not everything could be kept in $dir."
  stop 30 "$pmpod"
  pmpod=''
  if [ "$status" -eq 0 ]; then
    say "Learned: a mean return of $best over 10 episodes after $took s and $steps environment steps (seed $seed)."
  else
    say "Not learned within $minutes min: $steps environment steps, and no mean return of $goal over 10 episodes (seed $seed)."
  fi
  where
  [ "$status" -eq 0 ]
}

main
