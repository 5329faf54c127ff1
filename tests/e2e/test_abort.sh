#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# lanetag abort, and that abort, promote and ramp to 0 hold for every user whatever the manifests are; several at once.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh

lanetag=$build/lanetag
work=$(mktemp -d "${TMPDIR:-/tmp}/lanetag-abort-XXXXXX")
trap 'rm -rf "$work"' EXIT

steer() { # COMMAND ARGUMENT…: in $folder, without an agent
  "$lanetag" "$1" --config "$folder" -n 2000 --control '' "${@:2}" >"$work/out" 2>"$work/err"
}

make_folder() { # NAME: the tutorial's manifests up to step 3
  folder=$work/$1
  apply_steps "$folder" 3
}

met() { # HOST: the versions that users meet
  seq -f 'user-%.0f' 2000 | "$lanetag" explain --config "$folder" --users - -o json |
    jq -r --arg host "$1." '.routes[] | select(.host // "" | startswith($host)) | .subset' | sort -u | tr '\n' ' '
}

digest() {
  (cd "$folder" && sha256sum -- *.yaml)
}

everyone_goes_back() {
  local before
  make_folder back
  before=$(digest)
  steer abort app-c
  claim_equal "without --yes abort is only shown" "$? $(digest)" "0 $before"
  claim "with the version that users go back to" grep -qx 'stable version of app-c: v2' "$work/out"
  steer abort --yes --reason 'v3 answers 500' app-c
  claim_equal "abort takes effect at once, without --allow-back" "$? $(met app-c)" '0 v2 '
  steer rollback --list -o json
  claim_equal "the reason is kept" "$(jq -r '.history[0].before' "$work/out")" 'abort app-c: v3 answers 500'
  steer abort --yes app-c
  claim_equal "once more there is nothing to change" "$? $(grep -c 'nothing to change' "$work/out")" '0 1'
  steer rollback --yes
  claim_equal "an abort can be rolled back" "$? $(digest)" "0 $before"
  steer promote --yes --allow-back app-c v2
  claim_equal "promote to the stable version ends the canary, too" "$? $(met app-c)" '0 v2 '
  make_folder several
  steer abort --yes app-a appver-b app-c
  claim_equal "hosts and rules in one step" "$? $(met app-a)$(met app-b)$(met app-c)" '0 v1 v1 v2 '
  claim_equal "which is one change" "$(ls "$folder/.lanetag/history" | wc -l)" 1
  before=$(digest)
  steer abort --yes app-a nothing
  claim_equal "an unknown name is refused, and nothing changed" "$? $(digest)" "1 $before"
  claim "and the rules and hosts that there are are named" grep -qE "there are: .*appver-b/v2.*there are: app-a" "$work/err"
}

several_at_once() {
  local before
  make_folder ramps
  steer ramp --yes appver-a=30 appver-b=30
  claim_equal "two rules in one step" "$? $(grep -c 'range: 29' "$folder"/WasmPlugin.*) $(ls "$folder/.lanetag/history" | wc -l)" '0 2 1'
  before=$(digest)
  steer ramp --yes appver-a=40 appver-b=10
  claim_equal "all or none: one that is refused" "$? $(digest)" "1 $before"
  steer ramp --yes appver-a=40 appver-b=140
  claim_equal "a share of more than 100 is wrong usage" "$? $(digest)" "2 $before"
  steer ramp --yes appver-a=40 appver-b
  claim_equal "a name without a share is wrong usage" "$? $(grep -c "'appver-b' is not NAME=VALUE" "$work/err")" '2 1'
  steer promote --yes app-a=v2 app-b=v2
  claim_equal "two hosts in one step" "$? $(met app-a)$(met app-b)$(ls "$folder/.lanetag/history" | wc -l)" '0 v2 v2 2'
}

everyone_goes_back
several_at_once
claim "after abort, promote and ramp to 0, explain of 10,000 users says so, whatever the manifests are" \
  python3 tests/e2e/steer/everyone.py "$lanetag" 4
claim "nor does a match on a path beside the one on a tag say what is stable" \
  python3 tests/e2e/steer/everyone.py "$lanetag" 4 1
finish
