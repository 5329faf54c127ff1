# SPDX-License-Identifier: GPL-2.0-only
"""Peers that mean harm, or do by accident what confuses proxies: whatever they do, one request gets one answer,
its own, whole or visibly cut."""
import os
import signal
import socket
import struct
import sys
import threading
import time

from harness import (Client, Closed, GATEWAY, Proxy, Tests, Upstream, chunked, digest, pattern, pod, reply, request_bytes,
                     service, tag_rules)

READ_AT_ONCE = 72 * 1024  # WORKER_HEAD_READ_BYTES
EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
RESET_AT_ONCE = struct.pack("ii", 1, 0)
GOOD = b"good"
LENGTHY = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(GOOD, [2, 2], ["a: b"])


def handle(request, sock):
    """The path says what the upstream does."""
    parts = request.target.strip("/").split("/")
    return HANDLERS[parts[0]](request, sock, *parts[1:])


def good(request, sock, *_):
    request.body()
    return reply(sock, GOOD)


def slow_upload(request, sock, seconds):
    """Reads nothing for a while: what the proxy has of the body waits."""
    time.sleep(float(seconds))
    return reply(sock, digest(request.body()).encode())


def with_more_behind(request, sock, size):
    """A whole response and, in the same piece, another one that nobody asked for."""
    body = pattern(int(size))
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body + EVIL)
    return True


def more_later(request, sock, milliseconds):
    reply(sock, GOOD)
    time.sleep(float(milliseconds) / 1000)
    sock.sendall(EVIL)
    return True


def interim_flood(request, sock, megabytes):
    for _ in range(int(megabytes)):
        sock.sendall(CONTINUE * (1048576 // len(CONTINUE)))
    return reply(sock, GOOD)


def broken_off(request, sock, kind):
    body = pattern(300000)
    if kind == "length":
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\n" + body)
    elif kind == "chunked":
        sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"493e0\r\n" + body + b"\r\n")
    elif kind == "in-chunk":
        sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"80000\r\n" + body)
    else:
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + body)
        time.sleep(0.3)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_ONCE)
    return False


