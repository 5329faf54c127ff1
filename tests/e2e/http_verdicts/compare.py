#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""
Holds what user/http makes of requests against Node, nginx and HAProxy, in three ways:
  raw        the client's bytes go to the peer: who takes what, and how framed?
  forwarded  the bytes that lanetag would send on go to the peer: it must see the very requests that lanetag
             saw, or refuse; anything else is smuggling and fails, whatever the table says.
  proxied    the client's bytes go to the running agent, whose next hop is Node: the agent must refuse what we
             refuse, and Node must see the very requests that we saw; also where a sample of them is cut at every
             byte, or comes byte by byte.
Every difference must stand with its reason in differences.tsv, beside this file. Prints TAP.

usage: compare.py PATH-OF-http_verdict PATH-OF-lanetag CORPUS REPORT [--update]
  REPORT    every difference of this run, one a line (phase, case, peer, ours, theirs)
  --update  adds what is not in differences.tsv yet. Delete it first to be rid of what is no more; run several
            times: HAProxy's answer to bad trailers depends on whether the upstream answers first.
"""
import asyncio
import collections
import pathlib
import re
import subprocess
import sys
import tempfile

import cases
import peers

TABLE = pathlib.Path(__file__).with_name('differences.tsv')
END = b'GET /end HTTP/1.1\r\nHost: end\r\nConnection: close\r\n\r\n'
EMPTY = '0 811c9dc5'
NO_HOST = {'host/value/aaaaaaaaaaaa', 'host/old/aaaaaaaaaaaa'}  # 404: longer than any host's name, so no route has it
AT_ONCE = 64
PATIENCE = 0.4       # seconds without a byte until a peer counts as waiting for more …
MORE_PATIENCE = 4.0  # … and where this alone makes a difference
# To the running agent in pieces: every so many-th case byte by byte, and of every so many-th kind one cut at every byte.
BYTE_BY_BYTE, CUT_AT_EVERY_BYTE = 4, 8
LONG = 1000  # bytes, above which a case does not go in pieces


CAUSES = (('expect', rb'(?i)\nexpect: (?!100-continue\r)'), ('tab', rb'(?i)\n(host|content-length|transfer-encoding):[^\r]*\t'),
          ('no host', rb'(?i)\nhost: ?\r'), ('no host', rb'(?i)HTTP/1.0(?!(.+\r\n|\r\n)+host:)'),
          ('case of the coding', rb'(?i)transfer-encoding: (?!(?-i:chunked))'), ('chunk extension', rb'\r\n[0-9]+ *;'))
METHODS_OF_NODE = subprocess.run(['node', '-p', 'require("http").METHODS.join(" ")'], stdout=subprocess.PIPE, text=True,
                                 check=True).stdout.split()


class Verdict:
    """What one parser made of a stream: requests, then how it ended."""

    def __init__(self, items, end, forwarded=b'', cuts=()):
        self.items, self.end, self.forwarded, self.cuts = items, end, forwarded, cuts

    def at(self, index):
        return self.items[index] if index < len(self.items) else self.end


def judge(program, streams):
    """Our own verdicts, of all streams in one run of the program."""
    source = b''.join(b'%d\n%s' % (len(data), data) for data in streams)
    out = subprocess.run([program], input=source, stdout=subprocess.PIPE, check=True).stdout
    at = 0
    for _ in streams:
        items, cuts = [], []
        while True:
            line, at = out[at:out.index(b'\n', at)].decode('latin1'), out.index(b'\n', at) + 1
            if line.startswith('end '):
                break
            (cuts if line.startswith('cut ') else items).append(line)
        size, at = int(out[at:out.index(b'\n', at)].split()[1]), out.index(b'\n', at) + 1
        forwarded, at = out[at:at + size], at + size + 1
        yield Verdict(items, line[4:].strip(), forwarded, cuts)


def plain(report):
    """A peer's report with its target in origin-form, as ours has it."""
    method, target, *rest = report.split(' ')
    path = re.sub(r'(?i)^https?://[^/?]*', '', target)
    if path == '' and method == 'OPTIONS':
        path = '*'
    elif path[:1] not in ('/', '*'):
        path = '/' + path
    return ' '.join((method, path, *rest))


async def ask(port, pieces, patience):
    for _ in range(3):
        try:
            answers, closed = await peers.talk(port, pieces, patience)
            break
        except ConnectionError:
            await asyncio.sleep(0.2)
    else:
        raise RuntimeError('a peer takes no connections')
    items = [answer if answer.startswith('refused') else plain(answer) for answer in answers]
    return Verdict(items, 'closed' if closed else 'waits')


def kind(item):
    if item.startswith('refused'):
        return 'refuses'
    if item in ('done', 'waits', 'more in a head', 'more in a body'):
        return 'waits'
    return item if item in ('closed', 'tunnel') else 'takes'


