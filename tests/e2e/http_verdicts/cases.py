# SPDX-License-Identifier: GPL-2.0-only
"""
The requests that the HTTP verdicts are compared over: a generator of (name, bytes). Always the same ones,
in the same order. Each ends in a plain request for /next, so that a parser that frames the part in front
of it differently shows it: it sees /next not at all, or sees more, or has it in a body.
"""
import random
import pathlib

import yaml

NEXT = b'GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
HELLO = b'5\r\nhello\r\n0\r\n\r\n'
# What a body hides: a request that only a parser with another idea of the framing sees.
HIDDEN = b'0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: a\r\nX: y'

# Bytes that parsers are known to differ about: controls, white space, separators, the 8-bit range's.
BYTES = sorted(set(range(0x00, 0x21)) | set(b'"#%\'()*+,-./:;<=>?@[\\]^_`{|}~') | {0x7f, 0x80, 0x85, 0xa0, 0xff})


def head(line=b'POST /a HTTP/1.1', *fields, host=b'Host: a'):
    lines = [line] + ([host] if host is not None else []) + list(fields)
    return b'\r\n'.join(lines) + b'\r\n\r\n'


def by_length(body):
    return b'Content-Length: %d' % len(body)


def name_of(byte):
    return '%02x' % byte


def request_lines():
    for byte in BYTES:
        char = bytes([byte])
        for where, line in (('before-method', char + b'GET /a HTTP/1.1'),
                            ('in-method', b'G' + char + b'T /a HTTP/1.1'),
                            ('behind-method', b'GET' + char + b'/a HTTP/1.1'),
                            ('before-target', b'GET ' + char + b'/a HTTP/1.1'),
                            ('in-target', b'GET /a' + char + b'b HTTP/1.1'),
                            ('behind-target', b'GET /a' + char + b'HTTP/1.1'),
                            ('in-version', b'GET /a HTTP' + char + b'1.1'),
                            ('behind-version', b'GET /a HTTP/1.1' + char)):
            yield 'line/%s/%s' % (where, name_of(byte)), head(line)
    for version in (b'', b' ', b' HTTP', b' HTTP/', b' HTTP/1', b' HTTP/1.', b' HTTP/1.0', b' HTTP/1.2', b' HTTP/1.9',
                    b' HTTP/0.9', b' HTTP/2.0', b' HTTP/3', b' HTTP/1.01', b' HTTP/1.10', b' HTTP/01.1', b' HTTP/11.1',
                    b' HTTP/1.1.1', b' http/1.1', b' HTTPS/1.1', b' HTTP/1,1', b' HTTP/-1.1', b' HTTP/1.1 HTTP/1.1',
                    b' HTTP/1.1 x', b' HTTP /1.1', b' HTTP/ 1.1', b' HTTP/9.9', b' ICY/1.1', b' RTSP/1.0'):
        yield 'line/version/' + version.decode().replace(' ', '_'), head(b'GET /a' + version)
    for target in (b'*', b'a', b'a:80', b'//a', b'//b/c', b'/a#b', b'/a?b#c', b'http://a/', b'http://a', b'http://a?b',
                   b'http://b/', b'http://a:80/', b'HTTP://a/', b'https://a/', b'ftp://a/', b'http:/a', b'http:///a',
                   b'http://', b'http://u@a/', b'http://u:p@a/', b'http://a:/', b'http://a:x/', b'http://[::1]/', b'://a/',
                   b'a/b', b'?a', b'/%', b'/%00', b'/%zz', b'/%2e%2e/', b'/..', b'/../..', b'/./a', b'/a//b', b'\\a', b'/a\\b',
                   b'/a;b', b'/\xc3\xa4', b'/a|b', b'/{a}', b'/<a>', b'/a`b', b'/a^b', b'/"a"', b'/' + b'a' * 2000,
                   b'/' + b'a' * 8191, b'/' + b'a' * 9000, b'http://a/\xff', b'**', b'*/a'):
        label = target[:20].decode('latin1')
        label += '' if len(target) <= 20 else '-%d' % len(target)
        for method in (b'GET', b'OPTIONS'):
            yield 'line/target/%s/%s' % (method.decode(), label), head(method + b' ' + target + b' HTTP/1.1')
    for method in (b'GET', b'HEAD', b'POST', b'PUT', b'DELETE', b'PATCH', b'TRACE', b'CONNECT', b'OPTIONS', b'M-SEARCH', b'PURGE',
                   b'PROPFIND', b'get', b'Get', b'head', b'connect', b'PRI', b'X', b'GET,', b'"GET"', b'G' * 40, b'GET\x00', b'SOURCE'):
        label = method[:12].decode('latin1')
        target = b'a:80' if method.lower() == b'connect' else b'/a'
        yield 'line/method/' + label, head(method + b' ' + target + b' HTTP/1.1')
        yield 'line/method-with-body/' + label, head(method + b' ' + target + b' HTTP/1.1', by_length(HIDDEN)) + HIDDEN
        yield 'line/method-with-chunks/' + label, head(method + b' ' + target + b' HTTP/1.1',
                                                       b'Transfer-Encoding: chunked') + HELLO
    for front in (b'\r\n', b'\r\n\r\n', b'\n', b'\n\n', b'\r', b'\r\r\n', b' \r\n', b'\x00\r\n', b'\xef\xbb\xbf'):
        yield 'line/in-front/' + front.hex(), front + head()