def cut(request, sock, kind, length, at_once):
    """A whole response's beginning; its end comes with it, or a moment later."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, int(at_once))
    sock.sendall((LENGTHY if kind == "length" else CHUNKED)[: int(length)])
    if at_once == "0":
        time.sleep(0.001)
    return False


def chunked_head(request, sock):
    sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    if request.method != "HEAD":
        sock.sendall(chunked(GOOD, [4]))
    return True


def big(request, sock, size):
    return reply(sock, pattern(int(size)))


def echo(request, sock, *_):
    request.body()
    return reply(sock, request.raw)


BAD_HEADS = (
    b"Content-Length: 4\r\nTransfer-Encoding: chunked", b"Transfer-Encoding: chunked\r\nContent-Length: 4",
    b"Content-Length: 4\r\nContent-Length: 5", b"Content-Length: 4\r\nContent-Length: 4", b"Content-Length: 4, 4",
    b"Content-Length: +4", b"Content-Length: 4 4", b"Content-Length:", b"Content-Length: 99999999999999999999",
    b"Content_Length: 4", b"Content-Length : 4", b" Content-Length: 4", b"Content-Length: 4\r\n folded", b"X: \0", b"X: a\rb",
    b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: chunked, chunked", b"Transfer-Encoding: identity",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", b"Transfer-Encoding: xchunked", b"X: " + b"y" * 70000,
    b"\r\n".join(b"X-%d: y" % i for i in range(200)))


def bad_head(request, sock, number):
    sock.sendall(b"HTTP/1.1 200 OK\r\n" + BAD_HEADS[int(number)] + b"\r\n\r\ngood")
    return True


def no_tunnel(request, sock, status):
    return reply(sock, GOOD, status + " No")


def unasked_tunnel(request, sock):
    sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + EVIL)
    return True


SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
ODD_TUNNELS = (
    b"Upgrade: h2c\r\n", b"", b"Upgrade: websocket, h2c\r\n", b"Upgrade: websocket, websocket\r\n",
    b"Upgrade: websocket\r\nUpgrade: websocket\r\n", b"Upgrade: websocket\r\nUpgrade: h2c\r\n", b"Upgrade: \r\n",
    b"Upgrade: websocket/13\r\n", b"Upgrade: websocket\r\nContent-Length: 4\r\n", b"Upgrade: websocket\r\nContent-Length: 0\r\n",
    b"Upgrade: websocket\r\nTransfer-Encoding: chunked\r\n")


def odd_tunnel(request, sock, number):
    sock.sendall(SWITCH + ODD_TUNNELS[int(number)] + b"\r\n" + EVIL)
    return True


BAD_CHUNKS = (
    b"0x5\r\nhello\r\n0\r\n\r\n", b"hello", b"\r\n", b"-1\r\n", b"5 \r\nhello\r\n0\r\n\r\n", b"5\nhello\n0\n\n",
    b"5\r\nhelloworld\r\n0\r\n\r\n", b"5\r\nhello\r\nZ\r\n", b"5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n",
    b"0\r\n folded: x\r\n\r\n", b"10000000000000000\r\n", b"5;" + b"x" * 300 + b"\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhello\r\n0\r\n" + b"x: y\r\n" * 40 + b"\r\n")


def bad_chunk(request, sock, number):
    sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + BAD_CHUNKS[int(number)])
    time.sleep(0.2)
    return False


def early_reset(request, sock):
    """Answers before the body came, without a length, and breaks off."""
    sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + pattern(10000))
    time.sleep(0.02)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_ONCE)
    return False


def early(request, sock, status):
    """Answers at once and keeps the connection; takes the body in afterwards."""
    reply(sock, GOOD, status + " Early")
    request.body()
    return True


held = threading.Event()


def hold(request, sock):
    held.wait(20)
    return reply(sock, GOOD)


body_began, reset_now = threading.Event(), threading.Event()


def reset_in_body(request, sock, received):
    """Takes in this much of the body, and resets when it is let."""
    request.reader.exactly(int(received))
    body_began.set()
    reset_now.wait(20)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_ONCE)
    return False


HANDLERS = {"good": good, "reset-in-body": reset_in_body, "slow-upload": slow_upload, "with-more": with_more_behind, "more-later": more_later,
            "interim": interim_flood, "broken-off": broken_off, "bad-head": bad_head, "no-tunnel": no_tunnel,
            "unasked-tunnel": unasked_tunnel, "odd-tunnel": odd_tunnel, "bad-chunk": bad_chunk, "early": early, "early-reset": early_reset, "hold": hold, "cut": cut, "chunked-head": chunked_head, "big": big, "echo": echo}


class SmallUpstream(Upstream):
    """With small receive buffers, so that little waits in the kernel."""

    def __init__(self, handler):
        super().__init__(handler)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)


upstream = SmallUpstream(handle)


def a_request_behind_a_body_that_waits_for_the_upstream_is_seen_once_and_as_it_was():
    for size in range(60000, 600000, 60000):
        body = pattern(size, 4)
        with Client() as client, Client() as noise:
            before = len(upstream.requests)
            data = (b"POST /slow-upload/0.3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                    + chunked(body, [999] * (size // 999 + 1)) + request_bytes("/good/behind"))
            threading.Thread(target=client.send, args=(data,), daemon=True).start()
            for _ in range(40):  # what stands in the worker's buffer by then
                noise.ask("/good/noise", "POST", body=b"GET /good/forged HTTP/1.1\r\nHost: a\r\n\r\n" * 100)
            assert client.response().body.decode() == digest(body)
            assert client.response().body == GOOD
            client.send(request_bytes("/good/last"))
            assert client.response().body == GOOD
            mine = [request.target for request in upstream.requests[before:] if request.target != "/good/noise"]
            assert mine == ["/slow-upload/0.3", "/good/behind", "/good/last"], (size, mine)


def what_follows_a_body_that_the_upstream_resets_is_seen_as_it_was():
    """The agent reads the body's last piece together with the next request's beginning, and finds the upstream gone."""
    hidden = request_bytes("/good/hidden")
    second = request_bytes("/echo/second", "POST", body=hidden)
    head_length = len(second) - len(hidden)
    bodies = {"Content-Length: 2000": pattern(2000, 5), "Transfer-Encoding: chunked": chunked(pattern(2000, 5), [999] * 3, ["a: b"])}
    for field, body in bodies.items():
        for cut in (1, 20, head_length - 1, head_length, head_length + 1, len(second) - 1, len(second)):
            body_began.clear()
            reset_now.clear()
            before = len(upstream.requests)
            with Client() as client:
                client.send(b"POST /reset-in-body/900 HTTP/1.1\r\nHost: a\r\n" + field.encode() + b"\r\n\r\n" + body[:1000])
                assert body_began.wait(20)
                proxy.process.send_signal(signal.SIGSTOP)
                client.send(body[1000:] + second[:cut])
                reset_now.set()
                time.sleep(0.05)
                proxy.process.send_signal(signal.SIGCONT)
                assert client.response().status == 502, (field, cut)
                client.send(second[cut:])
                assert client.response().body.startswith(b"POST /echo/second HTTP/1.1\r\n"), (field, cut)
            targets = [request.target for request in upstream.requests[before:]]
            assert targets == ["/reset-in-body/900", "/echo/second"], (field, cut, targets)


def bytes_behind_a_large_response_never_reach_the_next_request():
    with Client() as client:
        for size in (70000, 131072, 140000, 262144, 1048576, 3000000):
            for _ in range(5):
                assert client.ask(f"/with-more/{size}").body == pattern(size), size
                assert client.ask("/good").body == GOOD, size
    for size in range(200000, 1400000, 100000):
        with Client(receive_buffer=4096) as slow, Client() as other:
            slow.send(request_bytes(f"/with-more/{size}"))
            time.sleep(0.1)  # all there is has come to the proxy before the client takes it
            assert slow.response().body == pattern(size), size
            assert other.ask("/good").body == GOOD, size


def bytes_that_come_while_a_connection_is_pooled_end_it():
    with Client() as client:
        for milliseconds in (0, 1, 5, 20):
            for _ in range(10):
                assert client.ask(f"/more-later/{milliseconds}").body == GOOD
                time.sleep(milliseconds / 1000 + 0.05)
                assert client.ask("/good").body == GOOD, milliseconds


def a_flood_of_interim_responses_is_bounded_by_what_the_client_takes():
    before = proxy.resident_bytes()
    with Client(receive_buffer=4096) as client:
        client.send(request_bytes("/interim/64"))
        time.sleep(2)
        growth = proxy.resident_bytes() - before
        assert growth < 4 << 20, growth


def many_interim_responses_at_once_do_not_hold_the_final_one_up():
    with Client(receive_buffer=4096) as client:
        client.send(request_bytes("/interim/1"))
        while True:
            answer = client.response()
            if answer.status != 100:
                break
        assert answer.body == GOOD


def a_response_cut_anywhere_is_502_or_seen_to_be_cut():
    for kind in ("length", "chunked"):
        whole = LENGTHY if kind == "length" else CHUNKED
        for cut in range(len(whole)):
            for at_once in (True, False):
                with Client() as client:
                    client.send(request_bytes(f"/cut/{kind}/{cut}/{int(at_once)}"))
                    try:
                        answer = client.response()
                    except Closed:
                        continue
                    assert answer.status == 502, (kind, cut, answer.raw)


def a_response_that_could_be_read_in_two_ways_is_502():
    with Client() as client:
        for number, head in enumerate(BAD_HEADS):
            assert client.ask(f"/bad-head/{number}").status == 502, head
            assert client.ask("/good").body == GOOD, head


def a_tunnel_that_is_refused_or_was_not_asked_for_is_none():
    ask = ["Connection: Upgrade", "Upgrade: websocket"]
    with Client() as client:
        for status in ("200", "400", "426"):
            client.send(request_bytes(f"/no-tunnel/{status}", fields=ask) + request_bytes("/good/behind"))
            assert client.response().status == int(status)
            assert client.response().body == GOOD
        before = len(upstream.requests)
        for fields in ([], ["Upgrade: websocket"], ["Connection: upgrade", "Upgrade: h2c"],
                       ["Connection: upgrade", "Upgrade: websocket, h2c"]):
            assert client.ask("/unasked-tunnel", fields=fields).status == 502, fields
            assert client.ask("/good").body == GOOD
        assert all(request.get("upgrade") is None for request in upstream.requests[before:])


def a_tunnel_to_anything_but_what_was_asked_for_is_502():
    ask = ["Connection: Upgrade", "Upgrade: websocket"]
    with Client() as client:
        for number, fields in enumerate(ODD_TUNNELS):
            client.send(request_bytes(f"/odd-tunnel/{number}", fields=ask) + request_bytes("/good/behind"))
            assert client.response().status == 502, fields
            assert client.response().body == GOOD, fields


def a_chunked_body_that_is_broken_in_the_heads_segment_is_502():
    with Client() as client:
        for number, body in enumerate(BAD_CHUNKS):
            answer = client.ask(f"/bad-chunk/{number}")
            assert answer.status == 502 and b"malformed" in answer.body, (body, answer.raw)
            assert client.ask("/good").body == GOOD, body
    with Client() as client:
        assert client.ask("/bad-chunk/0", version="1.0").status == 502


def an_answer_before_the_bodys_end_confuses_neither_side():
    for status in ("200", "401", "500"):
        for head, body in ((b"Content-Length: 300000", b"x" * 300000), (b"Transfer-Encoding: chunked", chunked(b"x" * 300000, [300000])),
                           (b"Expect: 100-continue\r\nContent-Length: 5", b"after")):
            with Client() as client, Client() as other:
                client.send(b"POST /early/%s HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n" % (status.encode(), head) + body[:3])
                answer = client.response()
                assert answer.status == int(status) and answer.body == GOOD
                assert other.ask("/good").body == GOOD
                try:
                    client.send(body[3:] + request_bytes("/good/behind"))
                    assert client.response().body == GOOD  # either it goes on …
                except (Closed, OSError):
                    pass  # … or it is closed


def what_connection_names_is_removed_but_not_what_frames_routes_or_tags():
    names = ["host", "content-length", "transfer-encoding", "appver-a", "baggage", "via", "x-forwarded-for", "x-request-id", "x-user-id"]
    with Client() as client:
        head = client.ask("/echo", "POST", [f"Connection: {', '.join(names)}, x-mine", "X-Mine: 1", "x-user-id: 0005", "appver-a: forged",
                                            "X-Forwarded-For: 192.0.2.1"], b"body").body.decode().lower().split("\r\n")
    for line in ("host: app.test", "content-length: 4", "appver-a: v2", "via: 1.1 lanetag", "x-forwarded-for: 127.0.0.1"):
        assert head.count(line) == 1, (line, head)
    assert sum(line.startswith("x-request-id: ") for line in head) == 1, head
    for gone in ("x-mine", "x-user-id", "connection"):
        assert not any(line.startswith(gone + ":") for line in head), (gone, head)


def via_names_the_version_that_came():
    with Client() as client:
        assert b"Via: 1.0 lanetag" in client.ask("/echo", version="1.0").body


def who_has_more_to_do_is_not_forgotten_when_others_wait_for_a_place():
    """All in one turn of the worker: many has more requests than its share, holder gives the only place back, which
    waiting waits for, and failing takes it and fails."""
    redirects = request_bytes("/", fields=["X: y"]).replace(b"app.test", b"moved.test")
    few = b"POST /%s HTTP/1.1\r\nHost: few.test\r\n"
    with Client() as waking, Client() as many, Client() as holder, Client() as waiting, Client() as failing:
        for client in (many, failing):
            assert client.ask("/good").body == GOOD
        held.clear()
        holder.send(few % b"hold" + b"\r\n")
        time.sleep(0.1)
        waiting.send(few % b"good" + b"\r\n")
        time.sleep(0.1)
        proxy.process.send_signal(signal.SIGSTOP)
        waking.send(b"GET")  # ends the worker's present turn alone
        time.sleep(0.1)
        many.send(redirects * 100)
        held.set()
        time.sleep(0.2)
        # As much as is read at once ends within the chunk; so many requests are answered at once, and one begun.
        long = request_bytes("/", fields=["X: " + "y" * 4820]).replace(b"app.test", b"moved.test")
        chunk = few % b"good" + b"Transfer-Encoding: chunked\r\n\r\n3e8\r\n" + b"x" * 1000 + b"no chunk"
        assert 0 < READ_AT_ONCE - len(long * 15) < len(chunk) - 50, len(long)
        failing.send(long * 15 + chunk)
        proxy.process.send_signal(signal.SIGCONT)
        assert holder.response().body == GOOD
        assert waiting.response().body == GOOD
        assert [failing.response().status for _ in range(16)] == [301] * 15 + [400]
        assert [many.response().status for _ in range(100)] == [301] * 100


def an_old_client_sees_that_a_response_was_cut():
    for kind in ("length", "chunked", "in-chunk", "until-close"):
        for version in ("1.0", "1.1"):
            with Client() as client:
                client.send(request_bytes(f"/broken-off/{kind}", version=version))
                try:
                    answer = client.response()
                except (Closed, ConnectionResetError):
                    continue
                assert client.reader.was_reset, (kind, version, answer.raw)


def a_reset_that_meets_the_requests_body_does_not_make_the_response_whole():
    for _ in range(20):
        with Client() as client:
            client.send(b"POST /early-reset HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
            try:
                while True:
                    client.send(b"x" * 1000)
            except ConnectionResetError:
                continue
            except BrokenPipeError:
                raise AssertionError("a clean end") from None


def an_old_client_gets_no_transfer_coding_with_head_either():
    with Client() as client:
        assert client.ask("/chunked-head", "HEAD", version="1.0").get("transfer-encoding") is None
    with Client() as client:
        assert client.ask("/chunked-head", "HEAD").get("transfer-encoding") == "chunked"
        assert client.ask("/chunked-head").body == GOOD


def an_answer_in_the_upstreams_place_is_not_destroyed_by_what_the_client_still_sends():
    heads = (b"POST /good HTTP/1.1\r\nHost: nobody.test\r\nContent-Length: 500000\r\n\r\n",
             b"POST /good HTTP/1.1\r\nHost: nobody.test\r\nTransfer-Encoding: chunked\r\n\r\n",
             b"POST /good HTTP/1.1\r\nHost: moved.test\r\nContent-Length: 500000\r\n\r\n",
             b"POST /go od HTTP/1.1\r\n\r\n",
             b"GET /" + b"x" * 9000)
    for head in heads:
        with Client() as client:
            client.send(head)
            time.sleep(0.1)
            for _ in range(20):
                client.send(b"x" * 1000)
                time.sleep(0.005)
            answer = client.response()
            assert answer.status in (301, 400, 404, 414), answer.raw
            client.reader.rest()
            assert not client.reader.was_reset, answer.raw


NOT_CLAIMS = {handler.__name__ for handler in HANDLERS.values()} | {"handle", "main", "manifests"}


def manifests():
    moved = """---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: edge}
