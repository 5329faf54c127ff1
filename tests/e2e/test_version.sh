#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Versions can be ordered: a later commit is newer for dpkg, a release is what VERSION says.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh

work=$(mktemp -d "${TMPDIR:-/tmp}/lanetag-version-XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/scripts"
cp scripts/version.sh "$work/scripts/"
echo 1.4.0 >"$work/VERSION"

version() { "$work/scripts/version.sh"; }
commit() { # TIME
  GIT_AUTHOR_DATE=$1 GIT_COMMITTER_DATE=$1 git -C "$work" -c user.name=test -c user.email=test@localhost \
    -c commit.gpgsign=false commit -q --allow-empty -m "At $1"
}
is_newer() { dpkg --compare-versions "$1" gt "$2"; }

claim_equal "sources without a history have the number in VERSION" "$(version)" "1.4.0"
git init -q "$work" && git -C "$work" add -A
commit "2026-03-01T09:00:00Z"
first=$(version)
claim "a commit's version names its time and its hash" grep -qxE '1\.4\.0\+20260301\.090000\.g[0-9a-f]{7,}' <<<"$first"
commit "2026-03-01T11:30:00+02:00"
second=$(version)
claim "a commit of half an hour later is newer, in whichever time zone" is_newer "$second" "$first"
git -C "$work" tag v1.4.0
claim_equal "the commit with the release's tag has its number" "$(version)" "1.4.0"
claim "commits behind the release are newer than it" is_newer "$second" "1.4.0"
claim "the next release is newer than they" is_newer "1.5.0" "$second"
echo "# changed" >>"$work/scripts/version.sh"
claim "changes that are not committed show" grep -qE '\.dirty$' <<<"$(version)"

claim_equal "the binary names this tree's version" "$("$build/lanetag" --version)" "lanetag $(scripts/version.sh)"
finish
