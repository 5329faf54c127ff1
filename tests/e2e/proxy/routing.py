# SPDX-License-Identifier: GPL-2.0-only
"""What routes do to requests: everything of mesh/route.h and mesh/cluster.h that is the proxy's."""
import json
import os
import socket
import sys
import tempfile
import threading
import time
import urllib.request

from harness import (GATEWAY, Client, Proxy, Tests, Upstream, pod, reply, request_bytes, service)

log_path = tempfile.mktemp(prefix="lanetag-access-")


class App:
    """An upstream with a name that counts, and fails as it is told."""

    def __init__(self, name, address):
        self.name = name
        self.failures = []  # statuses to answer with first; 0: close without a word
        self.seen = []
        self.bodies = []
        self.upstream = Upstream(self.handle, address=address)

    def handle(self, request, sock):
        body = request.body()
        self.bodies.append(body)
        self.seen.append(request)
        if self.failures:
            status = self.failures.pop(0)
            if status == 0:
                return False
            return reply(sock, b"failed", f"{status} Failed")
        if request.target.startswith("/slow"):
            time.sleep(float(request.target.split("/")[2]))
        return reply(sock, json.dumps({
            "app": self.name, "method": request.method, "target": request.target, "fields": request.fields,
            "body": body.decode("latin-1")}).encode(), fields=["X-Upstream: " + self.name, "X-Drop: me"])


one, two, three = App("one", "127.0.0.1"), App("two", "127.0.0.2"), App("three", "127.0.0.3")
apps = (one, two, three)
# Each with a connectionPool of its own; pools belong to an address.
pools = {"renewed": App("renewed", "127.0.0.5"), "short-idle": App("short-idle", "127.0.0.6"),
         "one-request": App("one-request", "127.0.0.7"), "one-retry": App("one-retry", "127.0.0.8")}
POOL_SETTINGS = {"renewed": "http: {maxRequestsPerConnection: 2}", "short-idle": "http: {idleTimeout: 200ms}",
                 "one-request": "http: {http2MaxRequests: 1}", "one-retry": "http: {maxRetries: 1}",
                 "no-answer": "tcp: {connectTimeout: 200ms}"}


def pool_manifests():
    text = service("no-answer") + pod("no-answer-1", "no-answer", "127.0.0.9")
    for name, app in pools.items():
        text += service(name) + pod(name + "-1", name, app.upstream.listener.getsockname()[0])
    for name, settings in POOL_SETTINGS.items():
        text += f"""---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: {name}}}
spec: {{host: {name}, trafficPolicy: {{connectionPool: {{{settings}}}}}}}
"""
    return text


