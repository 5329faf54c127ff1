#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0-only
# The first process of a kernel that scripts/kernel-matrix.sh boots: loads the modules, runs the tests.
/bin/busybox --install -s /bin
# The tests call the real tools; busybox's shell would prefer its own.
rm -f /bin/ip /bin/tc
ln -sf /usr/bin/bash /bin/sh
export PATH=/usr/bin:/usr/sbin:/bin:/sbin HOME=/root CMOCKA_MESSAGE_OUTPUT=TAP LANETAG_BUILD=/tests LANETAG_KERNEL_MATRIX=1
# QEMU without KVM is slow: the million is for the machine itself.
export LANETAG_DIFFERENTIAL_REQUESTS=20000
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2>/dev/null
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
mount -t bpf bpf /sys/fs/bpf
echo "# kernel $(uname -r)"
for module in /modules/*.ko; do
  insmod "$module" || echo "# module ${module##*/} does not load"
done
ip link set lo up
failed=0
while read -r test; do
  echo "# $test"
  timeout 240 "/tests/$test" 2>&1
  status=$?
  [ "$status" -eq 0 ] || { echo "# $test ended with status $status"; failed=$((failed + 1)); }
done </tests/list
echo "# end of tests, $failed programs failed"
poweroff -f
