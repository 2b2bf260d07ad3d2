#!/usr/bin/env bash
# What the Tab key offers, without a daemon.
set -u
PATH=$PMP_BIN:$PATH bad=0
for file in pmpoctl pmpod pmpo-actor; do
  # shellcheck disable=SC1090
  . "$PMP_SOURCE/deploy/completion/$file.bash" || exit 1
done

# offers WORD IN WORDS...: completing the last of WORDS offers WORD.
offers() {
  local want=$1
  shift 2
  COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
  "$(complete -p "$1" | sed 's/.*-F \([^ ]*\) .*/\1/')" 2>/dev/null
  printf '%s\n' "${COMPREPLY[@]}" | grep -qxF -- "$want" && return
  echo "FAILED: '$*' does not offer $want but: ${COMPREPLY[*]}" >&2
  bad=1
}

offers status in pmpoctl st
offers weights in pmpoctl help w
offers checkpoint in pmpoctl --dir /nowhere ""
offers --png in pmpoctl history --p
offers optim.lr in pmpoctl set opt
offers revoke in pmpoctl token r
offers labeler in pmpoctl token create ada --role l
offers --expect in pmpoctl audit --e
offers least_labelled in pmpoctl label --order l
offers --label-studio in pmpoctl verdicts --l
offers reject in pmpoctl verdict 1 : 2 re
offers policy in pmpoctl export f --which p
offers beta-sweep in pmpoctl experiment b
offers --end-to-end in pmpoctl experiment bandits --end
offers rosenbrock in pmpoctl experiment bandits --functions r
offers --skip-bad in pmpoctl import --sk
offers "$PMP_SOURCE/examples/offline" in pmpoctl import "$PMP_SOURCE/examples/o"
offers --retry in pmpoctl campaign file --re
offers "$PMP_SOURCE/examples/control/campaign-six.yaml" in pmpoctl campaign "$PMP_SOURCE/examples/control/campaign-s"
offers --check-config in pmpod --ch
offers learner.batch= in pmpod --set learner.b
offers "$PMP_SOURCE/examples/bandit" in pmpod --config "$PMP_SOURCE/examples/b"
offers control in pmpo-actor c
offers --evaluate in pmpo-actor control --ev
offers cartpole_swingup in pmpo-actor control --task cartpole_s
offers latest in pmpo-actor control --render f.mp4 --policy l
offers "$PMP_SOURCE/examples/control" in pmpo-actor control --weights "$PMP_SOURCE/examples/co"
offers --function in pmpo-actor bandit --f
exit $bad
