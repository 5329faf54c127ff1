#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Real applications as a hop, 50 clients at once, each request with a tag of its own: which way carries the tags of their
# calls, and that no call ever has another request's. docs/propagation.md has the table.
#   LANETAG_ROUNDS   requests of each client (default 10; a fifth of them to the shell script)
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh

CLIENTS=50 ROUNDS=${LANETAG_ROUNDS:-10}
ALL=$((CLIENTS * ROUNDS))
SERVER=${pod_address[app-a-v1]} PORT=8000 CALLED=http://10.96.0.11:8000/

if ! use_kernel; then
  skip "real applications" "LANETAG_SKIP_KERNEL=1"
  finish
fi

start_everything() {
  set_up_cluster
  app_options=(--echo)
  start_app app-b v1
  network_add_pod app-a-v1 "$SERVER"
  apply_steps "$manifests" 3 || give_up "manifests can be applied"
  apply examples/forward-nothing/header-propagation.yaml
  start_agent --control "$work/control" --pod-interface 'app-*' --correlate-threads '*'
  wait_for_configuration 0 || give_up "the agent starts"
}

by() { metric "lanetag_propagation_total{by=\"$1\"}"; }

serve_with() { # COMMAND…
  local tries=200
  start app-a-v1 server "$@"
  until in_node curl -s -o /dev/null --max-time 5 "http://$SERVER:$PORT/" || [ $((tries--)) -eq 0 ]; do sleep 0.05; done
}

ask_all() {
  in_node tests/e2e/correlation/nonces.py "$SERVER" "$PORT" "$CLIENTS" "$ROUNDS" appver-b traced
}

# Every call has its own request's tag, and has it by this way.
carried_by() { # WAY WHAT COMMAND…
  local way=$1 what=$2 before
  shift 2
  serve_with "$@"
  before=$(by "$way")
  claim_equal "$what: every call has its own request's tag" "$(ask_all)" "right=$ALL none=0 wrong=0 failed=0"
  claim_equal "$what: by $way" "$(($(by "$way") - before))" "$ALL"
  stop server
}

# No way knows anything, and none guesses.
carried_by_none() { # WHAT COMMAND…
  local what=$1 before
  shift
  serve_with "$@"
  before=$(by none)
  claim_equal "$what: no call has any tag" "$(ask_all)" "right=0 none=$ALL wrong=0 failed=0"
  claim_equal "$what: all are counted as such" "$(($(by none) - before))" "$ALL"
  stop server
}

# What passes on baggage has its tags by that, what passes on traceparent by the trace.
carried_by_both() { # WHAT COMMAND…
  local what=$1
  shift
  carried_by baggage "$what, passing on baggage" "$@" baggage
  carried_by trace "$what, passing on traceparent" "$@" traceparent
}

# As a hop that adds nothing.
write_nginx() { # DIRECTIVE…
  cat >"$work/nginx.conf" <<END
daemon off;
pid $work/nginx.pid;
error_log $work/nginx.log;
events { worker_connections 512; }
http {
  access_log off;
  client_body_temp_path $work;
  proxy_temp_path $work;
  fastcgi_temp_path $work;
  uwsgi_temp_path $work;
  scgi_temp_path $work;
  server {
    listen $SERVER:$PORT;
    location / { proxy_pass $CALLED; $* }
  }
}
END
}

server() { # EXTENSION WAY…
  case $1 in
    py) echo "python3 tests/e2e/correlation/server.py ${*:2} $SERVER $PORT $CALLED" ;;
    js) echo "node tests/e2e/correlation/server.js ${*:2} $SERVER $PORT $CALLED" ;;
    java) echo "java tests/e2e/correlation/Server.java ${*:2} $SERVER $PORT $CALLED" ;;
    sh) echo "tests/e2e/correlation/server.sh $SERVER $PORT $CALLED" ;;
  esac
}

mock=("$build/tests/apps/mock_app" --app app-a --version v1 --address "$SERVER" --port "$PORT"
  --next 10.96.0.11:8000 --next-host app-b:8000 --forward)

start_everything
nginx=("$(PATH=$PATH:/usr/sbin command -v nginx)" -c "$work/nginx.conf" -e "$work/nginx.log")
write_nginx
carried_by baggage "nginx, which passes on all" "${nginx[@]}"
write_nginx 'proxy_set_header baggage "";'
carried_by trace "nginx, all but baggage" "${nginx[@]}"
carried_by_both "the C mock" "${mock[@]}"
# shellcheck disable=SC2046
{
  for way in threads single asyncio; do carried_by_both "python, $way" $(server py "$way"); done
  for way in kept new at-once; do
    carried_by_both "node, $way" $(server js "$way")
    carried_by_none "node, $way, passing on nothing" $(server js "$way")
  done
  for way in url client; do carried_by_both "Java's HttpServer, calls by $way" $(server java "$way"); done
  # A process for each request: fewer of them.
  ROUNDS=$(((ROUNDS + 4) / 5)) ALL=$((CLIENTS * ROUNDS))
  carried_by_both "a shell script's curl" $(server sh)
  carried_by_none "a shell script's curl, passing on nothing" $(server sh)
}
finish
