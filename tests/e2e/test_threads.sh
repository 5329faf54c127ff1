#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Tags by the thread that calls: applications that forward nothing at all. Where a thread serves one request at a time
# its calls have that request's tags; every other way of working is given up before it could mix up users.
#   LANETAG_ROUNDS   requests on each of the 50 connections (default 12)
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh

CONNECTIONS=50 ROUNDS=${LANETAG_ROUNDS:-12}
SERVER=${pod_address[app-a-v1]} PORT=8000
CALLED=http://10.96.0.11:8000/
PROBATION=64

if ! use_kernel; then
  skip "tags by threads" "LANETAG_SKIP_KERNEL=1"
  finish
fi

start_everything() {
  local step
  set_up_cluster
  app_options=(--echo)
  start_app app-b v1
  network_add_pod app-a-v1 "$SERVER"
  apply_steps "$manifests" 3 || give_up "manifests can be applied"
  sed 's/^metadata:/&\n  annotations: {lanetag.io\/propagation-ways: "header, baggage, thread"}/' \
    "$TUTORIAL/step2/header-propagation.yaml" >"$work/ways.yaml"
  apply "$work/ways.yaml"
  start_agent --pod-interface 'app-*' --correlate-threads '*'
  wait_for_configuration 0 || give_up "the agent starts"
  if kernel_has sock_recv_length; then
    claim "threads are followed by this kernel" grep -q 'threads are followed' "$work/agent.log"
    return
  fi
  claim "the agent says what this kernel lacks, and goes on" \
    grep -q 'threads cannot be followed.*sock_recv_length' "$work/agent.log"
  skip "tags by threads" "no tracepoint sock_recv_length before Linux 6.3"
  finish
}

kernel_has() { # TRACEPOINT
  [ "$(bpftool btf dump file /sys/kernel/btf/vmlinux | grep -c "btf_trace_$1'")" -gt 0 ]
}

# None wrong, ever. The kernel may abstain: two processors on one connection at once, calls that come too early.
claim_right() { # TEXT OUTCOME COUNT
  local right=${2#right=}
  claim "$1 ($2)" test "${right%% *}" -ge $(($3 * 95 / 100)) -a "${2#* wrong=}" = "0 failed=0"
}

start_server() { # COMMAND…
  local tries=200
  start app-a-v1 server "$@"
  until in_node curl -s -o /dev/null --max-time 5 "http://$SERVER:$PORT/" || [ $((tries--)) -eq 0 ]; do sleep 0.05; done
}

ask_nonces() { # WAY
  in_node tests/e2e/correlation/nonces.py "$SERVER" "$PORT" "$CONNECTIONS" "$ROUNDS" appver-b "$1"
}

# From the 65th request on, every call has its own request's tag; also beside clients that leave.
thread_per_request() { # WHAT COMMAND…
  local what=$1 outcome
  shift
  start_server "$@"
  for _ in $(seq "$PROBATION"); do in_node curl -s -o /dev/null "http://$SERVER:$PORT/"; done
  outcome=$(ask_nonces plain)
  claim_right "$what: each of $((CONNECTIONS * ROUNDS)) calls has its own request's tag" "$outcome" $((CONNECTIONS * ROUNDS))
  outcome=$(ask_nonces leaving)
  claim_right "$what: and those of half of the clients, where the others leave" "$outcome" $((CONNECTIONS / 2 * ROUNDS))
}

# Requests that clients don't wait between can't be told apart.
pipelined() { # WHAT
  local outcome
  outcome=$(ask_nonces pipelined)
  claim "$1, clients pipelined: no call has another request's tag ($outcome)" grep -q ' wrong=0 ' <<<"$outcome"
}

# Every other way of working: nothing at all, from the first request on.
given_up() { # WHAT COMMAND…
  local what=$1 outcome
  shift
  start_server "$@"
  outcome=$(ask_nonces plain)
  claim_equal "$what: no call has any tag" "$outcome" "right=0 none=$((CONNECTIONS * ROUNDS)) wrong=0 failed=0"
  stop server
}

# Its dispatcher watches connections that its workers receive from: whether that is seen in time is chance.
java_is_never_wrong() {
  local way outcome
  for way in url client; do
    start_server java tests/e2e/correlation/Server.java "$way" "$SERVER" "$PORT" "$CALLED"
    outcome=$(ask_nonces plain)
    claim "Java's HttpServer, calls by $way: no call has another request's tag ($outcome)" \
      grep -q ' wrong=0 failed=0' <<<"$outcome"
    stop server
  done
}

python_server() { # WAY
  echo "python3 tests/e2e/correlation/server.py $1 $SERVER $PORT $CALLED"
}

node_server() { # WAY
  echo "node tests/e2e/correlation/server.js $1 $SERVER $PORT $CALLED"
}

mock=("$build/tests/apps/mock_app" --app app-a --version v1 --address "$SERVER" --port "$PORT"
  --next 10.96.0.11:8000 --next-host app-b:8000 --forward-nothing)

only_named_programs() {
  stop agent
  start_agent --pod-interface 'app-*' --correlate-threads some-other
  wait_for_configuration 0 || give_up "the agent starts again"
  given_up "a program that is not named" "${mock[@]}"
}

# The whole chain, each application forwarding nothing.
the_chain_forwards_nothing() {
  local step
  stop agent
  stop app-b-v1
  app_options=(--forward-nothing)
  for step in 1 2 3; do start_apps_of_step "$step"; done
  start_agent --pod-interface 'app-*' --correlate-threads mock_app
  wait_for_configuration 0 || give_up "the agent starts again"
  # So that each process behind, v2's of the few users too, has served enough.
  in_client tests/e2e/correlation/users.py "$NODE_ADDRESS" 80 50 60 >/dev/null
  claim_right "the tutorial's chain, forwarding nothing: 50 users, each on his own lanes" \
    "$(in_client tests/e2e/correlation/users.py "$NODE_ADDRESS" 80 50 "$ROUNDS")" $((50 * ROUNDS))
  claim "calls are counted by the way" test "$(metric 'lanetag_propagation_total{by="thread"}')" -gt $((50 * ROUNDS))
}

start_everything
thread_per_request "the C mock, a thread for each connection" "${mock[@]}"
pipelined "the C mock"
stop server
# shellcheck disable=SC2046
{
  thread_per_request "python's ThreadingHTTPServer and urllib" $(python_server threads)
  pipelined "python's ThreadingHTTPServer"
  stop server
  thread_per_request "python's HTTPServer and urllib" $(python_server single)
  stop server
  for way in pool stealing asyncio polling; do given_up "python, $way" $(python_server "$way"); done
  for way in kept new at-once; do given_up "node, $way" $(node_server "$way"); done
}
given_up "a shell script's curl, a process for each request" tests/e2e/correlation/server.sh "$SERVER" "$PORT" "$CALLED"
java_is_never_wrong
only_named_programs
the_chain_forwards_nothing
finish
