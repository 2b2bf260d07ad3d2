#!/usr/bin/env bash
# The demo of people in the loop: a run without a reward, an actor that sends items, and a page to judge them on; the policy
# follows. ./run demo people calls this with PMP_BIN, the folder of the programs.
set -u

what=cheetah minutes=120 seed=1 scripted='' verdicts='' plain=() http=127.0.0.1:0
source_dir=${PMP_SOURCE:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)}
bin=${PMP_BIN:-$source_dir/build/release/bin}
python=${PMPO_DEMO_PYTHON:-}

usage() {
  cat <<END
usage: ./run demo people [cheetah|clips|colors] [--scripted] [--verdicts N] [--seed N] [--plain] [--minutes N] [--http HOST:PORT]

  cheetah         films of a cheetah: accept those in which it does what you want, running backwards, say. A reward is fitted to the
                  verdicts, and the policy learns from that (the default)
  clips           the same films, every step of a clip taking its verdict: no reward and no critic at all
  colors          colours: a first taste of a minute
  --scripted      a labeler of a few lines judges (cheetah: backwards; colors: turquoise) and hides what it likes
  --verdicts N    end after so many (cheetah 1000, clips 1000, colors 200)
  --seed N        of everything random (1)
  --plain         a line every few seconds instead of the full screen
  --minutes N     end after so long (120)
  --http H:P      where the page is (127.0.0.1:0: a free port)

What the run leaves lies in demo-run/TIME/ (PMPO_DEMO_DIR: another, fresh folder).
END
}

# shellcheck source=deploy/processes.sh
. "$source_dir/deploy/processes.sh"

while [ $# -gt 0 ]; do
  case $1 in
    cheetah | clips | colors) what=$1 ;;
    --scripted) scripted=yes ;;
    --plain) plain=(--plain) ;;
    --http)
      [ $# -ge 2 ] || { usage >&2; exit 2; }
      http=$2
      shift ;;
    --seed | --verdicts | --minutes)
      if [ $# -lt 2 ] || ! is_number "$2"; then
        usage >&2
        exit 2
      fi
      case $1 in --seed) seed=$2 ;; --verdicts) verdicts=$2 ;; *) minutes=$2 ;; esac
      shift ;;
    -h | --help)
      usage
      exit 0 ;;
    *)
      printf 'demo people: there is no option %s\n' "$1" >&2
      usage >&2
      exit 2 ;;
  esac
  shift
done
case $what in
  cheetah) config=examples/people/cheetah-reward.yaml taste=cheetah-backwards ;;
  clips) config=examples/people/cheetah-clips.yaml taste=cheetah-backwards ;;
  *) config=examples/people/colors.yaml taste=colors ;;
esac
if [ "$what" = colors ]; then : "${verdicts:=200}"; else : "${verdicts:=1000}"; fi

[ -z "${PMP_PARSE_ONLY:-}" ] || exit 0

pmpod='' actor='' labeler='' watch='' dir=''
watch_signals

start_actor() {
  local kind=(bandit --unjudged --report-every 8)
  local film=(--clips 100) # a second, for eyes
  [ -z "$scripted" ] || film=(--clips 50 --clip-blind)
  case $what in
    cheetah) kind=(control "${film[@]}" --clip-every 400 --noise-correlation 0.5) ;;
    clips) kind=(control "${film[@]}" --noise-correlation 0.9) ;;
  esac
  background "$dir/actor.log" "$bin/pmpo-actor" "${kind[@]}" --connect "$url" --name actor-1
  actor=$!
}

start_labeler() {
  [ -n "$python" ] || fail "--scripted wants a Python with the package pmpo: ./run demo people makes one."
  background "$dir/labeler.log" "$python" "$source_dir/examples/people/scripted.py" "$taste" --url "$url" \
    --verdicts "$verdicts" --seed "$seed" --csv "$dir/verdicts.csv"
  labeler=$!
}

show() {
  "${guard[@]}" "$bin/pmpoctl" --dir "$dir" watch "${plain[@]}" --until "desk.verdicts >= $verdicts" --for $((60 * minutes)) \
    --lost 30 <&3 &
  watch=$!
  local first='' status
  wait -n -p first "$watch" "$pmpod" "$actor"
  status=$?
  [ "$first" = "$watch" ] && return "$status"
  stop 2 "$watch"
  echo >&2
  [ "$first" = "$pmpod" ] && died pmpod "$dir/pmpod.log"
  died "the actor" "$dir/actor.log"
}

main() {
  local status given
  exec 3<&0
  fresh_folder
  say "The run lives in $dir; Ctrl-C ends it."
  start_daemon "$config" --set "listen.http=$http"
  start_actor
  if [ -n "$scripted" ]; then
    start_labeler
    say "A scripted labeler judges; look on at $(head -n 1 "$dir/http.url")"
  else
    say "Open $(head -n 1 "$dir/http.url") and judge: A accepts, R rejects, S skips, U takes back."
    [ ${#plain[@]} -gt 0 ] || sleep 5
  fi
  show
  status=$?
  case $status in
    0 | 4) ;;
    130) say "Ended by hand. The run is kept in $dir." && exit 130 ;;
    *) fail "the view ended with status $status; see $dir/pmpod.log." ;;
  esac
  given=$(ctl status desk.verdicts) || given='?'
  stop 5 "$actor" ${labeler:+"$labeler"}
  ctl --timeout 30 checkpoint >/dev/null || fail "the last checkpoint was not written; see $dir/pmpod.log."
  ctl --timeout 30 export "$dir/policy.safetensors" >/dev/null || fail "the policy was not exported."
  if [ "$what" != colors ]; then
    "$bin/pmpo-actor" control --task cheetah_run --weights "$dir/policy.safetensors" --render "$dir/policy.mp4" --seconds 10 \
      >"$dir/render.log" 2>&1 || say "(No film could be made: $(tail -n 1 "$dir/render.log"))"
  fi
  stop 30 "$pmpod"
  pmpod=''
  say "$given verdicts. What they made of the policy:"
  say "  weights   $dir/policy.safetensors"
  [ ! -e "$dir/policy.mp4" ] || say "  film      $dir/policy.mp4"
  [ ! -e "$dir/verdicts.csv" ] || say "  verdicts  $dir/verdicts.csv"
  say "  store     $dir/store.db (pmpoctl --dir $dir verdicts, agreement, audit while pmpod runs)"
  say "  logs      $dir/*.log"
}

main
