#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# The image's root file system, made by the Dockerfile's own step, serves the tutorial: read-only, with exactly the
# capabilities and volumes of the DaemonSet. Each capability is missed where it is taken away.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh

capabilities=$(python3 tests/e2e/image/daemonset.py capabilities) || give_up "the DaemonSet can be read"

clean_up() {
  trap - EXIT
  tutorial_clean_up
}
trap clean_up EXIT
trap 'exit 130' INT TERM
tutorial_set_up || give_up "the network is set up"
root=$work/image
interception=()
if use_kernel; then
  tutorial_make_cgroup || give_up "a cgroup can be made"
  interception=(--intercept "$POD_GATEWAY" --intercept-cgroup "$cgroup" --pod-interface 'app-*')
fi
mkdir "$work/run"

make_image() {
  grep -q '^RUN .*deploy/image-files.sh build/lanetag /image$' deploy/Dockerfile &&
    grep -q '^COPY --from=build /image /$' deploy/Dockerfile &&
    cp "$build/lanetag" "$work/lanetag" && strip "$work/lanetag" && deploy/image-files.sh "$work/lanetag" "$root"
}
claim "the Dockerfile's step makes the image's files" make_image

# The agent as the DaemonSet starts it; the test's own addresses and paths come last and count.
start_agent() {
  control_socket=$work/run/control.sock
  start node agent tests/e2e/image/run.sh "$root" "$manifests" "$work/run" "$capabilities" \
    run --config /etc/lanetag --takeover --after-handover=wait --admin "$ADMIN" --drain-timeout 2000 \
    --pin-directory "$pins" --interface '*' \
    ${interception+"${interception[@]}"}
}

arguments_are_known() { # the DaemonSet's options are the agent's
  local argument
  while read -r argument; do
    case $argument in
      run) ;;
      --config=* | --monitoring=* | --intercept=* | --pod-interface=*) ;;
      *) [[ " --takeover --after-handover=wait --drain-timeout=20000 " == *" $argument "* ]] || { echo "$argument"; return 1; } ;;
    esac
  done < <(python3 tests/e2e/image/daemonset.py args)
}
claim "the DaemonSet starts the agent as this test does" arguments_are_known

no_shell_and_little_else() {
  [ ! -e "$root/bin/sh" ] && [ "$(find "$root" -type f ! -name '*.so*' | sort | sed "s#^$root##" | tr '\n' ' ')" = "/etc/group /etc/passwd /usr/sbin/lanetag " ]
}
claim "the image holds the agent, its libraries, and no shell" no_shell_and_little_else

start_agent
for step in 1 2 3 4; do
  start_apps_of_step "$step" || give_up "the pods of step $step start"
  mapfile -t files < <(manifests_of_step "$step")
  apply_and_wait "${files[@]}" || give_up "the agent takes step $step"
  for user in 0001 0002 0003 0004 0005; do
    claim_equal "step $step, user $user" "$(ask "$user")" "$(expected_line "$step" "$user")"
  done
done
if use_kernel; then
  kernel_decides() { [ "$(metric 'lanetag_decisions_total{mark="agreed"}')" -gt 0 ]; }
  claim "the kernel decides: the capabilities suffice" kernel_decides
  intercepts() { [ "$(metric lanetag_interception_accepted_total)" -gt 0 ] && [ "$(metric 'lanetag_arrivals_total{event="requests"}')" -gt 0 ]; }
  claim "and for interception and arrivals too" intercepts
  promtool_accepts() { metrics | promtool check metrics; }
  claim_equal "promtool has no complaint about the kernel's metrics either" "$(promtool_accepts 2>&1)" ""
fi
claim_equal "the process holds them and no other" \
  "$(capsh --decode="$(awk '/^CapEff/ { print $2 }' "/proc/$(in_node pgrep -f "$pins" | head -1)/status")" | cut -d= -f2 | tr ',' '\n' | sort | tr '\n' ' ')" \
  "$(tr ',' '\n' <<<"$capabilities" | sed 's/.*/cap_\L&/' | sort | tr '\n' ' ')"

# A new image takes over, as a rolling update with a surge does it.
processes[old]=${processes[agent]}
start_agent
took_over() {
  local tries=100
  until grep -q 'event="handed over"' "$work/agent.log" && [ "$(grep -c 'event="started"' "$work/agent.log")" -eq 2 ]; do
    [ $((tries--)) -gt 0 ] || return 1
    sleep 0.1
  done
  is_running old && [ "$(ask 0005)" = "$(expected_line 4 0005)" ]
}
claim "a second container takes over from the first, which waits for its end" took_over
stop old
claim_equal "the new one goes on" "$(ask 0001)" "$(expected_line 4 0001)"
stop agent

# What each capability is for.
starts_without() { # CAPABILITY PATTERN-IN-LOG
  local tries=100
  capabilities=$(tr ',' '\n' <<<"$all_capabilities" | grep -vx "$1" | paste -sd,)
  : >"$work/agent.log"
  start_agent
  until grep -qE "$2" "$work/agent.log"; do
    [ $((tries--)) -gt 0 ] || { cat "$work/agent.log"; return 1; }
    sleep 0.1
  done
  stop agent
  return 0 # whatever it ended with
}
all_capabilities=$capabilities
claim "without NET_BIND_SERVICE the Gateway's port can't be opened" starts_without NET_BIND_SERVICE 'listener not opened.*port=80 .*Permission denied'
if use_kernel; then
  for capability in BPF PERFMON NET_ADMIN; do
    claim "without $capability the agent says so and goes on without the kernel" \
      starts_without "$capability" "missing=.*CAP_$capability"
  done
fi
finish
