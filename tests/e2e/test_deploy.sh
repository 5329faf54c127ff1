#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# What deploy/ holds: manifests, the sync script, the unit, `make install` and the Debian package.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
work=$(mktemp -d "${TMPDIR:-/tmp}/lanetag-deploy-XXXXXX")
trap 'rm -rf "$work"' EXIT

# Manifests.
kubectl kustomize deploy/kubernetes >"$work/kubernetes.yaml" || give_up "kustomize builds deploy/kubernetes"
kubectl kustomize deploy/kubernetes-monitoring >"$work/monitoring.yaml" || give_up "kustomize builds the monitoring"
kubectl kustomize deploy/examples/beside-istio >"$work/beside-istio.yaml" || give_up "kustomize builds beside-istio"
check() { python3 tests/e2e/deploy/check_manifests.py; }
claim "deploy/kubernetes is valid" check <"$work/kubernetes.yaml"
claim "deploy/kubernetes-monitoring is valid" check <"$work/monitoring.yaml"
claim "deploy/examples/beside-istio is valid" check <"$work/beside-istio.yaml"
refuses() { ! sed "$1" "$work/${2:-monitoring}.yaml" | check || { echo "it was accepted"; return 1; }; }
for breach in 's/readOnlyRootFilesystem/readOnlyRootFilesytem/' 's/privileged: false/privileged: true/' 's/- list$/- delete/' \
  '0,/name: lanetag-manifests/s//name: others/' 's/mountPath: .sys.fs.bpf/mountPaht: x/' 's/kind: DaemonSet/kind: DeamonSet/' \
  's/path: .run.lanetag/path: \//'; do
  claim "the check finds: $breach" refuses "$breach"
done
for breach in 's/type: LoadBalancer/type: LoadBalanser/' '0,/namespace: istio-system/s//namespace: istio/' \
  's/SYNC_KINDS$/&\n          valeu: x/'; do
  claim "the check finds, beside Istio: $breach" refuses "$breach" beside-istio
done
config_map_of() { # NAME
  python3 -c 'import sys, yaml
for document in yaml.safe_load_all(sys.stdin):
    if document["kind"] == "ConfigMap": print("\n---\n".join(document["data"].values()))' <"$work/$1.yaml"
}
agent_accepts_the_manifests() {
  config_map_of kubernetes >"$work/rules.yaml"
  "$build/lanetag" check "$work/rules.yaml"
}
claim "the agent accepts the ConfigMap's manifests" agent_accepts_the_manifests

# Sync.
cluster=$work/cluster
mkdir "$cluster" "$work/out"
list() { printf 'apiVersion: v1\nkind: List\nitems:\n%s' "$1"; }
list '- {apiVersion: v1, kind: Service, metadata: {name: app, uid: u, resourceVersion: "1"}, spec: {clusterIP: 10.96.0.9, selector: {app: app}, ports: [{port: 80, targetPort: 8000}]}}
' >"$cluster/services"
list '- {apiVersion: v1, kind: Pod, metadata: {name: app-1, labels: {app: app}}, spec: {nodeName: n, containers: [{name: a, image: a}]}, status: {phase: Running, podIP: 10.0.0.7}}
' >"$cluster/pods"
list '' | sed 's/items:/items: []/' >"$cluster/virtualservices.networking.istio.io"
sync_once() {
  CLUSTER=$cluster SYNC_ROUNDS=1 PATH=$PWD/tests/e2e/deploy:$PATH deploy/sync/sync.sh "$work/out"
}
claim "the cluster is read" sync_once
claim "what was read is what the agent takes" "$build/lanetag" check "$work/out"
first=$(stat -c %i "$work/out/cluster.yaml")
sync_once
claim_equal "an unchanged cluster is not written again" "$(stat -c %i "$work/out/cluster.yaml")" "$first"
sed -i 's/10.0.0.7/10.0.0.8/' "$cluster/pods"
sync_once
claim "a changed one is" grep -q 10.0.0.8 "$work/out/cluster.yaml"
touch "$cluster/down"
claim_equal "a cluster that can't be read is named" "$(sync_once 2>&1 | tail -1)" \
  "sync: the cluster can't be read; what was read last stays"
