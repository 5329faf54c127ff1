# SPDX-License-Identifier: GPL-2.0-only
"""A chain of three applications that pass on nothing but the user's id, under reloads of the rules: all hops of one
request must see the tags of one generation."""
import json
import random
import sys
import threading
import time
import urllib.request

from harness import (GATEWAY, Client, Closed, Proxy, Tests, Upstream, pod, reply, routes, service, tag_rules, to)

SERVICE_B, SERVICE_C = "127.1.0.2", "127.1.0.3"
HOP_PORT = 8081
SOURCES = {"header": "header: x-user-id", "cookie": "cookie: account", "parameter": "queryParam: who"}

PROPAGATION = """---
apiVersion: istio.alibabacloud.com/v1beta1
kind: ASMHeaderPropagation
metadata: {name: tags}
spec: {headerPrefixes: [lane-]}
"""


def manifests(generation, source="header"):
    """The tag's value tells the generation, and so does its name now and then."""
    header = "lane-one" if generation % 4 < 2 else "lane-two"
    rules = tag_rules((header, f"g{generation}", 100, SOURCES[source])) + PROPAGATION
    return (GATEWAY + rules + "".join(service(name, HOP_PORT, address=address) + pod(name + "-1", name, pod_address)
                                      for name, address, pod_address in
                                      (("app-a", "127.1.0.1", "127.0.0.2"), ("app-b", SERVICE_B, "127.0.0.3"),
                                       ("app-c", SERVICE_C, "127.0.0.4")))
            + routes(to("app-a")))


def seen_tags(request):
    return sorted(f"{key}={value}" for key, value in request.fields if key.startswith("lane-"))


def application(next_host, next_address):
    """Answers with the tags that it and all behind it saw."""
    def handle(request, sock):
        time.sleep(random.random() * 0.02)
        hops = [seen_tags(request)]
        if next_address:
            fields = [f"{name}: {request.get(name)}\r\n" for name in ("x-user-id", "cookie") if request.get(name)]
            with Client(HOP_PORT, next_address) as client:
                client.send((f"GET {request.target} HTTP/1.1\r\nHost: {next_host}\r\n" + "".join(fields)
                             + "\r\n").encode())
                answer = client.response()
                if answer.status != 200:
                    return reply(sock, answer.body, "502 Bad Gateway")
                hops += json.loads(answer.body)
        return reply(sock, json.dumps(hops).encode())
    return handle


upstreams = [Upstream(application(*next_hop), address=address)
             for address, next_hop in (("127.0.0.2", ("app-b", SERVICE_B)), ("127.0.0.3", ("app-c", SERVICE_C)),
                                       ("127.0.0.4", (None, None)))]


class Users:
    """Each asks on and on, some of them in several tabs at once."""

    def __init__(self, count, tabs, fields, target):
        self.ends = False
        self.answers, self.failures = [], []
        self.threads = [threading.Thread(target=self.run, args=(user, fields, target), daemon=True)
                        for user in range(count) for _ in range(tabs if user < 3 else 1)]
        for thread in self.threads:
            thread.start()

    def run(self, user, fields, target):
        client = Client()
        while not self.ends:
            try:
                answer = client.ask(target % {"user": user}, fields=[field % {"user": user} for field in fields])
                if answer.status == 200:
                    self.answers.append(json.loads(answer.body))
                else:
                    self.failures.append(answer.raw + answer.body)
            except (OSError, Closed) as error:
                self.failures.append(repr(error))
                client = Client()

    def stop(self):
        self.ends = True
        for thread in self.threads:
            thread.join()


def under_reloads(source, fields, target, tabs=1, reloads=24):
    proxy = Proxy(manifests(0, source), "rules-kept=60000")
    users = Users(12, tabs, fields, target)
    for generation in range(1, reloads + 1):
        time.sleep(0.15)
        proxy.write(manifests(generation, source))  # the agent sees it: one generation each
    users.stop()
    with urllib.request.urlopen("http://127.0.0.1:15020/metrics", timeout=5) as answer:
        metrics = answer.read().decode()
    assert proxy.stop() == 0, proxy.read_log()[-2000:]
    assert not users.failures, users.failures[:3]
    torn = [hops for hops in users.answers if len(hops) != 3 or len(hops[0]) != 1 or hops != [hops[0]] * 3]
    assert not torn, (len(torn), len(users.answers), torn[:5])
    assert len({hops[0][0] for hops in users.answers}) > reloads / 2
    assert f'lanetag_propagation_total{{by="user-id"}} {2 * len(users.answers)}\n' in metrics, metrics


def hops_of_one_request_are_decided_by_one_generation():
    under_reloads("header", ["x-user-id: u%(user)d"], "/")


def also_for_users_with_many_requests_at_once():
    # Three of the users never pause: fewer reloads than generations are kept, also if one is read twice.
    under_reloads("header", ["x-user-id: u%(user)d"], "/", tabs=6, reloads=12)


def also_where_the_id_is_a_cookie():
    under_reloads("cookie", ["cookie: a=b; account=u%(user)d"], "/")


def also_where_the_id_is_a_query_parameter():
    under_reloads("parameter", [], "/?who=u%%20%(user)d")


def a_request_that_never_ends_holds_its_user_for_no_longer_than_said():
    proxy = Proxy(manifests(0), "rules-kept=300")
    ends = threading.Event()
    handler = upstreams[0].handler

    def wait(_, sock):
        ends.wait(20)
        return reply(sock, b"[]")
    upstreams[0].handler = wait
    fields = ["x-user-id: u"]
    with Client() as held, Client() as client:
        held.send(b"GET / HTTP/1.1\r\nHost: a\r\nx-user-id: u\r\n\r\n")
        while upstreams[0].requests[-1].get("host") != "a":
            time.sleep(0.01)
        upstreams[0].handler = handler
        proxy.write(manifests(1))
        proxy.reload()
        deadline = time.monotonic() + 20
        while client.ask("/", fields=fields).body != b'[["lane-one=g1"], ["lane-one=g1"], ["lane-one=g1"]]':
            assert time.monotonic() < deadline
        ends.set()
        assert held.response().status == 200
    assert proxy.stop() == 0, proxy.read_log()[-2000:]


tests = Tests()
for claim in (hops_of_one_request_are_decided_by_one_generation, also_for_users_with_many_requests_at_once,
              also_where_the_id_is_a_cookie, also_where_the_id_is_a_query_parameter,
              a_request_that_never_ends_holds_its_user_for_no_longer_than_said):
    tests.run(claim)
sys.exit(tests.end())
