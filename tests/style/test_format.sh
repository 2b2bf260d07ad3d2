#!/usr/bin/env bash
# Every C file looks as .clang-format says.
set -u
cd "${PMP_SOURCE:?}" || exit 1
mapfile -t files < <(find base proto store policy learner daemon actors clients examples bench tests -name '*.[ch]' 2>/dev/null | sort)
[ ${#files[@]} -gt 10 ] || { echo "only ${#files[@]} files found" >&2; exit 1; }
clang-format --dry-run -Werror "${files[@]}" 2>&1 | grep -a 'error:' | cut -d: -f1 | sort | uniq -c | sort -rn >"${TMPDIR:-/tmp}/pmp-format.$$"
left=$(cat "${TMPDIR:-/tmp}/pmp-format.$$")
rm -f "${TMPDIR:-/tmp}/pmp-format.$$"
[ -z "$left" ] && exit 0
echo "clang-format would change (places, file):"
echo "$left"
exit 1