CONFIG = GATEWAY + service("one") + pod("one-1", "one", "127.0.0.1", "v1") + pod("one-2", "one", "127.0.0.99", "dark") \
    + service("both") + pod("both-1", "both", "127.0.0.1") + pod("both-2", "both", "127.0.0.2") \
    + service("all") + pod("a-1", "all", "127.0.0.1") + pod("a-2", "all", "127.0.0.2") + pod("a-3", "all", "127.0.0.3") \
    + service("two") + pod("two-1", "two", "127.0.0.2") \
    + service("three") + pod("three-1", "three", "127.0.0.3") \
    + service("limited") + pod("limited-1", "limited", "127.0.0.1") \
    + service("hashed") + pod("h-1", "hashed", "127.0.0.1") + pod("h-2", "hashed", "127.0.0.2") + pod("h-3", "hashed", "127.0.0.3") \
    + service("sticky") + pod("s-1", "sticky", "127.0.0.1") + pod("s-2", "sticky", "127.0.0.2") + pod("s-3", "sticky", "127.0.0.3") \
    + service("least") + pod("l-1", "least", "127.0.0.1") + pod("l-2", "least", "127.0.0.2") \
    + service("random") + pod("r-1", "random", "127.0.0.1") + pod("r-2", "random", "127.0.0.2") + pod("r-3", "random", "127.0.0.3") \
    + service("half") + pod("half-1", "half", "127.0.0.1") + pod("half-2", "half", "127.0.0.77") \
    + service("no-pods") + service("alone") + pod("alone-1", "alone", "127.0.0.3") \
    + pool_manifests() \
    + service("outlier") + pod("o-1", "outlier", "127.0.0.1") + pod("o-2", "outlier", "127.0.0.2") + """---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: edge}
spec:
  hosts: ["*"]
  gateways: [edge]
  http:
  - {name: redirect, match: [{uri: {prefix: /old}}], redirect: {uri: /new, authority: other.test, redirectCode: 308}}
  - {name: direct, match: [{uri: {prefix: /direct}}], directResponse: {status: 418, body: {string: "short and stout"}},
     headers: {response: {set: {x-direct: "yes"}}}}
  - {name: json, match: [{uri: {prefix: /json}}], directResponse: {status: 200, body: {string: "{}"}},
     headers: {response: {set: {content-type: application/json}, add: {x-direct: "yes"}, remove: [date]}}}
  - {name: html, match: [{uri: {prefix: /html}}], directResponse: {status: 200, body: {string: "<p>"}},
     headers: {response: {add: {content-type: text/html}}}}
  - name: rewrite
    match: [{uri: {prefix: /api/}}]
    rewrite: {uri: /v2/, authority: inner.test}
    headers:
      request: {set: {x-set: new}, add: {x-add: more}, remove: [x-gone]}
      response: {set: {x-answer: set}, remove: [x-drop]}
    route: [{destination: {host: one, subset: v1}, headers: {request: {set: {x-destination: v1}}}}]
  - {match: [{uri: {prefix: /host-set}}], headers: {request: {set: {Host: route.test}}}, route: [{destination: {host: two}}]}
  - match: [{uri: {prefix: /host-of-destination}}]
    rewrite: {authority: rewrite.test}
    headers: {request: {set: {":authority": route.test}}}
    route: [{destination: {host: two}, headers: {request: {set: {host: "destination.test:81"}}}}]
  - {match: [{uri: {prefix: /slow-route}}], timeout: 300ms, rewrite: {uri: /slow}, route: [{destination: {host: two}}]}
  - {match: [{uri: {prefix: /retry}}], retries: {attempts: 3, retryOn: "503,reset"}, route: [{destination: {host: both}}]}
  - {match: [{uri: {prefix: /never}}], retries: {attempts: 0}, route: [{destination: {host: two}}]}
  - {match: [{uri: {prefix: /try}}], rewrite: {uri: /slow}, retries: {attempts: 2, perTryTimeout: 200ms, retryOn: reset}, route: [{destination: {host: three}}]}
  - {match: [{uri: {prefix: /abort}}], fault: {abort: {httpStatus: 555, percentage: {value: 100}}}, route: [{destination: {host: one, subset: v1}}]}
  - {match: [{uri: {prefix: /delay}}], fault: {delay: {fixedDelay: 300ms, percentage: {value: 100}}}, route: [{destination: {host: one, subset: v1}}]}
  - {match: [{uri: {prefix: /late-start}}], timeout: 300ms, fault: {delay: {fixedDelay: 500ms, percentage: {value: 100}}}, rewrite: {uri: /slow}, route: [{destination: {host: one, subset: v1}}]}
  - {match: [{uri: {prefix: /no-pods-abort}}], fault: {abort: {httpStatus: 555, percentage: {value: 100}}}, route: [{destination: {host: no-pods}}]}
  - {match: [{uri: {prefix: /no-pods-delay}}], fault: {delay: {fixedDelay: 200ms, percentage: {value: 100}}}, route: [{destination: {host: no-pods}}]}
  - {match: [{uri: {prefix: /mirror-abort}}], fault: {abort: {httpStatus: 555, percentage: {value: 100}}}, mirror: {host: three}, route: [{destination: {host: two}}]}
  - {match: [{uri: {prefix: /upload}}], timeout: 300ms, retries: {attempts: 1, perTryTimeout: 300ms, retryOn: reset}, rewrite: {uri: /slow}, route: [{destination: {host: two}}]}
  - {match: [{uri: {prefix: /half}}], fault: {abort: {httpStatus: 500, percentage: {value: 50}}}, route: [{destination: {host: one, subset: v1}}]}
  - {match: [{uri: {prefix: /quarter-mirrored}}], mirror: {host: three}, mirrorPercentage: {value: 25}, route: [{destination: {host: two}}]}
  - {match: [{uri: {prefix: /quarter-delayed}}], fault: {delay: {fixedDelay: 100ms, percentage: {value: 25}}}, route: [{destination: {host: two}}]}
  - {match: [{uri: {prefix: /mirror}}], mirror: {host: three}, route: [{destination: {host: two}}]}
  - {match: [{uri: {prefix: /dark}}], route: [{destination: {host: one, subset: dark}}]}
  - {match: [{uri: {prefix: /limited}}], rewrite: {uri: /slow}, route: [{destination: {host: limited}}]}
  - {match: [{uri: {prefix: /sticky}}], route: [{destination: {host: sticky}}]}
  - {match: [{uri: {prefix: /hashed}}], route: [{destination: {host: hashed}}]}
  - {match: [{uri: {prefix: /least-slow}}], rewrite: {uri: /slow}, route: [{destination: {host: least}}]}
  - {match: [{uri: {prefix: /least}}], route: [{destination: {host: least}}]}
  - {match: [{uri: {prefix: /random}}], route: [{destination: {host: random}}]}
  - {match: [{uri: {prefix: /renewed}}], route: [{destination: {host: renewed}}]}
  - {match: [{uri: {prefix: /short-idle}}], route: [{destination: {host: short-idle}}]}
  - {match: [{uri: {prefix: /one-request}}], rewrite: {uri: /slow}, route: [{destination: {host: one-request}}]}
  - {match: [{uri: {prefix: /one-retry}}], rewrite: {uri: /slow}, retries: {attempts: 2, retryOn: "503"}, route: [{destination: {host: one-retry}}]}
  - {match: [{uri: {prefix: /no-answer}}], timeout: 3s, route: [{destination: {host: no-answer}}]}
  - {match: [{uri: {prefix: /service/}}], rewrite: {uriRegexRewrite: {match: '^/service/([^/]+)(/.*)$', rewrite: '\\2/instance/\\1'}}, route: [{destination: {host: two}}]}
  - {match: [{uri: {prefix: /endless}}], rewrite: {uriRegexRewrite: {match: '(a+)+[bc]|a{1000}d|a{999}e', rewrite: x}}, route: [{destination: {host: two}}]}
  - {match: [{uri: {prefix: /gateway-error}}], retries: {attempts: 2, retryOn: gateway-error}, route: [{destination: {host: both}}]}
  - {match: [{uri: {prefix: /dead-half}}], retries: {attempts: 1, retryOn: reset}, route: [{destination: {host: half}}]}
  - {match: [{uri: {prefix: /alone}}], route: [{destination: {host: alone}}]}
  - {match: [{uri: {prefix: /outlier}}], route: [{destination: {host: outlier}}]}
  - {match: [{uri: {prefix: /robin}}], route: [{destination: {host: all}}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: one, annotations: {lanetag.io/fallback-subset: v1}}
spec: {host: one, subsets: [{name: v1, labels: {version: v1}}, {name: dark, labels: {version: dark}}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: limited}
spec: {host: limited, trafficPolicy: {connectionPool: {tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 2}}}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: hashed}
spec: {host: hashed, trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: x-user-id}}}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: sticky}
spec: {host: sticky, trafficPolicy: {loadBalancer: {consistentHash: {httpCookie: {name: side, path: /, ttl: 90s}}}}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: least}
spec: {host: least, trafficPolicy: {loadBalancer: {simple: LEAST_REQUEST}}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: random}
spec: {host: random, trafficPolicy: {loadBalancer: {simple: RANDOM}}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: alone}
spec: {host: alone, trafficPolicy: {outlierDetection: {consecutive5xxErrors: 2, interval: 1s, baseEjectionTime: 1s}}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: outlier}
spec: {host: outlier, trafficPolicy: {outlierDetection: {consecutive5xxErrors: 3, interval: 1s, baseEjectionTime: 1s, maxEjectionPercent: 50}}}
"""