def raw_difference(ours, theirs):
    """None, or (what we saw, their kind) of the first thing seen differently."""
    for index in range(len(ours.items) + 1):
        mine, other = ours.at(index), theirs.at(index)
        if index < len(ours.items) and mine == other:
            continue
        if kind(mine) == 'takes' and kind(other) == 'takes':
            return mine, 'frames otherwise'
        alike = {('refuses', 'refuses'), ('refuses', 'closed'), ('waits', 'waits'), ('closed', 'closed'), ('closed', 'waits'),
                 ('tunnel', 'waits'), ('tunnel', 'closed')}
        if (kind(mine), kind(other)) in alike:
            return None
        return mine, kind(other)
    return None


def forwarded_stream(ours):
    """What goes to the next hop, with a last request behind it if the last one was forwarded to its end."""
    unfinished = ours.end in ('more in a body', 'refused malformed chunk', 'refused malformed trailers', 'tunnel')
    return (ours.forwarded, list(ours.items)) if unfinished else (ours.forwarded + END, ours.items + ['GET /end ' + EMPTY])


def forwarded_difference(ours, theirs):
    _, expected = forwarded_stream(ours)
    for index, mine in enumerate(expected):
        other = theirs.at(index)
        if mine == other:
            continue
        # A peer that refuses and goes on must go on at the same place.
        behind = [item for item in theirs.items[index + 1:] if kind(item) == 'takes']
        if kind(other) in ('refuses', 'closed') and behind == expected[index + 1:][:len(behind)]:
            return mine, kind(other)
        return mine, 'frames otherwise'
    if ours.end != 'tunnel' and any(kind(item) == 'takes' for item in theirs.items[len(expected):]):
        return ours.end, 'frames otherwise'
    return None


