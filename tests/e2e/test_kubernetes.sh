#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# A cluster's API server as the source of manifests: the tutorial by its objects, and all that goes wrong on the way.
# The server is a double (tests/e2e/kubernetes/api_server.py) with objects of the tutorial and those of a real one.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
set_up_cluster

ORDERS=http://127.0.0.1:6444
order() { in_node curl -sf --max-time 5 --data-binary "$2" "$ORDERS/$1"; } # /WHAT BODY
put() { # FILE…
  local file
  for file in "$@"; do order apply "@$file" || return 1; done
}
fault() { order fault "$*"; }

certificate_for() { # NAME
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$work/$1.key" -out "$work/$1.crt" -days 2 \
    -subj "/CN=$1" -addext subjectAltName=IP:127.0.0.1 2>/dev/null
}
kubeconfig_with() { # NAME AUTHORITY TOKEN-FILE
  cat >"$work/$1" <<END
apiVersion: v1
kind: Config
current-context: test
contexts: [{name: test, context: {cluster: test, user: agent}}]
clusters: [{name: test, cluster: {server: "https://127.0.0.1:6443", certificate-authority: $2}}]
users: [{name: agent, user: {tokenFile: $3}}]
END
}
start_api_server() { # TOKEN
  start node api python3 tests/e2e/kubernetes/api_server.py "$work/api.crt" "$work/api.key" "$1" 6443 6444 || return 1
  local tries=50
  until in_node curl -sf -o /dev/null "$ORDERS/asked"; do
    [ $((tries--)) -gt 0 ] || return 1
    sleep 0.1
  done
}
certificate_for api && certificate_for other || give_up "openssl makes certificates"
printf 'first-token\n' >"$work/token"
printf 'wrong' >"$work/wrong-token"
kubeconfig_with kubeconfig api.crt token
kubeconfig_with kubeconfig-other other.crt token
kubeconfig_with kubeconfig-wrong api.crt wrong-token
start_api_server first-token || give_up "the API server's double starts"

# The same objects from the API, from a file as kubectl prints it, and from the tutorial's files.
cluster() { in_node "$build/lanetag" "$@"; }
for step in 1 2 3; do
  mapfile -t files < <(manifests_of_step "$step")
  put "${files[@]}" || give_up "the double takes the tutorial's manifests"
done
apply_steps "$work/files" 3
in_node curl -sf "$ORDERS/objects" >"$work/objects.json"
python3 -c 'import json, sys, yaml; yaml.safe_dump(json.load(open(sys.argv[1])), sys.stdout)' "$work/objects.json" >"$work/objects.yaml"
report_of() { # OPTION…: check's report, without the number of files
  cluster check "$@" 2>"$work/errors" | sed '/^[0-9]* files\?, no errors$/d'
}
explain_of() {
  cluster explain "$@" --user 0001 --user 0003 --user 0005 --user 0008 --user nobody -o json 2>"$work/errors"
}
claim_equal "check reads the cluster as a List of the same objects" \
  "$(report_of --kubeconfig "$work/kubeconfig")" "$(report_of "$work/objects.json")"
claim_equal "which are all of them" "$(report_of --kubeconfig "$work/kubeconfig" | tail -1)" \
  'resources: 1 WasmPlugin, 1 ASMHeaderPropagation, 1 Gateway, 3 VirtualService, 3 DestinationRule, 3 Service, 6 Pod'
claim_equal "explain: users are where the tutorial's files lead them" \
  "$(explain_of --kubeconfig "$work/kubeconfig")" "$(explain_of --config "$work/files")"
claim_equal "and where kubectl's YAML of the cluster leads them" \
  "$(explain_of --config "$work/objects.yaml")" "$(explain_of --config "$work/files")"