# The same of the Gateway API, at a port of its own.
API_PORT = 8083
CONFIG += f"""---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: edge}}
spec: {{gatewayClassName: istio, listeners: [{{name: http, port: {API_PORT}, protocol: HTTP}}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: edge}}
spec:
  parentRefs: [{{name: edge}}]
  rules:
  - matches: [{{path: {{value: /moved}}}}]
    filters:
    - {{type: URLRewrite, urlRewrite: {{hostname: inner.test, path: {{type: ReplacePrefixMatch, replacePrefixMatch: /here}}}}}}
    - {{type: RequestHeaderModifier, requestHeaderModifier: {{set: [{{name: x-set, value: new}}], remove: [x-gone]}}}}
    - {{type: ResponseHeaderModifier, responseHeaderModifier: {{add: [{{name: x-answer, value: added}}]}}}}
    backendRefs: [{{name: two, port: 80}}]
  - matches: [{{path: {{value: /gone}}}}]
    filters: [{{type: RequestRedirect, requestRedirect: {{scheme: https, statusCode: 301}}}}]
  - matches: [{{path: {{value: /nowhere}}}}]
    backendRefs: [{{name: nowhere, port: 80}}]
  - matches: [{{path: {{value: /none}}}}]
  - matches: [{{path: {{value: /no-pods}}}}]
    backendRefs: [{{name: no-pods, port: 80}}]
  - matches: [{{path: {{value: /}}, headers: [{{name: appver-a, value: v2}}]}}]
    backendRefs: [{{name: three, port: 80}}]
  - backendRefs: [{{name: two, port: 80, weight: 1}}, {{name: three, port: 80, weight: 0}}]
"""


