#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# lanetag simulate and lanetag diff: what they count is held against lanetag explain, user by user.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh

work=$(mktemp -d "${TMPDIR:-/tmp}/lanetag-simulate-XXXXXX")
trap 'rm -rf "$work"' EXIT
lanetag=$build/lanetag
step2=$TUTORIAL/step2/hash-tagging-plugin.yaml
step3=$TUTORIAL/step3/wasm-plugin-ab-v2-c-v3.yaml

status_of() { # COMMAND…
  "$@" >"$work/out" 2>"$work/err" </dev/null
  echo $?
}

rules() { # FILE RULE…
  local file=$work/$1
  shift
  {
    printf 'apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {name: rules}\n'
    printf 'spec:\n  pluginConfig:\n    rules:\n'
    printf '    - %s\n' "$@"
  } >"$file"
}

step_directory() { # STEP: all manifests up to it
  apply_steps "$work/step$1" "$1"
}

simulate() { "$lanetag" simulate "$@" 2>"$work/err"; }
differ() { "$lanetag" diff "$@" 2>"$work/err"; }

simulates() {
  rules mixed.yaml '{header: u, modulo: 100, tagHeader: a, policies: [{range: 9, tagValue: v2}, {range: 29, tagValue: v3}, {range: 39, tagValue: v2}]}' \
    '{header: u, modulo: 100, tagHeader: b, policies: [{slots: [20, 60], tagValue: v2}]}' \
    '{header: u, hash: xxh64, seed: 3, tagHeader: c, policies: [{percent: 25, tagValue: v2}]}'
  simulate --config "$work/mixed.yaml" --count 200000 -o json >"$work/simulated"
  seq 0 199999 | sed 's/^/user-/' >"$work/users"
  claim_equal "each lane and each combination is counted as explain decides" \
    "$(jq -c '[.rules[].lanes[].ids], [.combinations[] | [.tags.a, .tags.b, .tags.c, .ids]]' "$work/simulated")" \
    "$("$lanetag" explain --config "$work/mixed.yaml" --users "$work/users" -o json 2>/dev/null | python3 -c '
import collections, json, sys
counts = collections.Counter(tuple(r["tagValue"] for r in json.loads(line)["rules"]) for line in sys.stdin)
def lane(rule, value): return sum(n for tags, n in counts.items() if tags[rule] == value)
print(json.dumps([lane(0, "v2"), lane(0, "v3"), lane(0, None), lane(1, "v2"), lane(1, None), lane(2, "v2"), lane(2, None)],
                 separators=(",", ":")))
print(json.dumps([[*tags, n] for tags, n in sorted(counts.items(), key=lambda item: -item[1])], separators=(",", ":")))')"
  claim_equal "the rules' shares stand beside: each lane's" \
    "$(jq -c '[.rules[].lanes[].expected]' "$work/simulated")" '[0.2,0.2,0.6,0.4,0.6,0.25,0.75]'
  claim_equal "and each combination's, 1 together, none far off" \
    "$(jq -c '[([.combinations[].expected] | add * 1000 | round), ([.combinations[] | (.share - .expected) | fabs < 0.004] | all)]' "$work/simulated")" \
    '[1000,true]'
  claim_equal "a file gives the same as the made-up ids" \
    "$(simulate --config "$work/mixed.yaml" --users "$work/users" -o json)" "$(cat "$work/simulated")"
  claim "text: the seed's step 3" grep -qE '^  v3 +510250 ids, +51.02 %, by the rules 51.00 %' \
    <(simulate --config "$step3" --count 1000000)
  claim_equal "text: three combinations, not eight: the cohorts are nested" \
    "$(simulate --config "$step3" --count 100000 | sed -n '/^combinations/,$p' | grep -c ' ids,')" 3
  claim_equal "empty ids get no tag and are told" \
    "$(printf '\n\nu\n' | simulate --config "$step3" --users - -o json | jq -c '[.ids, .emptyIds, .rules[0].lanes[1].ids]')" '[3,2,3]'
  rules salted.yaml "{header: u, modulo: 2, salt: 'a:', tagHeader: a, policies: [{range: 0, tagValue: v}]}" \
    "{header: u, modulo: 2, salt: 'b:', tagHeader: b, policies: [{range: 0, tagValue: v}]}"
  claim_equal "no share is made up where draws hang together" \
    "$(simulate --config "$work/salted.yaml" --count 1000 -o json | jq -c '[.combinations[] | .expected]')" '[null,null]'
  seq 65 | sed 's/.*/{header: u, hash: xxh64, seed: &, modulo: 2, tagHeader: t&, policies: [{range: 0, tagValue: v}]}/' | head -64 >"$work/many"
  mapfile -t many <"$work/many"
  rules many.yaml "${many[@]}"
  claim_equal "64 rules, every id a combination of its own: all ids are accounted for" \
    "$(simulate --config "$work/many.yaml" --count 100000 -o json | jq -c '[(.combinations | length), ([.combinations[].ids] | add) + .otherCombinations]')" \
    '[1000,100000]'
}