async def hold(names, streams, verdicts, ports, differ):
    """[(case, peer, our kind (or refusal), their kind, cause), …] over all peers, in order."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(name, peer, data, ours):
        async with gate:
            theirs = await ask(ports[peer], [data], PATIENCE)
            if differ(ours, theirs):
                theirs = await ask(ports[peer], [data], MORE_PATIENCE)
            difference = differ(ours, theirs)
            if not difference:
                return None
            mine, other = difference
            return name, peer, mine if kind(mine) == 'refuses' else kind(mine), other, cause(name, data, peer, mine)

    found = await asyncio.gather(*(one(name, peer, data, ours) for peer in ports
                                   for name, data, ours in zip(names, streams, verdicts)))
    return [difference for difference in found if difference]


def in_pieces(names, streams, verdicts):
    """
    A sample of the cases: (index, pieces to send one by one). Not where bytes follow a request that its client called
    the last: those meet a closed connection, and the reset may take the answer along.
    """
    kinds = {}
    for index, (name, data, ours) in enumerate(zip(names, streams, verdicts)):
        if len(data) > LONG or (ours.end == 'closed' and not ours.items[-1].startswith('GET /next ')):
            continue
        kinds.setdefault('/'.join(name.split('/')[:2]), index)
        if index % BYTE_BY_BYTE == 0:
            yield index, [bytes([byte]) for byte in data]
    for index in list(kinds.values())[::CUT_AT_EVERY_BYTE]:
        for cut in range(1, len(streams[index])):
            yield index, [streams[index][:cut], streams[index][cut:]]


async def hold_pieces(names, streams, verdicts, port, whole):
    """How many were sent in pieces, and [(case, pieces, difference, difference where it came whole), …]."""
    gate = asyncio.Semaphore(4 * AT_ONCE)
    expected = {name: (mine, other) for name, _, mine, other, _ in whole}

    async def one(index, pieces):
        async with gate:
            for patience in (PATIENCE, MORE_PATIENCE):
                difference = raw_difference(verdicts[index], await ask(port, pieces, patience))
                shown = difference and (difference[0] if kind(difference[0]) == 'refuses' else kind(difference[0]), difference[1])
                if shown == expected.get(names[index]):
                    return None
            return names[index], [len(piece) for piece in pieces[:2]], shown, expected.get(names[index])

    found = await asyncio.gather(*(one(index, pieces) for index, pieces in in_pieces(names, streams, verdicts)))
    return len(found), [difference for difference in found if difference]


def cause(name, data, peer, mine):
    """Why a peer might not take what we take: by the request, else by the kind of case."""
    method, _, target = mine.partition(' ')
    known = {'node': '|'.join(METHODS_OF_NODE), 'nginx': '(?!TRACE)[A-Z_-]+', 'haproxy': '(?!PRI).*'}[peer]
    if kind(mine) == 'refuses':
        return ''  # our reason says it
    if kind(mine) == 'takes' and not re.fullmatch(known, method):
        return 'method'
    if re.search('%(?![0-9A-Fa-f]{2})|%00', target):
        return 'escape'
    for label, pattern in CAUSES:
        if re.search(pattern, data):
            return label
    return '/'.join(name.split('/')[:2]) if not name.startswith('soup/') else 'soup'


def tabulate(differences):
    """Differences of one kind and cause together: {(phase, peer, ours, theirs, cause): [case, …]}."""
    table = collections.defaultdict(list)
    for phase, name, *key in differences:
        table[(phase, *key)].append(name)
    return table


def read_table():
    rows, reasons = {}, {}
    if TABLE.exists():
        for line in TABLE.read_text().splitlines():
            if line and not line.startswith('#'):
                *key, reason, names = line.split('\t')
                rows[tuple(key)] = names.split(',')
                reasons[tuple(key)] = reason
            elif line.startswith('# versions: '):
                rows['versions'] = line
    return rows, reasons


def version_line(versions):
    return '# versions: ' + ' '.join('%s=%s' % item for item in sorted(versions.items()))


def write_table(found, rows, reasons, versions):
    rows = {key: names for key, names in rows.items() if key != 'versions'}
    for key, names in found.items():
        rows[key] = rows.get(key, []) + [name for name in names if name not in rows.get(key, [])]
    lines = ['# SPDX-License-Identifier: GPL-2.0-only',
             '# Every difference between our verdicts and the peers\' (compare.py --update writes this; the reasons are ours).',
             version_line(versions),
             '# phase\tpeer\tours\ttheirs\tcause\treason\tcases']
    for key, names in sorted(rows.items()):
        lines.append('\t'.join((*key, reasons.get(key, 'NO REASON YET'), ','.join(names))))
    TABLE.write_text('\n'.join(lines) + '\n')


async def run(program, agent, corpus):
    names, streams = zip(*cases.all_cases(corpus))
    verdicts = list(judge(program, streams))
    with tempfile.TemporaryDirectory(prefix='lanetag-verdicts-') as directory:
        async with peers.Peers(directory, agent) as running:
            differences = [('raw', *difference) for difference in
                           await hold(names, streams, verdicts, running.ports, raw_difference)]
            # Equal streams once: many cases are refused at once and forward nothing.
            unique = {ours.forwarded: (name, ours) for name, ours in zip(names, verdicts) if ours.forwarded}
            names_sent = [name for name, _ in unique.values()]
            sent = [ours for _, ours in unique.values()]
            differences += [('forwarded', *difference) for difference in
                            await hold(names_sent, [forwarded_stream(ours)[0] for ours in sent], sent, running.ports,
                                       forwarded_difference)]
            proxied = await hold(names, streams, verdicts, {'node': running.proxy}, raw_difference)
            pieces = await hold_pieces(names, streams, verdicts, running.proxy, proxied)
    return names, verdicts, len(sent), differences, proxied, pieces, running.versions


def main():
    program, agent, corpus, report = sys.argv[1:5]
    names, verdicts, forwarded, differences, proxied, (piecewise, cut), versions = asyncio.run(run(program, agent, corpus))
    found = tabulate(differences)
    rows, reasons = read_table()
    pathlib.Path(report).write_text(''.join('\t'.join(difference) + '\n' for difference in differences))
    if '--update' in sys.argv:
        write_table(found, rows, reasons, versions)
        rows, reasons = read_table()

    failed = 0

    def claim(text, faults):
        nonlocal failed
        failed += bool(faults)
        print('%s %d - %s' % ('not ok' if faults else 'ok', claim.number, text))
        for fault in faults[:20]:
            print('#   %s' % (fault,))
        claim.number += 1

    claim.number = 1
    print('# %d cases, %d differences with peers over them, %d of our outputs forwarded; %s' % (
        len(names), len(differences), forwarded, versions))
    claim('there are at least 2,000 cases', [] if len(names) >= 2000 else [len(names)])
    claim('no cut, nor arriving byte by byte, changes one of our verdicts',
          [(name, ours.cuts[0]) for name, ours in zip(names, verdicts) if ours.cuts])
    claim('no peer frames differently what we forward',
          [d for d in differences if d[0] == 'forwarded' and d[4] == 'frames otherwise'])
    node_refuses = {name for _, name, peer, _, theirs, _ in differences if peer == 'node' and theirs in ('refuses', 'closed')}
    claim('the running agent refuses what we refuse, and its next hop sees the requests that we saw, or refuses them itself',
          [row for row in proxied if not (row[2] == 'takes' and row[3] == 'refuses' and row[0] in node_refuses | NO_HOST)])
    print('# %d times a case was sent to the agent in pieces' % piecewise)
    claim('no cut, nor arriving byte by byte, changes what the running agent or its next hop makes of a case', cut)
    claim('hardly any case fails to get through for the next hop\'s sake', [len(proxied)] if len(proxied) * 20 > len(names) else [])
    claim('every difference stands in the table with its reason',
          [(key, cases_[:3]) for key, cases_ in found.items() if key not in rows or reasons[key].startswith('NO REASON')])
    if rows.get('versions') != version_line(versions):
        print('# other versions of the peers than the table\'s: cases are not held against it one by one')
        found = {}
    claim('every case of a difference is one that the table lists',
          [(key, name) for key, cases_ in found.items() for name in cases_ if key in rows and name not in rows[key]])
    claim('severe requests of the desync corpus are refused',
          [name for name, ours in zip(names, verdicts) if name.startswith('desync/severe') and ours.items])
    print('1..%d' % (claim.number - 1))
    return failed != 0


if __name__ == '__main__':
    sys.exit(main())
