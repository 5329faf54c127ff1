# SPDX-License-Identifier: GPL-2.0-only
"""The admin address only reads, whoever asks, and answers the node whatever others do; the control socket obeys root
and the agent's own user alone."""
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time

from harness import Client, Proxy, Reader, Response, Tests, one_app, wait_for

PORT = 15020
REMOTE = [f"10.9.0.{i}" for i in range(1, 9)]  # on lo, but no loopback addresses


def send(data, address="127.0.0.1", source=None):
    """A connection to the admin address that these bytes were sent on."""
    sock = socket.create_connection((address, PORT), 5, source_address=source and (source, 0))
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
    os.environ["LANETAG_PROXY_COMMAND"] += f" --admin 0.0.0.0:{PORT} --control {control}"
    proxy = Proxy(one_app())
    tests = Tests()
    for claim in (it_answers_what_there_is_to_read, nothing_changes_over_http,
                  a_host_by_a_name_that_others_control_is_refused, a_web_page_is_refused,
                  what_is_too_large_or_no_http_is_refused, other_machines_cannot_keep_the_nodes_own_probes_out,
                  one_machine_cannot_keep_others_out, it_answers_while_the_proxy_holds_more_than_a_thousand_connections,
                  the_control_socket_obeys_root, the_control_socket_obeys_no_other_user,
                  who_says_nothing_on_the_control_socket_holds_up_nothing,
                  a_fifo_among_the_manifests_holds_up_nothing):
        tests.run(claim)

    def it_ends_in_order():
        assert proxy.stop() == 0, proxy.read_log()[-3000:]
    tests.run(it_ends_in_order)
    place.cleanup()
    sys.exit(tests.end())
