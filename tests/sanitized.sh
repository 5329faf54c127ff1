#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Runs suites on an agent that was built with a sanitizer, and counts what the sanitizer reports: a suite may be good although the
# agent that it left behind was not.
#
#   tests/sanitized.sh address|thread BUILD [TEST...]
#   LANETAG_SANITIZED_SUITES  names of end-to-end tests in place of the usual ones
#   SOAK_SECONDS              for the soak under TSan (default 20)
set -u
cd "$(dirname "$0")/.." || exit 1
kind=$1 build=$2
shift 2
reports=$(mktemp -d)
trap 'rm -rf "$reports"' EXIT
chmod 1777 "$reports" # agents of other users write there, too

case $kind in
  address) suites="proxy_hostile proxy_dialogues proxy_bad_input http_verdicts proxy_chaos" ;;
  thread) suites="proxy_running proxy_admin proxy_generations proxy_takeover proxy_soak" ;;
  *) echo "usage: $0 address|thread BUILD [TEST...]" >&2; exit 2 ;;
esac
tests=()
for suite in ${LANETAG_SANITIZED_SUITES-$suites}; do
  tests+=("tests/e2e/test_$suite.sh")
done

export ASAN_OPTIONS=log_path=$reports/asan:detect_stack_use_after_return=1
export UBSAN_OPTIONS=log_path=$reports/ubsan:print_stacktrace=1
export TSAN_OPTIONS=log_path=$reports/tsan:exitcode=0:second_deadlock_stack=1
export LANETAG_BUILD=$build LANETAG_SANITIZER=$kind SOAK_SECONDS=${SOAK_SECONDS:-20}
tests/run.sh "$@" "${tests[@]}"
status=$?

found=$(cat "$reports"/* 2>/dev/null | grep -cE '^(WARNING: ThreadSanitizer|==[0-9]+==ERROR|.*: runtime error:)')
if [ "$found" -gt 0 ]; then
  cat "$reports"/* | head -n 300
fi
echo "$found reports of the $kind sanitizer"
[ "$status" -eq 0 ] && [ "$found" -eq 0 ]
