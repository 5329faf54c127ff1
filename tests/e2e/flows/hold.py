#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""A connection that stays open until this process is ended.

usage: hold.py ADDRESS PORT WHAT…

WHAT is USER (a whole request, its response is read), head:USER (half a head), body:USER (a head and half its body) or
tls (what begins a TLS connection), one behind the other. Prints the client's port when all of it is sent.
"""
import http.client
import signal
import sys

ADDRESS, PORT = sys.argv[1], int(sys.argv[2])


def head(user, more=""):
    return f"POST / HTTP/1.1\r\nHost: demo\r\nx-user-id: {user}\r\n{more}".encode()


connection = http.client.HTTPConnection(ADDRESS, PORT, timeout=10)
connection.connect()
for what in sys.argv[3:]:
    kind, _, user = what.rpartition(":")
    if what == "tls":
        connection.sock.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    elif kind == "head":
        connection.sock.sendall(head(user))
    elif kind == "body":
        connection.sock.sendall(head(user, "Content-Length: 9\r\n\r\nhalf"))
    else:
        connection.request("GET", "/", headers={"x-user-id": user})
        connection.getresponse().read()
print(connection.sock.getsockname()[1], flush=True)
signal.pause()
