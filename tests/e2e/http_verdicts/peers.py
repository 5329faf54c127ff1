# SPDX-License-Identifier: GPL-2.0-only
"""
The parsers that the verdicts are held against: Node's as a server, nginx and HAProxy as proxies in front of
a recorder. Each answers a request with a field X-Report: METHOD TARGET BODY-LENGTH BODY-HASH, so a client learns
from the answers what the peer has seen. All listen on the loopback, on ports that the kernel chose.
"""
import asyncio
import pathlib
import re
import shutil
import socket
import subprocess

NODE = '''
const http = require('http');
const server = http.createServer({maxHeaderSize: 65536, keepAliveTimeout: 60000}, (request, response) => {
  let hash = 2166136261, length = 0;
  request.on('data', (data) => {
    length += data.length;
    for (const byte of data) hash = Math.imul(hash ^ byte, 16777619) >>> 0;
  });
  request.on('end', () => {
    // Node 18 takes control characters in targets, which no field may hold.
    const target = request.url.replace(/[\\x00-\\x20\\x7f]/g, (byte) => '%' + byte.charCodeAt(0).toString(16).padStart(2, '0'));
    response.setHeader('X-Report', `${request.method} ${target} ${length} ${hash.toString(16).padStart(8, '0')}`);
    response.setHeader('Content-Length', 0);
    response.end();
  });
});
// Answers of requests in front of a faulty one are still due: without the delay Node would drop them.
server.on('clientError', (error, socket) => setTimeout(() => {
  if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\\r\\nConnection: close\\r\\n\\r\\n');
}, 100));
server.listen(Number(process.argv[1]), '127.0.0.1');
'''

NGINX = '''
daemon off; worker_processes 1; pid {directory}/nginx.pid; error_log {directory}/nginx.log crit;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_timeout 60s; keepalive_requests 100000; client_max_body_size 0; large_client_header_buffers 8 64k;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/f;
  uwsgi_temp_path {directory}/u; scgi_temp_path {directory}/s; lingering_close off; proxy_next_upstream off;
  upstream recorder {{ server 127.0.0.1:{recorder} max_fails=0; keepalive 64; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ proxy_pass http://recorder; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host; }}
  }}
}}
'''

LANETAG = '''
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: edge}}
spec: {{servers: [{{port: {{number: {port}, name: http, protocol: HTTP}}, hosts: ["*"]}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: next}}
spec: {{clusterIP: None, selector: {{app: next}}, ports: [{{name: http, port: 80, targetPort: {next_hop}}}]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: next, labels: {{app: next}}}}
spec: {{containers: [{{name: next, image: next}}]}}
status: {{podIP: 127.0.0.1}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: edge}}
spec: {{hosts: ["*"], gateways: [edge], http: [{{route: [{{destination: {{host: next}}}}]}}]}}
'''

HAPROXY = '''
global
  maxconn 4000
  tune.bufsize 65536
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout http-request 60s
frontend f
  bind 127.0.0.1:{port} backlog 4096
  default_backend b
backend b
  server s 127.0.0.1:{recorder}
'''


def fnv(data):
    value = 2166136261
    for byte in data:
        value = ((value ^ byte) * 16777619) & 0xffffffff
    return value


async def read_body(reader, fields):
    """What the peers send on is framed plainly, but for empty members of a list of codings."""
    if fields.get(b'transfer-encoding', b'').lower().strip(b', ') == b'chunked':
        body = b''
        while True:
            size = int((await reader.readline()).split(b';')[0], 16)
            if size == 0:
                break
            body += await reader.readexactly(size)
            assert await reader.readexactly(2) == b'\r\n'
        while await reader.readline() != b'\r\n':
            pass
        return body
    return await reader.readexactly(int(fields.get(b'content-length', b'0')))


async def record(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b'\r\n\r\n')
            line, *lines = head[:-4].split(b'\r\n')
            method, *target = line.split(b' ')[:-1]
            target = b'%20'.join(target)
            fields = {}
            for field in lines:
                name, _, value = field.partition(b':')
                fields[name.lower()] = value.strip()
            if b'100-continue' in fields.get(b'expect', b'').lower():
                writer.write(b'HTTP/1.1 100 Continue\r\n\r\n')
            body = await read_body(reader, fields)
            writer.write(b'HTTP/1.1 200 OK\r\nX-Report: %s %s %d %08x\r\nContent-Length: 0\r\n\r\n'
                         % (method, target, len(body), fnv(body)))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError, asyncio.LimitOverrunError, asyncio.CancelledError,
            ValueError):
        pass
    finally:
        writer.close()


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