recorded() { # what a real API server had
  local name
  for name in pods services gateways virtualservices destinationrules wasmplugins asmheaderpropagations; do
    order recorded "tests/corpus/kubernetes/list-$name.response" || return 1
  done
  in_node curl -sf "$ORDERS/objects" >"$work/recorded.json"
  report_of --kubeconfig "$work/kubeconfig" >"$work/report" && report_of "$work/recorded.json" | diff "$work/report" - &&
    grep 'resources: .*, 4 Service, 6 Pod' "$work/report"
}
claim_equal "diff: the cluster is as the files" \
  "$(cluster diff --kubeconfig "$work/kubeconfig" "$work/files" -n 100 | tail -1)" "$(cluster diff "$work/files" "$work/files" -n 100 | tail -1)"

refused_with() { # PATTERN KUBECONFIG
  local said
  said=$(cluster check --kubeconfig "$work/$2" 2>&1) && { echo "accepted"; return 1; }
  grep -q "$1" <<<"$said" || { echo "$said"; return 1; }
}
claim "a server with another authority's certificate is not spoken to" refused_with 'API server: .*certificate' kubeconfig-other
claim "a wrong token is said" refused_with 'API server: .*Unauthorized' kubeconfig-wrong

only_of_the_namespace() {
  local before after
  before=$(in_node curl -sf "$ORDERS/asked" | wc -l)
  cluster check --kubeconfig "$work/kubeconfig" --namespace default >"$work/out" 2>&1 || { cat "$work/out"; return 1; }
  after=$(in_node curl -sf "$ORDERS/asked" | tail -n +$((before + 1)) | grep -c 'limit=')
  [ "$after" -ge 9 ] && ! in_node curl -sf "$ORDERS/asked" | tail -n +$((before + 1)) | grep 'limit=' | grep -v /namespaces/default/
}
claim "--namespace asks for that namespace's objects alone" only_of_the_namespace

claim "objects as a real API server has them are read as kubectl prints them" recorded

# The agent, step by step.
stop api
start_api_server first-token
mapfile -t files < <(manifests_of_step 1)
put "${files[@]}"
start_apps_of_step 1
start_cluster_agent() {
  control_socket=$work/agent.sock
  start node agent "$build/lanetag" run --kubeconfig "$work/kubeconfig" --kubernetes-state "$work/state" --kubernetes-watch 2 \
    --admin "$ADMIN" --no-kernel --control "$control_socket"
}
seen() { # STEP USER
  [ "$(ask "$2")" = "$(expected_line "$1" "$2")" ]
}
soon() { # SECONDS COMMAND…
  local tries=$(($1 * 10))
  shift
  until "$@"; do
    [ $((tries--)) -gt 0 ] || { echo "not within the time: $*"; return 1; }
    sleep 0.1
  done
}
start_cluster_agent
claim "step 1: the agent serves what the API server has" soon 10 seen 1 0005
start_apps_of_step 2
mapfile -t files < <(manifests_of_step 2)
put "${files[@]}"
claim "step 2: objects that are applied come into force" soon 10 seen 2 0005
claim "and users outside the canary stay where they were" seen 2 0001

# Faults. After each, a change must come through; meanwhile no request fails.
start_background_clients
plugin_with_range() { # RANGE
  sed "s/\"range\": *[0-9]*/\"range\": $1/; s/range: *[0-9]*/range: $1/" "$TUTORIAL/step2/hash-tagging-plugin.yaml" >"$work/plugin.yaml"
  put "$work/plugin.yaml"
}
version_of() { ask 0005 | sed -n 's/^-> app-a(version: \([^,]*\),.*/\1/p'; }
is_version() { [ "$(version_of)" = "$1" ]; }
next_version() { if is_version v1; then echo v2; else echo v1; fi; }
a_change_comes_through() {
  local wanted
  wanted=$(next_version)
  if [ "$wanted" = v2 ]; then plugin_with_range 10; else plugin_with_range 0; fi
  soon 12 is_version "$wanted"
}
comes_through_after() { # KIND STEP FAULT TIMES [SECONDS]
  fault "$@"
  order drop '' && a_change_comes_through
}
claim "a change comes through" a_change_comes_through
claim "after watches that were cut" comes_through_after any watch cut 1
for what in 429 500 401 403 404 410 expired garbage bad-object; do
  claim "after watches answered by: $what" comes_through_after wasmplugins watch "$what" 1
