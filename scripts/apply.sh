#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Does to a directory what `kubectl apply` does to a cluster: one file per resource, so that a resource that is
# applied again takes the place of the old one. The text of each stays as it is.
#
#   scripts/apply.sh DIRECTORY FILE…
#
# Files are written under a name that the agent passes over and renamed into place: what others refer to first,
# then VirtualServices, then WasmPlugins, so that every state in between is valid.
set -euo pipefail

if [ "$#" -lt 2 ]; then
  echo "usage: $0 DIRECTORY FILE…" >&2
  exit 2
fi
directory=$1
shift
mkdir -p "$directory"
staging=$(mktemp -d "$directory/.apply-XXXXXX")
trap 'rm -rf "$staging"' EXIT

# Prints "RANK FILE-NAME STAGED-FILE" for each document.
split_documents='
function value(line) { sub(/^[^:]*: */, "", line); sub(/ *(#.*)?$/, "", line); gsub(/["\047]/, "", line); return line }
function finish(    rank) {
  if (kind == "" && name == "") { close(staged); number++; text = ""; return }
  if (kind == "" || name == "") { print FILENAME ": a document without kind or name" > "/dev/stderr"; exit 1 }
  if (namespace == "") namespace = "default"
  rank = kind == "WasmPlugin" ? 3 : kind == "VirtualService" ? 2 : 1
  staged = staging "/" prefix "-" ++number ".yaml"
  printf "%s", text > staged
  close(staged)
  print rank, kind "." namespace "." name ".yaml", staged
  text = ""
}
function begin() { kind = name = namespace = ""; in_metadata = 0 }
BEGIN { begin() }
/^---/ { finish(); begin(); next }
{ text = text $0 "\n" }
/^kind:/ { kind = value($0) }
/^[^ #]/ { in_metadata = /^metadata:/ }
in_metadata && /^  name:/ { name = value($0) }
in_metadata && /^  namespace:/ { namespace = value($0) }
END { finish() }
'

number=0
for file in "$@"; do
  number=$((number + 1))
  awk -v staging="$staging" -v prefix="$number" "$split_documents" "$file" >>"$staging/list"
done
sort -s -n -k 1,1 "$staging/list" | while read -r _ name staged; do
  mv -f "$staged" "$directory/$name"
done
