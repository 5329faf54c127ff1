# SPDX-License-Identifier: GPL-2.0-only
"""/metrics after known traffic: lanes' counts are exact, also across reloads, and promtool has no complaint."""
import re
import subprocess
import sys
import time
import urllib.request

from harness import Client, Closed, Proxy, Tests, Upstream, one_app, pattern, reply, request_bytes, tag_rules

RULES = tag_rules(("appver-a", 'v"2\\', 10), ("appver-c", "v3", 50))


def handle(request, sock):
    body = request.body()
    parts = request.target.split("/")
    if parts[1] == "close":
        return False
    if parts[1] == "slow":
        time.sleep(0.12)
    return reply(sock, pattern(int(parts[2])), status=f"{parts[3]} X", fields=[f"x-got: {len(body)}"])


upstream = Upstream(handle)


def scrape():
    with urllib.request.urlopen("http://127.0.0.1:15020/metrics", timeout=5) as answer:
        return answer.read().decode()


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
    assert lane(found, "requests_total", *tagged, decided_by="agent") == 10
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


def promtool_has_no_complaint():
    proxy = Proxy(one_app() + RULES)
    with Client() as client:
        client.ask("/x/0/200", fields=["x-user-id: 0005"])
    result = subprocess.run(["promtool", "check", "metrics"], input=scrape().encode(), capture_output=True, check=False)
    assert result.returncode == 0 and not result.stdout + result.stderr, result
    assert proxy.stop() == 0


def families():
    """Name -> type, of all that an agent prints here and, with the kernel, elsewhere."""
    return dict(re.findall(r"^# TYPE (\w+) (\w+)$", scrape(), re.MULTILINE))


def dashboards_and_alerts_ask_for_what_there_is():
    proxy = Proxy(one_app() + RULES)
    with Client() as client:
        client.ask("/x/0/200", fields=["x-user-id: 0005"])
    known = families()
    assert proxy.stop() == 0
    asked = set()
    for path in ("deploy/grafana/lanes.json", "deploy/prometheus/rules.yaml", "deploy/examples/argo-analysis-template.yaml"):
        with open(path, encoding="utf-8") as file:
            asked |= set(re.findall(r"lanetag_\w+", file.read()))
    assert len(asked) > 10, asked
    unknown = [name for name in asked if name not in known and name.removesuffix("_bucket") not in known]
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
    kernel = {name for name in rows if name.startswith(("lanetag_kernel_", "lanetag_arrivals_", "lanetag_threads_",
                                                        "lanetag_interception_"))}
    assert rows - kernel <= set(known), sorted(rows - kernel - set(known))


if __name__ == "__main__":
    assert Closed
    tests = Tests()
    for claim in (each_lane_counts_its_requests_exactly_also_across_reloads, promtool_has_no_complaint,
                  dashboards_and_alerts_ask_for_what_there_is, the_operations_guide_names_each_metric):
        tests.run(claim)
    sys.exit(tests.end())
