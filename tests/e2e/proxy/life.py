# SPDX-License-Identifier: GPL-2.0-only
"""Reload, endpoints that come and go, drain."""
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

from harness import (GATEWAY, PROXY_PORT, Client, Closed, Proxy, Tests, Upstream, one_app, pod, reply,
                     request_bytes, routes, service, tag_rules, to)

TWO = "127.0.0.2"


def handle(request, sock):
    if request.target.startswith("/sleep"):
        time.sleep(float(request.target.split("/")[2]))
    return reply(sock, b"v1")


def handle_two(request, sock):
    return reply(sock, b"v2")


upstream = Upstream(handle)
upstream_two = Upstream(handle_two, address=TWO)


def manifests(address, gateway=GATEWAY):
    return gateway + service("app") + pod("app-1", "app", address) + routes(to("app"))


def admin(path):
    """The page, whatever its status is."""
    try:
        with urllib.request.urlopen("http://127.0.0.1:15020" + path, timeout=5) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.read().decode()


def wait_for_page(path, text):
    for _ in range(500):
        if text in admin(path):
            return
        time.sleep(0.01)
    raise AssertionError(admin(path))


class Load:
    """Clients that ask all the time; each failure is noted."""

    def __init__(self, threads=8, method="GET"):
        self.ends = False
        self.failures = []
        self.answers = {}
        self.method = method
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def run(self):
        client = Client()
        while not self.ends:
            try:
                answer = client.ask("/x", self.method)
                if answer.status == 200:
                    self.answers[answer.body] = self.answers.get(answer.body, 0) + 1
                else:
                    self.failures.append(answer.raw)
            except (OSError, Closed) as error:
                self.failures.append(repr(error))
                client = Client()

    def stop(self):
        self.ends = True
        for thread in self.threads:
            thread.join()
        return self.failures


def a_reload_loses_no_request_and_takes_effect():
    proxy = Proxy(manifests("127.0.0.1"))
    load = Load()
    for i in range(40):
        proxy.write(manifests(TWO if i % 2 == 0 else "127.0.0.1"))
        proxy.reload()
        time.sleep(0.05)
    with Client() as client:
        proxy.write(manifests(TWO))
        proxy.reload()
        time.sleep(0.15)
        assert client.ask("/").body == b"v2"
    failures = load.stop()
    assert not failures, failures[:3]
    assert load.answers.get(b"v1") and load.answers.get(b"v2"), load.answers
    assert proxy.stop() == 0, proxy.read_log()[-2000:]


def ten_thousand_routes(last_to):
    """1,000 hosts with ten routes each; the last route of the last host leads to service `last_to`."""
    text = [GATEWAY, service("app"), service("two"), pod("app-1", "app"), pod("two-1", "two", TWO), routes(to("app"))]
    for i in range(1000):
        text.append(f"""
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: host-{i}}}
spec:
  hosts: ["host-{i}.test"]
  gateways: [edge]
  http:""")
        for j in range(10):
            target = last_to if i == 999 and j == 9 else "app"
            text.append(f"""
  - match: [{{uri: {{prefix: /part-{j}/}}, headers: {{x-part: {{exact: v{j}}}}}}}]
    route: [{{destination: {{host: {target}}}}}]""")
    return "".join(text)


def ten_thousand_routes_are_reloaded_under_traffic():
    variants = [ten_thousand_routes("app"), ten_thousand_routes("two")]
    proxy = Proxy(variants[0])
    load = Load(4)
    with Client() as client:
        for i in range(6):
            proxy.write(variants[(i + 1) % 2])
            proxy.reload()
            expected = (b"v2", b"v1")[i % 2]
            for _ in range(500):
                client.send(b"GET /part-9/ HTTP/1.1\r\nHost: host-999.test\r\nx-part: v9\r\n\r\n")
                if client.response().body == expected:
                    break
                time.sleep(0.01)
            else:
                raise AssertionError(f"reload {i} is not in force")
    failures = load.stop()
    assert not failures, failures[:3]
    taken = re.findall(r"configuration in force.*milliseconds=([0-9.]+)", proxy.read_log())
    assert len(taken) >= 6, taken
    print(f"# milliseconds of each reload: {', '.join(taken)}", flush=True)
    assert proxy.stop() == 0, proxy.read_log()[-2000:]


