# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
# A small network of network namespaces, to be sourced: a client, a node, and one per pod, each with a veth pair
# to the node. Names bear the process id; the host's own namespace is left as it is.
#
#   client 192.0.2.2 --- 192.0.2.1 node 10.0.250.1 --- 10.0.250.x pods
#                                  local: 10.96.0.0/16, the Services' addresses
#
# network_up, network_add_pod NAME ADDRESS, network_down; in_node, in_client, in_pod NAME run a command there.
# start NAMESPACE NAME COMMAND… runs it in the background with its output in $work/NAME.log; stop NAME ends it.

NODE_ADDRESS=192.0.2.1
CLIENT_ADDRESS=192.0.2.2
POD_GATEWAY=10.0.250.1
SERVICE_NETWORK=10.96.0.0/16

network=lanetag-$$
network_namespaces=()
declare -A processes=()

# Not `ip netns exec`: that would hide /sys/fs/bpf.
in_namespace() { # NAMESPACE COMMAND…
  local namespace=$1
  shift
  nsenter --net="/run/netns/$network-$namespace" "$@"
}
in_node() { in_namespace node "$@"; }
in_client() { in_namespace client "$@"; }
in_pod() { in_namespace "$@"; }

network_add_namespace() { # NAME
  network_namespaces+=("$network-$1") # first: an interrupt may come in between
  ip netns add "$network-$1" || return 1
  ip -n "$network-$1" link set lo up
}

# The veth pair is made inside the namespaces: nothing of it ever shows in the host's.
network_add_veth() { # INTERFACE-ON-NODE NAMESPACE
  ip -n "$network-node" link add "$1" type veth peer name eth0 netns "$network-$2" &&
    ip -n "$network-node" link set "$1" up && ip -n "$network-$2" link set eth0 up
}

network_up() {
  network_add_namespace node && network_add_namespace client && network_add_veth client client &&
    ip -n "$network-node" address add "$NODE_ADDRESS/30" dev client &&
    ip -n "$network-client" address add "$CLIENT_ADDRESS/30" dev eth0 &&
    ip -n "$network-client" route add default via "$NODE_ADDRESS" &&
    ip -n "$network-node" address add "$POD_GATEWAY/32" dev lo &&
    ip -n "$network-node" route add local "$SERVICE_NETWORK" dev lo &&
    in_node sysctl -qw net.ipv4.ip_forward=1
}

network_add_pod() { # NAME ADDRESS
  network_add_namespace "$1" && network_add_veth "$1" "$1" &&
    ip -n "$network-$1" address add "$2/32" dev eth0 &&
    ip -n "$network-$1" route add "$POD_GATEWAY" dev eth0 &&
    ip -n "$network-$1" route add default via "$POD_GATEWAY" &&
    ip -n "$network-node" route add "$2" dev "$1" src "$POD_GATEWAY"
}

network_down() {
  local namespace
  for namespace in ${network_namespaces+"${network_namespaces[@]}"}; do
    ip netns delete "$namespace" 2>/dev/null
  done
  network_namespaces=()
}

start() { # NAMESPACE NAME COMMAND…
  local namespace=$1 name=$2
  shift 2
  nsenter --net="/run/netns/$network-$namespace" "$@" >>"$work/$name.log" 2>&1 &
  processes[$name]=$!
}

is_running() { # NAME
  [ -n "${processes[$1]:-}" ] && kill -0 "${processes[$1]}" 2>/dev/null
}

# Its exit status; 137 where it had to be killed, after 5 s.
stop() { # NAME
  local pid=${processes[$1]:-} tries=250
  [ -n "$pid" ] || return 0
  unset "processes[$1]"
  kill "$pid" 2>/dev/null
  while kill -0 "$pid" 2>/dev/null && [ $((tries--)) -gt 0 ]; do sleep 0.02; done
  kill -KILL "$pid" 2>/dev/null
  wait "$pid" 2>/dev/null
}

stop_all() {
  local name
  for name in "${!processes[@]}"; do kill "${processes[$name]}" 2>/dev/null; done
  for name in "${!processes[@]}"; do stop "$name"; done
}
