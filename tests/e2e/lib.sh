# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# For end-to-end tests, to be sourced from the repository's root: TAP claims on top of the tutorial's cluster.
#
#   claim TEXT COMMAND…          ok where the command succeeds; its output stands behind a claim that fails
#   claim_equal TEXT IS WANTED   ok where both texts are the same
#   skip TEXT REASON
#   finish                       exits: 1 if a claim failed

build=${LANETAG_BUILD:-build}
claims=0 failed_claims=0

# shellcheck source=scripts/tutorial.sh
. scripts/tutorial.sh

use_kernel() { [ "${LANETAG_SKIP_KERNEL:-0}" != 1 ]; }

report_failure() { # TEXT DETAIL
  failed_claims=$((failed_claims + 1))
  echo "not ok $claims - $1"
  sed 's/^/#   /' <<<"$2"
}

claim() { # TEXT COMMAND…
  local text=$1 output
  shift
  claims=$((claims + 1))
  if output=$("$@" 2>&1); then
    echo "ok $claims - $text"
  else
    report_failure "$text" "$output"
  fi
}

claim_equal() { # TEXT IS WANTED
  claims=$((claims + 1))
  if [ "$2" = "$3" ]; then
    echo "ok $claims - $1"
  else
    report_failure "$1" "is:     $2"$'\n'"wanted: $3"
  fi
}

skip() { # TEXT REASON
  claims=$((claims + 1))
  echo "ok $claims - $1 # SKIP $2"
}

# Where the cluster can't be set up nothing can be claimed.
give_up() { # TEXT
  claims=$((claims + 1))
  report_failure "$1" "$(cat "${work:-/nonexistent}/agent.log" 2>/dev/null | tail -20)"
  exit 1
}

finish() {
  if [ "$failed_claims" -gt 0 ] && [ -s "${work:-/nonexistent}/agent.log" ]; then
    echo "# the agent's log:"
    tail -30 "$work/agent.log" | sed 's/^/#   /'
  fi
  exit $((failed_claims > 0))
}

set_up_cluster() {
  trap tutorial_clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  if [ "$(id -u)" -ne 0 ]; then give_up "root makes network namespaces"; fi
  tutorial_set_up || give_up "network namespaces can be made"
}
