# SPDX-License-Identifier: GPL-2.0-only
"""The tutorial's chain of three applications: called directly, through lanetag and through HAProxy."""
import os
import re
import subprocess
import sys
import tempfile

from measuring import map_bytes, measure, memory, rotated, run_load
from parties import BUILD, HERE, LOAD, LOAD_CORE, PROXY_CORE, pinned

DIRECT, HAPROXY = "direct", "HAProxy"
BAGGAGE, TRACE, THREAD, INTERCEPTED = ("lanetag, baggage", "lanetag, trace", "lanetag, thread",
                                       "lanetag, intercepted")
# What chain.sh calls each, and by which way lanetag knows the tags of calls.
CHAINS = {DIRECT: ("direct", None), BAGGAGE: ("baggage", "baggage"), INTERCEPTED: ("intercepted", "baggage"),
          TRACE: ("trace", "trace"), THREAD: ("thread", "thread"), HAPROXY: ("haproxy", None)}
WORKLOADS = {"chain": ["-c", "32"], "chain-1k": ["-c", "32", "-r", "1000"]}

USERS = 1000
GATEWAY, ADMIN = "192.0.2.1", "http://127.0.0.1:15020"
ADDRESSES = {"app-a-v1": "10.0.250.27", "app-b-v1": "10.0.250.6", "app-c-v2": "10.0.250.11",
             "app-a-v2": "10.0.250.14", "app-b-v2": "10.0.250.8", "app-c-v3": "10.0.250.23"}
DIRECT_ADDRESSES = {**ADDRESSES, "app-b-v1": "10.96.0.11", "app-c-v2": "10.96.0.12"}
UNTAGGED = ("v1", "v1", "v2")
# Of all that belongs to a chain: where there are more, the same two are to be saturated.
CORES = f"{PROXY_CORE},{LOAD_CORE}"
# A process is believed after 64 requests, and one user in nine meets the second version.
WARM_UP_REQUESTS, WARM_UP_TRIES = 2500, 60


def versions_of(user):
    """The tutorial's rules: FNV-1a of the id, modulo 100."""
    value = 0x811C9DC5
    for byte in user.encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    drawn = value % 100
    return ("v2" if drawn <= 10 else "v1",) * 2 + ("v3" if drawn <= 50 else "v2",)


def answer(versions, addresses):
    pods = [(app, version, addresses[f"{app}-{version}"]) for app, version in zip(("app-a", "app-b", "app-c"), versions)]
    return "".join(f"-> {app}(version: {version}, ip: {address})" for app, version, address in pods) + "\n"


def user_strings(name, user):
    """As the load's -u wants them: the head, the right body, and those of calls whose tags were lost."""
    versions = versions_of(user)
    fields = f"x-user-id: {user}\r\n"
    if name == HAPROXY:  # whose clients come with their tags
        fields += "".join(f"appver-{app}: {version}\r\n" for app, version, usual in zip("abc", versions, UNTAGGED)
                          if version != usual)
    head = f"GET / HTTP/1.1\r\nHost: shop.example.com\r\nAccept: */*\r\n{fields}\r\n"
    if name == DIRECT:
        return [head] + [answer(UNTAGGED, DIRECT_ADDRESSES)] * 3
    return [head] + [answer(versions[:hops] + UNTAGGED[hops:], ADDRESSES) for hops in (3, 2, 1)]


class Chain:
    """One party: its applications stay, its proxy runs only while it is measured, so that none pays for another."""

    def __init__(self, name, directory):
        self.name, (self.party, self.way) = name, CHAINS[name]
        self.proxy = 0
        self.users = os.path.join(directory, self.party)
        with open(self.users, "w", encoding="ascii") as file:
            for number in range(1, USERS + 1):
                file.write("".join(text + "\0" for text in user_strings(name, f"{number:04d}")))
        self.process = subprocess.Popen(pinned(CORES, os.path.join(HERE, "chain.sh"), self.party), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, env={**os.environ, "LANETAG_BUILD": BUILD})
        state, _, self.network = self.process.stdout.readline().strip().partition(" ")
        self.why_not = None if state == "ready" else self.network

    def tell(self, command):
        print(command, file=self.process.stdin, flush=True)
        return self.process.stdout.readline().strip()

    def start(self):
        reply = self.tell("start")
        if not reply.isdigit():
            raise SystemExit(f"{self.name}: {reply}")
        self.proxy = int(reply)

    def stop(self):
        self.proxy = 0
        self.tell("stop")

    def close(self):
        self.process.stdin.close()
        self.process.wait()

    def pids(self):
        return [self.proxy] if self.proxy else []

    def in_namespace(self, namespace, *command):
        return ["nsenter", f"--net=/run/netns/{self.network}-{namespace}", *command]

    def load_command(self, *arguments):
        address, port = (ADDRESSES["app-a-v1"], "8000") if self.name == DIRECT else (GATEWAY, "80")
        return self.in_namespace("client", *pinned(CORES, LOAD, *arguments, "-u", self.users, "-a", address, port))

    def warm_up(self):
        requests = 0
        for _ in range(WARM_UP_TRIES):
            requests += run_load(self, 0.2, WORKLOADS["chain"])["requests"]
            if requests >= WARM_UP_REQUESTS:
                return
        raise SystemExit(f"{self.name}: only {requests} requests were answered")

    def calls_by_way(self):
        """How many calls had their tags by the way that this party shows; None where there are no ways."""
        if not self.way:
            return None
        done = subprocess.run(self.in_namespace("node", "curl", "-s", f"{ADMIN}/metrics"), stdout=subprocess.PIPE,
                              text=True, check=True)
        found = re.search(rf'^lanetag_propagation_total{{by="{self.way}"}} (\d+)$', done.stdout, re.MULTILINE)
        return int(found[1])


def measure_chain(chain, workloads, seconds):
    """One round of one party: its measurements, and its memory behind them."""
    chain.start()
    chain.warm_up()
    measurements = []
    for workload in workloads:
        before = chain.calls_by_way()
        result = measure(chain, seconds, WORKLOADS[workload])
        result.update(workload=workload, party=chain.name)
        if chain.way:
            result["calls_by_way"] = chain.calls_by_way() - before
        measurements.append(result)
    usage = {"party": chain.name, **memory(chain.pids()), "maps": map_bytes(chain.pids())}
    chain.stop()
    return measurements, usage


def run_rounds(chains, workloads, rounds, seconds):
    measurements, usages = [], []
    for round_number in range(rounds):
        for name in rotated(list(chains), round_number):
            results, usage = measure_chain(chains[name], workloads, seconds)
            for result in results:
                result["round"] = round_number
                print(f"round {round_number + 1}/{rounds} {result['workload']} {name}: "
                      f"{result['requests_per_second']:.0f} /s, {result['proxy_us']:.1f} us, {result['errors']} errors, "
                      f"{result['lost']} without tags", file=sys.stderr, flush=True)
            measurements += results
            usages.append({"round": round_number, **usage})
    return {"measurements": measurements, "memory": usages}


def compare(workloads, rounds, seconds):
    with tempfile.TemporaryDirectory(prefix="lanetag-bench-chain-") as directory:
        chains = {}
        try:
            for name in CHAINS:
                chains[name] = Chain(name, directory)
            left_out = {name: chain.why_not for name, chain in chains.items() if chain.why_not}
            able = {name: chain for name, chain in chains.items() if name not in left_out}
            return {**run_rounds(able, workloads, rounds, seconds), "left_out": left_out}
        finally:
            for chain in chains.values():
                chain.close()
