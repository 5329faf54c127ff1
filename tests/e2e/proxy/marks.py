# SPDX-License-Identifier: GPL-2.0-only
"""Kernel and proxy count the same bytes: marks are found wherever a request stands in its stream."""
import os
import subprocess
import sys
import time

from harness import Client, Proxy, Tests, Upstream, chunked, metrics, one_app, pattern, reply, request_bytes, tag_rules

RULES = tag_rules(("appver-a", "v2", 50)) + """\
    - name: of one host
      header: x-user-id
      modulo: 100
      tagHeader: appver-h
      match: {hosts: [only.test, "*.shop.test"]}
      policies: [{range: 99, tagValue: v1}]
"""


def handle(request, sock):
    if request.target == "/host":
        return reply(sock, str(request.get("appver-h")).encode())
    body = request.body()
    return reply(sock, f"{request.get('appver-a')} {len(body)}".encode())


upstream = Upstream(handle)


def decisions():
    values = metrics()
    kernel = sum(v for k, v in values.items() if k.startswith("lanetag_decisions_total") and "agreed" in k)
    agent = sum(v for k, v in values.items() if k.startswith("lanetag_decisions_total") and "unused" in k)
    disagreements = sum(v for k, v in values.items() if "disagreement" in k)
    return kernel, agent, disagreements


def users(count):
    return [f"x-user-id: {i:04}" for i in range(count)]


def the_kernels_marks_are_found_for(name, requests, expected):
    """Sends `requests` over one connection; `expected` requests come out of it."""
    before = decisions()
    with Client() as client:
        for data in requests:
            client.send(data)
        for _ in range(expected):
            assert client.response().status == 200
    time.sleep(0.1)
    kernel, agent, disagreements = [now - then for now, then in zip(decisions(), before)]
    assert (kernel, agent, disagreements) == (expected, 0, 0), (name, kernel, agent, disagreements)


def the_marks_of_keep_alive_requests_are_found():
    with Client() as client:
        before = decisions()
        for user in users(30):
            assert client.ask("/", fields=[user]).status == 200
        kernel, agent, disagreements = [now - then for now, then in zip(decisions(), before)]
    assert (kernel, agent, disagreements) == (30, 0, 0), (kernel, agent, disagreements)


def a_rule_of_one_host_tags_its_requests_alone_and_is_no_disagreement():
    before = decisions()
    hosts = (("only.test", b"v1"), ("ONLY.test:80", b"v1"), ("a.shop.test", b"v1"), ("shop.test", b"None"), ("app.test", b"None"))
    with Client() as client:
        for host, tag in hosts:
            client.send(f"GET /host HTTP/1.1\r\nHost: {host}\r\nx-user-id: 0005\r\nappver-h: v1\r\n\r\n".encode())
            assert client.response().body == tag, (host, tag)
    time.sleep(0.1)
    kernel, agent, disagreements = [now - then for now, then in zip(decisions(), before)]
    assert (kernel, agent, disagreements) == (len(hosts), 0, 0), (kernel, agent, disagreements)


def the_marks_of_pipelined_requests_are_found():
    data = b"".join(request_bytes("/", fields=[user]) for user in users(40))
    the_kernels_marks_are_found_for("pipelined", [data], 40)


def the_marks_behind_bodies_are_found():
    big = pattern(700000, 4)
    data = [request_bytes("/", "POST", [user], pattern(i * 3001 + 1)) for i, user in enumerate(users(20))]
    data += [request_bytes("/", "POST", ["x-user-id: 7"], big), request_bytes("/", fields=["x-user-id: 8"])]
    the_kernels_marks_are_found_for("bodies", data, 22)


def the_marks_behind_chunked_bodies_are_found():
    data = []
    for i, user in enumerate(users(10)):
        body = pattern(20000 * i + 5)
        data.append(f"POST / HTTP/1.1\r\nHost: a\r\n{user}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
                    + chunked(body, [i * 1000 + 7] * (len(body) // (i * 1000 + 7) + 1), ["x-t: 1"]))
    the_kernels_marks_are_found_for("chunked", data, 10)


def the_marks_of_requests_cut_anywhere_are_found():
    data = b"".join(request_bytes("/", fields=[user]) for user in users(5))
    pieces = [data[i: i + 3] for i in range(0, len(data), 3)]
    the_kernels_marks_are_found_for("cut", pieces, 5)


def behind_an_empty_line_the_agent_decides_and_then_the_kernel_again():
    before = decisions()
    with Client() as client:
        client.send(b"\r\n" + request_bytes("/", fields=["x-user-id: 1"]))
        assert client.response().status == 200
        time.sleep(0.1)  # the proxy tells the kernel where the next request begins
        for user in users(10):
            assert client.ask("/", fields=[user]).status == 200
        kernel, agent, disagreements = [now - then for now, then in zip(decisions(), before)]
    assert (kernel, agent, disagreements) == (10, 1, 0), (kernel, agent, disagreements)


if __name__ == "__main__":
    command = os.environ.get("LANETAG_BUILD", "build") + "/lanetag run --admin 127.0.0.1:15020 --interface lo"
    pins = f"/sys/fs/bpf/lanetag-marks-{os.getpid()}"
    os.environ["LANETAG_PROXY_COMMAND"] = f"{command} --pin-directory {pins} --control /tmp/lanetag-marks-{os.getpid()}.sock"
    proxy = Proxy(one_app() + RULES)
    tests = Tests()
    for claim in (the_marks_of_keep_alive_requests_are_found, a_rule_of_one_host_tags_its_requests_alone_and_is_no_disagreement,
                  the_marks_of_pipelined_requests_are_found,
                  the_marks_behind_bodies_are_found, the_marks_behind_chunked_bodies_are_found,
                  the_marks_of_requests_cut_anywhere_are_found, behind_an_empty_line_the_agent_decides_and_then_the_kernel_again):
        tests.run(claim)
    status = proxy.stop()
    subprocess.run(["rm", "-rf", pins], check=False)
    assert status == 0, proxy.read_log()
    sys.exit(tests.end())
