# SPDX-License-Identifier: GPL-2.0-only
"""Takeovers that fail: whichever side ends or stalls at whichever step, somebody serves, says truly what it has, and the
next reload repairs what is missing."""
import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

from harness import Client, Proxy, Tests, Upstream, one_app, wait_for
from takeover import Clients, Place, handle, status_of

# Steps of a new agent, after each of which it dies or stalls.
STEPS = {"connected": b"", "asking": b"takeover 1", "asked": b"takeover 1\n", "halfway ready": b"takeover 1\nrea",
         "ready": b"takeover 1\nready\n", "alive": b"takeover 1\nready\nalive\n",
         "halfway serving": b"takeover 1\nready\nalive\nserv"}


def serves_and_says_so(proxy, kernel):
    """The state that every failed hand-over ends in, at the latest with the next reload."""
    reloads = proxy.read_log().count("configuration in force")
    proxy.reload()
    wait_for(lambda: proxy.read_log().count("configuration in force") > reloads, "it reloads")
    with Client() as client:
        for _ in range(10):
            assert client.ask("/", fields=["x-user-id: 0005"]).body == b"v2"
    status = status_of()
    assert status["kernelTagger"] == kernel, proxy.read_log()[-2000:]
    if kernel:
        decided = status["decisions"]
        assert decided["agreed"] >= getattr(proxy, "decided", 0) + 9, decided
        assert decided["disagreements"] == 0, decided
        proxy.decided = decided["agreed"]


def a_new_agent_fails_at_every_step(kernel, stalls):
    place = Place(kernel)
    old = place.start()
    clients = None if stalls else Clients()
    for name, said in STEPS.items():
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(place.control)
            peer.sendall(said)
            if stalls:
                reloads = old.read_log().count("configuration in force")
                started = time.monotonic()
                old.reload()  # heard once steering goes on
                wait_for(lambda: old.read_log().count("configuration in force") > reloads, name)
                assert time.monotonic() - started < 3, (name, time.monotonic() - started, old.read_log()[-2000:])
                assert status_after(3), (name, old.read_log()[-2000:])  # two, and one for a busy machine
            else:
                time.sleep(0.1)
        wait_for(lambda: os.path.exists(place.control), name)
        serves_and_says_so(old, kernel)
    assert not clients or not clients.stop()
    new = place.follow(old)
    serves_and_says_so(new, kernel)
    assert new.stop() == 0
    if kernel:
        assert not os.path.exists(place.pins)


def status_after(seconds):
    """The first status within so many seconds."""
    due = time.monotonic() + seconds
    while time.monotonic() < due:
        status = status_of()
        if status:
            return status
        time.sleep(0.02)
    return None


def a_new_agent_that_dies_at_any_step_leaves_the_old_one_as_it_was():
    a_new_agent_fails_at_every_step(kernel=False, stalls=False)


def the_same_with_the_kernel():
    a_new_agent_fails_at_every_step(kernel=True, stalls=False)


def a_new_agent_that_stalls_at_any_step_holds_up_steering_for_two_seconds_at_most():
    a_new_agent_fails_at_every_step(kernel=False, stalls=True)


def the_same_with_the_kernel_too():
    a_new_agent_fails_at_every_step(kernel=True, stalls=True)


def a_peer_that_dribbles_holds_up_no_longer():
    place = Place()
    old = place.start()
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(place.control)
        peer.sendall(b"takeover 1\n")
        started = time.monotonic()
        try:
            for byte in b"readyreadyreadyready":
                peer.sendall(bytes([byte]))
                time.sleep(0.4)
        except OSError:
            pass
        assert time.monotonic() - started < 4
    serves_and_says_so(old, False)
    assert old.stop() == 0


def real_agents_killed_or_stopped_on_the_way(kernel, how):
    place = Place(kernel)
    old = place.start()
    clients = Clients()
    for i in range(12):
        process = subprocess.Popen([*place.command.split(), "--config", old.directory.name, "--workers", "2"],
                                   stderr=subprocess.DEVNULL)
        time.sleep(i * 0.03)
        process.send_signal(how)
        time.sleep(2.5 if how == signal.SIGSTOP else 0.1)
        process.kill()
        process.wait()
        if old.process.poll() is not None or "handed over" in old.read_log():
            break  # it had taken over
        wait_for(lambda: os.path.exists(place.control), f"after {i * 30} ms")
        serves_and_says_so(old, kernel)
    clients.stop()
    if old.process.poll() is None and "handed over" not in old.read_log():
        assert old.stop() == 0
    else:
        assert old.process.wait(20) == 0
        old = place.start()
        serves_and_says_so(old, kernel)
        assert old.stop() == 0
    if kernel:
        assert not os.path.exists(place.pins)


