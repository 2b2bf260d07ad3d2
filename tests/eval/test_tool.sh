#!/usr/bin/env bash
# pmpo-eval as a program: pipes, files, exit codes, completion, and the manual's examples.
set -u
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
PATH=$PMP_BIN:$PATH bad=0
no() {
  echo "FAILED: $*" >&2
  bad=1
}
# expect CODE ARGUMENT...: runs pmpo-eval on $work/in, output in $work/out and $work/err.
expect() {
  local want=$1 code
  shift
  pmpo-eval "$@" <"$work/in" >"$work/out" 2>"$work/err"
  code=$?
  [ "$code" -eq "$want" ] || no "pmpo-eval $*: exit code $code, not $want: $(cat "$work/err")"
}
lines() { [ "$(wc -l <"$work/out")" -eq "$1" ] || no "$(wc -l <"$work/out") lines, not $1: $(cat "$work/out")"; }
line() { sed -n "$1p" "$work/out" | grep -q "^$2" || no "line $1 is not $2...: $(sed -n "$1p" "$work/out")"; }

good='{"objective":"bc","policy":"categorical","pi":{"logits":[[[0,0]]]},"y":[[0]]}'
answer='{"loss":0.69314718055994529,"policy_term":0.69314718055994529,"kl":null,"grad":{"logits":[[[-0.5,0.5]]]}}'

# One answer a line, blank lines apart; a line in error is answered, and the next one is read.
printf '%s\n\n  \t\nnonsense\n%s\r\n{"a\0b":1}\n\0\n%s' "$good" "$good" "$good" >"$work/in"
expect 0
lines 6
[ "$(sed -n 1p "$work/out")" = "$answer" ] || no "not the answer: $(sed -n 1p "$work/out")"
line 2 '{"error":"not JSON'
line 3 '{"loss"'
line 4 '{"error"'
line 5 '{"error"'
line 6 '{"loss"'
[ -s "$work/err" ] && no "something on stderr: $(cat "$work/err")"
expect 1 --strict
lines 6
expect 1 -s -v
line 1 '.*"log_pi":\[-0.69314718055994529\],"log_ref":null,"c":\[-1.0\],"kl_margin":null}'

# Files, one after the other; - is standard input.
echo "$good" >"$work/in"
cp "$work/in" "$work/file"
expect 0 "$work/file" - "$work/file"
lines 3
expect 1 "$work/missing" "$work/file"
lines 1
grep -q "cannot open $work/missing: No such file" "$work/err" || no "no word about the missing file: $(cat "$work/err")"
expect 1 "$work"
: >"$work/in"
expect 0 --strict
lines 0

# Each answer comes before the next question: a program may talk to it.
# (bash forgets TALK and TALK_PID when the program ends, so they are kept.)
coproc TALK { pmpo-eval; }
talk_in=${TALK[1]} talk_out=${TALK[0]} talk_pid=$TALK_PID
for i in 1 2 3; do
  echo "$good" >&"$talk_in"
  IFS= read -r -t 20 said <&"$talk_out" || no "no answer to question $i"
  [ "$said" = "$answer" ] || no "question $i: $said"
done
eval "exec $talk_in>&-"
wait "$talk_pid" || no "it did not end well with its input"

# A full disk.
echo "$good" | pmpo-eval >/dev/full 2>"$work/err" && no "a full disk is no failure"
grep -q 'cannot write' "$work/err" || no "no word about the full disk"

expect 0 --help
line 1 'usage: pmpo-eval'
expect 0 --version
line 1 'pmpo-eval [0-9]'
expect 2 --nonsense
lines 0

# Completion.
# shellcheck disable=SC1091
. "$PMP_SOURCE/deploy/completion/pmpo-eval.bash" || exit 1
offers() {
  COMP_WORDS=(pmpo-eval "$2") COMP_CWORD=1 COMPREPLY=()
  _pmpo_eval 2>/dev/null
  printf '%s\n' "${COMPREPLY[@]}" | grep -qxF -- "$1" || no "'$2' does not offer $1 but: ${COMPREPLY[*]}"
}
offers --verbose --v
offers --strict -
offers "$work/file" "$work/fi"

# The manual's examples say what the program says: a command, of one line or more, and its answer.
sed -n '/^\.SH EXAMPLES/,/^\.SH SEE/p' "$PMP_SOURCE/docs/man/pmpo-eval.1" | sed 's/\\-/-/g; s/\\e/\\/g' >"$work/manual"
examples=0 command=''
while IFS= read -r text; do
  case $text in
    'echo '*) command=$text ;;
    ' "'*) command=$command$'\n'$text ;;
    '{'*)
      examples=$((examples + 1))
      said=$(bash -c "$command" 2>&1)
      [ "$said" = "$text" ] || no "the manual says $text, the program $said" ;;
  esac
done <"$work/manual"
[ "$examples" -eq 3 ] || no "$examples examples in the manual"
exit $bad
