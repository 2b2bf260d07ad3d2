#!/usr/bin/env bash
# Every ready configuration is good, and the manual pages are.
set -u
cd "${PMP_SOURCE:?}" || exit 1
bad=0 count=0
while IFS= read -r file; do
  count=$((count + 1))
  "$PMP_BIN/pmpod" --check-config "$file" >/dev/null || bad=1
done < <(find examples -name "*.yaml" ! -name "campaign-*")
for file in examples/*/campaign-*.yaml; do
  said=$("$PMP_BIN/pmpoctl" campaign "$file" --dir /nowhere/campaign --dry-run 2>&1) || { echo "$file: $said" >&2; bad=1; }
done
[ "$count" -ge 10 ] || { echo "only $count configurations found" >&2; bad=1; }
# What a page says of options is what the program knows.
for program in pmpod pmpoctl pmpo-actor; do
  page=docs/man/$program.1
  [ -s "$page" ] || { echo "$page is missing" >&2; bad=1; continue; }
  help=$("$PMP_BIN/$program" --help; for kind in bandit control; do [ "$program" = pmpo-actor ] && "$PMP_BIN/$program" $kind --help; done
    [ "$program" = pmpoctl ] && for c in $("$PMP_BIN/pmpoctl" --help | awk '/^  [a-z]/ { print $1 }'); do "$PMP_BIN/pmpoctl" help "$c"; done)
  for option in $(grep -oE -- '--[a-z][a-z-]+' <<<"$help" | sort -u); do
    sed 's/\\-/-/g' "$page" | grep -qF -- "$option" || { echo "$page does not name $option" >&2; bad=1; }
  done
done
exit $bad
