#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The whole root file system of the image: the agent, the shared libraries that it loads, and nothing else. No shell.
#
#   deploy/image-files.sh BINARY DIRECTORY
set -eu
[ $# -eq 2 ] || { echo "usage: $0 BINARY DIRECTORY" >&2; exit 2; }
binary=$1 root=$2

install -D -m 0755 "$binary" "$root/usr/sbin/lanetag"
for library in $(ldd "$binary" | awk '$2 == "=>" { print $3 } $1 ~ /^\// { print $1 }'); do
  install -D -m 0755 "$(readlink -f "$library")" "$root$library"
done
# Where volumes are mounted; the root itself stays read-only.
mkdir -p "$root/etc/lanetag" "$root/run/lanetag" "$root/sys" "$root/proc" "$root/dev" "$root/tmp"
printf 'root:x:0:0::/:/nonexistent\n' >"$root/etc/passwd"
printf 'root:x:0:\n' >"$root/etc/group"
