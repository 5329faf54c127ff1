#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# What people read of the commands agrees with the commands: --help, the man page, bash completion; status and top.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh

lanetag=$build/lanetag
manual=docs/man/lanetag.8

commands() { "$lanetag" --help | awk '/^  [a-z]/ { print $1 }'; }

options_of_help() { # COMMAND
  "$lanetag" "$1" --help | grep -oE -- '(^|[[:space:]|[])--[a-z][a-z-]+' | grep -oE -- '--[a-z-]+'
}

manual_agrees() {
  local command
  claim_equal "the man page has each command, and no other" \
    "$(sed -n 's/^\.SS \([a-z]*\).*/\1/p' "$manual" | sort)" "$(commands | sort)"
  claim_equal "the man page has each option of each --help, and no other" \
    "$(tr -d '\\' <"$manual" | grep -oE -- '--[a-z][a-z-]+' | sort -u)" \
    "$({ echo --version; for command in $(commands); do options_of_help "$command"; done; } | sort -u)"
  claim_equal "groff has nothing to say of the man page" "$(groff -man -ww -Tutf8 "$manual" 2>&1 >/dev/null)" ''
  for command in $(commands); do
    claim "lanetag help $command is its --help, with an example" \
      bash -c "'$lanetag' help $command | cmp - <('$lanetag' $command --help) && '$lanetag' $command --help | grep -q '^example'"
    "$lanetag" "$command" --no-such-option >/dev/null 2>&1
    claim_equal "$command: an unknown option is wrong usage" $? 2
  done
}

# Standard streams that can't be written to, or are not there.
fails_unseen() {
  local rules=$TUTORIAL/step3/wasm-plugin-ab-v2-c-v3.yaml arguments told
  for arguments in --help --version 'help run' 'check --help' "check $rules" "explain -c $rules --user 1" \
    "simulate -c $rules --count 10 -o json"; do
    # shellcheck disable=SC2086
    told=$("$lanetag" $arguments 2>&1 >/dev/full)
    claim_equal "lanetag $arguments on a full disk fails, and says why" \
      "$? $(grep -c "can't write: No space left on device" <<<"$told")" '2 1'
    # shellcheck disable=SC2086
    "$lanetag" $arguments <&- >&- 2>&-
    claim_equal "without standard streams too" $? 2
  done
}

# A standard stream's number must not become that of a file of the agent's: what is logged would go into it.
starts_without_standard_streams() {
  mkdir "$work/closed"
  "$lanetag" run --config "$work/closed" --no-kernel --admin '' --control "$work/closed.sock" <&- >&- 2>&- &
  local agent=$! tries=100
  until [ -S "$work/closed.sock" ] || [ $((tries--)) -le 0 ]; do sleep 0.1; done
  claim_equal "an agent that was started without standard streams has none" \
    "$(readlink "/proc/$agent/fd/0" "/proc/$agent/fd/1" "/proc/$agent/fd/2" | tr '\n' ' ')" \
    '/dev/null /dev/null /dev/null '
  kill "$agent"
  wait "$agent"
  claim_equal "and ends in order" $? 0
}

complete_words() { # WORD…: the last is completed
  PATH="$PWD/$build:$PATH" bash -c '. scripts/completion/lanetag.bash
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _lanetag; printf "%s " "${COMPREPLY[@]}"' bash "$@"
}

completes() {
  claim_equal "commands are completed" "$(complete_words lanetag ro)" 'rollback '
  claim_equal "options are completed" "$(complete_words lanetag ramp --al)" '--allow-back '
  claim_equal "formats are completed" "$(complete_words lanetag diff -o j)" 'json '
  claim_equal "formats of logs are completed" "$(complete_words lanetag run --log-format l)" 'logfmt '
  claim_equal "states of flows are completed" "$(complete_words lanetag flows --state l)" 'lost '
  claim_equal "so is what the access log shows of users" "$(complete_words lanetag run --access-log-user-ids h)" 'hashed '
  claim_equal "files are completed" "$(complete_words lanetag check READM)" 'README.md '
}

wait_for_unhealthy() {
  local tries=100
  until in_node "$lanetag" status | grep -q '^unhealthy' || [ $((tries--)) -le 0 ]; do sleep 0.1; done
}

tells_status() {
  local step
  for step in 1 2 3; do start_apps_of_step "$step"; done
  apply_steps "$manifests" 3
  start_agent --no-kernel --control "$work/control.sock"
  wait_for_configuration 0 || give_up "the agent serves step 3"
  for user in 0001 0003 0005; do ask "$user" >/dev/null; done
  claim_equal "status tells the lanes with their requests" \
    "$(in_node "$lanetag" status | awk '$1 ~ /^appver/ { print $1, $2, $NF }' | sort | tr '\n' ';')" \
    'appver-a (no 2;appver-a v2 1;appver-b (no 2;appver-b v2 1;appver-c (no 1;appver-c v3 2;'
  claim_equal "and as JSON" "$(in_node "$lanetag" status -o json | jq -c '[.requests > 0, .kernelTagger]')" '[true,false]'
  start_background_clients
  claim "top tells requests a second, a line per lane, and ends after -n rounds" \
    awk '$1 == "appver-a" && $2 == "v2" && $NF + 0 > 0 { found++ } END { exit found != 2 }' <(in_node "$lanetag" top -n 2)
  claim_equal "top's JSON is an object a round" \
    "$(in_node "$lanetag" top -n 1 -o json | jq -c '[.rules[].lanes[].requestsPerSecond] | length')" 6
  claim_equal "while all is well nobody is unhealthy" "$(in_node "$lanetag" status | grep -c '^unhealthy')" 0
  stop app-c-v3
  wait_for_unhealthy
  # Its endpoint is one of the application's, too.
  claim_equal "a version that is gone is named" "$(in_node "$lanetag" status | grep '^unhealthy')" \
    'unhealthy      app-c.default.svc.cluster.local v3 port 8000: 0 of 1 endpoints can be used
unhealthy      app-c.default.svc.cluster.local port 8000: 1 of 2 endpoints can be used'
  claim_equal "and as JSON, with what failed there" \
    "$(in_node "$lanetag" status -o json |
      jq -c '[.destinations[] | select(.subset == "v3") | .port, .endpoints, .healthy, .requests > 0, .failed > 0]')" \
    '[8000,1,0,true,true]'
  claim_equal "top tells which lane's requests fail" \
    "$(in_node "$lanetag" top -n 1 -o json | jq -c '[.rules[2].lanes[].failedShare | . > 0.5]')" '[true,false]'
  stop_background_clients >/dev/null
  in_node "$lanetag" status --admin 127.0.0.1:99999 2>"$work/err"
  claim_equal "an address that is none is named" "$? $(cat "$work/err")" \
    "2 lanetag status: --admin: '127.0.0.1:99999' is no ADDRESS:PORT"
  printf 'kind: [\n' >"$manifests/broken.yaml"
  local tries=100
  while in_node "$lanetag" status >"$work/status" && [ $((tries--)) -gt 0 ]; do sleep 0.1; done
  claim "status names a refused configuration and ends with 1" grep -q '^last error .*broken.yaml' "$work/status"
  in_node "$lanetag" status --admin 127.0.0.1:1 2>/dev/null
  claim_equal "status without an agent ends with 2" $? 2
}

set_up_cluster
manual_agrees
fails_unseen
starts_without_standard_streams
completes
tells_status
finish
