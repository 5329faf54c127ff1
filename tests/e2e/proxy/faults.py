# SPDX-License-Identifier: GPL-2.0-only
"""System calls that fail for long: the agent waits, says so once, and goes on."""
import errno
import os
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time

from harness import Client, Proxy, Tests, Upstream, digest, one_app, pattern, reply, request_bytes, service

work = tempfile.mkdtemp(prefix="lanetag-faults-")
library = os.path.join(work, "faults.so")
subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, os.path.join(os.path.dirname(__file__), "faults.c")], check=True)
BIG = pattern(3000000)


together = threading.Barrier(1)  # requests to /together are answered once so many are there


def handle(request, sock):
    if request.target == "/together":
        request.body()
        together.wait(20)
        return reply(sock)
    if request.target == "/big":
        return reply(sock, BIG)
    body = request.body()
    return reply(sock, digest(body).encode())


upstream = Upstream(handle)


class Faults:
    """A proxy with the library, and its file."""

    def __init__(self, name):
        self.path = os.path.join(work, name)
        self.proxy = Proxy(one_app(), workers=1, environment={
            **os.environ, "LD_PRELOAD": library, "FAULTS": self.path, "ASAN_OPTIONS": "verify_asan_link_order=0"})

    def ask_for(self, *faults):
        with open(self.path + ".new", "w", encoding="ascii") as file:
            file.write("".join(f"{call} {number}\n" for call, number in faults))
        os.rename(self.path + ".new", self.path)

    def count(self, call):
        try:
            return os.path.getsize(f"{self.path}.{call}")
        except FileNotFoundError:
            return 0

    def cpu_seconds(self):
        with open(f"/proc/{self.proxy.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def log_lines(self, event):
        return re.findall(rf'event="{re.escape(event)}".*', self.proxy.read_log())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ask_for()
        assert self.proxy.stop() == 0, self.proxy.read_log()[-2000:]


def kept_idle(clients):
    """So many upstream connections lie idle afterwards."""
    global together  # pylint: disable=global-statement
    together = threading.Barrier(clients)
    connected = [Client() for _ in range(clients)]
    for client in connected:
        client.send(request_bytes("/together", "POST", body=b"x" * 10))
    for client in connected:
        assert client.response().status == 200
        client.close()


def errors_of_accept_that_last_wait_and_are_told_once():
    for number in (errno.ENOMEM, errno.ENOBUFS, errno.EMFILE, errno.ENFILE):
        with Faults(f"accept-{number}") as faults:
            kept_idle(4)
            before, opened = faults.cpu_seconds(), upstream.connections
            faults.ask_for(("accept4", number))
            client = Client()
            client.send(request_bytes("/"))
            time.sleep(1.5)
            assert 2 <= faults.count("accept4") < 60, (number, faults.count("accept4"))
            assert faults.cpu_seconds() - before < 0.3, (number, faults.cpu_seconds() - before)
            assert len(faults.log_lines("connections not accepted")) == 1, faults.proxy.read_log()
            faults.ask_for()
            assert client.response().status == 200, number
            assert len(faults.log_lines("connections accepted again")) == 1, faults.proxy.read_log()
            # At most one of the idle connections went; the others serve on.
            kept_idle(3)
            assert upstream.connections - opened <= 1, (number, upstream.connections - opened)


def a_failed_splice_is_a_copy():
    for call in ("splice-in", "splice-out", "pipe2"):
        for number in (errno.ENOMEM, errno.EINVAL):
            with Faults(f"{call}-{number}") as faults:
                faults.ask_for((call, number))
                with Client() as client:
                    assert client.ask("/big").body == BIG, (call, number)
                    assert client.ask("/", method="POST", body=BIG).body.decode() == digest(BIG), (call, number)
                assert faults.count(call), call
                event = "pipe not made, bodies are copied" if call == "pipe2" else "splice(2) failed, bodies are copied"
                assert faults.log_lines(event), (call, faults.proxy.read_log())


def bytes_in_the_pipe_are_not_lost_when_splice_begins_to_fail():
    with Faults("late") as faults:
        client = Client(receive_buffer=4096)
        client.send(request_bytes("/big"))
        time.sleep(0.5)  # the pipe is full: the client does not read
        faults.ask_for(("splice-out", errno.ENOMEM))
        assert client.response().body == BIG
        assert faults.count("splice-out")
        client.close()


def a_connect_that_fails_is_told():
    with Faults("connect") as faults:
        faults.ask_for(("connect", errno.EADDRNOTAVAIL))
        with Client() as client:
            assert client.ask("/").status == 503
        lines = faults.log_lines("endpoint not connected to")
        assert lines and "127.0.0.1" in lines[0] and "port=9000" in lines[0], faults.proxy.read_log()


def a_reload_without_memory_names_itself():
    proxy = Proxy(one_app(), workers=1)
    process = proxy.process.pid
    with open(f"/proc/{process}/statm", encoding="ascii") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.prlimit(process, resource.RLIMIT_AS, (used + 8000000, resource.RLIM_INFINITY))
    proxy.write(one_app() + "".join(service(f"more-{i}") for i in range(6000)))
    proxy.reload()
    for _ in range(300):
        if "configuration refused" in proxy.read_log():
            break
        time.sleep(0.1)
    refused = re.search(r'event="configuration refused".*', proxy.read_log())
    assert refused, (proxy.read_log()[-1500:], proxy.process.poll())
    refused = refused.group(0)
    assert "emory" in refused, refused
    with Client() as client:
        assert client.ask("/").status == 200
    resource.prlimit(process, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    proxy.reload()
    for _ in range(300):
        if "configuration in force" in proxy.read_log():
            break
        time.sleep(0.1)
    assert "configuration in force" in proxy.read_log()
    assert proxy.stop() == 0


if __name__ == "__main__":
    tests = Tests()
    for claim in (errors_of_accept_that_last_wait_and_are_told_once,
                  a_failed_splice_is_a_copy,
                  bytes_in_the_pipe_are_not_lost_when_splice_begins_to_fail,
                  a_connect_that_fails_is_told,
                  a_reload_without_memory_names_itself):
        tests.run(claim)
    sys.exit(tests.end())
