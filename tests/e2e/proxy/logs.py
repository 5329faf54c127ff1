# SPDX-License-Identifier: GPL-2.0-only
"""The agent's log: whatever manifests hold, each line can be read back; floods are held back, reloads are told. The
access log: whatever clients send, too; and no user id is in it."""
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import tempfile
import threading
import time

from harness import (GATEWAY, Client, Tests, Upstream, one_app, reply, request_bytes, start, tag_rule, tag_rules,
                     wait_for)

COMMAND = os.environ["LANETAG_PROXY_COMMAND"]
LANETAG = shlex.split(COMMAND)[0]
PLACE = tempfile.TemporaryDirectory(prefix="lanetag-logs-")
CONTROL = os.path.join(PLACE.name, "control.sock")
MANIFESTS = one_app() + tag_rules(("appver-a", "v2", 10))

# What an operator may be led to believe by a manifest, or a terminal to do.
HOSTILE = (r'" level=info event="configuration in force" generation=99', r'\"},{\"level\":\"info', r"back\\slash\n{}",
           r"\e[31mred\a", r"\x9b31m", r"é 😀 \u2028", r"' = '")


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
    proxy = start(MANIFESTS, "--control", CONTROL, *options)
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
    every_line_can_be_read_back(parse_json, "--log-format", "json")


def a_flood_is_held_back_and_told_and_hides_no_reload():
    proxy = start(MANIFESTS, "--control", CONTROL, "--log-format", "json")
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
    wait_for(lambda: sum(entry["count"] for entry in of("events suppressed", events(proxy, parse_json)))
             + proxy.read_log().count('"event":"control command failed"') == 1000, "all that was held back is told, though nothing happens")
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
        with subprocess.Popen([*shlex.split(COMMAND), "--config", directory], stderr=subprocess.PIPE, text=True) as process:
            lines = []
            for line in process.stderr:
                lines.append(line)
                if 'event="started"' in line:
                    break
            process.terminate()
            process.wait(20)
    found = [parse_logfmt(line[:-1]) for line in lines]
    assert len({entry["line"] for entry in of("manifest error", found)}) == 100, len(found)
    assert {entry["name"] for entry in of("resource rejected", found)} == {f"s{i}" for i in range(100)}, len(found)
    assert of("started", found), "all the same, the agent starts"


def an_unknown_format_is_wrong_usage():
    for command, *option in (("run", "--log-format", "xml"), ("observe", "--log-format", "xml"),
                             ("run", "--access-log-user-ids", "xml")):
        run = subprocess.run([LANETAG, command, *option], capture_output=True, check=False)
        assert run.returncode == 2 and f"{option[0]}: 'xml' is n".encode() in run.stderr, run


# Rules on every kind of source; the ids that a request shall bear are in no other text here.
ID_RULES = (tag_rules(("appver-a", "v2", 10)) + tag_rule("appver-b", "v2", 10, "cookie: sid")
            + tag_rule("appver-c", "v3", 50, "queryParam: uid"))
IN_HEADER, IN_COOKIE, IN_QUERY = "id-4711-header", "id-4711-cookie", "id-4711-query"


begun = threading.Event()


def handle(request, sock):
    request.body()
    if request.target.startswith("/slow"):
        time.sleep(0.05)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na")
        begun.wait()  # the client has the first byte, so the proxy had it
        time.sleep(0.05)
        sock.sendall(b"b")
        return True
    if request.target == "/bad-chunk":
        sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n")
        return False
    return reply(sock)


