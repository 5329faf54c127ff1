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
finds "a lower directory that includes a higher one" 'user/base/long.c:2: base/ must not include http/head.h'
finds "a file without its licence" 'user/http/bare.c:1: no SPDX'
sed -i '5d;2d' "$work/user/base/long.c"
rm "$work/user/http/bare.c"
printf 'Type\n\n    make\n\n```\nmake\n```\n' >"$work/README.md"
finds "a block of code without a fence in a document" 'README.md:3: a block without a fence'
finds "a fence that does not say what is in it" 'README.md:5: a block that does not say'
printf 'Type\n\n```sh\nmake\n\n    x\n```\n' >"$work/README.md"
claim "60 lines are fine" scripts/lint.sh "$work"
mkdir -p "$work/user/proxy/loop" "$work/user/proxy/exchange" "$work/user/proxy/attic"
{
  printf '%s\n#include "proxy/loop/b.h"\n' "$licence" | tee "$work/user/proxy/loop/a.h"
} >"$work/user/proxy/loop/a.c"
printf '%s\n' "$licence" | tee "$work/user/proxy/loop/b.h" >"$work/user/proxy/exchange/c.h"
claim "modules of one directory may include each other one way" scripts/lint.sh "$work"
printf '%s\n#include "proxy/loop/a.h"\n' "$licence" >"$work/user/proxy/loop/b.c"
finds "two modules that include each other, one of them in its .c alone" 'in a circle: proxy/loop/[ab] proxy/loop/[ab]$'
rm "$work/user/proxy/loop/b.c"
printf '%s\n#include "proxy/exchange/c.h"\n' "$licence" >"$work/user/proxy/loop/b.c"
finds "a lower directory of the proxy that includes a higher one" 'user/proxy/loop/b.c:2: proxy/loop/ must not include proxy/exchange/c.h'
mv "$work/user/proxy/loop/b.c" "$work/user/proxy/attic/b.c"
finds "a directory of the proxy that has no level" 'user/proxy/attic/b.c:2: proxy/attic/ has no level'
mv "$work/user/proxy/attic/b.c" "$work/user/proxy/b.c"
claim "files right in user/proxy include all of its directories" scripts/lint.sh "$work"
finish
