# SPDX-License-Identifier: GPL-2.0-only
"""One budget for the bytes that wait; connections above a limit get 503."""
import re
import resource
import sys
import time
import urllib.error
import urllib.request

from harness import Client, Closed, Proxy, Tests, Upstream, digest, one_app, pattern, reply, request_bytes

BUDGET = 2 * 1024 * 1024
HEAD = request_bytes("/", fields=[f"X-{i}: " + "h" * 990 for i in range(60)])  # 60 KB


def handle(request, sock):
    if request.target == "/chunks":
        sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(100):
            sock.sendall(b"10000\r\n" + pattern(65536) + b"\r\n")
        sock.sendall(b"0\r\n\r\n")
        return True
    return reply(sock, digest(request.body()).encode())


upstream = Upstream(handle)


def metrics_page():
    """An agent that has just begun to listen may serve its metrics a moment later."""
    end = time.monotonic() + 5
    while True:
        try:
            with urllib.request.urlopen("http://127.0.0.1:15020/metrics") as answer:
                return answer.read().decode()
        except urllib.error.URLError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def metric(name):
    text = metrics_page()
    return int(re.search(rf"^{name} (\d+)$", text, re.MULTILINE).group(1))


def settled(name, holds, seconds=10):
    """Metrics may be as old as a second."""
    end = time.monotonic() + seconds
    while not holds(metric(name)):
        assert time.monotonic() < end, (name, metric(name))
        time.sleep(0.2)
    return metric(name)


def with_proxy(*limits, workers=2):
    def wrap(function):
        def run():
            proxy = Proxy(one_app(), *limits, workers=workers)
            try:
                function(proxy)
            finally:
                status = proxy.stop()
            assert status == 0, (status, proxy.read_log()[-2000:])
        run.__name__ = function.__name__
        return run
    return wrap


def is_refused(client):
    client.sock.settimeout(0.05)
    try:
        return client.response().status == 503
    except (TimeoutError, Closed, OSError):
        return False
    finally:
        client.sock.settimeout(10)


@with_proxy(f"waiting-bytes={BUDGET}", workers=1)
def the_youngest_incomplete_heads_are_refused_and_others_go_on(proxy):
    before = proxy.resident_bytes()
    clients = []
    for number in range(300):  # 18 MB
        client = Client()
        client.send(HEAD[:-2])
        clients.append(client)
        if number % 50 == 0:
            with Client() as other:
                assert other.ask("/", method="POST", body=b"x" * 3000).status == 200
    waiting = settled("lanetag_waiting_bytes", lambda bytes_: bytes_ <= BUDGET)
    assert waiting > BUDGET / 4, waiting
    assert proxy.resident_bytes() - before < 3 * BUDGET, proxy.resident_bytes() - before
    refused = settled("lanetag_waiting_refused_total", lambda count: count > 200)
    oldest = clients[:10]
    for client in oldest:
        client.send(b"\r\n")
        assert client.response().status == 200
    statuses = [is_refused(client) for client in clients[10:]]
    assert refused <= sum(statuses) + 20 and statuses[-1] and statuses.count(False) >= 5, (refused, sum(statuses))
    # They are the younger ones: behind the first that was refused, hardly any was not.
    first = statuses.index(True)
    assert statuses[first:].count(False) <= 3, (first, statuses[first:].count(False))
    for client in clients:
        client.close()
    settled("lanetag_waiting_bytes", lambda bytes_: bytes_ < 100000)
    with Client() as client:
        assert client.ask("/").status == 200


@with_proxy(f"waiting-bytes={BUDGET}")
def the_budget_is_that_of_all_workers(proxy):
    clients = [Client() for _ in range(200)]
    for client in clients:
        client.send(HEAD[:-2])
    settled("lanetag_waiting_refused_total", lambda count: count > 100)
    settled("lanetag_waiting_bytes", lambda bytes_: bytes_ <= BUDGET)
    for _ in range(20):
        with Client() as other:
            assert other.ask("/").status == 200
    for client in clients:
        client.close()


@with_proxy("waiting-bytes=1000000", workers=1)
def slow_readers_count_and_hold_little_once_the_budget_is_used_up(proxy):
    readers = []
    for _ in range(40):
        client = Client(receive_buffer=4096)
        client.send(request_bytes("/chunks"))
        readers.append(client)
    time.sleep(1)
    held = settled("lanetag_waiting_bytes", lambda bytes_: bytes_ > 300000)
    assert held < 1000000 + 262144 + 40 * 16384, held
    for client in readers:
        assert client.response().body == pattern(65536) * 100
        client.close()
    settled("lanetag_waiting_bytes", lambda bytes_: bytes_ < 100000)


@with_proxy()
def what_waits_is_counted_and_given_back(proxy):
    base = metric("lanetag_waiting_bytes")
    clients = [Client() for _ in range(20)]
    for client in clients:
        client.send(HEAD[:-2])
    settled("lanetag_waiting_bytes", lambda bytes_: bytes_ >= base + 20 * 60000)
    for client in clients[:10]:
        client.send(b"\r\n")
        assert client.response().status == 200
    for client in clients[10:]:
        client.close()
    settled("lanetag_waiting_bytes", lambda bytes_: bytes_ <= base + 100000)
    assert metric("lanetag_waiting_refused_total") == 0


def over_limit_gets_503(ask):
    with Client() as client:
        answer = client.ask("/") if ask else None
        assert answer is None or (answer.status == 503 and b"connections" in answer.body), answer


def check_limit(limit):
    held = [Client() for _ in range(8)]
    for client in held:
        assert client.ask("/").status == 200
    for _ in range(5):
        over_limit_gets_503(True)
    silent = Client()  # one above the limit that sends nothing goes soon
    assert silent.is_closed()
    assert settled("lanetag_connections_refused_total", lambda count: count >= 6) >= 6, limit
    for client in held:
        assert client.ask("/").status == 200
        client.close()
    time.sleep(0.3)
    with Client() as client:
        assert client.ask("/").status == 200


@with_proxy("connections=8")
def connections_above_the_limit_are_answered_with_503(_):
    check_limit("connections")


@with_proxy("connections-per-client=8")
def connections_of_one_address_above_its_limit_are_answered_with_503(_):
    check_limit("connections-per-client")
    with Client(source="127.0.0.77") as other:
        assert other.ask("/").status == 200


@with_proxy("connections=4000")
def a_gateways_client_gets_a_part_of_the_connections_by_default(_):
    clients = [Client() for _ in range(1000)]
    for client in clients[::100]:
        assert client.ask("/").status == 200
    over_limit_gets_503(True)
    with Client(source="127.0.0.77") as other:
        assert other.ask("/").status == 200
    for client in clients:
        client.close()


@with_proxy("connections=4000", "connections-per-client=0")
def the_limit_of_a_client_can_be_taken_away(_):
    clients = [Client() for _ in range(1100)]
    for client in (clients[0], clients[-1]):
        assert client.ask("/").status == 200
    for client in clients:
        client.close()


CLAIMS = [value for value in list(globals().values()) if getattr(value, "__qualname__", "").startswith("with_proxy.")]

if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (20000, 20000))
    tests = Tests()
    for claim in CLAIMS:
        tests.run(claim)
    sys.exit(tests.end())