def ask_at_api_gateway(target, **arguments):
    with Client(port=API_PORT) as client:
        return client.ask(target, **arguments)


def an_http_route_means_what_its_specification_says():
    answer = ask_at_api_gateway("/moved/x?q=1", fields=["x-gone: 1"])
    seen = json.loads(answer.body)
    fields = {name.lower(): value for name, value in (seen["fields"].items() if isinstance(seen["fields"], dict) else seen["fields"])}
    assert (answer.get("x-upstream"), seen["target"], answer.get("x-answer")) == ("two", "/here/x?q=1", "added"), answer.raw
    assert fields["host"] == "inner.test" and fields["x-set"] == "new" and "x-gone" not in fields, fields
    answer = ask_at_api_gateway("/gone/x?q=1")
    assert answer.status == 301 and answer.get("location").startswith("https://") and answer.get("location").endswith("/gone/x?q=1"), answer.raw
    assert f":{API_PORT}" not in answer.get("location"), answer.raw
    for target, status in (("/nowhere", 500), ("/none", 500), ("/no-pods", 503), ("/nowhere-else", 200)):
        assert ask_at_api_gateway(target).status == status, target
    assert ask_at_api_gateway("/", fields=["appver-a: v2"]).get("x-upstream") == "three"
    assert ask_at_api_gateway("/", fields=["appver-a: v1"]).get("x-upstream") == "two"


def ask(target, **arguments):
    with Client() as client:
        answer = client.ask(target, **arguments)
        if answer.body.startswith(b"{"):
            answer.json = json.loads(answer.body)
        return answer


def a_redirect_says_where():
    answer = ask("/old/x?q=1")
    assert answer.status == 308 and answer.get("location") == "http://other.test/new?q=1", answer.raw
    with Client() as client:
        assert client.ask("/old").status == 308 and client.ask("/direct").status == 418


def a_direct_response_is_the_routes_own():
    answer = ask("/direct")
    assert (answer.status, answer.body, answer.get("x-direct")) == (418, b"short and stout", "yes")
    answer = ask("/json")
    assert (answer.body, answer.all("content-type"), answer.all("x-direct")) == (b"{}", ["application/json"], ["yes"])
    assert answer.get("date") is None and ask("/direct").all("content-type") == ["text/plain"]
    assert ask("/html").all("content-type") == ["text/html"]
    answer = ask("/direct", method="HEAD")
    assert answer.get("content-length") == "15" and answer.body == b""