done
claim "after a watch that is silent for longer than it should last" comes_through_after wasmplugins watch silence 1 8
lists_again_after() { # FAULT
  fault wasmplugins list "$1" 1
  order compact '' && a_change_comes_through
}
for what in 429 500 cut slow garbage; do
  claim "after changes were forgotten, and the list was answered by: $what" lists_again_after "$what"
done
claim_equal "an object that is none was passed over and counted" \
  "$(metric 'lanetag_kubernetes_objects_refused_total{kind="wasmplugins"}')" 1
failed_requests() { metric 'lanetag_kubernetes_requests_failed_total{kind="wasmplugins"}'; }
claim "failures are counted" test "$(failed_requests)" -ge 10

rotate_the_token() {
  order token second-token
  printf 'second-token\n' >"$work/token.new" && mv "$work/token.new" "$work/token"
  order drop '' && a_change_comes_through
}
claim "a token that was replaced is read anew" rotate_the_token

pages() {
  order page 1 && order compact '' && a_change_comes_through
  local result=$?
  order page 0
  return $result
}
claim "lists come in pages" pages

generation=$(generation_in_force)
touch_pod() { # a change of a pod that says nothing about where it is
  sed 's/^  name: app-b-v1$/&\n  annotations: {touched: "'"$1"'"}/' "$TUTORIAL/step1/pods.yaml" >"$work/pods.yaml"
  put "$work/pods.yaml"
}
for i in 1 2 3; do touch_pod "$i"; done
sleep 1.5
claim_equal "a pod that changes in what is not read makes no new configuration" "$(generation_in_force)" "$generation"

# Without the API server.
stop api
claim "without the API server the agent serves on" seen 2 0001
age_grows() { [ "$(metric 'lanetag_kubernetes_age_seconds{kind="pods"}')" -ge 3 ]; }
claim "and says how old its knowledge is" soon 10 age_grows
read -r total failed <<<"$(stop_background_clients)"
claim_equal "no request of all ($total) has failed" "$failed" 0
stop agent
start_cluster_agent
claim "an agent that starts without the API server serves the last state" soon 12 seen 2 0001
claim "and says so" grep -q 'started with the saved state of the cluster' "$work/agent.log"
start_api_server second-token
for step in 1 2; do
  mapfile -t files < <(manifests_of_step "$step")
  put "${files[@]}"
done
claim "a server that comes back is followed" a_change_comes_through
stop agent
stop api
sed -i 's/app-a/app-x/' "$work/state"
start_cluster_agent
waits() { grep -q 'saved state of the cluster passed over' "$work/agent.log" && ! seen 2 0001; }
sleep 6
claim "a saved state that was changed by others is passed over" waits
stop agent
claim "a stop signal ends the wait for the API server" grep -q 'event="stopped before the start"' "$work/agent.log"

# Started here: a claim is a subshell, and what it starts would stay.
start_api_server second-token
mapfile -t files < <(manifests_of_step 1)
put "${files[@]}"
start_cluster_agent
asks_for_what_its_role_allows() {
  soon 10 seen 1 0001 || return 1
  in_node curl -sf "$ORDERS/asked" | python3 tests/e2e/kubernetes/rights.py deploy/kubernetes/cluster-role.yaml
}
claim "the agent asks for what its ClusterRole allows, and for all of it" asks_for_what_its_role_allows

# Its Gateway has the kind and the name of Istio's.
cat >"$work/gateway-api.yaml" <<'END'
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gateway}
spec: {gatewayClassName: istio, listeners: [{name: http, port: 8083, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: app-a}
spec:
  parentRefs: [{name: gateway}]
  rules: [{backendRefs: [{name: app-a, port: 8000}]}]
END
put "$work/gateway-api.yaml"
routes_by_http_route() { in_node curl -sf --max-time 2 -o /dev/null http://127.0.0.1:8083/; }
claim "an HTTPRoute of the cluster routes" soon 10 routes_by_http_route
in_node curl -sf "$ORDERS/objects" >"$work/objects.json"
claim_equal "and is read as from a List of the same objects" \
  "$(report_of --kubeconfig "$work/kubeconfig")" "$(report_of "$work/objects.json")"
finish
