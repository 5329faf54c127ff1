# SPDX-License-Identifier: GPL-2.0-only
"""Traffic of every kind, a reload each second, endpoints that die and come back, a new agent every ten seconds: no
request fails that need not fail, and nothing grows. SOAK_SECONDS: how long (make soak: 600)."""
import os
import random
import socket
import sys
import threading
import time

from harness import (GATEWAY, SUBSETS, Client, Closed, Reader, Request, Tests, Upstream, chunked, digest, pattern, pod, reply,
                     request_bytes, service, tag_rules)
from takeover import Place, wait_for

SECONDS = float(os.environ.get("SOAK_SECONDS", "20"))
ADDRESSES = ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"]
RESET = b"\1\0\0\0\0\0\0\0"  # SO_LINGER: on, at once
LARGE = pattern(1 << 20, 3)
CHUNKED = pattern(300_000, 4)

# A request that got no byte of an answer is tried elsewhere, as platforms configure it.
ROUTE = """---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: edge}
spec:
  hosts: ["*"]
  gateways: [edge]
  http:
  - match: [{headers: {appver-a: {exact: v2}}}]
    retries: {attempts: 5, retryOn: "connect-failure,reset,503"}
    route: [{destination: {host: app, subset: v2}}]
  - retries: {attempts: 5, retryOn: "connect-failure,reset,503"}
    route: [{destination: {host: app, subset: v1}}]
"""


def manifests(round_number):
    """Each differs from the one before: the share of users, and one endpoint of each subset comes or goes."""
    text = GATEWAY + service("app")
    for i, address in enumerate(ADDRESSES):
        if round_number % 3 or i < 2:
            text += pod(f"app-{i}", "app", address, "v1")
            text += pod(f"app-v2-{i}", "app", address.replace(".0.0.", ".0.1."), "v2")
    return text + ROUTE + SUBSETS + tag_rules(("appver-a", "v2", 20 + round_number % 50))


class Mortal(Upstream):
    """An upstream that can be killed: what it has not begun to answer is lost."""

    def __init__(self, address, deaths):
        self.deaths = deaths
        self.lock = threading.Lock()
        self.alive = True
        self.begun = {}  # socket -> whether an answer was begun
        super().__init__(self.answer, address=address)

    def serve(self, sock):
        reader = Reader(sock)
        with self.lock:
            self.begun[sock] = False
        try:
            while True:
                request = Request(reader, reader.until(b"\r\n\r\n"))
                if not self.handler(request, sock):
                    break
        except (Closed, OSError, ValueError):
            pass
        finally:
            with self.lock:
                del self.begun[sock]
                began = time.monotonic()
                sock.close()
                if not self.alive:  # after an answer that was begun before
                    self.deaths.append((began, time.monotonic()))

    def answer(self, request, sock):
        body = request.body()
        with self.lock:
            if not self.alive:
                return False
            self.begun[sock] = True
        if request.target == "/large":
            reply(sock, LARGE)
        elif request.target == "/chunked":
            sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(CHUNKED, [70_001] * 5))
        else:
            reply(sock, digest(body).encode(), fields=[f"x-tag: {request.get('appver-a') or 'none'}"])
        with self.lock:
            self.begun[sock] = False
            return self.alive

    def die(self):
        with self.lock:
            self.alive = False
            for sock, begun in self.begun.items():
                if not begun:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    sock.shutdown(socket.SHUT_RDWR)
        self.stop()


class Endpoints:
    """All of them; at most one of each version is dead at a time."""

    def __init__(self):
        self.count = 0
        self.deaths = []  # (from, to): when a connection may have died
        self.living = {address: Mortal(address, self.deaths) for first in ADDRESSES
                       for address in (first, first.replace(".0.0.", ".0.1."))}

    def kill_one(self, dice):
        address = dice.choice(sorted(self.living))
        began = time.monotonic()
        self.living[address].die()
        self.deaths.append((began, time.monotonic()))
        time.sleep(0.4)
        self.living[address] = Mortal(address, self.deaths)
        self.count += 1


