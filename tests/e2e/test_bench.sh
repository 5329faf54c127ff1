#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# The benchmark's parts do what its figures stand on. Nothing here is timed.
set -u
cd "$(dirname "$0")/../.." || exit 1
if [ "$(id -u)" -ne 0 ]; then
  echo "not ok 1 - the benchmark runs (it needs root for its namespace)"
  exit 1
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
number=0 failed=0

claim() { # TEXT JQ_FILTER
  number=$((number + 1))
  if jq -e "$2" "$work/results.json" >"$work/jq" 2>&1; then
    echo "ok $number - $1"
  else
    echo "not ok $number - $1"
    failed=1
    { cat "$work/jq" && tail -5 "$work/log"; } 2>/dev/null | sed 's/^/#   /'
  fi
}

run() { # WORKLOADS DOCUMENT
  BENCH_ROUNDS=1 BENCH_SECONDS=0.1 BENCH_IDLE=200 BENCH_WORKLOADS=$1 BENCH_OUTPUT=$work BENCH_DOCUMENT=$2 \
    tests/bench/compare.sh >"$work/table" 2>"$work/log"
}

cp docs/benchmark.md "$work/benchmark.md"
run "small connect response-1m rate-10k" "$work/benchmark.md"

claim "a direct connection, lanetag, nginx and HAProxy in both modes answer each workload" \
  '[.measurements[] | select(.requests > 0) | .party + .workload] as $done |
   all(("direct", "lanetag", "nginx", "HAProxy", "HAProxy tcp") as $party |
       ("small", "connect", "response-1m", "rate-10k") as $load | $party + $load; IN($done[]))'
claim "each byte of bodies of 1 MiB comes through, both ways" \
  '[.checks[] | select(.arguments | index("-V"))] | length >= 15 and all(.errors == 0 and .requests > 0)'
claim "no response is wrong or missing" 'all(.checks[], .measurements[]; .errors == 0)'
claim "lanetag tags users, the same ones as HAProxy's rules" \
  '.tagged_of_1000 | .lanetag == .HAProxy and all(.lanetag[]; . > 50 and . < 600)'
claim "nginx tags about as many" '.tagged_of_1000.nginx | all(. > 50 and . < 600)'
claim "a direct connection and a blind one bring no tags" \
  '.tagged_of_1000 | .direct == [0, 0, 0] and ."HAProxy tcp" == [0, 0, 0]'
claim "each proxy's processor time is measured" \
  'all(.measurements[]; .machine_us >= 0 and (.proxy_us > 0) == (.party != "direct"))'
claim "each proxy's memory is measured, at its start and with idle connections" \
  '.memory | length == 3 and all(.idle_connections == 200 and .start.anonymous > 0 and .start.resident > .start.anonymous)'
claim "ratios are of each round, with the goals beside them" \
  '[.ratios[] | select(.workload == "small")] | length == 3 and all((.ratios | length) == 1 and .goal > 0)'

number=$((number + 1))
if grep -q '^| small heads | nginx |' "$work/benchmark.md"; then
  echo "ok $number - the table is put into the document"
else
  echo "not ok $number - the table is put into the document"
  failed=1
fi
exit $failed
