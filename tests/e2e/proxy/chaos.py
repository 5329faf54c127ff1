# SPDX-License-Identifier: GPL-2.0-only
"""Clients and upstreams that misbehave at random, reloads in between: whoever behaves is served right,
and afterwards nothing is left behind."""
import os
import random
import socket
import sys
import threading
import time

from harness import (Client, Closed, GATEWAY, Proxy, Tests, Upstream, chunked, digest, pattern, pod, reply,
                     request_bytes, routes, service, to)

SECONDS = float(os.environ.get("LANETAG_CHAOS_SECONDS", "8"))
RESET = b"\1\0\0\0\0\0\0\0"  # SO_LINGER: on, at once


def misbehave(request, sock, dice):
    """An upstream that may do anything."""
    kind = dice.randrange(9)
    body = pattern(dice.choice((0, 10, 5000, 200000, 900000)), 6)
    whole = (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)) + body
    if kind == 0:
        return False
    if kind == 1:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        sock.sendall(whole[: dice.randrange(len(whole))])
        return False
    if kind == 2:
        sock.sendall(whole[: dice.randrange(len(whole))])
        return False
    if kind == 3:
        request.body()
        sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(body, [70001] * 13)[: dice.randrange(200000)])
        return False
    if kind == 4:
        sock.sendall(bytes(dice.randrange(256) for _ in range(200)) + b"\r\n\r\n")
        return False
    if kind == 5:
        sock.sendall(whole + b"HTTP/1.1 200 OK\r\n\r\n")
        return False
    if kind == 6:
        request.body()
        sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * dice.randrange(5) + whole)
        return True
    if kind == 7:
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + body)
        return False
    request.body()
    sock.sendall(whole)
    return True


def handle(request, sock):
    dice = random.Random()
    if request.target.startswith("/bad"):
        return misbehave(request, sock, dice)
    body = request.body()
    if request.target.startswith("/chunked"):
        sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(body, [dice.randrange(1, 300000) for _ in range(99)] + [len(body)]))
        return True
    return reply(sock, body)


upstream = Upstream(handle)
other = Upstream(handle, address="127.0.0.2")
# An endpoint that says more than it was asked can only confuse its own clients: it gets no others.
bad = Upstream(handle, address="127.0.0.3")
ends = threading.Event()
wrong = []
served = [0]


def bad_client():
    dice = random.Random()
    while not ends.is_set():
        try:
            client = Client(receive_buffer=dice.choice((None, 4096)))
            for _ in range(dice.randrange(1, 4)):
                data = dice.choice((
                    request_bytes(f"/bad/{dice.random()}", dice.choice(("GET", "POST", "HEAD")), body=b"x" * dice.choice((0, 100, 90000))),
                    b"POST /bad HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"y" * 300000, [99999] * 4),
                    bytes(dice.randrange(256) for _ in range(300)),
                    request_bytes("/good", version="1.0"),
                    b"GET /bad HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"))
                client.send(data[: dice.randrange(len(data) + 1)] if dice.random() < 0.4 else data)
                if dice.random() < 0.5:
                    client.sock.recv(dice.randrange(1, 100000))
            if dice.random() < 0.5:
                client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            client.close()
        except (OSError, Closed):
            pass


def good_client():
    dice = random.Random()
    client = Client()
    while not ends.is_set():
        body = pattern(dice.choice((0, 1, 3000, 66000, 400000)), dice.randrange(200))
        try:
            if dice.random() < 0.3 and body:
                client.send(b"PUT /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(body, [50001] * 9))
                answer = client.response()
            else:
                answer = client.ask(dice.choice(("/good", "/chunked")), "PUT", body=body)
            if answer.status != 200 or digest(answer.body) != digest(body):
                wrong.append((answer.status, len(answer.body), len(body), answer.body[:200]))
            served[0] += 1
        except (OSError, Closed) as error:
            wrong.append((repr(error), len(body)))
            client = Client()


def who_behaves_is_served_right():
    for thread in threads:
        thread.start()
    addresses = ["127.0.0.1", "127.0.0.2"]
    end = time.time() + SECONDS
    while time.time() < end:
        time.sleep(0.15)
        random.shuffle(addresses)
        proxy.write(manifests(addresses[: random.randrange(1, 3)]))
        proxy.reload()
    ends.set()
    for thread in threads:
        thread.join(30)
    assert not wrong, (len(wrong), wrong[:3])
    assert served[0] > 50, served
    assert proxy.process.poll() is None, proxy.read_log()[-3000:]


def nothing_is_left_behind():
    for _ in range(100):
        time.sleep(0.1)
        if proxy.descriptors() < 120:
            break
    assert proxy.descriptors() < 120, proxy.descriptors()
    with Client() as client:
        assert client.ask("/good").status == 200
    status = proxy.stop()
    assert status == 0, (status, proxy.read_log()[-3000:])


def manifests(addresses):
    pods = "".join(pod(f"app-{address.replace('.', '-')}", "app", address) for address in addresses)
    return (GATEWAY + service("app") + pods + service("bad") + pod("bad", "bad", "127.0.0.3") +
            routes(to("bad", "/bad"), to("app")))


if __name__ == "__main__":
    proxy = Proxy(manifests(["127.0.0.1"]), "body-timeout=5000", "response-timeout=8000")
    threads = [threading.Thread(target=target, daemon=True) for target in [bad_client] * 12 + [good_client] * 4]
    tests = Tests()
    tests.run(who_behaves_is_served_right)
    tests.run(nothing_is_left_behind)
    sys.exit(tests.end())
