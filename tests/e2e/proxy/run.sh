#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# usage: run.sh FILE.py   - on the loopback of a network namespace of its own
set -u
cd "$(dirname "$0")/../../.." || exit 1
if [ -z "${LANETAG_IN_NAMESPACE:-}" ]; then
  exec env LANETAG_IN_NAMESPACE=1 unshare --net "tests/e2e/proxy/run.sh" "$@"
fi
ip link set lo up || exit 1
export LANETAG_PROXY_COMMAND="${LANETAG_PROXY_COMMAND:-${LANETAG_BUILD:-build}/lanetag run --no-kernel --admin 127.0.0.1:15020 --control ${TMPDIR:-/tmp}/lanetag-$$.sock}"
export PYTHONDONTWRITEBYTECODE=1
# What hangs says where.
seconds=$((${SOAK_SECONDS:-20} + 280))
exec timeout --signal=ABRT --kill-after=10 "$seconds" python3 -X faulthandler "tests/e2e/proxy/$1"
