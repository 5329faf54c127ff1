#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Tags by trace and request ids: applications that pass on such an id and nothing else. Each user's calls get his
# tags and nobody else's, whoever repeats or guesses an id.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh

USERS=50 ROUNDS=20
VICTIM=0003 # tagged by app-c's rule, and served by the same pods …
OTHER=0001  # … as one who is tagged by none

if ! use_kernel; then
  skip "tags by trace ids" "LANETAG_SKIP_KERNEL=1"
  finish
fi

app_options=(--forward traceparent --forward b3 --forward x-request-id --forward x-datadog-trace-id)

start_everything() {
  local step
  set_up_cluster
  for step in 1 2 3; do start_apps_of_step "$step"; done
  apply_steps "$manifests" 3 || give_up "manifests can be applied"
  start_agent --pod-interface 'app-*' --control "$work/control"
  claim "the agent starts with the pods' interfaces" wait_for_configuration 0
}

trace() { # NUMBER
  printf '00-%032x-00f067aa0ba902b7-01' "$1"
}

users_by() { # HEADER
  claim_equal "$USERS users at once, by $1: every call has its own user's tags" \
    "$(in_client tests/e2e/correlation/users.py "$NODE_ADDRESS" 80 "$USERS" "$ROUNDS" "$1")" \
    "right=$((USERS * ROUNDS)) none=0 wrong=0 failed=0"
}

# Without an id of the client the agent gives x-request-id itself, which the applications pass on, too.
users_without_ids() {
  claim_equal "$USERS users at once, without ids of their own: by the agent's x-request-id" \
    "$(in_client tests/e2e/correlation/users.py "$NODE_ADDRESS" 80 "$USERS" "$ROUNDS")" \
    "right=$((USERS * ROUNDS)) none=0 wrong=0 failed=0"
}

# The line of a user whose calls have no tags.
untagged_calls() { # USER
  local line
  line=$(expected_line 3 "$1")
  echo "${line%%->\ app-b*}$(expected_line 1 "$1" | sed 's/.*)\(-> app-b\)/\1/')"
}

repeated_ids() {
  local before after line
  before=$(metric lanetag_causes_ambiguous_total)
  line=$(ask "$VICTIM" -H 'x-request-id: guess-1')
  claim_equal "a user's own id works" "$line" "$(expected_line 3 "$VICTIM")"
  line=$(ask "$OTHER" -H 'x-request-id: guess-1')
  claim_equal "who guesses another's id gets none of his tags" "$line" "$(expected_line 3 "$OTHER")"
  line=$(ask "$OTHER" -H 'x-request-id: GUESS-1')
  claim_equal "nor in other letters" "$line" "$(expected_line 3 "$OTHER")"
  after=$(metric lanetag_causes_ambiguous_total)
  claim "such calls are counted" test "$after" -gt "$before"
  line=$(ask "$OTHER" -H "traceparent: $(trace 77)")
  claim_equal "an id may come from an untagged user first" "$line" "$(expected_line 3 "$OTHER")"
  line=$(ask "$VICTIM" -H "traceparent: $(trace 77)" -H "x-request-id: own-1")
  claim_equal "then a tagged user with this id has none from the second application on" \
    "$line" "$(untagged_calls "$VICTIM")"
}

arrivals() { metric "lanetag_arrivals_total{event=\"$1\"}"; }

# From one byte to 60 KB: what the kernel can't note gives no tags, but the request goes on.
ids_of_every_length() {
  local length line before
  for length in 1 63 64; do
    line=$(ask "$VICTIM" -H "x-request-id: $(printf "%0${length}d" 7)")
    claim_equal "an id of $length bytes works" "$line" "$(expected_line 3 "$VICTIM")"
  done
  before=$(arrivals id_too_long)
  for length in 65 256 4000 60000; do
    line=$(ask "$VICTIM" -H "x-request-id: $(printf "%0${length}d" 7)")
    claim_equal "one of $length gives no tags, and fails no request" "$line" "$(untagged_calls "$VICTIM")"
  done
  claim "such ids are counted" test "$(arrivals id_too_long)" -ge $((before + 4))
  before=$(arrivals id_twice)
  line=$(ask "$VICTIM" -H 'x-request-id: twice-1' -H 'x-request-id: twice-2')
  claim_equal "nor do two ids in one request" "$line" "$(untagged_calls "$VICTIM")"
  claim "which is counted, too" test "$(arrivals id_twice)" -gt "$before"
}

# What nobody's agent wrote: a request that comes to the pod directly, as from another node.
requests_beside_the_agent() {
  local line
  line=$(in_node curl -s --max-time 5 -H 'baggage: appver-b=v2,appver-c=v3' -H "traceparent: $(trace 99)" \
    "http://${pod_address[app-a-v1]}:8000/")
  claim_equal "a request that did not pass this agent counts, too" "$line" \
    "-> app-a(version: v1, ip: ${pod_address[app-a-v1]})-> app-b(version: v2, ip: ${pod_address[app-b-v2]})-> app-c(version: v3, ip: ${pod_address[app-c-v3]})"
  line=$(ask "$VICTIM" -H "baggage: a=$(printf '%0300d' 1)" -H "traceparent: $(trace 100)" -H 'x-request-id: long-1')
  claim_equal "baggage that is too long to be kept gives no tags" "$line" "$(untagged_calls "$VICTIM")"
}