spec:
  hosts: [app.test, a]
  gateways: [edge]
  http:
  - route: [{destination: {host: app}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: moved}
spec:
  hosts: [moved.test]
  gateways: [edge]
  http:
  - redirect: {uri: /there, authority: app.test}
"""
    few = """---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: few}
spec:
  hosts: [few.test]
  gateways: [edge]
  http:
  - route: [{destination: {host: few}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: few}
spec: {host: few, trafficPolicy: {connectionPool: {tcp: {maxConnections: 1}}}}
"""
    return (GATEWAY + service("app") + pod("app-1", "app") + service("few") + pod("few-1", "few") + moved + few
            + tag_rules(("appver-a", "v2", 10)))


if __name__ == "__main__":
    # Little waits in the kernel: the proxy has to hold, and to wait, where else it would rarely.
    with open("/proc/sys/net/ipv4/tcp_wmem", "w", encoding="ascii") as sysctl:
        sysctl.write("4096 16384 16384")
    tests = Tests()
    os.environ["LANETAG_PROXY_COMMAND"] += " --drain-timeout 60000"  # longer than clients wait
    proxy = Proxy(manifests(), workers=1)
    for claim in [value for value in list(globals().values())
                  if callable(value) and getattr(value, "__module__", "") == "__main__"
                  and not isinstance(value, type) and value.__name__ not in NOT_CLAIMS]:
        tests.run(claim)

    def it_ends_in_order_although_a_kept_connection_is_still_taking_its_response_in():
        with Client(receive_buffer=4096) as client:
            client.send(request_bytes("/big/100000"))
            time.sleep(0.3)
            proxy.process.send_signal(signal.SIGTERM)
            assert client.response().body == pattern(100000)
            assert client.is_closed()
        status = proxy.stop()
        assert status == 0, (status, proxy.read_log()[-3000:])
    tests.run(it_ends_in_order_although_a_kept_connection_is_still_taking_its_response_in)
    sys.exit(tests.end())
