#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# What costs more, costs more in proportion: instructions at two sizes per curve (tests/growth/), counted by valgrind, so
# that neither the machine nor its load has a say.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=${LANETAG_BUILD:-build}

status=0
for source in tests/growth/growth_*.c; do
  program=$build/tests/growth/$(basename "$source" .c)
  if nm "$program" 2>/dev/null | grep -q __asan_init; then
    echo "ok 1 - $(basename "$program") # SKIP valgrind does not run what is built with sanitizers"
    continue
  fi
  python3 tests/growth/growth.py test "$program" || status=1
done
exit $status
