#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# lanetag observe on a veth under load: what it counts is what `lanetag explain` says of the same users, and it
# leaves nothing behind. Namespaces of our own; the server is nginx.
set -u
cd "$(dirname "$0")/../.." || exit 1
lanetag=$(realpath "${LANETAG_BUILD:-build}")/lanetag
node=lanetag-observe-node-$$ client=lanetag-observe-client-$$
work=$(mktemp -d "${TMPDIR:-/tmp}/lanetag-observe-XXXXXX")
number=0 failed=0 pids=()

clean_up() {
  for pid in ${pids+"${pids[@]}"}; do kill "$pid" 2>/dev/null; wait "$pid" 2>/dev/null; done
  ip netns del "$node" 2>/dev/null
  ip netns del "$client" 2>/dev/null
  rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 1' INT TERM

claim() { # STATUS CLAIM
  number=$((number + 1))
  if [ "$1" -eq 0 ]; then
    echo "ok $number - $2"
  else
    echo "not ok $number - $2"
    failed=1
    sed 's/^/# /' "$work"/*.json "$work"/*.txt "$work"/*.log 2>/dev/null | tail -40
  fi
}

in_node() { nsenter --net="/run/netns/$node" "$@"; }
in_client() { nsenter --net="/run/netns/$client" "$@"; }
hooks() { in_node bpftool net; in_node tc qdisc show dev va; in_node tc filter show dev va ingress; }

if [ "${LANETAG_SKIP_KERNEL:-0}" = 1 ]; then
  echo "ok 1 - observe # SKIP LANETAG_SKIP_KERNEL"
  exit 0
fi

ip netns add "$node" && ip netns add "$client" &&
  ip -n "$node" link add va type veth peer name vb netns "$client" &&
  ip -n "$node" addr add 10.93.0.1/24 dev va && ip -n "$client" addr add 10.93.0.2/24 dev vb &&
  ip -n "$node" link set va up && ip -n "$client" link set vb up || {
  echo "not ok 1 - namespaces (this test needs root)"
  exit 1
}

cat >"$work/rules.yaml" <<'YAML'
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: hash-tagging, namespace: istio-system}
spec:
  pluginConfig:
    rules:
      - {header: x-user-id, modulo: 100, tagHeader: appver-a, policies: [{range: 10, tagValue: v2}]}
      - {header: x-user-id, modulo: 100, tagHeader: appver-c, policies: [{range: 10, tagValue: v3}, {range: 50, tagValue: v2}]}
YAML
cat >"$work/nginx.conf" <<CONF
daemon off; worker_processes 1; pid $work/nginx.pid; error_log $work/nginx.log;
events { worker_connections 256; }
http { access_log off; keepalive_requests 1000000;
  server { listen 10.93.0.1:8080; listen 10.93.0.1:8081; location / { return 200 "ok\n"; } } }
CONF
nsenter "--net=/run/netns/$node" nginx -c "$work/nginx.conf" 2>"$work/nginx.log" &
pids+=($!)
for _ in $(seq 50); do in_client curl -s -o "$work/out" http://10.93.0.1:8080/ && break; sleep 0.1; done

observe=(nsenter "--net=/run/netns/$node" "$lanetag" observe -c "$work/rules.yaml" -i va -p 8080)
wait_for_report() { for _ in $(seq 100); do [ -s "$1" ] && break; sleep 0.1; done; } # the tagger is attached then
program_of() { sed -n 's/^prog_id:[[:space:]]*//p' "/proc/$1"/fdinfo/* 2>/dev/null | sort -un; }

hooks >"$work/before"

# Every user once, and requests that must not count: another port, no id.
seq -f '%04g' 1 200 >"$work/users"
"${observe[@]}" -o json --duration 5 >"$work/users.json" 2>"$work/users.log" &
watcher=$!
wait_for_report "$work/users.json"
awk '{ printf "%surl = \"http://10.93.0.1:8080/\"\nheader = \"x-user-id: %s\"\noutput = \"/dev/null\"\n", (NR > 1 ? "next\n" : ""), $1 }' \
  "$work/users" >"$work/curlrc"
in_client curl -s -K "$work/curlrc"
in_client curl -s -o "$work/out" -H 'x-user-id: 0005' http://10.93.0.1:8081/
wait "$watcher"
claim $? "observe ends after --duration"
tail -1 "$work/users.json" >"$work/last.json"
"$lanetag" explain --config "$work/rules.yaml" --users "$work/users" -o json >"$work/explained.json" 2>"$work/explain.log"
for rule in 0 1; do
  jq -c ".rules[$rule].values | map({key: (.tagValue // \"none\"), value: .requests}) | from_entries | with_entries(select(.value > 0))" \
    "$work/last.json" | jq -cS . >"$work/counted.txt"
  jq -s -c "map(.rules[$rule].tagValue // \"none\") | group_by(.) | map({key: .[0], value: length}) | from_entries" \
    "$work/explained.json" | jq -cS . >"$work/wanted.txt"
  [ -s "$work/wanted.txt" ] && cmp -s "$work/counted.txt" "$work/wanted.txt"
  claim $? "rule $rule: each lane counts the users that explain names ($(cat "$work/counted.txt"))"
done
[ "$(jq '.rules[0].requests' "$work/last.json")" = 200 ]
claim $? "requests to other ports do not count"
hooks | cmp -s - "$work/before"
claim $? "nothing is left on the interface"

# Under real load.
"${observe[@]}" -o json --interval 1 >"$work/load.json" 2>"$work/load.log" &
watcher=$!
wait_for_report "$work/load.json"
programs=$(program_of "$watcher")
cat >"$work/load.lua" <<'LUA'
local n = 0
request = function() n = n + 1; return wrk.format("GET", "/", {["X-User-Id"] = string.format("%04d", n % 200 + 1)}) end
done = function(summary) io.write(string.format("requests %d\n", summary.requests)) end
LUA
in_client wrk -t1 -c8 -d3s -s "$work/load.lua" http://10.93.0.1:8080/ >"$work/wrk.txt" 2>&1
sent=$(sed -n 's/^requests //p' "$work/wrk.txt")
sleep 1.2
kill -INT "$watcher"
wait "$watcher"
claim $? "SIGINT ends it in good order"
tail -1 "$work/load.json" >"$work/last.json"
# wrk leaves up to a request per connection unanswered, which it does not count but which we saw.
jq -e --argjson sent "${sent:-0}" '.rules[0].requests >= $sent and .rules[0].requests <= $sent + 16 and $sent > 1000' "$work/last.json" >"$work/verdict.txt"
claim $? "under load every request is counted (sent ${sent:-0}, counted $(jq '.rules[0].requests' "$work/last.json"))"
jq -e --slurpfile explained "$work/explained.json" \
  '([$explained[] | select(.rules[0].tagValue == "v2")] | length / 200) as $wanted | .rules[0].values[0].share - $wanted | fabs < 0.01' \
  "$work/last.json" >"$work/verdict.txt"
claim $? "the share is that of the users ($(jq '.rules[0].values[0].share' "$work/last.json"))"
sleep 0.3 # programs are freed after a grace period
[ -n "$programs" ] && hooks | cmp -s - "$work/before" && ! for id in $programs; do bpftool prog show id "$id"; done >"$work/programs.txt" 2>&1
claim $? "nothing is left after SIGINT"

# As text.
"${observe[@]}" --count 2 >"$work/lines.txt" 2>"$work/lines.log"
[ $? -eq 0 ] && [ "$(grep -c 'tagHeader=appver-a tagValue="v2" requests=0 ' "$work/lines.txt")" = 2 ]
claim $? "plain lines where standard output is no terminal, --count of them"
"${observe[@]/va/later0}" --count 1 >"$work/lines.txt" 2>"$work/lines.log"
[ $? -eq 0 ] && grep -qx 'lanetag observe: no such interface yet, waiting for later0' "$work/lines.log"
claim $? "an interface that is not there is waited for, and named"
"${observe[@]}" --count 1 -p 70000 >"$work/usage.txt" 2>&1
[ $? -eq 2 ] && grep -q "70000" "$work/usage.txt"
claim $? "a wrong port is named, exit status 2"
echo "1..$number"
exit "$failed"
