# SPDX-License-Identifier: GPL-2.0-only
"""/metrics after known traffic: lanes' counts are exact, also across reloads, and promtool has no complaint."""
import re
import socket
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request

from harness import (GATEWAY, SUBSETS, Client, Closed, Proxy, Tests, Upstream, one_app, pattern, pod, reply, request_bytes,
                     routes, service, tag_rules, to)

RULES = tag_rules(("appver-a", 'v"2\\', 10), ("appver-c", "v3", 50))


def handle(request, sock):
    body = request.body()
    parts = request.target.split("/")
    if parts[1] == "close":
        return False
    if parts[1] == "garbage":
        sock.sendall(b"this is no HTTP\r\n\r\n")
        return False
    if parts[1] == "broken":
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        return False
    if parts[1] == "late":
        time.sleep(1)
    if parts[1] == "slow":
        time.sleep(0.12)
    return reply(sock, pattern(int(parts[2])), status=f"{parts[3]} X", fields=[f"x-got: {len(body)}"])


upstream = Upstream(handle)


def scrape():
    for _ in range(500): # the listeners open before the admin address
        try:
            with urllib.request.urlopen("http://127.0.0.1:15020/metrics", timeout=5) as answer:
                return answer.read().decode()
        except urllib.error.URLError:
            time.sleep(0.01)
    raise AssertionError("nobody answers at the admin address")


def samples():
    """(name, labels) -> value"""
    found = {}
    for line in scrape().splitlines():
        match = re.fullmatch(r"(\w+)(?:\{(.*)\})? ([0-9.e+-]+)", line)
        if match:
            labels = tuple(sorted(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[2] or "")))
            found[match[1], labels] = float(match[3])
    return found


def lane(found, name, rule, value, **more):
    labels = {"rule": rule, "tag_value": value, **more}
    return found["lanetag_lane_" + name, tuple(sorted(labels.items()))]


def settled(requests):
    """The samples once so many requests have ended: the last one's counters come behind its last byte."""
    for _ in range(500):
        found = samples()
        ended = sum(value for (name, labels), value in found.items()
                    if name == "lanetag_lane_responses_total" and ("rule", "appver-c") in labels)
        if ended == requests:
            return found
        time.sleep(0.01)
    raise AssertionError(f"{ended} of {requests} requests are counted")


def each_lane_counts_its_requests_exactly_also_across_reloads():
    proxy = Proxy(one_app() + RULES)
    with Client() as client:
        # 0005: remainder 6, in both; 0003: in appver-c alone; 0001: in none.
        for user, status, size, times in (("0005", 200, 1000, 7), ("0003", 404, 10, 5), ("0001", 503, 0, 3)):
            for _ in range(times):
                assert client.ask(f"/x/{size}/{status}", "POST", [f"x-user-id: {user}"], b"b" * 50).status == status
            proxy.write(one_app() + RULES + f"# {user}\n")
            proxy.reload()
            time.sleep(0.1)
        assert client.ask("/slow/0/200", fields=["x-user-id: 0005"]).status == 200
        client.send(request_bytes("/close", "POST", ["x-user-id: 0005"], b"x"))
        assert client.response().status == 502
    with Client() as client:
        client.send(b"POST /x/0/200 HTTP/1.1\r\nHost: a\r\nx-user-id: 0005\r\nContent-Length: 9\r\n\r\nhalf")
        time.sleep(0.1)
    found = settled(18)
    tagged, other = ("appver-a", 'v\\"2\\\\'), ("appver-a", "untagged")
    assert lane(found, "responses_total", *tagged, **{"class": "2xx"}) == 8, found
    assert lane(found, "responses_total", *tagged, **{"class": "5xx"}) == 1
    assert lane(found, "responses_total", *tagged, **{"class": "4xx"}) == 1
    assert lane(found, "responses_total", *other, **{"class": "4xx"}) == 5
    assert lane(found, "responses_total", *other, **{"class": "5xx"}) == 3
    assert lane(found, "responses_total", "appver-c", "v3", **{"class": "4xx"}) == 6
    assert lane(found, "responses_total", "appver-c", "untagged", **{"class": "5xx"}) == 3
    assert lane(found, "requests_total", *tagged, mark="unused") == 10
    assert lane(found, "request_bytes_total", *tagged) == 7 * 50 + 1 + 4
    assert lane(found, "response_bytes_total", *other) == 50
    assert lane(found, "response_bytes_total", *tagged) == 7000
    count = lane(found, "request_duration_seconds_count", *tagged)
    assert count == 10 == lane(found, "request_duration_seconds_bucket", *tagged, le="+Inf"), count
    assert lane(found, "request_duration_seconds_bucket", *tagged, le="0.1") <= 9
    assert lane(found, "request_duration_seconds_sum", *tagged) >= 0.12
    buckets = [value for (name, labels), value in found.items()
               if name.endswith("duration_seconds_bucket") and all(pair in labels for pair in
                                                                   (("rule", tagged[0]), ("tag_value", tagged[1])))]
    assert len(buckets) == 15 and buckets == sorted(buckets), buckets
    assert proxy.stop() == 0, proxy.read_log()[-2000:]


