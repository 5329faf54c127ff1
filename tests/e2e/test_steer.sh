#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# lanetag promote, ramp and rollback: what they make of the tutorial's manifests, with and without an agent that
# serves them; what is refused changes nothing; an interrupted change is finished.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh

lanetag=$build/lanetag

# Directories are told apart by their manifests alone.
digest() { # DIRECTORY
  (cd "$1" && cat -- *.yaml && ls -- *.yaml) | sha256sum
}

steer() { # COMMAND ARGUMENT…: in $folder, with no agent but $control's
  "$lanetag" "$1" --config "$folder" --count 2000 --control "${control:-}" "${@:2}" >"$work/out" 2>"$work/err"
}

claim_refused() { # WHAT PATTERN COMMAND…
  local what=$1 pattern=$2 before status
  before=$(digest "$folder")
  shift 2
  steer "$@"
  status=$?
  claim_equal "$what is refused and changes nothing" "$status $(digest "$folder")" "1 $before"
  claim "and it is said why: $pattern" grep -qE "$pattern" "$work/err"
}

make_folder() { # NAME: the tutorial's manifests up to step 3
  folder=$work/$1
  apply_steps "$folder" 3
}

subsets() { # what the tutorial's users meet
  printf '%s\n' 0001 0002 0003 0004 0005 | "$lanetag" explain --config "$folder" --users - -o json |
    jq -r '[.user, .routes[].subset] | @tsv'
}

promotes() {
  local before file
  make_folder promoted
  before=$(digest "$folder")
  steer promote app-c v3
  claim_equal "without --yes it is only shown" "$? $(digest "$folder") $(ls -d "$folder/.lanetag" 2>&1 | wc -l)" "0 $before 1"
  claim "the diff is shown: the default route's subset" grep -qx '+            subset: v3' "$work/out"
  claim "who changes sides is told, and that nobody moves back" grep -qx 'nobody moves back' "$work/out"
  steer promote --yes app-c v3 -o json
  claim_equal "promote takes effect" "$? $(jq -c '[.applied, .files, .users.movedBack]' "$work/out")" \
    '0 [true,["VirtualService.default.app-c.yaml","WasmPlugin.istio-system.hash-tagging.yaml"],0]'
  claim_equal "users meet what the tutorial's step 4 says" "$(subsets)" \
    "$(awk '$1 == 4' "$TUTORIAL/expected.tsv" | cut -f2- | tr ' ' '\t')"
  for file in app-c-mesh:VirtualService.default.app-c wasm-plugin-promoted:WasmPlugin.istio-system.hash-tagging; do
    claim "the manifest is the tutorial's own of step 4: ${file%%:*}" \
      diff "$TUTORIAL/step4/${file%%:*}.yaml" "$folder/${file##*:}.yaml"
  done
  steer promote --yes app-c.default.svc.cluster.local v3
  claim "once more there is nothing to change" grep -q 'nothing to change' "$work/out"
}

rolls_back() {
  local before promoted
  make_folder rolled
  before=$(digest "$folder")
  steer promote --yes app-c v3
  promoted=$(digest "$folder")
  steer rollback
  claim_equal "rollback is only shown without --yes" "$(digest "$folder")" "$promoted"
  claim_equal "and says that users would move back, and how to let them" \
    "$(grep -c BACK "$work/out") $(tail -1 "$work/out")" '1 not applied: --yes --allow-back does'
  claim_refused "a rollback by which users move back" 'users would move back \(--allow-back lets them\)' rollback --yes
  steer rollback --yes --allow-back
  claim_equal "rollback gives the manifests back byte by byte" "$(digest "$folder")" "$before"
  claim "and tells who moves back" grep -q BACK "$work/out"
  steer rollback --list -o json
  claim_equal "the history tells what ended each configuration" "$(jq -c '[.history[] | [.n, .before]]' "$work/out")" \
    '[[1,"rollback"],[2,"promote app-c v3"]]'
  steer rollback --yes --allow-back 1
  claim_equal "a rollback can be rolled back" "$(digest "$folder")" "$promoted"
  claim_refused "a configuration that is not kept" 'nothing changed: .* 3 are kept' rollback --yes 4
  printf 'kind: [\n' >"$folder/broken.yaml"
  steer rollback --yes --allow-back 1
  claim_equal "one rolls back from manifests with errors; files that were not there go" "$? $(digest "$folder")" "0 $before"
  for share in $(seq 51 74); do steer ramp --yes --allow-back appver-a "$share"; done
  claim_equal "twenty configurations are kept" "$(ls "$folder/.lanetag/history" | wc -l)" 20
}

