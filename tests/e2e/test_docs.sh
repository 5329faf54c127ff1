#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Every command in the documents does what they say, the tutorial followed to the letter; and what they list (fields of
# manifests, metrics, limits, options, alerts) is what there is.
set -u
cd "$(dirname "$0")/../.." || exit 1
if [ "$(id -u)" -ne 0 ]; then
  echo "not ok 1 - the tutorial can be followed (it needs root for its namespaces)"
  exit 1
fi
export PYTHONDONTWRITEBYTECODE=1
python3 tests/e2e/docs/commands.py
commands=$?
python3 tests/e2e/docs/reference.py
exit $((commands | $?))