def promtool_accepts_the_samples():
    result = subprocess.run(["promtool", "check", "metrics"], input=scrape().encode(), capture_output=True, check=False)
    assert result.returncode == 0 and not result.stdout + result.stderr, result


def promtool_has_no_complaint():
    proxy = Proxy(one_app() + RULES)
    with Client() as client:
        client.ask("/x/0/200", fields=["x-user-id: 0005"])
    promtool_accepts_the_samples()
    assert proxy.stop() == 0


def subsets(*more):
    """/v2 is the subset v2's, all else is v1's; v2 has an endpoint that works and one that does not."""
    to_subset = "route: [{destination: {host: app, subset: %s}}]"
    return (GATEWAY + service("app") + SUBSETS + pod("app-1", "app") + pod("app-2", "app", "127.0.0.2", "v2") +
            "".join(more) + routes("{match: [{uri: {prefix: /v2}}], " + to_subset % "v2" + "}",
                                   "{" + to_subset % "v1" + "}"))


def upstream_sample(found, name, subset, host="app.default.svc.cluster.local", port="80", **more):
    labels = {"host": host, "subset": subset, "port": port, **more}
    return found["lanetag_upstream_" + name, tuple(sorted(labels.items()))]


def until(condition):
    """The samples once they are as wanted: gauges are looked at once a second."""
    for _ in range(1000):
        found = samples()
        if condition(found):
            return found
        time.sleep(0.01)
    raise AssertionError({key: value for key, value in found.items()
                          if key[0].startswith("lanetag_upstream_") and value and not key[0].endswith("_bucket")})


def requests_ended(found, subset, host="app.default.svc.cluster.local"):
    return upstream_sample(found, "request_duration_seconds_count", subset, host)


def each_subset_counts_its_requests_exactly_also_across_reloads():
    second = Upstream(handle, address="127.0.0.2")
    proxy = Proxy(subsets())
    with Client() as client:
        for target, times in (("/v1/9/200", 5), ("/v2/9/503", 3), ("/v2/9/404", 2), ("/v2/9/200", 1)):
            for _ in range(times):
                assert client.ask(target).status == int(target.rsplit("/", maxsplit=1)[-1])
            proxy.write(subsets() + f"# {target}\n")
            proxy.reload()
            time.sleep(0.1)
        client.ask("/slow/0/200")
        client.send(request_bytes("/close", "POST", body=b"x"))
        assert client.response().status == 502
    found = until(lambda found: requests_ended(found, "v1") == 7)
    assert {name: upstream_sample(found, "requests_total", "v2", **{"class": name}) for name in
            ("abandoned", "1xx", "2xx", "3xx", "4xx", "5xx", "failed")} == {
                "abandoned": 0, "1xx": 0, "2xx": 1, "3xx": 0, "4xx": 2, "5xx": 3, "failed": 0}
    assert upstream_sample(found, "requests_total", "v1", **{"class": "2xx"}) == 6
    assert upstream_sample(found, "requests_total", "v1", **{"class": "failed"}) == 1
    assert requests_ended(found, "v2") == 6
    assert upstream_sample(found, "request_duration_seconds_sum", "v1") >= 0.1
    assert upstream_sample(found, "request_duration_seconds_bucket", "v1", le="0.1") <= 6
    until(lambda found: upstream_sample(found, "connections_open", "v2") == 1)
    second.stop()
    assert proxy.stop() == 0, proxy.read_log()[-2000:]


