#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# The rules of scripts/lint.sh hold, and the script finds what breaks them.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh

work=$(mktemp -d "${TMPDIR:-/tmp}/lanetag-lint-XXXXXX")
trap 'rm -rf "$work"' EXIT
licence='/* SPDX-License-Identifier: GPL-2.0-only */'

finds() { # WHAT PATTERN
  claim "lint finds $1" grep -qE "$2" <(scripts/lint.sh "$work")
}

claim "the tree keeps the rules" scripts/lint.sh
claim "the sources are formatted as .clang-format says" make -s check-format
mkdir -p "$work/user/base" "$work/user/http" "$work/scripts" "$work/tests" "$work/.ci"
cp scripts/lint.sh "$work/scripts/"
printf '#!/bin/sh\n# SPDX-License-Identifier: GPL-2.0-only\n' | tee "$work/tests/run.sh" "$work/.ci/run" >"$work/Makefile"
claim "lint is content with a tree without a breach" scripts/lint.sh "$work"
{
  printf '%s\n#include "http/head.h"\n' "$licence"
  printf 'int f(void)\n{\n'
  printf '\tf();\n%.0s' {1..61}
  printf '}\n'
} >"$work/user/base/long.c"
echo 'int x;' >"$work/user/http/bare.c"
finds "a function of 61 lines" 'user/base/long.c:4: a function of 61 lines'
finds "a lower room that includes a higher one" 'user/base/long.c:2: base/ must not include http/head.h'
finds "a file without its licence" 'user/http/bare.c:1: no SPDX'
sed -i '5d;2d' "$work/user/base/long.c"
rm "$work/user/http/bare.c"
printf 'Type\n\n    make\n\n```\nmake\n```\n' >"$work/README.md"
finds "a block of code without a fence in a document" 'README.md:3: a block without a fence'
finds "a fence that does not say what is in it" 'README.md:5: a block that does not say'
printf 'Type\n\n```sh\nmake\n\n    x\n```\n' >"$work/README.md"
claim "60 lines are fine" scripts/lint.sh "$work"
finish
