# SPDX-License-Identifier: GPL-2.0-only
"""From measurements to results.json and the markdown of docs/benchmark.md."""
import json
import os
import statistics

import chain_report
from parties import COPIER, DIRECT, HAPROXY, HAPROXY_LARGE, HAPROXY_TCP, LANETAG, LANETAG_KERNEL, NGINX
from tables import by_round, number, ratio, spread, table

BEGIN, END = "<!-- results: written by make bench -->", "<!-- end of results -->"

# Workload: the least ratio of a peer's CPU to ours, for each peer (the best of several counts).
GOALS = {
    "small": {(NGINX,): 1.5, (HAPROXY,): 1.5, (HAPROXY_TCP,): 0.9, (COPIER,): None},
    "browser": {(NGINX,): 1.5, (HAPROXY,): 1.5, (HAPROXY_TCP,): 0.9, (COPIER,): None},
    "connect": {(NGINX,): 1.1, (HAPROXY,): 1.1},
    "response-64k": {(NGINX,): 1.5, (COPIER,): None},
    "response-1m": {(NGINX, HAPROXY, HAPROXY_LARGE): 1.8},
    "post-64k": {(NGINX,): 1.5},
    "post-1m": {(NGINX, HAPROXY, HAPROXY_LARGE): 1.8},
    "rate-10k": {(NGINX,): 1.15, (HAPROXY,): 1.4, (COPIER,): None},
}
GOAL_START_BYTES, GOAL_IDLE_BYTES = 3_000_000, 256
TITLES = {
    "small": "small heads", "browser": "browsers' heads", "connect": "a connection each",
    "response-1k": "responses of 1 KiB", "response-64k": "responses of 64 KiB", "response-1m": "responses of 1 MiB",
    "post-1k": "POST of 1 KiB", "post-64k": "POST of 64 KiB", "post-1m": "POST of 1 MiB",
    "rate-10k": "10,000 requests/s",
}
PARTIES = [DIRECT, LANETAG, LANETAG_KERNEL, NGINX, HAPROXY, HAPROXY_LARGE, HAPROXY_TCP, COPIER]


class Results:
    def __init__(self, results):
        self.results = results
        self.values = by_round(results["measurements"])
        self.workloads = list(dict.fromkeys(each["workload"] for each in results["measurements"]))
        self.parties = [party for party in PARTIES if any(key[1] == party for key in self.values)]

    def of(self, workload, party, field):
        return [each[field] for each in self.values.get((workload, party), {}).values()]

    def ratios(self, workload, peers):
        """The best peer's CPU of each round by ours of the same round."""
        best = min((peer for peer in peers if (workload, peer) in self.values), default=None,
                   key=lambda peer: statistics.median(self.of(workload, peer, "proxy_us")))
        ours = self.values.get((workload, LANETAG))
        if not best or not ours:
            return None, []
        theirs = self.values[workload, best]
        return best, [theirs[each]["proxy_us"] / ours[each]["proxy_us"] for each in ours if ours[each]["proxy_us"]]

    def verdicts(self):
        verdicts = []
        for workload in self.workloads:
            goals = GOALS.get(workload, {(NGINX,): None, (HAPROXY,): None})
            for peers, goal in goals.items():
                peer, ratios = self.ratios(workload, peers)
                if ratios:
                    verdicts.append({"workload": workload, "peer": peer, "goal": goal, "ratios": ratios,
                                     "median": statistics.median(ratios)})
        return verdicts


def measured_table(results, field, parties):
    rows = []
    for workload in results.workloads:
        cells = [results.of(workload, party, field) for party in parties]
        rows.append([TITLES[workload], *map(spread, cells)])
    return table(["", *parties], rows)


def latency_table(results):
    rows = []
    for workload in results.workloads:
        cells = []
        for party in results.parties:
            values = [results.of(workload, party, field) for field in ("p50_us", "p99_us")]
            cells.append(" / ".join(number(statistics.median(each)) for each in values) if values[0] else "")
        rows.append([TITLES[workload], *cells])
    return table(["", *results.parties], rows)


def goals_table(results):
    rows = []
    for each in results.verdicts():
        goal = each["goal"]
        reached = "" if goal is None else "reached" if each["median"] >= goal else "**missed**"
        rows.append([TITLES[each["workload"]], each["peer"], spread(each["ratios"], ratio),
                     f">= {goal}" if goal else "", reached])
    return table(["", "peer", "peer's CPU / lanetag's", "goal", ""], rows)


def idle_bytes(each):
    count = each.get("idle_connections")
    return (each["idle"]["anonymous"] - each["start"]["anonymous"]) / count if count else None


def memory_table(results):
    rows = []
    for each in results.results["memory"]:
        idle = idle_bytes(each)
        rows.append([each["party"], *(f"{each['start'][kind] / 1e6:.1f} MB" for kind in ("anonymous", "resident")),
                     f"{idle:.0f} B" if idle is not None else ""])
    return table(["", "anonymous at start", "resident at start", "anonymous per idle connection"], rows)


def tags_table(results):
    return table(["users tagged of 1,000", "appver-a", "appver-b", "appver-c"],
                 [[party, *map(str, tags)] for party, tags in results.results["tagged_of_1000"].items()
                  if party not in (DIRECT, HAPROXY_TCP, COPIER)])


def errors_of(raw):
    all_of_them = raw.get("measurements", []) + raw.get("checks", []) + raw.get("chain", {}).get("measurements", [])
    return sum(each["errors"] for each in all_of_them)


def introduction(raw):
    versions = raw["versions"]
    return (f"{versions['lanetag']}; {versions['nginx']}; {versions['haproxy'].split(' - ')[0]}; "
            f"Linux {versions['kernel']}; {len(versions['processors'])} x {versions['processors'][0]}. "
            f"{raw['rounds']} rounds of {raw['seconds']:g} s; {errors_of(raw)} wrong or missing responses. "
            "Numbers are medians (least-most) over the rounds.")


def proxies_parts(results):
    proxies = [party for party in results.parties if party != DIRECT]
    return [
        "### Ratios and goals", goals_table(results),
        "### The proxy's CPU, microseconds per request", measured_table(results, "proxy_us", proxies),
        "### The whole machine's CPU, microseconds per request",
        measured_table(results, "machine_us", results.parties),
        "### Requests per second", measured_table(results, "requests_per_second", results.parties),
        "### Latency, p50 / p99 in microseconds", latency_table(results),
        "### Memory", memory_table(results),
        "### Tags", tags_table(results)]


def put_into(document, text):
    with open(document, encoding="utf-8") as file:
        before, rest = file.read().split(BEGIN)
    after = rest.split(END)[1]
    with open(document, "w", encoding="utf-8") as file:
        file.write(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def write(raw, output, document=None):
    """Gives the exit status: 1 if a response was wrong."""
    parts = [introduction(raw)]
    if "measurements" in raw:
        results = Results(raw)
        parts += proxies_parts(results)
        raw["ratios"] = results.verdicts()
    if "chain" in raw:
        parts += chain_report.markdown(raw["chain"])
    text = "\n\n".join(parts)
    os.makedirs(output, exist_ok=True)
    with open(os.path.join(output, "results.json"), "w", encoding="utf-8") as file:
        json.dump(raw, file, indent=1)
    with open(os.path.join(output, "table.md"), "w", encoding="utf-8") as file:
        file.write(text + "\n")
    if document:
        put_into(document, text)
    print(text)
    return 1 if errors_of(raw) else 0
