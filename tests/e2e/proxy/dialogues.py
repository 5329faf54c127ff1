# SPDX-License-Identifier: GPL-2.0-only
"""Random dialogues. Each request says how its upstream shall answer: how framed, how fast, with what in front, how much
of it. Clients pipeline, write and read in pieces of any size. Each response bears its request's number, so that what is
mixed up, doubled, cut or lost shows.

LANETAG_DIALOGUES_SECONDS: how long (default 8); LANETAG_DIALOGUES_SEED: of one run that shall be like another."""
import collections
import json
import os
import random
import socket
import struct
import sys
import threading
import time

from harness import Client, Closed, Proxy, Tests, Upstream, chunked, digest, one_app, pattern

SECONDS = float(os.environ.get("LANETAG_DIALOGUES_SECONDS", "8"))
SEED = int(os.environ.get("LANETAG_DIALOGUES_SEED", time.time_ns() % 1000000))
RESET_AT_ONCE = struct.pack("ii", 1, 0)
# Around what one read takes, what is spliced, and what is kept to be sent again.
SIZES = (0, 1, 2, 100, 2048, 4096, 16384, 65536, 73728, 131072, 262144, 400000)
EVIL = b"HTTP/1.1 200 OK\r\nX-Number: evil\r\nContent-Length: 4\r\n\r\nevil"
METHODS = ("GET", "GET", "POST", "PUT", "HEAD", "DELETE")

arrived = collections.Counter()  # by number
wrong = []
served = collections.Counter()


def some_size(dice):
    size = dice.choice(SIZES)
    return max(0, size + dice.randrange(-300, 300)) if dice.random() < 0.5 else size


def some_chunks(dice, size):
    sizes, left = [], size
    while left > 0:
        sizes.append(dice.choice((1, 7, 1000, 16384, 65536, 131072, 200000)) if len(sizes) < 40 else left)
        left -= sizes[-1]
    return sizes


def in_chunks(dice, body):
    """Like the harness's chunked, with extensions now and then, and trailers."""
    data = chunked(body, some_chunks(dice, len(body)), ["x-end: yes"] if dice.random() < 0.5 else [])
    return data if dice.random() < 0.8 else data.replace(b"\r\n", b";name=\"value\"\r\n", 1)


class Plan:
    """A request, and how it shall be answered."""

    def __init__(self, dice, number, version="1.1"):
        self.number = number
        self.version = version
        self.method = dice.choice(METHODS)
        self.body = pattern(some_size(dice), dice.randrange(200)) if self.method in ("POST", "PUT") else b""
        self.chunked = bool(self.body) and version == "1.1" and dice.random() < 0.4
        self.expects = bool(self.body) and dice.random() < 0.2
        self.answer = {
            "number": number, "seed": dice.randrange(1 << 30), "size": some_size(dice),
            "framing": dice.choice(("length",) * 4 + ("chunks",) * 3 + ("close", "204", "304")),
            "interim": dice.choice((0,) * 6 + (1, 3, 200)),
            "early": bool(self.body) and dice.random() < 0.15,
            "sleep": dice.choice((0,) * 5 + (0.01, 0.1)),
            "end": dice.choice(("",) * 12 + ("fin", "reset", "more", "close")),
        }
        if self.answer["end"] in ("fin", "reset"):
            self.answer["cut"] = dice.random()
        if self.ends_with_connection() and self.answer["end"]:
            self.answer["end"] = "reset"  # another end would be taken for the response's
            self.answer["cut"] = dice.random()

    def request(self, dice):
        lines = [f"{self.method} /{self.number} HTTP/{self.version}", "Host: app.test", f"X-Answer: {json.dumps(self.answer)}"]
        if self.expects:
            lines.append("Expect: 100-continue")
        body = self.body
        if self.chunked:
            lines.append("Transfer-Encoding: chunked")
            body = in_chunks(dice, body)
        elif self.body:
            lines.append(f"Content-Length: {len(body)}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + body

    def ends_with_connection(self):
        framing = self.answer["framing"]
        return framing == "close" or (framing == "chunks" and self.version == "1.0")

    def interim(self):
        if self.version == "1.0":
            return 0
        return self.answer["interim"] + (self.expects and not self.answer["early"])

    def content(self):
        """Of the response; None where it has none."""
        if self.method == "HEAD" or self.answer["framing"] in ("204", "304"):
            return None
        return pattern(self.answer["size"], self.answer["seed"] % 199)

    def may_be_cut(self):
        return "cut" in self.answer

    def may_close(self, response):
        """Whether the connection may end behind the response."""
        return response.get("connection") == "close" or self.answer["early"] or response.status == 502


def response_bytes(dice, answer, method, received):
    body = pattern(answer["size"], answer["seed"] % 199)
    framing = answer["framing"]
    status = framing if framing in ("204", "304") else "200"
    head = f"HTTP/1.1 {status} Fine\r\nX-Number: {answer['number']}\r\nX-Received: {received}\r\n"
    if framing == "length":
        head += f"Content-Length: {len(body)}\r\n"
    elif framing == "chunks":
        head += "Transfer-Encoding: chunked\r\n"
        body = in_chunks(dice, body)
    if framing in ("204", "304") or method == "HEAD":
        body = b""
    if answer["end"] == "close" or framing == "close":
        head += "Connection: close\r\n"
    return (head + "\r\n").encode() + body


def send_in_pieces(dice, sock, data):
    if dice.random() < 0.6:
        sock.sendall(data)
        return
    at = 0
    while at < len(data):
        size = dice.choice((1, 10, 1000, 30000, 100000))
        sock.sendall(data[at: at + size] if at < 100000 else data[at:])
        at += size if at < 100000 else len(data)
        if dice.random() < 0.3:
            time.sleep(0.001)


def handle(request, sock):
    answer = json.loads(request.get("x-answer"))
    dice = random.Random(answer["seed"])
    arrived[answer["number"], request.method] += 1
    time.sleep(answer["sleep"])
    if request.get("expect") and not answer["early"]:
        sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    received = "early" if answer["early"] else digest(request.body())
    data = response_bytes(dice, answer, request.method, received)
    if answer["end"] == "more" and len(data) < 16000:
        data += EVIL  # in one piece with the response
    sock.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * answer["interim"])
    if "cut" in answer:
        send_in_pieces(dice, sock, data[: int(len(data) * answer["cut"])])
        if answer["end"] == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_ONCE)
        return False
    if answer["end"] == "more":
        sock.sendall(data)
    else:
        send_in_pieces(dice, sock, data)
    if answer["early"]:
        request.body()
    return answer["framing"] != "close" and answer["end"] != "close"