def real_agents_that_are_killed_on_the_way_leave_a_state_that_is_repaired():
    real_agents_killed_or_stopped_on_the_way(False, signal.SIGKILL)
    real_agents_killed_or_stopped_on_the_way(True, signal.SIGKILL)


def real_agents_that_are_stopped_on_the_way_too():
    real_agents_killed_or_stopped_on_the_way(True, signal.SIGSTOP)


def a_termination_after_a_failed_takeover_leaves_no_pins():
    place = Place(kernel=True)
    old = place.start()
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(place.control)
        peer.sendall(b"takeover 1\nready\n")
        time.sleep(0.3)
    wait_for(lambda: status_of() is not None)
    assert status_of()["kernelTagger"]
    assert old.stop() == 0
    assert not os.path.exists(place.pins)


def while_another_holds_the_pins_status_says_so_and_a_reload_repairs_it():
    place = Place(kernel=True)
    old = place.start()
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(place.control)
        peer.sendall(b"takeover 1\nready\n")
        time.sleep(0.3)
        directory = os.open(place.pins, os.O_RDONLY)
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
    wait_for(lambda: status_of() is not None)
    assert not status_of()["kernelTagger"]
    with Client() as client:
        assert client.ask("/", fields=["x-user-id: 0005"]).body == b"v2"
    os.close(directory)
    serves_and_says_so(old, True)
    assert old.stop() == 0
    assert not os.path.exists(place.pins)


class OldAgent(threading.Thread):
    """An old agent that says no more than this, and then ends or stalls."""

    def __init__(self, path, lines, stalls):
        super().__init__(daemon=True)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        self.path, self.lines, self.stalls, self.heard = path, lines, stalls, b""
        self.start()

    def run(self):
        peer, _ = self.listener.accept()
        with peer:
            for line in self.lines:
                while not self.heard.endswith(b"\n"):
                    self.heard += peer.recv(100)
                if line.startswith(b"yours"):
                    os.unlink(self.path)
                    self.listener.close()
                self.heard += b" "
                peer.sendall(line)
            if self.stalls:
                peer.settimeout(10)
                while b"serving" not in self.heard:
                    self.heard += peer.recv(100)
                time.sleep(5)


BATCH = struct.pack("IHH", 0x6c746b31, 0, 0) + bytes(64 * 20)


def an_old_agent_that_ends_or_stalls_behind_yours_leaves_the_new_one_serving():
    for stalls in (False, True):
        place = Place()
        old = OldAgent(place.control, [b"sockets 7\n" + BATCH, b"yours\n"], stalls)
        new = place.start()
        assert new.process.poll() is None, new.read_log()
        assert status_of()["generation"] == 8
        with Client() as client:
            assert client.ask("/").status == 200
        assert os.path.exists(place.control)
        assert new.stop() == 0, old.heard


def an_old_agent_that_ends_before_it_ends_the_new_one():
    for lines in ([b"sockets 7\n" + BATCH], [b"sockets 7\n" + BATCH[:100]], [b"sockets x\n"], [b"error no\n"]):
        place = Place()
        OldAgent(place.control, lines, False)
        log = beside_with_takeover(place)
        assert "not taken over" in log, log


def a_new_agent_ends_if_the_old_one_has_taken_back():
    place = Place()
    OldAgent(place.control, [b"sockets 7\n" + BATCH, b"yours\nmine\n"], False)
    log = beside_with_takeover(place)
    assert "not started" in log, log


def beside_with_takeover(place):
    with tempfile.TemporaryDirectory() as directory:
        with open(os.path.join(directory, "m.yaml"), "w", encoding="utf-8") as file:
            file.write(one_app())
        ended = subprocess.run([*place.command.split(), "--config", directory], capture_output=True, text=True, timeout=20,
                               check=False)
    assert ended.returncode == 1, ended
    return ended.stderr


if __name__ == "__main__":
    upstream = Upstream(handle)
    tests = Tests()
    for claim in (a_peer_that_dribbles_holds_up_no_longer,
                  a_termination_after_a_failed_takeover_leaves_no_pins,
                  while_another_holds_the_pins_status_says_so_and_a_reload_repairs_it,
                  an_old_agent_that_ends_or_stalls_behind_yours_leaves_the_new_one_serving,
                  an_old_agent_that_ends_before_it_ends_the_new_one,
                  a_new_agent_ends_if_the_old_one_has_taken_back,
                  a_new_agent_that_dies_at_any_step_leaves_the_old_one_as_it_was,
                  the_same_with_the_kernel,
                  a_new_agent_that_stalls_at_any_step_holds_up_steering_for_two_seconds_at_most,
                  the_same_with_the_kernel_too,
                  real_agents_that_are_killed_on_the_way_leave_a_state_that_is_repaired,
                  real_agents_that_are_stopped_on_the_way_too):
        tests.run(claim)
        for process in Proxy.processes:  # of a claim that failed
            process.kill()
            process.wait()
    sys.exit(tests.end())