def wait_until(client, body):
    for _ in range(500):
        if client.ask("/").body == body:
            return
        time.sleep(0.01)
    raise AssertionError(f"the configuration with {body} is not in force")


class ConfigMap:
    """As the kubelet mounts it: the files are symlinks through ..data, which is swapped."""

    def __init__(self, place, text):
        self.place = place
        self.number = 0
        self.swap(text)
        os.symlink("..data/manifests.yaml", f"{place}/new")
        os.rename(f"{place}/new", f"{place}/manifests.yaml")

    def swap(self, text):
        self.number += 1
        os.mkdir(f"{self.place}/..{self.number}")
        with open(f"{self.place}/..{self.number}/manifests.yaml", "w", encoding="utf-8") as file:
            file.write(text)
        os.symlink(f"..{self.number}", f"{self.place}/..data_tmp")
        os.rename(f"{self.place}/..data_tmp", f"{self.place}/..data")


def a_swapped_configmap_and_a_changed_file_are_in_force_by_themselves_and_lose_no_request():
    proxy = Proxy(manifests("127.0.0.1"))
    place = proxy.directory.name
    load = Load()
    taken = []
    with Client() as client:
        config_map = ConfigMap(place, manifests("127.0.0.1"))
        changes = [config_map.swap] * 6 + [proxy.write] * 6  # the latter puts a file in the link's place
        for i, change in enumerate(changes):
            address, body = ((TWO, b"v2"), ("127.0.0.1", b"v1"))[i % 2]
            start = time.time()
            change(manifests(address))
            wait_until(client, body)
            taken.append(f"{(time.time() - start) * 1000:.0f}")
    failures = load.stop()
    assert not failures, failures[:3]
    print(f"# milliseconds from each change to the first response by it: {', '.join(taken)}", flush=True)
    assert proxy.stop() == 0, proxy.read_log()[-2000:]


def a_broken_configmap_keeps_the_last_good_configuration_and_says_so():
    proxy = Proxy(manifests("127.0.0.1"))

    config_map = ConfigMap(proxy.directory.name, manifests("127.0.0.1"))
    with Client() as client:
        assert client.ask("/").body == b"v1"
        config_map.swap(manifests(TWO))
        wait_until(client, b"v2")
        config_map.swap(manifests(TWO) + "---\nkind: [\n")
        wait_for_page("/metrics", "lanetag_configuration_last_reload_successful 0")
        assert "manifests.yaml:" in json.loads(admin("/status"))["reloads"]["lastError"]
        ready = admin("/readyz")
        assert "not ready" in ready and "refused" in ready, ready  # a source that cannot be read
        assert 'event="configuration refused"' in proxy.read_log()
        assert client.ask("/").body == b"v2"
        config_map.swap(manifests("127.0.0.1"))
        wait_for_page("/metrics", "lanetag_configuration_last_reload_successful 1")
        wait_until(client, b"v1")
    assert proxy.stop() == 0, proxy.read_log()[-2000:]


TEAM = """---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: team}
spec:
  hosts: [team.test]
  gateways: [edge]
  http:
  - %s
    route: [{destination: {host: app}}]
"""