def ends_of_lines():
    ends = (b'\r\n', b'\n', b'\r', b'\r\r\n', b'\n\r', b'\n\r\n', b' \r\n', b'\t\r\n', b'\x00\r\n', b'\x0b\r\n', b'\x0c\r\n', b'\x85',
            b'\r\x00\n', b'\r \n', b'\r\n ', b'\r\n\t', b'\xe2\x80\xa8')
    for first in ends:
        for where in range(4):
            line = [b'POST /a HTTP/1.1', b'Host: a', b'Content-Length: 5', b'X: y']
            end = [b'\r\n'] * 4
            end[where] = first
            yield 'end-of-line/%d/%s' % (where, first.hex()), b''.join(map(bytes.__add__, line, end)) + b'\r\nhello'
        yield 'end-of-line/empty/' + first.hex(), b'POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n' + first + b'hello'
        yield 'end-of-line/hides-field/' + first.hex(), head(b'POST /a HTTP/1.1', b'X: y' + first + b'Content-Length: %d'
                                                             % len(HIDDEN)) + HIDDEN
        yield 'end-of-line/all/' + first.hex(), head(b'POST /a HTTP/1.1', by_length(HIDDEN)).replace(b'\r\n', first) + HIDDEN


def fields():
    for byte in BYTES:
        char = bytes([byte])
        for where, field in (('before-name', char + b'X: y'), ('in-name', b'X' + char + b'Z: y'),
                             ('behind-name', b'X' + char + b': y'), ('before-value', b'X:' + char + b'y'),
                             ('in-value', b'X: y' + char + b'z'), ('behind-value', b'X: y' + char),
                             ('alone', char)):
            yield 'field/%s/%s' % (where, name_of(byte)), head(b'GET /a HTTP/1.1', field)
        yield 'field/before-first/' + name_of(byte), head(b'GET /a HTTP/1.1', host=char + b'Host: a')
    for label, field in (('empty-name', b': y'), ('no-colon', b'X'), ('empty-value', b'X:'), ('long-value', b'X: ' + b'y' * 7000),
                         ('long-name', b'X' * 5000 + b': y'), ('folded', b'X: y\r\n z'), ('folded-tab', b'X: y\r\n\tz'),
                         ('folded-length', b'Content-Length:\r\n 5'), ('folded-coding', b'Transfer-Encoding:\r\n chunked'),
                         ('folded-coding-end', b'Transfer-Encoding: chunked\r\n ,x'), ('folded-empty', b'X: y\r\n '),
                         ('many', b'\r\n'.join(b'X-%d: y' % i for i in range(90))),
                         ('too-many', b'\r\n'.join(b'X-%d: y' % i for i in range(130))), ('quoted', b'X: "y\\"'),
                         ('expect', b'Expect: 100-continue'), ('expect-other', b'Expect: 200-ok'),
                         ('upgrade-h2c', b'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__'),
                         ('upgrade-other', b'Connection: upgrade\r\nUpgrade: x'), ('connection-host', b'Connection: host'),
                         ('connection-length', b'Connection: content-length'), ('connection-odd', b'Connection: ,;"x",close close'),
                         ('te', b'TE: trailers, chunked'), ('trailer', b'Trailer: Content-Length'), ('proxy', b'Proxy-Connection: close'),
                         ('smuggled', b'X: GET /hidden HTTP/1.1'), ('max-forwards', b'Max-Forwards: 0')):
        for body in (b'', HIDDEN):
            parts = [field] if not body or b'ength:' in field or b'coding:' in field else [field, by_length(body)]
            yield 'field/%s/%s' % (label, 'body' if body else 'none'), head(b'POST /a HTTP/1.1', *parts) + body


