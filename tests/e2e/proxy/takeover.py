# SPDX-License-Identifier: GPL-2.0-only
"""lanetag run --takeover: agents that follow one another under traffic, with and without the kernel tagger."""
import json
import os
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

from harness import PROXY_PORT, Client, Closed, Proxy, Tests, Upstream, one_app, reply, request_bytes, tag_rules, wait_for

COMMAND = os.environ["LANETAG_PROXY_COMMAND"]
RULES = tag_rules(("appver-a", "v2", 10))


def handle(request, sock):
    if request.target.startswith("/sleep"):
        time.sleep(float(request.target.split("/")[2]))
    if request.target == "/websocket":
        sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        while (data := sock.recv(65536)):
            sock.sendall(data.upper())
        return False
    number = [f"x-number: {value}" for value in request.all("x-number")]
    return reply(sock, (request.get("appver-a") or "none").encode(), fields=number)


if __name__ == "__main__":
    upstream = Upstream(handle)


class Clients:
    """Some open a connection for each request, some keep theirs (and open another when told to go)."""

    def __init__(self):
        self.ends = False
        self.failures = []
        self.requests = 0
        self.threads = [threading.Thread(target=self.run, args=(i % 2 == 0,), daemon=True) for i in range(8)]
        for thread in self.threads:
            thread.start()

    def run(self, keep):
        client = None
        while not self.ends:
            try:
                fresh = client is None
                client = client or Client()
                try:
                    answer = client.ask("/", fields=["x-user-id: 0005"])
                except (Closed, ConnectionResetError):
                    client = None
                    if fresh:
                        raise
                    continue  # a kept connection may end between two requests
                self.requests += 1
                if answer.status != 200 or answer.body != b"v2":
                    self.failures.append(answer.raw)
                if not keep or answer.get("connection") == "close":
                    client.close()
                    client = None
            except (OSError, Closed) as error:
                self.failures.append(repr(error))
                client = None

    def stop(self):
        self.ends = True
        for thread in self.threads:
            thread.join()
        return self.failures


class Place:
    """Where agents that follow one another live."""

    def __init__(self, kernel=False):
        self.directory = tempfile.TemporaryDirectory(prefix="lanetag-takeover-")
        self.control = os.path.join(self.directory.name, "control.sock")
        self.pins = f"/sys/fs/bpf/lanetag-takeover-{os.getpid()}"
        options = f" --control {self.control} --takeover --drain-timeout 5000"
        if kernel:
            options += f" --interface lo --pin-directory {self.pins}"
        command = COMMAND.replace(" --no-kernel", "") if kernel else COMMAND
        self.command = command + options

    @staticmethod
    def command_at(control):
        return [*COMMAND.split(), "--control", control]

    def start(self, manifests=None, **others):
        os.environ["LANETAG_PROXY_COMMAND"] = self.command
        try:
            proxy = Proxy(manifests or one_app() + RULES, **others)
        finally:
            os.environ["LANETAG_PROXY_COMMAND"] = COMMAND
        wait_for(lambda: proxy.process.poll() is not None or 'event="started"' in proxy.read_log())
        return proxy

    def follow(self, old, **others):
        new = self.start(**others)
        assert old.process.wait(20) == 0, old.read_log()[-2000:]
        wait_for(lambda: status_of() is not None)
        return new


def status_of():
    try:
        with urllib.request.urlopen("http://127.0.0.1:15020/status", timeout=5) as answer:
            return json.load(answer)
    except OSError:
        return None


def follow_one_another(kernel, rounds):
    place = Place(kernel)
    proxy = place.start()
    clients = Clients()
    for i in range(rounds):
        time.sleep(0.3)
        proxy = place.follow(proxy, workers=1 + i % 3)
    time.sleep(0.3)
    failures = clients.stop()
    assert not failures, (len(failures), failures[:3])
    assert clients.requests > 500, clients.requests
    assert status_of()["generation"] == 1 + rounds
    log = proxy.read_log()
    assert "taking over" in log, log
    if kernel:
        assert "going on without" not in log, log
        assert status_of()["kernelTagger"], status_of()
    assert proxy.stop() == 0, proxy.read_log()[-2000:]


def agents_follow_one_another_without_refusing_a_connection():
    follow_one_another(kernel=False, rounds=6)


def the_kernel_tagger_goes_over_too():
    follow_one_another(kernel=True, rounds=3)


def a_request_under_way_is_ended_by_the_agent_that_began_it():
    place = Place()
    old = place.start()
    with Client() as busy:
        busy.send(request_bytes("/sleep/2"))
        time.sleep(0.2)
        new = place.start()
        with Client() as client:
            assert client.ask("/").status == 200
        answer = busy.response()
        assert answer.status == 200 and answer.get("connection") == "close", answer.raw
    assert old.process.wait(10) == 0
    assert new.stop() == 0


