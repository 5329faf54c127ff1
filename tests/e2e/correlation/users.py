#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Many users at once against the tutorial's chain; says how many of their requests went their own way.

usage: users.py ADDRESS PORT USERS REQUESTS [ID-HEADER]

USERS connections at a time, each a user of its own, send REQUESTS requests each, in each a new id under ID-HEADER.
Prints "right=N none=N wrong=N failed=N": none went the way of an untagged user from some application on.
"""
import http.client
import re
import sys
import threading
import uuid

ADDRESS, PORT, USERS, REQUESTS = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
ID_HEADER = sys.argv[5] if len(sys.argv) > 5 else None
UNTAGGED = ["v1", "v1", "v2"]

counts = {"right": 0, "none": 0, "wrong": 0, "failed": 0}
lock = threading.Lock()


def remainder(user):
    """The tutorial's draw: FNV-1a, modulo 100."""
    value = 0x811C9DC5
    for byte in user.encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value % 100


def versions_of(user):
    drawn = remainder(user)
    return ["v2" if drawn <= 10 else "v1"] * 2 + ["v3" if drawn <= 50 else "v2"]


def new_id():
    if ID_HEADER == "traceparent":
        return f"00-{uuid.uuid4().hex}-{uuid.uuid4().hex[:16]}-01"
    if ID_HEADER == "b3":
        return f"{uuid.uuid4().hex}-{uuid.uuid4().hex[:16]}-1"
    if ID_HEADER == "x-datadog-trace-id":
        return str(uuid.uuid4().int & (1 << 64) - 1)
    return uuid.uuid4().hex


def ask(connection, user):
    headers = {"x-user-id": user}
    if ID_HEADER:
        headers[ID_HEADER] = new_id()
    connection.request("GET", "/", headers=headers)
    response = connection.getresponse()
    text = response.read().decode()
    if response.status != 200:
        return "failed"
    versions = re.findall(r"version: (v\d+)", text)
    if versions == versions_of(user):
        return "right"
    untagged = (versions_of(user)[:hops] + UNTAGGED[hops:] for hops in (1, 2))
    return "none" if versions in untagged else "wrong"


def be_user(number):
    user = f"{number:04d}"
    connection = http.client.HTTPConnection(ADDRESS, PORT, timeout=20)
    seen = dict.fromkeys(counts, 0)
    for _ in range(REQUESTS):
        try:
            seen[ask(connection, user)] += 1
        except (OSError, http.client.HTTPException):
            seen["failed"] += 1
            connection.close()
    connection.close()
    with lock:
        for outcome, count in seen.items():
            counts[outcome] += count


threads = [threading.Thread(target=be_user, args=(number,)) for number in range(1, USERS + 1)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(" ".join(f"{outcome}={count}" for outcome, count in counts.items()))
