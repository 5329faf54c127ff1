#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Calls on and on, fifty in a second, each on a connection of its own and whatever became of the others.

usage: calls.py ADDRESS PORT

For each that is over prints "START END OUTCOME": seconds of the clock, and the version that answered or why none did.
"""
import http.client
import re
import sys
import threading
import time

ADDRESS, PORT = sys.argv[1], int(sys.argv[2])
PAUSE_SECONDS, TIMEOUT_SECONDS = 0.02, 2
lock = threading.Lock()


def outcome():
    connection = http.client.HTTPConnection(ADDRESS, PORT, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/", headers={"Connection": "close"})
        response = connection.getresponse()
        version = re.search(r"version: (\w+)", response.read().decode())
        return version[1] if response.status == 200 and version else f"status-{response.status}"
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__
    finally:
        connection.close()


def call():
    start = time.time()
    result = outcome()
    with lock:
        print(f"{start:.3f} {time.time():.3f} {result}", flush=True)


while True:
    threading.Thread(target=call, daemon=True).start()
    time.sleep(PAUSE_SECONDS)
