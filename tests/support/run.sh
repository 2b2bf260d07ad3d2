# shellcheck shell=bash
# Sourced by shell tests: a folder that goes away with the test, a daemon that serves $work/run and ends with it, and what
# went wrong. A test ends with: exit $bad
set -u
work=$(mktemp -d) || exit 1
daemon='' aside='' bad=0 # process ids; aside: whatever else runs beside the test
finish() {
  for pid in $aside $daemon; do kill -TERM "$pid" 2>/dev/null; done
  wait
  rm -rf "$work"
}
trap finish EXIT

no() {
  echo "FAILED: $*" >&2
  bad=1
}
# serve OPTION...: pmpod on ports of its own.
serve() {
  "$PMP_BIN/pmpod" --dir "$work/run" "$@" --set listen.desk=tcp://127.0.0.1:0 --set listen.data=tcp://127.0.0.1:0 2>>"$work/pmpod.log" &
  daemon=$!
}
stop() {
  ctl stop >/dev/null
  wait "$daemon" || no "the daemon ended with status $?: $(tail -n 3 "$work/pmpod.log")"
  daemon=''
}
ctl() { "$PMP_BIN/pmpoctl" --dir "$work/run" --timeout 20 "$@"; }
# expect CODE ARGUMENT...: runs pmpoctl, output in $work/out and $work/err.
expect() {
  local want=$1 code
  shift
  ctl "$@" >"$work/out" 2>"$work/err" </dev/null
  code=$?
  [ "$code" -eq "$want" ] || no "pmpoctl $*: exit code $code, not $want: $(cat "$work/out" "$work/err")"
}
# has PATTERN [out|err]
has() { grep -q -- "$1" "$work/${2:-out}" || no "no '$1' in: $(head -c 400 "$work/${2:-out}")"; }
