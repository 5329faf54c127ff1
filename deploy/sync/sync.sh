#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Keeps what the agent needs of the cluster in DIRECTORY/cluster.yaml, as a List: Services, Pods, and the mesh's
# resources where their kinds are installed. Written anew, in one step, only when something has changed; if the API
# can't be read, what was read last stays.
#
#   sync.sh DIRECTORY    SYNC_SECONDS: how often it looks (default 2); SYNC_ROUNDS: how often in all (default: for ever);
#                        SYNC_KINDS: only these, and each must be there; SYNC_NAMESPACE: only of this one
set -u
directory=${1:?usage: sync.sh DIRECTORY}
file=$directory/cluster.yaml
new=$directory/.cluster.yaml.new
read -ra kinds <<<"${SYNC_KINDS:-services pods}"
scope=${SYNC_NAMESPACE:+--namespace=$SYNC_NAMESPACE}
mesh_kinds=(gateways.networking.istio.io virtualservices.networking.istio.io destinationrules.networking.istio.io
  gateways.gateway.networking.k8s.io httproutes.gateway.networking.k8s.io referencegrants.gateway.networking.k8s.io
  wasmplugins.extensions.istio.io asmheaderpropagations.istio.alibabacloud.com)

# The mesh's kinds that this cluster has.
known_kinds() {
  local served kind
  [ -z "${SYNC_KINDS:-}" ] || return 0
  served=$(kubectl api-resources --verbs=list --output=name) || return 1
  for kind in "${mesh_kinds[@]}"; do
    if grep -qx "$kind" <<<"$served"; then echo "$kind"; fi
  done
}

# Pods that have ended or have no address yet serve nobody.
read_cluster() {
  local kind more selector
  more=$(known_kinds) || return 1
  for kind in "${kinds[@]}" $more; do
    selector=()
    [ "$kind" != pods ] || selector=(--field-selector=status.phase=Running)
    echo ---
    kubectl get "$kind" "${scope:---all-namespaces}" --output=yaml --request-timeout=10s ${selector+"${selector[@]}"} || return 1
  done
}

for ((round = 0; round != ${SYNC_ROUNDS:--1}; round++)); do
  [ "$round" -eq 0 ] || sleep "${SYNC_SECONDS:-2}"
  if ! read_cluster >"$new"; then
    echo "sync: the cluster can't be read; what was read last stays" >&2
  elif ! cmp -s "$new" "$file"; then
    mv "$new" "$file"
  fi
done