ramps() {
  make_folder ramped
  steer ramp --yes appver-c 75
  claim_equal "ramp changes the range alone, the comment stays" \
    "$(diff "$TUTORIAL/step3/wasm-plugin-ab-v2-c-v3.yaml" "$folder/WasmPlugin.istio-system.hash-tagging.yaml" | grep '^[<>]')" \
    '<           - range: 50 # 50% canary ratio for app-c
>           - range: 74 # 50% canary ratio for app-c'
  claim_refused "a smaller share" 'users would move back' ramp --yes appver-c/v3 50
  claim_refused "a share between two remainders" 'no whole number of remainders' ramp --yes appver-c 80.5
  claim_refused "an unknown rule" "no rule is named 'appver-x'; there are: appver-a/v2 appver-b/v2 appver-c/v3" ramp --yes appver-x 60
  claim_refused "an unknown host" 'there are: app-a.default.svc.cluster.local app-b' promote --yes app-x v3
  claim_refused "an unknown subset" 'there are: v2 v3' promote --yes app-c v9
  steer ramp --yes appver-c 175
  claim_equal "a share of more than 100 is wrong usage" $? 2
  steer ramp --yes --allow-back hash-tagging/appver-c/v3 20
  claim "--allow-back lets users move back" grep -q 'range: 19 #' "$folder/WasmPlugin.istio-system.hash-tagging.yaml"
}

other_forms() {
  folder=$work/forms
  mkdir "$folder"
  cat >"$folder/rules.yaml" <<'END'
# a comment
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: forms}
spec:
  pluginConfig:
    rules:
    - header: u
      tagHeader: a
      policies:
      - tagValue: v2   # the value first
        percent: 12.5  # then the share
    - header: u
      modulo: 1000
      tagHeader: b
      policies: [{slots: [100, 200], tagValue: v2}]
END
  steer ramp --yes a 12.75
  claim "percent is written to 0.01" grep -qx '        percent: 12.75  # then the share' "$folder/rules.yaml"
  steer ramp --yes b/v2 20
  claim "slots grow at their end, in one line too" grep -qF 'policies: [{slots: [100, 300], tagValue: v2}]' "$folder/rules.yaml"
  claim_refused "more than the slots can hold" "can't hold so much" ramp --yes b 95
}

one_at_a_time() {
  make_folder locked
  steer ramp --yes appver-c 60
  local before pods
  before=$(digest "$folder")
  pods=$("$lanetag" check "$folder" | grep -o '[0-9]* Pod' | cut -d' ' -f1)
  flock "$folder/.lanetag/lock" sleep 30 &
  local holder=$!
  until ! flock -n "$folder/.lanetag/lock" true; do sleep 0.05; done
  claim_refused "a command while another works" 'another command works here: ramp, process [0-9]+ of user' promote --yes app-c v3
  kill -- "$(pgrep -P "$holder" | head -1)" 2>/dev/null
  kill "$holder" 2>/dev/null
  wait "$holder" 2>/dev/null
  # As a command leaves it that dies in the midst: one file is in its place, one is not yet.
  mkdir "$folder/.lanetag/pending"
  sed 's/range: 59/range: 69/' "$folder/WasmPlugin.istio-system.hash-tagging.yaml" \
    >"$folder/.lanetag/pending/WasmPlugin.istio-system.hash-tagging.yaml"
  : >"$folder/.lanetag/pending/Pod.default.app-c-v3.yaml.removed"
  steer ramp appver-c 80
  claim_equal "without --yes an interrupted change stays as it is" "$(digest "$folder")" "$before"
  claim "but it is what is in force: the diff is to it" grep -q '^- .*range: 69 ' "$work/out"
  claim_equal "and what every command reads" \
    "$("$lanetag" check -o json "$folder" | jq -c '.rules[] | select(.tagHeader == "appver-c") | .policies[0].slots') $("$lanetag" check "$folder" | grep -o '[0-9]* Pod')" \
    "[[0,70]] $((pods - 1)) Pod"
  steer ramp --yes appver-c 80
  claim_equal "the next command finishes an interrupted change first" \
    "$? $(grep -c 'finished a change' "$work/err") $(grep -c '^-.*range: 69' "$work/out") $(ls "$folder/Pod.default.app-c-v3.yaml" "$folder/.lanetag/pending" 2>/dev/null)" \
    '0 1 1 '
  ln -s "$folder/VirtualService.default.app-c.yaml" "$work/link"
  mv "$folder/VirtualService.default.app-c.yaml" "$work/elsewhere.yaml"
  ln -s "$work/elsewhere.yaml" "$folder/VirtualService.default.app-c.yaml"
  steer promote --yes app-c v3
  claim_equal "a mounted link is not replaced" "$? $(grep -c 'is a link' "$work/err") $(grep -c 'range: 79' "$folder"/WasmPlugin.*)" '2 1 1'
}

