#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""An application that forwards nothing, or one header: each request makes one call, whose answer is the answer.

usage: server.py WAY ADDRESS PORT CALLED-URL [HEADER]     HEADER: of threads, single and asyncio

WAY is how it works:
  threads   http.server, a thread for each connection, calls by urllib
  single    http.server, one thread
  pool      reads in one thread, calls and answers in another of a pool
  stealing  the threads of a pool read, call and answer each other's requests
  asyncio   one thread, an event loop
  polling   one thread, poll(2) on blocking sockets, requests that wait for each other
"""
import asyncio
import concurrent.futures
import http.server
import random
import select
import socket
import sys
import threading
import time
import urllib.request
from urllib.parse import urlsplit

WAY, ADDRESS, PORT, URL = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
PASSED_ON = sys.argv[5] if len(sys.argv) > 5 else None


def call(value=None):
    headers = {PASSED_ON: value} if value else {}
    with urllib.request.urlopen(urllib.request.Request(URL, headers=headers), timeout=20) as response:
        return response.read()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = call(PASSED_ON and self.headers.get(PASSED_ON))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Threaded(http.server.ThreadingHTTPServer):
    request_queue_size = 128


class Single(http.server.HTTPServer):
    request_queue_size = 128


def serve_with(server_class):
    handler = Handler
    if server_class is Single:  # one connection at a time: it must not be kept
        handler = type("ClosingHandler", (Handler,), {"protocol_version": "HTTP/1.0"})
    server_class((ADDRESS, PORT), handler).serve_forever()


def listen():
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((ADDRESS, PORT))
    listener.listen(128)
    return listener


def read_head(connection):
    head = b""
    while b"\r\n\r\n" not in head:
        piece = connection.recv(65536)
        if not piece:
            return None
        head += piece
    return head


def answer(connection, body):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def serve_pool():
    workers = concurrent.futures.ThreadPoolExecutor(16)

    def read_all(connection):
        with connection:
            while read_head(connection):
                workers.submit(lambda: answer(connection, call())).result()

    listener = listen()
    while True:
        threading.Thread(target=read_all, args=(listener.accept()[0],), daemon=True).start()


def serve_stealing():
    """What is read is put back for any thread; who has read takes whatever is next."""
    tasks = []
    ready = threading.Condition()

    def put(*task):
        with ready:
            tasks.append(task)
            ready.notify()

    def work():
        while True:
            with ready:
                ready.wait_for(lambda: tasks)
                what, connection = tasks.pop(random.randrange(len(tasks)))
            if what == "answer":
                answer(connection, call())
                put("read", connection)
            elif read_head(connection):
                put("answer", connection)

    for _ in range(64):
        threading.Thread(target=work, daemon=True).start()
    listener = listen()
    while True:
        put("read", listener.accept()[0])


def serve_polling():
    listener = listen()
    poller = select.poll()
    poller.register(listener, select.POLLIN)
    connections, waiting = {}, []
    while True:
        for fd, _ in poller.poll(1):
            if fd == listener.fileno():
                connection = listener.accept()[0]
                connections[connection.fileno()] = connection
                poller.register(connection, select.POLLIN)
            elif read_head(connections[fd]):
                waiting.append((time.monotonic() + random.random() * 0.005, fd))
            else:
                poller.unregister(fd)
                connections.pop(fd).close()
        due = [entry for entry in waiting if entry[0] <= time.monotonic()]
        waiting = [entry for entry in waiting if entry not in due]
        for _, fd in due:
            answer(connections[fd], call())


async def call_in_loop(head):
    passed_on = b""
    for line in head.split(b"\r\n") if PASSED_ON else ():
        if line.lower().startswith(PASSED_ON.encode() + b":"):
            passed_on = line + b"\r\n"
    target = urlsplit(URL)
    reader, writer = await asyncio.open_connection(target.hostname, target.port)
    head = f"GET / HTTP/1.1\r\nHost: {target.netloc}\r\nConnection: close\r\n".encode()
    writer.write(head + passed_on + b"\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.decode().split("\r\n") if line.lower().startswith("content-length:"))
    body = await reader.readexactly(length)
    writer.close()
    return body


async def serve_connection(reader, writer):
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            await asyncio.sleep(random.random() * 0.005)
            body = await call_in_loop(head)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    writer.close()


async def serve_asyncio():
    server = await asyncio.start_server(serve_connection, ADDRESS, PORT)
    async with server:
        await server.serve_forever()


WAYS = {
    "threads": lambda: serve_with(Threaded),
    "single": lambda: serve_with(Single),
    "pool": serve_pool,
    "stealing": serve_stealing,
    "asyncio": lambda: asyncio.run(serve_asyncio()),
    "polling": serve_polling,
}
WAYS[WAY]()
