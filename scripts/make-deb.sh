#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Packs what `make install` installs as a Debian package: BUILD/lanetag_VERSION_ARCHITECTURE.deb
#
#   scripts/make-deb.sh BUILD VERSION      DEBFULLNAME and DEBEMAIL: who maintains it
set -euo pipefail
cd "$(dirname "$0")/.."
build=$1
# What scripts/version.sh prints can be ordered as it is.
version=${2#v}
version=${version//[^A-Za-z0-9.+~]/.}
[[ $version =~ ^[0-9]+\. ]] || { echo "make-deb: $2 is no version: it begins with a number and a dot" >&2; exit 2; }
architecture=$(dpkg --print-architecture)
root=$build/deb
rm -rf "$root"
make --no-print-directory -s BUILD="$build" VERSION="$2" PREFIX=/usr DESTDIR="$PWD/$root" install >/dev/null
strip "$root/usr/sbin/lanetag"
find "$root/usr/share/man" -type f -exec gzip -9n {} + 2>/dev/null || true
documents=$root/usr/share/doc/lanetag
cat >"$documents/copyright" <<END
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
Copyright: $(git log -1 --format=%cd --date=format:%Y 2>/dev/null || date +%Y), the lanetag authors
License: GPL-2.0-only
 $(sed 's/^$/./' LICENSE | sed '2,$s/^/ /')
 .
 On Debian systems the text of this licence is in /usr/share/common-licenses/GPL-2.
END
maintainer="${DEBFULLNAME:-The lanetag authors} <${DEBEMAIL:-lanetag@localhost.localdomain}>"
printf 'lanetag (%s) unstable; urgency=medium\n\n  * As of %s.\n\n -- %s  %s\n' "$version" "$2" "$maintainer" \
  "$(date -R -d "@${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}")" | gzip -9n >"$documents/changelog.gz"

mkdir -p "$root/DEBIAN" "$build/debian"
# dpkg-shlibdeps wants a source package's control file.
printf 'Source: lanetag\n\nPackage: lanetag\nArchitecture: any\n' >"$build/debian/control"
depends=$(cd "$build" && dpkg-shlibdeps -O "$OLDPWD/$root/usr/sbin/lanetag" 2>/dev/null | sed -n 's/^shlibs:Depends=//p')
rm -r "$build/debian"
cat >"$root/DEBIAN/control" <<END
Package: lanetag
Version: $version
Architecture: $architecture
Maintainer: $maintainer
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
# What an agent left that was killed.
if [ "$1" = purge ]; then rm -rf /sys/fs/bpf/lanetag /sys/fs/bpf/lanetag-arrivals /sys/fs/bpf/lanetag-interception; fi
if [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi
END
chmod 0755 "$root"/DEBIAN/postinst "$root"/DEBIAN/prerm "$root"/DEBIAN/postrm
package=$build/lanetag_${version}_$architecture.deb
dpkg-deb --root-owner-group --build "$root" "$package" >/dev/null
echo "$package"
