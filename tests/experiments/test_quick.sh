#!/usr/bin/env bash
# The quick forms of all experiments: their claims hold, what they leave is whole, a grid goes on where it was stopped, and a
# claim that does not hold is said.
set -u
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
bad=0
no() {
  echo "FAILED: $*" >&2
  bad=1
}
# expect CODE ARGUMENT...: output in $work/out and $work/err.
expect() {
  local want=$1 code
  shift
  "$PMP_BIN/pmpoctl" experiment "$@" >"$work/out" 2>"$work/err"
  code=$?
  [ "$code" -eq "$want" ] || no "experiment $*: exit code $code, not $want: $(tail -n 5 "$work/err")"
}
has() { grep -q -- "$1" "$work/${2:-out}" || no "no '$1' in: $(head -c 400 "$work/${2:-out}")"; }
is_png() { [ "$(head -c 4 "$1" | tail -c 3)" = PNG ] || no "$1 is no picture"; }

quick=(--quick)
# Sanitizers take ten times as long.
case ${PMP_FLAVOUR:-release} in asan | tsan) quick+=(--functions sphere,cigar) ;; esac

expect 0 bandits "${quick[@]}" --out "$work/a"
has 'PMPO-AR'
has 'holds: PMPO-AR, sphere, 2-D'
expect 0 beta-sweep "${quick[@]}" --out "$work/a"
has 'holds: 2-D: R runs away'
expect 0 ipo-d1-d3 --quick --out "$work/a" ${quick[1]+--seeds 1}
has "holds: DPO on D1 is greedy"
has "holds: IPO on D3' is within"
for figure in bandits-2d beta-sweep-2d ipo-d1-d3-curves ipo-d1-d3-curves-pmpo ipo-d1-d3-final; do is_png "$work/a/$figure.png"; done
for file in bandits.md bandits-runs.csv bandits-curves.csv beta-sweep.md ipo-d1-d3-runs.csv ipo-d1-d3-curves.csv; do
  [ -s "$work/a/$file" ] || no "$file is not there"
done

# Nothing is left to do: the same tables from what the file holds, and the same runs from another folder with one thread.
cp "$work/a/bandits-runs.csv" "$work/first.csv"
expect 0 bandits "${quick[@]}" --out "$work/a"
has 'were there' err
cmp -s "$work/first.csv" "$work/a/bandits-runs.csv" || no "a grid that was there already gives other results"

# A file that was cut in the middle of a line goes on, to the same end.
few=(bandits --steps 200 --seeds 3 --functions sphere --methods AR,exact-AR --dims 3)
expect 0 "${few[@]}" --out "$work/b" --threads 1
head -c -300 "$work/b/bandits.jsonl" >"$work/cut" && mkdir "$work/c" && cp "$work/cut" "$work/c/bandits.jsonl"
expect 0 "${few[@]}" --out "$work/c" --threads 2
has '(5 were there)' err
cmp -s "$work/b/bandits-runs.csv" "$work/c/bandits-runs.csv" || no "a grid that was cut off ends elsewhere"
expect 0 "${few[@]}" --out "$work/b" --json
python3 -c 'import json, sys; [json.loads(l) for l in open(sys.argv[1])]' "$work/out" || no "--json is no JSON"

# A result that breaks a claim.
mkdir "$work/d" && sed 's/"final":[-0-9.e+]*/"final":1e9/' "$work/a/bandits.jsonl" >"$work/d/bandits.jsonl"
expect 1 bandits "${quick[@]}" --out "$work/d"
has 'does not hold: AR learns' err
has 'does not hold: PMPO-AR, sphere, 2-D' err

# What few seeds, few steps or one method cannot judge is said, and is no failure.
expect 0 bandits --functions sphere,cigar --dims 2 --seeds 2 --methods AR,A --out "$work/f"
has 'not judged: AR learns on 2 functions in 2-D: needs 5 seeds'
has 'not judged: DPO with tau 20 .* needs the methods AR and DPO-20'
has 'not judged: claims on R, DPO-20, BW, exact-AR'
has 'holds: PMPO-AR, sphere, 2-D: worst of 2 seeds'
grep -q 'Evaluations until' "$work/out" && no "a table of who got there, and nobody did"
[ ! -s "$work/err" ] || ! grep -q 'written over' "$work/err" || no "a new folder is said to be written over"
expect 0 bandits --functions sphere --dims 2 --steps 100 --methods AR --out "$work/f"
has 'not judged: PMPO-AR, sphere, 2-D: worst <= 2e-03: needs 5000 steps'
has 'held tables, CSV files and figures of --seeds 2 --dims 2 --functions sphere,cigar --methods AR,A$' err
expect 0 bandits --functions sphere --dims 2 --steps 100 --methods AR --out "$work/f"
grep -q 'written over' "$work/err" && no "the same settings are said to be others"

expect 2 bandits --functions sphere,foo,,bar
has '--functions: there is no "foo", "", "bar"; there are sphere, rosenbrock, schwefel, cigar, diffpow, elli' err
expect 2 bandits --methods AR,XX
has '--methods: there is no "XX"; there are AR, A, R, DPO,' err
expect 2 bandits --end-to-end --methods AR,XX
has '"XX"' err
expect 2 beta-sweep --functions foo,sphere
has 'there is no "foo"' err
expect 2 bandits --dims 2,x,65,3x
has '--dims: not "x", "65", "3x"' err
expect 2 bandits --functions nothing
expect 2 bandits --dims 0
expect 2 bandits --methods nothing --out "$work/e"
expect 2 nothing
expect 2 bandits --seeds x
expect 2 ipo-d1-d3 --end-to-end
expect 0 --list
has ipo-d1-d3
has rosenbrock
has paths-AR
exit $bad