def what_is_no_answer_counts_as_failed():
    late = "{match: [{uri: {prefix: /late}}], timeout: 0.05s, route: [{destination: {host: app}}]}"
    proxy = Proxy(GATEWAY + service("app") + pod("app-1", "app") + routes(late, to("app")))
    for target, wanted in (("/garbage/0/200", 502), ("/late/0/200", 504), ("/close", 502), ("/broken", 200)):
        with Client() as client:
            client.send(request_bytes(target, "POST", body=b"x"))
            try:
                assert client.response().status == wanted, target
            except (Closed, ConnectionResetError):
                assert target == "/broken"
    found = until(lambda found: requests_ended(found, "") == 4)
    assert upstream_sample(found, "requests_total", "", **{"class": "failed"}) == 4
    assert upstream_sample(found, "connects_failed_total", "") == 0
    assert proxy.stop() == 0, proxy.read_log()[-2000:]


BAD_BODIES = (b"ZZ\r\n", b"5 \r\nhello\r\n0\r\n\r\n", b"5\r\nhellojunk\r\n0\r\n\r\n", b"0\r\nContent-Length: 5\r\n\r\n",
              b"0\r\nTransfer-Encoding: chunked\r\n\r\n", b"0\r\nHost: b\r\n\r\n", b"0\r\n folded\r\n\r\n", b"fffffffffffffffff\r\n")


def a_malformed_body_is_a_bad_request_and_says_nothing_of_the_endpoint():
    proxy = Proxy(one_app(), workers=1)
    head = b"POST /0/0/200 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    with Client() as client:
        assert client.ask("/0/0/200").status == 200  # a connection for the next one
    connections = upstream.connections
    for body in BAD_BODIES:
        with Client() as client:
            client.send(head + body)
            assert client.response().status == 400, body
    assert upstream.connections == connections  # nothing was sent on it: it stays
    for body in BAD_BODIES:
        with Client() as client:
            client.send(head + b"3\r\nabc\r\n")
            time.sleep(0.05)
            client.send(body)
            assert client.response().status == 400, body
    found = until(lambda found: found["lanetag_bad_requests_total", ()] == 2 * len(BAD_BODIES))
    assert {name: upstream_sample(found, "requests_total", "", **{"class": name}) for name in
            ("abandoned", "2xx", "4xx", "5xx", "failed")} == {"abandoned": 0, "2xx": 1, "4xx": 0, "5xx": 0, "failed": 0}
    assert requests_ended(found, "") == 1 and upstream_sample(found, "requests_active", "") == 0
    assert found["lanetag_upstream_failures_total", ()] == 0
    with Client() as client:
        client.send(b"POST /0/0/200 HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf")
        client.sock.shutdown(socket.SHUT_WR)
        assert client.response().status == 400
    until(lambda found: found["lanetag_bad_requests_total", ()] == 2 * len(BAD_BODIES) + 1)
    assert proxy.stop() == 0, proxy.read_log()[-2000:]