# Heads and bodies larger than a packet, on one connection: what comes behind them is found, too.
large_requests() {
  local fields=() number url="http://${pod_address[app-a-v1]}:8000/" lines wanted
  for number in $(seq 28); do fields+=(-H "x-filler-$number: $(printf '%01000d' "$number")"); done
  head -c 900000 /dev/zero >"$work/body"
  lines=$(in_node curl -s --max-time 20 -H 'baggage: appver-b=v2' -H 'x-request-id: large-1' "${fields[@]}" "$url" \
    --next -s --max-time 20 -H 'baggage: appver-b=v2' -H 'x-request-id: large-2' --data-binary "@$work/body" "$url" \
    --next -s --max-time 20 -H 'baggage: appver-b=v2' -H 'x-request-id: large-3' -H 'Transfer-Encoding: chunked' \
    --data-binary "@$work/body" "$url" \
    --next -s --max-time 20 -H 'baggage: appver-b=v2' -H 'x-request-id: large-4' "$url")
  wanted="-> app-a(version: v1, ip: ${pod_address[app-a-v1]})-> app-b(version: v2, ip: ${pod_address[app-b-v2]})-> app-c(version: v2, ip: ${pod_address[app-c-v2]})"
  claim_equal "a head of 28 KB, bodies of 900 KB and a request behind them on one connection" \
    "$lines" "$(for number in 1 2 3 4; do echo "$wanted"; done)"
}

every_way_out() {
  local calls
  calls=$(metric 'lanetag_propagation_total{by="trace"}')
  claim "calls are counted by the way that gave their tags" test "$calls" -ge $((USERS * ROUNDS * 10))
  claim_equal "no head was lost" "$(arrivals head_lost)" 0
  claim "the maps can be read by others" test -e "$pins-arrivals/lane_arrivals"
}

# A new agent takes over while the users go on: what the old one's time noted serves the new one's.
take_over() {
  local users old=${processes[agent]}
  in_client tests/e2e/correlation/users.py "$NODE_ADDRESS" 80 "$USERS" $((ROUNDS * 5)) b3 >"$work/users" &
  users=$!
  sleep 0.2
  start_agent --pod-interface 'app-*' --control "$work/control" --takeover
  wait "$users"
  claim_equal "during a take-over every call has its own user's tags" "$(cat "$work/users")" \
    "right=$((USERS * ROUNDS * 5)) none=0 wrong=0 failed=0"
  wait "$old"
  claim "the old agent has ended" test $? -eq 0
  users_by x-request-id
}

kill_and_restart() {
  kill -KILL "${processes[agent]}"
  wait "${processes[agent]}" 2>/dev/null
  unset 'processes[agent]'
  claim "after a kill the program stays on the pods' interfaces" test -e "$pins-arrivals/program"
  start_agent --pod-interface 'app-*' --control "$work/control"
  claim "the next agent starts" wait_for_configuration 0
  claim "and takes the arrivals over" grep -q 'program=arrivals.*maps=taken-over' "$work/agent.log"
  claim_equal "ids that came before still stand for what they did" \
    "$(ask "$OTHER" -H 'x-request-id: guess-1')" "$(expected_line 3 "$OTHER")"
  users_by traceparent
  stop agent
  claim "a clean end leaves nothing pinned" test ! -e "$pins-arrivals"
}

without_the_option() {
  start_agent
  claim "the agent starts without the pods' interfaces" wait_for_configuration 0
  claim_equal "then ids alone give no tags" \
    "$(ask "$VICTIM" -H "traceparent: $(trace 200)")" "$(untagged_calls "$VICTIM")"
}

refused_options() {
  local row message
  while IFS='|' read -r row message; do
    # shellcheck disable=SC2086
    claim "$row is refused" grep -q "$message" <<<"$("$build/lanetag" run -c /dev/null $row 2>&1; [ $? -eq 2 ] || echo no)"
  done <<'END'
--pod-interface a --arrivals 1000|no power of two from 1024
--pod-interface a --arrivals 2097152|no number from 0 to 1048576
--trace-header a:b|no header's name
--trace-header a --trace-header b --trace-header c|one too many
--correlate-threads python3|needs --pod-interface
END
}

refused_options
start_everything
for header in traceparent b3 x-request-id x-datadog-trace-id; do users_by "$header"; done
users_without_ids
repeated_ids
ids_of_every_length
requests_beside_the_agent
large_requests
every_way_out
take_over
kill_and_restart
without_the_option
finish
