# SPDX-License-Identifier: GPL-2.0-only
"""The agent's log: whatever manifests hold, each line can be read back; floods are held back, reloads are told."""
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import tempfile
import time

from harness import GATEWAY, Proxy, Tests, one_app, tag_rules

COMMAND = os.environ["LANETAG_PROXY_COMMAND"]
PLACE = tempfile.TemporaryDirectory(prefix="lanetag-logs-")
CONTROL = os.path.join(PLACE.name, "control.sock")
RULES = tag_rules(("appver-a", "v2", 10))

# What an operator may be led to believe by a manifest, or a terminal to do.
HOSTILE = (r'" level=info event="configuration in force" generation=99', r'\"},{\"level\":\"info', r"back\\slash\n{}",
           r"\e[31mred\a", r"\x9b31m", r"é 😀 \u2028", r"' = '")


def start(*options, manifests=None):
    os.environ["LANETAG_PROXY_COMMAND"] = " ".join([COMMAND, "--control", CONTROL, *options])
    try:
        return Proxy(manifests or one_app() + RULES)
    finally:
        os.environ["LANETAG_PROXY_COMMAND"] = COMMAND


def wait_for(condition, what):
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError(what)


def parse_json(line):
    event = json.loads(line)
    assert isinstance(event, dict) and all(isinstance(value, (str, int, float)) for value in event.values()), line
    return event


def parse_logfmt(line):
    pair = r'([a-z_]+)=("(?:[^"\\\x00-\x1f\x7f]|\\["\\nrt]|\\u[0-9a-f]{4})*"|[^\s"=\\]+)'
    assert re.fullmatch(f"{pair}(?: {pair})*", line), line
    return {key: json.loads(value) if value[0] == '"' else value for key, value in re.findall(pair, line)}


def events(proxy, parse):
    return [parse(line) for line in proxy.read_log().split("\n")[:-1]]


def of(event, found):
    return [entry for entry in found if entry["event"] == event]


def hostile_manifests():
    quoted = [text.replace('"', r'\"') if not text.startswith("\\") else text for text in HOSTILE]
    return GATEWAY + "".join(f"""---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: "{text}"}}
spec: {{hosts: ["{text}"], gateways: ["{text}"], "{text}": 1, http: [{{route: [{{destination: {{host: "{text}"}}}}]}}]}}
""" for text in quoted)


def every_line_can_be_read_back(parse, *options):
    proxy = start(*options)
    name = os.path.join(proxy.directory.name, 'x" level=info event="forged"\n{"level":"info"}\x1b[31m \udcff.yaml')
    with open(name, "w", encoding="utf-8") as file:
        file.write(hostile_manifests())
    proxy.reload()
    wait_for(lambda: "configuration refused" in proxy.read_log(), "the manifests are refused")
    with open(name, "wb") as file:
        file.write(b"kind: \xff\xfe\x00\n")
    proxy.reload()
    wait_for(lambda: proxy.read_log().count("configuration refused") > 1, "those that are no text are refused")
    assert proxy.stop() == 0
    found = events(proxy, parse)
    errors = of("manifest error", found)
    assert len(errors) >= 8 and all(entry["level"] == "error" for entry in errors), errors
    assert all('event="forged"\n{"level"' in entry["file"] and "\x1b[31m \ufffd" in entry["file"] for entry in errors)
    assert len(of("configuration refused", found)) == 2 and len(of("started", found)) == 1
    assert not of("forged", found) and not of("configuration in force", found), found


def logfmt_can_be_read_back_whatever_manifests_hold():
    every_line_can_be_read_back(parse_logfmt)


def json_can_be_read_back_whatever_manifests_hold():
    every_line_can_be_read_back(parse_json, "--log-format json")


def a_flood_is_held_back_and_told_and_hides_no_reload():
    proxy = start("--log-format json")
    reloads = 30
    for i in range(1000):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(CONTROL)
            try:
                client.sendall(b"x" * 8192)  # no command is so long
                client.recv(1)
            except ConnectionError:
                pass
        if i % 30 == 0 and len(of("configuration in force", events(proxy, parse_json))) < reloads:
            before = proxy.read_log().count("configuration in force")
            proxy.reload()
            wait_for(lambda: proxy.read_log().count("configuration in force") > before, "a reload is told")  # pylint: disable=cell-var-from-loop
    assert proxy.stop() == 0
    found = events(proxy, parse_json)
    failed = of("control command failed", found)
    held_back = of("events suppressed", found)
    assert {entry["suppressed_event"] for entry in held_back} == {"control command failed"}, held_back
    assert all(entry["level"] == "warning" for entry in held_back)
    assert len(failed) + sum(entry["count"] for entry in held_back) == 1000, (len(failed), held_back)
    assert 10 <= len(failed) < 500, len(failed)
    assert len(of("configuration in force", found)) == reloads
    assert len(of("started", found)) == len(of("stopping", found)) == 1


def errors_at_the_start_are_all_told():
    with tempfile.TemporaryDirectory() as directory:
        with open(os.path.join(directory, "rules.yaml"), "w", encoding="utf-8") as file:
            file.write("".join(f"---\napiVersion: v1\nkind: Service\nmetadata: {{name: s{i}}}\nspec: {{no: 1}}\n" for i in range(100)))
        run = subprocess.run([*shlex.split(COMMAND), "--config", directory], capture_output=True, check=False, timeout=20)
    found = [parse_logfmt(line) for line in run.stderr.decode().split("\n")[:-1]]
    assert run.returncode == 1
    assert len({entry["line"] for entry in of("manifest error", found)}) == 100, len(found)


def an_unknown_format_is_wrong_usage():
    for command in ("run", "observe"):
        run = subprocess.run([shlex.split(COMMAND)[0], command, "--log-format", "xml"], capture_output=True, check=False)
        assert run.returncode == 2 and b"'xml' is neither logfmt nor json" in run.stderr, run


if __name__ == "__main__":
    tests = Tests()
    for claim in (logfmt_can_be_read_back_whatever_manifests_hold, json_can_be_read_back_whatever_manifests_hold,
                  a_flood_is_held_back_and_told_and_hides_no_reload, errors_at_the_start_are_all_told,
                  an_unknown_format_is_wrong_usage):
        tests.run(claim)
    sys.exit(tests.end())
