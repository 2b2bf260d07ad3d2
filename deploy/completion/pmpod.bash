# bash completion for pmpod. Options and keys are asked of the program.

_pmpod() {
  local program=${COMP_WORDS[0]} word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
  COMPREPLY=()
  case $before in
    -c | --config | --check-config)
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(
        compgen -d -- "$word"
        compgen -f -X '!*.@(yaml|yml)' -- "$word"
      )
      return ;;
    -d | --dir | --check)
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -d -- "$word")
      return ;;
    -s | --set)
      compopt -o nospace 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -S = -W "$("$program" --print-defaults 2>/dev/null |
        awk '/^[a-z]/ { sub(":", ""); section = $1 } /^  [a-z]/ { sub(":.*", ""); print section "." $1 }')" -- "$word")
      return ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$("$program" --help 2>/dev/null | grep -oE -- '(^|[ ,])--?[A-Za-z][a-z-]*' | tr -d ' ,')" -- "$word")
}

complete -F _pmpod pmpod