def an_old_client_is_told_that_an_answer_of_ours_is_the_last():
    """It would wait for the end of the connection, which stayed open."""
    for target, status in (("/direct", 418), ("/old", 308), ("/abort", 555), ("/no-pods-abort", 555), ("/never", 200)):
        with Client() as client:
            answer = client.ask(target, version="1.0", fields=["Connection: keep-alive"])
            if status == 200:
                assert answer.get("connection") == "keep-alive", answer.fields
                continue
            assert answer.status == status and answer.get("connection") == "close", answer.fields
            assert client.is_closed()


def rewrites_and_header_operations_reach_the_next_hop_and_the_client():
    answer = ask("/api/thing?x=y", fields=["X-Gone: 1", "x-set: old", "x-add: first"])
    fields = {(key.lower(), value) for key, value in answer.json["fields"]}
    names = [key.lower() for key, _ in answer.json["fields"]]
    assert answer.json["target"] == "/v2/thing?x=y"
    assert {("host", "inner.test"), ("x-set", "new"), ("x-add", "first"), ("x-add", "more"), ("x-destination", "v1")} <= fields
    assert "x-gone" not in names and names.count("x-set") == 1 and names.count("host") == 1
    assert answer.get("x-answer") == "set" and answer.get("x-drop") is None


def a_host_that_is_set_is_what_the_upstream_sees():
    for target, host in (("/host-set", "route.test"), ("/host-of-destination", "destination.test:81")):
        hosts = [value for key, value in ask(target).json["fields"] if key.lower() in ("host", ":authority")]
        assert hosts == [host], (target, hosts)


def a_regular_expression_rewrites_the_path_or_is_given_up():
    assert ask("/service/foo/v1/api?q").json["target"] == "/v1/api/instance/foo?q"
    assert ask("/endless/ab").json["target"] == "/endless/x"
    target = "/endless/" + "a" * 60
    assert ask(target).json["target"] == target  # decided, though it holds what matches in many ways, and not once
    before = len(two.seen)
    assert ask("/endless/" + "a" * 8000).status == 500
    assert len(two.seen) == before


def a_routes_timeout_is_504():
    start = time.time()
    assert ask("/slow-route/2").status == 504
    assert 0.25 < time.time() - start < 1
    assert ask("/slow-route/0").status == 200


def retries_follow_the_policy():
    one.failures, two.failures = [503], [503]
    assert ask("/retry").status == 200
    one.failures, two.failures = [0], [0]
    assert ask("/retry", method="POST", body=b"again").json["body"] == "again"
    one.failures, two.failures = [503] * 3, [503] * 3
    seen = len(one.seen) + len(two.seen)
    assert ask("/retry").status == 503
    assert len(one.seen) + len(two.seen) - seen == 4
    one.failures, two.failures = [500], [500]
    assert ask("/retry").status == 500
    one.failures, two.failures = [], [503]
    assert ask("/never").status == 503


def each_try_has_its_timeout():
    before = len(three.seen)
    start = time.time()
    assert ask("/try/5").status == 504
    assert 0.55 < time.time() - start < 2, time.time() - start
    assert len(three.seen) - before == 3


def faults_abort_and_delay():
    before = len(one.seen)
    answer = ask("/abort")
    assert answer.status == 555 and len(one.seen) == before
    start = time.time()
    assert ask("/delay", method="POST", body=b"late").json["body"] == "late"
    assert 0.28 < time.time() - start < 1
    with Client() as client:
        aborted = sum(client.ask("/half").status == 500 for _ in range(400))
    assert 140 < aborted < 260, aborted


def a_faults_delay_takes_nothing_of_the_timeout():
    start = time.time()
    assert ask("/late-start/0").status == 200
    assert 0.48 < time.time() - start < 1.2
    start = time.time()
    assert ask("/late-start/2").status == 504
    assert 0.75 < time.time() - start < 1.5


def faults_need_no_endpoint():
    assert ask("/no-pods-abort").status == 555
    start = time.time()
    assert ask("/no-pods-delay").status == 503
    assert 0.18 < time.time() - start < 1


