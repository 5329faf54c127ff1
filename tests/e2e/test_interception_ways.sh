#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Intercepted calls have their tags by trace and by thread, too: the chain of applications that pass on a trace id alone,
# or nothing at all, and whose calls the kernel leads to the agent.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh

USERS=50 ROUNDS=10
PODS=(app-a-v1 app-a-v2 app-b-v1 app-b-v2 app-c-v2 app-c-v3)

if ! use_kernel; then
  skip "tags of intercepted calls" "LANETAG_SKIP_KERNEL=1"
  finish
fi

start_apps() { # OPTION… of the mock application
  local pod step
  app_options=("$@")
  for pod in "${PODS[@]}"; do stop "$pod"; done
  for step in 1 2 3; do start_apps_of_step "$step" || return 1; done
}

start_everything() {
  local step
  set_up_cluster
  tutorial_make_cgroup || give_up "a cgroup can be made"
  apply_steps "$manifests" 3 || give_up "manifests can be applied"
  apply examples/forward-nothing/header-propagation.yaml
  start_apps --forward traceparent || give_up "the applications start"
  start_agent --control "$work/control" --pod-interface 'app-*' --correlate-threads mock_app \
    --intercept "$POD_GATEWAY" --intercept-cgroup "$cgroup"
  claim "the agent starts with interception and the pods' interfaces" wait_for_configuration 0
}

users() { # [HEADER]
  in_client tests/e2e/correlation/users.py "$NODE_ADDRESS" 80 "$USERS" "$ROUNDS" "$@"
}

by() { metric "lanetag_propagation_total{by=\"$1\"}"; }

start_everything
claim_equal "by traceparent every call has its own user's tags" "$(users traceparent)" \
  "right=$((USERS * ROUNDS)) none=0 wrong=0 failed=0"
claim "these were intercepted" test "$(metric lanetag_interception_accepted_total)" -gt 0
claim "and found by their ids" test "$(by trace)" -ge $((2 * USERS * ROUNDS))
# Not in a claim, which is a subshell: what it starts would stay.
start_apps --forward-nothing || give_up "the applications start again"
if grep -q 'threads are followed' "$work/agent.log"; then
  ROUNDS=60 users >/dev/null # until each process has served enough
  outcome=$(users)
  claim "by thread every call has its own user's tags, none another's ($outcome)" \
    grep -qE "^right=(49[0-9]|500) none=[0-9]+ wrong=0 failed=0" <<<"$outcome"
  claim "and they are counted as such" test "$(by thread)" -ge $((USERS * ROUNDS))
else
  skip "tags by thread" "no tracepoint sock_recv_length before Linux 6.3"
fi
finish