def requests_under_way_and_abandoned_are_told_per_subset():
    held = []

    def hold(request, sock):
        held.append(sock)
        return request.body() == b""

    second = Upstream(hold, address="127.0.0.2")
    proxy = Proxy(subsets())
    with Client() as client:
        client.send(request_bytes("/v2"))
        until(lambda found: upstream_sample(found, "requests_active", "v2") == 1)
        proxy.write(subsets() + "# the next configuration\n")
        proxy.reload()
        time.sleep(0.1)
        until(lambda found: upstream_sample(found, "requests_active", "v2") == 1)
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    found = until(lambda found: upstream_sample(found, "requests_active", "v2") == 0)
    assert upstream_sample(found, "requests_total", "v2", **{"class": "abandoned"}) == 1
    assert held
    second.stop()
    assert proxy.stop() == 0, proxy.read_log()[-2000:]


def a_dead_endpoint_is_seen_and_seen_to_return():
    second = Upstream(handle, address="127.0.0.2")
    proxy = Proxy(subsets(pod("app-3", "app", "127.0.0.3", "v2")))
    found = samples()
    assert upstream_sample(found, "endpoints", "v2") == 2 == upstream_sample(found, "endpoints_healthy", "v2")
    with Client() as client:
        for _ in range(4):
            assert client.ask("/v2/9/200").status == 200
        found = until(lambda found: upstream_sample(found, "endpoints_healthy", "v2") == 1)
        assert upstream_sample(found, "endpoints", "v2") == 2
        assert upstream_sample(found, "endpoints_healthy", "v1") == 1
        failed = upstream_sample(found, "connects_failed_total", "v2")
        assert failed >= 1 and failed == upstream_sample(found, "requests_total", "v2", **{"class": "failed"}), failed
        third = Upstream(handle, address="127.0.0.3")

        def healthy_again(found):
            client.ask("/v2/9/200")
            return upstream_sample(found, "endpoints_healthy", "v2") == 2

        until(healthy_again)
    second.stop()
    third.stop()
    assert proxy.stop() == 0, proxy.read_log()[-2000:]


OUTLIERS = """---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: app}
spec: {host: app, trafficPolicy: {outlierDetection: {consecutive5xxErrors: 3, baseEjectionTime: 300s, maxEjectionPercent: 50}}}
"""


def an_endpoint_that_is_left_out_stays_so_across_reloads():
    def fail(_, sock):
        reply(sock, status="500 X")
        return False # no connection stays

    second = Upstream(fail, address="127.0.0.2")
    manifests = one_app() + pod("app-2", "app", "127.0.0.2") + OUTLIERS
    proxy = Proxy(manifests, workers=1)
    host = "app.default.svc.cluster.local"
    with Client() as client:
        assert [client.ask("/x/9/200").status for _ in range(8)].count(500) == 3
        for number in range(3):
            proxy.write(manifests + f"# {number}\n")
            proxy.reload()
            until(lambda found, generation=number + 2: found["lanetag_configuration_generation", ()] == generation)
            assert {client.ask("/x/9/200").status for _ in range(8)} == {200}
            until(lambda found: upstream_sample(found, "endpoints_healthy", "", host) == 1)
    assert len(second.requests) == 3
    second.stop()
    assert proxy.stop() == 0, proxy.read_log()[-2000:]


def thousands_of_hosts_give_a_bounded_number_of_series():
    hosts = range(3000)
    proxy = Proxy(GATEWAY + "".join(service(f"s{i}") for i in hosts) + pod("app-1", f"s{hosts[-1]}") +
                  routes(*(to(f"s{i}", f"/{i}/") for i in hosts)))
    found = samples()
    counted = [labels for (name, labels) in found if name == "lanetag_upstream_requests_active"]
    assert len(counted) == 256, len(counted)
    assert found["lanetag_upstream_destinations_without_series", ()] == len(hosts) - 256, found
    assert len(found) < 10000, len(found)
    with Client() as client: # the last one has none of its own
        assert client.ask(f"/{hosts[-1]}/9/200").status == 200
    until(lambda found: upstream_sample(found, "requests_total", "", "(other)", "", **{"class": "2xx"}) == 1)
    promtool_accepts_the_samples()
    assert proxy.stop() == 0, proxy.read_log()[-2000:]


