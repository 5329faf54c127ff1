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
run "small connect response-1m rate-10k chain chain-1k" "$work/benchmark.md"

claim "a direct connection, lanetag, nginx and HAProxy in both modes answer each workload" \
  '[.measurements[] | select(.requests > 0) | .party + .workload] as $done |
   all(("direct", "lanetag", "nginx", "HAProxy", "HAProxy tcp") as $party |
       ("small", "connect", "response-1m", "rate-10k") as $load | $party + $load; IN($done[]))'
claim "so does the copier those that it is there for" \
  '[.measurements[] | select(.party == "copier" and .requests > 0) | .workload] == ["small", "rate-10k"]'
claim "each byte of bodies of 1 MiB comes through, both ways" \
  '[.checks[] | select(.arguments | index("-V"))] | length >= 15 and all(.errors == 0 and .requests > 0)'
claim "no response is wrong or missing" 'all(.checks[], .measurements[]; .errors == 0)'
claim "lanetag tags users, the same ones as HAProxy's rules" \
  '.tagged_of_1000 | .lanetag == .HAProxy and all(.lanetag[]; . > 50 and . < 600)'
claim "nginx tags about as many" '.tagged_of_1000.nginx | all(. > 50 and . < 600)'
claim "a direct connection and a blind one bring no tags" \
  '.tagged_of_1000 | .direct == [0, 0, 0] and ."HAProxy tcp" == [0, 0, 0] and .copier == [0, 0, 0]'
claim "each proxy's processor time is measured" \
  'all(.measurements[]; .machine_us >= 0 and (.proxy_us > 0) == (.party != "direct"))'
claim "each proxy's memory is measured, at its start and with idle connections" \
  '.memory | length == 3 and all(.idle_connections == 200 and .start.anonymous > 0 and .start.resident > .start.anonymous)'
claim "ratios are of each round, with the goals beside them" \
  '[.ratios[] | select(.workload == "small")] | length == 4 and all((.ratios | length) == 1 and (.goal > 0 or .peer == "copier"))'

# What a chain is measured through; the kernel may lack what threads are followed by, or all.
left_out='["lanetag, thread"]'
[ "${LANETAG_SKIP_KERNEL:-0}" != 1 ] || left_out='["lanetag, intercepted", "lanetag, thread", "lanetag, trace"]'
claim "the chain of applications is called directly, through lanetag by each way and through HAProxy" \
  "$left_out as \$may_lack | (.chain.left_out | keys) as \$lacks | \$lacks - \$may_lack == [] and
   ([.chain.measurements[] | select(.requests > 0) | .party + .workload] as \$done |
    all((([\"direct\", \"HAProxy\", \"lanetag, baggage\", \"lanetag, trace\", \"lanetag, thread\", \"lanetag, intercepted\"]
          - \$lacks)[]) as \$party | (\"chain\", \"chain-1k\") as \$load | \$party + \$load; IN(\$done[])))"
claim "no answer of the chain is missing, or names a version that was not to come" 'all(.chain.measurements[]; .errors == 0)'
claim "all users meet their own versions; where tags go by threads, nearly all" \
  'all(.chain.measurements[]; .lost == 0 or (.party == "lanetag, thread" and .lost < .requests / 20))'
claim "calls have their tags by the way that is measured" \
  'all(.chain.measurements[] | select(.calls_by_way); .calls_by_way >= .requests / 2) and
   ([.chain.measurements[] | select(.calls_by_way)] | length) >= 2'
claim "only a proxy has processor time and memory, only lanetag maps" \
  'all(.chain.measurements[]; (.proxy_us > 0) == (.party != "direct")) and
   all(.chain.memory[]; (.anonymous > 0) == (.party != "direct") and (.maps > 0) == (.party | startswith("lanetag")))'

for line in '| small heads | nginx |' '### A chain of three' '| lanetag, baggage |'; do
  number=$((number + 1))
  if grep -qF "$line" "$work/benchmark.md"; then
    echo "ok $number - the table is put into the document: $line"
  else
    echo "not ok $number - the table is put into the document: $line"
    failed=1
  fi
done
exit $failed