def a_wrong_resource_costs_only_itself():
    proxy = Proxy(manifests("127.0.0.1") + TEAM % "name: good")
    with Client() as client:
        assert client.ask("/").body == b"v1"
        # Another team's resource is wrong now, and the pod has another address.
        proxy.write(manifests(TWO) + TEAM % "unknownField: 1")
        wait_until(client, b"v2")
        assert 'event="resource rejected"' in proxy.read_log(), proxy.read_log()[-2000:]
        status = json.loads(admin("/status"))["reloads"]
        assert status["partial"] == 1 and status["lastFailed"], status
        assert [(item["kind"], item["name"], item["outcome"]) for item in status["rejected"]] == \
            [("VirtualService", "team", "lastGood")], status
        pages = admin("/metrics")
        assert 'lanetag_resources_rejected{kind="VirtualService",namespace="default",name="team"} 1' in pages, pages
        assert 'lanetag_rejected_resources{outcome="lastGood"} 1' in pages, pages
        assert admin("/readyz").startswith("ready, but"), admin("/readyz")
        proxy.write(manifests("127.0.0.1"))
        wait_for_page("/metrics", "lanetag_configuration_last_reload_successful 1")
        assert 'lanetag_rejected_resources{outcome="lastGood"} 0' in admin("/metrics")
    assert proxy.stop() == 0, proxy.read_log()[-2000:]


def a_fresh_agent_starts_without_what_never_was_good():
    proxy = Proxy(manifests("127.0.0.1") + TEAM % "unknownField: 1")
    with Client() as client:
        assert client.ask("/").body == b"v1"
        with Client() as other:
            other.send(b"GET / HTTP/1.1\r\nHost: team.test\r\n\r\n")
            answer = other.response()
            assert answer.status == 503 and b"configuration rejected" in answer.body, answer.raw
        assert "lanetag_configuration_rejected_total 1" in admin("/metrics")
        shown = subprocess.run([os.environ["LANETAG_PROXY_COMMAND"].split()[0], "status"], check=False,
                               stdout=subprocess.PIPE, text=True).stdout
        assert "VirtualService default/team: it is left out" in shown, shown
    assert proxy.stop() == 0, proxy.read_log()[-2000:]


def a_rule_that_never_was_good_still_keeps_its_tag_from_clients():
    by_tag = (TEAM % "match: [{headers: {appver-b: {exact: v2}}}]").replace("route: [{destination: {host: app}}]", "directResponse: {status: 418}")
    by_tag += "  - route: [{destination: {host: app}}]\n"
    rule = tag_rules(("appver-b", "v2", 49))
    request = b"GET / HTTP/1.1\r\nHost: team.test\r\nx-user-id: %d\r\nAppver-B: v2\r\n\r\n"
    for rules, statuses in ((rule, {200, 418}), (rule.replace("modulo: 100", "modulo: zero"), {200})):
        proxy = Proxy(manifests("127.0.0.1") + by_tag + rules)
        got = set()
        with Client() as client:
            for user in range(40):
                client.send(request % user)
                got.add(client.response().status)
        assert got == statuses, (got, statuses, proxy.read_log()[-2000:])
        assert proxy.stop() == 0, proxy.read_log()[-2000:]


def requests_under_way_end_with_the_configuration_they_began_with():
    proxy = Proxy(manifests("127.0.0.1"))
    with Client() as client:
        client.send(request_bytes("/sleep/1"))
        time.sleep(0.2)
        proxy.write(manifests(TWO))
        proxy.reload()
        assert client.response().body == b"v1"
        assert client.ask("/").body == b"v2"
    assert proxy.stop() == 0, proxy.read_log()[-2000:]


def listeners_come_and_go_with_the_configuration():
    proxy = Proxy(manifests("127.0.0.1"))
    other = GATEWAY.replace("8080", "8090")
    with Client() as client:
        assert client.ask("/").status == 200
        proxy.write(manifests("127.0.0.1", other))
        proxy.reload()
        time.sleep(0.3)
        with Client(8090) as new:
            assert new.ask("/").status == 200
        try:
            Client(PROXY_PORT)
            raise AssertionError("the old listener is still there")
        except ConnectionRefusedError:
            pass
        assert client.is_closed()
    assert proxy.stop() == 0, proxy.read_log()[-2000:]


def an_endpoint_that_dies_fails_no_request_that_need_not_fail():
    app = GATEWAY + service("app") + pod("app-1", "app") + pod("app-2", "app", "127.0.0.3") + routes(to("app"))
    proxy = Proxy(app)
    load = Load()
    for _ in range(6):
        dying = Upstream(handle, address="127.0.0.3")
        time.sleep(0.3)
        dying.stop()
        time.sleep(0.2)
    failures = load.stop()
    assert not failures, failures[:3]
    assert proxy.stop() == 0, proxy.read_log()[-2000:]


