# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
# The tutorial's cluster, to be sourced by the demo and its test: namespaces, the applications' processes, a
# directory of manifests and the agent on top of it. The caller sets $build and calls tutorial_clean_up at its end.

# shellcheck source=scripts/namespaces.sh
. scripts/namespaces.sh

TUTORIAL=examples/tutorial
ADMIN=127.0.0.1:15020

declare -A pod_address=(
  [app-a-v1]=10.0.250.27 [app-b-v1]=10.0.250.6 [app-c-v2]=10.0.250.11
  [app-a-v2]=10.0.250.14 [app-b-v2]=10.0.250.8 [app-c-v3]=10.0.250.23
)

# Sets the names first, so that the clean-up knows them wherever an interrupt comes.
tutorial_set_up() {
  work=${TMPDIR:-/tmp}/$network
  manifests=$work/manifests
  pins=/sys/fs/bpf/$network
  mkdir -m 0700 "$work" "$manifests" && network_up
}

# For interception: a cgroup of the applications, so that nobody else's calls on this machine are looked at.
tutorial_make_cgroup() {
  local root
  root=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
  [ -n "$root" ] && cgroup=$root/$network && mkdir "$cgroup"
}

join_cgroup() { # NAME…
  local name
  for name in "$@"; do echo "${processes[$name]}" >"$cgroup/cgroup.procs" || return 1; done
}

tutorial_remove_cgroup() {
  local tries=50
  while [ -d "${cgroup:-}" ] && [ $((tries--)) -gt 0 ]; do
    rmdir "$cgroup" 2>/dev/null || sleep 0.1
  done
  rm -rf "${pins:?}-interception"
}

tutorial_clean_up() {
  [ -n "${pins:-}" ] || return 0
  stop_all
  tutorial_remove_cgroup
  network_down
  rm -rf "${pins:?}" "${pins:?}-arrivals" "${work:?}"
}

# The next application is called by the address of its Service, as a cluster's DNS would give it. The caller may set
# app_options: more options of the mock application.
start_app() { # APP VERSION
  local app=$1 version=$2 next=()
  case $app in
    app-a) next=(--next 10.96.0.11:8000 --next-host app-b:8000) ;;
    app-b) next=(--next 10.96.0.12:8000 --next-host app-c:8000) ;;
  esac
  { [ -e "/run/netns/$network-$app-$version" ] || network_add_pod "$app-$version" "${pod_address[$app-$version]}"; } &&
    start "$app-$version" "$app-$version" "$build/tests/apps/mock_app" --app "$app" --version "$version" \
      --address "${pod_address[$app-$version]}" --port 8000 ${next+"${next[@]}"} \
      ${app_options+"${app_options[@]}"} &&
    { [ -z "${cgroup:-}" ] || join_cgroup "$app-$version"; }
}

start_agent() { # OPTION…
  local option previous=''
  control_socket=$work/agent.sock
  for option in "$@"; do
    [ "$previous" != --control ] || control_socket=$option
    previous=$option
  done
  start node agent "$build/lanetag" run --config "$manifests" --admin "$ADMIN" --pin-directory "$pins" \
    --interface '*' --control "$control_socket" "$@"
}

apply() { # FILE…
  scripts/apply.sh "$manifests" "$@"
}

metrics() { in_node curl -s --max-time 2 "http://$ADMIN/metrics"; }

# The value of one sample; nothing if there is none.
metric() { # NAME or NAME{LABELS}
  metrics | awk -v name="$1" '$1 == name { print $2 }'
}

# The number of the configuration in force, from the control socket of start_agent; nothing if no agent answers. /metrics has it, too,
# but is made only once a second: it is asked where there is no control socket.
generation_in_force() {
  if [ -z "$control_socket" ]; then
    metric lanetag_configuration_generation
    return
  fi
  python3 -c '
import socket, sys
with socket.socket(socket.AF_UNIX) as agent:
    agent.settimeout(2)
    agent.connect(sys.argv[1])
    agent.sendall(b"configuration 1\n")
    print(agent.makefile().readline().split()[1])' "$control_socket" 2>/dev/null
}

