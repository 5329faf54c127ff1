#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# As server.py, in shell and curl: a process for each connection, which is its standard input and output, as inetd does it.
# usage: server.sh ADDRESS PORT CALLED-URL [HEADER]     HEADER alone is passed on
set -uo pipefail

if [ "$#" -gt 0 ]; then
  export CALLED=$3 PASSED_ON=${4:-}
  exec socat "TCP-LISTEN:$2,bind=$1,fork,reuseaddr,backlog=128" "EXEC:$0,nofork"
fi

LC_ALL=C fields=()
while IFS= read -r line && line=${line%$'\r'} && [ -n "$line" ]; do
  [ -z "$PASSED_ON" ] || [[ ${line,,} != "$PASSED_ON:"* ]] || fields+=(-H "$line")
done
answer=$(curl -s --max-time 20 -w '\n%{http_code}' ${fields+"${fields[@]}"} "$CALLED")
body=${answer%$'\n'*}
printf 'HTTP/1.1 %s -\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s' "${answer##*$'\n'}" "${#body}" "$body"