simulate_ends_well() {
  claim_equal "neither ids nor count: status 2" "$(status_of "$lanetag" simulate --config "$step3")" 2
  claim_equal "both: status 2" "$(status_of "$lanetag" simulate --config "$step3" --count 1 --users "$work/users")" 2
  local count
  for count in 0 -1 1x '' 9999999999999999999999; do
    claim_equal "--count '$count': status 2" "$(status_of "$lanetag" simulate --config "$step3" --count "$count")" 2
  done
  claim_equal "no --config: status 2" "$(status_of "$lanetag" simulate --count 1)" 2
  claim_equal "manifests with errors: status 1" "$(status_of "$lanetag" simulate --config "$work/none" --count 1)" 1
  printf 'a\001\nb\n' >"$work/bad"
  claim_equal "an id that no header may hold: named, left out, status 2" \
    "$(status_of "$lanetag" simulate --config "$step3" --users "$work/bad" -o json) $(jq .ids "$work/out") $(grep -c 'bad:1: the byte 0x01' "$work/err")" "2 1 1"
  claim_equal "no room for the output: status 2" "$("$lanetag" simulate --config "$step3" --count 1 >/dev/full 2>"$work/err"; echo $?)" 2
  claim_equal "--help: status 0" "$(status_of "$lanetag" simulate --help)" 0
}

slow_ids() { seq 5000; sleep 1.5; seq 5000; }

shows_progress() { # COMMAND…
  python3 tests/e2e/on_terminal.py --feed --until ' ids, ' "$lanetag" "$@" >"$work/out" 2>"$work/err"
  claim "$1 tells on a terminal how far long work is, and wipes the line" \
    grep -qE "^<lanetag $1: [0-9]+ ids, [1-9][0-9]* s<.* +<" "$work/err"
}

progresses() {
  step_directory 3
  shows_progress diff "$step2" "$step3" --users -
  shows_progress explain --config "$step3" --users -
  shows_progress ramp --config "$work/step3" --users - appver-c 60
  shows_progress simulate --config "$step3" --users - -o json
  claim "and JSON on standard output stays one object" jq -e '.ids >= 5000' "$work/out"
  python3 tests/e2e/on_terminal.py --until ' %, ' "$lanetag" simulate --config "$step3" --count 1000000000000 2>"$work/err"
  claim_equal "made-up ids have a share: shown until the command is ended" \
    "$? $(grep -cE '^<lanetag simulate: 0 %, [0-9]+ ids, [0-9]+ s' "$work/err")" '143 1'
  slow_ids | "$lanetag" simulate --config "$step3" --users - >"$work/out" 2>"$work/err"
  claim_equal "where standard error is no terminal nothing is told" "$(cat "$work/err")" ''
  slow_ids | python3 tests/e2e/on_terminal.py --all "$lanetag" explain --config "$step3" --users - 2>"$work/err"
  claim_equal "nor between lines that are printed to the same terminal" \
    "$(grep -c '^user ' "$work/err") $(grep -c 'ids,' "$work/err")" '10000 0'
  { printf 'a\001\n'; slow_ids; printf 'b\001\n'; } | python3 tests/e2e/on_terminal.py "$lanetag" diff "$step2" "$step3" --users - \
    >"$work/out" 2>"$work/err"
  claim_equal "what is told meanwhile has lines of its own" \
    "$? $(grep -cE '^(<.*<)?lanetag diff: -:[0-9]+: the byte 0x01' "$work/err")" '2 2'
}

# How many of diff's 100000 users have a remainder from FROM to TO, as explain says.
users_between() { # FROM TO
  seq 0 99999 | sed 's/^/user-/' | "$lanetag" explain --config "$step3" --users - -o json |
    jq -r .rules[0].remainder | awk -v from="$1" -v to="$2" '$1 >= from && $1 <= to' | wc -l
}

