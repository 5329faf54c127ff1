#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Interception: the applications call their Services' addresses, which lead to plain servers elsewhere, and the
# agent listens at none that they reach. Calls come to the agent all the same, as long as it serves; then they go
# directly again.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh

AGENT=$POD_GATEWAY AGENT_PORT=15001
AGENT_IPV6=fd00:250::1 POD_IPV6=fd00:250::27 SERVICE_IPV6=fd00:96::12
TAGGED=0005 # app-a, app-b: v2, app-c: v3

if ! use_kernel; then
  skip "interception" "LANETAG_SKIP_KERNEL=1"
  finish
fi

# Commands in a pod's namespace, and in its cgroup.
call_from() { # POD COMMAND…
  local pod=$1
  shift
  # shellcheck disable=SC2016
  in_pod "$pod" sh -c 'echo $$ >"$0"; exec "$@"' "$cgroup/cgroup.procs" "$@"
}

start_from() { # POD NAME COMMAND…
  local pod=$1 name=$2
  shift 2
  # shellcheck disable=SC2016
  start "$pod" "$name" sh -c 'echo $$ >"$0"; exec "$@"' "$cgroup/cgroup.procs" "$@"
}

# Behind the Services' addresses stands what a cluster without lanetag would have: a server that answers itself.
add_direct_way() {
  network_add_namespace direct && network_add_veth direct direct &&
    ip -n "$network-direct" route add local "$SERVICE_NETWORK" dev lo &&
    ip -n "$network-direct" route add default dev eth0 &&
    ip -n "$network-direct" -6 address add "$SERVICE_IPV6/128" dev lo nodad &&
    ip -n "$network-direct" -6 route add default dev eth0 &&
    ip -n "$network-direct" address add 10.0.251.2/32 dev eth0 &&
    ip -n "$network-node" route delete local "$SERVICE_NETWORK" dev lo &&
    ip -n "$network-node" route add "$SERVICE_NETWORK" dev direct &&
    in_node sysctl -qw net.ipv4.conf.direct.proxy_arp=1 net.ipv6.conf.all.forwarding=1 &&
    in_namespace direct sysctl -qw net.ipv4.conf.eth0.proxy_arp=1 &&
    start direct direct-b "$build/tests/apps/mock_app" --app app-b --version direct --address 10.96.0.11 --port 8000 &&
    start direct direct-c "$build/tests/apps/mock_app" --app app-c --version direct --address 10.96.0.12 --port 8000 &&
    start direct other-port "$build/tests/apps/mock_app" --app other --version direct --address 10.96.0.12 --port 9000
}

add_ipv6() {
  ip -n "$network-node" -6 address add "$AGENT_IPV6/128" dev app-a-v1 nodad &&
    ip -n "$network-node" -6 route add "$POD_IPV6" dev app-a-v1 &&
    ip -n "$network-app-a-v1" -6 address add "$POD_IPV6/128" dev eth0 nodad &&
    ip -n "$network-app-a-v1" -6 route add "$AGENT_IPV6" dev eth0 &&
    ip -n "$network-app-a-v1" -6 route add default via "$AGENT_IPV6"
}

start_intercepting_agent() { # OPTION…
  start_agent --intercept "$AGENT" --intercept "$AGENT_IPV6" --intercept-port "$AGENT_PORT" --intercept-cgroup "$cgroup" \
    --control "$work/control" "$@"
  join_cgroup agent # its own calls must not come back to it
}

start_everything() {
  local step
  set_up_cluster
  tutorial_make_cgroup || give_up "a cgroup can be made"
  add_direct_way || give_up "the direct way can be set up"
  for step in 1 2 3; do start_apps_of_step "$step"; done
  add_ipv6 || give_up "the pod can have an IPv6 address"
  apply_steps "$manifests" 3 || give_up "manifests can be applied"
  start_intercepting_agent
  claim "the agent starts with interception" wait_for_configuration 0
}

direct_line() { # what the client gets where app-a's call goes directly
  echo "-> app-a(version: v2, ip: ${pod_address[app-a-v2]})-> app-b(version: direct, ip: 10.96.0.11)"
}

# Bounded: a second, and what a busy machine may add to it.
eventually() { # WANTED COMMAND…
  local wanted=$1 tries=50 is=''
  shift
  while [ $((tries--)) -gt 0 ]; do
    is=$("$@")
    [ "$is" != "$wanted" ] || return 0
    sleep 0.1
  done
  echo "is: $is"
  return 1
}

event() { metric "lanetag_interception_total{event=\"$1\"}"; }

