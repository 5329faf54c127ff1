#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# unit.sh UNIT BINARY MANIFESTS OPTION…: does what systemd does with the unit's lines that decide what the agent may: the
# directories and mounts, the user, the capabilities. Its network, /run and bpffs (mode 0700, as systemd mounts it) are
# of its own. Prints the agent's log; ends it after it has started.
set -euo pipefail
if [ -z "${LANETAG_IN_MOUNTS:-}" ]; then
  exec env LANETAG_IN_MOUNTS=1 unshare --mount --net --propagation private "$0" "$@"
fi
unit=$1 binary=$2 manifests=$3
shift 3
value() { sed -n "s/^$1=//p" "$unit"; }
owner=65534:65534 # in place of the user that the package makes

ip link set lo up
mount -t tmpfs tmpfs /run
mount -t bpf -o mode=0700 bpf /sys/fs/bpf
mkdir -m "$(value RuntimeDirectoryMode)" "/run/$(value RuntimeDirectory)"
while read -r line; do # "+": as root
  # shellcheck disable=SC2086 # systemd splits at blanks as well
  ${line/lanetag:lanetag/$owner}
done < <(value ExecStartPre | sed 's/^+//')
while IFS=: read -r from to; do
  mkdir -p "$to"
  mount --bind "$from" "$to"
done < <(value BindPaths)
chown "$owner" "/run/$(value RuntimeDirectory)"
install -D -m 0755 "$binary" /run/bin/lanetag
install -D -m 0644 -t /run/manifests "$manifests"/*.yaml

capabilities=$(value AmbientCapabilities | tr 'A-Z ' 'a-z,' | sed 's/cap_/+/g')
bounding=$(value CapabilityBoundingSet | tr 'A-Z ' 'a-z,' | sed 's/cap_/+/g')
# shellcheck disable=SC2016 # as it stands there
start=$(value ExecStart | sed 's#^/usr/sbin/lanetag#/run/bin/lanetag#; s# /etc/lanetag # /run/manifests #; s# $LANETAG_OPTIONS##')
umask "$(value UMask)"
# shellcheck disable=SC2086
setpriv --reuid "${owner%:*}" --regid "${owner#*:}" --clear-groups --no-new-privs --bounding-set "-all,$bounding" \
  --inh-caps "-all,$capabilities" --ambient-caps "-all,$capabilities" $start "$@" 2>/run/log &
agent=$!
for ((tries = 0; tries < 500; tries++)); do
  ! grep -qE 'event="?(started|not started)' /run/log || break
  sleep 0.02
done
ls /sys/fs/bpf/lanetag >/run/pins
kill "$agent" || true
wait "$agent" || echo "ended with $?" >>/run/log
sed 's/^/pin: /' /run/pins
cat /run/log
find /sys/fs/bpf -mindepth 2 -printf 'left behind: %p\n'
