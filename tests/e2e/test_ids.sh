#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# What is given as --users by mistake is said: how many lines look unlike ids. They count as ids all the same.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh

lanetag=$build/lanetag
rules=examples/tutorial/step3/wasm-plugin-ab-v2-c-v3.yaml
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

warning() { # of simulate for the ids on standard input
  "$lanetag" simulate --config "$rules" --users - 3>&1 >"$work/out" 2>&3
}

claim_equal "ids of every usual form are taken without a word" \
  "$(printf '%s\n' 0001 user-7 a.b@example.org 550e8400-e29b-41d4-a716-446655440000 'dGVzdA==' 'Grüße' x:y/z 'a+b' _1 | warning)" ""
claim_equal "a comment" "$(printf '%s\n' '# users of May' 0001 | warning)" \
  "lanetag simulate: -: 1 of 2 lines look unlike ids (line 1: a comment); they count as ids all the same"
claim_equal "a table" "$(printf '%s\n' 'id,name' '1,Ann' '2,Bob' | warning)" \
  "lanetag simulate: -: 3 of 3 lines look unlike ids (line 1: a row of a table); they count as ids all the same"
claim_equal "an empty line" "$(printf '%s\n' 0001 '' 0002 | warning)" \
  "lanetag simulate: -: 1 of 3 lines look unlike ids (line 2: empty); they count as ids all the same"
claim_equal "a rule of dashes" "$(printf '%s\n' 0001 '---' | warning)" \
  "lanetag simulate: -: 1 of 2 lines look unlike ids (line 2: neither letters nor digits); they count as ids all the same"
claim_equal "JSON" "$(printf '%s\n' '{"id":1}' | warning)" \
  "lanetag simulate: -: 1 of 1 lines look unlike ids (line 1: quotes or brackets); they count as ids all the same"
claim "they count as ids all the same" grep -qx '1 ids' "$work/out"

looks_unlike() { # COMMAND ARGUMENT…
  grep -qE "README.md: [0-9]+ of $(wc -l <README.md) lines look unlike ids \(line 1: a comment\)" <<<"$("$lanetag" "$@" 3>&1 >/dev/null 2>&3)"
}
claim "a README given to simulate" looks_unlike simulate --config "$rules" --users README.md
claim "a README given to explain" looks_unlike explain --config "$rules" --users README.md
claim "a README given to diff" looks_unlike diff --users README.md "$rules" examples/tutorial/step2/hash-tagging-plugin.yaml
apply_steps "$work/manifests" 3
claim "a README given to ramp" looks_unlike ramp --config "$work/manifests" --control '' --users README.md appver-c 75
claim "the answer as JSON stays whole" \
  sh -c '"$1" simulate --config "$2" --users README.md -o json 2>/dev/null | jq -e . >/dev/null' - "$lanetag" "$rules"
finish
