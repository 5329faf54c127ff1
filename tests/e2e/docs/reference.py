# SPDX-License-Identifier: GPL-2.0-only
"""Holds the documents' tables against the code: fields of manifests, metrics, limits, options, alerts."""
import glob
import os
import re
import subprocess
import sys

import documents

BUILD = os.environ.get("LANETAG_BUILD", "build")
# Where a parser's fields must stand in docs/configuration.md: the sections of the kinds that it reads.
SECTIONS = {
    "api_filters.c": ["HTTPRoute"],
    "api_gateway.c": ["HTTPRoute"],
    "api_match.c": ["HTTPRoute"],
    "api_route.c": ["HTTPRoute"],
    "destination_rule.c": ["DestinationRule"],
    "gateway.c": ["Gateway"],
    "header_propagation.c": ["ASMHeaderPropagation"],
    "http_actions.c": ["VirtualService"],
    "http_match.c": ["VirtualService"],
    "http_route.c": ["VirtualService"],
    "reference_grant.c": ["ReferenceGrant"],
    "resource.c": ["All kinds"],
    "service.c": ["Service", "ServiceEntry"],
    "traffic_policy.c": ["DestinationRule"],
    "virtual_service.c": ["VirtualService"],
    "wasm_plugin.c": ["WasmPlugin"],
    "workload.c": ["Pod", "WorkloadEntry"],
}
# Read by all parsers alike, and told once.
FRAME = {"spec", "metadata", "apiVersion", "kind", "status", "items"}
READING = re.compile(r"(?:reader|builder|node|read)_(?!error|warning)[a-z_0-9]+\((?:[^;\"]|\n)*?\"([a-zA-Z0-9]+)\"")
RULE = re.compile(r"\{\"([a-zA-Z0-9]+)\", FIELD_([A-Z]+)")
count = failed = 0


def claim(text, problems):
    global count, failed
    count += 1
    problems = sorted(problems)
    failed += bool(problems)
    print(f"{'not ok' if problems else 'ok'} {count} - {text}")
    for problem in problems:
        print(f"#   {problem}")