claim "and what was read last stays" grep -q 10.0.0.8 "$work/out/cluster.yaml"
asks_for_no_more_than_it_may() {
  local kind
  while read -r kind; do
    grep -q "${kind%%.*}" deploy/kubernetes/cluster-role.yaml || { echo "$kind is not in the role"; return 1; }
  done < <(awk '$1 == "get" { print $2 }' "$cluster/calls.log" | sort -u)
}
claim "it asks for nothing that its role does not allow" asks_for_no_more_than_it_may

# Beside Istio: its own arguments, with what its sync container reads.
beside_istio() { # PATTERN: the arguments and variables that match
  python3 -c 'import re, sys, yaml
for document in yaml.safe_load_all(sys.stdin):
    if document["kind"] != "DaemonSet": continue
    for container in document["spec"]["template"]["spec"]["containers"]:
        words = container["args"] + ["%s=%s" % (v["name"], v.get("value")) for v in container.get("env", [])]
        print("\n".join(word for word in words if re.match(sys.argv[1], word)))' "$1" <"$work/beside-istio.yaml" | grep .
}
tags_in_front_of_istio() {
  local options environment
  mapfile -t options < <(beside_istio '--(no-route|listen)=')
  mapfile -t environment < <(beside_istio 'SYNC_')
  mkdir "$work/istio" "$work/istio-out"
  list '- {apiVersion: v1, kind: Service, metadata: {name: istio-ingressgateway, namespace: istio-system}, spec: {type: LoadBalancer, clusterIP: 10.96.0.80, selector: {istio: ingressgateway}, ports: [{name: http2, port: 80, targetPort: 8080}]}}
' >"$work/istio/services"
  list '- {apiVersion: v1, kind: Pod, metadata: {name: g-1, namespace: istio-system, labels: {istio: ingressgateway}}, spec: {containers: [{name: a, image: a}]}, status: {phase: Running, podIP: 10.0.0.9}}
' >"$work/istio/pods"
  env "${environment[@]}" CLUSTER="$work/istio" SYNC_ROUNDS=1 PATH="$PWD/tests/e2e/deploy:$PATH" \
    deploy/sync/sync.sh "$work/istio-out" || return 1
  config_map_of beside-istio >"$work/istio-out/rules.yaml"
  "$build/lanetag" check "${options[@]}" "$work/istio-out" >"$work/istio-report" 2>&1 || { cat "$work/istio-report"; return 1; }
  grep -x 'tag only: every request goes to istio-ingressgateway.istio-system.svc.cluster.local port 80 (1 endpoint)' "$work/istio-report"
}
claim "beside Istio the agent finds the ingress gateway in what its sync container reads" tags_in_front_of_istio
claim_equal "which asks for the namespace's Services and Pods alone" "$(awk '{ print $1, $2, $3 }' "$work/istio/calls.log" | sort)" \
  $'get pods --namespace=istio-system\nget services --namespace=istio-system'

# Monitoring.
claim "promtool accepts the rules" promtool check rules deploy/prometheus/rules.yaml
claim "the alerts fire when they should, and only then" promtool test rules deploy/prometheus/rules.test.yaml
queries_parse() {
  python3 tests/e2e/deploy/queries.py >"$work/queries.yaml" && promtool check rules "$work/queries.yaml"
}
claim "the queries of the dashboard and the analysis templates parse" queries_parse

