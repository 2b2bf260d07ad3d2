# bash completion for pmpoctl. Commands and options are asked of the program, names of series of the run.

_pmpoctl_words() { mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2"); }

_pmpoctl_files() {
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen "$1" -- "$2")
}

# The global options of the line, so that questions go to the same daemon; array `where`. An address is several words here.
_pmpoctl_where() {
  local i
  where=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
      -D | --dir) where=(--dir "${COMP_WORDS[i + 1]}") ;;
      -C | --connect) [ "${COMP_WORDS[i + 2]-}" = : ] && where=(--connect "${COMP_WORDS[i + 1]}:${COMP_WORDS[i + 3]-}:${COMP_WORDS[i + 5]-}") ;;
    esac
  done
}

# The first word that is neither an option nor an option's value; `command`, and the number of words after it; `position`.
_pmpoctl_command() {
  local i word
  command='' position=0
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    case $word in
      -C | --connect)
        i=$((i + 1))
        while [ "${COMP_WORDS[i + 1]-}" = : ]; do i=$((i + 2)); done ;;
      -D | --dir | --timeout | --as | --token-file | --ca | --role | --expires | --host | --days | --expect | --kind | --png | --x | --mean | --line | --title | --from | --to | --points | --every | \
        --metric | --until | --for | --lost | --wait | --who | --confidence | --note | --which | --at | --after | -n | --number | \
        --seeds | --steps | --threads | --out | --functions | --methods | --dims | --jobs | --only | --bin) i=$((i + 1)) ;;
      -*) ;;
      *) if [ -z "$command" ]; then command=$word; else position=$((position + 1)); fi ;;
    esac
  done
}

_pmpoctl() {
  local program=${COMP_WORDS[0]} word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
  local command position where
  COMPREPLY=()
  _pmpoctl_command
  _pmpoctl_where
  case $before in
    --token-file | --ca) _pmpoctl_files -f "$word" && return ;;
    --role) _pmpoctl_words 'actor labeler observer operator' "$word" && return ;;
    -D | --dir | --out | --bin) _pmpoctl_files -d "$word" && return ;;
    --functions) _pmpoctl_words 'sphere rosenbrock schwefel cigar diffpow elli' "$word" && return ;;
    --methods) _pmpoctl_words 'AR A R DPO DPO-20 BW boltzmann exact-AR exact-R paths-AR paths-R' "$word" && return ;;
    --png | --import) _pmpoctl_files -f "$word" && return ;;
    --order) _pmpoctl_words 'oldest random least_labelled most_uncertain' "$word" && return ;;
    --which) _pmpoctl_words 'reference policy' "$word" && return ;;
    --x) _pmpoctl_words 'env step wall env,wall' "$word" && return ;;
    --metric) _pmpoctl_words "$("$program" "${where[@]}" --timeout 0.5 history 2>/dev/null)" "$word" && return ;;
    -C | --connect | --timeout | --as | --expires | --host | --days | --expect | --kind | --mean | --line | --title | --from | --to | --points | --every | --until | --for | \
      --lost | --confidence | --note | --at | --after | -n | --number | --seeds | --steps | --threads | --dims | --jobs | --only) return ;;
  esac
  if [[ $word == -* ]]; then
    _pmpoctl_words "$("$program" ${command:+help "$command"} --help 2>/dev/null | grep -oE -- '--[a-z-]+' | sort -u) \
      --connect --dir --timeout --as --token-file --ca --help" "$word"
    return
  fi
  case $command:$position in
    :*) _pmpoctl_words "$("$program" --help 2>/dev/null | awk '/^  [a-z]/ { print $1 }')" "$word" ;;
    help:0) _pmpoctl_words "$("$program" --help 2>/dev/null | awk '/^  [a-z]/ { print $1 }')" "$word" ;;
    history:* | wait:0) _pmpoctl_words "$("$program" "${where[@]}" --timeout 0.5 history 2>/dev/null)" "$word" ;;
    status:*) _pmpoctl_words "$("$program" "${where[@]}" --timeout 0.5 status --all 2>/dev/null | awk '{ print $1 }')" "$word" ;;
    set:0) _pmpoctl_words "$("$program" help set 2>/dev/null | grep -oE '[a-z]+\.[a-z_]+')" "$word" ;;
    verdict:1 | verdict:[3-9]) _pmpoctl_words 'accept reject skip withdraw' "$word" ;;
    export:0 | import:0 | campaign:0) _pmpoctl_files -f "$word" ;;
    token:0) _pmpoctl_words 'create list revoke' "$word" ;;
    experiment:0) _pmpoctl_words 'bandits beta-sweep ipo-d1-d3' "$word" ;;
  esac
}

complete -F _pmpoctl pmpoctl