diffs() {
  differ "$step2" "$step3" -o json >"$work/diff"
  claim_equal "a new rule: only its own users change, nobody moves back, status 0" \
    "$? $(jq -c '[.users, .changed, .movedBack, (.rules[] | .tagHeader, .from, .to, .users)]' "$work/diff")" \
    '0 [100000,51103,0,"appver-c",null,"v3",51103]'
  differ "$step3" "$step2" -o json >"$work/diff"
  claim_equal "taken away again, without routes: all of them move back, status 1" \
    "$? $(jq -c '[.movedBack, .rules[0].movesBack]' "$work/diff")" '1 [51103,true]'
  sed '/appver-c/,$s/range: 50/range: 69/' "$step3" >"$work/grown.yaml"
  differ "$step3" "$work/grown.yaml" -o json --examples 1000000 >"$work/diff"
  claim_equal "a ratio that grows moves nobody back" "$? $(jq -c .movedBack "$work/diff")" '0 0'
  claim_equal "and names exactly the users whom explain tags anew" \
    "$(jq -r '.rules[0].examples[].user' "$work/diff" | md5sum)" \
    "$(seq 0 99999 | sed 's/^/user-/' | "$lanetag" explain --config "$step3" --users - -o json |
      jq -r 'select(.rules[2].remainder > 50 and .rules[2].remainder <= 69) | .user' | md5sum)"
  differ "$work/grown.yaml" "$step3" >"$work/diff"
  claim_equal "one that shrinks does, status 1" "$? $(tail -1 "$work/diff" | cut -d, -f1)" "1 $(users_between 51 69) users move back"
  sed 's/tagValue: v3/tagValue: v4/' "$step3" >"$work/other.yaml"
  claim_equal "another value is another side, not back" \
    "$(differ "$step3" "$work/other.yaml" -o json | jq -c '.rules[0] | [.from, .to, .movesBack]')" '["v3","v4",false]'
  claim_equal "the same twice: nobody changes" "$(differ "$step3" "$step3" -o json | jq -c '[.changed, .rules, .hosts]')" '[0,[],[]]'
  claim_equal "ids that are no UTF-8 are named as ISO-8859-1" \
    "$(printf '\351\n' | differ "$step2" "$work/all.yaml" --users - -o json | jq -c '.rules[-1].examples[0]')" \
    '{"user":"é","userEncoding":"iso-8859-1"}'
}

diffs_routes() {
  step_directory 3
  step_directory 4
  differ "$work/step3" "$work/step4" -o json >"$work/diff"
  claim_equal "the tutorial's promotion: the others follow to v3, nobody moves back though the rule is gone" \
    "$? $(jq -c '[.movedBack, .hosts[0].host, .hosts[0].from, .hosts[0].to, .hosts[0].users]' "$work/diff")" \
    '0 [0,"app-c.default.svc.cluster.local","v2","v3",48897]'
  differ "$work/step4" "$work/step3" -o json >"$work/diff"
  claim_equal "a promotion taken back moves them back, status 1" \
    "$? $(jq -c '[.movedBack, (.hosts[0] | .from, .to, .movesBack)]' "$work/diff")" '1 [48897,"v3","v2",true]'
  cp -r "$work/step3" "$work/shrunk"
  sed -i 's/range: 50/range: 9/' "$work"/shrunk/WasmPlugin.*
  differ "$work/step3" "$work/shrunk" >"$work/diff"
  claim_equal "a shrunk ratio moves back by rule and by route, each user counted once" \
    "$? $(grep -c BACK "$work/diff") $(tail -1 "$work/diff" | cut -d, -f1)" "1 2 $(users_between 10 50) users move back"
}

diff_ends_well() {
  claim_equal "one configuration: status 2" "$(status_of "$lanetag" diff "$step3")" 2
  claim_equal "three: status 2" "$(status_of "$lanetag" diff "$step3" "$step3" "$step3")" 2
  claim_equal "manifests with errors: status 2, not 1" "$(status_of "$lanetag" diff "$step3" "$work/none")" 2
  claim_equal "both --users and --count: status 2" "$(status_of "$lanetag" diff --count 1 --users "$work/users" "$step3" "$step3")" 2
  claim_equal "a bad id: status 2" "$(status_of "$lanetag" diff --users "$work/bad" "$step3" "$step3")" 2
  claim_equal "--examples x: status 2" "$(status_of "$lanetag" diff --examples x "$step3" "$step3")" 2
  claim_equal "no room for the output: status 2" "$("$lanetag" diff "$step3" "$step3" >/dev/full 2>"$work/err"; echo $?)" 2
  claim_equal "--help: status 0" "$(status_of "$lanetag" diff --help)" 0
  claim "with the exit status in it" grep -q '^exit status: 0 nobody moves back' "$work/out"
}

sed 's/range: .*/range: 100/' "$step3" >"$work/all.yaml"
simulates
simulate_ends_well
diffs
diffs_routes
diff_ends_well
progresses
finish
