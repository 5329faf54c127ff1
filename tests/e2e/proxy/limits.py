# SPDX-License-Identifier: GPL-2.0-only
"""Limits, timeouts, back-pressure: what peers do costs only themselves."""
import os
import resource
import socket
import sys
import threading
import time

from harness import (GATEWAY, Client, Closed, Proxy, Tests, Upstream, digest, one_app, pattern, pod, reply,
                     request_bytes, routes, service, to)


def handle(request, sock):
    if request.target.startswith("/flood"):
        sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        block = b"10000\r\n" + b"f" * 65536 + b"\r\n"
        for _ in range(16 * int(request.target.split("/")[2])):
            sock.sendall(block)
        sock.sendall(b"0\r\n\r\n")
        return True
    if request.target.startswith("/big"):
        return reply(sock, pattern(int(request.target.split("/")[2])))
    if request.target.startswith("/sleep"):
        time.sleep(float(request.target.split("/")[2]))
        return reply(sock, b"slept")
    if request.target.startswith("/never-read"):
        time.sleep(30)
        return False
    body = request.body()
    return reply(sock, f"{len(body)} {digest(body)}".encode())


upstream = Upstream(handle)


def with_proxy(*limits, manifests=None, **arguments):
    """The claim gets a proxy with these limits, which must also end in order."""
    def wrap(function):
        def run():
            proxy = Proxy(manifests or one_app(), *limits, **arguments)
            try:
                function(proxy)
            finally:
                status = proxy.stop()
            assert status == 0, (status, proxy.read_log()[-2000:])
        run.__name__ = function.__name__
        return run
    return wrap


@with_proxy("head-bytes=1000", "head-fields=10", "target-bytes=100")
def heads_have_limits_with_statuses_of_their_own(_):
    for data, status in ((request_bytes("/" + "x" * 200), 414),
                         (request_bytes("/", fields=["A: " + "x" * 2000]), 431),
                         (request_bytes("/", fields=["A: b"] * 20), 431)):
        with Client() as client:
            client.send(data)
            assert client.response().status == status and client.is_closed(), status
    with Client() as client:
        assert client.ask("/", fields=["A: " + "x" * 800]).status == 200


def bare_lines(client):
    client.send(b"GET /head HTTP/1.1\nHost: a\nX-Mixed: b\r\n\n")
    return client.response()


@with_proxy()
def a_line_feed_alone_is_refused(_):
    with Client() as client:
        assert bare_lines(client).status == 400 and client.is_closed()


@with_proxy("allow-bare-lf=1")
def a_line_feed_alone_may_be_allowed_and_is_written_out_in_full(_):
    before = len(upstream.requests)
    with Client() as client:
        assert bare_lines(client).status == 200
        head = upstream.requests[before].raw
        assert b"GET /head HTTP/1.1\r\nHost: a\r\nX-Mixed: b\r\n" in head and head.count(b"\n") == head.count(b"\r\n"), head
        client.send(b"POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n5\nhello\n0\n\n")
        assert client.response().status == 400  # never within a body
        assert client.is_closed()


@with_proxy("header-timeout=300", "body-timeout=300", "idle-timeout=300")
def slow_clients_are_told_408_and_idle_ones_are_closed(_):
    with Client() as client:
        start = time.time()
        client.send(b"GET / HT")
        time.sleep(0.2)
        client.send(b"TP/1.1\r\n")  # drips do not buy time
        assert client.response().status == 408 and client.is_closed()
        assert 0.25 < time.time() - start < 1
    with Client() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
        assert client.response().status == 408 and client.is_closed()
    for ask_first in (True, False):
        with Client() as client:
            if ask_first:
                client.ask("/")
            start = time.time()
            assert client.reader.rest() == b""
            assert 0.25 < time.time() - start < 1