def hosts():
    values = (b'', b'a', b'A', b'a:80', b'a:', b'a:x', b'a:99999', b'a:123456', b':80', b'a b', b'a,b', b'a;b', b'a/b', b'a?b', b'a#b', b'a@b',
              b'u:p@a', b'[::1]', b'[::1]:80', b'[::1', b'::1', b'[]', b'[a]x', b'a..b', b'.a', b'a.', b'a%20b', b'a%00', b'a\\b', b'a"b',
              b'a<b', b'a\tb', b'a\x00b', b'\xc3\xa4', b'a\x7f', b'http://a', b'a b:80', b'*', b'a*', b'_', b'-', b'a_b', b'~', b'!', b'$',
              b'&', b"'", b'(', b'+', b'=', b'|', b'{', b'^', b'`', b'127.0.0.1', b'1', b'0x7f.1', b'a' * 300)
    for value in values:
        label = value[:12].decode('latin1').encode('unicode_escape').decode()
        yield 'host/value/' + label, head(b'GET /a HTTP/1.1', host=b'Host: ' + value)
        yield 'host/absolute/' + label, head(b'GET http://a/ HTTP/1.1', host=b'Host: ' + value)
        yield 'host/old/' + label, head(b'GET /a HTTP/1.0', b'Connection: keep-alive', host=b'Host: ' + value)
    for label, line, host in (('none', b'GET /a HTTP/1.1', None), ('none-old', b'GET /a HTTP/1.0', None),
                              ('twice', b'GET /a HTTP/1.1', b'Host: a\r\nHost: b'), ('twice-same', b'GET /a HTTP/1.1', b'Host: a\r\nHost: a'),
                              ('twice-case', b'GET /a HTTP/1.1', b'Host: a\r\nhOST: b'), ('twice-old', b'GET /a HTTP/1.0', b'Host: a\r\nHost: b'),
                              ('folded', b'GET /a HTTP/1.1', b'Host:\r\n a'), ('spaced', b'GET /a HTTP/1.1', b'Host : a'),
                              ('indented', b'GET /a HTTP/1.1', b' Host: a'), ('absolute-none', b'GET http://a/ HTTP/1.1', None),
                              ('no-value-twice', b'GET /a HTTP/1.1', b'Host:\r\nHost:'), ('tabbed', b'GET /a HTTP/1.1', b'Host:\ta\t')):
        yield 'host/' + label, head(line, host=host)


