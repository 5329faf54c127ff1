#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Rules of the tree that the compiler does not check. Prints each breach as file:line: what; exit status 1 if any.
#
#   - no function is longer than 60 lines, the rows of constant tables in it left aside
#   - a lower directory never includes a higher one (docs/architecture.md), only kernel/ knows libbpf, only
#     manifest/ knows libyaml, only kubernetes/ knows libcurl, and only mesh/re2.cc knows RE2
#   - the same between the directories of user/proxy; and no modules of user/proxy (a .c with its .h) include
#     each other in a circle
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

# From the lowest to the highest, those of a level joined by ':'. A file may include its own level and those below.
LEVELS='lanetag base http:manifest:text policy:mesh:kernel:kubernetes config release:proxy:admin agent cli main'
# The same for the directories of user/proxy; the files right in it may include all.
PROXY_LEVELS='loop:handover:record sharing upstream request worker http1 exchange downstream'

check_directories() {
  breach "$(awk -v directories="$LEVELS" -v parts="$PROXY_LEVELS" '
    function directory(path) {
      if (path ~ /^(user\/)?main\.c/) return "main"
      sub(/^(user|include)\//, "", path)
      return substr(path, 1, index(path, "/") - 1)
    }
    # The directory within user/proxy; "": none.
    function part(path) {
      sub(/^user\//, "", path)
      return split(path, names, "/") == 3 && names[1] == "proxy" ? names[2] : ""
    }
    function read_levels(text, level,    count, levels, i, names, j) {
      count = split(text, levels, " ")
      for (i = 1; i <= count; i++)
        for (j = split(levels[i], names, ":"); j > 0; j--) level[names[j]] = i
      return count
    }
    BEGIN {
      read_levels(directories, level)
      proxy_level[""] = read_levels(parts, proxy_level) + 1
    }
    match($0, /^#include [<"][^>"]+[>"]/) {
      included = substr($0, 11, RLENGTH - 11)
      own = directory(FILENAME)
      other = directory(included)
      if (own in level && other in level && level[other] > level[own])
        printf "%s:%d: %s/ must not include %s: %s/ is a higher directory\n", FILENAME, FNR, own, included, other
      own_part = part(FILENAME)
      other_part = part(included)
      if (own == "proxy" && other == "proxy" && !(own_part in proxy_level))
        printf "%s:%d: proxy/%s/ has no level in scripts/lint.sh\n", FILENAME, FNR, own_part
      else if (own == "proxy" && other == "proxy" && proxy_level[other_part] > proxy_level[own_part])
        printf "%s:%d: proxy/%s/ must not include %s: it is higher\n", FILENAME, FNR, own_part, included
      if (included ~ /^bpf\// && own != "kernel")
        printf "%s:%d: only kernel/ includes %s\n", FILENAME, FNR, included
      if (included ~ /^re2\// && FILENAME !~ /mesh\/re2\.cc$/)
        printf "%s:%d: only mesh/re2.cc includes %s\n", FILENAME, FNR, included
      if (included == "yaml.h" && own != "manifest")
        printf "%s:%d: only manifest/ includes yaml.h\n", FILENAME, FNR
      if (included ~ /^curl\// && own != "kubernetes")
        printf "%s:%d: only kubernetes/ includes %s\n", FILENAME, FNR, included
      if (included ~ /^(sys\/socket|netinet\/.*|sys\/epoll)\.h$/ && own ~ /^(http|policy|mesh|manifest)$/)
        printf "%s:%d: %s/ never sees a socket\n", FILENAME, FNR, own
    }' "$@")"
}

# Modules are a .c with its .h. tsort(1) names those that include each other in a circle.
check_circles() {
  [ "$#" -gt 0 ] || return 0
  breach "$(awk '
    match($0, /^#include "[^"]+\.h"/) {
      own = FILENAME
      gsub(/^user\/|\.[ch]$/, "", own)
      other = substr($0, 11, RLENGTH - 13)
      if (own != other && other ~ /^proxy\//) print own, other
    }' "$@" | tsort 2>&1 >/dev/null | awk '
    /contains a loop/ { printf "%suser/proxy: modules include each other in a circle:", separator; separator = "\n"; next }
    { printf " %s", $2 }
    END { if (separator) print "" }')"
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
  check_directories "${user[@]}"
  check_circles user/proxy/**/*.[ch]
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
