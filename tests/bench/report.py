# SPDX-License-Identifier: GPL-2.0-only
"""From measurements to results.json and the markdown of docs/benchmark.md."""
import json
import os
import statistics

from parties import DIRECT, HAPROXY, HAPROXY_LARGE, HAPROXY_TCP, LANETAG, LANETAG_KERNEL, NGINX

BEGIN, END = "<!-- results: written by make bench -->", "<!-- end of results -->"

# Workload: the least ratio of a peer's CPU to ours, for each peer (the best of several counts).
GOALS = {
    "small": {(NGINX,): 1.5, (HAPROXY,): 1.5, (HAPROXY_TCP,): 0.9},
    "browser": {(NGINX,): 1.5, (HAPROXY,): 1.5, (HAPROXY_TCP,): 0.9},
    "connect": {(NGINX,): 1.1, (HAPROXY,): 1.1},
    "response-64k": {(NGINX,): 1.5},
    "response-1m": {(NGINX, HAPROXY, HAPROXY_LARGE): 1.8},
    "post-64k": {(NGINX,): 1.5},
    "post-1m": {(NGINX, HAPROXY, HAPROXY_LARGE): 1.8},
    "rate-10k": {(NGINX,): 1.15, (HAPROXY,): 1.4},
}
GOAL_START_BYTES, GOAL_IDLE_BYTES = 3_000_000, 256
TITLES = {
    "small": "small heads", "browser": "browsers' heads", "connect": "a connection each",
    "response-1k": "responses of 1 KiB", "response-64k": "responses of 64 KiB", "response-1m": "responses of 1 MiB",
    "post-1k": "POST of 1 KiB", "post-64k": "POST of 64 KiB", "post-1m": "POST of 1 MiB",
    "rate-10k": "10,000 requests/s",
}
PARTIES = [DIRECT, LANETAG, LANETAG_KERNEL, NGINX, HAPROXY, HAPROXY_LARGE, HAPROXY_TCP]


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def spread(values, form=number):
    return f"{form(statistics.median(values))} ({form(min(values))}-{form(max(values))})"


def row(cells):
    return "| " + " | ".join(cells) + " |"


def table(head, rows):
    return "\n".join([row(head), row(["---"] * len(head)), *map(row, rows)])


class Results:
    def __init__(self, results):
        self.results = results
        self.values = {}  # (workload, party) -> round -> measurement
        for each in results["measurements"]:
            self.values.setdefault((each["workload"], each["party"]), {})[each["round"]] = each
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

    def errors(self):
        return sum(each["errors"] for each in self.results["measurements"] + self.results["checks"])


def measured_table(results, field, parties):
    rows = []
    for workload in results.workloads:
        cells = [results.of(workload, party, field) for party in parties]
        rows.append([TITLES[workload], *(spread(values) if values else "" for values in cells)])
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
        rows.append([TITLES[each["workload"]], each["peer"], spread(each["ratios"], "{:.2f}".format),
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
                  if party not in (DIRECT, HAPROXY_TCP)])


def markdown(results):
    raw, proxies = results.results, [party for party in results.parties if party != DIRECT]
    versions = raw["versions"]
    return "\n\n".join([
        f"{versions['lanetag']}; {versions['nginx']}; {versions['haproxy'].split(' - ')[0]}; Linux {versions['kernel']}; "
        f"{len(versions['processors'])} x {versions['processors'][0]}. {raw['rounds']} rounds of {raw['seconds']:g} s; "
        f"{results.errors()} wrong or missing responses. Numbers are medians (least-most) over the rounds.",
        "### Ratios and goals", goals_table(results),
        "### The proxy's CPU, microseconds per request", measured_table(results, "proxy_us", proxies),
        "### The whole machine's CPU, microseconds per request",
        measured_table(results, "machine_us", results.parties),
        "### Requests per second", measured_table(results, "requests_per_second", results.parties),
        "### Latency, p50 / p99 in microseconds", latency_table(results),
        "### Memory", memory_table(results),
        "### Tags", tags_table(results)])


def put_into(document, text):
    with open(document, encoding="utf-8") as file:
        before, rest = file.read().split(BEGIN)
    after = rest.split(END)[1]
    with open(document, "w", encoding="utf-8") as file:
        file.write(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def write(raw, output, document=None):
    """Gives the exit status: 1 if a response was wrong."""
    results = Results(raw)
    text = markdown(results)
    raw["ratios"] = results.verdicts()
    os.makedirs(output, exist_ok=True)
    with open(os.path.join(output, "results.json"), "w", encoding="utf-8") as file:
        json.dump(raw, file, indent=1)
    with open(os.path.join(output, "table.md"), "w", encoding="utf-8") as file:
        file.write(text + "\n")
    if document:
        put_into(document, text)
    print(text)
    return 1 if results.errors() else 0
