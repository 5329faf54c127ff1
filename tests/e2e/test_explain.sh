#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# lanetag explain and check at their edges: odd ids, long and many ids, 64-bit hashes, exit statuses, JSON.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh

work=$(mktemp -d "${TMPDIR:-/tmp}/lanetag-explain-XXXXXX")
trap 'rm -rf "$work"' EXIT
lanetag=$build/lanetag
step3=$TUTORIAL/step3/wasm-plugin-ab-v2-c-v3.yaml

status_of() { # COMMAND…
  "$@" >"$work/out" 2>"$work/err" </dev/null
  echo $?
}

explain() { "$lanetag" explain --config "$step3" "$@"; }

user_of() { jq -r '[.user, .userEncoding // "utf-8"] | join(" ")'; }

rules() { # RULE…: a plug-in of these rules into $work/rules.yaml
  {
    printf 'apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {name: rules}\n'
    printf 'spec:\n  pluginConfig:\n    rules:\n'
    printf '    - %s\n' "$@"
  } >"$work/rules.yaml"
}

odd_ids() {
  claim_equal "UTF-8 stands as it is" "$(explain --user 'Zoë 用户' -o json | user_of)" 'Zoë 用户 utf-8'
  claim_equal "an id that is no UTF-8 stands as ISO-8859-1, and says so" \
    "$(explain --user $'caf\xe9' -o json | user_of)" 'café iso-8859-1'
  claim_equal "cut off UTF-8 is ISO-8859-1 too" "$(explain --user $'a\xc3' -o json | user_of)" 'aÃ iso-8859-1'
  claim_equal "all bytes that a header may hold give JSON that others read, and hash as they are" \
    "$(python3 - "$lanetag" "$step3" <<'PYTHON'
import json, subprocess, sys
allowed = [b for b in range(256) if b == 9 or b >= 32 and b != 127]
ids = [bytes([b]) + b'x' + bytes([b]) for b in allowed if b not in (9, 32)] + [bytes([120] + allowed + [120])]
out = subprocess.run([sys.argv[1], 'explain', '--config', sys.argv[2], '--users', '-', '-o', 'json'],
                     input=b'\n'.join(ids) + b'\n', stdout=subprocess.PIPE, check=True).stdout
def fnv(data):
    value = 2166136261
    for byte in data:
        value = (value ^ byte) * 16777619 & 0xffffffff
    return value
lines = out.splitlines()
assert len(lines) == len(ids), (len(lines), len(ids))
for id, line in zip(ids, lines):
    row = json.loads(line)
    assert row['user'].encode(row.get('userEncoding', 'utf-8')) == id, (id, row)
    assert row['rules'][0]['hash'] == fnv(id), (id, row)
    assert row['rules'][0]['remainder'] == fnv(id) % 100
print(len(ids), 'ids')
PYTHON
)" "223 ids"
  claim_equal "white space around an id and a CR at the line's end are no part of it" \
    "$(printf ' \t0005 \t\r\n' | explain --users - -o json | jq -c '[.user, .rules[0].remainder]')" '["0005",6]'
  claim_equal "a tab inside stays" "$(explain --user $'a\tb' -o json | jq -c .user)" '"a\tb"'
  claim_equal "an empty id has neither hash nor tag" \
    "$(explain --user '' -o json | jq -c '[.user, (.rules[0] | .hash, .remainder, .tagValue)]')" '["",null,null,null]'
  claim_equal "an empty line is an empty id, and the last line needs no end" \
    "$(printf '\n0005' | explain --users - -o json | jq -r '.user' | tr '\n' ,)" ',0005,'
}

refused_ids() {
  local status
  printf '0001\na\001b\n0005\r\rx\nnul\0x\n\177\n0002\n' >"$work/users"
  status=$(status_of explain --users "$work/users" -o json)
  claim_equal "control bytes are named with file and line, the others explained, status 2" \
    "$(jq -r .user "$work/out" | tr '\n' ,) $status $(grep -o 'users:[0-9]*: the byte 0x..' "$work/err" | tr '\n' ,)" \
    '0001,0002, 2 users:2: the byte 0x01,users:3: the byte 0x0d,users:4: the byte 0x00,users:5: the byte 0x7f,'
  claim_equal "control bytes never reach the terminal" "$(tr -d '\n -~' <"$work/err" | wc -c)" 0
  claim_equal "also of --user: status 2" "$(status_of explain --user $'a\nb')" 2
  claim_equal "the longest id is explained" \
    "$(head -c 65536 /dev/zero | tr '\0' a | explain --users - -o json | jq '.user | length')" 65536
  status=$({ head -c 65537 /dev/zero | tr '\0' a; printf '\n0005\n'; } | explain --users - -o json 2>"$work/err" | jq -r .user)
  claim_equal "a longer one is refused, the next explained" "$status $(grep -c -e '-:1: longer than 65536' "$work/err")" '0005 1'
  claim_equal "a file that is not there: status 2" "$(status_of explain --users "$work/none")" 2
  claim_equal "a folder for a file: status 2" "$(status_of explain --users "$work")" 2
}

