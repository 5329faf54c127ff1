#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# lanetag check and lanetag explain, as a person calls them: the tutorial's table from its own manifests, and a
# place for each error.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh

work=$(mktemp -d "${TMPDIR:-/tmp}/lanetag-check-XXXXXX")
trap 'rm -rf "$work"' EXIT
lanetag=$build/lanetag
step3=$TUTORIAL/step3/wasm-plugin-ab-v2-c-v3.yaml

explain_rows() { # CONFIG: "user tag-a tag-b tag-c remainder", a dash for no tag
  printf '%s\n' 0001 0002 0003 0004 0005 | "$lanetag" explain --config "$1" --users - -o json |
    jq -r '[.user, (.rules[] | .tagValue // "-"), .rules[0].remainder] | join(" ")'
}

versions_of_step() { # STEP: as explain's routes tell them
  local directory=$work/step$1
  apply_steps "$directory" "$1"
  printf '%s\n' 0001 0002 0003 0004 0005 | "$lanetag" explain --config "$directory" --users - -o json |
    jq -r --arg step "$1" '[$step, .user, .routes[].subset] | @tsv'
}

explains() {
  claim_equal "the tutorial's step 3 manifest, as it is, gives the tutorial's tags" "$(explain_rows "$step3")" \
    "0001 - - - 82
0002 - - - 63
0003 - - v3 44
0004 - - v3 25
0005 v2 v2 v3 6"
  claim_equal "step 2 as written gives every user app-b v2" \
    "$(explain_rows "$TUTORIAL/step2/as-written/hash-tagging-plugin.yaml" | cut -d' ' -f1-3)" \
    "$(printf '%s - v2\n' 0001 0002 0003 0004; echo 0005 v2 v2)"
  local step
  for step in 2 3 4; do
    claim_equal "step $step: the routes lead where the tutorial says" "$(versions_of_step "$step")" \
      "$(awk -v step="$step" '$1 == step' "$TUTORIAL/expected.tsv")"
  done
  claim_equal "explain's JSON has the documented shape" \
    "$("$lanetag" explain --config "$step3" --user 0005 -o json | jq -c '[keys, (.rules[0] | keys)]')" \
    '[["routes","rules","user"],["hash","header","remainder","tagHeader","tagValue"]]'
  claim "explain tells it as text" grep -q 'remainder 6' <("$lanetag" explain --config "$step3" --user 0005)
  claim_equal "an id of any bytes is explained in valid JSON" \
    "$(printf 'a"b\\\351\t\377\n' | "$lanetag" explain --config "$step3" --users - -o json | jq -r .user)" \
    "$(printf 'a"b\\\303\251\t\303\277')"
  printf 'a\001b\n0005\n' >"$work/users"
  claim_equal "an id that no header may hold is refused, the next is explained" \
    "$("$lanetag" explain --config "$step3" --users "$work/users" -o json 2>/dev/null | jq -r .user) $?" '0005 2'
}

# The first error of the step 3 plug-in changed by a sed script.
error_of() { # SED-SCRIPT
  sed "$1" "$step3" >"$work/bad.yaml"
  "$lanetag" check "$work/bad.yaml" 2>&1 >/dev/null | head -1 | sed "s|^$work/||"
}

claim_error() { # WHAT SED-SCRIPT PATTERN
  local error
  error=$(error_of "$2")
  claims=$((claims + 1))
  if grep -qE "$3" <<<"$error"; then
    echo "ok $claims - check names $1, and where"
  else
    report_failure "check names $1, and where" "is: $error"$'\n'"wanted: $3"
  fi
}

checks() {
  claim "check accepts the step 3 plug-in" "$lanetag" check "$step3"
  claim "check tells a range's true share: 11 of 100" \
    grep -qE '^ +v2 +11 of 100 ' <("$lanetag" check "$step3")
  claim "check tells how cohorts stand to each other" grep -q 'appver-a and appver-c: nested' <("$lanetag" check "$step3")
  claim_error "modulo 0" '0,/modulo: 100/s//modulo: 0/' '^bad.yaml:[0-9]+:[0-9]+: WasmPlugin/hash-tagging: .*modulo: '
  claim_error "an unknown hash" 's/modulo: 100/&\n        hash: md5/' '^bad.yaml:[0-9]+:[0-9]+: .*hash: '
  claim_error "a tag value with CR" 's/tagValue: v3/tagValue: "v\\r3"/' '^bad.yaml:32:[0-9]+: .*tagValue: '
  claim_error "a second rule for a tag header" 's/appver-c/appver-b/' '^bad.yaml:2[0-9]:[0-9]+: .*tagHeader: '
  sed 's/modulo: 100/modulo: 0/' "$step3" >"$work/bad.yaml"
  claim_equal "and as JSON what an agent makes of it" \
    "$("$lanetag" check -o json "$work/bad.yaml" 2>/dev/null | jq -c '[.valid, (.rejected | map([.kind, .name, .outcome]))]')" \
    '[false,[["WasmPlugin","hash-tagging","leftOut"]]]'
  mkdir -p "$work/nothing"
  "$lanetag" check "$work/nothing" "$step3" >"$work/out" 2>"$work/err"
  claim_equal "check of a directory without a manifest fails, and names it" \
    "$? $(grep -c "^$work/nothing: there is no manifest" "$work/err")" '1 1'
  claim_error "a field that nobody knows" 's/ range: 50.*/ ranje: 50/' '^bad.yaml:31:[0-9]+: .*ranje'
  claim_error "a range that can never match" \
    's/          - range: 50.*/          - range: 100\n            tagValue: v2\n&/' '^bad.yaml:3[0-9]:[0-9]+: .*can never match'
  claim_error "YAML that is none" '5s/.*/  : [/' '^bad.yaml:[0-9]+:[0-9]+: '
  printf 'spec: {}\n' >"$work/bad.yaml"
  "$lanetag" check "$work/bad.yaml" 2>/dev/null
  claim_equal "errors end check with status 1" $? 1
  "$lanetag" check 2>/dev/null
  claim_equal "no path is wrong usage, status 2" $? 2
  "$lanetag" run --config "$work/nowhere" --no-kernel --control '' 2>"$work/err"
  claim_equal "no agent starts with a path that is not there, and it says so once, with the path" \
    "$? $(grep -cF "reason=\"$work/nowhere: cannot read: No such file or directory\"" "$work/err")" '1 1'
  cp -r "$work/step3" "$work/dangling"
  sed -i 's/subset: v3/subset: v9/' "$work/dangling/VirtualService.default.app-c.yaml"
  claim "check names a subset that no DestinationRule has" grep -qE \
    'VirtualService.default.app-c.yaml:[0-9]+:[0-9]+: VirtualService/app-c: .*v9' <("$lanetag" check "$work/dangling" 2>&1)
  claim "check names the kinds that it passes over" grep -q 'passed over: 6 of apps/v1 Deployment' \
    <("$lanetag" check "$work/step3")
}

explains
checks
finish
