#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Tag-only mode: the agent in front of an ingress gateway, two HAProxies that route by the tag headers; one more plays
# the mesh behind it. lanetag knows no route.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh

users=(0001 0002 0003 0004 0005)
ingress_address=([1]=10.0.250.101 [2]=10.0.250.102)
options=(--no-route istio-ingressgateway.istio-system:80 --listen 0.0.0.0:80)

start_ingress() { # NUMBER
  { [ -e "/run/netns/$network-ingress-$1" ] || network_add_pod "ingress-$1" "${ingress_address[$1]}"; } &&
    start "ingress-$1" "ingress-$1" env ADDRESS="${ingress_address[$1]}" haproxy -db -f tests/e2e/tag_only/ingress.cfg
}

start_cluster() {
  local step
  for step in 1 2 3; do start_apps_of_step "$step"; done
  start_ingress 1 && start_ingress 2 && start node mesh haproxy -db -f tests/e2e/tag_only/mesh.cfg
  network_add_pod probe 10.0.250.99 &&
    start probe probe "$build/tests/apps/mock_app" --echo --address 10.0.250.99
}

kernel_option() { use_kernel || echo --no-kernel; }

start_tag_only_agent() {
  # shellcheck disable=SC2046
  start_agent $(kernel_option) "${options[@]}" --control "$work/control.sock" --access-log "$work/access.log"
}

status_of() { ask "$1" -o /dev/null -w '%{http_code}'; }

# An endpoint that could not be connected to is left alone for up to 8 s.
wait_for_status() { # STATUS
  local tries=150
  until [ "$(status_of 0001)" = "$1" ] || [ $((tries--)) -eq 0 ]; do sleep 0.1; done
  status_of 0001
}

which_ingress() { ask "$@" -o /dev/null -D - | tr -d '\r' | sed -n 's/^x-ingress: //p'; }

users_meet_their_versions() {
  local user
  for user in "${users[@]}"; do
    claim_equal "user $user meets the versions of step 3" "$(ask "$user")" "$(expected_line 3 "$user")"
  done
}

its_affair_is_tags_alone() {
  claim_equal "nothing is said of routes, TLS and kinds that are Istio's" "$(grep -c 'manifest ' "$work/agent.log")" 0
  claim_equal "a route of the manifests is not followed" "$(status_of 0001 -H 'Host: shop.example')" 200
  claim_equal "the next hop gets the Host as it came" \
    "$(which_ingress 0001 -H 'Host: Any.Example:81' | cut -d' ' -f2)" 'Any.Example:81'
  claim_equal "requests are balanced between the Service's pods" \
    "$(for _ in {1..12}; do which_ingress 0001 | cut -d' ' -f1; done | sort -u | xargs)" \
    "${ingress_address[1]} ${ingress_address[2]}"
  claim_equal "no Service's address is listened on" \
    "$(in_node ss -Hltn | awk '{ print $4 }' | grep -c '^10.96.0.80')" 0
  claim_equal "the access log names the next hop, and no VirtualService" \
    "$(tail -1 "$work/access.log" | jq -c '[.cluster, .virtual_service, .tags]')" \
    '["istio-ingressgateway.istio-system.svc.cluster.local",null,{}]'
  claim_equal "explain agrees" \
    "$("$build/lanetag" explain --config "$manifests" "${options[@]}" --user 0003 | awk '{ print $1, $2, $3 }' | tail -2 | paste -sd' ')" \
    "appver-c v3 header istio-ingressgateway.istio-system.svc.cluster.local -> any"
  claim "check finds no fault" "$build/lanetag" check "${options[@]}" "$manifests"
}

tags_seen() { # USER CURL-OPTION…
  ask "$@" -H 'x-probe: yes' | tr -d '\r' | grep -iE '^(trailer )?(appver|baggage)' | LC_ALL=C sort
}

