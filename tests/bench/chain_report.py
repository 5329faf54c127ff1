# SPDX-License-Identifier: GPL-2.0-only
"""The chain's part of docs/benchmark.md."""
import statistics

from chain import DIRECT, HAPROXY
from tables import by_round, number, ratio, spread, table

SATURATED, AT_A_RATE = "chain", "chain-1k"


class ChainResults:
    def __init__(self, raw):
        self.raw = raw
        self.values = by_round(raw["measurements"])
        self.parties = list(dict.fromkeys(each["party"] for each in raw["memory"]))

    def has(self, workload):
        return any(key[0] == workload for key in self.values)

    def of(self, workload, party, field):
        return [each[field] for each in self.values[workload, party].values()]

    def paired(self, workload, party, base, field, operation):
        """Of each round, so that what disturbed both cancels out."""
        theirs = self.values.get((workload, base), {})
        return [operation(each[field], theirs[turn][field])
                for turn, each in self.values[workload, party].items() if turn in theirs and each[field]]

    def lost(self, party):
        """Share of the answers that missed a tag."""
        mine = [each for key, turns in self.values.items() if key[1] == party for each in turns.values()]
        return sum(each["lost"] for each in mine) / max(sum(each["requests"] for each in mine), 1)


def added(own, base):
    return own - base


def times(own, base):
    return own / base if base else 0


def base_by_own(own, base):
    return base / own


def cost_table(results, workload):
    rows = []
    for party in results.parties:
        rows.append([party, *(spread(results.of(workload, party, field)) for field in ("requests_per_second", "machine_us")),
                     *("" if party == DIRECT else spread(results.paired(workload, party, DIRECT, "machine_us", how), form)
                       for how, form in ((added, number), (times, ratio))),
                     "" if party == DIRECT else spread(results.of(workload, party, "proxy_us")),
                     "" if party in (DIRECT, HAPROXY) else
                     spread(results.paired(workload, party, HAPROXY, "proxy_us", base_by_own), ratio)])
    return table(["", "requests/s", "whole machine's CPU, us", "added to direct's", "by direct's",
                  "the proxy's CPU, us", "HAProxy's by this"], rows)


def latency_table(results, workload):
    rows = []
    for party in results.parties:
        cells = [spread(results.of(workload, party, field)) for field in ("p50_us", "p99_us")]
        cells += ["" if party == DIRECT else spread(results.paired(workload, party, DIRECT, field, added))
                  for field in ("p50_us", "p99_us")]
        rows.append([party, *cells])
    return table(["", "p50, us", "p99, us", "added to p50", "added to p99"], rows)


def memory_table(results):
    rows = []
    for party in results.parties:
        if party == DIRECT:
            continue
        usages = [each for each in results.raw["memory"] if each["party"] == party]
        sizes = [f"{statistics.median(each[kind] for each in usages) / 1e6:.1f} MB"
                 for kind in ("anonymous", "resident", "maps")]
        rows.append([party, *sizes, f"{results.lost(party):.3%}"])
    return table(["", "anonymous", "resident", "BPF maps", "answers that missed a tag"], rows)


def markdown(raw):
    results = ChainResults(raw)
    parts = []
    if results.has(SATURATED):
        parts += ["### A chain of three applications, as many requests as go", cost_table(results, SATURATED)]
    if results.has(AT_A_RATE):
        parts += ["### The same at 1,000 requests/s", cost_table(results, AT_A_RATE), latency_table(results, AT_A_RATE)]
    parts += ["### Memory behind the chain", memory_table(results)]
    parts += [f"{name} could not be had: {why}" for name, why in raw["left_out"].items()]
    return parts
