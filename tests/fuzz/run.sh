#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Runs fuzzers one after the other. A finding ends its own fuzzer only: the others still run. Prints TAP.
#
#   FUZZ_SECONDS=60 tests/fuzz/run.sh DIRECTORY NAME...    runs DIRECTORY/fuzz_NAME
#
# New inputs go into DIRECTORY/corpus/NAME, what a fuzzer says into DIRECTORY/NAME.log. An input that breaks a property stays in
# DIRECTORY as NAME-crash-..., NAME-timeout-... or NAME-leak-...: DIRECTORY/fuzz_NAME FILE tries it again.
set -u
cd "$(dirname "$0")/../.." || exit 1
directory=$1
shift
number=0 failed=0
echo "1..$#"

one() { # NAME
  local name=$1 arguments=(-max_total_time="${FUZZ_SECONDS:-60}" -max_len=4096 -timeout=5 -verbosity=0 -print_final_stats=1)
  local place
  for place in "$directory" tests/fuzz; do
    [ ! -f "$place/$name.dict" ] || arguments+=(-dict="$place/$name.dict")
  done
  arguments+=(-artifact_prefix="$directory/$name-" "$directory/corpus/$name")
  mkdir -p "$directory/corpus/$name"
  [ ! -d "tests/fuzz/corpus/$name" ] || arguments+=("tests/fuzz/corpus/$name")
  # libFuzzer's own limit is looked at between two inputs only.
  timeout --kill-after=10 $((${FUZZ_SECONDS:-60} + 60)) "$directory/fuzz_$name" "${arguments[@]}" >"$directory/$name.log" 2>&1
}

for name in "$@"; do
  number=$((number + 1))
  if one "$name"; then
    inputs=$(awk '/^stat::number_of_executed_units:/ { print $2 }' "$directory/$name.log")
    if [ "${inputs:-0}" -gt 0 ]; then
      echo "ok $number - fuzz_$name: $inputs inputs in ${FUZZ_SECONDS:-60} s, none breaks a property"
      continue
    fi
  fi
  failed=$((failed + 1))
  echo "not ok $number - fuzz_$name: a finding, or it did not run: $directory/$name.log"
  tail -n 40 "$directory/$name.log" | sed 's/^/# /'
done
[ "$failed" -eq 0 ]
