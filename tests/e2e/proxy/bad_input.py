# SPDX-License-Identifier: GPL-2.0-only
"""Ids and baggage that no rule foresees: what can't be tagged or carried is dropped and counted, and no request fails."""
import os
import sys

from harness import GATEWAY, Client, Proxy, Tests, Upstream, metrics, pod, reply, routes, service, tag_rules, to

HOP_ADDRESS, HOP_PORT = "127.1.0.1", 8081
MAXIMUM = 50  # remainders up to it are tagged
PROPAGATION = """---
apiVersion: istio.alibabacloud.com/v1beta1
kind: ASMHeaderPropagation
metadata: {name: tags}
spec: {headerPrefixes: [appver]}
"""
MANIFESTS = (GATEWAY + tag_rules(("appver-a", "v2", MAXIMUM), ("appver-b", "v3", MAXIMUM)) + PROPAGATION
             + service("app", HOP_PORT, address=HOP_ADDRESS) + pod("app-1", "app") + routes(to("app")))


def handle(request, sock):
    return reply(sock, request.raw)


upstream = Upstream(handle)


def is_tagged(user):
    value = 0x811C9DC5
    for byte in user.encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value % 100 <= MAXIMUM


TAGGED, UNTAGGED = (next(user for user in map(str, range(1000)) if is_tagged(user) == wanted) for wanted in (True, False))


class Fields:
    """The application's view of a request."""

    def __init__(self, text):
        self.lines = [tuple(part.strip() for part in line.split(":", 1)) for line in text.split("\r\n")[1:]]

    def all(self, name):
        return [value for key, value in self.lines if key.lower() == name]

    def members(self):
        return [member for value in self.all("baggage") for member in value.split(",")]


class Way:
    """At the gateway or at a hop, on one connection that goes on whatever came."""

    def __init__(self, *end):
        self.client = Client(*end)

    def ask(self, *fields):
        self.client.send("\r\n".join(["GET / HTTP/1.1", "Host: app", *fields, "", ""]).encode())
        response = self.client.response()
        assert response.status == 200, (response.status, fields[0][:80])
        return Fields(response.body.decode("latin-1"))


def gateway():
    return Way()


def hop():
    return Way(HOP_PORT, HOP_ADDRESS)


def counted(function):
    """What the request that it makes added to the counters, and how the application saw it."""
    before = metrics()
    seen = function()
    after = metrics()
    return seen, lambda name: after[f"lanetag_{name}_total"] - before[f"lanetag_{name}_total"]


def ids_of_every_length_are_decided_as_the_rules_say():
    ways = gateway(), hop()
    for length in (1, 2, 63, 64, 65, 255, 256, 257, 4096, 16384, 65000, 65536):
        for letter in "ab":
            user = letter * length
            for way in ways:
                seen = way.ask(f"x-user-id: {user}")
                assert seen.all("x-user-id") == [user]
                assert seen.all("appver-a") == (["v2"] if is_tagged(user) else []), (length, letter)
    assert metrics()["lanetag_decision_disagreements_total"] == 0


def an_id_that_is_too_long_counts_as_none():
    seen, added = counted(lambda: gateway().ask("x-user-id: " + "u" * 65537))
    assert seen.all("appver-a") == [] and added("ids_missing") == 1


def who_sends_two_ids_has_no_tags_of_either():
    for fields in ((TAGGED, UNTAGGED), (UNTAGGED, TAGGED)):
        seen, added = counted(lambda: gateway().ask(*[f"x-user-id: {user}" for user in fields]))
        assert seen.all("appver-a") == [] and added("ids_conflicting") == 1
        assert hop().ask(*[f"x-user-id: {user}" for user in fields]).all("appver-a") == []


OURS = ["appver-a=v2", "appver-b=v3"]


def a_member_over_the_bytes_leaves_the_tags_their_room():
    for way in (gateway, hop):
        for size in (4095, 8190, 9000):
            seen, added = counted(lambda: way().ask(f"x-user-id: {TAGGED}", f"baggage: a=1,k={'v' * size},z=2"))
            assert seen.all("appver-a") == ["v2"] and seen.members() == OURS + ["a=1", "z=2"]
            assert added("baggage_overflows") == 1 and added("baggage_members_dropped") == 1


def fields_over_the_bytes_leave_the_tags_their_room():
    fields = [f"baggage: k{number}={'v' * 2500}" for number in range(4)]
    for way in (gateway, hop):
        seen, added = counted(lambda: way().ask(f"x-user-id: {TAGGED}", *fields))
        assert seen.members()[:2] == OURS and len(seen.members()) == 5
        assert added("baggage_overflows") == 1 and added("baggage_members_dropped") == 1