statuses() {
  sed 's/modulo: 100/modulo: 0/' "$step3" >"$work/bad.yaml"
  claim_equal "manifests with errors: status 1" "$(status_of "$lanetag" explain --config "$work/bad.yaml" --user 1)" 1
  claim "and the errors are named" grep -qE 'bad.yaml:[0-9]+:[0-9]+: WasmPlugin/hash-tagging: .*modulo' "$work/err"
  claim_equal "no --config: status 2" "$(status_of "$lanetag" explain --user 1)" 2
  claim_equal "no --user: status 2" "$(status_of explain)" 2
  claim_equal "an unknown format: status 2" "$(status_of explain --user 1 -o xml)" 2
  claim_equal "an argument that is no option: status 2" "$(status_of explain --user 1 0005)" 2
  claim_equal "--help: status 0" "$(status_of "$lanetag" explain --help)" 0
  claim "with examples" grep -q '^example' "$work/out"
  claim_equal "no room for the output: status 2" "$(explain --user 1 >/dev/full 2>"$work/err"; echo $?)" 2
  claim_equal "check: no room for the output: status 2" "$("$lanetag" check "$step3" >/dev/full 2>"$work/err"; echo $?)" 2
}

many_ids() {
  claim_equal "10^6 ids stream through in bounded memory" "$(python3 - "$lanetag" "$step3" <<'PYTHON'
import os, resource, subprocess, sys, threading
process = subprocess.Popen([sys.argv[1], 'explain', '--config', sys.argv[2], '--users', '-', '-o', 'json'],
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE)
def write():
    with process.stdin as stream:
        for i in range(0, 1000000, 1000):
            stream.write(b''.join(b'user-%d\n' % n for n in range(i, i + 1000)))
threading.Thread(target=write).start()
lines = sum(1 for line in process.stdout)
_, status, usage = os.wait4(process.pid, 0)
print(lines, status, 'bounded' if usage.ru_maxrss < (1 << 20 if os.environ.get('LANETAG_BUILD', '').endswith('sanitize')
                                                      else 50000) else usage.ru_maxrss)
PYTHON
)" "1000000 0 bounded"
  claim_equal "a line of 200 MB is not kept" "$(head -c 200000000 /dev/zero | tr '\0' a |
    (ulimit -v "$([[ $build == *sanitize* ]] && echo unlimited || echo 150000)"; explain --users - 2>&1 | grep -c 'longer than'))" 1
}

sources_and_hashes() {
  rules '{header: x-id, hash: xxh64, seed: 18446744073709551615, modulo: 4294967295, tagHeader: a, policies: [{range: 1, tagValue: v}]}' \
    '{cookie: uid, modulo: 2, tagHeader: b, policies: [{range: 1, tagValue: v}], exclude: [u1]}' \
    '{queryParam: user, modulo: 100, tagHeader: c, policies: [{slots: [0, 10], tagValue: w}, {range: 49, tagValue: v}], include: [{tagValue: w, ids: [u1]}]}'
  printf 'u%d\n' 1 2 3 4 5 6 7 8 >"$work/users"
  claim_equal "xxh64's hashes above 2^63 are exact" \
    "$("$lanetag" explain --config "$work/rules.yaml" --users "$work/users" -o json | python3 -c '
import json, sys
rows = [json.loads(line)["rules"][0] for line in sys.stdin]
assert all(row["hash"] % 4294967295 == row["remainder"] for row in rows)
print(any(row["hash"] >= 1 << 63 for row in rows))')" True
  claim_equal "each source goes by its own name" \
    "$("$lanetag" explain --config "$work/rules.yaml" --user u2 -o json | jq -c '[.rules[] | .header, .cookie, .queryParam]')" \
    '["x-id",null,null,null,"uid",null,null,null,"user"]'
  "$lanetag" explain --config "$work/rules.yaml" --user u1 >"$work/out"
  claim "text tells what an exclude list did" grep -qE '^  b +\(no tag\) .*excludes this id' "$work/out"
  claim "text tells what an include list did" grep -qE '^  c +w .*includes this id' "$work/out"
  claim "text tells what an id missed, each policy's own remainders" grep -qE '^  c +\(no tag\) .* not in 0-9 \(w\), 10-49 \(v\)' \
    <("$lanetag" explain --config "$work/rules.yaml" --users "$work/users")
}