def access_log_of(targets, *options, rules=ID_RULES, fields=(), ask=Client.ask):
    """The lines of these requests, as they were written; each request has an id in every source."""
    path = os.path.join(PLACE.name, "access.log")
    proxy = start(one_app() + rules, "--control", CONTROL, "--access-log", path, *options)
    with Client() as client:
        for target in targets:
            ask(client, target, fields=[f"x-user-id: {IN_HEADER}", f"Cookie: a=b; sid={IN_COOKIE}", *fields])
        client.send(f"GET /?uid={IN_QUERY} HTTP/1.1\r\nHost: a\r\nHost: b\r\nx-user-id: {IN_HEADER}\r\n\r\n".encode())
        assert client.response().status == 400
    assert proxy.stop() == 0, proxy.read_log()[-2000:]
    with open(path, encoding="ascii") as file:
        lines = file.read().splitlines()
    os.unlink(path)
    assert len(lines) == len(targets) + 1, lines
    assert "4711" not in proxy.read_log()
    return lines


def shows_an_id(lines):
    """Not by chance, in the digits of a hash or of a request id that the agent made."""
    return "4711" in re.sub('"[0-9a-f]{16}"|"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"', '""', "".join(lines))


def hash_of(user, key):
    """As lanetag explain finds it for who has the key."""
    with tempfile.NamedTemporaryFile(mode="w", suffix=".yaml") as file:
        file.write(ID_RULES)
        file.flush()
        command = [LANETAG, "explain", "--config", file.name, "--user", user, "--access-log-key-file", key]
        answer = subprocess.run([*command, "-o", "json"], capture_output=True, check=True)
        text = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    found = json.loads(answer.stdout)["accessLog"]
    assert f"  access log {found}\n" in text and re.fullmatch("[0-9a-f]{16}", found), text
    return found


def key_file(name, content):
    path = os.path.join(PLACE.name, name)
    with open(path, "wb") as file:
        file.write(content)
    return path


# What rules take for the parameter, and what only an application might.
HIDDEN = ((f"/x?uid={IN_QUERY}", "/x?uid=*"), (f"/x?a=1&uid={IN_QUERY}&b=2", "/x?a=1&uid=*&b=2"),
          (f"/x?uid={IN_QUERY};4711&uid=4711", "/x?uid=*&uid=*"), (f"/x?%75i%64={IN_QUERY}", "/x?%75i%64=*"),
          (f"/x?UID={IN_QUERY}", "/x?UID=*"), (f"/x?a=1;uid={IN_QUERY}&c", "/x?a=1;uid=*&c"),
          (f"http://app.test/x?uid={IN_QUERY}", "http://app.test/x?uid=*"))
SHOWN = ("/x", "/x?", "/x?uid=", "/x?uid&a=1", "/x?fluid=1&uids=2&a=uid", "/x?&&a=%zz%", "/x?a=1?uid2=3")


def the_access_log_has_hashes_of_ids_and_no_id():
    targets = [target for target, _ in HIDDEN] + list(SHOWN)
    key = key_file("key", b"0123456789abcdef")
    lines = access_log_of(targets, "--access-log-key-file", key)
    assert not shows_an_id(lines), lines
    found = [json.loads(line) for line in lines]
    assert [line["target"] for line in found[:-1]] == [target for _, target in HIDDEN] + list(SHOWN)
    assert found[0]["users"] == {"x-user-id": hash_of(IN_HEADER, key), "cookie sid": hash_of(IN_COOKIE, key),
                                 "queryParam uid": hash_of(IN_QUERY, key)}, found[0]
    assert found[len(HIDDEN)]["users"] == {"x-user-id": hash_of(IN_HEADER, key), "cookie sid": hash_of(IN_COOKIE, key)}
    assert "users" not in found[-1] and found[-1]["refused"]


def users_of(*options):
    users = json.loads(access_log_of(["/x"], *options)[0])["users"]
    assert set(users) == {"x-user-id", "cookie sid"} and all(re.fullmatch("[0-9a-f]{16}", value) for value in users.values()), users
    return users


