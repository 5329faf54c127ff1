# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Completes lanetag's commands, and the options that each command's --help names.

_lanetag() {
  local word=${COMP_WORDS[COMP_CWORD]} program=${COMP_WORDS[0]}
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    mapfile -t COMPREPLY < <(compgen -W "help --help --version $("$program" --help 2>/dev/null | awk '/^  [a-z]/ { print $1 }')" -- "$word")
  elif [[ $word == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$("$program" "${COMP_WORDS[1]}" --help 2>/dev/null |
      grep -oE -- '(^|[[:space:]|\[])--?[a-z][a-z-]*' | tr -d '[| ' | sort -u)" -- "$word")
  elif [[ ${COMP_WORDS[COMP_CWORD - 1]} =~ ^(-o|--output)$ ]]; then
    mapfile -t COMPREPLY < <(compgen -W 'text json' -- "$word")
  elif [ "${COMP_WORDS[COMP_CWORD - 1]}" = --log-format ]; then
    mapfile -t COMPREPLY < <(compgen -W 'logfmt json' -- "$word")
  elif [ "${COMP_WORDS[COMP_CWORD - 1]}" = --access-log-user-ids ]; then
    mapfile -t COMPREPLY < <(compgen -W 'hashed none raw' -- "$word")
  elif [ "${COMP_WORDS[COMP_CWORD - 1]}" = --path-normalization ]; then
    mapfile -t COMPREPLY < <(compgen -W 'none base merge-slashes decode-and-merge-slashes' -- "$word")
  elif [ "${COMP_WORDS[COMP_CWORD - 1]}" = --foreign-hosts ]; then
    mapfile -t COMPREPLY < <(compgen -W 'pass refuse' -- "$word")
  elif [[ ${COMP_WORDS[1]} == flows && ${COMP_WORDS[COMP_CWORD - 1]} =~ ^(-s|--state)$ ]]; then
    mapfile -t COMPREPLY < <(compgen -W 'idle head body lost' -- "$word")
  else
    mapfile -t COMPREPLY < <(compgen -f -- "$word")
  fi
}
complete -o filenames -F _lanetag lanetag