def lengths():
    size = len(HIDDEN)
    for byte in BYTES:
        char = bytes([byte])
        for where, field in (('before-name', char + b'Content-Length: %d' % size), ('in-name', b'Content' + char + b'Length: %d' % size),
                             ('behind-name', b'Content-Length' + char + b': %d' % size),
                             ('for-colon', b'Content-Length' + char + b'%d' % size),
                             ('before-value', b'Content-Length: ' + char + b'%d' % size),
                             ('in-value', b'Content-Length: %d' % (size // 10) + char + b'%d' % (size % 10)),
                             ('behind-value', b'Content-Length: %d' % size + char)):
            yield 'length/%s/%s' % (where, name_of(byte)), head(b'POST /a HTTP/1.1', field) + HIDDEN
    for value in (b'', b'0', b'00', b'0%d' % size, b'%020d' % size, b'%040d' % size, b'+%d' % size, b'-%d' % size, b'-0', b'0x%x' % size, b'0o%o' % size,
                  b'%d.0' % size, b'%de0' % size, b'%d,' % size, b',%d' % size, b'%d, %d' % (size, size), b'%d,0' % size, b'0,%d' % size,
                  b'%d %d' % (size, size), b'"%d"' % size, b'%d;a' % size, b'1e1', b'9223372036854775807', b'9223372036854775808',
                  b'18446744073709551615', b'18446744073709551616', b'%d' % (2**64 + size), b'4294967296', b'%d' % (2**32 + size), b'x', b'NaN',
                  b'\xd9\xa3', b'4_4', b"4'4", b'(%d)' % size, b'%d\x00' % size, b'%d\x0b' % size):
        yield 'length/value/' + value.decode('latin1').encode('unicode_escape').decode(), head(b'POST /a HTTP/1.1', b'Content-Length: '
                                                                                               + value) + HIDDEN
        yield 'length/old-value/' + value.decode('latin1').encode('unicode_escape').decode(), head(
            b'POST /a HTTP/1.0', b'Connection: keep-alive', b'Content-Length: ' + value) + HIDDEN
    for label, first, second in (('same', size, size), ('zero-first', 0, size), ('zero-last', size, 0), ('shorter', size, size - 3)):
        for name in (b'Content-Length', b'content-length', b'Content-length '):
            yield 'length/twice-%s/%s' % (label, name.decode().strip()), head(b'POST /a HTTP/1.1', b'Content-Length: %d' % first, name
                                                                            + b': %d' % second) + HIDDEN
    for spelling in (b'Content_Length', b'Content.Length', b'Content--Length', b'ContentLength', b'CONTENT-LENGTH', b'Content-Lengt\xc4\xb1',
                     b'Content-Length\xc2\xa0', b'X-Content-Length', b'Content Length', b'Content-\r\n Length'):
        yield 'length/spelling/' + spelling.hex(), head(b'POST /a HTTP/1.1', spelling + b': %d' % size) + HIDDEN


def codings():
    for byte in BYTES:
        char = bytes([byte])
        for where, field in (('before-name', char + b'Transfer-Encoding: chunked'), ('in-name', b'Transfer' + char + b'Encoding: chunked'),
                             ('behind-name', b'Transfer-Encoding' + char + b': chunked'),
                             ('for-colon', b'Transfer-Encoding' + char + b'chunked'),
                             ('before-value', b'Transfer-Encoding: ' + char + b'chunked'),
                             ('at-value', b'Transfer-Encoding:' + char + b'chunked'),
                             ('in-value', b'Transfer-Encoding: chunk' + char + b'ed'),
                             ('behind-value', b'Transfer-Encoding: chunked' + char),
                             ('list', b'Transfer-Encoding: chunked' + char + b'x'),
                             ('list-end', b'Transfer-Encoding: x' + char + b'chunked')):
            yield 'coding/%s/%s' % (where, name_of(byte)), head(b'POST /a HTTP/1.1', field) + HELLO
            yield 'coding+length/%s/%s' % (where, name_of(byte)), head(b'POST /a HTTP/1.1', by_length(HIDDEN), field) + HIDDEN
    values = (b'', b'chunked', b'Chunked', b'CHUNKED', b'chunked, chunked', b'gzip, chunked', b'chunked, gzip', b'identity', b'chunked, identity',
              b'identity, chunked', b'gzip', b'xchunked', b'chunkedx', b'x chunked', b'chunked x', b'"chunked"', b"'chunked'", b'chunked;q=1',
              b'chunked;', b';chunked', b',chunked', b'chunked,', b',,', b'cow', b'chunk', b'compress, chunked', b'chunked\xa0', b'\xe2\x80\x8bchunked',
              b'[chunked]', b'chunKed', b'chun\xe2\x84\xaaed', b'deflate,chunked', b'trailers', b'none', b'0', b'null')
    for value in values:
        label = value.decode('latin1').encode('unicode_escape').decode()
        for version in (b'1.1', b'1.0'):
            line = b'POST /a HTTP/' + version
            keep = [b'Connection: keep-alive'] if version == b'1.0' else []
            field = b'Transfer-Encoding: ' + value
            yield 'coding/value-%s/%s' % (version.decode(), label), head(line, *keep, field) + HELLO
            yield 'coding+length/value-%s/%s' % (version.decode(), label), head(line, *keep, by_length(HIDDEN), field) + HIDDEN
            yield 'length+coding/value-%s/%s' % (version.decode(), label), head(line, *keep, field, b'Content-Length: 4') + HELLO
        yield 'coding/twice/' + label, head(b'POST /a HTTP/1.1', b'Transfer-Encoding: chunked', b'Transfer-Encoding: ' + value) + HELLO
        yield 'coding/twice-first/' + label, head(b'POST /a HTTP/1.1', b'Transfer-Encoding: ' + value, b'transfer-encoding: chunked') + HELLO
    for spelling in (b'Transfer_Encoding', b'Transfer.Encoding', b'Transfer--Encoding', b'TransferEncoding', b'TRANSFER-ENCODING', b'Transfer-Encod\xc4\xb1ng',
                     b'Tran\xc5\xbffer-Encoding', b'Transfer Encoding', b'X-Transfer-Encoding', b'TE', b'Content-Encoding', b'"Transfer-Encoding"'):
        yield 'coding/spelling/' + spelling.hex(), head(b'POST /a HTTP/1.1', spelling + b': chunked') + HELLO
        yield 'coding+length/spelling/' + spelling.hex(), head(b'POST /a HTTP/1.1', by_length(HIDDEN), spelling + b': chunked') + HIDDEN


def chunks():
    chunked = head(b'POST /a HTTP/1.1', b'Transfer-Encoding: chunked')
    for byte in BYTES:
        char = bytes([byte])
        for where, body in (('before-size', char + HELLO), ('behind-size', b'5' + char + b'\r\nhello\r\n0\r\n\r\n'),
                            ('in-size', b'0' + char + b'5\r\nhello\r\n0\r\n\r\n'),
                            ('in-extension', b'5;a' + char + b'b\r\nhello\r\n0\r\n\r\n'),
                            ('behind-extension', b'5;a=b' + char + b'\r\nhello\r\n0\r\n\r\n'),
                            ('for-size-end', b'5' + char + b'hello\r\n0\r\n\r\n'),
                            ('before-data-end', b'5\r\nhello' + char + b'\r\n0\r\n\r\n'),
                            ('for-data-end', b'5\r\nhello' + char + b'0\r\n\r\n'),
                            ('behind-last', b'5\r\nhello\r\n0' + char + b'\r\n\r\n'),
                            ('before-last', b'5\r\nhello\r\n' + char + b'0\r\n\r\n'),
                            ('for-end', b'5\r\nhello\r\n0\r\n' + char + b'\r\n'),
                            ('in-trailer-name', b'0\r\nX' + char + b'Z: y\r\n\r\n'),
                            ('in-trailer-value', b'0\r\nX: y' + char + b'z\r\n\r\n')):
            yield 'chunk/%s/%s' % (where, name_of(byte)), chunked + body
    for end in (b'\n', b'\r', b'\r\r\n', b'\n\r', b'', b'\r\n\r\n', b' \r\n'):
        for where in range(5):
            ends = [b'\r\n'] * 5
            ends[where] = end
            body = b''.join(map(bytes.__add__, (b'5', b'hello', b'0', b'X: y', b''), ends))
            yield 'chunk/end-of-line/%d/%s' % (where, end.hex()), chunked + body
            # The same end where a lax parser takes what follows as part of the extension (or not).
            yield 'chunk/end-in-extension/%d/%s' % (where, end.hex()), chunked + b'5;a' + end + b'hello\r\n0\r\n\r\n'
    for size in (b'', b'05', b'0000000005', b'0000000000000005', b'00000000000000005', b'0' * 100 + b'5', b'5h', b'0x5', b'+5', b'-5', b'5.0', b'5,5', b'5 5', b'5_0',
                 b'"5"', b'ffffffff', b'100000005', b'7fffffffffffffff', b'8000000000000000', b'ffffffffffffffff', b'10000000000000005',
                 b'fffffffffffffffb', b'fffffff0', b'80000000', b'5;', b'5;a', b'5;a=', b'5;a=b', b'5;a="b"', b'5;a="b\r\nc"', b'5;a="', b'5 ;a', b'5; a = b', b'5;;', b'5;=',
                 b'5;a=b;c=d', b'5;' + b'a' * 200, b'5;' + b'a' * 5000, b'5;\x00', b'5;\xff', b'0;a', b'5/', b'5#', b'\xff', b'\x005'):
        label = size[:20].decode('latin1').encode('unicode_escape').decode() + ('' if len(size) <= 20 else '-%d' % len(size))
        yield 'chunk/size/' + label, chunked + size + b'\r\nhello\r\n0\r\n\r\n'
        yield 'chunk/last-size/' + label, chunked + b'5\r\nhello\r\n' + size.replace(b'5', b'0') + b'\r\n\r\n'
    for trailer in (b'X: y', b'X:', b'X', b': y', b' X: y', b'X : y', b'X: y\r\n z', b'Content-Length: 5', b'Transfer-Encoding: chunked', b'Host: b', b'Connection: close',
                    b'Content_Length: 5', b'X: y\nZ: y', b'X: y\rZ: y', b'GET /hidden HTTP/1.1', b'X: y\r\nX: y', b'Trailer: X', b'Expect: 100-continue',
                    b'X: ' + b'y' * 3000, b'\r\n'.join(b'X-%d: y' % i for i in range(40))):
        yield 'chunk/trailer/' + trailer[:20].decode('latin1').encode('unicode_escape').decode() + '-%d' % len(trailer), chunked + b'0\r\n' + trailer + b'\r\n\r\n'
    for cut in range(1, len(HELLO)):
        yield 'chunk/cut/%d' % cut, chunked + HELLO[:cut]


def soup():
    """Random mixtures of what the above are made of: finds what two oddities do together."""
    source = random.Random(4)
    lines = (b'POST /a HTTP/1.1', b'GET /a HTTP/1.1', b'POST /a HTTP/1.0', b'PUT http://a/ HTTP/1.1', b'HEAD /a HTTP/1.1')
    parts = (b'Content-Length: 5', b'Content-Length: 0', b'Content-Length: %d' % len(HIDDEN), b'Transfer-Encoding: chunked', b'Transfer-Encoding: identity',
             b'Transfer-Encoding : chunked', b'Transfer-Encoding:\tchunked', b'transfer-encoding: Chunked', b'Content-Length:  5 ', b'content-length:05',
             b'Connection: close', b'Connection: keep-alive', b'Connection: content-length, transfer-encoding', b'Expect: 100-continue',
             b'X: y', b'X:\ty\t', b'TE: chunked', b'Host: a', b'Content_Length: 5', b'X: \xff', b'Upgrade: websocket', b'Trailer: X')
    bodies = (b'', b'hello', HELLO, HIDDEN, b'0\r\n\r\n', b'5;a\r\nhello\r\n0\r\nX: y\r\n\r\n')
    for number in range(900):
        data = head(source.choice(lines), *source.sample(parts, source.randrange(4))) + source.choice(bodies)
        for _ in range(source.choice((0, 0, 1, 1, 2))):
            at = source.randrange(len(data))
            kind = source.randrange(3)
            piece = bytes([source.choice(BYTES)]) if kind < 2 else b''
            data = data[:at] + piece + data[at + (kind != 0):]
        yield 'soup/%d' % number, data


def desync(directory):
    for file in ('severe', 'ambiguous', 'acceptable', 'edge-cases'):
        for number, case in enumerate(yaml.safe_load((directory / (file + '.yaml')).read_text())):
            def text(value):
                return str('' if value is None else value).encode('latin1' if not any(ord(c) > 255 for c in str(value)) else 'utf-8')
            lines = [b' '.join((text(case['method']), text(case['uri']), text(case['version'])))]
            for field in case.get('headers') or []:
                lines.append(text(field['name']) + b': ' + text(field['value']))
            if not any(line.lower().startswith(b'host:') for line in lines):
                lines.append(b'Host: a')
            data = b'\r\n'.join(lines) + b'\r\n\r\n'
            yield 'desync/%s/%d' % (file, number), data + (HELLO if b'hunked' in data else b'x' * 100)


def pipelined():
    for count in (2, 16):
        yield 'pipelined/get-%d' % count, b''.join(head(b'GET /%d HTTP/1.1' % i) for i in range(count))
        yield 'pipelined/length-%d' % count, b''.join(head(b'POST /%d HTTP/1.1' % i, by_length(HIDDEN)) + HIDDEN for i in range(count))
        yield 'pipelined/chunked-%d' % count, b''.join(head(b'POST /%d HTTP/1.1' % i, b'Transfer-Encoding: chunked') + HELLO
                                                       for i in range(count))
        yield 'pipelined/empty-lines-%d' % count, b''.join(head(b'GET /%d HTTP/1.1' % i) + b'\r\n' for i in range(count))
    yield 'pipelined/close', head(b'GET /a HTTP/1.1', b'Connection: close') + head(b'GET /hidden HTTP/1.1')
    yield 'pipelined/old', head(b'GET /a HTTP/1.0') + head(b'GET /hidden HTTP/1.1')
    yield 'pipelined/old-keep-alive', head(b'GET /a HTTP/1.0', b'Connection: keep-alive') + head(b'GET /b HTTP/1.1')


def all_cases(corpus):
    seen = set()
    for source in (request_lines(), ends_of_lines(), fields(), hosts(), lengths(), codings(), chunks(), pipelined(),
                   desync(pathlib.Path(corpus)), soup()):
        for name, data in source:
            name = name.replace('\t', '\\t').replace(' ', '\\s').replace(',', '\\x2c')
            name = ''.join(c if ' ' < c < '\x7f' else '\\x%02x' % ord(c) for c in name)
            if data in seen:
                continue
            seen.add(data)
            yield name, data + NEXT