def hashes_of_another_key_or_another_start_are_others():
    key, same, other = (key_file(name, content) for name, content in
                        (("a", b"k" * 16), ("b", b"k" * 16), ("c", b"k" * 16 + b"\n")))
    with_key = users_of("--access-log-key-file", key)
    assert with_key == users_of("--access-log-key-file", same)
    all_of_them = [with_key, users_of("--access-log-key-file", other), users_of(), users_of()]
    for source in ("x-user-id", "cookie sid"):
        assert len({users[source] for users in all_of_them}) == 4, all_of_them


def a_key_file_that_is_none_is_named():
    short, long, good = key_file("short", b"k" * 15), key_file("long", b"k" * 4097), key_file("most", b"k" * 4096)
    fifo = os.path.join(PLACE.name, "fifo")
    os.mkfifo(fifo)
    with tempfile.NamedTemporaryFile(mode="w", suffix=".yaml") as manifests:
        manifests.write(ID_RULES)
        manifests.flush()
        for command in (["run", "--no-kernel"], ["explain", "--user", "0005"]):
            command = [LANETAG, *command, "--config", manifests.name, "--access-log-key-file"]
            for path, why in ((short, "fewer than 16 bytes"), (long, "more than 4096 bytes"), (PLACE.name + "/none", "No such file"),
                              (PLACE.name, "no regular file"), (fifo, "no regular file")):
                answer = subprocess.run([*command, path], capture_output=True, text=True, timeout=10, check=False)
                assert answer.returncode == 2 and f"--access-log-key-file: {path}: " in answer.stderr and why in answer.stderr, answer
        assert subprocess.run([*command, good], capture_output=True, check=False).returncode == 0


def the_common_format_hides_ids_too():
    lines = access_log_of([f"/x?a=b&uid={IN_QUERY}"], "--access-log-format", "common")
    assert not shows_an_id(lines) and '"GET /x?a=b&uid=* HTTP/1.1" 200 0' in lines[0], lines
    lines = access_log_of([f"/x?uid={IN_QUERY}"], "--access-log-format", "common", "--access-log-user-ids", "raw")
    assert f'"GET /x?uid={IN_QUERY} HTTP/1.1" 200 0' in lines[0], lines


def ids_are_raw_only_where_asked_for():
    line = json.loads(access_log_of([f"/x?uid={IN_QUERY}"], "--access-log-user-ids", "raw")[0])
    assert line["target"] == f"/x?uid={IN_QUERY}"
    assert line["users"] == {"x-user-id": IN_HEADER, "cookie sid": IN_COOKIE, "queryParam uid": IN_QUERY}


def not_even_hashes_where_none_are_wanted():
    line = access_log_of([f"/x?uid={IN_QUERY}"], "--access-log-user-ids", "none")[0]
    assert not shows_an_id([line]) and "users" not in json.loads(line) and json.loads(line)["target"] == "/x?uid=*"


def a_field_that_is_logged_can_be_an_id():
    rules = tag_rules(("appver-a", "v2", 10)) + tag_rule("appver-d", "v2", 10, "header: X-Request-ID")
    request_id = ["X-Request-Id: id-4711-request"]
    lines = access_log_of(["/x"], rules=rules, fields=request_id)
    assert not shows_an_id(lines) and json.loads(lines[0])["request_id"] == "*", lines
    lines = access_log_of(["/x"], rules=tag_rules(("appver-a", "v2", 10)), fields=request_id)
    assert json.loads(lines[0])["request_id"] == "id-4711-request"


def any_bytes_of_a_client_make_valid_lines():
    hostile = '"},{"\\n' + bytes(range(0x80, 0x100)).decode("latin-1")
    uid = bytes(range(0, 256, 4)) + b'"\\\n'
    encoded = "".join(f"%{byte:02x}" for byte in uid)
    line = json.loads(access_log_of(["/x?uid=" + encoded], "--access-log-user-ids", "raw",
                                    fields=["X-Request-Id: " + hostile])[0])
    assert line["request_id"] == hostile and line["users"]["queryParam uid"] == uid.decode("latin-1"), line


