#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# promote, ramp and rollback as root in a directory that another user owns: whatever that user puts there, nothing that only
# root may read comes out, and nothing that only root may write changes. Modes and owners of manifests stay.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh

lanetag=$build/lanetag
other=65534
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
[ "$(id -u)" -eq 0 ] || give_up "root runs this"

steer() { # COMMAND ARGUMENT…
  "$lanetag" "$1" --config "$folder" -n 20 --control '' "${@:2}" >"$work/out" 2>"$work/err"
}

# The other user's directory with one change in its history; all in it is his.
make_folder() { # NAME
  folder=$work/$1
  own=$folder/.lanetag
  apply_steps "$folder" 3
  steer ramp --yes appver-c 60
  chown -R $other:$other "$folder"
  mkdir -p "$work/root"
  chmod 700 "$work/root"
  cp "$folder"/WasmPlugin.*.yaml "$work/root/secret.yaml"
  echo '# the secret' >>"$work/root/secret.yaml"
  chmod 600 "$work/root/secret.yaml"
  secret=$(sha256sum <"$work/root/secret.yaml")
}

# Only who may read the directory's files counts: root's own history is closed.
secret_is_out() {
  setpriv --reuid $other --regid $other --clear-groups grep -rqs 'the secret' "$folder" || grep -q 'the secret' "$work/out"
}

claim_kept() { # WHAT PATTERN
  if secret_is_out || [ "$(sha256sum <"$work/root/secret.yaml") $(stat -c %a "$work/root/secret.yaml")" != "$secret 600" ]; then
    claim_equal "$1: the secret stays what and where it is" "$(ls -lR "$folder")" 'kept'
  else
    claim "$1: the secret stays what and where it is" true
  fi
  claim "$1: it is said: $2" grep -qE "$2" "$work/err"
}

lures_in_the_history() {
  make_folder history-link
  ln -sf ../../../../root/secret.yaml "$own/history/00000001/stolen.yaml"
  steer rollback --yes --allow-back
  claim_kept "a link in the history" 'history: it is a link'

  make_folder history-absolute
  rm "$own"/history/00000001/WasmPlugin.*
  ln -s "$work/root/secret.yaml" "$own/history/00000001/WasmPlugin.istio-system.hash-tagging.yaml"
  steer rollback --yes --allow-back
  claim_kept "an absolute link in place of a text" 'history: it is a link'

  make_folder history-hard
  ln "$work/root/secret.yaml" "$own/history/00000001/stolen.yaml"
  steer rollback --yes --allow-back
  claim_kept "a hard link in the history" 'history: it belongs to another user'
  rm "$own/history/00000001/stolen.yaml"

  make_folder history-of-root
  mkdir -p "$work/root/history/00000001"
  cp "$work/root/secret.yaml" "$work/root/history/00000001/"
  echo ramp >"$work/root/history/00000001/why"
  mv "$own/history" "$work/old-history"
  ln -s "$work/root/history" "$own/history"
  steer rollback --yes --allow-back
  claim_kept "a link in place of the history" 'history: it is a link'
  steer ramp --yes appver-c 70
  claim_kept "and a change does not write there" 'history: it is a link'

  make_folder entry-of-root
  rm -r "$own/history/00000001"
  ln -s "$work/root/history/00000001" "$own/history/00000001"
  steer rollback --yes --allow-back
  claim_kept "a link in place of an entry" 'history: it is a link'
  rm -r "$work/root/history"

  make_folder why
  ln -sf "$work/root/secret.yaml" "$own/history/00000001/why"
  steer rollback --list
  claim_kept "a link in place of the reason" 'history: it is a link'

  make_folder another
  chown -R 12345 "$own/history/00000001"
  steer rollback --yes --allow-back
  claim_kept "an entry of a third user" 'history: it belongs to another user'
}

