# SPDX-License-Identifier: GPL-2.0-only
"""An upstream whose every byte the tests decide, a raw client, and lanetag between them.

All on the loopback of a network namespace of its own (test_proxy.sh makes it): ports are free."""
import hashlib
import os
import re
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import urllib.request

PROXY_PORT = 8080
SERVICE_PORT = 8081
UPSTREAM_PORT = 9000


class Request:
    """A request as the upstream got it; the body is read when asked for."""

    def __init__(self, reader, head):
        self.reader = reader
        self.raw = head
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, self.version = lines[0].split(" ")
        self.fields = [tuple(part.strip() for part in line.split(":", 1)) for line in lines[1:] if line]
        self.trailers = []

    def all(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def get(self, name):
        values = self.all(name)
        return values[0] if values else None

    def body(self):
        if self.get("transfer-encoding"):
            return b"".join(self.chunks())
        return self.reader.exactly(int(self.get("content-length") or 0))

    def chunks(self):
        while True:
            size = int(self.reader.line().split(b";")[0], 16)
            if size == 0:
                break
            yield self.reader.exactly(size)
            assert self.reader.line() == b""
        while True:
            line = self.reader.line()
            if line == b"":
                return
            self.trailers.append(line.decode("latin-1"))


class Closed(Exception):
    pass


class Reader:
    """Buffered reading from a socket."""

    def __init__(self, sock):
        self.sock = sock
        self.buffer = b""

    def more(self):
        data = self.sock.recv(1 << 18)
        if not data:
            raise Closed()
        self.buffer += data

    def until(self, mark):
        while mark not in self.buffer:
            self.more()
        part, self.buffer = self.buffer.split(mark, 1)
        return part

    def line(self):
        return self.until(b"\r\n")

    def exactly(self, count):
        parts, have = [], 0
        while have < count:
            if not self.buffer:
                self.more()
            part = self.buffer[: count - have]
            self.buffer = self.buffer[len(part):]
            parts.append(part)
            have += len(part)
        return b"".join(parts)

    def rest(self):
        try:
            while True:
                self.more()
        except Closed:
            pass
        except ConnectionResetError:
            self.was_reset = True
        data, self.buffer = self.buffer, b""
        return data

    was_reset = False


class Upstream:
    """Calls handler(request, connection) for each request; True: the connection goes on."""

    def __init__(self, handler, port=UPSTREAM_PORT, address="127.0.0.1"):
        self.handler = handler
        self.requests = []
        self.connections = 0
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((address, port))
        self.listener.listen(1024)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        reader = Reader(sock)
        try:
            while True:
                request = Request(reader, reader.until(b"\r\n\r\n"))
                self.requests.append(request)
                if not self.handler(request, sock):
                    break
        except (Closed, OSError, ValueError):
            pass
        finally:
            sock.close()

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class Response:
    def __init__(self, head):
        lines = head.decode("latin-1").split("\r\n")
        self.raw = head
        self.version, status, self.reason = (lines[0] + "  ").split(" ", 2)
        self.status = int(status)
        self.fields = [tuple(part.strip() for part in line.split(":", 1)) for line in lines[1:] if line]
        self.body = b""
        self.trailers = []

    get = Request.get
    all = Request.all


class Client:
    """A client's connection, to be written to as it comes."""

    def __init__(self, port=PROXY_PORT, address="127.0.0.1", source=None, receive_buffer=None):
        self.sock = socket.socket()
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source:
            self.sock.bind((source, 0))
        self.sock.settimeout(20)
        self.sock.connect((address, port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = Reader(self.sock)

    def send(self, data):
        self.sock.sendall(data)

    def response(self, to_head=False):
        response = Response(self.reader.until(b"\r\n\r\n"))
        if to_head or response.status < 200 or response.status in (204, 304):
            return response
        if response.get("transfer-encoding"):
            fake = Request(self.reader, b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked")
            response.body = fake.body()
            response.trailers = fake.trailers
        elif response.get("content-length") is not None:
            response.body = self.reader.exactly(int(response.get("content-length")))
        else:
            response.body = self.reader.rest()
        return response

    def ask(self, target, method="GET", fields=(), body=b"", version="1.1"):
        self.send(request_bytes(target, method, fields, body, version))
        return self.response(method == "HEAD")

    def is_closed(self):
        """True once the proxy has closed; whatever it says before is thrown away."""
        self.reader.rest()
        return True

    def segments_received(self):
        """Of all kinds, as the kernel counts them: tcpi_segs_in of struct tcp_info."""
        return struct.unpack_from("I", self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 144), 140)[0]

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def request_bytes(target, method="GET", fields=(), body=b"", version="1.1"):
    head = f"{method} {target} HTTP/{version}\r\nHost: app.test\r\n"
    if body:
        head += f"Content-Length: {len(body)}\r\n"
    return (head + "".join(field + "\r\n" for field in fields) + "\r\n").encode("latin-1") + body


def chunked(body, sizes, trailers=()):
    out, at = [], 0
    for size in sizes:
        part = body[at: at + size]
        if part:
            out.append(b"%x\r\n%s\r\n" % (len(part), part))
        at += size
    assert at >= len(body)
    return b"".join(out) + b"0\r\n" + "".join(t + "\r\n" for t in trailers).encode() + b"\r\n"


def pattern(length, seed=1):
    """Bytes that a shifted or repeated piece would show in."""
    block = hashlib.shake_128(bytes([seed])).digest(65521)
    return (block * (length // len(block) + 1))[:length]


def digest(data):
    return hashlib.sha256(data).hexdigest()


def reply(sock, body=b"", status="200 OK", fields=()):
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n"
    sock.sendall((head + "".join(f + "\r\n" for f in fields) + "\r\n").encode() + body)
    return True


class Proxy:
    """lanetag with a directory of manifests."""
    processes = []  # of all, so that none outlives the tests

    def __init__(self, manifests, *limits, workers=2, environment=None, prefix=(), options=()):
        self.directory = tempfile.TemporaryDirectory(prefix="lanetag-proxy-")
        self.write(manifests)
        command = os.environ["LANETAG_PROXY_COMMAND"].split()
        self.log = tempfile.NamedTemporaryFile(mode="w+", prefix="lanetag-log-")
        arguments = [*prefix, *command, "--config", self.directory.name, "--workers", str(workers), *options]
        for limit in limits:
            arguments += ["--limit", limit]
        self.process = subprocess.Popen(arguments, stderr=self.log, env=environment)
        self.processes.append(self.process)
        self.wait_for_port()

    def write(self, manifests):
        path = os.path.join(self.directory.name, "manifests.yaml")
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write(manifests)
        os.rename(path + ".new", path)

    def wait_for_port(self):
        for _ in range(500):
            if self.process.poll() is not None:
                raise RuntimeError("lanetag ended: " + self.read_log())
            try:
                socket.create_connection(("127.0.0.1", PROXY_PORT), 1).close()
                return
            except OSError:
                time.sleep(0.01)
        raise RuntimeError("lanetag does not listen")

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def read_log(self):
        self.log.flush()
        with open(self.log.name, encoding="utf-8") as file:
            return file.read()

    def stop(self):
        """The exit status; -1 if it had to be killed."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            status = -1
        self.directory.cleanup()
        return status


def wait_for(condition, what="waited in vain"):
    due = time.monotonic() + 20
    while time.monotonic() < due:
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError(what)


def start(manifests, *options):
    """An agent with more options that has started, after those that failed claims have left behind."""
    for process in Proxy.processes:
        process.kill()
        process.wait()
    proxy = Proxy(manifests, options=options)
    wait_for(lambda: re.search(r'event"?[=:]"started"', proxy.read_log()), "the agent starts")
    return proxy


GATEWAY = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  servers:
  - port: {number: 8080, name: http, protocol: HTTP}
    hosts: ["*"]
"""

SERVICE = """---
apiVersion: v1
kind: Service
metadata: {name: %(name)s}
spec: {clusterIP: %(address)s, selector: {app: %(name)s}, ports: [{name: http, port: %(port)d, targetPort: %(target)d}]}
"""

POD = """---
apiVersion: v1
kind: Pod
metadata: {name: %(name)s, labels: {app: %(app)s, version: %(version)s}}
spec: {containers: [{name: app, image: app}]}
status: {podIP: %(address)s}
"""

ROUTE = """---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: edge}
spec:
  hosts: ["*"]
  gateways: [edge]
  http:
%(routes)s
"""


SUBSETS = """---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: app}
spec:
  host: app
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
"""

TAG_RULES = """---
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: tags}
spec:
  pluginConfig:
    rules:
"""


def service(name, port=80, target=UPSTREAM_PORT, address="None"):
    return SERVICE % {"name": name, "port": port, "target": target, "address": address}


def pod(name, app, address="127.0.0.1", version="v1"):
    return POD % {"name": name, "app": app, "address": address, "version": version}


def routes(*entries):
    return ROUTE % {"routes": "\n".join("  - " + entry for entry in entries)}


def to(host, match=None):
    route = f"route: [{{destination: {{host: {host}}}}}]"
    return f"{{match: [{{uri: {{prefix: {match}}}}}], {route}}}" if match else f"{{{route}}}"


def tag_rules(*rules):
    """A WasmPlugin with these rules: (tag header, tag value, range), or with `source` in place of the header's name."""
    return TAG_RULES + "".join(tag_rule(*rule) for rule in rules)


def tag_rule(header, value, maximum, source="header: x-user-id"):
    quoted = value.replace("'", "''")
    return (f"    - {{{source}, modulo: 100, tagHeader: {header}, "
            f"policies: [{{range: {maximum}, tagValue: '{quoted}'}}]}}\n")


def one_app():
    return GATEWAY + service("app") + pod("app-1", "app") + routes(to("app"))


def metrics():
    """The agent's counters by their names, labels included; of --admin 127.0.0.1:15020."""
    with urllib.request.urlopen("http://127.0.0.1:15020/metrics") as answer:
        text = answer.read().decode()
    values = {}
    for line in text.splitlines():
        match = re.match(r"(lanetag_\S+) (\d+)$", line)
        if match:
            values[match.group(1)] = int(match.group(2))
    return values


class Tests:
    """TAP: each claim is a function; its name is the claim."""

    def __init__(self):
        self.count = self.failed = 0

    def run(self, function):
        self.count += 1
        name = function.__name__.replace("_", " ")
        try:
            function()
            print(f"ok {self.count} - {name}", flush=True)
        except Exception as error:  # pylint: disable=broad-except
            import traceback
            self.failed += 1
            trace = traceback.format_exc().replace("\n", "\n# ")
            print(f"not ok {self.count} - {name}\n# {error!r}\n# {trace}", flush=True)

    def end(self):
        for process in Proxy.processes:
            if process.poll() is None:
                process.kill()
        print(f"1..{self.count}")
        return 1 if self.failed else 0
