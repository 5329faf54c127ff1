# SPDX-License-Identifier: GPL-2.0-only
"""What an agent that serves may still do: the capabilities that its options need, no others; the system calls of serving,
no others. It works as before, and --no-seccomp takes the filter away."""
import errno
import os
import socket
import subprocess
import sys
import tempfile
import time

from harness import Client, Proxy, Tests, Upstream, one_app, reply, service, tag_rules, wait_for

BUILD = os.environ.get("LANETAG_BUILD", "build")
INJECT = BUILD + "/tests/apps/inject_syscall"
RULES = tag_rules(("appver-a", "v2", 10))
PINS = f"/sys/fs/bpf/lanetag-confinement-{os.getpid()}"
SERVE, TAG = {10}, {10, 12, 38, 39}  # CAP_NET_BIND_SERVICE; NET_ADMIN, PERFMON, BPF
# Forbidden ones: number and arguments, of x86-64.
FORBIDDEN = {"execve": (59, 0, 0, 0), "execveat": (322, 0, 0, 0), "ptrace": (101, 16, 1), "fork": (57,), "vfork": (58,),
             "clone": (56, 17, 0), "kill": (62, 1, 0), "process_vm_readv": (310, 1), "setuid": (105, 0), "mount": (165, 0, 0),
             "umount2": (166, 0), "chroot": (161, 0), "pivot_root": (155, 0), "unshare": (272, 0), "setns": (308, 0),
             "init_module": (175, 0), "finit_module": (313, 0), "kexec_load": (246, 0), "reboot": (169, 0),
             "keyctl": (250, 0), "add_key": (248, 0), "io_uring_setup": (425, 1, 0), "userfaultfd": (323, 0),
             "chown": (92, 0, 0, 0), "mknod": (133, 0, 0, 0), "symlink": (88, 0, 0), "link": (86, 0, 0), "acct": (163, 0),
             "swapon": (167, 0), "iopl": (172, 0), "personality": (135, 0xffffffff), "open_by_handle_at": (304, 0),
             "raw socket": (41, 17, 3, 0), "vsock": (41, 40, 1, 0), "executable memory": (9, 0, 4096, 7, 34, -1, 0),
             "memory made executable": (10, 0, 4096, 5), "tgkill of another": (234, 1, 1, 0), "capset": (126, 0, 0),
             "seccomp": (317, 0, 0, 0)}
ALLOWED = {"getpid": (39,), "getrandom": (318, 0, 0, 0), "socket": (41, 2, 1, 0), "netlink": (41, 16, 3, 0)}


def inject(pid, number, *arguments):
    numbers = [str(value & (1 << 64) - 1) for value in (number, *arguments)]
    return int(subprocess.run([INJECT, str(pid), *numbers], capture_output=True, text=True, check=True).stdout)


def status_of(task):
    with open(task + "/status", encoding="ascii") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def tasks(proxy):
    directory = f"/proc/{proxy.process.pid}/task"
    return [status_of(f"{directory}/{task}") for task in os.listdir(directory)]


def bits(text):
    return {bit for bit in range(64) if int(text, 16) >> bit & 1}


def agent(*options, manifests=None):
    proxy = Proxy(manifests or one_app() + RULES, options=["--pin-directory", PINS, *options])
    wait_for(lambda: 'event="started"' in proxy.read_log(), "the agent starts")
    return proxy


def holds(proxy, capabilities, filtered=True):
    for task in tasks(proxy):
        for name in ("CapEff", "CapPrm"):
            assert bits(task[name]) == capabilities, (task["Name"], name, task[name])
        for name in ("CapInh", "CapAmb"):
            assert not bits(task[name]), (task["Name"], name, task[name])
        assert bits(task["CapBnd"]) <= TAG | {2}, (task["Name"], task["CapBnd"])
        assert task["NoNewPrivs"] == "1", task["Name"]
        assert task["Seccomp"] == ("2" if filtered else "0"), (task["Name"], task["Seccomp"])
    assert len(tasks(proxy)) >= 4


def an_agent_without_the_kernel_may_open_low_ports_and_nothing_else():
    proxy = agent("--no-kernel")
    holds(proxy, SERVE)
    assert proxy.stop() == 0


def an_agent_with_the_kernel_may_load_and_attach_too():
    if os.environ.get("LANETAG_SKIP_KERNEL") == "1":
        return
    for options in (["--interface", "lo"], ["--interface", "lo", "--pod-interface", "pod*"],
                    ["--interface", "lo", "--pod-interface", "pod*", "--correlate-threads", "*", "--intercept", "127.0.0.1"]):
        proxy = agent(*options)
        holds(proxy, TAG)
        assert "going on without" not in proxy.read_log(), proxy.read_log()
        assert proxy.stop() == 0, proxy.read_log()
        assert not os.path.exists(PINS) and not os.path.exists(PINS + "-arrivals")


