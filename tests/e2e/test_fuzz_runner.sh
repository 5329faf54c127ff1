#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# What `make fuzz` runs: each tests/fuzz/fuzz_NAME.c, and all of them, whatever one of them finds.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fuzzer() { # NAME COMMAND: in the place of a program that libFuzzer made
  printf '#!/bin/sh\n%s\n' "$2" >"$work/fuzz_$1"
  chmod +x "$work/fuzz_$1"
}

run() { # NAME...
  FUZZ_SECONDS=1 tests/fuzz/run.sh "$work" "$@" >"$work/out" 2>&1
}

fuzzer crash 'echo "==1==ERROR: a finding" >&2; exit 77'
fuzzer empty 'echo stat::number_of_executed_units: 0'
fuzzer good 'echo "$@" >&2; echo stat::number_of_executed_units: 9'

run crash empty good
claim_equal "a finding fails the run" $? 1
claim_equal "and the fuzzers behind it run all the same" "$(grep -cE '^(not )?ok ' "$work/out")" 3
claim "the finding is shown" grep -qx '# ==1==ERROR: a finding' "$work/out"
claim "a fuzzer that tries nothing fails, too" grep -q '^not ok 2 - fuzz_empty' "$work/out"
claim "one that finds nothing says how much it tried" grep -qx 'ok 3 - fuzz_good: 9 inputs in 1 s, none breaks a property' "$work/out"
run good
claim_equal "without a finding the run is good" $? 0
claim "an input that breaks a property stays, under the fuzzer's name" grep -q -- "-artifact_prefix=$work/good-" "$work/good.log"
fuzzer http 'echo "$@" >&2; echo stat::number_of_executed_units: 9'
run http
claim "a fuzzer starts from the inputs in tests/fuzz/corpus" grep -q ' tests/fuzz/corpus/http$' "$work/http.log"
claim_equal "each tests/fuzz/fuzz_NAME.c is run by make fuzz" \
  "$(env -u MAKEFLAGS -u MAKELEVEL make -n fuzz 2>/dev/null | grep -oE 'tests/fuzz/run\.sh .*' | cut -d' ' -f3-)" \
  "$(for file in tests/fuzz/fuzz_*.c; do basename "$file" .c; done | cut -c6- | sort | xargs)"

finish
