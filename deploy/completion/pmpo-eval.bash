# bash completion for pmpo-eval. Options are asked of the program.

_pmpo_eval() {
  local program=${COMP_WORDS[0]} word=${COMP_WORDS[COMP_CWORD]}
  COMPREPLY=()
  case $word in
    -*)
      mapfile -t COMPREPLY < <(compgen -W "$("$program" --help 2>/dev/null | grep -oE -- '--[a-z-]+' | sort -u)" -- "$word") ;;
    *)
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
  esac
}

complete -F _pmpo_eval pmpo-eval
