# What the demos share: processes that end with them, and the folder of a run. Sourced; sets nothing but functions and `guard`.
# shellcheck shell=bash disable=SC2034,SC2154

say() { printf '%s\n' "$*"; }
fail() {
  printf 'demo: %s\n' "$*" >&2
  exit 1
}
is_number() { [[ $1 =~ ^[0-9]{1,9}$ ]]; }

# ---- processes: all of them are children of this shell, each in a session of its own so that Ctrl-C reaches only the shell
# and the view; should the shell be killed, the kernel ends them.

guard=()
if command -v setpriv >/dev/null; then guard=(setpriv --pdeathsig TERM); fi

background() { # LOG PROGRAM ARGUMENT...
  local log=$1
  shift
  setsid "${guard[@]}" "$@" >"$log" 2>&1 </dev/null &
}

# stop SECONDS PID...: asks them to end, and after so long makes them.
stop() {
  local pid until=$((SECONDS + $1 + 1))
  shift
  kill -TERM "$@" 2>/dev/null
  for pid in "$@"; do
    while kill -0 "$pid" 2>/dev/null; do
      if [ "$SECONDS" -ge "$until" ]; then kill -KILL "$pid" 2>/dev/null; fi
      sleep 0.05
    done
    wait "$pid" 2>/dev/null
  done
}

# On every way out. Actors first, so that the daemon's last checkpoint has all that they sent.
clean_up() {
  local status=$?
  trap '' INT TERM HUP
  local all=() pid
  mapfile -t all < <(jobs -p)
  for pid in "${all[@]}"; do [ "$pid" = "${pmpod:-}" ] || stop 5 "$pid"; done
  [ -z "${pmpod:-}" ] || stop 30 "$pmpod"
  trap - EXIT
  exit "$status"
}

# The traps: the run in $dir can go on with $dir/config.yaml.
watch_signals() {
  trap clean_up EXIT
  trap 'printf "\nEnded by hand. %s\n" "${dir:+The run is kept in $dir; pmpod --config $dir/config.yaml --dir $dir goes on with it.}"; exit 130' INT
  trap 'exit 143' TERM
  trap 'exit 129' HUP
}

fresh_folder() {
  local base=${PMPO_DEMO_DIR:-demo-run/$(date +%Y%m%d-%H%M%S)} n=1
  dir=$base
  if [ -n "${PMPO_DEMO_DIR:-}" ]; then
    mkdir -p "$dir" || fail "$dir cannot be made."
    [ -z "$(ls -A "$dir")" ] || fail "$dir is not empty; the demo wants a fresh folder."
    return
  fi
  mkdir -p "$(dirname "$base")" || fail "$(dirname "$base") cannot be made."
  until mkdir "$dir" 2>/dev/null; do
    n=$((n + 1)) dir=$base-$n
    [ "$n" -lt 100 ] || fail "$base cannot be made."
  done
}

ctl() { "$bin/pmpoctl" --dir "$dir" "$@"; }

# died WHO LOG: the last words of a program that should be running.
died() {
  printf 'demo: %s ended; the end of %s:\n' "$1" "$2" >&2
  tail -n 5 "$2" >&2
  exit 1
}

# start_daemon CONFIG ARGUMENT...: with the configuration of that path below $source_dir; sets pmpod and url.
start_daemon() {
  local config=$1 until=$((SECONDS + 30))
  shift
  cp "$source_dir/$config" "$dir/config.yaml" || fail "$config is missing."
  background "$dir/pmpod.log" "$bin/pmpod" --config "$dir/config.yaml" --dir "$dir" --set "run.seed=$seed" \
    --set listen.desk=tcp://127.0.0.1:0 --set listen.data=tcp://127.0.0.1:0 "$@"
  pmpod=$!
  until url=$(ctl --timeout 0.5 status desk_url 2>/dev/null); do
    kill -0 "$pmpod" 2>/dev/null || died pmpod "$dir/pmpod.log"
    [ "$SECONDS" -lt "$until" ] || fail "pmpod does not answer; see $dir/pmpod.log."
    sleep 0.02
  done
}