async def wait_for(port):
    for _ in range(200):
        try:
            _, writer = await asyncio.open_connection('127.0.0.1', port)
            writer.close()
            return
        except OSError:
            await asyncio.sleep(0.05)
    raise RuntimeError('a peer does not listen')


def version(*command):
    text = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True).stdout
    return re.search(r'[0-9]+\.[0-9]+\.[0-9]+', text)[0]


class Peers:
    """
    `async with Peers(directory, agent) as peers`: peers.ports by name, and peers.proxy, the port of the agent, whose
    next hop is Node; all processes end with it.
    """

    def __init__(self, directory, agent):
        self.agent = pathlib.Path(agent).resolve()
        self.proxy = None
        self.directory = pathlib.Path(directory)
        self.processes = {}
        self.ports = {}
        self.versions = {}

    def start(self, name, *command):
        log = open(self.directory / (name + '.out'), 'wb')
        self.processes[name] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory)

    async def __aenter__(self):
        nginx = shutil.which('nginx') or '/usr/sbin/nginx'
        haproxy = shutil.which('haproxy') or '/usr/sbin/haproxy'
        self.versions = {'node': version('node', '--version'), 'nginx': version(nginx, '-v'), 'haproxy': version(haproxy, '-v')}
        self.recorder = await asyncio.start_server(record, '127.0.0.1', 0, limit=1 << 20, backlog=4096)
        names = {'directory': self.directory, 'recorder': self.recorder.sockets[0].getsockname()[1]}
        self.ports = {name: free_port() for name in self.versions}
        (self.directory / 'nginx.conf').write_text(NGINX.format(port=self.ports['nginx'], **names))
        (self.directory / 'haproxy.cfg').write_text(HAPROXY.format(port=self.ports['haproxy'], **names))
        self.start('node', 'node', '-e', NODE, str(self.ports['node']))
        self.start('nginx', nginx, '-p', str(self.directory), '-c', str(self.directory / 'nginx.conf'))
        self.start('haproxy', haproxy, '-db', '-f', str(self.directory / 'haproxy.cfg'))
        self.proxy = free_port()
        (self.directory / 'lanetag.yaml').write_text(LANETAG.format(port=self.proxy, next_hop=self.ports['node']))
        self.start('lanetag', self.agent, 'run', '--no-kernel', '--admin', '', '--control', '',
                   '--path-normalization', 'none', '--config',
                   str(self.directory / 'lanetag.yaml'))
        try:
            for port in (*self.ports.values(), self.proxy):
                await wait_for(port)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    def tell_of_dead(self):
        """Whoever has ended by itself, and its last words, as comments."""
        for name, process in self.processes.items():
            if process.poll() is not None:
                words = (self.directory / (name + '.out')).read_text(errors='replace')[-2000:]
                print(f'# {name} ended with status {process.returncode}:', *words.splitlines(), sep='\n#   ', flush=True)

    async def __aexit__(self, *_):
        self.tell_of_dead()
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
        self.recorder.close()


RESPONSE = re.compile(rb'HTTP/1\.[01] ([0-9]{3})[^\r\n]*\r\n((?:[^\r\n]+\r\n)*)\r\n')


def read_answers(data):
    """[report or ('refused', status), …] of all answers in a stream; interim ones are passed over."""
    answers, at = [], 0
    while (match := RESPONSE.search(data, at)):
        status = int(match[1])
        at = match.end()
        if status < 200:
            continue
        report = re.search(rb'(?mi)^x-report: (.*)\r$', match[2])
        answers.append(report[1].decode('latin1') if report else 'refused %d' % status)
    return answers


BETWEEN_PIECES = 0.001  # seconds: long enough that each comes alone


async def send(writer, pieces):
    """Until all is sent, or the peer takes no more."""
    try:
        for number, piece in enumerate(pieces):
            if number:
                await asyncio.sleep(BETWEEN_PIECES)
            writer.write(piece)
            await writer.drain()
    except ConnectionError:
        pass


async def talk(port, pieces, patience):
    """What the peer answers to these pieces: (answers, whether it closed the connection)."""
    reader, writer = await asyncio.open_connection('127.0.0.1', port)
    received, closed = b'', False
    # Meanwhile answers are read: who refuses does not wait for ever for the rest, and its reset would take them along.
    sender = asyncio.create_task(send(writer, pieces))
    try:
        while True:
            try:
                part = await asyncio.wait_for(reader.read(65536), patience)
            except asyncio.TimeoutError:
                if sender.done():
                    break
                continue
            if not part:
                closed = True
                break
            received += part
    except ConnectionError:
        closed = True
    finally:
        sender.cancel()
        writer.close()
    return read_answers(received), closed