calls_are_tagged() {
  claim_equal "a tagged user's calls go through the chain by tags" "$(ask "$TAGGED")" "$(expected_line 3 "$TAGGED")"
  claim_equal "and another user's" "$(ask 0001)" "$(expected_line 3 0001)"
  claim "connections are counted" test "$(event redirected)" -ge 2
  claim_equal "every one of them was accepted as such" "$(metric lanetag_interception_accepted_total)" "$(event redirected)"
}

other_traffic_is_untouched() {
  local before after
  before=$(event redirected)
  claim "a port that is none of the mesh's goes where it went" grep -q 'other(version: direct' \
    <(call_from app-a-v1 curl -s --max-time 5 http://10.96.0.12:9000/)
  claim "a call of a process outside of the cgroup too" grep -q 'app-c(version: direct' \
    <(in_pod app-a-v1 curl -s --max-time 5 http://10.96.0.12:8000/)
  after=$(event redirected)
  claim_equal "and none is counted" "$after" "$before"
  claim_equal "the application sees the address that it called" \
    "$(call_from app-a-v1 curl -s --max-time 5 -o /dev/null -w '%{remote_ip}:%{remote_port}' http://10.96.0.12:8000/)" \
    10.96.0.12:8000
}

# A Service that comes while the agent runs; its routes say who called.
write_new_service() {
  cat >"$work/new-service.yaml" <<END
apiVersion: v1
kind: Service
metadata:
  name: whose
spec:
  clusterIPs: [10.96.0.13, "$SERVICE_IPV6"]
  ports:
    - port: 8000
      name: http
  selector:
    app: app-c
---
apiVersion: networking.istio.io/v1beta1
kind: VirtualService
metadata:
  name: whose
spec:
  hosts: [whose]
  http:
    - match:
        - sourceLabels:
            app: app-a
      directResponse:
        status: 203
    - directResponse:
        status: 202
END
}

status_from() { # POD CURL-OPTION…
  local pod=$1
  shift
  call_from "$pod" curl -s --max-time 5 -o /dev/null -w '%{http_code}' -H 'Host: whose' "$@"
}

callers_are_known() {
  write_new_service
  claim "a Service can be added" apply_and_wait "$work/new-service.yaml"
  claim_equal "its calls are intercepted, and the caller is known by its labels" \
    "$(status_from app-a-v1 http://10.96.0.13:8000/)" 203
  claim_equal "also one who is another" "$(status_from app-b-v1 http://10.96.0.13:8000/)" 202
  claim_equal "by IPv6 too" "$(status_from app-a-v1 "http://[$SERVICE_IPV6]:8000/")" 202
  claim_equal "and an IPv6 socket's call of a mapped address" \
    "$(status_from app-a-v1 'http://[::ffff:10.96.0.13]:8000/')" 203
  claim_equal "whose application sees what it called" \
    "$(status_from app-a-v1 -w '%{remote_ip}' "http://[$SERVICE_IPV6]:8000/")" "$SERVICE_IPV6"
  rm "$manifests"/*whose* && claim "a Service can be removed" eventually 3 \
    metric lanetag_interception_destinations
}

# Unselected pods' calls go directly, and the tutorial's selection stands again afterwards.
pods_are_selected() {
  local before
  sed '/^spec:/a\  workloadSelector:\n    labels:\n      app: app-a' "$TUTORIAL/step2/header-propagation.yaml" \
    >"$work/header-propagation.yaml"
  claim "a workloadSelector can be set" apply_and_wait "$work/header-propagation.yaml"
  before=$(event unselected)
  claim_equal "the calls of a pod that isn't selected go directly" \
    "$(call_from app-b-v1 curl -s --max-time 5 http://10.96.0.12:8000/)" "-> app-c(version: direct, ip: 10.96.0.12)"
  claim_equal "and are counted" "$(event unselected)" $((before + 1))
  claim "those of one that is are intercepted" grep -q 'app-c(version: v' \
    <(call_from app-a-v1 curl -s --max-time 5 http://10.96.0.12:8000/)
  claim "all pods can be selected again" apply_and_wait "$TUTORIAL/step2/header-propagation.yaml"
  claim "and are" grep -q 'app-c(version: v' <(call_from app-b-v1 curl -s --max-time 5 http://10.96.0.12:8000/)
}

# Calls on and on, a connection each, while an agent takes over and while hosts are added and removed.
nothing_passes_by() {
  local url="http://10.96.0.12:8000/?request=[1-100000]"
  start_from app-b-v1 calls curl -s --max-time 60 --rate 200/s -w '\nstatus %{http_code}\n' -H 'Connection: close' "$url"
  apply_and_wait "$work/new-service.yaml"
  processes[before]=${processes[agent]}
  start_intercepting_agent --takeover
  claim "another agent takes over" eventually yes sh -c "kill -0 ${processes[before]} 2>/dev/null || echo yes"
  unset 'processes[before]'
  rm "$manifests"/*whose*
  claim "and follows the manifests" eventually 3 metric lanetag_interception_destinations
  stop calls
  claim "calls went on meanwhile" test "$(grep -o 'app-c' "$work/calls.log" | wc -l)" -ge 20
  claim_equal "none of them went directly, and none failed" \
    "$(grep -E 'version: direct|^status ' "$work/calls.log" | sort -u)" "status 200"
}

strangers_are_refused() {
  local before
  before=$(metric lanetag_interception_strangers_total)
  claim_equal "who comes to the port by himself is refused" \
    "$(in_pod app-a-v1 curl -s --max-time 5 -o /dev/null -w '%{http_code}' "http://$AGENT:$AGENT_PORT/")" 000
  claim_equal "and counted" "$(metric lanetag_interception_strangers_total)" $((before + 1))
}

agent_dies() {
  kill -KILL "${processes[agent]}"
  wait "${processes[agent]}" 2>/dev/null
  unset 'processes[agent]'
}

fails_open() {
  agent_dies
  claim "after SIGKILL calls go directly" eventually "-> app-c(version: direct, ip: 10.96.0.12)" \
    call_from app-b-v1 curl -s --max-time 1 http://10.96.0.12:8000/
  start_intercepting_agent
  claim "the agent comes back" wait_for_configuration 0
  claim "and with it the tags" eventually "$(expected_line 3 "$TAGGED")" ask "$TAGGED"
  kill -STOP "${processes[agent]}"
  claim "while the agent hangs calls go directly" eventually "-> app-c(version: direct, ip: 10.96.0.12)" \
    call_from app-b-v1 curl -s --max-time 1 http://10.96.0.12:8000/
  kill -CONT "${processes[agent]}"
  claim "and come back when it goes on" eventually "$(expected_line 3 "$TAGGED")" ask "$TAGGED"
  claim "bypassed calls are counted" test "$(event bypassed)" -ge 1
  stop agent
  claim_equal "after an orderly end calls go directly at once" \
    "$(call_from app-b-v1 curl -s --max-time 5 http://10.96.0.12:8000/)" "-> app-c(version: direct, ip: 10.96.0.12)"
  claim "which leaves nothing pinned" test ! -e "$pins-interception"
}

# One worker alone: the heartbeat's thread, the other worker and the main thread go on.
hanging_worker_is_noticed() {
  local hold worker
  start_intercepting_agent --workers 2
  claim "an agent with two workers serves" wait_for_configuration 0
  claim "by tags" eventually "$(expected_line 3 "$TAGGED")" ask "$TAGGED"
  for worker in worker-0 worker-1; do
    mkfifo "$work/$worker"
    tests/e2e/interception/hang.py "${processes[agent]}" "$worker" <"$work/$worker" >"$work/$worker.log" 2>&1 &
    exec {hold}>"$work/$worker"
    claim_equal "$worker hangs" "$(eventually hangs cat "$work/$worker.log")" ''
    sleep 1
    # Each would come to one of the two, by chance.
    for _ in 1 2 3 4 5 6 7 8; do
      call_from app-b-v1 curl -s --max-time 2 http://10.96.0.12:8000/
    done >"$work/calls-meanwhile"
    claim_equal "a second later no call goes to it" "$(sort -u "$work/calls-meanwhile")" "-> app-c(version: direct, ip: 10.96.0.12)"
    claim "the log says so" grep -q 'a worker hangs' "$work/agent.log"
    exec {hold}>&-
    claim "calls come back when it goes on" eventually "$(expected_line 3 "$TAGGED")" ask "$TAGGED"
  done
  stop agent
}

# A Service that came by a reload; its calls wait in the queue of an agent that gets no time to take them in before it
# is asked to end.
ends_with_calls_in_its_queue() {
  local status
  start_intercepting_agent --workers 1
  claim "an agent serves" wait_for_configuration 0
  write_new_service
  claim "a Service can be added while it does" apply_and_wait "$work/new-service.yaml"
  claim_equal "and called" "$(status_from app-a-v1 http://10.96.0.13:8000/)" 203
  start_from app-a-v1 queued tests/e2e/interception/queued.py 10.96.0.13 8000 whose 400 "${processes[agent]}"
  wait "${processes[agent]}"
  status=$?
  unset 'processes[agent]'
  wait "${processes[queued]}"
  unset 'processes[queued]'
  claim_equal "an agent that ends with calls in its queue ends well" "$status" 0
  claim_equal "and serves them before" "$(cat "$work/queued.log")" "203=400"
  rm "$manifests"/*whose*
}

# Calls that go on through all of it, a connection each. What comes more than a second after the agent's end is
# decided by the kernel's clock, however busy the machine is.
start_calls() {
  : >"$work/calls.log"
  start_from app-b-v1 calls tests/e2e/interception/calls.py 10.96.0.12 8000
  eventually yes sh -c "[ ! -s '$work/calls.log' ] || echo yes" # an interpreter takes its time to start
}

now() { date +%s.%N; }

# What became of the calls that began from FROM on and were over at TO.
outcomes() { # FROM TO
  awk -v from="$1" -v to="$2" '$1 >= from && $2 <= to { print $3 }' "$work/calls.log" | sort -u | xargs
}

a_second_later() { awk -v time="$1" 'BEGIN { printf "%.3f", time + 1 }'; }

come_back() { # FROM TO
  local all
  all=$(outcomes "$@")
  echo "$all"
  [ "${all#direct }" = v2 ]
}

calls_go_on_without_the_agent() {
  local start end back
  start_intercepting_agent
  claim "an agent serves" wait_for_configuration 0
  claim "by tags" eventually "$(expected_line 3 "$TAGGED")" ask "$TAGGED"
  start_calls
  start=$(now)
  sleep 1
  end=$(now)
  claim_equal "calls come to the agent" "$(outcomes "$start" "$end")" v2
  agent_dies
  sleep 2.5
  back=$(now)
  claim_equal "from a second after SIGKILL on all calls go directly, and none fails" \
    "$(outcomes "$(a_second_later "$end")" "$back")" direct
  start_intercepting_agent
  wait_for_configuration 0
  sleep 1.5
  end=$(now)
  claim "while the agent starts calls come back to it, and none fails" come_back "$back" "$end"
  kill -STOP "${processes[agent]}"
  sleep 4 # longer than a call waits that the agent took and left
  back=$(now)
  claim_equal "from a second after SIGSTOP on all calls go directly, and none fails" \
    "$(outcomes "$(a_second_later "$end")" "$back")" direct
  kill -CONT "${processes[agent]}"
  sleep 1.5
  claim "while the agent goes on calls come back to it, and none fails" come_back "$back" "$(now)"
  stop calls
  stop agent
}

status_of_call() { # POD
  call_from "$1" curl -s --max-time 2 -o /dev/null -w '%{http_code} %{exitcode}' http://10.96.0.12:8000/
}

fails_closed() {
  start_intercepting_agent --intercept-fail closed
  claim "the agent starts fail-closed" wait_for_configuration 0
  claim "calls are tagged" eventually "$(expected_line 3 "$TAGGED")" ask "$TAGGED"
  agent_dies
  claim "after SIGKILL calls are refused" eventually "000 7" status_of_call app-b-v1
  claim "those to other ports go on" grep -q 'other(version: direct' \
    <(call_from app-a-v1 curl -s --max-time 5 http://10.96.0.12:9000/)
  start_intercepting_agent --intercept-fail closed
  claim "the next agent serves again" wait_for_configuration 0
  claim "with tags" eventually "$(expected_line 3 "$TAGGED")" ask "$TAGGED"
  kill -STOP "${processes[agent]}"
  claim "while it hangs calls are refused" eventually "000 7" status_of_call app-b-v1
  kill -CONT "${processes[agent]}"
  claim "and tagged when it goes on" eventually "$(expected_line 3 "$TAGGED")" ask "$TAGGED"
  agent_dies
  start_intercepting_agent
  claim "an agent that fails open takes that back" wait_for_configuration 0
  claim "and tags" eventually "$(expected_line 3 "$TAGGED")" ask "$TAGGED"
  agent_dies
  claim "and after its death calls go directly" eventually "-> app-c(version: direct, ip: 10.96.0.12)" \
    call_from app-b-v1 curl -s --max-time 1 http://10.96.0.12:8000/
}

start_everything
calls_are_tagged
other_traffic_is_untouched
callers_are_known
pods_are_selected
nothing_passes_by
strangers_are_refused
fails_open
ends_with_calls_in_its_queue
hanging_worker_is_noticed
calls_go_on_without_the_agent
fails_closed
finish