def a_body_that_comes_slowly_takes_nothing_of_the_timeout():
    def upload(target):
        with Client() as client:
            client.send(f"POST {target} HTTP/1.1\r\nHost: app.test\r\nContent-Length: 6\r\n\r\n".encode())
            for byte in b"slowly":
                time.sleep(0.1)
                client.send(bytes([byte]))
            start = time.time()
            return client.response(), time.time() - start

    answer, _ = upload("/upload/0")
    assert answer.status == 200 and json.loads(answer.body)["body"] == "slowly"
    answer, waited = upload("/upload/2")
    assert answer.status == 504 and 0.25 < waited < 1, (answer.status, waited)


def a_mirror_gets_a_copy_and_the_client_does_not_notice():
    before = len(three.seen)
    assert ask("/mirror", method="POST", body=b"copy").json["app"] == "two"
    for _ in range(100):
        if len(three.seen) > before:
            break
        time.sleep(0.01)
    shadow = three.seen[-1]
    assert len(three.seen) == before + 1 and shadow.method == "POST" and shadow.target == "/mirror"
    assert shadow.get("host") == "app.test-shadow", shadow.fields
    three.failures = [0]
    assert ask("/mirror").status == 200
    assert ask("/mirror-abort").status == 555
    with Client() as client:
        client.send(b"GET /mirror HTTP/1.1\r\nHost: [::1]:99\r\n\r\n")
        assert client.response().status == 200
    time.sleep(0.2)
    assert not any(shadow.target == "/mirror-abort" for shadow in three.seen)
    assert three.seen[-1].get("host") == "[::1]:99", three.seen[-1].fields


def a_delay_meets_the_share_of_requests_that_its_percentage_says():
    durations = []

    def run():
        with Client() as client:
            for _ in range(50):
                start = time.time()
                assert client.ask("/quarter-delayed").status == 200
                durations.append(time.time() - start)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    delayed = sum(duration > 0.095 for duration in durations)
    assert len(durations) == 200 and 20 < delayed < 90, (len(durations), delayed)


def a_mirror_gets_the_share_of_requests_that_its_percentage_says():
    with Client() as client:
        assert all(client.ask("/quarter-mirrored").status == 200 for _ in range(200))
    time.sleep(0.5)
    mirrored = sum(shadow.target == "/quarter-mirrored" for shadow in three.seen)
    assert 20 < mirrored < 90, mirrored


def sent_in_pieces(target, body):
    """A POST whose body comes in two pieces after its head; the answer."""
    with Client() as client:
        client.send(f"POST {target} HTTP/1.1\r\nHost: app.test\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        for piece in (body[:1], body[1:]):
            time.sleep(0.1)
            client.send(piece)
        answer = client.response()
        if answer.body.startswith(b"{"):
            answer.json = json.loads(answer.body)
        return answer


def a_body_that_comes_later_is_sent_again_and_mirrored_too():
    one.failures, two.failures = [503], [503]
    assert sent_in_pieces("/retry", b"again").json["body"] == "again"
    one.failures, two.failures = [503], [503]
    assert sent_in_pieces("/retry", b"x" * 100000).status == 503
    one.failures, two.failures = [], []
    before = len(three.seen)
    assert sent_in_pieces("/mirror", b"copy").json["body"] == "copy"
    for _ in range(100):
        if len(three.seen) > before:
            break
        time.sleep(0.01)
    assert len(three.seen) == before + 1 and three.bodies[-1] == b"copy", (len(three.seen) - before, three.bodies[-1])


def a_subset_without_a_healthy_endpoint_falls_back():
    for _ in range(5):
        answer = ask("/dark")
        assert answer.status == 200 and answer.json["app"] == "one"
    with urllib.request.urlopen("http://127.0.0.1:15020/metrics", timeout=5) as answer:
        assert "\nlanetag_fallbacks_total 5\n" in answer.read().decode()


def requests_above_a_pools_limit_wait_or_are_refused():
    statuses = []

    def run():
        statuses.append(ask("/limited/0.4").status)
    threads = [threading.Thread(target=run) for _ in range(6)]
    start = time.time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200, 200, 200, 503, 503, 503], statuses
    assert time.time() - start > 1.1


def wait_for_requests(app, count):
    for _ in range(500):
        if len(app.seen) >= count:
            return
        time.sleep(0.01)
    raise AssertionError(f"{len(app.seen)} of {count} requests")