def an_idempotent_request_that_is_reset_goes_to_another_endpoint_and_others_do_not():
    met = []

    def close_at_once(request, _):
        met.append(request.method)
        return False
    dying = Upstream(close_at_once, address="127.0.0.3")
    two = GATEWAY + service("app") + pod("app-1", "app") + pod("app-2", "app", "127.0.0.3") + routes(to("app"))
    proxy = Proxy(two, workers=1)
    with Client() as client:
        assert [client.ask("/").status for _ in range(20)] == [200] * 20
        assert "GET" in met
        statuses = [client.ask("/", "POST", body=b"x").status for _ in range(20)]
        assert statuses.count(502) == met.count("POST") > 0 and 200 in statuses, statuses
    dying.stop()
    alone = Upstream(close_at_once, address="127.0.0.4")
    proxy.write(manifests("127.0.0.4"))
    proxy.reload()
    with Client() as client:
        for _ in range(500):
            before = len(met)
            if client.ask("/").status == 502:
                break
            time.sleep(0.01)
        assert len(met) == before + 1, met[before:]  # no other endpoint: not again to the same one
    alone.stop()
    assert proxy.stop() == 0, proxy.read_log()[-2000:]


def sigterm_lets_requests_under_way_end_and_tells_clients_to_go():
    proxy = Proxy(manifests("127.0.0.1"))
    with Client() as busy, Client() as idle:
        assert idle.ask("/").status == 200
        busy.send(request_bytes("/sleep/0.7"))
        time.sleep(0.2)
        proxy.process.send_signal(signal.SIGTERM)
        assert idle.is_closed()
        answer = busy.response()
        assert answer.body == b"v1" and answer.get("connection") == "close"
        assert busy.is_closed()
    assert proxy.process.wait(5) == 0
    proxy.stop()


def sigterm_under_load_answers_every_request_on_connections_that_it_had():
    proxy = Proxy(manifests("127.0.0.1"))
    failures, told = [], []

    def ask_until_told():
        try:
            with Client() as client:
                while True:
                    answer = client.ask(f"/sleep/{0.01 * (len(told) % 3)}")
                    if answer.status != 200:
                        failures.append(answer.raw)
                    if answer.get("connection") == "close":
                        break
                told.append(1)
                assert client.reader.rest() == b"" and not client.reader.was_reset
        except (OSError, Closed, AssertionError) as error:
            failures.append(repr(error))
    threads = [threading.Thread(target=ask_until_told, daemon=True) for _ in range(30)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    proxy.process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join(20)
    assert not failures, failures[:3]
    assert len(told) == len(threads), len(told)
    assert proxy.process.wait(10) == 0
    proxy.stop()


if __name__ == "__main__":
    tests = Tests()
    for claim in (a_reload_loses_no_request_and_takes_effect,
                  a_wrong_resource_costs_only_itself,
                  a_fresh_agent_starts_without_what_never_was_good,
                  ten_thousand_routes_are_reloaded_under_traffic,
                  a_swapped_configmap_and_a_changed_file_are_in_force_by_themselves_and_lose_no_request,
                  a_broken_configmap_keeps_the_last_good_configuration_and_says_so,
                  a_rule_that_never_was_good_still_keeps_its_tag_from_clients,
                  requests_under_way_end_with_the_configuration_they_began_with,
                  listeners_come_and_go_with_the_configuration,
                  an_endpoint_that_dies_fails_no_request_that_need_not_fail,
                  an_idempotent_request_that_is_reset_goes_to_another_endpoint_and_others_do_not,
                  sigterm_lets_requests_under_way_end_and_tells_clients_to_go,
                  sigterm_under_load_answers_every_request_on_connections_that_it_had):
        tests.run(claim)
    sys.exit(tests.end())