def a_destination_that_takes_another_ones_series_begins_at_nothing():
    """More destinations than series, one after the other: none inherits what another one counted."""
    proxy = Proxy(one_app())
    for first in range(0, 600, 100):
        hosts = range(first, first + 100)
        proxy.write(GATEWAY + "".join(service(f"s{i}") + pod(f"p{i}", f"s{i}") for i in hosts) +
                    routes(*(to(f"s{i}", f"/{i}/") for i in hosts)))
        proxy.reload()
        names = [f"s{i}.default.svc.cluster.local" for i in hosts]
        until(lambda found, name=names[0]: ("lanetag_upstream_endpoints", tuple(sorted(
            {"host": name, "subset": "", "port": "80"}.items()))) in found)
        with Client() as client:
            for i in hosts:
                assert client.ask(f"/{i}/9/200").status == 200
        found = until(lambda found, name=names[-1]: requests_ended(found, "", name) > 0)
        counts = {name: requests_ended(found, "", name) for name in names}
        assert set(counts.values()) == {1}, counts
    assert proxy.stop() == 0, proxy.read_log()[-2000:]


# What agents with the kernel's help or a cluster's API server print.
ELSEWHERE = ("lanetag_kernel_", "lanetag_arrivals_", "lanetag_threads_", "lanetag_interception_", "lanetag_kubernetes_")


def families():
    """Name -> type, of all that an agent prints here."""
    return dict(re.findall(r"^# TYPE (\w+) (\w+)$", scrape(), re.MULTILINE))


def dashboards_and_alerts_ask_for_what_there_is():
    proxy = Proxy(one_app() + RULES)
    with Client() as client:
        client.ask("/x/0/200", fields=["x-user-id: 0005"])
    known = families()
    assert proxy.stop() == 0
    asked = set()
    for path in ("deploy/grafana/lanes.json", "deploy/prometheus/rules.yaml", "deploy/examples/argo-analysis-template.yaml",
                 "deploy/examples/flagger-metric-template.yaml"):
        with open(path, encoding="utf-8") as file:
            asked |= set(re.findall(r"lanetag_\w+", file.read()))
    assert len(asked) > 10, asked
    unknown = [name for name in asked if name not in known and name.removesuffix("_bucket") not in known and not name.startswith(ELSEWHERE)]
    assert not unknown, unknown


def the_operations_guide_names_each_metric():
    proxy = Proxy(one_app() + RULES)
    known = families()
    assert proxy.stop() == 0
    with open("docs/operations.md", encoding="utf-8") as file:
        text = file.read()
    rows = set(re.findall(r"^\| `(lanetag_\w+)` \|", text, re.MULTILINE))
    missing = set(known) - rows
    assert not missing, sorted(missing)
    elsewhere = {name for name in rows if name.startswith(ELSEWHERE)}
    assert rows - elsewhere <= set(known), sorted(rows - elsewhere - set(known))


if __name__ == "__main__":
    assert Closed
    tests = Tests()
    for claim in (each_lane_counts_its_requests_exactly_also_across_reloads, promtool_has_no_complaint,
                  each_subset_counts_its_requests_exactly_also_across_reloads,
                  what_is_no_answer_counts_as_failed,
                  a_malformed_body_is_a_bad_request_and_says_nothing_of_the_endpoint, requests_under_way_and_abandoned_are_told_per_subset, a_dead_endpoint_is_seen_and_seen_to_return,
                  an_endpoint_that_is_left_out_stays_so_across_reloads, thousands_of_hosts_give_a_bounded_number_of_series,
                  a_destination_that_takes_another_ones_series_begins_at_nothing,
                  dashboards_and_alerts_ask_for_what_there_is, the_operations_guide_names_each_metric):
        tests.run(claim)
    sys.exit(tests.end())
