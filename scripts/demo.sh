#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Plays the tutorial, steps 1 to 4, on this machine: real processes in network namespaces, real packets, the kernel
# tagger on the node's interfaces, and manifests that change under a running agent. Then the last step once more with
# applications that forward nothing at all, where the kernel can follow threads. Each answer is held against
# examples/tutorial/expected.tsv. Ends with 0 only if all agree and no request failed; leaves nothing behind.
#
#   scripts/demo.sh [OPTION OF lanetag run…]    such as --no-kernel, or --intercept 10.0.250.1
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
build=${LANETAG_BUILD:-build}

# shellcheck source=scripts/tutorial.sh
. scripts/tutorial.sh

if [ -t 1 ]; then
  bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'
else
  bold='' dim='' green='' red='' plain=''
fi
agreed=0 differing=0 wanted=20

die() {
  printf '%s%s%s\n' "$red" "$*" "$plain" >&2
  [ ! -s "${work:-}/agent.log" ] || tail -20 "$work/agent.log" >&2
  exit 1
}

title() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }

show_answer() { # STEP USER
  local answer expected
  expected=$(expected_line "$1" "$2")
  answer=$(ask "$2")
  if [ "$answer" = "$expected" ]; then
    agreed=$((agreed + 1))
    printf '  %s  %s  %s%s%s\n' "$2" "$answer" "$green" ok "$plain"
  else
    differing=$((differing + 1))
    printf '  %s  %s  %s%s%s\n        %s (expected)\n' "$2" "$answer" "$red" DIFFERS "$plain" "$expected"
  fi
}

play_step() { # STEP TITLE
  local files user
  title "Step $1: $2"
  start_apps_of_step "$1" || die "no pods for step $1"
  mapfile -t files < <(manifests_of_step "$1")
  printf '%s  apply %s%s\n' "$dim" "${files[*]#"$TUTORIAL/"}" "$plain"
  apply_and_wait "${files[@]}" || die "step $1: the agent did not take the manifests"
  printf "%s  curl -H 'x-user-id: USER' %s%s\n" "$dim" "$NODE_ADDRESS" "$plain"
  for user in 0001 0002 0003 0004 0005; do show_answer "$1" "$user"; done
}

