# SPDX-License-Identifier: GPL-2.0-only
"""Paths are normalised before a route is picked, and what was matched goes on."""
import json
import os
import subprocess
import sys

from harness import GATEWAY, PROXY_PORT, UPSTREAM_PORT, Client, Proxy, Tests, Upstream, pod, reply, service

seen = []


def handle(request, sock):
    request.body()
    seen.append(request.target)
    return reply(sock, request.target.encode())


upstream = Upstream(handle)
MANIFESTS = GATEWAY + service("app") + pod("app-1", "app", "127.0.0.1") + """---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: edge}
spec:
  hosts: ["*"]
  gateways: [edge]
  http:
  - {match: [{uri: {prefix: /admin}}], directResponse: {status: 403, body: {string: "closed"}}}
  - {match: [{uri: {exact: /moved}}], redirect: {authority: other.test}}
  - {match: [{uri: {prefix: /old/}}], redirect: {authority: other.test}}
  - {match: [{uri: {prefix: /api/}}], rewrite: {uri: /v2/}, route: [{destination: {host: app}}]}
  - {match: [{uri: {regex: '/only/[a-z]+'}}], directResponse: {status: 418, body: {string: "matched"}}}
  - {route: [{destination: {host: app}}]}
"""
# What reaches /admin for an application that resolves, and what each way makes of it: the least that closes it.
ALWAYS = ["/pub/../admin/", "/./admin", "/pub/..\\admin", "\\admin", "/pub\\..\\admin", "/%61dmin", "/%61%64%6D%69%6e/x",
          "/pub/%2e%2E/admin", "/pub/.%2e/admin?x=y", "/../../admin", "/a/b/../../admin/..;/x"]
MERGED = ["//admin", "///admin", "/\\admin", "/pub/..//admin", "/./\\/admin"]
DECODED = ["/%2Fadmin", "/pub%2f..%2fadmin", "/pub/..%5cadmin", "/%5c%5Cadmin", "/pub/%2e%2e%2fadmin"]
WAYS = ["none", "base", "merge-slashes", "decode-and-merge-slashes"]


def closed_by(way):
    return (ALWAYS if WAYS.index(way) >= 1 else []) + (MERGED if WAYS.index(way) >= 2 else []) + (DECODED if WAYS.index(way) == 3 else [])


def target(path):
    return path if path[0] == "/" else "/x/.." + path


def with_way(way=None, extra=()):
    def wrap(function):
        def run():
            proxy = Proxy(MANIFESTS, options=(["--path-normalization", way] if way else []) + list(extra))
            try:
                function()
            finally:
                status = proxy.stop()
            assert status == 0, (status, proxy.read_log()[-2000:])
        run.__name__ = function.__name__
        return run
    return wrap


def statuses(paths, prefix=""):
    with Client() as client:
        return [client.ask(prefix + target(path)).status for path in paths]


def check_way(way):
    closed = closed_by(way)
    assert statuses(closed) == [403] * len(closed), (way, list(zip(closed, statuses(closed))))
    open_ = [path for path in ALWAYS + MERGED + DECODED if path not in closed]
    assert statuses(open_) == [200] * len(open_), (way, list(zip(open_, statuses(open_))))


@with_way()
def a_closed_path_stays_closed_in_every_spelling_that_istio_resolves():
    check_way("base")
    assert statuses(ALWAYS, "http://app.test") == [403] * len(ALWAYS)


@with_way("none")
def none_takes_paths_as_they_come():
    check_way("none")
    del seen[:]
    with Client() as client:
        assert client.ask("/pub/../admin/%61?x=%2e").body == b"/pub/../admin/%61?x=%2e"


@with_way("merge-slashes")
def merge_slashes_closes_runs_of_slashes_too():
    check_way("merge-slashes")


@with_way("decode-and-merge-slashes")
def decode_and_merge_slashes_closes_encoded_slashes_too():
    check_way("decode-and-merge-slashes")
    with Client() as client:
        assert client.ask("/a%2Fb%5cc//d?e=%2F//").body == b"/a/b/c/d?e=%2F//"


