#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Growth that instructions do not show, on the loopback of a network namespace of its own; see measure.py.
set -eu
cd "$(dirname "$0")/../.."
if [ -z "${LANETAG_IN_NAMESPACE:-}" ]; then
  exec env LANETAG_IN_NAMESPACE=1 unshare --net tests/growth/measure.sh "$@"
fi
ip link set lo up
sysctl -qw net.ipv4.tcp_congestion_control=reno net.ipv4.ip_local_port_range="10000 65535" net.ipv4.tcp_tw_reuse=1
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=tests/bench exec python3 tests/growth/measure.py "$@"
