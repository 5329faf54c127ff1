#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# The benchmark against other proxies, on the loopback of a network namespace of its own; see compare.py.
set -eu
cd "$(dirname "$0")/../.."
if [ -z "${LANETAG_IN_NAMESPACE:-}" ]; then
  exec env LANETAG_IN_NAMESPACE=1 unshare --net "tests/bench/compare.sh" "$@"
fi
ip link set lo up
# One congestion control for all: some pace, which costs bodies a lot. Ports of closed connections are used again.
sysctl -qw net.ipv4.tcp_congestion_control=reno net.ipv4.ip_local_port_range="10000 65535" net.ipv4.tcp_tw_reuse=1
PYTHONDONTWRITEBYTECODE=1 exec python3 tests/bench/compare.py "$@"