# systemd.
verify_unit() {
  sed "s#/usr/sbin/lanetag#$(readlink -f "$build/lanetag")#; /^Documentation/d" deploy/systemd/lanetag.service >"$work/lanetag.service"
  local said
  said=$(systemd-analyze verify "$work/lanetag.service" 2>&1)
  [ -z "$(grep -i 'lanetag' <<<"$said")" ] || { echo "$said"; return 1; }
}
claim "systemd finds nothing wrong with the unit" verify_unit
claim "the unit is well hardened" systemd-analyze security --offline=yes --threshold=30 deploy/systemd/lanetag.service
claim_equal "unit and DaemonSet grant the same capabilities" \
  "$(sed -n 's/^CapabilityBoundingSet=//p' deploy/systemd/lanetag.service | sed 's/CAP_//g' | tr ' ' '\n' | sort | paste -sd,)" \
  "$(python3 tests/e2e/image/daemonset.py capabilities | tr ',' '\n' | sort | paste -sd,)"

the_unit_lets_the_agent_use_the_kernel() {
  local said
  said=$(tests/e2e/deploy/unit.sh deploy/systemd/lanetag.service "$build/lanetag" examples/tutorial/step1 --interface lo \
    --intercept 127.0.0.1 --pod-interface 'veth*' 2>&1)
  grep -q 'event="\?started.*kernel=yes' <<<"$said" && grep -q '^pin: lane_marks$' <<<"$said" &&
    ! grep -E 'level=(warning|error)|ended with|left behind' <<<"$said" || { echo "$said"; return 1; }
}
if use_kernel; then
  claim "the unit's user, capabilities and mounts let the agent use the kernel; it leaves nothing" the_unit_lets_the_agent_use_the_kernel
fi

# Installing.
documents_are_whole() { # links from one document to another
  local file link broken=0
  for file in "$work"/root/usr/share/doc/lanetag/*.md; do
    while read -r link; do
      [ -e "$work/root/usr/share/doc/lanetag/${link##*/}" ] || { echo "${file##*/}: $link"; broken=1; }
    done < <(grep -o '](\(docs/\)\?[a-z-]*\.md' "$file" | cut -c3-)
  done
  return $broken
}
make_install() { make --no-print-directory -s BUILD="$build" DESTDIR="$work/root" PREFIX=/usr install; }
claim "make install" make_install
claim "what it installs runs" "$work/root/usr/sbin/lanetag" --version
claim "with its unit" grep -q 'ExecStart=/usr/sbin/lanetag run' "$work/root/usr/lib/systemd/system/lanetag.service"
claim_equal "with what people read, and its completion" \
  "$(cd "$work/root/usr/share" && ls doc/lanetag/operations.md man/man8/lanetag.8 bash-completion/completions/lanetag | wc -l)" 3
claim "a link in the documents leads to one that is installed" documents_are_whole
make_uninstall() { make --no-print-directory -s BUILD="$build" DESTDIR="$work/root" PREFIX=/usr uninstall; }
claim "make uninstall" make_uninstall
claim_equal "and it leaves no file" "$(find "$work/root" ! -type d)" ""
make_install && echo 'LANETAG_OPTIONS="--no-kernel"' >"$work/root/etc/default/lanetag" && touch "$work/root/etc/lanetag/rules.yaml"
make_uninstall
claim_equal "but what somebody wrote" "$(find "$work/root" ! -type d | sort)" \
  "$work/root/etc/default/lanetag"$'\n'"$work/root/etc/lanetag/rules.yaml"
# The tree's own version: other tests use this build, and another version would stay in its binary.
package=$(DEBEMAIL=maintainer@debian.org scripts/make-deb.sh "$build" "$(scripts/version.sh)")
rm -rf "$build/deb"
claim_equal "the Debian package has the version of the tree" "$(dpkg-deb -f "$package" Version)" "$(scripts/version.sh)"
claim_equal "and the build's own binary still names it" "$("$build/lanetag" --version)" "lanetag $(scripts/version.sh)"
if command -v lintian >/dev/null; then
  claim_equal "lintian finds nothing in it" "$(lintian --allow-root "$package" 2>&1)" ""
else
  skip "lintian finds nothing in it" "lintian is not installed"
fi
claim_equal "installed, it runs as its user; purged, it leaves nothing" "$(tests/e2e/deploy/package.sh "$package" 2>&1)" ""
rm -f "$package"
finish