def every_forbidden_call_is_refused_and_the_agent_goes_on():
    proxy = agent("--no-kernel")
    for name, call in FORBIDDEN.items():
        result = inject(proxy.process.pid, *call)
        assert result == -errno.EPERM, (name, result)
    assert inject(proxy.process.pid, 321, 0, 0, 0) == -errno.EPERM  # bpf: without the kernel there is no need
    for name, call in ALLOWED.items():
        assert inject(proxy.process.pid, *call) >= 0, name
    with Client() as client:
        assert client.ask("/", fields=["x-user-id: 0005"]).body == b"v2"
    assert proxy.stop() == 0, proxy.read_log()


def without_the_filter_they_are_not_and_the_log_warns():
    proxy = agent("--no-kernel", "--no-seccomp")
    holds(proxy, SERVE, filtered=False)
    assert 'level=warning event="system calls are not filtered" reason=--no-seccomp' in proxy.read_log(), proxy.read_log()
    assert inject(proxy.process.pid, *FORBIDDEN["execve"]) == -errno.EFAULT
    assert inject(proxy.process.pid, *FORBIDDEN["personality"]) >= 0
    assert proxy.stop() == 0


def reloads_open_low_ports_and_new_interfaces_are_attached():
    kernel = os.environ.get("LANETAG_SKIP_KERNEL") != "1"
    proxy = agent(*(["--interface", "lo", "--interface", "new*"] if kernel else ["--no-kernel"]))
    proxy.write(one_app().replace("number: 8080", "number: 81") + RULES + service("other", address="127.0.0.9"))
    wait_for(lambda: proxy.read_log().count("configuration in force") == 1, proxy.read_log())
    with Client(81) as client:
        assert client.ask("/", fields=["x-user-id: 0005"]).body == b"v2"
    if kernel:
        subprocess.run(["ip", "link", "add", "new0", "type", "veth", "peer", "name", "end0"], check=True)
        subprocess.run(["ip", "link", "set", "new0", "up"], check=True)
        wait_for(lambda: "interface=new0" in proxy.read_log(), proxy.read_log())
        subprocess.run(["ip", "link", "delete", "new0"], check=True)
    assert "not permitted" not in proxy.read_log(), proxy.read_log()
    assert proxy.stop() == 0, proxy.read_log()


def manifests_that_root_may_only_read_by_right_are_read_on():
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "m.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(tag_rules(("appver-b", "v3", 10)).replace("name: tags", "name: more"))
        os.chown(path, 65534, 65534)
        os.chown(directory, 65534, 65534)
        for mode_of_directory, mode in ((0o700, 0o644), (0o755, 0o600)):
            os.chmod(directory, mode_of_directory)
            os.chmod(path, mode)
            proxy = agent("--no-kernel", "--config", directory)
            holds(proxy, SERVE | {2})
            proxy.reload()
            wait_for(lambda: "generation=2" in proxy.read_log(), proxy.read_log())
            assert proxy.stop() == 0


def the_control_socket_answers_and_the_running_configuration_is_shown():
    with tempfile.TemporaryDirectory() as directory:
        control = directory + "/control.sock"
        proxy = agent("--no-kernel", "--control", control, "--access-log", directory + "/access.log")
        with Client() as client:
            assert client.ask("/").status == 200
        shown = subprocess.run([BUILD + "/lanetag", "diff", "--running", "--control", control, proxy.directory.name],
                               capture_output=True, text=True, check=False)
        assert shown.returncode in (0, 1) and not shown.stderr, shown
        assert os.path.getsize(directory + "/access.log") > 50
        assert proxy.stop() == 0
        assert not os.path.exists(control)


def a_failed_takeover_is_repaired_under_the_filter():
    if os.environ.get("LANETAG_SKIP_KERNEL") == "1":
        return
    with tempfile.TemporaryDirectory() as directory:
        control = directory + "/control.sock"
        proxy = agent("--interface", "lo", "--control", control)
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(control)
            peer.sendall(b"takeover 1\nready\n")
            time.sleep(0.3)
        wait_for(lambda: "as before the takeover that failed" in proxy.read_log(), proxy.read_log())
        holds(proxy, TAG)
        assert proxy.stop() == 0, proxy.read_log()
        assert not os.path.exists(PINS)


if __name__ == "__main__":
    upstream = Upstream(lambda request, sock: reply(sock, (request.get("appver-a") or "none").encode()))
    os.environ["LANETAG_PROXY_COMMAND"] = os.environ["LANETAG_PROXY_COMMAND"].replace(" --no-kernel", "")
    tests = Tests()
    for claim in (an_agent_without_the_kernel_may_open_low_ports_and_nothing_else,
                  an_agent_with_the_kernel_may_load_and_attach_too,
                  every_forbidden_call_is_refused_and_the_agent_goes_on,
                  without_the_filter_they_are_not_and_the_log_warns,
                  reloads_open_low_ports_and_new_interfaces_are_attached,
                  manifests_that_root_may_only_read_by_right_are_read_on,
                  the_control_socket_answers_and_the_running_configuration_is_shown,
                  a_failed_takeover_is_repaired_under_the_filter):
        tests.run(claim)
        for process in Proxy.processes:  # of a claim that failed
            process.kill()
            process.wait()
    sys.exit(tests.end())
