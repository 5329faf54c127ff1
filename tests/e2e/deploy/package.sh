#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# package.sh PACKAGE: installs a Debian package into a copy of this system that is thrown away, starts what it brings,
# and purges it. Says what is wrong; nothing where all is well.
set -euo pipefail
if [ -z "${LANETAG_IN_MOUNTS:-}" ]; then
  exec env LANETAG_IN_MOUNTS=1 unshare --mount --net --propagation private "$0" "$@"
fi
ip link set lo up
package=$(readlink -f "$1")
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
cp "$package" /mnt/root/lanetag.deb
mount -t tmpfs tmpfs /mnt/root/run # other agents of this machine are none of the copy's
inside() { exec chroot /mnt/root env DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"; }

(inside dpkg --install /lanetag.deb) >/mnt/install.log 2>&1 || { cat /mnt/install.log; exit 1; }
(inside getent passwd lanetag) >/dev/null || echo "the user lanetag is missing"
(inside dpkg --verify lanetag)
cat >/mnt/root/etc/lanetag/gateway.yaml <<'END'
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec: {servers: [{port: {number: 8080, name: http, protocol: HTTP}, hosts: ["*"]}]}
END
mkdir -p /mnt/root/run/lanetag
(inside chown lanetag: /run/lanetag)
inside setpriv --reuid lanetag --regid lanetag --clear-groups \
  /usr/sbin/lanetag run --config /etc/lanetag --no-kernel 2>/mnt/agent.log &
agent=$!
for ((tries = 0; tries < 500; tries++)); do
  ! curl -sf --max-time 1 http://127.0.0.1:15020/readyz >/mnt/ready || break
  sleep 0.02
done
grep -qx ready /mnt/ready || cat /mnt/agent.log
kill "$agent"
wait "$agent" || { echo "the agent ended with $?"; cat /mnt/agent.log; }

(inside dpkg --purge lanetag) >/mnt/purge.log 2>&1 || cat /mnt/purge.log
rm -f /mnt/root/lanetag.deb
# The user's own manifest stays; whiteouts are files that the copy never had in its own layer.
find /mnt/upper -name '*lanetag*' ! -type c ! -path /mnt/upper/etc/lanetag -printf 'left behind: %p\n'
[ -e /mnt/root/etc/lanetag/gateway.yaml ] || echo "the user's manifest is gone"
