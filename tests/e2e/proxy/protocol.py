# SPDX-License-Identifier: GPL-2.0-only
"""HTTP/1.1 through the proxy (RFC 9110, 9112)."""
import re
import socket
import sys
import threading
import time

from harness import (Client, Closed, Proxy, Upstream, chunked, digest, one_app, pattern, reply,
                     request_bytes)


def handle(request, sock):
    """The upstream: the path says what it does."""
    parts = request.target.split("?")[0].strip("/").split("/")
    return HANDLERS[parts[0]](request, sock, *parts[1:])


def head_back(request, sock):
    request.body()
    return reply(sock, request.raw)


def size(request, sock, count):
    return reply(sock, b"" if request.method == "HEAD" else pattern(int(count)))


def head_only(request, sock):
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    return True


def in_chunks(request, sock, count, piece):
    body = pattern(int(count))
    sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-end\r\n\r\n"
                 + chunked(body, [int(piece)] * (int(count) // int(piece) + 1), ["x-end: yes"]))
    return True


def until_close(request, sock, count):
    sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + pattern(int(count)))
    return False


def upload(request, sock):
    body = request.body()
    return reply(sock, f"{len(body)} {digest(body)} {'|'.join(request.trailers)}".encode())


def no_content(request, sock):
    sock.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
    return True


def not_modified(request, sock):
    sock.sendall(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n")
    return True


def go_on(request, sock):
    if request.get("expect"):
        sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    return reply(sock, request.body())


def hints(request, sock):
    sock.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n")
    return reply(sock, b"done")


def early(request, sock):
    reply(sock, b"no", "413 Content Too Large", ["Connection: close"])
    time.sleep(0.2)
    return False


def refuse_expectation(request, sock):
    return reply(sock, b"no", "417 Expectation Failed")


def websocket(request, sock):
    assert request.get("upgrade") == "websocket"
    sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello ")
    while True:
        data = request.reader.buffer or sock.recv(65536)
        request.reader.buffer = b""
        if not data:
            sock.sendall(b" bye")
            return False
        sock.sendall(data.upper())


def silent_close(request, sock):
    return False


def close_after(request, sock):
    """Keeps nothing, and does not say so: a pooled connection to this one is always stale."""
    reply(sock, b"ok")
    return False


def truncated(request, sock):
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nshort")
    return False


def truncated_chunks(request, sock):
    sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n")
    return False


def garbage(request, sock):
    sock.sendall(b"SSH-2.0-OpenSSH_9\r\n\r\n")
    return False


def more_than_said(request, sock):
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
    return True


def content_where_none_may_be(request, sock):
    """What an upstream must not do: content behind a 304 or the answer to HEAD, here one that looks like an answer."""
    first = b"HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n"
    if request.method == "HEAD":
        first = b"HTTP/1.1 200 OK\r\nContent-Length: 44\r\n\r\n"
    sock.sendall(first)
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")
    return True


def byte_by_byte(request, sock):
    for byte in (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"slowly", [2, 3, 1], ["a: b"])):
        sock.sendall(bytes([byte]))
    return True


HANDLERS = {
    "head": head_back, "size": size, "head-only": head_only, "chunks": in_chunks,
    "until-close": until_close, "upload": upload, "204": no_content, "304": not_modified,
    "continue": go_on, "hints": hints, "early": early, "417": refuse_expectation,
    "websocket": websocket, "silent": silent_close, "close-after": close_after,
    "truncated": truncated, "truncated-chunks": truncated_chunks, "garbage": garbage,
    "more": more_than_said, "unasked": content_where_none_may_be, "bytewise": byte_by_byte,
}

upstream = Upstream(handle)


def requests_of_one_connection_share_one_upstream_connection():
    before = upstream.connections
    with Client() as client:
        for _ in range(20):
            assert client.ask("/size/100").body == pattern(100)
    assert upstream.connections - before <= 2, upstream.connections - before


def the_next_hop_sees_the_head_as_it_was_less_hop_by_hop_fields_plus_forwarding_fields():
    with Client() as client:
        head = client.ask("/head?q=1", fields=["Connection: X-Private, close", "X-Private: 1", "Keep-Alive: 5",
                                               "TE: trailers", "Proxy-Connection: x", "X-Own: as IT stands",
                                               "X-Forwarded-For: 192.0.2.7"]).body.decode()
    lines = head.split("\r\n")
    assert lines[0] == "GET /head?q=1 HTTP/1.1", lines[0]
    assert "Host: app.test" in lines and "X-Own: as IT stands" in lines
    for gone in ("x-private", "keep-alive", "te:", "proxy-connection", "connection:"):
        assert not any(line.lower().startswith(gone) for line in lines), (gone, lines)
    assert "Via: 1.1 lanetag" in lines
    assert "X-Forwarded-For: 192.0.2.7, 127.0.0.1" in lines
    assert "X-Forwarded-Proto: http" in lines
    ids = [line for line in lines if line.lower().startswith("x-request-id")]
    assert len(ids) == 1 and re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", ids[0].split(": ")[1]), ids


def a_request_id_that_came_is_kept_and_created_ones_differ():
    with Client() as client:
        assert b"X-Request-Id: mine\r\n" in client.ask("/head", fields=["X-Request-Id: mine"]).body
        assert client.ask("/head").body.count(b"mine") == 0
        ids = {re.search(rb"X-Request-Id: (\S+)", client.ask("/head").body).group(1) for _ in range(50)}
    assert len(ids) == 50


def the_target_of_an_absolute_form_goes_before_the_host():
    with Client() as client:
        for target, host, wanted in (("http://b.test/head?q=1", "app.test", "b.test"), ("http://app.test:8080/head?q=1", "app.test", "app.test:8080"),
                                     ("HTTP://b.test/head?q=1", "", "b.test"), ("http://App.test/head?q=1", "app.test", "app.test")):
            client.send(f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: host\r\n\r\n".encode())
            lines = client.response().body.decode().split("\r\n")
            assert lines[0] == "GET /head?q=1 HTTP/1.1", lines
            assert [line for line in lines if line.lower().startswith("host")] == [f"Host: {wanted}"], (target, lines)


def empty_members_around_chunked_are_passed_over():
    body = pattern(1000, 5)
    with Client() as client:
        for coding in (",chunked", "chunked,", " , ,\tchunked , ,", "CHUNKED,"):
            client.send(b"POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: " + coding.encode() + b"\r\n\r\n" + chunked(body, [300] * 4))
            assert client.response().body.decode() == f"1000 {digest(body)} ", coding
        client.send(b"POST /head HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n")
        assert b"\r\nTransfer-Encoding: chunked" in client.response().body


def bodies_of_every_size_arrive_whole_in_both_directions():
    with Client() as client:
        for count in (0, 1, 1000, 16384, 65535, 65536, 70000, 131072, 262144, 300001, 5000001):
            body = pattern(count, 3)
            assert client.ask("/upload", "POST", body=body).body.decode().split()[:2] == [str(count), digest(body)], count
            assert digest(client.ask(f"/size/{count}").body) == digest(pattern(count)), count


def chunked_bodies_arrive_whole_in_both_directions():
    with Client() as client:
        for count, piece in ((1, 1), (1000, 7), (100000, 1000), (70000, 70000), (2000000, 300000), (3000000, 2999999)):
            body = pattern(count, 5)
            client.send(b"POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                        + chunked(body, [piece] * (count // piece + 1), ["x-last: 1", "x-more: 2"]))
            assert client.response().body.decode() == f"{count} {digest(body)} x-last: 1|x-more: 2", (count, piece)
            answer = client.ask(f"/chunks/{count}/{piece}")
            assert digest(answer.body) == digest(pattern(count)), (count, piece)
            assert answer.trailers == ["x-end: yes"]


def a_request_is_the_same_wherever_it_is_cut():
    body = chunked(b"0123456789", [3, 7], ["t: u"])
    data = b"POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body
    want = f"10 {digest(b'0123456789')} t: u"
    with Client() as client:
        for cut in range(1, len(data)):
            client.send(data[:cut])
            time.sleep(0.002)
            client.send(data[cut:])
            assert client.response().body.decode() == want, cut
        for byte in data:
            client.send(bytes([byte]))
            time.sleep(0.001)
        assert client.response().body.decode() == want


def a_response_that_comes_byte_by_byte_is_the_same():
    with Client() as client:
        answer = client.ask("/bytewise")
        assert answer.body == b"slowly" and answer.trailers == ["a: b"]


def pipelined_requests_are_answered_in_order():
    with Client() as client:
        data = b""
        for i in range(50):
            if i % 3:
                data += request_bytes(f"/size/{i}")
            else:
                data += request_bytes("/upload", "POST", body=pattern(i * 1000, 9))
        client.send(data)
        for i in range(50):
            body = client.response().body
            if i % 3:
                assert body == pattern(i), i
            else:
                assert body.decode().split()[1] == digest(pattern(i * 1000, 9)), i


def head_and_empty_statuses_have_no_body_and_the_connection_goes_on():
    with Client() as client:
        assert client.ask("/head-only", "HEAD").get("content-length") == "1000"
        assert client.ask("/204").status == 204
        assert client.ask("/304").get("content-length") == "77"
        assert client.ask("/size/3").body == pattern(3)


def a_last_response_and_the_connections_end_come_in_one_segment():
    for target, status in (("/size/0", 200), ("/size/900", 200), ("/chunks/900/300", 200), ("/garbage", 502)):
        with Client() as client:
            assert client.ask(target, fields=("Connection: close",)).status == status
            assert client.is_closed()
            received = client.segments_received()
            assert received <= 3, (target, received)  # two others: the handshake's, and the request's acknowledgement


def a_last_response_arrives_whole_however_slowly_it_is_read():
    for target, count in (("/size/60000", 60000), ("/size/1000000", 1000000), ("/chunks/200000/7000", 200000)):
        with Client(receive_buffer=4096) as client:
            client.send(request_bytes(target, fields=("Connection: close",)))
            time.sleep(0.05)
            assert client.response().body == pattern(count)
            assert client.is_closed()


def a_response_without_length_ends_with_the_connection():
    with Client() as client:
        answer = client.ask("/until-close/2500000")
        assert digest(answer.body) == digest(pattern(2500000))
        assert answer.get("connection") == "close"


def an_old_client_gets_no_chunks():
    with Client() as client:
        answer = client.ask("/chunks/100000/999", version="1.0")
        assert answer.get("transfer-encoding") is None and digest(answer.body) == digest(pattern(100000))
    with Client() as client:
        answer = client.ask("/size/10", version="1.0", fields=["Connection: keep-alive"])
        assert answer.get("connection") == "keep-alive"
        assert client.ask("/size/11", version="1.0").get("connection") == "close"
        assert client.is_closed()


def expect_continue_goes_through():
    with Client() as client:
        client.send(b"POST /continue HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert client.response().status == 100
        client.send(b"after")
        assert client.response().body == b"after"
        client.send(b"POST /417 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert client.response().status == 417
        assert client.is_closed()


def interim_responses_are_forwarded_but_not_to_old_clients():
    with Client() as client:
        client.send(request_bytes("/hints"))
        assert client.response().status == 103 and client.response().status == 103
        assert client.response().body == b"done"
    with Client() as client:
        assert client.ask("/hints", version="1.0").status == 200


def an_answer_before_the_body_reaches_the_client():
    with Client() as client:
        client.send(b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 100000)
        assert client.response().status == 413
        assert client.is_closed()


def a_websocket_becomes_a_tunnel():
    with Client() as client:
        client.send(b"GET /websocket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly ")
        answer = client.response()
        assert answer.status == 101 and answer.get("upgrade") == "websocket", answer.raw
        assert client.reader.exactly(12) == b"hello EARLY "
        big = pattern(3000000, 8).hex().encode()
        threading.Thread(target=client.send, args=(big,), daemon=True).start()
        assert client.reader.exactly(len(big)) == big.upper()
        client.sock.shutdown(socket.SHUT_WR)
        assert client.reader.rest() == b" bye"


def connect_is_refused():
    with Client() as client:
        client.send(b"CONNECT app:80 HTTP/1.1\r\nHost: app:80\r\n\r\n")
        assert client.response().status == 501 and client.is_closed()


def a_client_that_closed_its_half_still_gets_its_answer():
    with Client() as client:
        client.send(request_bytes("/size/200000"))
        client.sock.shutdown(socket.SHUT_WR)
        assert digest(client.response().body) == digest(pattern(200000))
        assert client.is_closed()


def what_breaks_the_rules_is_refused_and_the_connection_closed():
    for bad in (b"GET / HTTP/1.1\r\n\r\n", b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\r\n\r\n",
                b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n folded\r\n\r\n"):
        with Client() as client:
            client.send(bad)
            assert client.response().status == 400 and client.is_closed(), bad
    before = len(upstream.requests)
    with Client() as client:
        client.send(b"POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n")
        assert client.response().status == 400 and client.is_closed()
    assert all(request.target != "/" for request in upstream.requests[before:])


def a_refusal_reaches_a_client_that_goes_on_sending():
    with Client() as client:
        client.send(b"BAD\r\n\r\n" + b"x" * 200000)
        assert client.response().status == 400


def a_pooled_connection_that_died_is_replaced_without_the_client_seeing_it():
    with Client() as client:
        for i in range(100):
            assert client.ask("/close-after").body == b"ok", i
            time.sleep(0.003)
            assert client.ask("/upload", "POST", body=b"x" * (i * 500 + 1)).status == 200, i


def an_upstream_that_says_nothing_or_nonsense_is_502():
    with Client() as client:
        assert client.ask("/silent").status == 502
        assert client.ask("/garbage").status == 502
        assert client.ask("/silent", "POST", body=b"x").status == 502
        assert client.ask("/size/5").body == pattern(5)


def a_response_that_breaks_off_is_not_taken_for_whole():
    for path in ("/truncated", "/truncated-chunks"):
        with Client() as client:
            client.send(request_bytes(path))
            try:
                client.response()
            except (Closed, ConnectionResetError):
                continue
            raise AssertionError(path)


def bytes_behind_a_response_never_reach_the_next_request():
    with Client() as client:
        for _ in range(10):
            assert client.ask("/more").body == b"ok"
            assert client.ask("/size/9").body == pattern(9)


def content_behind_a_response_without_content_never_reaches_the_next_request():
    with Client() as client:
        for method in ("GET", "HEAD") * 50:
            client.send(request_bytes("/unasked", method))
            assert client.response(to_head=True).status in (200, 304)
            time.sleep(0.002)
            assert client.ask("/size/9").body == pattern(9)


def main(tests):
    proxy = Proxy(one_app())
    for claim in [value for name, value in globals().items()
                  if callable(value) and getattr(value, "__module__", "") == __name__
                  and name not in ("main", "handle", *NOT_CLAIMS)]:
        tests.run(claim)

    def it_ends_in_order():
        status = proxy.stop()
        assert status == 0, (status, proxy.read_log()[-3000:])
    tests.run(it_ends_in_order)


NOT_CLAIMS = {handler.__name__ for handler in HANDLERS.values()}

if __name__ == "__main__":
    from harness import Tests
    all_tests = Tests()
    main(all_tests)
    sys.exit(all_tests.end())