def read_response(dice, client, plan):
    interim = 0
    while True:
        response = client.response(to_head=plan.method == "HEAD")
        if response.status >= 200:
            break
        interim += 1
        if dice.random() < 0.1:
            time.sleep(0.002)
    if response.status == 502 and plan.may_be_cut():
        served["502"] += 1
        return response
    if client.reader.was_reset or client.sender_was_reset:
        raise ConnectionResetError
    assert response.get("x-number") == str(plan.number), (plan.answer, response.raw[:300])
    assert interim == plan.interim(), (plan.answer, interim)
    if response.get("x-received") != "early":
        assert response.get("x-received") == digest(plan.body), (plan.answer, response.raw[:300])
    if plan.content() is not None:
        assert digest(response.body) == digest(plan.content()), (plan.answer, len(response.body))
    served["whole"] += 1
    return response


def converse(dice, number):
    """One connection: some requests, all of them sent whatever is answered meanwhile."""
    plans = [Plan(dice, number + i) for i in range(dice.randrange(1, 12))]
    if dice.random() < 0.2:
        plans = [Plan(dice, number, "1.0")]
    stream = b"".join(plan.request(dice) for plan in plans)
    with Client(receive_buffer=dice.choice((None, None, 4096))) as client:
        client.sender_was_reset = False
        sender = threading.Thread(target=send_all, args=(random.Random(dice.random()), client, stream), daemon=True)
        sender.start()
        for index, plan in enumerate(plans):
            if dice.random() < 0.2:
                time.sleep(0.01)
            try:
                response = read_response(dice, client, plan)
            except (Closed, ConnectionResetError) as error:
                # The reset that shows a cut takes along what the client had not read of the responses before.
                assert any(later.may_be_cut() for later in plans[index:]), (
                    repr(error), plan.method, len(plan.body), plan.answer, client.reader.buffer[:300])
                served["cut"] += 1
                break
            if plan.may_close(response):
                break
        try:
            client.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # closed by now
        sender.join(10)


def send_all(dice, client, stream):
    try:
        send_in_pieces(dice, client.sock, stream)
    except OSError:
        client.sender_was_reset = True  # whoever meets the reset first takes it


def run_client(seed, first, end):
    dice = random.Random(seed)
    number = first
    while time.time() < end and len(wrong) < 5:
        try:
            converse(dice, number)
        except (OSError, AssertionError, ValueError) as error:
            wrong.append(repr(error)[:2000])
        number += 100


def each_response_is_its_requests_whole_or_visibly_cut():
    end = time.time() + SECONDS
    threads = [threading.Thread(target=run_client, args=(SEED * 100 + i, i * 10000000, end), daemon=True) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS + 60)
    assert not any(thread.is_alive() for thread in threads)
    assert not wrong, (SEED, len(wrong), wrong[:3])
    assert served["whole"] > 100, served
    print(f"# seed {SEED}: {dict(served)}", flush=True)


def what_may_not_be_repeated_came_at_most_once():
    twice = [key for key, count in arrived.items() if count > 1 and key[1] == "POST"]
    assert not twice, (SEED, twice[:5])


def nothing_is_left_behind():
    for _ in range(100):
        if proxy.descriptors() < 120:
            break
        time.sleep(0.1)
    assert proxy.descriptors() < 120, proxy.descriptors()
    status = proxy.stop()
    assert status == 0, (status, proxy.read_log()[-3000:])


if __name__ == "__main__":
    if SEED % 2:  # little waits in the kernel
        with open("/proc/sys/net/ipv4/tcp_wmem", "w", encoding="ascii") as sysctl:
            sysctl.write("4096 16384 16384")
    upstream = Upstream(handle)
    proxy = Proxy(one_app())
    tests = Tests()
    tests.run(each_response_is_its_requests_whole_or_visibly_cut)
    tests.run(what_may_not_be_repeated_came_at_most_once)
    tests.run(nothing_is_left_behind)
    sys.exit(tests.end())