# Waits until a configuration newer than GENERATION is in force and no newer one is coming: the agent waits at most
# 60 ms for a burst of changes to end.
wait_for_configuration() { # GENERATION
  local seen previous='' tries=100
  while [ $((tries--)) -gt 0 ]; do
    seen=$(generation_in_force)
    if [ -n "$seen" ] && [ "$seen" -gt "$1" ] && [ "$seen" = "$previous" ] &&
      [ "$(metric lanetag_configuration_last_reload_successful)" = 1 ]; then
      return 0
    fi
    previous=$seen
    is_running agent || return 1
    sleep 0.1
  done
  return 1
}

apply_and_wait() { # FILE…
  local generation
  generation=$(generation_in_force)
  apply "$@" && wait_for_configuration "${generation:-0}"
}

ask() { # USER CURL-OPTION…
  local user=$1
  shift
  in_client curl -s --max-time 5 -H "x-user-id: $user" "$@" "http://$NODE_ADDRESS/"
}

# The line that the tutorial prints for this user in this step; before the first canary all users get the same.
expected_line() { # STEP USER
  local versions
  if [ "$1" = 1 ]; then
    versions='v1 v1 v2'
  else
    versions=$(awk -v step="$1" -v user="$2" '$1 == step && $2 == user { print $3, $4, $5 }' "$TUTORIAL/expected.tsv")
  fi
  local a b c
  read -r a b c <<<"$versions"
  printf -- '-> app-a(version: %s, ip: %s)-> app-b(version: %s, ip: %s)-> app-c(version: %s, ip: %s)\n' \
    "$a" "${pod_address[app-a-$a]:-}" "$b" "${pod_address[app-b-$b]:-}" "$c" "${pod_address[app-c-$c]:-}"
}

# The pods that each step adds, and its manifests, in the tutorial's order.
start_apps_of_step() { # STEP
  case $1 in
    1) start_app app-a v1 && start_app app-b v1 && start_app app-c v2 ;;
    2) start_app app-a v2 && start_app app-b v2 ;;
    3) start_app app-c v3 ;;
  esac
}

manifests_of_step() { # STEP
  case $1 in
    1) printf "$TUTORIAL/step1/%s.yaml\n" app-init pods app-init-mesh ;;
    2) printf "$TUTORIAL/step2/%s.yaml\n" app-ab-v2 pods app-ab-v2-mesh header-propagation hash-tagging-plugin ;;
    3) printf "$TUTORIAL/step3/%s.yaml\n" app-c-v3 pods app-c-v3-mesh wasm-plugin-ab-v2-c-v3 ;;
    4) printf "$TUTORIAL/step4/%s.yaml\n" app-c-mesh wasm-plugin-promoted ;;
  esac
}

# All manifests of the steps up to LAST, into a directory.
apply_steps() { # DIRECTORY LAST
  local step files
  for step in $(seq 1 "$2"); do
    mapfile -t files < <(manifests_of_step "$step")
    scripts/apply.sh "$1" "${files[@]}" || return 1
  done
}

# Clients that ask on and on, one on a single connection, one with a new connection for each request. Each answer's
# status stands on a line of its own.
start_background_clients() {
  local url="http://$NODE_ADDRESS/?request=[1-1000000]"
  start client kept curl -s --max-time 600 --rate 100/s -o /dev/null -w '%{stderr}%{http_code}\n' -H 'x-user-id: 0003' "$url"
  start client fresh curl -s --max-time 600 --rate 100/s -o /dev/null -w '%{stderr}%{http_code}\n' -H 'x-user-id: 0005' \
    -H 'Connection: close' "$url"
}

# Prints "REQUESTS FAILED".
stop_background_clients() {
  stop kept
  stop fresh
  cat "$work/kept.log" "$work/fresh.log" | awk '{ total++ } $1 != 200 { failed++ } END { print total + 0, failed + 0 }'
}