def members_over_the_limit_are_others():
    for way in (gateway, hop):
        members = [f"k{number}=v" for number in range(200)]
        seen, added = counted(lambda: way().ask(f"x-user-id: {TAGGED}", "baggage: " + ",".join(members)))
        assert seen.all("appver-a") == ["v2"] and seen.members() == OURS + members[:178]
        assert added("baggage_overflows") == 1 and added("baggage_members_dropped") == 22


def fields_that_propagate_come_behind_the_tags():
    fields = [f"appver-x{number}: {'v' * 150}" for number in range(64)]
    for way in (gateway, hop):
        seen, added = counted(lambda: way().ask(f"x-user-id: {TAGGED}", *fields))
        assert seen.all("appver-a") == ["v2"] and seen.members()[:2] == OURS
        assert added("baggage_overflows") == 1 and added("baggage_members_dropped") == 66 - len(seen.members()) > 0


def members_that_break_the_rules_are_dropped():
    seen, added = counted(lambda: gateway().ask(f"x-user-id: {TAGGED}", 'baggage: novalue,=v,a b=1,k="q",good=%20v'))
    assert seen.members() == OURS + ["good=%20v"]
    assert added("baggage_malformed") == 4


def a_tag_with_a_broken_escape_is_none():
    for value in ("%", "%4", "%zz", "%0d%0aevil:1", "%00"):
        seen, added = counted(lambda: hop().ask(f"baggage: appver-a={value},appver-b=v3"))
        assert seen.all("appver-a") == [] and seen.all("appver-b") == ["v3"] and seen.all("evil") == []
        assert added("baggage_malformed") == 1


def forged_members_in_every_field_are_removed():
    seen, added = counted(lambda: gateway().ask(
        f"x-user-id: {TAGGED}", *[f"baggage: k{number}=v,appver-a=evil" for number in range(98)]))
    assert seen.all("appver-a") == ["v2"]
    assert seen.members() == OURS + [f"k{number}=v" for number in range(98)]
    assert added("forged_tags_removed") == 98


def tags_that_a_head_has_no_room_for_are_dropped():
    members = [f"appver-{number}=v" for number in range(150)]
    seen, added = counted(lambda: hop().ask("baggage: " + ",".join(members)))
    restored = [name for name, _ in seen.lines if name.startswith("appver-")]
    assert restored and len(restored) == added("tags_restored")
    assert added("tags_restored") + added("tags_dropped") == 150 and added("tags_dropped") > 0


def behind_all_that_the_connection_goes_on():
    for way in (gateway(), hop()):
        for fields in ((f"baggage: k={'v' * 9000}",), ("x-user-id: 1", "x-user-id: 2"), ("baggage: ,,;=,%", "x-user-id: "),
                       ("baggage: " + ",".join(["k=v"] * 1000),), ("x-user-id: " + "u" * 65537,)):
            way.ask(*fields)
            assert way.ask(f"x-user-id: {TAGGED}").all("appver-a") == ["v2"]
            assert way.ask(f"x-user-id: {UNTAGGED}").all("appver-a") == []


if __name__ == "__main__":
    if os.environ.get("LANETAG_SKIP_KERNEL") != "1":
        pins = f"/sys/fs/bpf/lanetag-bad-input-{os.getpid()}"
        os.environ["LANETAG_PROXY_COMMAND"] = (os.environ.get("LANETAG_BUILD", "build") + "/lanetag run --admin 127.0.0.1:15020 "
                                               f"--interface lo --pin-directory {pins} --control /tmp/lanetag-bad-input-{os.getpid()}.sock")
    proxy = Proxy(MANIFESTS, "head-bytes=131072")
    tests = Tests()
    for claim in (ids_of_every_length_are_decided_as_the_rules_say, an_id_that_is_too_long_counts_as_none,
                  who_sends_two_ids_has_no_tags_of_either, a_member_over_the_bytes_leaves_the_tags_their_room,
                  fields_over_the_bytes_leave_the_tags_their_room, members_over_the_limit_are_others,
                  fields_that_propagate_come_behind_the_tags, members_that_break_the_rules_are_dropped,
                  a_tag_with_a_broken_escape_is_none, forged_members_in_every_field_are_removed,
                  tags_that_a_head_has_no_room_for_are_dropped, behind_all_that_the_connection_goes_on):
        tests.run(claim)
    assert proxy.stop() == 0, proxy.read_log()
    sys.exit(tests.end())
