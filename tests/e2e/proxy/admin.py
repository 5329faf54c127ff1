# SPDX-License-Identifier: GPL-2.0-only
"""The admin address only reads, whoever asks, and answers the node whatever others do; the control socket obeys root
and the agent's own user alone."""
import json
import re
import os
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time

from harness import Client, Proxy, Reader, Response, Tests, Upstream, one_app, pod, reply, service, wait_for

PORT, MONITORING_PORT = 15020, 15022
REMOTE = [f"10.9.0.{i}" for i in range(1, 9)]  # on lo, but no loopback addresses


def send(data, address="127.0.0.1", source=None, port=PORT):
    """A connection to the admin address, or the monitoring address, that these bytes were sent on."""
    sock = socket.create_connection((address, port), 5, source_address=source and (source, 0))
    sock.sendall(data)
    return sock


def ask(path="/status", method="GET", fields=("Host: 127.0.0.1:15020",), body=b"", **where):
    """Status and body of the answer."""
    head = f"{method} {path} HTTP/1.1\r\n" + "".join(field + "\r\n" for field in (*fields, "Connection: close"))
    if body:
        head += f"Content-Length: {len(body)}\r\n"
    with send(head.encode() + b"\r\n" + body, **where) as sock:
        reader = Reader(sock)
        response = Response(reader.until(b"\r\n\r\n"))
        return response.status, reader.rest()


def generation():
    return json.loads(ask()[1])["generation"]


def it_answers_what_there_is_to_read():
    for path, start in (("/healthz", b"alive"), ("/readyz", b"ready"), ("/metrics", b"# HELP"), ("/status", b"{")):
        status, body = ask(path)
        assert (status, body[:len(start)]) == (200, start), (path, status, body)
    assert ask("/status", "HEAD") == (200, b"")
    assert ask("/nothing")[0] == 404


def the_monitoring_address_has_metrics_and_health_alone():
    for path, start in (("/healthz", b"alive"), ("/readyz", b"ready"), ("/metrics", b"# HELP")):
        status, body = ask(path, port=MONITORING_PORT)
        assert (status, body[:len(start)]) == (200, start), (path, status, body)
    for path in ("/status", "/status/", "//status", "/", "/debug", "/metrics/../status"):
        status, body = ask(path, port=MONITORING_PORT)
        assert status == 404 and b"status" not in body and b"generation" not in body, (path, status, body)
    assert ask("/metrics", "POST", port=MONITORING_PORT)[0] == 405
    assert ask("/metrics", fields=("Host: evil.test",), port=MONITORING_PORT)[0] == 421
    assert ask("/metrics", fields=("Host: 127.0.0.1", "Origin: http://evil.test"), port=MONITORING_PORT)[0] == 403


def an_admin_address_that_is_open_to_the_network_is_said_at_the_start():
    log = proxy.read_log()
    assert log.count('event="admin address is open to the network"') == 1, log[:2000]
    assert f"address=0.0.0.0:{PORT}" in log and f"address=0.0.0.0:{MONITORING_PORT}" not in log, log[:2000]


def connections_to_one_address_leave_the_other_free():
    held = [send(b"GET /metrics HTTP/1.1\r\n", "10.9.0.1", REMOTE[0], port=MONITORING_PORT) for _ in range(40)]
    held += [send(b"GET /metrics HTTP/1.1\r\n", "10.9.0.1", REMOTE[1], port=MONITORING_PORT) for _ in range(40)]
    assert ask("/readyz", address="10.9.0.1", source=REMOTE[2], fields=("Host: 10.9.0.1",))[0] == 200
    assert ask("/readyz", port=MONITORING_PORT)[0] == 200
    for sock in held:
        sock.close()


def nothing_changes_over_http():
    before = generation()
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "reload"):
        for path in ("/", "/status", "/reload", "/metrics"):
            status, _ = ask(path, method, body=b"reload " + proxy.directory.name.encode())
            assert status in (405, 501), (method, path, status)
    assert generation() == before