@with_proxy("response-timeout=300")
def an_upstream_that_does_not_answer_is_504(_):
    with Client() as client:
        start = time.time()
        assert client.ask("/sleep/2").status == 504
        assert 0.25 < time.time() - start < 1
        assert client.ask("/").status == 200


@with_proxy("connect-timeout=300", manifests=GATEWAY + service("app") + pod("app-1", "app", "127.0.0.1") +
            service("hole", target=9009) + pod("hole-1", "hole", "127.0.0.9") + routes(to("hole", "/hole"), to("app")))
def an_endpoint_that_drops_packets_costs_the_connect_timeout(_):
    full = socket.socket()  # a queue that is full answers no SYN
    full.bind(("127.0.0.9", 9009))
    full.listen(0)
    fillers = [socket.socket() for _ in range(3)]
    for filler in fillers:
        filler.setblocking(False)
        filler.connect_ex(("127.0.0.9", 9009))
    with Client() as client:
        start = time.time()
        assert client.ask("/hole").status == 503
        assert 0.25 < time.time() - start < 5
        assert client.ask("/").status == 200
    for sock in [full, *fillers]:
        sock.close()


@with_proxy("requests-per-connection=3")
def a_connection_ends_after_its_number_of_requests(_):
    with Client() as client:
        assert client.ask("/").get("connection") is None
        assert client.ask("/").get("connection") is None
        assert client.ask("/").get("connection") == "close"
        for _ in range(10):  # on their way when the answer came: no reset that could destroy it
            client.send(request_bytes("/"))
            time.sleep(0.005)
        assert client.reader.rest() == b"" and not client.reader.was_reset


@with_proxy("connections-per-client=5")
def a_client_has_only_so_many_connections_and_others_are_not_hurt(_):
    mine = [Client() for _ in range(5)]
    assert all(client.ask("/").status == 200 for client in mine)
    with Client() as one_more:
        one_more.reader.rest()  # closed without a word
    with Client(source="127.0.0.2") as other:
        assert other.ask("/").status == 200
    mine.pop().close()
    time.sleep(0.1)
    with Client() as again:
        assert again.ask("/").status == 200
    for client in mine:
        client.close()


@with_proxy("connections=8")
def there_are_only_so_many_connections_in_all(_):
    clients = [Client() for _ in range(8)]
    assert all(client.ask("/").status == 200 for client in clients)
    with Client() as one_more:
        one_more.reader.rest()
    assert all(client.ask("/").status == 200 for client in clients)
    for client in clients:
        client.close()


@with_proxy()
def slow_readers_hold_a_bounded_piece_and_get_all_in_the_end(proxy):
    with Client() as client:
        client.ask("/flood/4")
    before = proxy.resident_bytes()
    slow = [Client(receive_buffer=4096) for _ in range(60)]
    for client in slow:
        client.send(request_bytes("/flood/32"))
    time.sleep(1.5)
    growth = proxy.resident_bytes() - before
    assert growth < 60 * 400 * 1024, growth
    with Client() as client:
        assert client.ask("/").status == 200  # others go on
    assert len(slow[0].response().body) == 32 << 20
    for client in slow:
        client.close()


