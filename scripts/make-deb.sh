#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Packs what `make install` installs as a Debian package: BUILD/lanetag_VERSION_ARCHITECTURE.deb
#
#   scripts/make-deb.sh BUILD VERSION
set -euo pipefail
cd "$(dirname "$0")/.."
build=$1
# Debian's versions begin with a digit; a bare commit sorts before any release.
version=${2#v}
[[ $version =~ ^[0-9]+\. ]] || version=0~git.$version
version=${version//[^A-Za-z0-9.+~]/.}
architecture=$(dpkg --print-architecture)
root=$build/deb
rm -rf "$root"
make --no-print-directory -s BUILD="$build" VERSION="$2" PREFIX=/usr DESTDIR="$PWD/$root" install >/dev/null
strip "$root/usr/sbin/lanetag"
find "$root/usr/share/man" -type f -exec gzip -9n {} + 2>/dev/null || true
install -D -m 0644 LICENSE "$root/usr/share/doc/lanetag/copyright"

mkdir -p "$root/DEBIAN" "$build/debian"
# dpkg-shlibdeps wants a source package's control file.
printf 'Source: lanetag\n\nPackage: lanetag\nArchitecture: any\n' >"$build/debian/control"
depends=$(cd "$build" && dpkg-shlibdeps -O "$OLDPWD/$root/usr/sbin/lanetag" 2>/dev/null | sed -n 's/^shlibs:Depends=//p')
rm -r "$build/debian"
cat >"$root/DEBIAN/control" <<END
Package: lanetag
Version: $version
Architecture: $architecture
Maintainer: The lanetag authors <lanetag@localhost.localdomain>
Depends: $depends, adduser
Recommends: bpftool
Section: net
Priority: optional
Installed-Size: $(du -ks --exclude=DEBIAN "$root" | cut -f1)
Description: releases several applications of a call chain to shares of the users
 One agent per node tags each HTTP request by a hash of its user id, carries the
 tags down the chain of applications, and routes by them. It takes the manifests
 of Istio and of ASM's hash tagging plug-in; an eBPF program finds the ids.
END
printf '/etc/default/lanetag\n' >"$root/DEBIAN/conffiles"
cat >"$root/DEBIAN/postinst" <<'END'
#!/bin/sh
set -e
if [ "$1" = configure ]; then
  adduser --system --group --no-create-home --home /nonexistent --quiet lanetag
  if [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi
fi
END
cat >"$root/DEBIAN/prerm" <<'END'
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then systemctl disable --now lanetag.service || true; fi
END
cat >"$root/DEBIAN/postrm" <<'END'
#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi
END
chmod 0755 "$root"/DEBIAN/postinst "$root"/DEBIAN/prerm "$root"/DEBIAN/postrm
package=$build/lanetag_${version}_$architecture.deb
dpkg-deb --root-owner-group --build "$root" "$package" >/dev/null
echo "$package"
