# SPDX-License-Identifier: GPL-2.0-only
"""What a client has seen of an agent's random numbers, in ids and cookies, does not say what others get."""
import re
import sys

from harness import GATEWAY, SUBSETS, Client, Proxy, Tests, Upstream, pod, reply, routes, service

MASK = (1 << 64) - 1
FACTOR = 0x2545f4914f6cdd1d  # of xorshift64*, which shows its whole state in one number
INVERSE = pow(FACTOR, -1, 1 << 64)
STEPS = 64  # so many draws may lie between two that are seen
STICKY = SUBSETS.replace("host: app\n", "host: app\n  trafficPolicy: {loadBalancer: {consistentHash: "
                         "{httpCookie: {name: stick, ttl: 60s}}}}\n")


def successors(number):
    """What xorshift64* gives after it has given `number`."""
    state = number * INVERSE & MASK
    for _ in range(STEPS):
        state ^= state >> 12
        state ^= state << 25 & MASK
        state ^= state >> 27
        yield state * FACTOR & MASK


def halves(uuid):
    """The numbers that a random UUID was made of: all that the first may be, and a mask of what is known of the second."""
    digits = uuid.replace("-", "")
    high = [int(digits[:12] + f"{unknown:x}" + digits[13:16], 16) for unknown in range(16)]
    return high, int(digits[16:], 16) & MASK >> 2


def predicted(ids):
    """Whether each id follows from the one before."""
    count = 0
    for before, after in zip(ids, ids[1:]):
        highs, low = halves(before)
        next_highs, next_low = halves(after)
        for high in highs:
            numbers = list(successors(high))
            if numbers[0] & MASK >> 2 == low and any(a in next_highs and b & MASK >> 2 == next_low
                                                     for a, b in zip(numbers, numbers[1:])):
                count += 1
    return count


def handle(request, sock):
    return reply(sock, (request.get("x-request-id") or "").encode())


def seen(client, count):
    ids, cookies = [], []
    for _ in range(count):
        answer = client.ask("/")
        ids.append(answer.body.decode())
        cookies.append(int(re.match(r"stick=([0-9a-f]{16})", answer.get("set-cookie")).group(1), 16))
    return ids, cookies


def the_attack_works_on_the_generator_that_it_is_for():
    state, ids = 88, []
    numbers = list(successors(state))
    for i in range(0, 40, 3):
        text = f"{numbers[i]:016x}{numbers[i + 1] & MASK >> 2 | 1 << 63:016x}"
        ids.append(f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{text[16:20]}-{text[20:]}")
    assert predicted(ids) == len(ids) - 1


def no_id_follows_from_the_one_before():
    with Client() as client:
        ids, _ = seen(client, 100)
    assert all(re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", text) for text in ids)
    assert len(set(ids)) == len(ids)
    assert predicted(ids) == 0


def no_cookie_follows_from_the_one_before_or_from_an_id():
    with Client() as client:
        ids, cookies = seen(client, 100)
    assert len(set(cookies)) == len(cookies)
    for before, after in zip(cookies, cookies[1:]):
        assert after not in successors(before)
    for text, cookie in zip(ids, cookies):
        assert not any(cookie in successors(high) for high in halves(text)[0])


if __name__ == "__main__":
    upstream = Upstream(handle)
    proxy = Proxy(GATEWAY + service("app") + pod("app-1", "app") + STICKY + routes("{route: [{destination: {host: app}}]}"),
                  workers=1)
    tests = Tests()
    for claim in (the_attack_works_on_the_generator_that_it_is_for, no_id_follows_from_the_one_before,
                  no_cookie_follows_from_the_one_before_or_from_an_id):
        tests.run(claim)
    proxy.stop()
    sys.exit(tests.end())
