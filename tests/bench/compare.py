# SPDX-License-Identifier: GPL-2.0-only
"""lanetag beside HAProxy, nginx and a direct connection, in one run: docs/benchmark.md tells how and why.

Runs in a network namespace of its own (compare.sh makes it). From the environment:

  BENCH_ROUNDS     rounds, 5                       BENCH_SECONDS    of each measurement, 1.8
  BENCH_WORKLOADS  names, separated by spaces      BENCH_IDLE       idle connections, 9000 (0: none)
  BENCH_OUTPUT     directory, build/bench          BENCH_DOCUMENT   a file whose table is written anew
"""
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile

import chain
import report
from measuring import measure, memory, rotated, run_load
from parties import (BUILD, COPIER, DIRECT, HAPROXY, HAPROXY_LARGE, HAPROXY_TCP, LANETAG, LANETAG_KERNEL, NGINX,
                     Origin, Party)

USUAL = [DIRECT, LANETAG, NGINX, HAPROXY, HAPROXY_TCP]

# Name, what the load is told, who takes part.
WORKLOADS = {
    "small": (["-c", "64"], USUAL + [LANETAG_KERNEL, COPIER]),
    "browser": (["-c", "64", "-B"], USUAL + [LANETAG_KERNEL, COPIER]),
    "connect": (["-c", "64", "-C"], USUAL),
    "response-1k": (["-c", "64", "-t", "1024"], USUAL),
    "response-64k": (["-c", "32", "-t", "65536"], USUAL + [COPIER]),
    "response-1m": (["-c", "16", "-t", "1048576"], USUAL + [HAPROXY_LARGE]),
    "post-1k": (["-c", "64", "-b", "1024"], USUAL),
    "post-64k": (["-c", "32", "-b", "65536"], USUAL),
    "post-1m": (["-c", "16", "-b", "1048576"], USUAL + [HAPROXY_LARGE]),
    "rate-10k": (["-c", "64", "-r", "10000"], USUAL + [COPIER]),
}


def run_rounds(parties, workloads, rounds, seconds):
    measurements = []
    for round_number in range(rounds):
        for workload in rotated(workloads, round_number):
            arguments, names = WORKLOADS[workload]
            for name in rotated([name for name in names if name in parties], round_number):
                result = measure(parties[name], seconds, arguments)
                result.update(round=round_number, workload=workload, party=name)
                measurements.append(result)
                print(f"round {round_number + 1}/{rounds} {workload} {name}: {result['requests_per_second']:.0f} /s, "
                      f"{result['proxy_us']:.1f} us, {result['errors']} errors", file=sys.stderr, flush=True)
    return measurements


def check_answers(parties):
    """Each byte of bodies both ways, once, before anything is measured."""
    checks = []
    for party in parties.values():
        for arguments in (["-c", "4"], ["-c", "4", "-B"], ["-c", "4", "-C"], ["-c", "4", "-V", "-t", "1048576"],
                          ["-c", "4", "-V", "-b", "1048576"], ["-c", "4", "-V", "-b", "65536", "-t", "65536"]):
            result = run_load(party, 0.05, arguments)
            checks.append({"party": party.name, "arguments": arguments, **result})
    return checks


def count_tags(parties):
    """One request of each of the 1,000 users: which share got each tag."""
    tags = {}
    for party in parties.values():
        done = subprocess.run(party.load_command("-i", "-c", "1000"), stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=60, check=False)
        tags[party.name] = json.loads(done.stdout)["tagged"]
    return tags


def measure_memory(directory, names, idle):
    """Each proxy by itself: at its start, and with so many idle connections that were served once."""
    rows = []
    for name in names:
        party = Party(name, directory).start()
        row = {"party": name, "start": memory(party.pids())}
        if idle:
            with subprocess.Popen(party.load_command("-i", "-c", str(idle)), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as load:
                row.update(idle_connections=json.loads(load.stdout.readline())["requests"], idle=memory(party.pids()))
        party.stop()
        rows.append(row)
    return rows


def kernel_can(directory):
    """Whether lanetag's kernel program can be had here."""
    party = Party(LANETAG_KERNEL, directory)
    try:
        party.start()
    except SystemExit:
        return False
    party.stop()
    with open(os.path.join(party.directory, "log"), encoding="utf-8") as file:
        return "kernel" not in file.read()


def versions():
    def first_line(*command):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        return done.stdout.splitlines()[0]

    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = [line.split(": ", 1)[1].strip() for line in file if line.startswith("model name")]
    return {"lanetag": first_line(f"{BUILD}/lanetag", "--version"), "nginx": first_line("nginx", "-v"),
            "haproxy": first_line("haproxy", "-v"), "kernel": os.uname().release, "processors": model}


def compare_proxies(workloads, rounds, seconds, idle):
    """lanetag and others as one proxy before one upstream."""
    with tempfile.TemporaryDirectory(prefix="lanetag-bench-") as directory, Origin():
        names = [name for name in dict.fromkeys(sum((WORKLOADS[workload][1] for workload in workloads), []))
                 if name != LANETAG_KERNEL or kernel_can(directory)]
        memories = measure_memory(directory, [name for name in names if name in (LANETAG, NGINX, HAPROXY)], idle)
        parties = {name: Party(name, directory).start() for name in names}
        try:
            return {"memory": memories, "checks": check_answers(parties), "tagged_of_1000": count_tags(parties),
                    "measurements": run_rounds(parties, workloads, rounds, seconds)}
        finally:
            for party in parties.values():
                party.stop()


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # with all that was started
    setting = os.environ.get
    rounds, seconds = int(setting("BENCH_ROUNDS", "5")), float(setting("BENCH_SECONDS", "1.8"))
    known = [*WORKLOADS, *chain.WORKLOADS]
    workloads = setting("BENCH_WORKLOADS", "").split() or known
    output = setting("BENCH_OUTPUT", os.path.join(BUILD, "bench"))
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    idle = min(int(setting("BENCH_IDLE", "9000")), int(limit * 0.45))
    if os.cpu_count() < 2:
        raise SystemExit("two processors are needed: one for the proxy, one for the load")
    unknown = [name for name in workloads if name not in known]
    if unknown:
        raise SystemExit(f"no such workload: {' '.join(unknown)}; there are {' '.join(known)}")
    of_proxies, of_chains = ([name for name in workloads if name in kind] for kind in (WORKLOADS, chain.WORKLOADS))
    results = {"versions": versions(), "rounds": rounds, "seconds": seconds}
    if of_proxies:
        results.update(compare_proxies(of_proxies, rounds, seconds, idle))
    if of_chains:
        results["chain"] = chain.compare(of_chains, rounds, seconds)
    return report.write(results, output, setting("BENCH_DOCUMENT"))


if __name__ == "__main__":
    sys.exit(main())