def a_tunnel_lives_on_in_the_agent_that_began_it():
    place = Place()
    old = place.start()
    with Client() as tunnel:
        tunnel.send(b"GET /websocket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        assert tunnel.response().status == 101
        new = place.start()
        with Client() as client:
            assert client.ask("/").status == 200
        for word in (b"after", b"another"):
            tunnel.send(word)
            assert tunnel.reader.exactly(len(word)) == word.upper()
            time.sleep(0.7)  # longer than idle connections get
        assert old.process.poll() is None
    assert old.process.wait(10) == 0
    assert new.stop() == 0


def pipelined_requests_that_meet_a_takeover_are_answered_in_order_up_to_the_last_that_says_so():
    place = Place()
    old = place.start()
    with Client() as client:
        client.send(b"".join(request_bytes(f"/sleep/0.{i}", fields=[f"x-number: {i}"]) for i in (5, 1, 2)))
        time.sleep(0.2)
        new = place.start()
        answer = client.response()
        assert answer.status == 200 and answer.get("x-number") == "5" and answer.get("connection") == "close", answer.raw
        assert client.reader.rest() == b"" and not client.reader.was_reset
    assert old.process.wait(10) == 0
    assert new.stop() == 0


def an_agent_that_was_taken_over_may_wait_for_its_end():
    place = Place()
    place.command += " --after-handover wait"
    old = place.start()
    new = place.start()
    wait_for(lambda: 'event="drained"' in old.read_log())
    assert old.process.poll() is None
    assert old.stop() == 0
    with Client() as client:
        assert client.ask("/").status == 200
    assert new.stop() == 0


TEAM = """apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: team}
spec:
  hosts: [team.test]
  gateways: [edge]
  http:
  - name: good
    route: [{destination: {host: app}}]
"""


def a_new_agent_whose_configuration_is_refused_leaves_the_old_one_serving():
    place = Place()
    old = place.start()
    clients = Clients()
    new = place.start("kind: [")
    assert new.process.wait(10) == 1
    assert "manifests.yaml:2:1" in new.read_log(), new.read_log()
    time.sleep(0.2)
    assert not clients.stop()
    assert status_of()["generation"] == 1
    assert old.stop() == 0


def a_new_agent_has_the_last_good_resources_of_the_old_one():
    place = Place()
    old = place.start()
    old.write(one_app() + "---\n" + TEAM)
    wait_for(lambda: status_of()["generation"] == 2)
    new = place.start(one_app() + "---\n" + TEAM.replace("name: good", "unknownField: 1"))
    assert old.process.wait(20) == 0, old.read_log()
    rejected = status_of()["reloads"]["rejected"]
    assert [(item["name"], item["outcome"]) for item in rejected] == [("team", "lastGood")], rejected
    with Client() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: team.test\r\n\r\n")
        assert client.response().status == 200
    assert new.stop() == 0


def a_new_agent_that_dies_on_the_way_leaves_the_old_one_serving():
    place = Place()
    old = place.start()
    clients = Clients()
    for said in (b"", b"takeover", b"takeover 1\n", b"takeover 1\nready\n", b"takeover 2\n", b"x" * 500, b"\0\n"):
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(place.control)
            peer.sendall(said)
            time.sleep(0.1)
        wait_for(lambda: status_of() is not None)
        wait_for(lambda: os.path.exists(place.control))
    assert not clients.stop()
    new = place.follow(old)
    with Client() as client:
        assert client.ask("/").status == 200
    assert new.stop() == 0


def beside(place, **changes):
    """The log of a second agent that differs so from the one at `place`, once it has refused to start."""
    command = place.command.replace("--takeover ", "").split()
    for name, value in changes.items():
        command += [f"--{name}", value] if value is not None else [f"--{name}"]
    with tempfile.TemporaryDirectory() as directory:
        with open(os.path.join(directory, "m.yaml"), "w", encoding="utf-8") as file:
            file.write(one_app())
        started = time.monotonic()
        ended = subprocess.run([*command, "--config", directory], capture_output=True, text=True, timeout=20,
                               check=False)
    assert ended.returncode == 1, ended
    assert time.monotonic() - started < 10
    return ended.stderr


def a_second_agent_on_the_same_ports_refuses_to_start_and_names_the_first():
    place = Place()
    first = place.start()
    other = os.path.join(place.directory.name, "other.sock")
    clients = Clients()
    for changes in ({"admin": "127.0.0.1:15021", "control": other}, {"admin": "", "control": other}, {"admin": "", "control": ""},
                    {"admin": "127.0.0.1:15021", "control": other, "takeover": None}):
        log = beside(place, **changes)
        assert f"pid={first.process.pid} program=lanetag" in log and "port=8080" in log, log
    assert not clients.stop()
    assert status_of()["generation"] == 1
    assert "control command failed" not in first.read_log()
    following = place.follow(first)
    assert following.stop() == 0


def a_held_control_socket_is_an_error_at_start():
    place = Place()
    first = place.start()
    log = beside(place, admin="127.0.0.1:15021")
    assert f"pid={first.process.pid}" in log and "control.sock" in log, log
    assert os.path.exists(place.control)
    assert first.stop() == 0


def a_held_pin_directory_is_an_error_at_start():
    place = Place(kernel=True)
    first = place.start()
    assert status_of()["kernelTagger"]
    elsewhere = os.path.join(place.directory.name, "other.yaml")
    with open(elsewhere, "w", encoding="utf-8") as file:
        file.write(one_app().replace("number: 8080", "number: 8085"))
    command = place.command.replace("--takeover ", "").replace(":15020", ":15021").replace("control.sock", "other.sock")
    ended = subprocess.run([*command.split(), "--config", elsewhere], capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == 1 and f"pid={first.process.pid}" in ended.stderr, ended
    assert status_of()["kernelTagger"]
    assert first.stop() == 0
    assert not os.path.exists(place.pins)


def the_same_ports_in_another_network_namespace_are_others():
    place = Place()
    first = place.start()
    elsewhere = Place()
    log = os.path.join(elsewhere.directory.name, "log")
    with open(os.path.join(elsewhere.directory.name, "m.yaml"), "w", encoding="utf-8") as file:
        file.write(one_app())
    with open(log, "w", encoding="utf-8") as file:
        other = subprocess.Popen(["unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh",
                                  *Place.command_at(elsewhere.control), "--config", elsewhere.directory.name + "/m.yaml"],
                                 stderr=file)
    wait_for(lambda: 'event="started"' in open(log, encoding="utf-8").read() or other.poll() is not None)
    assert other.poll() is None, open(log, encoding="utf-8").read()
    other.terminate()
    assert other.wait(20) == 0
    assert first.stop() == 0


def a_reload_that_wants_another_agents_port_is_refused():
    place = Place()
    first = place.start()
    # Without capabilities, as the agent's own process has few: it may not look into those that have more.
    holder = subprocess.Popen(["setpriv", "--inh-caps=-all", "--bounding-set=-all", sys.executable, "-c",
                               "import socket, sys; held = socket.socket();"
                               "held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1);"
                               "held.bind(('127.0.0.1', 8085)); held.listen(); print(flush=True); sys.stdin.read()"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    holder.stdout.readline()
    try:
        both = one_app().replace("  - port: {number: 8080", "  - port: {number: 8085, name: other, protocol: HTTP}\n"
                                 "    hosts: ['*']\n  - port: {number: 8080")
        first.write(both)
        wait_for(lambda: "configuration refused" in first.read_log())
        assert f"pid={holder.pid}" in first.read_log(), first.read_log()
    finally:
        holder.communicate()
    first.reload()
    wait_for(lambda: status_of()["generation"] == 2)
    with Client(8085) as client:
        assert client.ask("/").status == 200
    assert first.stop() == 0


def others_may_not_use_the_control_socket():
    place = Place()
    proxy = place.start()
    assert stat.S_IMODE(os.stat(place.control).st_mode) == 0o600
    os.chmod(place.control, 0o666)
    os.chmod(place.directory.name, 0o755)
    code = ("import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(b'takeover 1\\n');"
            "sys.exit(1 if s.recv(10) else 0)")
    stranger = subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", sys.executable, "-c", code, place.control],
                              check=False, capture_output=True)
    assert stranger.returncode == 0 or b"ConnectionReset" in stranger.stderr or b"BrokenPipe" in stranger.stderr, stranger
    assert "control connection refused" in proxy.read_log()
    assert proxy.stop() == 0
    assert not os.path.exists(place.control)


if __name__ == "__main__":
    assert PROXY_PORT
    tests = Tests()
    for claim in (agents_follow_one_another_without_refusing_a_connection,
                  the_kernel_tagger_goes_over_too,
                  a_request_under_way_is_ended_by_the_agent_that_began_it,
                  a_tunnel_lives_on_in_the_agent_that_began_it,
                  pipelined_requests_that_meet_a_takeover_are_answered_in_order_up_to_the_last_that_says_so,
                  an_agent_that_was_taken_over_may_wait_for_its_end,
                  a_new_agent_whose_configuration_is_refused_leaves_the_old_one_serving,
                  a_new_agent_has_the_last_good_resources_of_the_old_one,
                  a_new_agent_that_dies_on_the_way_leaves_the_old_one_serving,
                  a_second_agent_on_the_same_ports_refuses_to_start_and_names_the_first,
                  a_held_control_socket_is_an_error_at_start, a_held_pin_directory_is_an_error_at_start,
                  the_same_ports_in_another_network_namespace_are_others,
                  a_reload_that_wants_another_agents_port_is_refused,
                  others_may_not_use_the_control_socket):
        tests.run(claim)
    sys.exit(tests.end())
