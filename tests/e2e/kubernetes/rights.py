# SPDX-License-Identifier: GPL-2.0-only
"""Requests on standard input ("GET TARGET …") against the rules of a ClusterRole: neither has more than the other."""
import sys
import urllib.parse

import yaml

allowed = set()
for document in yaml.safe_load_all(open(sys.argv[1])):
    for rule in document.get("rules", []) if document["kind"] == "ClusterRole" else []:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                allowed |= {(group, resource, verb) for verb in rule["verbs"]}

asked = set()
for line in sys.stdin:
    method, target = line.split()[:2]
    assert method == "GET", line
    url = urllib.parse.urlsplit(target)
    parts = url.path.strip("/").split("/")
    group, rest = (parts[1], parts[3:]) if parts[0] == "apis" else ("", parts[2:])
    if rest[:1] == ["namespaces"]:
        rest = rest[2:]
    if rest:  # the rest is discovery, which system:discovery gives to all accounts
        asked.add((group, rest[0], "watch" if "watch=1" in url.query else "list"))

for right in sorted(asked - allowed):
    print("asked for without a right:", *right)
for right in sorted(allowed - asked):
    print("a right that is not needed:", *right)
sys.exit(asked != allowed)