def a_connection_carries_as_many_requests_as_its_pool_says():
    app = pools["renewed"]
    with Client() as client:
        assert all(client.ask("/renewed").status == 200 for _ in range(6))
    assert app.upstream.connections == 3, app.upstream.connections


def an_idle_connection_is_closed_when_its_pool_says():
    app = pools["short-idle"]
    with Client() as client:
        assert [client.ask("/short-idle").status for _ in range(2)] == [200, 200]
        assert app.upstream.connections == 1
        time.sleep(0.6)
        assert client.ask("/short-idle").status == 200
    assert app.upstream.connections == 2


def requests_and_retries_above_a_pools_limit_are_refused():
    app = pools["one-request"]
    with Client() as slow:
        slow.send(request_bytes("/one-request/0.6"))
        wait_for_requests(app, 1)
        assert ask("/one-request/0").status == 503 and len(app.seen) == 1
        assert slow.response().status == 200
    app = pools["one-retry"]
    with Client() as slow:
        app.failures = [503]
        slow.send(request_bytes("/one-retry/0.6"))
        wait_for_requests(app, 2)
        app.failures = [503]
        assert ask("/one-retry/0").status == 503 and len(app.seen) == 3
        assert slow.response().status == 200
    app.failures = [503]
    assert ask("/one-retry/0").status == 200


