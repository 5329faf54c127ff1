#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# The tutorial from end to end, and what must hold around it: tags come from the agent alone, they travel by
# baggage, a broken manifest changes nothing, and nothing stays behind.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh

users=(0001 0002 0003 0004 0005)

play_step() { # STEP
  local files user
  start_apps_of_step "$1"
  mapfile -t files < <(manifests_of_step "$1")
  claim "step $1: the running agent takes the manifests" apply_and_wait "${files[@]}"
  for user in "${users[@]}"; do
    claim_equal "step $1: user $user gets the tutorial's line" "$(ask "$user")" "$(expected_line "$1" "$user")"
  done
}

# As the tutorial's text has it, app-b's range is 100: everybody gets app-b v2.
step_2_as_written() {
  local user line
  claim "step 2 as written is taken" apply_and_wait "$TUTORIAL/step2/as-written/hash-tagging-plugin.yaml"
  for user in "${users[@]}"; do
    line=$(expected_line 2 "$user")
    line=${line/app-b(version: v1, ip: 10.0.250.6)/app-b(version: v2, ip: 10.0.250.8)}
    claim_equal "step 2 as written: user $user gets app-b v2" "$(ask "$user")" "$line"
  done
}

apps_pass_on_baggage_alone() {
  start client echo "$build/tests/apps/mock_app" --echo --port 9001
  start client caller "$build/tests/apps/mock_app" --port 9002 --next 127.0.0.1:9001 --next-host echo
  local answer
  answer=$(in_client curl -s --retry 20 --retry-connrefused --retry-delay 1 --max-time 5 -H 'x-user-id: 0005' \
    -H 'appver-a: v2' -H 'baggage: a=1' -H 'traceparent: 00-1-1-00' http://127.0.0.1:9002/ | tr -d '\r')
  claim_equal "the mock application passes on baggage and nothing else" \
    "$(sed 's/^-> .*)//' <<<"$answer")" $'GET /\nHost: echo\nbaggage: a=1\n\n0 bytes of content'
  stop caller
  stop echo
}

add_probe() {
  network_add_pod probe 10.0.250.99
  start probe probe "$build/tests/apps/mock_app" --echo --address 10.0.250.99
  claim "a probe can be added to app-a" apply_and_wait tests/e2e/tutorial/probe.yaml
}

# What the probe got that speaks of tags, sorted.
tags_seen() { # USER CURL-OPTION…
  local request
  request=$(ask "$@" -H 'x-probe: yes' | tr -d '\r')
  grep -q '^GET / *$' <<<"$request" || echo "not the probe's answer: $request"
  grep -iE '^(trailer )?(appver|baggage)' <<<"$request" | LC_ALL=C sort
}

forge() { # WHAT CURL-OPTION…
  local what=$1
  shift
  claim_equal "forged tags ($what) don't reach the application of a user without a lane" "$(tags_seen 0001 "$@")" ''
  claim_equal "forged tags ($what) don't choose a lane" "$(ask 0001 "$@")" "$(expected_line 3 0001)"
  claim_equal "forged tags ($what) don't displace the lane of user 0005" "$(ask 0005 "$@")" "$(expected_line 3 0005)"
}

forged_tags_are_removed() {
  claim_equal "the application of user 0005 gets each tag once, as header and as baggage" "$(tags_seen 0005)" \
    $'appver-a: v2\nappver-b: v2\nappver-c: v3\nbaggage: appver-a=v2,appver-b=v2,appver-c=v3'
  forge "plain" -H 'appver-a: v2' -H 'appver-b: v2' -H 'appver-c: v3'
  forge "in another case" -H 'APPVER-A: v2' -H 'AppVer-b: v2' -H 'appver-C: v3'
  forge "with _ for -" -H 'appver_a: v2' -H 'Appver_B: v2' -H 'APPVER_C: v3'
  forge "repeated" -H 'appver-a: v1' -H 'appver-a: v2' -H 'appver-c: v3' -H 'appver-c: v3'
  forge "in baggage" -H 'baggage: appver-a=v2,appver-b=v2,appver-c=v3'
  forge "in baggage, written otherwise" -H 'Baggage: APPVER-A = v2 ; p=1' -H 'baggage: appver_b=v2,appver%2Dc=v3'
  claim_equal "baggage that is no tag stays" "$(tags_seen 0001 -H 'baggage: tenant=7,appver-a=v2')" 'baggage: tenant=7'
}

# curl can't send trailers: bytes by hand.
forged_trailers_are_removed() {
  local answer
  answer=$(in_client bash -c 'exec 3<>"/dev/tcp/$0/80" && printf "%b" "$1" >&3 && timeout 5 cat <&3' "$NODE_ADDRESS" \
    'POST / HTTP/1.1\r\nHost: x\r\nx-user-id: 0001\r\nx-probe: yes\r\nTransfer-Encoding: chunked\r\nTrailer: appver-a, x-sum\r\nConnection: close\r\n\r\n2\r\nhi\r\n0\r\nappver-a: v2\r\nAppver_B: v2\r\nbaggage: appver-c=v3\r\nx-sum: 1\r\n\r\n' |
    tr -d '\r')
  claim "a request with trailers arrives" grep -q '^2 bytes of content' <<<"$answer"
  claim_equal "tags in trailers are removed" "$(grep -iE '^trailer (appver|baggage)' <<<"$answer")" ''
  claim "other trailers stay" grep -qix 'trailer x-sum: 1' <<<"$answer"
}

failures() { metric 'lanetag_configuration_reloads_total{result="failure"}'; }

wait_for_failure() { # FAILURES-SO-FAR
  local tries=50
  while [ $((tries--)) -gt 0 ]; do
    [ "$(failures)" -gt "$1" ] && return 0
    sleep 0.1
  done
  return 1
}

broken_manifests_change_nothing() {
  local before generation
  before=$(failures)
  generation=$(metric lanetag_configuration_generation)
  printf 'apiVersion: v1\nkind: Pod\nmetadata: {name: broken\n' >"$manifests/broken.yaml"
  claim "a manifest that is no YAML is refused, and counted" wait_for_failure "$before"
  claim_equal "a metric says that the newest manifests are not in force" \
    "$(metric lanetag_configuration_last_reload_successful)" 0
  claim_equal "the last good configuration stays in force" "$(metric lanetag_configuration_generation)" "$generation"
  claim "the log names the place" grep -q 'broken.yaml:[0-9]*:[0-9]*' "$work/agent.log"
  claim_equal "users get what they got before" "$(ask 0005)" "$(expected_line 3 0005)"
  before=$(failures)
  rm "$manifests/broken.yaml"
  wait_for_configuration "$generation"
  generation=$(metric lanetag_configuration_generation)
  sed 's/subset: v3/subst: v3/' "$TUTORIAL/step4/app-c-mesh.yaml" >"$work/app-c-mesh.yaml"
  apply "$work/app-c-mesh.yaml"
  claim "a VirtualService with a misspelled field is refused" wait_for_failure "$before"
  claim_equal "users still get what they got before" "$(ask 0005)" "$(expected_line 3 0005)"
  apply "$TUTORIAL/step3/app-c-v3-mesh.yaml"
  claim "with the fault mended the agent goes on" wait_for_configuration "$generation"
}

kernel_decided() {
  if ! use_kernel; then
    skip "the kernel decided" LANETAG_SKIP_KERNEL
    return
  fi
  claim_equal "the kernel tagger is active" "$(metric lanetag_kernel_tagger_active)" 1
  claim "most decisions at the gateway were the kernel's" test \
    "$(metric 'lanetag_decisions_total{mark="agreed"}')" -gt "$(metric 'lanetag_decisions_total{mark="unused"}')"
  bpftool map dump pinned "$pins/lane_marks" >"$work/lane_marks"
  claim "a dump of the marks shows names and fields" grep -q '"remote_port": [1-9]' "$work/lane_marks"
  claim "a dump of the counters shows lanes" bpftool map dump pinned "$pins/lane_counters"
  tagger=$(bpftool --json prog show pinned "$pins/program" | jq .id)
  claim "the program is loaded and pinned" test "$tagger" -gt 0
}

# The kernel frees a program a moment after its last user went.
wait_for_no_program() { # ID
  local tries=50
  while [ $((tries--)) -gt 0 ]; do
    bpftool prog show id "$1" >/dev/null 2>&1 || return 0
    sleep 0.1
  done
  return 1
}

nothing_stays() {
  stop agent
  claim_equal "SIGTERM ends the agent with status 0" "$?" 0
  claim "no pin stays" test ! -e "$pins"
  claim_equal "no filter stays" "$(in_node bpftool --json net | jq -c 'map(.tc // []) | add')" '[]'
  ! use_kernel || claim "no program stays" wait_for_no_program "$tagger"
  tutorial_clean_up
  trap - EXIT
  claim_equal "no namespace stays" "$(ip netns list | grep "^$network-")" ''
}

main() {
  local requests failed options=()
  use_kernel || options=(--no-kernel)
  set_up_cluster
  start_agent ${options+"${options[@]}"}
  play_step 1
  start_background_clients
  play_step 2
  step_2_as_written
  play_step 3
  apps_pass_on_baggage_alone
  add_probe
  forged_tags_are_removed
  forged_trailers_are_removed
  broken_manifests_change_nothing
  play_step 4
  read -r requests failed < <(stop_background_clients)
  claim "clients went on through all changes" test "$requests" -gt 50
  claim_equal "none of their requests failed" "$failed" 0
  claim_equal "kernel and agent never disagreed" "$(metric lanetag_decision_disagreements_total)" 0
  kernel_decided
  nothing_stays
  finish
}

main
