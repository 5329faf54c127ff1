# SPDX-License-Identifier: GPL-2.0-only
"""The processes that the benchmark compares: how each is started, what it has used so far."""
import os
import re
import socket
import subprocess
import tempfile
import time

from measuring import descendants

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.abspath(os.environ.get("LANETAG_BUILD", "build"))
LOAD = f"{BUILD}/tests/bench/load"
PROXY_CORE, LOAD_CORE = 0, 1
ORIGIN_PORT = 9000

DIRECT, LANETAG, LANETAG_KERNEL = "direct", "lanetag", "lanetag, kernel"
NGINX, HAPROXY, HAPROXY_LARGE, HAPROXY_TCP = "nginx", "HAProxy", "HAProxy 64k", "HAProxy tcp"
COPIER = "copier"
# Outside of the range that clients' ports are taken from.
PORTS = {DIRECT: ORIGIN_PORT, LANETAG: 8080, NGINX: 8081, HAPROXY: 8082, HAPROXY_TCP: 8083, HAPROXY_LARGE: 8084,
         LANETAG_KERNEL: 8085, COPIER: 8086}


def pinned(cores, *command):
    return ["taskset", "-c", str(cores), *command]


def wait_for_port(port, process, log):
    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.02)
    with open(log, encoding="utf-8") as file:
        raise SystemExit(f"nothing listens on port {port}:\n{file.read()}")


class Party:
    """A proxy on its core; for `direct` there is none."""

    def __init__(self, name, directory):
        self.name, self.port = name, PORTS[name]
        self.directory = os.path.join(directory, name.replace(" ", "-").replace(",", ""))
        os.makedirs(os.path.join(self.directory, "nginx"), exist_ok=True)
        self.process = None

    def configuration(self, file, **values):
        """The configuration file with its @PLACES@ filled in."""
        with open(os.path.join(HERE, file), encoding="utf-8") as source:
            text = source.read()
        values.update(PORT=self.port, DIRECTORY=self.directory)
        path = os.path.join(self.directory, file)
        with open(path, "w", encoding="utf-8") as target:
            target.write(re.sub(r"@(\w+)@", lambda match: str(values[match.group(1)]), text))
        return path

    def command(self):
        if self.name == NGINX:
            return ["nginx", "-e", "stderr", "-p", self.directory, "-c", self.configuration("nginx.conf")]
        if self.name == COPIER:
            return [f"{BUILD}/tests/bench/copier", str(self.port), str(ORIGIN_PORT)]
        if self.name == HAPROXY_TCP:
            return ["haproxy", "-db", "-f", self.configuration("haproxy-tcp.cfg")]
        if self.name in (HAPROXY, HAPROXY_LARGE):
            size = 65536 if self.name == HAPROXY_LARGE else 16384
            return ["haproxy", "-db", "-f", self.configuration("haproxy.cfg", BUFFER_BYTES=size)]
        kernel = ["--interface", "lo", "--pin-directory", f"/sys/fs/bpf/lanetag-bench-{os.getpid()}"] \
            if self.name == LANETAG_KERNEL else ["--no-kernel"]
        return [f"{BUILD}/lanetag", "run", "--config", self.configuration("lanetag.yaml"), "--workers", "1",
                "--admin", "", "--control", "", "--log-level", "warning", *kernel]

    def start(self):
        if self.name == DIRECT:
            return self
        log = os.path.join(self.directory, "log")
        with open(log, "w", encoding="utf-8") as file:
            self.process = subprocess.Popen(pinned(PROXY_CORE, *self.command()), stdout=file, stderr=file,
                                            stdin=subprocess.DEVNULL)
        wait_for_port(self.port, self.process, log)
        return self

    def stop(self):
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def pids(self):
        return descendants(self.process.pid) if self.process else []

    def load_command(self, *arguments):
        return pinned(LOAD_CORE, LOAD, *arguments, str(self.port))


class Origin:
    """The upstream, beside the load on the other core."""

    def __enter__(self):
        log = tempfile.mktemp(prefix="lanetag-origin-")
        with open(log, "w", encoding="utf-8") as file:
            self.process = subprocess.Popen(pinned(LOAD_CORE, f"{BUILD}/tests/bench/origin", str(ORIGIN_PORT)),
                                            stderr=file)
        wait_for_port(ORIGIN_PORT, self.process, log)
        os.unlink(log)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
