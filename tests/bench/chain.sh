#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# The tutorial's chain of three applications in namespaces of its own, for one party of the benchmark; chain.py steers it.
#
#   chain.sh direct|haproxy|baggage|trace|thread|intercepted
#
# Prints "ready NETWORK", or "unavailable" and why. Then "start" on the standard input starts the proxy and prints its
# process id (0: there is none), "stop" ends it and prints "stopped"; the end of the input ends all.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
build=${LANETAG_BUILD:-build} party=$1

# shellcheck source=scripts/tutorial.sh
. scripts/tutorial.sh

unavailable() { # WHY
  echo "unavailable $1"
  exit 1
}

# What the applications pass on, what the agent is told, and the line of its log that says that it can do it.
case $party in
  direct) app_options=() ;;
  haproxy) app_options=(--forward appver-a --forward appver-b --forward appver-c) ;;
  baggage) app_options=() agent_options=() ;;
  trace) app_options=(--forward x-request-id) agent_options=(--pod-interface 'app-*') sign='program=arrivals' ;;
  thread)
    app_options=(--forward-nothing) agent_options=(--pod-interface 'app-*' --correlate-threads mock_app)
    sign='threads are followed'
    ;;
  intercepted) app_options=() agent_options=(--intercept "$POD_GATEWAY") sign='calls are intercepted' ;;
  *) unavailable "no such party" ;;
esac

# Without a proxy each pod has its Service's address itself, and the node leads there.
lead_services_to_pods() {
  pod_address[app-b-v1]=10.96.0.11 pod_address[app-c-v2]=10.96.0.12
  ip -n "$network-node" route delete local "$SERVICE_NETWORK" dev lo
}

same_congestion_control() {
  local namespace
  for namespace in "${network_namespaces[@]}"; do
    in_namespace "${namespace#"$network-"}" sysctl -qw net.ipv4.tcp_congestion_control=reno || return 1
  done
}

set_up() {
  local step
  tutorial_set_up || unavailable "no network namespaces"
  if [ "$party" = intercepted ]; then
    tutorial_make_cgroup || unavailable "no cgroup"
    agent_options+=(--intercept-cgroup "$cgroup")
  fi
  if [ "$party" = direct ]; then
    lead_services_to_pods
    start_apps_of_step 1 || unavailable "the applications don't start"
  else
    for step in 1 2 3; do start_apps_of_step "$step" || unavailable "the applications don't start"; done
    apply_steps "$manifests" 3 || unavailable "no manifests"
  fi
  [ "$party" != thread ] || apply examples/forward-nothing/header-propagation.yaml
  same_congestion_control || unavailable "no congestion control reno"
}

wait_for_gateway() {
  local tries=100
  until in_client bash -c "exec 3<>/dev/tcp/$NODE_ADDRESS/80" 2>/dev/null; do
    [ $((tries--)) -gt 0 ] || return 1
    sleep 0.05
  done
}

start_proxy() {
  case $party in
    direct) return ;;
    haproxy) start node proxy "$(PATH=$PATH:/usr/sbin command -v haproxy)" -db -f tests/bench/haproxy-chain.cfg ;;
    *)
      start_agent --interface client --workers 1 --control '' ${agent_options+"${agent_options[@]}"}
      processes[proxy]=${processes[agent]}
      wait_for_configuration 0
      ;;
  esac
  wait_for_gateway
}

stop_proxy() {
  stop proxy
  unset 'processes[agent]'
}

trap tutorial_clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
set_up
if [ -n "${sign:-}" ]; then
  start_proxy
  grep -q "$sign" "$work/agent.log" || unavailable "$(grep -m 1 -E 'level=(warning|error)' "$work/agent.log")"
  stop_proxy
fi
echo "ready $network"
while read -r command; do
  case $command in
    start) start_proxy && echo "${processes[proxy]:-0}" || echo "failed: $(tail -3 "$work"/{agent,proxy}.log 2>&1 | xargs)" ;;
    stop) stop_proxy && echo stopped ;;
  esac
done
