#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Builds this tree in a freshly bootstrapped root of another Debian release, with that release's packages, as scripts/setup.sh
# installs them there, and runs the unit and BPF tests. Needs root and debootstrap.
#   usage: scripts/test-distributions.sh [SUITE…]    default: bookworm and trixie but for the one that this machine runs
#   LANETAG_DISTRIBUTION_CACHE   where the roots are kept (default build/distributions); packages there are not fetched again
# Ends with the sum of the tests of each release; exit status 1 where anything failed.
set -euo pipefail
cd "$(dirname "$0")/.."

cache=$(realpath -m "${LANETAG_DISTRIBUTION_CACHE:-build/distributions}")

bootstrap() { # SUITE ROOT
  [ ! -e "$2.complete" ] || return 0
  rm -rf "$2"
  mkdir -p "$2"
  debootstrap --variant=minbase "$1" "$2" http://deb.debian.org/debian >"$2.log" 2>&1 ||
    { echo "test-distributions: cannot bootstrap $1:" >&2; tail -5 "$2.log" >&2; return 1; }
  touch "$2.complete"
}

# The files as they are in the work tree, committed or not; what is built there stays from one run to the next.
copy_sources() { # ROOT
  mkdir -p "$1/source"
  find "$1/source" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
  git ls-files -z --cached --others --exclude-standard | xargs -0 -I{} sh -c '[ ! -e "$1" ] || printf "%s\0" "$1"' - {} |
    tar --null --files-from=- -c | tar -x -C "$1/source"
}

# The root is a mount of its own, and not a chroot: tests inside make mounts private, and user namespaces.
in_root() { # ROOT COMMAND
  # shellcheck disable=SC2016
  unshare --mount --propagation private bash -ec '
    mount --bind "$1" "$1"
    for directory in proc sys dev; do mount --rbind "/$directory" "$1/$directory"; done
    cp /etc/resolv.conf "$1/etc/resolv.conf"
    cd "$1"
    pivot_root . .
    umount --lazy .
    exec env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb bash -c "cd /source && $2"' - "$1" "$2"
}

test_suite() { # SUITE
  local root=$cache/$1
  bootstrap "$1" "$root" && copy_sources "$root" || return 1
  in_root "$root" "scripts/setup.sh && make -j$(nproc) build && make -j$(nproc) test-programs" >"$root.log" 2>&1 ||
    { tail -30 "$root.log"; echo "test-distributions: $1: not built"; return 1; }
  in_root "$root" "make --no-print-directory unit && make --no-print-directory test-kernel" >"$root.tests.log" 2>&1 ||
    { grep -E '^(not ok|FAILED)' "$root.tests.log" || tail -30 "$root.tests.log"; echo "test-distributions: $1: failed"; return 1; }
  awk -v suite="$1" '/^[0-9]+ passed, 0 failed/ { sum += $1 } END { print suite ": " sum " ok"; exit !sum }' "$root.tests.log"
}

own=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
suites=("$@")
if [ "${#suites[@]}" -eq 0 ]; then
  for suite in bookworm trixie; do [ "$suite" = "$own" ] || suites+=("$suite"); done
fi
failed=0
for suite in "${suites[@]}"; do test_suite "$suite" || failed=1; done
exit "$failed"