# The agent reads a second directory, which the command does not know: together they can't be.
what_the_agent_refuses_is_taken_back() {
  local before history tries=20
  mv "$manifests/VirtualService.default.app-c.yaml" "$work/further/"
  wait_for_configuration "$generation"
  before=$(digest "$manifests")
  history=$(ls "$manifests/.lanetag/history")
  steer rollback --yes --allow-back 1 -o json # to what has this manifest, too
  claim_equal "what the agent refuses is taken back: status 1" \
    "$? $(jq -c '[.applied, .agent]' "$work/out") $(digest "$manifests")" "1 [false,\"refused\"] $before"
  claim "and it is said why" grep -q 'VirtualService.default.app-c.yaml:.*VirtualService/app-c' "$work/out"
  claim_equal "it leaves no trace in the history" "$(ls "$manifests/.lanetag/history")" "$history"
  until [ "$(metric lanetag_configuration_last_reload_successful)" = 1 ] || [ $((tries--)) -eq 0 ]; do sleep 0.1; done
  claim_equal "and the agent goes on with what was there" \
    "$(metric lanetag_configuration_last_reload_successful) $(ask 0001)" "1 $(expected_line 3 0001)"
  steer rollback --yes --allow-back 1
  claim "people are told, too" grep -q '^taken back, nothing changed; agent: refused: error ' "$work/out"
}

with_an_agent() {
  local step generation
  folder=$manifests control=$work/control.sock
  for step in 1 2 3; do start_apps_of_step "$step"; done
  apply_steps "$manifests" 3
  mkdir "$work/further"
  start_agent --no-kernel --control "$control" --config "$work/further"
  wait_for_configuration 0 || give_up "the agent serves step 3"
  claim_equal "user 0001 meets app-c v2 before" "$(ask 0001)" "$(expected_line 3 0001)"
  start_background_clients
  steer promote --yes app-c v3 -o json
  claim_equal "promote waits until the agent has it in force" \
    "$? $(jq -r '.agent' "$work/out")" '0 in force'
  generation=$(jq -r '.answer | ltrimstr("ok ")' "$work/out")
  claim_equal "and tells the generation" "$(metric lanetag_configuration_generation)" "$generation"
  claim_equal "user 0001 meets app-c v3 at once" "$(ask 0001)" "$(expected_line 4 0001)"
  steer rollback --yes --allow-back
  claim_equal "after a rollback user 0001 meets app-c v2 at once" "$(ask 0001)" "$(expected_line 3 0001)"
  read -r total failed < <(stop_background_clients)
  claim "requests went on meanwhile ($total)" [ "$total" -gt 0 ]
  claim_equal "and none failed" "$failed" 0
  what_the_agent_refuses_is_taken_back
  folder=$work/ramped
  steer ramp --yes appver-c 90
  claim "an agent that serves other manifests is left alone" grep -q 'agent: none: other manifests' "$work/out"
}

set_up_cluster
promotes
rolls_back
ramps
other_forms
one_at_a_time
with_an_agent
finish
