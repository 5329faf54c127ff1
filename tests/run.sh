#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Runs test programs one after the other; each prints TAP ("ok N - claim", "not ok …", "# SKIP"). Ends with
# the sum over all of them and exit status 1 if anything failed, or a program died or tested nothing.
#   LANETAG_TEST_TIMEOUT  seconds that one program may take (default 600)
set -u
cd "$(dirname "$0")/.." || exit 1
export CMOCKA_MESSAGE_OUTPUT=TAP
passed=0 failed=0 skipped=0 failures=()
log=$(mktemp)
trap 'rm -f "$log"' EXIT

for program in "$@"; do
  start=$(date +%s)
  printf '# %s\n' "$program"
  timeout --kill-after=10 "${LANETAG_TEST_TIMEOUT:-600}" "$program" >"$log" 2>&1
  status=$?
  good=$(grep -c '^ok ' "$log")
  bad=$(grep -c '^not ok ' "$log")
  left_out=$(grep -ci '^ok .*# skip' "$log")
  passed=$((passed + good - left_out)) skipped=$((skipped + left_out)) failed=$((failed + bad))
  if [ "$bad" -gt 0 ] || [ "$status" -ne 0 ] || [ "$good" -eq 0 ]; then
    cat "$log"
    [ "$bad" -gt 0 ] || failed=$((failed + 1))
    failures+=("$program (exit status $status, $bad not ok)")
  else
    grep -E '^(ok|# )' "$log"
  fi
  printf '# %s: %d ok, %d not ok, %d s\n' "$program" "$((good - left_out))" "$bad" "$(($(date +%s) - start))"
done

for failure in ${failures+"${failures[@]}"}; do
  printf 'FAILED: %s\n' "$failure"
done
if [ "$skipped" -gt 0 ]; then
  printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
else
  printf '%d passed, %d failed\n' "$passed" "$failed"
fi
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
