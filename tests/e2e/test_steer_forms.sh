#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# promote, ramp and rollback on manifests of every form, in directories of every kind, and killed at every step.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh

lanetag=$(readlink -f "$build/lanetag")
work=$(mktemp -d "${TMPDIR:-/tmp}/lanetag-forms-XXXXXX")
trap 'rm -rf "$work"' EXIT
forms=tests/e2e/steer

steer() { # COMMAND ARGUMENT…: in $folder, without an agent
  "$lanetag" "$1" --config "$folder" -n 100 --control '' "${@:2}" >"$work/out" 2>"$work/err"
}

digest() { # of the manifests in $folder
  (cd "$folder" && sha256sum -- *.yaml *.json 2>/dev/null)
}

make_folder() { # NAME [FORM]
  folder=$work/$1
  mkdir -p "$folder"
  cp "$forms/base.yaml" "$folder"
  cp "$forms/${2:-block}.before."* "$folder/form.$(basename "$forms/${2:-block}.before."* | sed 's/.*\.//')"
}

each_form_is_edited_in_place() {
  local name file
  for name in block flow list dashes; do
    make_folder "$name" "$name"
    file=$(ls "$folder"/form.*)
    steer promote --yes app-c v3
    claim_equal "$name: promoted" "$? $(cat "$work/err")" '0 '
    claim "$name: only what must change has changed" diff "$forms/$name.after.${file##*.}" "$file"
    steer rollback --yes --allow-back
    claim "$name: a rollback gives it back byte by byte" cmp "$forms/$name.before.${file##*.}" "$file"
    steer ramp --yes appver-c 75
    claim_equal "$name: ramped, one value differs" \
      "$? $(diff "$forms/$name.before.${file##*.}" "$file" | grep '^>' | grep -c 'range: 74\|"range": 74')" '0 1'
  done
  claim "what was JSON is JSON" python3 -m json.tool "$work/list/form.json"
}

line_ends_stay() {
  local name=block
  make_folder crlf
  sed -i 's/$/\r/' "$folder/form.yaml"
  cp "$folder/form.yaml" "$work/crlf.before"
  steer promote --yes app-c v3
  claim_equal "lines that end in CR LF still do" "$? $(grep -vc $'\r$' "$folder/form.yaml")" '0 0'
  claim "and hold what others do" diff <(sed 's/$/\r/' "$forms/$name.after.yaml") "$folder/form.yaml"
  steer rollback --yes --allow-back
  claim "and come back byte by byte" cmp "$work/crlf.before" "$folder/form.yaml"
  make_folder crlf-dashes dashes
  sed -i 's/$/\r/' "$folder/form.yaml"
  steer promote --yes app-c v3
  claim_equal "a line that is new ends alike" "$? $(grep -c $'^          subset: v3\r$' "$folder/form.yaml")" '0 1'
}

claim_refused() { # WHAT PATTERN COMMAND…
  local what=$1 pattern=$2 before status
  before=$(digest)
  shift 2
  steer "$@"
  status=$?
  claim_equal "$what is refused and changes nothing" "$status $(digest)" "1 $before"
  claim "and it is said why: $pattern" grep -qE "$pattern" "$work/err"
}

what_cannot_be_told_is_refused() {
  make_folder weights
  sed -i 's/        subset: v2   # stable/        subset: v2\n      weight: 90\n    - {destination: {host: app-c, subset: v3}, weight: 10}/' "$folder/form.yaml"
  steer promote --yes app-c v3
  claim_equal "a route that is split by weights leads to the one version by each" \
    "$? $(grep -c 'subset: v3' "$folder/form.yaml") $(grep -c 'subset: v2' "$folder/form.yaml")" '0 3 1'
  make_folder tagged
  sed -i '/# the others/,/# stable/d; /- match:$/,/subset: v2}$/d' "$folder/form.yaml"
  claim_refused "a host whose routes all need a tag" 'each route .* needs a tag' promote --yes app-c v3
  make_folder broken
  echo 'kind: [' >"$folder/other.yaml"
  claim_refused "a directory with errors" "$folder/other.yaml:[0-9]+" promote --yes app-c v3
  make_folder shared # the rule's tag is asked for by another host's route, too
  sed -i 's/  - match: \[{uri: {prefix: .d}}\]/  - match: [{headers: {appver-c: {exact: v3}}, uri: {prefix: \/d}}]/' "$folder/form.yaml"
  steer promote --yes app-c v3
  claim_equal "a rule stays as long as a route asks for its tag, and it is said" \
    "$? $(grep -c 'tagHeader: appver-c' "$folder/form.yaml") $(grep -c 'the rule appver-c stays: a route still asks for appver-c: v3' "$work/out")" '0 1 1'
  make_folder twice
  cat >"$folder/other.yaml" <<'END'
apiVersion: v1
kind: Service
metadata: {name: app-c, namespace: other}
spec: {clusterIP: 10.96.0.9, ports: [{name: http, port: 8000}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: app-c, namespace: other}
spec: {host: app-c, subsets: [{name: v3, labels: {version: v3}}]}
END
  claim_refused "a host of two namespaces" "in several namespaces: write it in full" promote --yes app-c v3
}

subsets_whose_names_look_like_numbers() {
  make_folder numbers
  sed -i "s/{name: v3, /{name: '3', /" "$folder/base.yaml"
  sed -i "s/subset: v3/subset: '3'/" "$folder/form.yaml"
  steer promote --yes app-c 3
  claim_equal "a subset that looks like a number is written in quotes" "$? $(grep -c '^        subset: "3"   # stable$' "$folder/form.yaml")" '0 1'
}

directories_of_every_kind() {
  make_folder 'with  blanks '
  steer promote --yes app-c v3
  claim "a name with blanks" diff "$forms/block.after.yaml" "$folder/form.yaml"
  make_folder real
  ln -s real "$work/link"
  folder=$work/link
  steer promote --yes app-c v3
  claim "a link to a directory" diff "$forms/block.after.yaml" "$work/real/form.yaml"
  folder=$work/nowhere
  steer promote --yes app-c v3
  claim_equal "a directory that is not there: status 2" "$? $(grep -c "$folder: No such file" "$work/err")" '2 1'
  folder=$work/real/form.yaml
  steer promote --yes app-c v3
  claim_equal "a file in place of a directory: status 2" "$? $(grep -c 'Not a directory' "$work/err")" '2 1'
  make_folder read-only
  mkdir "$work/mounted"
  # shellcheck disable=SC2016
  claim_equal "a directory that can only be read: status 2, and a look at it works" \
    "$(unshare --mount bash -c 'mount --bind -o ro "$2" "$3"; for yes in --yes ""; do
      "$1" promote --config "$3" --control "" -n 10 $yes app-c v3 >/dev/null 2>"$4"; echo $? "$(tail -1 "$4")"; done' \
      - "$lanetag" "$folder" "$work/mounted" "$work/err")" \
    "2 lanetag promote: $work/mounted: Read-only file system
0 "
  claim_equal "nothing changed there" "$(ls -A "$folder")" $'base.yaml\nform.yaml'
}

make_two_files() { # NAME: routes and rules apart
  make_folder "$1"
  sed '1,/^---$/d' "$folder/form.yaml" >"$folder/a-rules.yaml"
  sed -i '/^---$/,$d' "$folder/form.yaml"
}

in_force() { # what an agent that starts now would do with users on both sides
  printf '%s\n' 0001 0002 0003 0004 0005 | "$lanetag" explain --config "$1" --users - -o json | sha256sum
}

# Killed at its N-th step the command leaves all or nothing, or what the next one finishes.
killed_at_every_step() {
  local before after step status in_force_before in_force_after states=0 wholes=0 afters=0
  gcc -shared -fPIC -o "$work/die.so" "$forms/die.c" || give_up "die.c compiles"
  make_two_files whole
  before=$(digest) in_force_before=$(in_force "$folder")
  steer promote --yes app-c v3
  after=$(digest) in_force_after=$(in_force "$folder")
  for ((step = 1; step < 100; step++)); do
    rm -rf "$work/killed"
    make_two_files killed
    # shellcheck disable=SC2016
    status=$(bash -c '"$@" >&2; echo $?' - \
      env DIE_AT="$step" LD_PRELOAD="$work/die.so" ASAN_OPTIONS=verify_asan_link_order=0 "$lanetag" promote --config "$folder" -n 10 --control '' --yes app-c v3 2>/dev/null)
    [ "$status" -eq 137 ] || break
    case $(in_force "$folder") in
      "$in_force_before") wholes=$((wholes + 1)) ;;
      "$in_force_after") wholes=$((wholes + 1)) afters=$((afters + 1)) ;;
    esac
    if [ -d "$folder/.lanetag/pending" ]; then
      states=$((states + 1))
    elif [ "$(digest)" != "$before" ] && [ "$(digest)" != "$after" ]; then
      claim_equal "killed at step $step" "half changed" "all or nothing"
    fi
    steer promote --yes app-c v3
    [ "$? $(digest)" = "0 $after" ] || claim_equal "the next command after a kill at step $step" "$(digest)" "$after"
    steer rollback --yes --allow-back
    [ "$? $(digest)" = "0 $before" ] || claim_equal "the rollback after a kill at step $step" "$(digest)" "$before"
    [ -z "$(find "$folder/.lanetag" -name '*new*' -o -name settling -o -name pending)" ] ||
      claim_equal "what is left over after step $step" "$(find "$folder/.lanetag")" nothing
  done
  claim "killed at each of $((step - 1)) steps it left all, nothing, or what the next command finished" [ "$step" -gt 15 ]
  claim_equal "at each of them what is in force is all of the change or nothing" "$wholes" $((step - 1))
  claim "and from the decision on it is all of it ($afters)" [ "$afters" -ge "$states" ]
  claim "the change is another than what was before" [ "$in_force_before" != "$in_force_after" ]
  claim_equal "then it came through" "$status $(digest)" "0 $after"
  claim "some of them were in the midst of the change ($states)" [ "$states" -ge 4 ]
}

each_form_is_edited_in_place
line_ends_stay
what_cannot_be_told_is_refused
subsets_whose_names_look_like_numbers
directories_of_every_kind
killed_at_every_step
finish
