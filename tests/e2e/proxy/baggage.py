# SPDX-License-Identifier: GPL-2.0-only
"""What clients send to get tags: in baggage that OpenTelemetry's own libraries read otherwise, in names of fields that
servers take for others, in trailers. The way is gateway, application with the library, Service's address, application."""
import os
import subprocess
import sys

from harness import GATEWAY, Client, Proxy, Request, Tests, Upstream, chunked, metrics, pod, reply, routes, service, tag_rules, to

HOP_ADDRESS, HOP_PORT = "127.1.0.1", 8081
PROPAGATION = """---
apiVersion: istio.alibabacloud.com/v1beta1
kind: ASMHeaderPropagation
metadata: {name: tags}
spec: {headerPrefixes: [appver]}
"""
MANIFESTS = (GATEWAY + tag_rules(("appver-a", "v2", 10), ("appver-c", "v3", 50)) + PROPAGATION
             + service("app", HOP_PORT, address=HOP_ADDRESS) + pod("app-1", "app") + routes(to("app")))
TAGGED, UNTAGGED = "0005", "0001"  # the tutorial's
TAGS = ["appver-a=v2", "appver-c=v3"]
BUILD = os.environ.get("LANETAG_BUILD", "build")
NODE_MODULES = "/usr/local/lib/lanetag-tests/node_modules"  # of scripts/setup.sh
# What the libraries at hand make a tag of, so that the claims below show something.
EFFECTIVE = {"node": b"\xa0appver-c=v3", "go": "\u2009appver-c=v3".encode()}
FORGED = [
    b";appver-c=v3", b"a=b, ;appver-c=v3", b"appver-c =v3", b"a=b ;appver-c=v3", b"a=b;appver-c=v3", b"+appver-c=v3",
    b"appver-c+=v3", b"%20appver-c=v3", b"appver-c%20=v3", b"%0Aappver-c=v3", b"appver-c%C2%A0=v3", b"%00appver-c=v3",
    b"app ver-c=v3", b"appver-c=v 3", b"\xa0appver-c=v3", b"appver-c\xa0=v3", b"appver-c=\xa0v3", b"appver_c=v3",
    b"APPVER.C=v3", b"appver~c=v3", b"appver'c=v3", b"appver%2Dc=v3", b"%61ppver-c=v3", b"%2561ppver-c=v3",
    b"appver-c%3D=v3", b"a=b;p=%2Cappver-c=v3", b"a=b%2Cappver-c=v3", b"\xc2\xa0appver-c=v3", b"appver-c\xe3\x80\x80=v3",
    "\u2009appver-c=v3".encode(), "appver-c\u2028=v3".encode(), "\ufeffappver-c=v3".encode(), "\u0085appver-c=v3".encode(),
    b"k=v,appver-c=v3,appver-c=v3", b"appver-c=v3;p=q", b",,appver-c=v3,", b"=,appver-c=v3", b"appver-c==v3",
]
OTHERS = [b"userId=alice", b"serverNode=DF%2028;p=q;r", b"isProduction=false", b"appver=1", b"caf%C3%A9=x%2Cy"]


def handle(request, sock):
    request.body()
    return reply(sock, request.raw + b"\r\n\r\n" + "\r\n".join(request.trailers).encode("latin-1"))


upstream = Upstream(handle)


class Seen:
    """A request as the application got it."""

    def __init__(self, body):
        head, _, trailers = body.partition(b"\r\n\r\n")
        self.fields = Request(None, head).fields
        self.trailers = trailers.decode("latin-1").split("\r\n") if trailers else []

    def tags(self):
        return sorted(f"{name}={value}" for name, value in self.fields if name.lower().startswith("appver"))

    def baggage(self):
        values = [value for name, value in self.fields if name.lower() == "baggage"]
        assert len(values) <= 1, values
        return values[0].encode("latin-1") if values else b""


def ask(client, *fields, body=None):
    lines = [b"POST / HTTP/1.1" if body else b"GET / HTTP/1.1", b"Host: app", *fields]
    client.send(b"\r\n".join(lines) + b"\r\n" + (b"Transfer-Encoding: chunked\r\n\r\n" + body if body else b"\r\n"))
    response = client.response()
    assert response.status == 200, (response.status, fields)
    return Seen(response.body)


def at_gateway(user, *fields, body=None):
    with Client() as client:
        return ask(client, b"x-user-id: " + user.encode(), *fields, body=body)


def at_hop(baggage):
    with Client(HOP_PORT, HOP_ADDRESS) as client:
        return ask(client, b"baggage: " + baggage)