routes() {
  mkdir "$work/mesh"
  local file
  for file in "$TUTORIAL"/step3/{app-c-v3-mesh,wasm-plugin-ab-v2-c-v3}.yaml; do cp "$file" "$work/mesh"; done
  claim_equal "a route without endpoints is a route" \
    "$("$lanetag" explain --config "$work/mesh" --user 0005 -o json 2>/dev/null | jq -c .routes)" \
    '[{"host":"app-c.default.svc.cluster.local","subset":"v3"}]'
  claim "text says that nothing serves it" grep -q 'app-c.default.svc.cluster.local -> v3 (no endpoint)' \
    <("$lanetag" explain --config "$work/mesh" --user 0005 2>/dev/null)
}

check_tells() {
  claim_equal "check's JSON has the shares of the seed's step 3 manifest" \
    "$("$lanetag" check -o json "$step3" 2>/dev/null | jq -c '[.valid, .files, .resources.WasmPlugin, (.rules[] | .tagHeader, .policies[0].slots[0], .policies[0].share)]')" \
    '[true,1,1,"appver-a",[0,11],0.11,"appver-b",[0,11],0.11,"appver-c",[0,51],0.51]'
  claim_equal "and of step 2 as written, where app-b's range is everybody" \
    "$("$lanetag" check -o json "$TUTORIAL/step2/as-written/hash-tagging-plugin.yaml" 2>/dev/null | jq -c '.rules[1].policies[0] | [.share, .note]')" \
    '[1,"range 100 of modulo 100 is everybody"]'
  claim "text says that a range is inclusive" grep -q 'range 10 is 0 to 10, both included: 11 remainders' \
    <("$lanetag" check "$step3" 2>/dev/null)
  claim "check warns that the same users get every canary, with a place" \
    grep -qE '^.*step3/.*:21:9: warning: WasmPlugin/hash-tagging: .*appver-a, appver-b and appver-c draw alike: the same 11.00 %' \
    <("$lanetag" check "$step3" 2>&1 >/dev/null)
  claim_equal "the warning is no error, and stands in JSON" \
    "$("$lanetag" check -o json "$step3" 2>/dev/null | jq -c '[.valid, .diagnostics[0].severity, .diagnostics[0].line]')" '[true,"warning",21]'
  claim_equal "no warning where one of two rules is everybody" \
    "$("$lanetag" check "$TUTORIAL/step2/as-written/hash-tagging-plugin.yaml" 2>&1 >/dev/null)" ''
  claim_equal "errors stand in JSON too, and end with status 1" \
    "$("$lanetag" check -o json "$work/bad.yaml" 2>/dev/null | jq -c '[.valid, .diagnostics[0].severity]') $?" '[false,"error"] 1'
  rules "{header: u, modulo: 2, salt: 'a:', tagHeader: a, policies: [{range: 0, tagValue: v}]}" \
    "{header: u, modulo: 2, salt: 'b:', tagHeader: b, policies: [{range: 0, tagValue: v}]}" \
    "{header: u, modulo: 2, salt: s2, tagHeader: c, policies: [{range: 0, tagValue: v}]}" \
    "{header: u, hash: xxh64, seed: 7, modulo: 2, tagHeader: d, policies: [{range: 0, tagValue: v}]}"
  claim_equal "check knows that fnv1a32's salts do not part cohorts of an even modulo" \
    "$("$lanetag" check -o json "$work/rules.yaml" 2>/dev/null | jq -c '[.cohorts[] | .relation, .both]')" \
    '["exclusive",0,"nested",0.5,"independent",0.25,"exclusive",0,"independent",0.25,"independent",0.25]'
}

odd_ids
refused_ids
statuses
many_ids
sources_and_hashes
routes
check_tells
finish
