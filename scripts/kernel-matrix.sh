#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Boots Debian's kernels in QEMU, each with an initramfs made from this build, and runs the BPF tests inside.
#   usage: scripts/kernel-matrix.sh TEST…       programs of build/tests/kernel/
#   LANETAG_KERNELS        which, of 5.10 6.1 6.12 (default: all)
#   LANETAG_KERNEL_CACHE   where images are kept (default build/kernels); an image there is not fetched again
#   LANETAG_KERNEL_TIMEOUT seconds per kernel (default 600)
# Ends with a line per kernel: variant of the program, hook, tests; exit status 1 if any failed or did not run.
set -euo pipefail
cd "$(dirname "$0")/.."

cache=$(realpath -m "${LANETAG_KERNEL_CACHE:-build/kernels}")
kernels=${LANETAG_KERNELS:-5.10 6.1 6.12}
limit=${LANETAG_KERNEL_TIMEOUT:-600}
modules=(veth cls_bpf sch_ingress dummy 8021q tcp_diag)
tools=(bash ip tc bpftool setpriv capsh)
tests=("$@")
[ "${#tests[@]}" -gt 0 ] || { echo "kernel-matrix: no tests given" >&2; exit 2; }
mkdir -p "$cache"
work=$(mktemp -d "${TMPDIR:-/tmp}/lanetag-kernels-XXXXXX")
trap 'rm -rf "$work"' EXIT

suite_of() {
  case $1 in
    5.10) echo bullseye ;;
    6.1) echo bookworm ;;
    6.12) echo bookworm-backports ;;
    *) echo "kernel-matrix: no Debian suite known for kernel $1" >&2; return 1 ;;
  esac
}

# apt with lists and sources of its own: the machine's are not touched, nothing is installed.
apt_in() { # DIRECTORY COMMAND…
  local directory=$1 command=$2
  shift 2
  "$command" -q -o Dir::Etc::sourcelist="$directory/debian.sources" -o Dir::Etc::sourceparts=- \
    -o Dir::State::lists="$directory/lists" -o Dir::Cache="$directory/cache" -o APT::Sandbox::User= "$@"
}

# Fetches and unpacks the newest cloud image of a kernel into $cache/VERSION/root.
fetch() { # VERSION
  local version=$1 directory=$cache/$1 suite package
  [ ! -e "$directory/complete" ] || return 0
  suite=$(suite_of "$version")
  rm -rf "$directory"
  mkdir -p "$directory/lists/partial" "$directory/cache/archives/partial"
  printf 'Types: deb\nURIs: http://deb.debian.org/debian\nSuites: %s\nComponents: main\nSigned-By: %s\n' \
    "$suite" /usr/share/keyrings/debian-archive-keyring.gpg >"$directory/debian.sources"
  apt_in "$directory" apt-get update >"$directory/apt.log" 2>&1 &&
    package=$(apt_in "$directory" apt-cache show "linux-image-cloud-amd64/$suite" 2>>"$directory/apt.log" |
      grep -oE "linux-image-${version//./\\.}\.[^ ,]*cloud-amd64" | head -1) &&
    (cd "$directory" && apt_in "$directory" apt-get download "$package" >>apt.log 2>&1) ||
    { echo "kernel-matrix: cannot fetch Debian $suite's kernel $version:" >&2; tail -5 "$directory/apt.log" >&2; return 1; }
  dpkg-deb -x "$directory"/linux-image-*.deb "$directory/root"
  rm -rf "$directory"/linux-image-*.deb "$directory/lists" "$directory/cache"
  touch "$directory/complete"
}

# A module's file and those it depends on, dependencies first.
module_files() { # ROOT NAME
  local file dependency
  file=$(find "$1/lib/modules" -name "$2.ko*" | head -1)
  [ -n "$file" ] || { echo "kernel-matrix: no module $2 in $1" >&2; return 1; }
  for dependency in $(module_text "$file" | tr '\0' '\n' | sed -n 's/^depends=//p' | tr , ' '); do
    module_files "$1" "$dependency"
  done
  echo "$file"
}

module_text() { case $1 in *.xz) xz -dc "$1" ;; *) cat "$1" ;; esac; }

add_program() { # FILE DESTINATION
  local library
  install -D "$1" "$work/base$2"
  ldd "$1" 2>/dev/null | grep -oE '/[^ ]+' | while read -r library; do
    [ -e "$work/base$library" ] || install -D "$library" "$work/base$library"
  done
}

