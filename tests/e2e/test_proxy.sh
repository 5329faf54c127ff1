#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# The proxy between a raw client and a raw upstream: protocol, limits, life. On the loopback of a
# network namespace of its own.
set -u
cd "$(dirname "$0")/../.." || exit 1
if [ -z "${LANETAG_IN_NAMESPACE:-}" ]; then
  exec env LANETAG_IN_NAMESPACE=1 unshare --net "$0" "$@"
fi
ip link set lo up || exit 1
: "${LANETAG_BUILD:=build}"
export LANETAG_PROXY_COMMAND="${LANETAG_PROXY_COMMAND:-$LANETAG_BUILD/lanetag run --no-kernel --admin 127.0.0.1:15020}"
export PYTHONDONTWRITEBYTECODE=1
status=0
exec python3 tests/e2e/proxy/protocol.py
