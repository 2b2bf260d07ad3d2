# bash completion for pmpo-actor. Kinds, options and tasks are asked of the program.

_pmpo_actor() {
  local program=${COMP_WORDS[0]} word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} kind=${COMP_WORDS[1]-}
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    mapfile -t COMPREPLY < <(compgen -W "$("$program" --help 2>/dev/null | awk '/^  [a-z]/ { print $1 }') --help" -- "$word")
    return
  fi
  case $before in
    --task)
      mapfile -t COMPREPLY < <(compgen -W "$("$program" "$kind" --list 2>/dev/null | awk 'NR > 1 { print $1 }')" -- "$word")
      return ;;
    --function)
      mapfile -t COMPREPLY < <(compgen -W 'sphere rosenbrock schwefel cigar diffpow elli' -- "$word")
      return ;;
    --policy)
      mapfile -t COMPREPLY < <(compgen -W 'reference latest random zero' -- "$word")
      return ;;
    --render | --replay | --weights | --token-file | --ca)
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$word")
      return ;;
    --suite)
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -d -- "$word")
      return ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$("$program" "$kind" --help 2>/dev/null | grep -oE -- '--[a-z-]+' | sort -u)" -- "$word")
}

complete -F _pmpo_actor pmpo-actor