# As a user's code often is: no tag, no baggage, no id is passed on.
restart_apps_that_forward_nothing() {
  local pod app version tries
  app_options=(--forward-nothing)
  for pod in "${!pod_address[@]}"; do
    app=${pod%-*} version=${pod##*-}
    stop "$pod"
    start_app "$app" "$version" || return 1
  done
  for pod in "${!pod_address[@]}"; do
    tries=100
    until in_node bash -c "exec 3<>/dev/tcp/${pod_address[$pod]}/8000" 2>/dev/null; do
      [ $((tries--)) -gt 0 ] || return 1
      sleep 0.05
    done
  done
}

# A process is believed after 64 requests; of users of both versions, so that all are.
let_apps_earn_trust() {
  local user
  for user in 0001 0005; do
    in_client curl -s -o /dev/null --max-time 20 -H "x-user-id: $user" "http://$NODE_ADDRESS/?request=[1-70]"
  done
}

play_without_forwarding() {
  local user
  title "Beyond the tutorial: the same with applications that forward nothing"
  if ! grep -q 'threads are followed' "$work/agent.log"; then
    printf '  not here: it needs the kernel, and its tracepoint sock_recv_length (Linux 6.3)\n'
    return
  fi
  printf '%s  lanetag run … --pod-interface app-* --correlate-threads mock_app%s\n' "$dim" "$plain"
  restart_apps_that_forward_nothing || die "the applications did not start again"
  apply_and_wait examples/forward-nothing/header-propagation.yaml || die "the agent did not take the manifest"
  let_apps_earn_trust
  wanted=$((wanted + 5))
  for user in 0001 0002 0003 0004 0005; do show_answer 4 "$user"; done
  printf '%s  curl %s/metrics%s\n' "$dim" "$ADMIN" "$plain"
  metrics | grep -E '^lanetag_(propagation_total|threads_total\{event="(calls|given_up))' | sed 's/^/  /'
}

# Of 16384 slots one for each user that asked under the newest rules; what any program may read from the map.
show_marks() {
  title "What the kernel noted of the users' requests"
  printf '%s  bpftool map dump pinned %s/lane_marks   (one mark a user)%s\n' "$dim" "$pins" "$plain"
  bpftool map dump pinned "$pins/lane_marks" | jq -r '
    def address: .[-4:] | map(tostring) | join(".");
    def policy: if . == 255 then "untagged" elif . == 254 then "unknown" else "policy \(.)" end;
    [.[].value | select(.generation != 0)] | (map(.generation) | max) as $newest |
    map(select(.generation == $newest)) | unique_by(.remainder[0])[] |
    "  \(.connection.remote_address | address):\(.connection.remote_port) -> " +
    "\(.connection.local_address | address):\(.connection.local_port)  " +
    "generation \(.generation)  position \(.position)  remainders \(.remainder[:.rule_count])  " +
    "(\(.policy[:.rule_count] | map(policy) | join(", ")))"'
}

# Per lane, summed over the processors, with the tag header and value that the agent named the lane by.
show_counters() {
  title "Requests per lane, counted in the kernel"
  printf '%s  bpftool map dump pinned %s/lane_counters   (names from lane_names)%s\n' "$dim" "$pins" "$plain"
  jq -r -n --slurpfile counters <(bpftool map dump pinned "$pins/lane_counters") \
    --slurpfile names <(bpftool map dump pinned "$pins/lane_names") '
    ([$names[0][] | {(.key | tostring): .value}] | add) as $name_of |
    $counters[0][] | {lane: .key, requests: ([.values[].value] | add)} | select(.requests > 0) |
    $name_of[.lane | tostring] as $name |
    "  lane \(.lane)  \($name.tag_header): \($name.tag_value | if . == "" then "(untagged)" else . end)  \(.requests)"'
}

show_metrics() {
  title "The agent's metrics"
  printf '%s  curl %s/metrics%s\n' "$dim" "$ADMIN" "$plain"
  metrics | grep -E '^lanetag_(lane_requests_total|decisions_total|decision_disagreements|configuration_generation|interception)' |
    sed 's/^/  /'
}

clean_up() {
  trap - EXIT
  tutorial_clean_up
}

main() {
  local requests failed
  [ "$(id -u)" -eq 0 ] || die "The demo makes network namespaces and loads a BPF program: it needs root."
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  tutorial_set_up || die "no network namespaces"
  if [[ " $* " == *" --intercept "* ]]; then
    tutorial_make_cgroup || die "no cgroup v2"
    set -- "$@" --intercept-cgroup "$cgroup"
  fi

  printf '%slanetag: the tutorial on one node%s\n' "$bold" "$plain"
  printf 'client %s -> gateway %s:80 (the agent) -> app-a -> app-b -> app-c\n' "$CLIENT_ADDRESS" "$NODE_ADDRESS"
  start_agent --pod-interface 'app-*' --correlate-threads mock_app "$@"
  play_step 1 "the baseline"
  start_background_clients
  play_step 2 "canaries of app-a and app-b for 10 % of the users"
  play_step 3 "at the same time app-c v3 for 50 %"
  play_step 4 "app-c v3 for all"
  read -r requests failed < <(stop_background_clients)

  if [ -e "$pins/lane_marks" ]; then
    show_marks
    show_counters
  fi
  show_metrics
  play_without_forwarding

  title "Result"
  printf '  %d of %d answers as in the tutorial\n' "$agreed" $((agreed + differing))
  printf '  %d requests by clients that went on through all changes, %d failed\n' "$requests" "$failed"
  [ "$agreed" -eq "$wanted" ] && [ "$differing" -eq 0 ] && [ "$requests" -gt 0 ] && [ "$failed" -eq 0 ]
}

main "$@"
