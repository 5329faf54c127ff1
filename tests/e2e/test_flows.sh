#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# lanetag flows: connections that stay open, each with its own user's lanes; filters; what is closed is gone; reloads
# beside it; what it says where it can't read.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh

lanetag=$build/lanetag
if ! use_kernel; then
  skip "flows" "LANETAG_SKIP_KERNEL=1"
  finish
fi

# All: the agent may be done with a connection whose client isn't.
flows() { # OPTION…
  in_node "$lanetag" flows --all --pin-directory "$pins" "$@"
}

connections() { # JQ-FILTER OPTION…: what it says of the connections
  local filter=$1
  shift
  flows -o json "$@" | jq -c "$filter"
}

# Opens a connection that stays open under this name: port[NAME] is the client's.
declare -A port=()
hold() { # NAME WHAT…; to $server, else to the agent
  local name=$1 tries=250
  shift
  start client "$name" tests/e2e/flows/hold.py "${server:-$NODE_ADDRESS}" 80 "$@"
  until [ -s "$work/$name.log" ] || [ $((tries--)) -eq 0 ]; do sleep 0.02; done
  port[$name]=$(cat "$work/$name.log")
}

of_connection() { # NAME JQ-FILTER
  connections ".connections[] | select(.clientPort == ${port[$1]}) | $2"
}

# The agent's rules of this step for a user, as `flows` names them; `explain` knows them from the manifests.
explained() { # USER
  "$lanetag" explain --config "$manifests" --user "$1" -o json |
    jq -c '[.rules[] | [.tagHeader, .tagValue, .remainder]]'
}
TAGS='[.mark.tags[] | [.tagHeader, .tagValue, .remainder]]'

ports_of() { # NAME…
  local name
  for name in "$@"; do echo "${port[$name]}"; done | sort -n | jq -cs .
}
PORTS='[.connections[].clientPort] | sort'

start_everything() {
  local step
  set_up_cluster
  for step in 1 2 3; do start_apps_of_step "$step"; done
  apply_steps "$manifests" 3
  start_agent
  wait_for_configuration 0 || give_up "the agent serves step 3"
}

each_connection_has_its_users_lanes() {
  local user
  for user in 0001 0003 0005; do
    hold "user-$user" "$user"
    claim_equal "user $user's connection has the lanes that explain names" "$(of_connection "user-$user" "$TAGS")" \
      "$(explained "$user")"
  done
  claim_equal "and its ends, its state, and how many requests it had" \
    "$(of_connection user-0005 '[.clientAddress, .serverAddress, .serverPort, .state, .lostBy, .requests, .mark.position]')" \
    "[\"$CLIENT_ADDRESS\",\"$NODE_ADDRESS\",80,\"idle\",null,1,0]"
  claim_equal "a connection's age is known" \
    "$(of_connection user-0005 '.ageSeconds >= 0 and .ageSeconds < 600')" true
  hold both 0005 0001
  claim_equal "a connection of two users has the lanes of the latest request" "$(of_connection both "$TAGS")" \
    "$(explained 0001)"
  claim_equal "which stands behind the first in the stream" "$(of_connection both '[.requests, .mark.position > 0]')" '[2,true]'
}

each_state_is_told() {
  hold in-head head:0005
  hold in-body body:0005
  hold cipher tls
  claim_equal "within a head: there is no mark yet" "$(of_connection in-head '[.state, .mark]')" '["head",null]'
  claim_equal "within a body" "$(of_connection in-body "[.state, $TAGS]")" "[\"body\",$(explained 0005)]"
  claim_equal "not followed, and why" "$(of_connection cipher '[.state, .lostBy, .mark]')" '["lost","tls",null]'
}

