#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# The binary is built so that an error in memory is harder to use: as `make build` leaves it, and as the Debian package and the
# image have it, which are made of the same build.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

symbols() { readelf -W --dyn-syms "$1" | awk '$7 == "UND" { sub(/@.*/, "", $8); print $8 }'; }

# Reads to the end: a writer that finds its reader gone fails, and with it the pipe.
has() { [ "$(grep -c "$@")" -gt 0 ]; }

# With -Wl,-z,… and CET where the compiler has it. Nothing printed: all is there.
weaknesses() { # BINARY
  local binary=$1
  readelf -Wh "$binary" | has 'Type: *DYN' || echo "no position-independent executable"
  readelf -Wl "$binary" | has INTERP || echo "no executable"
  readelf -Wd "$binary" | has 'FLAGS_1.*PIE' || echo "not linked with -pie"
  readelf -Wl "$binary" | has GNU_RELRO || echo "no RELRO"
  readelf -Wd "$binary" | has -E '(BIND_NOW|FLAGS_1.*NOW)' || echo "functions are bound late: RELRO is partial"
  readelf -Wl "$binary" | has 'GNU_STACK.* RW ' || echo "the stack can be executed"
  ! readelf -Wl "$binary" | has 'LOAD.*RWE' || echo "a segment can be written and executed"
  symbols "$binary" | has -x __stack_chk_fail || echo "no stack protector"
  [ "$(symbols "$binary" | grep -c '_chk$')" -ge 5 ] || echo "no _FORTIFY_SOURCE"
  if [ "$(uname -m)" = x86_64 ]; then
    objdump -d --no-show-raw-insn "$binary" | awk '/^[0-9a-f]+ <main>:/ { getline; print }' | has endbr64 || echo "no landing pads (CET) in main"
  fi
}

if [ "$(symbols "$build/lanetag" | grep -cE '^__(asan|tsan)')" -gt 0 ]; then
  skip "the binary is hardened" "a sanitizer's build"
  finish
fi
claim_equal "the binary is hardened: PIE, full RELRO, no executable stack, stack protector, FORTIFY, CET" "$(weaknesses "$build/lanetag")" ""

# A build without is found out: else nothing above would say anything.
printf '#include <stdio.h>\n#include <string.h>\nint main(int c, char **v) { char a[80]; strcpy(a, v[c - 1]); return puts(a); }\n' >"$work/weak.c"
gcc -O2 -no-pie -fno-stack-protector -fcf-protection=none -U_FORTIFY_SOURCE -Wl,-z,norelro,-z,lazy,-z,execstack -o "$work/weak" "$work/weak.c" 2>/dev/null
claim_equal "and what is not is named" "$(weaknesses "$work/weak" | wc -l)" 8

options=$(env -u MAKEFLAGS -u MAKELEVEL make -n -B build 2>/dev/null | grep -- ' -c -o build/user/proxy/http1/relay.o')
for option in -fPIE -fstack-protector-strong -D_FORTIFY_SOURCE=[23] -fcf-protection; do
  claim "every object is compiled with $option" grep -q -- "$option" <<<"$options"
done
options=$(env -u MAKEFLAGS -u MAKELEVEL make -n -B build CFLAGS=-O0 2>/dev/null | grep -- ' -c -o build/user/proxy/http1/relay.o')
claim_equal "without optimisation nothing asks for FORTIFY, which needs it" "$(grep -c FORTIFY <<<"$options")" 0

package=$(scripts/make-deb.sh "$build" "$(scripts/version.sh)")
rm -rf "$build/deb"
dpkg-deb -x "$package" "$work/package"
rm -f "$package"
claim_equal "the Debian package has the hardened binary" "$(weaknesses "$work/package/usr/sbin/lanetag" | grep -v 'landing pads')" ""
cp "$build/lanetag" "$work/stripped"
strip "$work/stripped"
deploy/image-files.sh "$work/stripped" "$work/image"
claim_equal "so does the image" "$(weaknesses "$work/image/usr/sbin/lanetag" | grep -v 'landing pads')" ""
claim "the image's is built by make build, too" grep -q '^RUN make build' deploy/Dockerfile
finish
