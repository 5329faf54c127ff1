# SPDX-License-Identifier: GPL-2.0-only
"""The processes that the benchmark compares: how each is started, what it has used so far."""
import os
import re
import socket
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.abspath(os.environ.get("LANETAG_BUILD", "build"))
PROXY_CORE, LOAD_CORE = 0, 1
ORIGIN_PORT = 9000

DIRECT, LANETAG, LANETAG_KERNEL = "direct", "lanetag", "lanetag, kernel"
NGINX, HAPROXY, HAPROXY_LARGE, HAPROXY_TCP = "nginx", "HAProxy", "HAProxy 64k", "HAProxy tcp"
# Outside of the range that clients' ports are taken from.
PORTS = {DIRECT: ORIGIN_PORT, LANETAG: 8080, NGINX: 8081, HAPROXY: 8082, HAPROXY_TCP: 8083, HAPROXY_LARGE: 8084,
         LANETAG_KERNEL: 8085}


def pinned(core, *command):
    return ["taskset", "-c", str(core), *command]


def descendants(pid):
    """The process and all that came from it."""
    pids = [pid]
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
            for child in file.read().split():
                pids += descendants(int(child))
    return pids


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
        if self.name == HAPROXY_TCP:
            return ["haproxy", "-db", "-f", self.configuration("haproxy-tcp.cfg")]
        if self.name in (HAPROXY, HAPROXY_LARGE):
            size = 65536 if self.name == HAPROXY_LARGE else 16384
            return ["haproxy", "-db", "-f", self.configuration("haproxy.cfg", BUFFER_BYTES=size)]
        kernel = ["--interface", "lo", "--pin-directory", f"/sys/fs/bpf/lanetag-bench-{os.getpid()}"] \
            if self.name == LANETAG_KERNEL else ["--no-kernel"]
        return [f"{BUILD}/lanetag", "run", "--config", self.configuration("lanetag.yaml"), "--workers", "1",
                "--admin", "", "--log-level", "warning", *kernel]

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

    def cpu_us(self):
        """Time on a processor of all its threads, from the scheduler: finer than ticks."""
        total = 0
        for pid in self.pids():
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
                    total += int(file.read().split()[0])
        return total / 1000

    def memory(self):
        """Bytes that are its own (anonymous), and all that is resident, shared libraries' pages included."""
        anonymous = resident = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
                fields = dict(re.findall(r"^(\w+):\s+(\d+) kB", file.read(), re.MULTILINE))
            anonymous += int(fields["Anonymous"]) * 1024
            resident += int(fields["Rss"]) * 1024
        return {"anonymous": anonymous, "resident": resident}


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


def machine_busy_us():
    """Time that all processors together were busy with whatever it was."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _, _, interrupts, softirqs = map(int, file.readline().split()[1:8])
    return (user + nice + system + interrupts + softirqs) * 1_000_000 // os.sysconf("SC_CLK_TCK")
