# SPDX-License-Identifier: GPL-2.0-only
"""Prints the queries of the dashboard and of the analysis templates as recording rules, for promtool to parse."""
import json
import re

import yaml


def plain(query):
    """Without the variables of Grafana, Argo and Flagger."""
    for variable, value in (("$__rate_interval", "1m"), ("{{ interval }}", "1m"), ("$rule", "x"), ("$host", "x")):
        query = query.replace(variable, value)
    return re.sub(r"\{\{ ?(args|variables)\.[a-z-]+ ?\}\}", "x", query)


with open("deploy/grafana/lanes.json", encoding="utf-8") as file:
    queries = [target["expr"] for panel in json.load(file)["panels"] for target in panel["targets"]]
with open("deploy/examples/argo-analysis-template.yaml", encoding="utf-8") as file:
    queries += [metric["provider"]["prometheus"]["query"] for metric in yaml.safe_load(file)["spec"]["metrics"]]
with open("deploy/examples/flagger-metric-template.yaml", encoding="utf-8") as file:
    queries.append(yaml.safe_load(file)["spec"]["query"])
assert len(queries) >= 10
print(yaml.safe_dump({"groups": [{"name": "queries", "rules": [
    {"record": f"query:{i}", "expr": plain(query)} for i, query in enumerate(queries)]}]}))