class Traffic:
    """Clients of each kind; what went wrong is kept, and whether it had to."""

    KINDS = {
        "get": ("GET", "/", 0),
        "get-fresh": ("GET", "/", 0),
        "get-large": ("GET", "/large", 0),
        "get-chunked": ("GET", "/chunked", 0),
        "post-small": ("POST", "/echo", 4_000),
        "post-large": ("POST", "/echo", 200_000),
    }

    def __init__(self, endpoints):
        self.endpoints = endpoints
        self.ends = False
        self.lost = []  # (kind, began, ended, error)
        self.failures = []
        self.lost_with_endpoint = 0
        self.answered = dict.fromkeys(self.KINDS, 0)
        self.threads = [threading.Thread(target=self.run, args=(kind,), daemon=True) for kind in self.KINDS]
        for thread in self.threads:
            thread.start()

    def run(self, kind):
        client, dice = None, random.Random(kind)
        while not self.ends:
            began = time.monotonic()
            fresh = client is None
            try:
                client = client or Client()
                going_on = self.exchange(kind, client, dice)
                if not going_on or kind == "get-fresh":
                    client.close()
                    client = None
            except (OSError, Closed, AssertionError) as error:
                client = None
                if fresh or not isinstance(error, (Closed, ConnectionResetError, BrokenPipeError)):
                    self.lost.append((kind, began, time.monotonic(), error))
            time.sleep(0.002)

    def exchange(self, kind, client, dice):
        method, target, size = self.KINDS[kind]
        body = pattern(size, dice.randrange(100))
        client.send(request_bytes(target, method, [f"x-user-id: {dice.randrange(1000)}"], body))
        answer = client.response()
        assert answer.status == 200, answer.raw + answer.body
        expected = {"/large": LARGE, "/chunked": CHUNKED}.get(target, digest(body).encode())
        assert answer.body == expected, f"a wrong body of {len(answer.body)} bytes"
        self.answered[kind] += 1
        return answer.get("connection") != "close"

    def judge(self):
        """
        Only what is too large to be kept for another try may be lost, and only with its endpoint. Once all has ended: a
        client can know of a death before it is written down.
        """
        for kind, began, ended, error in self.lost:
            if kind == "post-large" and any(began <= to and start <= ended for start, to in self.endpoints.deaths):
                self.lost_with_endpoint += 1
            else:
                self.failures.append(f"{kind}: {error!r}")

    def stop(self):
        self.ends = True
        for thread in self.threads:
            thread.join()
        self.judge()


def nothing_fails_that_need_not_fail():
    dice = random.Random(1)
    endpoints = Endpoints()
    place = Place()
    proxy = place.start(manifests(0))
    traffic = Traffic(endpoints)
    started = time.monotonic()
    sizes, agents = [], 1
    round_number = 0
    while time.monotonic() - started < SECONDS:
        round_number += 1
        proxy.write(manifests(round_number))
        if round_number % 2:
            proxy.reload()
        endpoints.kill_one(dice)
        sizes.append((proxy.resident_bytes(), proxy.descriptors()))
        if round_number % 10 == 0:
            proxy.write(manifests(round_number))
            following = place.start(manifests(round_number))
            assert proxy.process.wait(20) == 0, proxy.read_log()[-2000:]
            proxy = following
            agents += 1
        if sys.stderr.isatty():
            print(f"\r{time.monotonic() - started:.0f} s, {sum(traffic.answered.values())} requests, "
                  f"{len(traffic.lost)} lost", end="", file=sys.stderr)
        time.sleep(max(0.0, started + round_number - time.monotonic()))
    traffic.stop()
    print(f"# {time.monotonic() - started:.0f} s, {round_number} reloads, {endpoints.count} deaths, "
          f"{agents} agents, answered: {traffic.answered}, lost with their endpoint: {traffic.lost_with_endpoint}, "
          f"resident at most {max(size for size, _ in sizes) >> 10} KiB, descriptors at most {max(fds for _, fds in sizes)}",
          flush=True)
    assert not traffic.failures, (len(traffic.failures), traffic.failures[:5])
    assert all(traffic.answered.values()), traffic.answered
    assert max(size for size, _ in sizes) < 64 << 20, sizes
    assert max(fds for _, fds in sizes) < 500, sizes
    log = proxy.read_log()
    assert "refused" not in log and "not opened" not in log, log[-2000:]
    assert proxy.stop() == 0, proxy.read_log()[-2000:]


if __name__ == "__main__":
    assert wait_for
    tests = Tests()
    tests.run(nothing_fails_that_need_not_fail)
    sys.exit(tests.end())
