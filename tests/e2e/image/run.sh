#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# run.sh ROOT MANIFESTS RUN CAPABILITIES ARGUMENT…: the image's entry point with the DaemonSet's volumes, in a mount
# namespace of its own. The root is read-only.
set -euo pipefail
if [ -z "${LANETAG_IN_MOUNTS:-}" ]; then
  exec env LANETAG_IN_MOUNTS=1 unshare --mount --propagation private "$0" "$@"
fi
root=$1 manifests=$2 run=$3 capabilities=$4
shift 4
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount --bind "$manifests" "$root/etc/lanetag"
mount --bind "$run" "$root/run/lanetag"
mount --bind /sys/fs/bpf "$root/sys/fs/bpf"
mount --rbind /sys/fs/cgroup "$root/sys/fs/cgroup"
mount --bind -o remount,ro "$root/etc/lanetag"
mount --bind -o remount,ro "$root/sys/fs/cgroup"
mount -o remount,bind,ro "$root"
exec python3 "$(dirname "$0")/enter.py" "$root" "$capabilities" /usr/sbin/lanetag "$@"
