#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Prints the version of this tree, for `lanetag --version`, the metrics, the image and the package:
#
#   0.2.0                             the commit with the tag v0.2.0, or sources without their history
#   0.2.0+20261130.225301.g4f3d5a1    a later commit: its time (UTC) and its hash; a later commit sorts behind an earlier one
#   ….dirty                           with changes that are not committed
set -euo pipefail
cd "$(dirname "$0")/.."
version=$(<VERSION)
commit=
# The history of this tree, not of one that it was unpacked into.
if [ -e .git ]; then
  commit=$(TZ=UTC git log -1 --abbrev=7 --format=%cd.g%h --date=format-local:%Y%m%d.%H%M%S 2>/dev/null || true)
fi
if [ -n "$commit" ]; then
  dirty=$(git status --porcelain --untracked-files=no 2>/dev/null | head -c 1)
  if [ -n "$dirty" ] || [ "$(git describe --tags --exact-match 2>/dev/null || true)" != "v$version" ]; then
    version+=+$commit${dirty:+.dirty}
  fi
fi
echo "$version"