@with_proxy()
def an_upstream_that_does_not_read_bounds_what_is_held_of_a_body(proxy):
    with Client() as client:
        client.ask("/")
    before = proxy.resident_bytes()
    clients = [Client() for _ in range(20)]

    def pour(client):
        try:
            client.send(b"POST /never-read HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(500):
                client.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        except OSError:
            pass
    for client in clients:
        threading.Thread(target=pour, args=(client,), daemon=True).start()
    time.sleep(1.5)
    growth = proxy.resident_bytes() - before
    assert growth < 20 * 400 * 1024, growth
    for client in clients:
        client.close()


@with_proxy()
def idle_connections_cost_at_most_256_bytes_each(proxy):
    def settle():
        clients = []
        for _ in range(1000):
            client = Client()
            assert client.ask("/").status == 200
            clients.append(client)
        return clients
    first = settle()
    before = proxy.resident_bytes()
    second = settle()
    growth = (proxy.resident_bytes() - before) / 1000
    for client in first + second:
        client.close()
    if "san" not in os.environ["LANETAG_PROXY_COMMAND"]:  # sanitizers have memory of their own
        assert growth <= 256, growth


@with_proxy()
def pipelined_requests_wait_in_the_kernel_while_one_is_under_way(proxy):
    with Client() as client:
        client.ask("/")
        before = proxy.resident_bytes()
        client.send(request_bytes("/sleep/1.5"))
        client.sock.setblocking(False)
        try:
            for _ in range(10000):
                client.sock.send(request_bytes("/x") * 100)
        except BlockingIOError:
            pass
        time.sleep(0.5)
        assert proxy.resident_bytes() - before < 1 << 20


@with_proxy(workers=1, prefix=("prlimit", "--nofile=120:120"))
def without_descriptors_new_connections_are_refused_and_old_ones_work(proxy):
    keep = [Client() for _ in range(20)]
    for client in keep:
        assert client.ask("/").status == 200
    crowd = []
    for _ in range(200):
        try:
            crowd.append(Client())
        except OSError:
            pass
    time.sleep(0.3)
    for client in keep:
        assert client.ask("/").status == 200
    for client in crowd:
        client.close()
    time.sleep(0.3)
    for client in keep:
        assert client.ask("/").status == 200
        client.close()
    with Client() as client:
        assert client.ask("/").status == 200
    assert proxy.process.poll() is None


@with_proxy(workers=1)
def short_of_memory_it_sheds_what_asks_for_more_and_goes_on(proxy):
    if "san" in os.environ["LANETAG_PROXY_COMMAND"]:
        return  # sanitizers have memory of their own
    keep = [Client() for _ in range(20)]
    for client in keep:
        assert client.ask("/").status == 200
    with open(f"/proc/{proxy.process.pid}/status", encoding="ascii") as file:
        kilobytes = int(next(line for line in file if line.startswith("VmData:")).split()[1])
    unlimited = resource.prlimit(proxy.process.pid, resource.RLIMIT_DATA, ((kilobytes + 1024) << 10, resource.RLIM_INFINITY))
    crowd = []
    for _ in range(200):
        crowd.append(Client())
        crowd[-1].send(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 60000)
    time.sleep(0.3)
    shed = 0
    for client in crowd:
        try:
            client.send(b"\r\n\r\n")
            assert client.response().status in (200, 503)
        except (Closed, OSError):
            shed += 1
        client.close()
    assert 0 < shed < len(crowd), shed
    for client in keep:
        assert client.ask("/").status == 200
    resource.prlimit(proxy.process.pid, resource.RLIMIT_DATA, unlimited)
    for client in keep:
        assert client.ask("/").status == 200
        client.close()


@with_proxy(workers=1)
def nothing_leaks_when_clients_go_away_at_any_point(proxy):
    data = (b"POST /big/300000 HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100000)
    with Client() as client:
        client.ask("/")
    time.sleep(0.1)
    before = proxy.descriptors()
    for i in range(150):
        client = Client()
        client.send(data[: 1 + i * 997 % len(data)])
        if i % 2:
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
    for i in range(50):
        client = Client(receive_buffer=4096)
        client.send(request_bytes("/big/3000000"))
        client.sock.recv(1 + i * 100)
        client.close()
    time.sleep(3)
    assert proxy.descriptors() - before < 60, proxy.descriptors() - before  # pooled connections
    with Client() as client:
        assert client.ask("/").status == 200


CLAIMS = [value for value in list(globals().values()) if callable(value) and
          getattr(value, "__name__", "") in globals() and value.__name__ not in
          ("handle", "with_proxy") and value.__qualname__.startswith("with_proxy")]

if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (20000, 20000))
    tests = Tests()
    for claim in CLAIMS:
        tests.run(claim)
    sys.exit(tests.end())