def source(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def table(name):
    return documents.read(f"docs/{name}.md").text


def words_in_code(text):
    """Every word that stands in `code`: `retries.perTryTimeout` has two."""
    return {word for span in re.findall(r"`([^`]+)`", text) for word in re.findall(r"[A-Za-z0-9]+", span)}


def fields_of_parsers():
    """(parser, field) -> READ, IGNORED, UNSUPPORTED or LOST"""
    fields = {}
    for path in glob.glob("user/manifest/*.c"):
        text, parser = source(path), os.path.basename(path)
        for field in READING.findall(text):
            fields.setdefault((parser, field), "READ")
        for field, support in RULE.findall(text):
            fields[parser, field] = support
    return {key: support for key, support in fields.items() if key[1] not in FRAME}


def each_field_is_told():
    configuration = documents.read("docs/configuration.md")
    fields = fields_of_parsers()
    assert len(fields) > 150, len(fields)
    unknown = {parser for parser, _ in fields if parser not in SECTIONS} - {"builder.c", "reader.c", "manifest_set.c", "node.c",
                                                                              "pieces.c", "stub.c", "unenforced.c", "part.c"}
    told = {parser: "\n".join(documents.section(configuration, title) for title in titles)
            for parser, titles in SECTIONS.items()}
    problems = [f"user/manifest/{parser} is in no section" for parser in unknown]
    for (parser, field), support in fields.items():
        if parser in told and field not in words_in_code(told[parser]):
            problems.append(f"{parser}: {field} ({support}) is not in {' or '.join(SECTIONS[parser])}")
    claim("docs/configuration.md tells each field that a parser knows, under its kind", problems)


def no_other_field_is_told():
    """In the first column of the kinds' tables; annotations of ours are no fields."""
    configuration = documents.read("docs/configuration.md")
    problems = []
    for title in {title for titles in SECTIONS.values() for title in titles}:
        known = {field for parser, field in fields_of_parsers() if title in SECTIONS.get(parser, [])} | FRAME
        for cell in re.findall(r"^\| ([^|]*`[^|]*) \|", documents.section(configuration, title), re.MULTILINE):
            problems += [f"{title}: {cell}" for word in words_in_code(re.sub(r"`lanetag\.io/[a-z-]+`", "", cell)) - known]
    claim("docs/configuration.md tells no field that its kind's parser does not know", set(problems))


def kinds_are_told():
    text = table("configuration")
    sections = set(re.findall(r"^## (\w+) \((?:[\w.]+)\)", text, re.MULTILINE))
    kinds = set(re.findall(r"\{(?:\"[a-z.]*\"|GATEWAY_API_GROUP), \"(\w+)\",\s[a-z_]+,", source("user/manifest/manifest_set.c")))
    assert len(kinds) > 7, kinds
    claim("docs/configuration.md has a section for each kind that is read, and no other", kinds ^ sections)


def refused_and_ignored_fields_are_called_so():
    """Each in a paragraph or row that says it; `only`, `must be`: what of it is taken."""
    configuration = documents.read("docs/configuration.md")
    problems = []
    for (parser, field), support in fields_of_parsers().items():
        if support == "READ" or parser not in SECTIONS:
            continue
        wanted = {"UNSUPPORTED": "not supported|No such", "IGNORED": "ignored|Ignored", "LOST": "passed over with a warning"}[support]
        text = "\n".join(documents.section(configuration, title) for title in SECTIONS[parser])
        places = [row for part in text.split("\n\n") for row in (part.split("\n") if part.lstrip().startswith("|") else [part])]
        if not any(re.search(wanted, place) for place in places if field in words_in_code(place)):
            problems.append(f"{parser}: {field} is {support}")
    claim("fields that are refused or passed over are called so", problems)


def metrics_are_told():
    defined = set()
    for path in glob.glob("user/admin/*.c") + glob.glob("user/proxy/**/*.[ch]", recursive=True):
        defined |= set(re.findall(r"\"(lanetag_[a-z_]+)[\"{ ]", source(path)))
    told = set(re.findall(r"^\| `(lanetag_\w+)` \|", table("operations"), re.MULTILINE))
    defined = {name for name in defined if not re.search(r"_(bucket|count|sum)$", name)}
    assert len(defined) > 15, defined
    claim("docs/operations.md has a row for each metric that the code names", defined - told)
    others = [source(name) for name in documents.names() if name != "docs/map-abi.md"]
    named = set(re.findall(r"(?<![\w/])lanetag_[a-z_]+", "\n".join(others)))
    claim("no document names another metric", {name for name in named - told if not any(row.startswith(name + "_") for row in told)})


def alerts_are_told():
    alerts = set(re.findall(r"alert: (\w+)", source("deploy/prometheus/rules.yaml")))
    told = set(re.findall(r"^\| `(Lanetag\w+)` \|", table("operations"), re.MULTILINE))
    assert alerts
    claim("docs/operations.md says of each alert what to do, and of no other", alerts ^ told)


def limits_are_told():
    limits = dict(re.findall(r"OPTION_[A-Z]+,\s+\"([a-z-]+)\",\s+(\d+)", source("user/proxy/sharing/options.c")))
    told = dict(re.findall(r"^\| `([a-z-]+)` \| ([^|]+) \|", documents.section(documents.read("docs/proxy.md"), "Limits and timeouts"),
                           re.MULTILINE))
    assert len(limits) > 10, limits
    # Defaults that depend on the machine or on other limits stand in words.
    limits |= {name: value for name, value in re.findall(r"^  ([a-z-]+) .*\(default: (.*)\)$", help_of("run"), re.MULTILINE)
               if not value.isdigit()}
    problems = [f"{name} is {value}, not {told.get(name)}" for name, value in limits.items()
                if told.get(name) != (value if value != "0" or name == "allow-bare-lf" else "any number")]
    problems += [f"there is no limit {name}" for name in set(told) - set(limits)]
    claim("docs/proxy.md has each --limit with its default", problems)


def help_of(*words):
    return subprocess.run([f"{BUILD}/lanetag", *words, "--help"], capture_output=True, text=True, check=True).stdout


def options_are_told():
    everything = "\n".join(source(name) for name in documents.names())
    commands = re.findall(r"^  ([a-z]+)  ", help_of(), re.MULTILINE)
    assert len(commands) > 8, commands
    problems = [f"lanetag {command}" for command in commands if not re.search(rf"`(?:lanetag )?{command}\b|lanetag {command}\b", everything)]
    for command in commands:
        for option in set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", help_of(command))) - {"--help"}:
            if not re.search(rf"(?<![\w-]){option}(?![\w-])", everything):
                problems.append(f"lanetag {command} {option}")
    claim("each command and option stands in some document", problems)


def main():
    kinds_are_told()
    each_field_is_told()
    no_other_field_is_told()
    refused_and_ignored_fields_are_called_so()
    metrics_are_told()
    alerts_are_told()
    limits_are_told()
    options_are_told()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
