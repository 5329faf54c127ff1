#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Generated manifests: after abort, promote and ramp to 0, explain says so for each of 10,000 users.

everyone.py LANETAG ROUNDS [SEED]   prints its seed, and the manifests where something is wrong
"""
import json
import os
import random
import subprocess
import sys
import tempfile

lanetag, rounds = sys.argv[1], int(sys.argv[2])
seed = int(sys.argv[3]) if len(sys.argv) > 3 else random.randrange(1 << 32)
print(f"# seed {seed}")
dice = random.Random(seed)
USERS = "\n".join(f"user-{number}" for number in range(10000))
BASE = "".join(
    f"""apiVersion: v1
kind: Service
metadata: {{name: {host}}}
spec: {{clusterIP: 10.96.0.{number}, ports: [{{name: http, port: 8000}}]}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: {host}}}
spec: {{host: {host}, subsets: [{{name: v1, labels: {{v: "1"}}}}, {{name: v2, labels: {{v: "2"}}}}, {{name: v3, labels: {{v: "3"}}}}]}}
---
"""
    for number, host in ((3, "app-c"), (4, "app-d"))
)


def policies(partitioned):
    """The policies of a rule that give v2 and v3, as lists of fields in any order."""
    values = dice.sample(["v2", "v3"], dice.randint(1, 2))
    if partitioned:
        shares = [[("weight", dice.choice([0, 1, 10, 45]))] for _ in values]
    elif len(values) == 1:
        shares = [[dice.choice([("range", dice.choice([0, 49, 99])), ("percent", dice.choice([0, 1, 30, 100])), ("slots", "[20, 70]")])]]
    else:
        shares = [[dice.choice([("range", 9), ("percent", 10), ("slots", "[0, 10]")])], [("slots", "[10, 60]")]]
    lists = [share + [("tagValue", value)] for share, value in zip(shares, values)]
    for fields in lists:
        dice.shuffle(fields)
    return values, lists


def rule(tag):
    partitioned = dice.random() < 0.4
    values, lists = policies(partitioned)
    key = "partitionedPolicies" if partitioned else "policies"
    modulo = [] if partitioned and dice.random() < 0.5 else ["modulo: 100"]
    include = [] if dice.random() < 0.5 else [f"include: [{{tagValue: {values[0]}, ids: [user-1, user-7]}}]"]
    flow = [", ".join(f"{name}: {value}" for name, value in fields) for fields in lists]
    style = dice.randrange(3)
    if style == 0:
        fields = ["header: u", f"tagHeader: {tag}"] + modulo + include + [f"{key}: [" + ", ".join("{" + text + "}" for text in flow) + "]"]
        return values, "    - {" + ", ".join(fields) + "}\n"
    lines = ["header: u # the user", f"tagHeader: {tag}"] + modulo
    if include and style == 1:
        lines += ["include:", f"- tagValue: {values[0]}", "  ids: [user-1, user-7]"]
    else:
        lines += include
    lines.append(f"{key}:")
    for text, fields in zip(flow, lists):
        if style == 1:
            lines += [("- " if not number else "  ") + f"{name}: {value} # {name}" for number, (name, value) in enumerate(fields)]
        else:
            lines.append("- {" + text + "}")
    return values, "".join(("    - " if not number else "      ") + line + "\n" for number, line in enumerate(lines))


def destination(host, subset, weight=None):
    text = f"    - destination: {{host: {host}, subset: {subset}}}\n" if dice.random() < 0.5 else f"    - destination:\n        host: {host}\n        subset: {subset}\n"
    return text + (f"      weight: {weight}\n" if weight is not None else "")


def routes(host, tag, values):
    """Of one host: (manifest, its stable version)."""
    text = ""
    for value in dice.sample(values, dice.randint(0, len(values))):
        match = f"{{headers: {{{tag}: {{exact: {value}}}}}}}"
        if dice.random() < 0.2:
            match += ", {uri: {prefix: /beta}}"
        text += f"  - match: [{match}]\n    route:\n" + destination(host, dice.choice([value, "v1", "v3"]))
    stable = dice.choice(["v1", "v2", "v3"])
    text += "  - route:\n"
    if dice.random() < 0.4:
        other = dice.choice([name for name in ("v1", "v2", "v3") if name != stable])
        text += destination(host, stable, 60) + destination(host, other, 40)
    else:
        text += destination(host, stable)
    return f"apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {host}}}\nspec:\n  hosts: [{host}]\n  http:\n{text}---\n", stable


def explain(folder):
    answer = subprocess.run([lanetag, "explain", "--config", folder, "--users", "-", "-o", "json"], input=USERS, capture_output=True, text=True)
    if answer.returncode:
        return None, answer.stderr
    return [json.loads(line) for line in answer.stdout.splitlines()], ""


def met(users, host):
    return {route["subset"] for user in users for route in user["routes"] if route["host"] and route["host"].startswith(host + ".")}


def tags(users, tag):
    return {rule["tagValue"] for user in users for rule in user["rules"] if rule["tagHeader"] == tag}


def explain_text(text):
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "all.yaml"), "w") as stream:
            stream.write(text)
        users, why = explain(folder)
    if users is None:
        sys.exit(f"the generated manifests are wrong: {why}\n{text}")
    return users


def attempt(text, before, command, wanted):
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "all.yaml"), "w") as stream:
            stream.write(text)
        done = subprocess.run([lanetag, command[0], "--config", folder, "--control", "", "-n", "10", "--yes", "--allow-back", *command[1:]], capture_output=True, text=True)
        if done.returncode:
            return f"{command}: {done.stderr}"
        after, why = explain(folder)
        return wanted(before, after) if after is not None else f"{command}: the result is wrong: {why}"


failures = 0
for number in range(rounds):
    values_c, rule_c = rule("tag-c")
    values_d, rule_d = rule("tag-d")
    service_c, stable_c = routes("app-c", "tag-c", values_c)
    service_d, stable_d = routes("app-d", dice.choice(["tag-c", "tag-d"]), ["v2", "v3"])
    text = BASE + service_c + service_d + f"apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {{name: tags}}\nspec:\n  pluginConfig:\n    rules:\n{rule_c}{rule_d}"
    before = explain_text(text)
    subset, value = dice.choice(["v1", "v2", "v3"]), dice.choice(values_c)
    listed = {"user-1", "user-7"} if "include" in rule_c and value == values_c[0] else set()

    def others_stay(before, after):
        """Users of the other tag value keep it."""
        for old, new in zip(before, after):
            was, now = ([rule["tagValue"] for rule in user["rules"] if rule["tagHeader"] == "tag-c"][0] for user in (old, new))
            if old["user"] in listed:
                continue
            if now != (None if was == value else was):
                return f"{old['user']}: {was} -> {now}"
        return None

    for command, wanted in (
        (["abort", "app-c"], lambda before, after: None if met(after, "app-c") == {stable_c} else f"met {met(after, 'app-c')}"),
        (["abort", "app-c", "app-d"], lambda before, after: None if (met(after, "app-c"), met(after, "app-d")) == ({stable_c}, {stable_d}) else "met others"),
        (["abort", "tag-c"], lambda before, after: None if tags(after, "tag-c") == {None} else f"tags {tags(after, 'tag-c')}"),
        (["abort", f"tag-c/{value}"], lambda before, after: None if value not in tags(after, "tag-c") else "still tagged"),
        (["promote", "app-c", subset], lambda before, after: None if met(after, "app-c") == {subset} else f"met {met(after, 'app-c')}"),
        (["promote", f"app-c={subset}", "app-d=v1"], lambda before, after: None if (met(after, "app-c"), met(after, "app-d")) == ({subset}, {"v1"}) else "met others"),
        (["ramp", f"tag-c/{value}", "0"], others_stay),
    ):
        problem = attempt(text, before, command, wanted)
        if problem:
            failures += 1
            print(f"# round {number}, {command}: {problem}\n# " + text.replace("\n", "\n# "))
            break
    if failures > 2:
        break
sys.exit(failures > 0)