lures_beside_it() {
  make_folder own
  mv "$own" "$work/moved"
  ln -s "$work/moved" "$own"
  steer rollback --yes --allow-back
  claim_kept "a link in place of .lanetag" '\.lanetag: it is a link'

  make_folder lock
  ln -f "$work/root/secret.yaml" "$own/lock"
  steer ramp --yes appver-c 70
  claim_kept "a hard link in place of the lock" 'lock: it belongs to another user'
  ln -sf "$work/root/secret.yaml" "$own/lock"
  steer ramp --yes appver-c 70
  claim_kept "a link in place of the lock" 'lock: it is a link'
  rm "$own/lock"
  mkfifo "$own/lock"
  steer ramp --yes appver-c 70
  claim_equal "a FIFO in place of the lock keeps no one waiting" $? 2

  make_folder pending
  mkdir "$own/pending.new"
  ln "$work/root/secret.yaml" "$own/pending.new/WasmPlugin.istio-system.hash-tagging.yaml"
  chown $other "$own/pending.new"
  steer ramp --yes appver-c 70
  claim_equal "a prepared directory is not written into" "$? $(sha256sum <"$work/root/secret.yaml")" "0 $secret"
}

# A text is read through a link now, kept, and given back as a file once the link is gone.
lures_among_the_manifests() {
  local form
  for form in symbolic hard; do
    make_folder "manifest-$form"
    case $form in
      symbolic) ln -s "$work/root/secret.yaml" "$folder/stolen.yaml" && chown -h $other "$folder/stolen.yaml" ;;
      hard) ln "$work/root/secret.yaml" "$folder/stolen.yaml" ;;
    esac
    steer ramp --yes appver-c 70
    claim_kept "a $form link among the manifests" 'stolen.yaml: it belongs to another user'
    steer rollback --yes --allow-back
    claim_kept "a $form link at a rollback" 'stolen.yaml: it belongs to another user'
    rm "$folder/stolen.yaml"
  done
  make_folder own-link
  setpriv --reuid $other --regid $other --clear-groups bash -c 'mv "$1/$2" "$1/real" && ln -s real "$1/$2"' - "$folder" DestinationRule.default.app-c.yaml
  steer ramp --yes appver-c 70
  claim_equal "the other user's link to his own file is read, as ever" "$? $(grep -c 'range: 69' "$folder"/WasmPlugin.*)" '0 1'
  steer rollback --yes --allow-back
  claim_equal "and a rollback leaves the link alone" "$? $(readlink "$folder/DestinationRule.default.app-c.yaml")" '0 real'
}

modes_and_owners_stay() {
  local plugin route
  make_folder modes
  plugin=$folder/WasmPlugin.istio-system.hash-tagging.yaml route=$folder/VirtualService.default.app-c.yaml
  chmod 640 "$plugin"
  chmod 600 "$route"
  chown $other:0 "$plugin"
  steer promote --yes app-c v3
  claim_equal "promote keeps modes and owners" "$? $(stat -c '%a %u:%g' "$plugin" "$route" | xargs)" "0 640 $other:0 600 $other:$other"
  steer rollback --yes --allow-back
  claim_equal "rollback keeps them" "$? $(stat -c '%a %u:%g' "$plugin" "$route" | xargs)" "0 640 $other:0 600 $other:$other"
  rm "$route"
  steer rollback --yes --allow-back 1
  claim_equal "a file that is there again has the mode that it had" "$? $(stat -c %a "$route")" "0 600"
  claim_equal "the history is closed, .lanetag lets the agent pass" "$(stat -c %a "$own/history")" 700
}

# Names from the history go to a terminal.
nothing_steers_the_terminal() {
  make_folder terminal
  printf 'ramp \033]0;x\007' >"$own/history/00000001/why"
  steer rollback --list
  claim_equal "what stands in the history steers no terminal" "$(LC_ALL=C grep -c '[[:cntrl:]]' "$work/out")" 0
}

lures_in_the_history
lures_beside_it
lures_among_the_manifests
modes_and_owners_stay
nothing_steers_the_terminal
finish
