#!/usr/bin/env bash
# A run judged by people, by pmpoctl alone: label, items, verdicts out and in, labelers, agreement.
# shellcheck source=tests/support/run.sh
. "$PMP_SOURCE/tests/support/run.sh"

serve --set label.judge=people --set learner.min_size=16 --set learner.batch=16 --set learner.capacity=4096 --set desk.labels_wanted=2 \
  --set spec.action_dim=2
for i in 1 2 3 4 5 6; do echo "{\"y\": [0.$i, -0.$i]}"; done >"$work/rows"
ctl import --quiet "$work/rows" >/dev/null || no "no import: $(tail -n 3 "$work/pmpod.log")"
expect 0 items --json
[ "$(wc -l <"$work/out")" -eq 6 ] || no "six items, not: $(cat "$work/out")"
has '"labels":0'

# Answers by line: a word, an object, an undo; then the input ends.
printf '%s\n' accept '{"judgement": "reject", "confidence": 0.5, "note": "a, \"b\""}' undo reject skip accept >"$work/answers"
ctl label --as ada --json <"$work/answers" >"$work/out" 2>"$work/err" || no "label: $(cat "$work/err")"
has '4 judged' err
has '"outcome":\[0.1'
ctl label --as bob --order random --json --number 6 >"$work/out" 2>"$work/err" < <(yes accept) || no "label: $(cat "$work/err")"
has '6 judged' err
ctl label --as bob --json </dev/null >"$work/out" 2>"$work/err" || no "label: $(cat "$work/err")"
[ ! -s "$work/out" ] || no "bob was asked again: $(cat "$work/out")"
echo maybe | ctl label --as ada --json >"$work/out" 2>"$work/err" && no "maybe is no judgement"
has 'says none of' err

expect 0 labelers
has 'local:ada'
has 'local:bob'
expect 0 agreement --json
has '"items": 3'
has '"pairs_of_people"'
expect 0 agreement
has "Krippendorff's alpha"
expect 0 verdicts --csv
has '^id,wall_ns,who,item,judgement,confidence,state,note,request_id'
has '"a, ""b"""'
has ',withdrawn,'
expect 0 verdicts --active --who local:bob
[ "$(wc -l <"$work/out")" -eq 6 ] || no "six of bob's, not: $(cat "$work/out")"
expect 0 verdicts --label-studio
has '"choices": \['
python3 -c 'import json, sys; t = json.load(open(sys.argv[1])); assert len(t) == 6, len(t)' "$work/out" || no "no list of six tasks"
expect 2 verdicts --csv --json

# Out and in again, as another person; twice is once.
ctl verdicts --json --who local:bob >"$work/said" || no "no verdicts"
expect 0 verdicts --import "$work/said" --as cem
has '^6 kept, 0 known already'
expect 0 verdicts --import "$work/said" --as cem
has '^0 kept, 6 known already'
echo '{"item": "1:0"}' >"$work/bad"
expect 1 verdicts --import "$work/bad" --as cem
has 'line 1' err
# Gold: what ada and bob said is measured by it.
expect 0 gold 1:0 reject
has 'judgement'
expect 0 gold 1:1 accept --json
has '"before":"none"'
expect 0 gold --list --json
[ "$(wc -l <"$work/out")" -eq 2 ] || no "two gold items, not: $(cat "$work/out")"
has '"item":"1:0","judgement":"reject"'
expect 0 gold --list
has '^1:1  *accept'
expect 0 labelers --json
grep 'local:bob' "$work/out" | grep -q '"gold":2,"gold_right":1' || no "bob's two gold items, not: $(cat "$work/out")"
expect 0 labelers
has 'right'
expect 1 gold 1:0+2 accept
has 'none of its chunk' err
expect 2 gold 1:0 maybe
expect 2 gold 1:0
expect 2 gold --list 1:0
expect 0 gold 1:0 none
expect 1 gold 1:0 none
expect 0 gold 1:1 none
expect 0 gold --list
has '^no item is gold'
expect 0 events
has 'gold'
expect 0 status --all
has 'desk.open'
for command in label items verdicts labelers agreement gold; do expect 0 $command --help; done
stop
exit $bad
