#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Installs what building, testing and the demo need, from Debian's packages and npm. Does nothing, fast, where
# all is there. Starts no service. With --build only what building needs.
set -euo pipefail

build=(
  build-essential pkg-config clang libclang-rt-dev clang-format bpftool
  libbpf-dev libelf-dev zlib1g-dev libyaml-dev libre2-dev libmicrohttpd-dev libjansson-dev libseccomp-dev libsodium-dev
  libcurl4-openssl-dev
)
tests_and_demo=(
  libcmocka-dev libxxhash-dev valgrind iproute2 jq curl procps python3 python3-yaml libcap2-bin
  wrk nginx-light haproxy nodejs golang-go golang-opentelemetry-otel-dev default-jdk-headless socat systemd groff-base python3-jsonschema prometheus lintian binutils
)
other_systems=(qemu-system-x86 busybox-static cpio xz-utils debootstrap)

packages=("${build[@]}")
[ "${1:-}" = --build ] || packages+=("${tests_and_demo[@]}" "${other_systems[@]}")

# Where kubectl came from elsewhere, Debian's would be in its way.
command -v kubectl >/dev/null || [ "${1:-}" = --build ] || packages+=(kubernetes-client)
command -v npm >/dev/null || [ "${1:-}" = --build ] || packages+=(npm)

# What only npm has, once, so that it is there without a network later.
node_libraries=/usr/local/lib/lanetag-tests
install_node_libraries() {
  [ ! -e "$node_libraries/node_modules/@opentelemetry/core" ] || return 0
  echo "setup: installing @opentelemetry/core"
  npm install --silent --no-audit --no-fund --prefix "$node_libraries" @opentelemetry/core >/dev/null ||
    echo "setup: npm cannot install @opentelemetry/core: tests/e2e/test_baggage.sh will fail" >&2
}

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
if [ "${#missing[@]}" -eq 0 ]; then
  [ "${1:-}" = --build ] || install_node_libraries
  exit 0
fi

if [ "$(id -u)" -ne 0 ]; then
  echo "setup: needs root to install: ${missing[*]}" >&2
  exit 1
fi

echo "setup: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
# Debian starts a service when its package is installed; the tests start their own.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
  trap 'rm -f "$policy"' EXIT
fi
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
[ "${1:-}" = --build ] || install_node_libraries
