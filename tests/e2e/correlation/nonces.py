#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Sends requests to an application, each with a tag that no other request has, and looks which tag its call had.

usage: nonces.py ADDRESS PORT CONNECTIONS REQUESTS TAG [WAY]

CONNECTIONS at a time send REQUESTS requests each, with the tag as baggage. The application calls one that answers with the
head that it got. Prints "right=N none=N wrong=N failed=N": none of the calls had its tag, or another's.

WAY: plain      each request waits for the answer to the one before
     pipelined  three requests at a time
     leaving    every second client sends a request or a part of it on each connection, and goes without waiting
     traced     as plain, each request with a traceparent of its own
"""
import http.client
import re
import socket
import struct
import sys
import threading
import time
import uuid

ADDRESS, PORT, CONNECTIONS, REQUESTS = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
TAG = sys.argv[5]
WAY = sys.argv[6] if len(sys.argv) > 6 else "plain"

counts = {"right": 0, "none": 0, "wrong": 0, "failed": 0}
lock = threading.Lock()


def judge(status, text, nonce):
    if status != 200:
        return "failed"
    tags = re.findall(rf"^{TAG}: *(\S+)\s*$", text, re.MULTILINE | re.IGNORECASE)
    if not tags:
        return "none"
    return "right" if tags == [nonce] else "wrong"


def ask_in_turn(number, seen):
    connection = http.client.HTTPConnection(ADDRESS, PORT, timeout=30)
    for request in range(REQUESTS):
        nonce = f"n{number}-{request}"
        try:
            headers = {"baggage": f"{TAG}={nonce}"}
            if WAY == "traced":
                headers["traceparent"] = f"00-{uuid.uuid4().hex}-{uuid.uuid4().hex[:16]}-01"
            connection.request("GET", "/", headers=headers)
            response = connection.getresponse()
            seen[judge(response.status, response.read().decode(), nonce)] += 1
        except (OSError, http.client.HTTPException) as error:
            print(f"# {nonce} failed: {error!r}", file=sys.stderr)
            seen["failed"] += 1
            connection.close()
    connection.close()


def head(nonce):
    return f"GET / HTTP/1.1\r\nHost: a\r\nbaggage: {TAG}={nonce}\r\n\r\n".encode()


def read_answer(stream):
    status = int(stream.readline().split()[1])
    length = 0
    while (line := stream.readline().strip()):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return status, stream.read(length).decode()


def ask_three_at_a_time(number, seen):
    with socket.create_connection((ADDRESS, PORT), timeout=30) as connection:
        stream = connection.makefile("rb")
        for request in range(0, REQUESTS, 3):
            nonces = [f"p{number}-{request + i}" for i in range(3)]
            connection.sendall(b"".join(head(nonce) for nonce in nonces))
            for nonce in nonces:
                seen[judge(*read_answer(stream), nonce)] += 1


def leave(number):
    for request in range(REQUESTS):
        with socket.create_connection((ADDRESS, PORT), timeout=30) as connection:
            whole = head(f"l{number}-{request}")
            if request % 2:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.sendall(whole[:-10])
                time.sleep(0.005)  # so that it is received, before the reset
            else:
                connection.sendall(whole)


def be_client(number):
    seen = dict.fromkeys(counts, 0)
    try:
        if WAY == "pipelined":
            ask_three_at_a_time(number, seen)
        elif WAY == "leaving" and number % 2:
            leave(number)
        else:
            ask_in_turn(number, seen)
    except OSError:
        seen["failed"] += 1
    with lock:
        for outcome, count in seen.items():
            counts[outcome] += count


threads = [threading.Thread(target=be_client, args=(number,)) for number in range(CONNECTIONS)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(" ".join(f"{outcome}={count}" for outcome, count in counts.items()))