def a_connect_timeout_is_the_pools():
    """Where the accept queue is full, a connect hangs: without the pool's timeout the route's would end it, with 504."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.9", 9000))
        listener.listen(0)
        for queued in (first, second):
            queued.setblocking(False)
            queued.connect_ex(("127.0.0.9", 9000))
        assert ask("/no-answer").status == 503


def round_robin_goes_round():
    with Client() as client:
        names = [json.loads(client.ask("/robin").body)["app"] for _ in range(9)]
    assert sorted(names[:3]) == ["one", "three", "two"] and names == names[:3] * 3, names


def least_request_prefers_the_endpoint_with_fewer_requests_under_way():
    with Client() as slow, Client() as client:
        slow.send(request_bytes("/least-slow/4"))
        while not any(app.seen and app.seen[-1].target.startswith("/slow/4") for app in (one, two)):
            time.sleep(0.01)
        busy = "one" if one.seen[-1].target.startswith("/slow/4") else "two"
        names = [json.loads(client.ask("/least").body)["app"] for _ in range(200)]
        # Of two draws the busy one gets a quarter; of one it would get half.
        assert names.count(busy) < 75, (busy, names.count(busy))
        assert slow.response().status == 200


def random_draws_all_endpoints():
    with Client() as client:
        names = [json.loads(client.ask("/random").body)["app"] for _ in range(120)]
    assert all(names.count(app.name) > 15 for app in apps), names
    assert names != names[:3] * 40


def a_consistent_hash_keeps_users_at_their_endpoint():
    owners = {}
    for user in range(60):
        names = {ask("/hashed", fields=[f"x-user-id: {user}"]).json["app"] for _ in range(3)}
        assert len(names) == 1
        owners.setdefault(names.pop(), []).append(user)
    assert len(owners) == 3, owners


def a_client_without_the_cookie_of_a_hash_gets_one_and_stays():
    owners = set()
    for _ in range(30):
        first = ask("/sticky", fields=["Cookie: other=1"])
        cookie, *attributes = first.get("set-cookie").split("; ")
        assert attributes == ["Path=/", "Max-Age=90", "HttpOnly"], attributes
        later = [ask("/sticky", fields=["Cookie: other=1; " + cookie]) for _ in range(3)]
        assert {answer.json["app"] for answer in later} == {first.json["app"]}
        assert not any(answer.get("set-cookie") for answer in later)
        owners.add(first.json["app"])
    assert len(owners) == 3, owners


def an_endpoint_with_errors_is_left_out_for_a_while():
    two.failures = [500] * 3
    with Client() as client:
        statuses = [client.ask("/outlier").status for _ in range(6)]
        assert statuses.count(500) == 3, statuses
        names = {json.loads(client.ask("/outlier").body)["app"] for _ in range(10)}
        assert names == {"one"}, names
        time.sleep(1.2)
        names = {json.loads(client.ask("/outlier").body)["app"] for _ in range(10)}
        assert names == {"one", "two"}, names


def without_any_endpoint_that_is_not_left_out_it_is_503():
    three.failures = [500] * 2
    seen = len(three.seen)
    with Client() as client:
        assert [client.ask("/alone").status for _ in range(4)] == [500, 500, 503, 503]
        assert len(three.seen) == seen + 2
        time.sleep(1.2)
        assert client.ask("/alone").status == 200


def a_loss_is_a_gateway_error_to_retries():
    one.failures, two.failures = [0], [0]
    assert ask("/gateway-error").status == 200
    assert all(ask("/dead-half").status == 200 for _ in range(4))


def the_access_log_says_what_happened():
    with Client() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        assert client.response().status == 400
    ask("/api/logged?q=%22")
    ask("/direct/logged")
    time.sleep(0.2)
    with open(log_path, encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    refused = [line for line in lines if "refused" in line]
    assert len(refused) == 1 and refused[0]["status"] == 400 and refused[0]["client"] == "127.0.0.1", refused
    assert refused[0]["refused"] == "Host given twice" or refused[0]["refused"], refused
    lines = [line for line in lines if "refused" not in line]
    line = [line for line in lines if line["target"] == "/api/logged?q=%22"][0]
    assert line["status"] == 200 and line["route"] == "rewrite" and line["virtual_service"] == "default/edge"
    assert line["cluster"] == "one.default.svc.cluster.local" and line["subset"] == "v1"
    assert line["upstream"] == "127.0.0.1" and line["upstream_port"] == 9000 and line["client"] == "127.0.0.1"
    assert line["response_body_bytes"] > 100 and 0 < line["duration_ms"] < 5000 and line["mark"] == "unused"
    assert [line for line in lines if line["target"] == "/direct/logged"][0]["status"] == 418


if __name__ == "__main__":
    os.environ["LANETAG_PROXY_COMMAND"] += " --access-log " + log_path
    proxy = Proxy(CONFIG, workers=1)
    tests = Tests()
    for claim in (a_redirect_says_where, an_http_route_means_what_its_specification_says, a_direct_response_is_the_routes_own,
                  an_old_client_is_told_that_an_answer_of_ours_is_the_last,
                  rewrites_and_header_operations_reach_the_next_hop_and_the_client,
                  a_host_that_is_set_is_what_the_upstream_sees,
                  a_regular_expression_rewrites_the_path_or_is_given_up, a_routes_timeout_is_504,
                  retries_follow_the_policy, each_try_has_its_timeout, faults_abort_and_delay,
                  a_faults_delay_takes_nothing_of_the_timeout, faults_need_no_endpoint,
                  a_body_that_comes_slowly_takes_nothing_of_the_timeout,
                  a_mirror_gets_a_copy_and_the_client_does_not_notice,
                  a_delay_meets_the_share_of_requests_that_its_percentage_says,
                  a_mirror_gets_the_share_of_requests_that_its_percentage_says,
                  a_body_that_comes_later_is_sent_again_and_mirrored_too, a_subset_without_a_healthy_endpoint_falls_back, requests_above_a_pools_limit_wait_or_are_refused,
                  a_connection_carries_as_many_requests_as_its_pool_says, an_idle_connection_is_closed_when_its_pool_says,
                  requests_and_retries_above_a_pools_limit_are_refused, a_connect_timeout_is_the_pools, round_robin_goes_round, least_request_prefers_the_endpoint_with_fewer_requests_under_way, random_draws_all_endpoints,
                  a_consistent_hash_keeps_users_at_their_endpoint, a_client_without_the_cookie_of_a_hash_gets_one_and_stays,
                  an_endpoint_with_errors_is_left_out_for_a_while, without_any_endpoint_that_is_not_left_out_it_is_503,
                  a_loss_is_a_gateway_error_to_retries, the_access_log_says_what_happened):
        tests.run(claim)

    def it_ends_in_order():
        status = proxy.stop()
        assert status == 0, (status, proxy.read_log()[-3000:])
    tests.run(it_ends_in_order)
    os.unlink(log_path)
    sys.exit(tests.end())