def count(name):
    """Pages are made once a second: count around a loop, not in it."""
    return metrics()[f"lanetag_{name}_total"]


class Library:
    """One of the programs in tests/e2e/baggage."""

    def __init__(self, name, command):
        self.name = name
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, "NODE_PATH": NODE_MODULES})

    def pass_on(self, value):
        self.process.stdin.write(value.hex() + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"{self.name}: ended; is the library installed (scripts/setup.sh)?"
        return bytes.fromhex(line)

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


def start_libraries():
    program = os.path.join(BUILD, "tests/baggage_library_go")
    os.makedirs(os.path.dirname(program), exist_ok=True)
    environment = {**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": "",
                   "GOCACHE": os.path.abspath(os.path.join(BUILD, "go-cache"))}
    subprocess.run(["go", "build", "-o", program, "tests/e2e/baggage/library.go"], check=True, env=environment)
    return [Library("node", ["node", "tests/e2e/baggage/library.js"]), Library("go", [program])]


def without_the_edge_the_libraries_make_tags():
    for library in libraries:
        assert at_hop(library.pass_on(EFFECTIVE[library.name])).tags() == ["appver-c=v3"], library.name


def no_library_makes_a_tag_of_what_the_edge_lets_through():
    for forged in FORGED:
        for baggage in (forged, b"a=1," + forged + b" , z=2"):
            passed = at_gateway(UNTAGGED, b"baggage: " + baggage).baggage()
            for library in libraries:
                for first in (passed, library.pass_on(passed)):
                    for second in libraries:
                        tags = at_hop(second.pass_on(first)).tags()
                        assert tags == [], (library.name, second.name, baggage, passed, tags)


def a_tagged_user_keeps_his_tags_whatever_he_sends():
    junk = [b"k" * 100 + b"=" + b"v" * 5000, b"\"", b"a=b;p=\"q\"", b",".join(b"j%d=" % number for number in range(300)), *FORGED]
    for value in junk:
        seen = at_gateway(TAGGED, b"baggage: " + value)
        assert seen.tags() == TAGS and seen.baggage().split(b",")[:2] == [tag.encode() for tag in TAGS]
        for library in libraries:
            tags = at_hop(library.pass_on(seen.baggage())).tags()
            assert tags == TAGS, (library.name, value[:80], tags)


def others_members_stay_in_their_order():
    before = count("forged_tags_removed") + count("baggage_malformed")
    for forged in FORGED:
        passed = at_gateway(UNTAGGED, b"baggage: " + b",".join(OTHERS[:2]), b"baggage: " + forged, b"Baggage: " + b", ".join(OTHERS[2:]))
        kept = passed.baggage().split(b",")
        assert [member for member in kept if member in OTHERS] == OTHERS and len(kept) - len(OTHERS) <= 1, (forged, kept)
    assert count("forged_tags_removed") + count("baggage_malformed") >= before + len(FORGED)


def names_that_servers_take_for_a_tag_are_removed():
    names = [f"appver{byte}c" for byte in "!#$%&'*+-.^_`|~"] + ["appver%2Dc", "APPVER%5FC", "%61ppver-c", "appver-c%20", "+appver-c"]
    before = count("forged_tags_removed")
    for name in names:
        seen = at_gateway(UNTAGGED, name.encode() + b": v3")
        assert seen.tags() == [] and seen.baggage() == b"" and "v3" not in [value for _, value in seen.fields], name
    assert count("forged_tags_removed") == before + len(names)


def the_same_names_and_baggage_are_removed_from_trailers():
    names = [f"appver{byte}c" for byte in "!#$%&'*+-.^_`|~"] + ["appver%2Dc", "baggage", "BAGGAGE"]
    before = count("forged_tags_removed")
    for name in names:
        seen = at_gateway(UNTAGGED, body=chunked(b"hello", [2, 3], [f"{name}: appver-c=v3", "x-sum: 1"]))
        assert seen.trailers == ["x-sum: 1"], (name, seen.trailers)
    assert count("forged_tags_removed") == before + len(names)


if __name__ == "__main__":
    libraries = start_libraries()
    proxy = Proxy(MANIFESTS)
    tests = Tests()
    for claim in (without_the_edge_the_libraries_make_tags, no_library_makes_a_tag_of_what_the_edge_lets_through,
                  a_tagged_user_keeps_his_tags_whatever_he_sends, others_members_stay_in_their_order,
                  names_that_servers_take_for_a_tag_are_removed, the_same_names_and_baggage_are_removed_from_trailers):
        tests.run(claim)
    for library in libraries:
        library.stop()
    assert proxy.stop() == 0, proxy.read_log()
    sys.exit(tests.end())
