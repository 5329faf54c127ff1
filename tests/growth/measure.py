# SPDX-License-Identifier: GPL-2.0-only
"""Growth that instructions do not show: what many connections cost, beside other proxies; what tools take for many users;
a scrape's size; memory over reloads. Prints tables in Markdown. No argument: all of connections, tools, scrape, memory."""
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

from measuring import measure
from parties import BUILD, COPIER, HAPROXY, LANETAG, NGINX, Origin, Party

ROUNDS = int(os.environ.get("GROWTH_ROUNDS", "3"))
ADMIN_PORT = 8090  # below the range that clients take theirs from
BENCH_RULES = 3  # in tests/bench/lanetag.yaml
RULE = "    - {header: x-user-id, modulo: 100, tagHeader: appver-%d, policies: [%s]}\n"
PLUGIN = """---
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: growth}
spec:
  pluginConfig:
    rules:
"""


class Agent(Party):
    """lanetag with options and manifests beside those of the benchmark; all clients have one address here."""

    def __init__(self, directory, manifests=""):
        super().__init__(LANETAG, directory)
        self.manifests = manifests
        self.path = None

    def write(self, manifests):
        """In one step, as the watch wants it."""
        with open(self.path + ".new", "w", encoding="utf-8") as file:
            file.write(self.base + manifests)
        os.rename(self.path + ".new", self.path)

    def command(self):
        command = super().command()
        self.path = command[command.index("--config") + 1]
        with open(self.path, encoding="utf-8") as file:
            self.base = file.read()
        self.write(self.manifests)
        command[command.index("--admin") + 1] = f"127.0.0.1:{ADMIN_PORT}"
        return command + ["--limit", "connections-per-client=0"]

    @staticmethod
    def scrape():
        with urllib.request.urlopen(f"http://127.0.0.1:{ADMIN_PORT}/metrics", timeout=30) as response:
            return response.read().decode()

    def anonymous_kb(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return int(re.search(r"RssAnon:\s+(\d+)", file.read())[1])


def rules(count, values, shift=0):
    def policies():
        return ", ".join(f"{{range: {(value + 1) * 5 + shift}, tagValue: value-{value}}}" for value in range(values))

    return PLUGIN.lstrip("-\n") + "".join(RULE % (rule, policies()) for rule in range(count))


def connections(directory):
    """CPU of the proxy per small request, by how many connections ask at a time."""
    counts = (64, 1000, 4500)
    names = (LANETAG, NGINX, HAPROXY, COPIER)
    taken = {(name, count): [] for name in names for count in counts}
    with Origin():
        for _ in range(ROUNDS):
            for name in names:
                party = (Agent if name == LANETAG else lambda d, n=name: Party(n, d))(directory).start()
                try:
                    for count in counts:
                        result = measure(party, 1.5, ["-c", str(count)])
                        if not result["errors"]:
                            taken[name, count].append(result["proxy_us"])
                finally:
                    party.stop()
    print("| active connections | " + " | ".join(f"{count:,}" for count in counts) + " | times |")
    print("|---|" + "---:|" * (len(counts) + 1))
    for name in names:
        middle = [statistics.median(taken[name, count]) if taken[name, count] else float("nan") for count in counts]
        print(f"| {name}, us per request | " + " | ".join(f"{value:.1f}" for value in middle)
              + f" | {middle[-1] / middle[0]:.2f} |")


def seconds_of(*command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with open(os.devnull, "w", encoding="ascii") as nowhere:
        subprocess.run([f"{BUILD}/lanetag", *command], stdout=nowhere, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def tools(directory):
    """CPU seconds of commands about many users, with 64 rules."""
    old, new, users = (os.path.join(directory, name) for name in ("old.yaml", "new.yaml", "users"))
    for path, shift in ((old, 0), (new, 3)):
        with open(path, "w", encoding="utf-8") as file:
            file.write(rules(64, 1, shift))
    with open(users, "w", encoding="utf-8") as file:
        file.writelines(f"user-{user}\n" for user in range(100_000))
    print("| 64 rules | CPU, s |\n|---|---:|")
    print(f"| `diff` of 1,000,000 ids | {seconds_of('diff', old, new, '--count', '1000000'):.2f} |")
    print(f"| `simulate` of 1,000,000 ids | {seconds_of('simulate', '-c', old, '--count', '1000000'):.2f} |")
    print("| `explain` of 100,000 ids as JSON | "
          f"{seconds_of('explain', '-c', old, '--users', users, '-o', 'json'):.2f} |")


def scrape(directory):
    """Size of /metrics with as many lanes as there can be."""
    print("| rules, values of each | lines | bytes |\n|---|---:|---:|")
    with Origin():
        for count, values in ((1, 1), (64 - BENCH_RULES, 16)):
            agent = Agent(directory, "---\n" + rules(count, values).replace("appver-", "growth-")).start()
            try:
                measure(agent, 0.5, [])
                text = agent.scrape()
            finally:
                agent.stop()
            print(f"| {count + BENCH_RULES}, {values} | {text.count(chr(10)):,} | {len(text):,} |")


def hosts(count, turn):
    entry = ("---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: host-%d}\nspec:\n"
             "  hosts: [host-%d.test]\n  ports: [{number: 80, name: http, protocol: HTTP}]\n  resolution: STATIC\n"
             "  endpoints: [{address: 10.%d.%d.%d}]\n")
    return "".join(entry % (host, host, turn, host >> 8, host & 255) for host in range(count))


def memory(directory):
    """Anonymous memory before reloads, and ten seconds after the last of 20."""
    print("| reloads of | before, MB | after 20, MB | times |\n|---|---:|---:|---:|")
    with Origin():
        for count in (1000, 10000):
            agent = Agent(directory, hosts(count, 0)).start()
            try:
                measure(agent, 0.5, [])
                before = agent.anonymous_kb()
                for turn in range(1, 21):
                    agent.write(hosts(count, turn))
                    time.sleep(0.3 + count / 10000)
                time.sleep(10)
                after = agent.anonymous_kb()
            finally:
                agent.stop()
            print(f"| {count:,} hosts | {before / 1024:.1f} | {after / 1024:.1f} | {after / before:.2f} |")


def main(names):
    measures = {"connections": connections, "tools": tools, "scrape": scrape, "memory": memory}

    with tempfile.TemporaryDirectory(prefix="lanetag-growth-") as directory:
        for name in names or measures:
            print()
            measures[name](directory)
            sys.stdout.flush()


main(sys.argv[1:])
