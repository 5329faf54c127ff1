#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Our verdicts on thousands of requests, held against Node's, nginx's and HAProxy's on the loopback.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${LANETAG_BUILD:-build}

if [ -z "${LANETAG_IN_NAMESPACE:-}" ]; then
  exec env LANETAG_IN_NAMESPACE=1 unshare --net "tests/e2e/test_http_verdicts.sh" "$@"
fi
ip link set lo up

if ! command -v node >/dev/null; then
  echo "not ok 1 - Node is there to compare with (install nodejs)"
  exit 1
fi
exec timeout 300 python3 tests/e2e/http_verdicts/compare.py "$build/tests/apps/http_verdict" "$build/lanetag" tests/corpus/desync \
  "$build/http_differences.tsv" "$@"