# What all kernels share: busybox, the tools, the tests with their libraries.
make_base() {
  local tool test
  mkdir -p "$work/base"/{bin,sbin,proc,sys,dev,tmp,run,etc,usr/bin,usr/sbin,root,tests,modules}
  cp "$(command -v busybox)" "$work/base/bin/busybox"
  for tool in "${tools[@]}"; do
    add_program "$(PATH=$PATH:/usr/sbin:/sbin command -v "$tool")" "/usr/bin/$tool"
  done
  for test in "${tests[@]}"; do add_program "$test" "/tests/$(basename "$test")"; done
  [ ! -x build/lanetag ] || add_program build/lanetag /tests/lanetag
  printf '%s\n' "${tests[@]##*/}" >"$work/base/tests/list"
  cp scripts/kernel-matrix-init.sh "$work/base/init"
  chmod +x "$work/base/init"
  (cd "$work/base" && find . | cpio -o -H newc --quiet) >"$work/base.cpio"
}

make_initramfs() { # VERSION: -> $work/initramfs
  local root=$cache/$1/root name file number=0
  rm -rf "$work/extra"
  mkdir -p "$work/extra/modules"
  for name in "${modules[@]}"; do module_files "$root" "$name"; done | awk '!seen[$0]++' | while read -r file; do
    number=$((number + 1))
    module_text "$file" >"$work/extra/modules/$(printf %02d "$number")-$(basename "${file%%.ko*}").ko"
  done
  { cat "$work/base.cpio" && (cd "$work/extra" && find . | cpio -o -H newc --quiet); } >"$work/initramfs"
}

# Without cx16: QEMU 7.2's emulation of cmpxchg16b breaks the slab allocator of 6.12.
# One thread for both processors: with one each, code that the kernel patches while it runs there (static keys, as programs
# are attached) crashes 6.1 and 6.12.
boot() { # VERSION
  timeout --kill-after=5 "$limit" qemu-system-x86_64 -accel tcg,thread=single -cpu qemu64,-cx16 -smp 2 -m 1536 -nodefaults \
    -display none -no-reboot -serial stdio -kernel "$(echo "$cache/$1/root"/boot/vmlinuz-*)" -initrd "$work/initramfs" \
    -append "console=ttyS0 quiet panic=-1 loglevel=3 ${LANETAG_KERNEL_ARGUMENTS:-}" </dev/null | tr -d '\r'
}

report() { # VERSION LOG
  local release good bad variants hooks refused ended
  release=$(sed -n 's/^# kernel //p' "$2" | head -1)
  good=$(grep -c '^ok ' "$2" || true)
  bad=$(grep -c '^not ok ' "$2" || true)
  variants=$(grep -oE 'event="program loaded" program=tagger variant=[a-z_]+' "$2" | sed 's/.*=//' | sort -u | paste -sd, || true)
  hooks=$(grep -oE 'event="attached" .*hook=[a-z]+' "$2" | sed 's/.*=//' | sort -u | paste -sd, || true)
  refused=$(grep -oE 'does not take a variant of the program" program=tagger variant=[a-z_]+' "$2" | sed 's/.*=//' | sort -u | paste -sd, || true)
  ended=$(grep -c '^# end of tests, 0 programs failed' "$2" || true)
  printf 'kernel %-5s (%s): %d ok, %d not ok; variant %s; hook %s; refused %s\n' "$1" "${release:-did not boot}" \
    "$good" "$bad" "${variants:-none}" "${hooks:-none}" "${refused:-none}"
  [ "$bad" -eq 0 ] && [ "$good" -gt 0 ] && [ "$ended" -eq 1 ]
}

make_base
summary='' status=0
for version in $kernels; do
  log=$cache/$version.log
  start=$(date +%s)
  echo "# kernel $version"
  if fetch "$version" && make_initramfs "$version"; then
    boot "$version" >"$log" || echo "# qemu ended with status $?" >>"$log"
  else
    echo "# not run" >"$log"
  fi
  if line=$(report "$version" "$log"); then grep -E '^(ok|# )' "$log"; else status=1; cat "$log"; fi
  summary+="$line; $(($(date +%s) - start)) s"$'\n'
done
printf '%s' "$summary"
exit "$status"
