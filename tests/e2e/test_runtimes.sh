#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Real applications as a hop, 50 clients at once, each request with a tag of its own: which way carries the tags of their
# calls, and that no call ever has another request's. docs/propagation.md has the table.
#   LANETAG_ROUNDS   requests of each client (default 10)
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh

CLIENTS=50 ROUNDS=${LANETAG_ROUNDS:-10}
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

# Every call has its own request's tag, and has it by this way.
carried_by() { # WAY WHAT COMMAND…
  local way=$1 what=$2 before tries=200 all=$((CLIENTS * ROUNDS))
  shift 2
  start app-a-v1 server "$@"
  until in_node curl -s -o /dev/null --max-time 5 "http://$SERVER:$PORT/" || [ $((tries--)) -eq 0 ]; do sleep 0.05; done
  before=$(by "$way")
  claim_equal "$what: every call has its own request's tag" \
    "$(in_node tests/e2e/correlation/nonces.py "$SERVER" "$PORT" "$CLIENTS" "$ROUNDS" appver-b traced)" \
    "right=$all none=0 wrong=0 failed=0"
  claim_equal "$what: by $way" "$(($(by "$way") - before))" "$all"
  stop server
}

write_nginx() { # as a hop that adds nothing
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
    location / { proxy_pass $CALLED; }
  }
}
END
}

start_everything
write_nginx
carried_by baggage "nginx, which passes on all" "$(PATH=$PATH:/usr/sbin command -v nginx)" -c "$work/nginx.conf" -e "$work/nginx.log"
carried_by baggage "the C mock, passing on baggage" "$build/tests/apps/mock_app" --app app-a --version v1 \
  --address "$SERVER" --port "$PORT" --next 10.96.0.11:8000 --next-host app-b:8000
for way in threads single asyncio; do
  carried_by trace "python, $way, passing on traceparent" \
    python3 tests/e2e/correlation/server.py "$way" "$SERVER" "$PORT" "$CALLED" traceparent
done
for way in kept new at-once; do
  carried_by trace "node, $way, passing on traceparent" \
    node tests/e2e/correlation/server.js "$way" "$SERVER" "$PORT" "$CALLED" traceparent
done
for way in url client; do
  if command -v javac >/dev/null; then
    carried_by trace "Java's HttpServer, calls by $way, passing on traceparent" \
      java tests/e2e/correlation/Server.java "$way" "$SERVER" "$PORT" "$CALLED" traceparent
  else
    skip "Java's HttpServer, calls by $way" "no JDK is installed"
  fi
done
finish