@with_way()
def what_was_matched_goes_on_with_the_query_as_it_came():
    cases = {"/a/../b?x=/../y&z=%41%2e\\": "/b?x=/../y&z=%41%2e\\", "/%7Euser/%2f?": "/~user/%2f?", "/a/..": "/",
             "http://app.test/x/./y": "/x/y", "http://app.test?a=b": "/?a=b", "/%252e%252e/admin": "/%252e%252e/admin",
             "/a|b{c}": "/a%7Cb%7Bc%7D", "/a/b/": "/a/b/", "/.hidden/..x": "/.hidden/..x"}
    with Client() as client:
        for sent, got in cases.items():
            answer = client.ask(sent).body.decode()
            assert answer == got, (sent, answer, got)
        options = client.ask("*", method="OPTIONS")
        assert options.body == b"*", options.body


@with_way()
def rewrites_redirects_and_regular_expressions_get_the_normal_path():
    with Client() as client:
        assert client.ask("/api/x/../y?q=../").body == b"/v2/y?q=../"
        assert client.ask("/x/../api/%79").body == b"/v2/y"
        redirect = client.ask("/old/a/../b\\c?d=..")
        assert (redirect.status, redirect.get("location")) == (301, "http://other.test/old/b/c?d=.."), redirect.get("location")
        assert client.ask("/x/../moved").get("location") == "http://other.test/moved"
        assert client.ask("/only/%61b").status == 418
        assert client.ask("/only/../only/ab").status == 418


@with_way()
def a_nul_is_refused_and_the_connection_goes_on():
    with Client() as client:
        for path in ("/a%00", "/admin%00/../x", "/%00"):
            assert client.ask(path).status == 400, path
        assert client.ask("/?a=%00").status == 200


@with_way()
def a_body_behind_a_normalised_path_arrives():
    with Client() as client:
        body = b"b" * 70000
        for _ in range(3):
            assert client.ask("/a/../up", method="POST", body=body).body == b"/up"


@with_way()
def long_paths_cost_no_more_than_their_length():
    with Client() as client:
        assert client.ask("/" + "a/../" * 1600).body == b"/"
        assert client.ask("/" + "%41" * 2700).body == b"/" + b"A" * 2700
        assert client.ask("/" + "|" * 8000).body == b"/" + b"%7C" * 8000


@with_way(extra=["--no-route", f"127.0.0.1:{UPSTREAM_PORT}", "--listen", f"127.0.0.1:{PROXY_PORT}"])
def tagging_alone_sends_on_the_normal_path_too():
    with Client() as client:
        assert client.ask("/pub/../admin?x=..").body == b"/admin?x=.."


def explain(*words):
    manifests = "/tmp/lanetag-paths-explain.yaml"
    with open(manifests, "w", encoding="utf-8") as file:
        file.write(MANIFESTS)
    result = subprocess.run([os.environ.get("LANETAG_BUILD", "build") + "/lanetag", "explain", "--config", manifests, "--user", "1",
                             "-o", "json", *words], capture_output=True, text=True, check=False)
    os.unlink(manifests)
    return result


def explain_asks_routes_about_a_path():
    first = json.loads(explain("--path", "/pub/../admin?x=y").stdout)
    assert first["path"] == "/admin" and first["routes"][0]["reason"] == "direct response", first
    raw = json.loads(explain("--path", "/pub/../admin", "--path-normalization", "none").stdout)
    assert raw["path"] == "/pub/../admin" and raw["routes"][0]["host"].startswith("app"), raw
    merged = json.loads(explain("--path", "//admin", "--path-normalization", "merge-slashes").stdout)
    assert merged["path"] == "/admin", merged
    assert "path" not in json.loads(explain().stdout)
    for words in (("--path", "/a%00"), ("--path", "no-path"), ("--path", "/a b"), ("--path", ""), ("--path-normalization", "BASE")):
        result = explain(*words)
        assert result.returncode == 2 and result.stderr.startswith("lanetag explain: --path"), (words, result)


if __name__ == "__main__":
    tests = Tests()
    for claim in (a_closed_path_stays_closed_in_every_spelling_that_istio_resolves,
                  none_takes_paths_as_they_come,
                  merge_slashes_closes_runs_of_slashes_too,
                  decode_and_merge_slashes_closes_encoded_slashes_too,
                  what_was_matched_goes_on_with_the_query_as_it_came,
                  rewrites_redirects_and_regular_expressions_get_the_normal_path,
                  a_nul_is_refused_and_the_connection_goes_on,
                  a_body_behind_a_normalised_path_arrives,
                  long_paths_cost_no_more_than_their_length,
                  tagging_alone_sends_on_the_normal_path_too,
                  explain_asks_routes_about_a_path):
        tests.run(claim)
    sys.exit(tests.end())