def lines_after(dialogue, count, *options):
    """The access log of what the dialogue does with the proxy."""
    path = os.path.join(PLACE.name, "access.log")
    proxy = start(one_app() + ID_RULES, "--control", CONTROL, "--access-log", path, *options)
    dialogue()
    assert proxy.stop() == 0, proxy.read_log()[-2000:]
    with open(path, encoding="ascii") as file:
        lines = file.read().splitlines()
    os.unlink(path)
    assert len(lines) == count, lines
    return lines


def a_refused_body_has_its_reason_beside_the_request():
    head = b"POST /x HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n"
    first = (head % b"Transfer-Encoding: chunked" + b"3\r\nabc\r\n", head % b"Transfer-Encoding: chunked", head % b"Content-Length: 5")

    def dialogue():
        for start_bytes, rest in ((first[0], b"ZZ\r\n"), (first[0], b"0\r\nHost: b\r\n\r\n"), (first[1] + b"-1", b"\r\n"),
                                  (first[1] + b"5\r\nhelloX", b"\r\n"), (first[2], b"half")):
            with Client() as client:
                client.send(start_bytes)
                time.sleep(0.05)
                client.send(rest)
                client.sock.shutdown(socket.SHUT_WR)
                assert client.response().status == 400, rest

    found = [json.loads(line) for line in lines_after(dialogue, 5)]
    assert [line["refused"] for line in found] == ["malformed chunked body"] * 4 + ["the request's body ended early"], found
    assert all(line["method"] == "POST" and line["target"] == "/x" and line["status"] == 400 for line in found), found
    for line in lines_after(dialogue, 5, "--access-log-format", "common"):
        assert '"POST /x HTTP/1.1" 400 ' in line, line


def a_response_that_is_none_has_the_status_that_the_client_got():
    def dialogue():
        with Client() as client:
            assert client.ask("/bad-chunk").status == 502
            assert client.ask("/x").status == 200

    bad, good = [json.loads(line) for line in lines_after(dialogue, 2)]
    assert bad["status"] == 502 and bad["response_body_bytes"] == 0 and bad["upstream_port"] == 9000, bad
    assert good["status"] == 200 and "refused" not in good and "refused" not in bad, good


def the_upstreams_part_of_the_time_is_told():
    def ask(client, target, fields):
        client.send(request_bytes(target, fields=fields))
        client.reader.until(b"\r\n\r\na")
        begun.set()
        assert client.reader.exactly(1) == b"b"

    slow = json.loads(access_log_of(["/slow"], ask=ask)[0])
    assert 50 <= slow["upstream_ms"] <= slow["duration_ms"] - 50, slow
    upstream.stop()
    dead, refused = [json.loads(line) for line in access_log_of(["/dead"])]
    assert dead["status"] == 503 and "upstream_ms" not in dead and "upstream_ms" not in refused, dead


if __name__ == "__main__":
    upstream = Upstream(handle)
    tests = Tests()
    for claim in (logfmt_can_be_read_back_whatever_manifests_hold, json_can_be_read_back_whatever_manifests_hold,
                  a_flood_is_held_back_and_told_and_hides_no_reload, errors_at_the_start_are_all_told,
                  an_unknown_format_is_wrong_usage, the_access_log_has_hashes_of_ids_and_no_id,
                  hashes_of_another_key_or_another_start_are_others, a_key_file_that_is_none_is_named,
                  the_common_format_hides_ids_too, ids_are_raw_only_where_asked_for,
                  not_even_hashes_where_none_are_wanted, a_field_that_is_logged_can_be_an_id,
                  any_bytes_of_a_client_make_valid_lines, a_refused_body_has_its_reason_beside_the_request,
                  a_response_that_is_none_has_the_status_that_the_client_got, the_upstreams_part_of_the_time_is_told):
        tests.run(claim)
    sys.exit(tests.end())
