#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# The demo ends well, tells what it shows, and leaves nothing behind: also when it is interrupted.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh

work=$(mktemp -d "${TMPDIR:-/tmp}/lanetag-demo-XXXXXX")
trap 'rm -rf "$work"' EXIT
options=()
use_kernel || options=(--no-kernel)

remains() { # PID: what the demo with this process id left behind
  ip netns list | grep "^lanetag-$1-"
  ls -d "/sys/fs/bpf/lanetag-$1" "/sys/fs/bpf/lanetag-$1-arrivals" "${TMPDIR:-/tmp}/lanetag-$1" 2>/dev/null
}

LANETAG_BUILD=$build scripts/demo.sh ${options+"${options[@]}"} >"$work/demo.txt" 2>&1 &
demo=$!
wait "$demo"
claim_equal "the demo ends with status 0" "$?" 0
claim "it says that all answers are as in the tutorial" grep -qE '(20 of 20|25 of 25) answers as in the tutorial' "$work/demo.txt"
claim "also of applications that forward nothing, or it says what that needs" \
  grep -qE 'propagation_total\{by="thread"\} [1-9]|not here: it needs the kernel' "$work/demo.txt"
claim "it says that no request failed" grep -qE '[1-9][0-9]* requests by clients .* 0 failed' "$work/demo.txt"
if use_kernel; then
  claim "it shows marks" grep -qE '192.0.2.2:[0-9]+ -> 192.0.2.1:80 .*remainders \[6,6\]' "$work/demo.txt"
  claim "it shows counters by name" grep -qE 'appver-c: v3 +[1-9]' "$work/demo.txt"
else
  skip "it shows marks and counters" LANETAG_SKIP_KERNEL
fi
[ "$failed_claims" -eq 0 ] || sed 's/^/# /' "$work/demo.txt"
claim_equal "it leaves nothing behind" "$(remains "$demo")" ''

# Long enough that namespaces are there and the agent runs, at whatever step that is.
for delay in 0.05 0.7 1.5; do
  LANETAG_BUILD=$build scripts/demo.sh ${options+"${options[@]}"} >"$work/demo.txt" 2>&1 &
  demo=$!
  sleep "$delay"
  kill -TERM "$demo"
  wait "$demo"
  claim_equal "interrupted after $delay s it ends with 143" "$?" 143
  claim_equal "and leaves nothing behind" "$(remains "$demo")" ''
done
finish
