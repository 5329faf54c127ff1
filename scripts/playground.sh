#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# A cluster to play with, on this machine (docs/tutorial.md): a client, a node with the agent, and the tutorial's six
# pods in network namespaces. Gives a shell at the client's place, with `lanetag`, and these at hand:
#
#   $manifests   the agent's directory of manifests, empty at first
#   $control     its control socket
#   $pins        the kernel's maps
#   on_node      runs a command on the node, as a login there would
#
# All of it ends with the shell; nothing stays behind.
#
#   scripts/playground.sh [COMMAND…]    the command in place of the shell
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
build=${LANETAG_BUILD:-build}

# shellcheck source=scripts/tutorial.sh
. scripts/tutorial.sh

die() {
  printf '%s\n' "$*" >&2
  [ ! -s "${work:-}/agent.log" ] || tail -20 "$work/agent.log" >&2
  exit 1
}

make_commands() { # what the shell finds in its PATH
  mkdir "$work/bin" && ln -s "$(readlink -f "$build/lanetag")" "$work/bin/lanetag" &&
    printf '#!/bin/sh\nexec nsenter --net=/run/netns/%s-node "$@"\n' "$network" >"$work/bin/on_node" &&
    chmod +x "$work/bin/on_node"
}

start_pods() {
  local pod
  for pod in "${!pod_address[@]}"; do start_app "${pod%-*}" "${pod##*-}" || return 1; done
}

wait_for_agent() {
  local tries=100
  until [ -n "$(metric lanetag_configuration_generation)" ]; do
    is_running agent && [ $((tries--)) -gt 0 ] || return 1
    sleep 0.1
  done
}

play() { # COMMAND…
  if [ "$#" -gt 0 ]; then
    in_client "$@"
  elif [ -t 0 ]; then
    printf 'This shell is the client. The gateway is http://%s/, manifests go to %s.\n"exit" ends it all.\n' \
      "$NODE_ADDRESS" "$manifests"
    printf "PS1='playground$ '\nunset HISTFILE\n" >"$work/bashrc"
    in_client bash --rcfile "$work/bashrc"
  else
    in_client bash
  fi
}

main() {
  [ "$(id -u)" -eq 0 ] || die "The playground makes network namespaces and loads a BPF program: it needs root."
  trap tutorial_clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  tutorial_set_up || die "no network namespaces"
  if ! { make_commands && start_pods; }; then die "the pods do not start"; fi
  start_agent --control "$work/control.sock"
  wait_for_agent || die "the agent does not start"
  export PATH=$work/bin:$PATH manifests pins control=$work/control.sock
  play "$@"
}

main "$@"