def a_host_by_a_name_that_others_control_is_refused():
    """DNS rebinding: a web page of evil.test, whose name has become 127.0.0.1."""
    for host in ("evil.test", "evil.test:15020", "127.0.0.1.evil.test", "localhost.evil.test", "", "[::1", "127.1",
                 "0x7f000001", "2130706433", "a" * 300):
        for path in ("/status", "/metrics", "/readyz", "/healthz"):
            status, body = ask(path, fields=(f"Host: {host}",))
            assert status in (400, 421) and b"generation" not in body, (host, status, body)
    for host in ("127.0.0.1", "127.0.0.1:15020", "localhost:15020", "LOCALHOST", "[::1]:15020", "10.0.0.7:15020"):
        assert ask(fields=(f"Host: {host}",))[0] == 200, host


def a_web_page_is_refused():
    for origin in ("http://127.0.0.1:15020", "https://evil.test", "null"):
        status, body = ask(fields=("Host: 127.0.0.1", f"Origin: {origin}"))
        assert status == 403 and b"generation" not in body, (origin, status)


def what_is_too_large_or_no_http_is_refused():
    before = generation()
    assert ask(fields=("Host: 127.0.0.1", "X: " + "x" * 100_000))[0] in (413, 431)
    assert ask("/" + "x" * 100_000)[0] in (413, 414, 431)
    assert ask(fields=("Host: 127.0.0.1", *(f"X-{i}: x" for i in range(5000))))[0] in (413, 431)
    assert ask(method="POST", body=b"x" * 10_000_000)[0] == 405
    for nonsense in (b"\0" * 1000, b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00", b"GET / HTTP/1.1\r\nHost\r\n\r\n"):
        send(nonsense).close()
    assert generation() == before


def other_machines_cannot_keep_the_nodes_own_probes_out():
    held = []
    for i in range(400): # some say nothing, some stop in the middle of a head
        try:
            held.append(send(b"GET /metrics HTTP/1.1\r\nHost: " if i % 2 else b"", REMOTE[0], REMOTE[i % len(REMOTE)]))
        except OSError:
            pass # closed at once: that is over the limit
    for _ in range(20):
        assert ask("/healthz") == (200, b"alive\n")
        assert ask("/readyz")[0] == 200
    for sock in held:
        sock.close()
    for _ in range(500): # then they may ask again
        try:
            if ask("/healthz", address=REMOTE[0], source=REMOTE[1])[0] == 200:
                return
        except Exception: # pylint: disable=broad-except
            time.sleep(0.01)
    raise AssertionError("refused for good")


def one_machine_cannot_keep_others_out():
    held = [send(b"", REMOTE[0], REMOTE[0]) for _ in range(100)]
    assert ask("/metrics", address=REMOTE[0], source=REMOTE[1])[0] == 200
    for sock in held:
        sock.close()


def it_answers_while_the_proxy_holds_more_than_a_thousand_connections():
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    clients = [Client() for _ in range(1500)]
    for _ in range(500):
        if proxy.descriptors() > 1500:
            break
        time.sleep(0.01)
    assert proxy.descriptors() > 1500
    assert ask("/healthz") == (200, b"alive\n")
    assert b"lanetag_connections_open 150" in ask("/metrics")[1]
    for client in clients:
        client.close()


class Scrapers:
    """As many connections as one machine may hold, each of which asks for a page as soon as it has the last."""

    def __init__(self, path, count=32):
        self.ends = False
        self.pages = []
        self.failures = []
        self.threads = [threading.Thread(target=self.run, args=(path,), daemon=True) for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def run(self, path):
        try:
            with socket.create_connection((REMOTE[0], PORT), 20, source_address=(REMOTE[2], 0)) as sock:
                reader = Reader(sock)
                while not self.ends:
                    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {REMOTE[0]}\r\n\r\n".encode())
                    response = Response(reader.until(b"\r\n\r\n"))
                    assert response.status == 200
                    self.pages.append(reader.exactly(int(response.get("content-length"))))
        except Exception as error: # pylint: disable=broad-except
            self.failures.append(repr(error))

    def stop(self):
        self.ends = True
        for thread in self.threads:
            thread.join()
        assert not self.failures, self.failures[:3]
        return self.pages


def times_of(path, count=100):
    """In seconds, sorted."""
    times = []
    for _ in range(count):
        started = time.monotonic()
        assert ask(path)[0] == 200
        times.append(time.monotonic() - started)
        time.sleep(0.02)
    return sorted(times)


def probes_are_answered_at_once_whatever_others_read_of_many_services():
    time.sleep(0.5)
    before = generation()
    many = "".join(service(f"other-{i}", 80, address=f"10.96.{i // 250}.{i % 250 + 1}") + pod(f"other-{i}", f"other-{i}") for i in range(3000))
    proxy.write(one_app() + many)
    wait_for(lambda: generation() > before, "they are in force")
    assert len(ask("/status")[1]) > 30_000
    try:
        for page in ("/metrics", "/status"):
            scrapers = Scrapers(page)
            for path in ("/healthz", "/readyz"):
                times = times_of(path)
                # The slowest tenth may be the machine's.
                assert times[90] < 0.05, (page, path, times[50], times[90], times[-1])
            assert len(scrapers.stop()) >= 32
    finally:
        proxy.write(one_app())
        wait_for(lambda: generation() > before + 1, "as before")


def all_that_read_within_a_second_get_the_same_page():
    started = time.monotonic()
    scrapers = Scrapers("/metrics")
    with Client() as client:
        while time.monotonic() - started < 3:
            assert client.ask("/").status == 200
            time.sleep(0.002)
    pages = scrapers.stop()
    counts = {re.search(rb"^lanetag_http_requests_total (\d+)$", page, re.M).group(1) for page in pages}
    assert 2 <= len(counts) <= time.monotonic() - started + 2, (len(counts), len(pages))
    assert len(pages) >= 64


def a_page_is_never_older_than_the_request_for_it():
    with Client() as client:
        for _ in range(3):
            count = int(re.search(rb"^lanetag_http_requests_total (\d+)$", ask("/metrics")[1], re.M).group(1))
            assert client.ask("/").status == 200
            assert f"lanetag_http_requests_total {count + 1}\n".encode() in ask("/metrics")[1]
            assert json.loads(ask("/status")[1])["requests"] == count + 1


def requests_that_wait_when_the_agent_reloads_or_ends_get_an_answer_or_none():
    scrapers = Scrapers("/status", 8)
    for _ in range(3):
        proxy.reload()
        time.sleep(0.2)
    assert scrapers.stop()


# As another user: says what came back.
STRANGER = """
import os, socket, sys
os.setgid(65534); os.setuid(65534)
sock = socket.socket(socket.AF_UNIX)
sock.settimeout(10)
try:
    sock.connect(sys.argv[1])
    sock.sendall(sys.argv[2].encode() + b"\\n")
    print(repr(sock.recv(100)))
except OSError as error:
    print(type(error).__name__)
"""


def stranger(command):
    return subprocess.run([sys.executable, "-c", STRANGER, control, command], capture_output=True, text=True,
                          check=True).stdout.strip()


def tell(command):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(control)
        sock.sendall(command.encode() + b"\n")
        return sock.recv(1000).decode()


def the_control_socket_obeys_root():
    before = generation()
    assert tell("reload " + os.path.realpath(proxy.directory.name)) == f"ok {before + 1}\n"
    assert tell("reload /etc") == "other manifests are served\n"
    assert tell("delete everything") == "error unknown command\n"
    assert generation() == before + 1


def the_control_socket_obeys_no_other_user():
    before = generation()
    assert os.stat(control).st_mode & 0o777 == 0o600
    assert stranger("reload " + proxy.directory.name) == "PermissionError"
    os.chmod(place.name, 0o755)
    os.chmod(control, 0o666)  # even if somebody opens it to all: who asks is what counts
    for command in ("reload " + os.path.realpath(proxy.directory.name), "handover"):
        assert stranger(command) in ("b''", "ConnectionResetError", "BrokenPipeError")
    assert generation() == before and proxy.process.poll() is None
    assert 'event="control connection refused"' in proxy.read_log()


def who_says_nothing_on_the_control_socket_holds_up_nothing():
    before = generation()
    silent = []
    for i in range(100):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(control)
        if i % 2:
            sock.sendall(b"reload /")
        silent.append(sock)
    started = time.monotonic()
    assert tell("reload " + os.path.realpath(proxy.directory.name)) == f"ok {before + 1}\n"
    proxy.reload()
    wait_for(lambda: generation() == before + 2, "SIGHUP is heard")
    assert time.monotonic() - started < 3
    silent[-1].settimeout(15)
    try:
        assert silent[-1].recv(1) == b"" # in the end its place is free again
    except ConnectionResetError:
        pass
    for sock in silent:
        sock.close()
    assert generation() == before + 2


def a_fifo_among_the_manifests_holds_up_nothing():
    before = generation()
    path = os.path.join(proxy.directory.name, "fifo.yaml")
    os.mkfifo(path)
    wait_for(lambda: json.loads(ask()[1])["reloads"]["lastFailed"], "it is refused")
    assert "fifo.yaml: cannot read: neither a file nor a pipe" in json.loads(ask()[1])["reloads"]["lastError"]
    os.unlink(path)
    wait_for(lambda: generation() == before + 1, "it is gone")


if __name__ == "__main__":
    for remote in REMOTE:
        subprocess.run(["ip", "address", "add", remote + "/32", "dev", "lo"], check=True)
    place = tempfile.TemporaryDirectory(prefix="lanetag-admin-")
    control = os.path.join(place.name, "control.sock")
    os.environ["LANETAG_PROXY_COMMAND"] += f" --admin 0.0.0.0:{PORT} --monitoring 0.0.0.0:{MONITORING_PORT} --control {control}"
    upstream = Upstream(lambda request, sock: reply(sock))
    proxy = Proxy(one_app())
    wait_for(lambda: 'event="started"' in proxy.read_log(), "the agent starts")
    tests = Tests()
    for claim in (it_answers_what_there_is_to_read, the_monitoring_address_has_metrics_and_health_alone,
                  an_admin_address_that_is_open_to_the_network_is_said_at_the_start,
                  connections_to_one_address_leave_the_other_free, nothing_changes_over_http,
                  a_host_by_a_name_that_others_control_is_refused, a_web_page_is_refused,
                  what_is_too_large_or_no_http_is_refused, other_machines_cannot_keep_the_nodes_own_probes_out,
                  one_machine_cannot_keep_others_out, it_answers_while_the_proxy_holds_more_than_a_thousand_connections,
                  all_that_read_within_a_second_get_the_same_page, a_page_is_never_older_than_the_request_for_it,
                  requests_that_wait_when_the_agent_reloads_or_ends_get_an_answer_or_none,
                  probes_are_answered_at_once_whatever_others_read_of_many_services,
                  the_control_socket_obeys_root, the_control_socket_obeys_no_other_user,
                  who_says_nothing_on_the_control_socket_holds_up_nothing,
                  a_fifo_among_the_manifests_holds_up_nothing):
        tests.run(claim)

    def it_ends_in_order_also_while_others_wait_for_a_page():
        Scrapers("/metrics", 8)
        time.sleep(0.3)
        assert proxy.stop() == 0, proxy.read_log()[-3000:]
    tests.run(it_ends_in_order_also_while_others_wait_for_a_page)
    place.cleanup()
    sys.exit(tests.end())