forged_tags_are_removed() {
  claim_equal "the gateway gets each tag once, as header and as baggage" "$(tags_seen 0005 -H 'appver-a: v9')" \
    $'appver-a: v2\nappver-b: v2\nappver-c: v3\nbaggage: appver-a=v2,appver-b=v2,appver-c=v3'
  claim_equal "forged tags don't reach it" \
    "$(tags_seen 0001 -H 'appver-a: v2' -H 'APPVER_B: v2' -H 'baggage: tenant=7,appver-c=v3')" 'baggage: tenant=7'
  claim_equal "and don't choose a version" \
    "$(ask 0001 -H 'appver-a: v2' -H 'baggage: appver-b=v2,appver-c=v3')" "$(expected_line 3 0001)"
}

kernel_marks_are_used() {
  use_kernel || { skip "the kernel's marks agree" "no kernel tagger"; return; }
  claim "the kernel's marks agree" [ "$(metric 'lanetag_decisions_total{mark="agreed"}')" -gt 0 ]
  claim_equal "and agree" "$(metric lanetag_decision_disagreements_total)" 0
}

a_reload_moves_users() {
  local plugin=$TUTORIAL/step3/wasm-plugin-ab-v2-c-v3.yaml answer
  start_background_clients
  sed '0,/range: 10$/s//range: 99/' "$plugin" >"$work/everybody.yaml"
  claim "other ratios are taken while requests come in" apply_and_wait "$work/everybody.yaml"
  answer=$(ask 0001)
  claim "they hold for the next request" grep -q 'app-a(version: v2' <<<"$answer"
  start node next "$build/lanetag" run --config "$manifests" --admin "$ADMIN" --pin-directory "$pins" \
    "$(use_kernel && echo --interface=* || echo --no-kernel)" "${options[@]}" --control "$work/control.sock" --takeover
  wait "${processes[agent]}"
  claim_equal "a next agent takes over" $? 0
  processes[agent]=${processes[next]}
  unset 'processes[next]'
  claim "with the first ratios after a reload" apply_and_wait "$plugin"
  claim_equal "these hold too" "$(ask 0001)" "$(expected_line 3 0001)"
  claim_equal "neither cost a request" "$(stop_background_clients | awk '{ print ($1 > 0), $2 }')" '1 0'
}

the_next_hop_dies_and_returns() {
  stop ingress-1
  claim_equal "one dead pod of two costs no request" \
    "$(for _ in {1..10}; do status_of 0001; echo; done | sort | uniq -c | xargs)" '10 200'
  stop ingress-2
  claim_equal "without any the answer is 503" "$(status_of 0001)" 503
  start_ingress 1
  start_ingress 2
  claim_equal "their return heals it" "$(wait_for_status 200)" 200
}

an_address_is_a_next_hop_too() {
  stop agent
  options=(--no-route "${ingress_address[2]}:8080" --listen "$NODE_ADDRESS:80")
  start_tag_only_agent
  claim "an agent with an address for its next hop starts" wait_for_configuration 0
  claim_equal "and sends requests there" "$(which_ingress 0005 | cut -d' ' -f1)" "${ingress_address[2]}"
  claim_equal "with their tags" "$(ask 0005)" "$(expected_line 3 0005)"
}

wrong_usage() { # OPTION…
  "$build/lanetag" run --config "$manifests" "$@" >/dev/null 2>&1
  [ $? -eq 2 ]
}

wrong_options_are_refused() {
  claim "--listen alone" wrong_usage --listen 0.0.0.0:80
  claim "two next hops" wrong_usage --no-route 10.0.0.1:80 --no-route 10.0.0.2:80
  claim "a next hop without a port" wrong_usage --no-route istio-ingressgateway
  claim "interception of calls, without routes" wrong_usage --no-route 10.0.0.1:80 --intercept 10.0.250.1
}

set_up_cluster
start_cluster
apply "$TUTORIAL/step2/header-propagation.yaml" "$TUTORIAL/step3/wasm-plugin-ab-v2-c-v3.yaml" &&
  cp tests/e2e/tag_only/istio.yaml "$manifests" || give_up "manifests can be written"
start_tag_only_agent
wait_for_configuration 0 || give_up "the agent serves in tag-only mode"
claim_equal "the ingress gateway is up" "$(wait_for_status 200)" 200
users_meet_their_versions
its_affair_is_tags_alone
forged_tags_are_removed
kernel_marks_are_used
a_reload_moves_users
the_next_hop_dies_and_returns
an_address_is_a_next_hop_too
wrong_options_are_refused
finish