filters_hold() {
  claim_equal "--tag: who has it" "$(connections "$PORTS" --tag appver-a=v2)" "$(ports_of user-0005 in-body)"
  claim_equal "--tag twice: who has both" "$(connections "$PORTS" --tag appver-c=v3 --tag appver-a=)" "$(ports_of user-0003)"
  claim_equal "--tag without a value: who has none" "$(connections "$PORTS" -t APPVER-C=)" "$(ports_of user-0001 both)"
  claim_equal "--state" "$(connections "$PORTS" --state lost)" "$(ports_of cipher)"
  claim_equal "--client" "$(connections '[.shown, .total]' --client "$CLIENT_ADDRESS")" '[7,7]'
  claim_equal "another --client" "$(connections '[.shown, .total]' --client 192.0.2.9)" '[0,7]'
  claim_equal "--port" "$(connections '[.shown, .total]' --port 80)" '[7,7]'
  claim_equal "another --port" "$(connections '[.shown, .total]' --port 81)" '[0,7]'
  claim_equal "--count" "$(connections '[.shown, .matching, .total]' -n 1 --tag appver-c=v3)" '[1,3,7]'
}

metrics_say_how_full_the_tables_are() {
  claim_equal "as many connections as flows shows" "$(metric 'lanetag_kernel_table_entries{table="flows"}')" 7
  claim_equal "a mark for each request whose head has ended, unless a later one took its place" \
    "$(metrics | awk '/^lanetag_kernel_table_(entries|evictions_total)\{table="marks"/ { sum += $2 } END { print sum }')" 6
  claim_equal "and room" "$(metrics | awk '/^lanetag_kernel_table_capacity/ { print $2 }' | paste -sd,)" 16384,16384
  claim_equal "no connection was evicted" "$(metric 'lanetag_kernel_table_evictions_total{table="flows"}')" 0
  claim_equal "what is no HTTP is counted" "$(metric 'lanetag_kernel_events_total{event="tls"}')" 1
  claim_equal "status tells it, too" "$(in_node "$lanetag" status | sed -n 's/^kernel tagger  *//p')" \
    "on, 7 of at most 16384 connections, 0 evicted"
  claim_equal "and as JSON" "$(in_node "$lanetag" status -o json | jq -cS .kernelTables.flows)" \
    '{"capacity":16384,"entries":7,"evictions":0}'
  metrics >"$work/metrics"
  claim_equal "promtool has no complaint" "$(promtool check metrics <"$work/metrics" 2>&1)" ''
}

what_only_passes_through_is_left_out() {
  local only_here=(in_node "$lanetag" flows --pin-directory "$pins" --tag appver-c=v3) tries=100
  start app-a-v1 web "$build/tests/apps/mock_app" --app web --version v1 --address "${pod_address[app-a-v1]}" --port 80
  until in_client curl -s -o /dev/null "http://${pod_address[app-a-v1]}/" || [ $((tries--)) -eq 0 ]; do sleep 0.1; done
  server=${pod_address[app-a-v1]} hold passing 0005
  claim_equal "the agent has a socket for its connections" "$(of_connection user-0005 .hasSocket)" true
  claim_equal "and none for one that passes through" "$(of_connection passing "[.hasSocket, $TAGS]")" "[false,$(explained 0005)]"
  claim_equal "which is shown with --all alone" "$("${only_here[@]}" -o json | jq -c "$PORTS")" "$(ports_of user-0003 user-0005 in-body)"
  claim "and said to be there" grep -q 'connections shown, [12] have no socket here (--all)' <("${only_here[@]}")
  stop passing
  stop web
}

people_can_read_it() {
  flows --tag appver-a=v2 --state idle >"$work/text"
  claim_equal "text: a line for each connection" \
    "$(awk -v client="$CLIENT_ADDRESS:${port[user-0005]}" '$1 == client { $4 = "AGE"; print }' "$work/text")" \
    "$CLIENT_ADDRESS:${port[user-0005]} $NODE_ADDRESS:80 idle AGE 1 1 0 appver-a=v2 (6), appver-b=v2 (6), appver-c=v3 (6)"
  claim_equal "and how many of how many" "$(tail -1 "$work/text" | cut -d, -f1)" "1 of 7 connections shown"
  claim_equal "no tag is said" "$(flows --tag appver-c= -n 1 | grep -o 'appver-c: no tag (82)')" 'appver-c: no tag (82)'
  claim_equal "a lost flow, and why" "$(flows --state lost | grep -o 'lost: tls')" 'lost: tls'
}

ids_are_never_told() {
  hold secret zebra@example.org
  hold secret-head head:zebra@example.org
  claim "user ids stand in no answer" \
    bash -c "! { cat; } | grep -i zebra" < <(flows; flows -o json)
  stop secret
  stop secret-head
}

