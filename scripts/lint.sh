#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Rules of the house that the compiler does not check. Prints each breach as file:line: what; exit status 1 if any.
#
#   - no function is longer than 60 lines, the rows of constant tables in it left aside
#   - a lower room never includes a higher one (docs/architecture.md), only kernel/ knows libbpf, only
#     manifest/ knows libyaml, and only mesh/re2.cc knows RE2
#   - each source file begins with its licence
#   - each block of code in the documents is fenced and says its language, so that tests know commands from answers
#   - shellcheck, where it is installed
#
#   scripts/lint.sh [DIRECTORY]    of the tree to look at (default: this one)
set -uo pipefail
cd "${1:-$(dirname "$0")/..}" || exit 2
shopt -s nullglob globstar

MAXIMUM_LINES=60
sources=(include/**/*.h bpf/**/*.[ch] user/**/*.[ch] user/**/*.cc tests/**/*.[ch])
breaches=0

breach() { # LINES OF TEXT
  [ -n "$1" ] || return 0
  printf '%s\n' "$1"
  breaches=$((breaches + $(wc -l <<<"$1")))
}

check_function_lengths() {
  breach "$(awk -v maximum="$MAXIMUM_LINES" '
    FNR == 1 { start = in_table = 0 }
    /^{/ { start = FNR; lines = -1 }
    start && /^\t(static const .*=|} [a-z_]+\[\] =) \{$/ { in_table = 1 }
    start && !in_table { lines++ }
    /^\t};/ { in_table = 0 }
    /^}/ && start {
      if (lines - 1 > maximum)
        printf "%s:%d: a function of %d lines (at most %d)\n", FILENAME, start, lines - 1, maximum
      start = 0
    }' "$@")"
}

# The level of a room; a file may include its own level and those below.
check_rooms() {
  breach "$(awk '
    function room(path) {
      if (path ~ /^(user\/)?main\.c/) return "main"
      sub(/^(user|include)\//, "", path)
      return substr(path, 1, index(path, "/") - 1)
    }
    BEGIN {
      count = split("lanetag base http:manifest policy:mesh:kernel config proxy:admin agent cli main", levels, " ")
      for (i = 1; i <= count; i++) {
        rooms = split(levels[i], names, ":")
        for (j = 1; j <= rooms; j++) level[names[j]] = i
      }
    }
    match($0, /^#include [<"][^>"]+[>"]/) {
      included = substr($0, 11, RLENGTH - 11)
      own = room(FILENAME)
      other = room(included)
      if (own in level && other in level && level[other] > level[own])
        printf "%s:%d: %s/ must not include %s: %s/ is a higher room\n", FILENAME, FNR, own, included, other
      if (included ~ /^bpf\// && own != "kernel")
        printf "%s:%d: only kernel/ includes %s\n", FILENAME, FNR, included
      if (included ~ /^re2\// && FILENAME !~ /mesh\/re2\.cc$/)
        printf "%s:%d: only mesh/re2.cc includes %s\n", FILENAME, FNR, included
      if (included == "yaml.h" && own != "manifest")
        printf "%s:%d: only manifest/ includes yaml.h\n", FILENAME, FNR
      if (included ~ /^(sys\/socket|netinet\/.*|sys\/epoll)\.h$/ && own ~ /^(http|policy|mesh|manifest)$/)
        printf "%s:%d: %s/ never sees a socket\n", FILENAME, FNR, own
    }' "$@")"
}

check_licences() {
  local file
  for file in "$@"; do
    head -2 "$file" | grep -q 'SPDX-License-Identifier:' || breach "$file:1: no SPDX-License-Identifier"
  done
}

check_documents() {
  breach "$(awk '
    FNR == 1 { fenced = 0; blank = 1 }
    /^```/ {
      fenced = !fenced
      if (fenced && $0 !~ /^```(sh|text|yaml|json)$/) printf "%s:%d: a block that does not say sh, text, yaml or json\n", FILENAME, FNR
    }
    !fenced && blank && /^(    |\t)/ { printf "%s:%d: a block without a fence\n", FILENAME, FNR }
    { blank = /^$/ }' "$@")"
}

check_functions_everywhere() {
  local user=(include/**/*.h user/**/*.[ch] user/**/*.cc)
  check_function_lengths "${sources[@]}"
  check_rooms "${user[@]}"
}

check_functions_everywhere
scripts=(scripts/*.sh tests/*.sh tests/*/*.sh .ci/run)
check_licences "${sources[@]}" "${scripts[@]}" tests/**/*.py Makefile
documents=(README.md CHANGELOG.md CONTRIBUTING.md docs/**/*.md examples/**/*.md deploy/**/*.md)
[ "${#documents[@]}" -eq 0 ] || check_documents "${documents[@]}"
if command -v shellcheck >/dev/null; then
  # SC2187: busybox's shell is dash enough.
  breach "$(printf '%s\0' "${scripts[@]}" | xargs -0 -n 8 -P "$(nproc)" \
    shellcheck --external-sources --severity=warning --exclude=SC2187 --format=gcc)"
fi
if [ "$breaches" -gt 0 ]; then
  printf 'lint: %d breaches\n' "$breaches"
  exit 1
fi
