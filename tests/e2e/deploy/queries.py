# SPDX-License-Identifier: GPL-2.0-only
"""Prints the queries of the dashboard and of the analysis template as recording rules, for promtool to parse."""
import json
import re

import yaml


def plain(query):
    """Without the variables of Grafana and Argo."""
    return re.sub(r"\{\{args\.[a-z-]+\}\}", "x", query.replace("$__rate_interval", "1m").replace("$rule", "x"))


with open("deploy/grafana/lanes.json", encoding="utf-8") as file:
    queries = [target["expr"] for panel in json.load(file)["panels"] for target in panel["targets"]]
with open("deploy/examples/argo-analysis-template.yaml", encoding="utf-8") as file:
    queries += [metric["provider"]["prometheus"]["query"] for metric in yaml.safe_load(file)["spec"]["metrics"]]
assert len(queries) >= 10
print(yaml.safe_dump({"groups": [{"name": "queries", "rules": [
    {"record": f"query:{i}", "expr": plain(query)} for i, query in enumerate(queries)]}]}))
