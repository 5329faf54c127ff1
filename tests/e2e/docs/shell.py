# SPDX-License-Identifier: GPL-2.0-only
"""A shell that stays: commands one after the other, as a reader types them."""
import os
import shlex
import signal
import subprocess
import time

END = "\x01end of the command"
# How often the agent has read its manifests, well or in vain.
RELOADS = ("on_node curl -s http://127.0.0.1:15020/metrics | "
           "awk '/^lanetag_configuration_reloads_total/ { sum += $2 } END { print sum }'")
SECONDS = 60  # that one command may take


class Shell:
    def __init__(self, arguments=("bash",)):
        self.process = subprocess.Popen(list(arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, encoding="utf-8", errors="replace")

    def run(self, command):
        """What it says, and its status."""
        self.process.stdin.write(f"eval {shlex.quote(command)} </dev/null\nprintf '{END} %d\\n' $?\n")
        self.process.stdin.flush()
        said = []
        signal.alarm(SECONDS)
        for line in self.process.stdout:
            if END in line:
                signal.alarm(0)
                before, status = line.split(END)
                return "".join(said) + before, int(status)
            said.append(line)
        signal.alarm(0)
        raise AssertionError("the shell ended: " + "".join(said))

    def end(self):
        self.process.stdin.close()
        rest = self.process.stdout.read()
        return rest, self.process.wait()


class Playground(Shell):
    """Waits after a change of the manifests until the agent has looked at them; a reader is slower than that."""

    def __init__(self):
        super().__init__(["scripts/playground.sh"])
        self.manifests = super().run("echo $manifests")[0].strip()
        self.work = os.path.dirname(self.manifests)
        self.reloads_seen = self.reloads()

    def remains(self):
        """What of it is still there."""
        name = os.path.basename(self.work)
        paths = [path for path in (self.work, "/sys/fs/bpf/" + name) if os.path.exists(path)]
        listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout.split()
        return paths + [namespace for namespace in listed if namespace.startswith(name + "-")]

    def files(self):
        entries = [entry for entry in os.scandir(self.manifests) if not entry.name.startswith(".")]
        return sorted((entry.name, entry.stat().st_mtime_ns, entry.stat().st_ino) for entry in entries)

    def reloads(self):
        return int(super().run(RELOADS)[0])

    def run(self, command):
        files = self.files()
        answer = super().run(command)
        if self.files() != files:
            self.wait()
        return answer

    def wait(self):
        time.sleep(0.3) # a burst of changes is one reload, 60 ms behind its last at most
        before = self.reloads_seen
        for _ in range(100):
            self.reloads_seen = self.reloads()
            if self.reloads_seen > before:
                return
        raise AssertionError("the agent has not looked at the changed manifests")
