#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Calls that wait in the agent's queue, each with its request sent: what became of them.

usage: queued.py ADDRESS PORT HOST COUNT AGENT

Stops the process AGENT, connects COUNT times and sends, asks the agent to end and lets it go on. Prints how many calls
had which status ("none": it failed).
"""
import collections
import os
import select
import signal
import socket
import sys

TIMEOUT_SECONDS = 20
ADDRESS, PORT, HOST, COUNT, AGENT = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
REQUEST = f"GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode()


def status(connection):
    try:
        answer = b""
        while received := connection.recv(4096):
            answer += received
        return answer.split(b" ")[1].decode() if answer.startswith(b"HTTP/1.1 ") else "none"
    except OSError:
        return "none"


connections = [socket.socket() for _ in range(COUNT)]
os.kill(AGENT, signal.SIGSTOP)
try:
    # All at once: the kernel believes a stopped agent for half a second.
    for connection in connections:
        connection.setblocking(False)
        connection.connect_ex((ADDRESS, PORT))
    for connection in connections:
        select.select([], [connection], [], TIMEOUT_SECONDS)
        connection.settimeout(TIMEOUT_SECONDS)
        connection.sendall(REQUEST)
finally:
    os.kill(AGENT, signal.SIGTERM)
    os.kill(AGENT, signal.SIGCONT)
statuses = collections.Counter(map(status, connections))
print(" ".join(f"{status}={count}" for status, count in sorted(statuses.items())))