what_is_closed_is_gone() {
  stop user-0003
  local tries=100
  while [ -n "$(of_connection user-0003 .)" ] && [ $((tries--)) -gt 0 ]; do sleep 0.02; done
  claim_equal "a closed connection is gone" "$(connections '[.total, (.connections | map(.clientPort))]')" \
    "$(ports_of user-0001 user-0005 both in-head in-body cipher | jq -c '[length, .]')"
}

reloads_do_not_disturb_it() {
  local wrong=0 said generation
  generation=$(metric lanetag_configuration_generation)
  start node changes bash -c 'for _ in $(seq 20); do echo "# again" >>"$1"; sleep 0.1; done' bash \
    "$manifests/$(ls "$manifests" | head -1)"
  while is_running changes; do
    said=$(of_connection user-0005 "$TAGS")
    [ "$said" = "$(explained 0005)" ] || wrong=$((wrong + 1))
  done
  wait_for_configuration "$generation"
  claim_equal "while the agent reloads it says the same" "$wrong" 0
  claim "and the agent did reload" test "$(metric lanetag_configuration_generation)" -gt $((generation + 3))
  before=$(explained 0005)
  mapfile -t files < <(manifests_of_step 4)
  apply_and_wait "${files[@]}" || give_up "step 4 is in force"
  claim_equal "what was marked under other rules is told by those" "$(of_connection user-0005 "$TAGS")" "$before"
  hold later 0005
  claim_equal "what comes later by the rules in force" "$(of_connection later "$TAGS")" "$(explained 0005)"
}

it_goes_on_by_itself() {
  local tries=200
  start node again "$lanetag" flows --pin-directory "$pins" -i 1 -o json
  until [ "$(cat "$work/again.log" 2>/dev/null | grep -c '^{')" -ge 2 ] || [ $((tries--)) -eq 0 ]; do sleep 0.05; done
  claim_equal "--interval: an object a round" "$(head -2 "$work/again.log" | jq -c .shown | paste -sd,)" 7,7
  stop again
}

# Opened here: who has no rights could not come to it by its path.
with_rights() { # SETPRIV-OPTION… -- FLOWS-OPTION…
  local rights=()
  while [ "$1" != -- ]; do
    rights+=("$1")
    shift
  done
  setpriv "${rights[@]}" /proc/self/fd/9 flows --pin-directory "$pins" "${@:2}" 9<"$lanetag"
}

refused() { # TEXT WORDS COMMAND…
  local text=$1 words=$2 status
  shift 2
  "$@" >"$work/out" 2>"$work/err"
  status=$?
  claim "$text: $words" grep -q "$words" "$work/err"
  claim_equal "$text: exit status, and nothing on standard output" "$status $(wc -c <"$work/out")" '2 0'
}

it_says_what_stands_in_its_way() {
  claim_equal "CAP_BPF is all that it needs" \
    "$(with_rights --inh-caps=-all --bounding-set=-all,+bpf -- -o json | jq .total)" 7
  refused "another user" 'no right to read the maps' with_rights --reuid=65534 --regid=65534 --clear-groups --
  refused "nothing is pinned" "nothing is pinned at $pins-none" flows --pin-directory "$pins-none"
  refused "a wrong address" "'nowhere' is no address" flows --client nowhere
  refused "a wrong port" "'0' is no number from 1 to 65535" flows --port 0
  refused "a wrong state" "'asleep' is none of idle" flows --state asleep
  refused "a wrong tag" "'v2' is not HEADER=VALUE" flows --tag v2
  refused "an argument" 'no argument is expected' flows all
  bpftool map update pinned "$pins/lane_layout" key 0 0 0 0 value 1 2 3 4 5 6 7 8
  refused "another version's maps" 'of another version' flows
}

start_everything
each_connection_has_its_users_lanes
each_state_is_told
filters_hold
metrics_say_how_full_the_tables_are
people_can_read_it
what_only_passes_through_is_left_out
ids_are_never_told
what_is_closed_is_gone
reloads_do_not_disturb_it
it_goes_on_by_itself
it_says_what_stands_in_its_way
finish
