#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""A double of an API server: TLS, a bearer token, discovery, lists in pages, watches; and faults to order.

    api_server.py CERTIFICATE KEY TOKEN PORT CONTROL_PORT

CONTROL_PORT takes orders, one a request:
    POST /apply             manifests (YAML); a name that is known is replaced
    POST /recorded          a file of tests/corpus/kubernetes: the objects of a recorded list
    POST /delete            KIND NAMESPACE NAME
    POST /fault             KIND STEP FAULT TIMES [SECONDS]: STEP is group, list, watch or any; KIND may be any
    POST /token             the token that is right from now on
    POST /compact           changes until now are forgotten: who asks for them gets 410
    POST /drop              all watches are cut
    POST /absent, /present  a group
    GET /objects            all, as a List such as `kubectl get -o json` prints
    GET /asked              requests until now: METHOD TARGET, a line each
"""
import gzip
import json
import re
import socket
import ssl
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import yaml

ISTIO = ["v1", "v1beta1", "v1alpha3"]
KINDS = {  # plural (of a second kind with this name with its group): kind, group, versions
    "pods": ("Pod", "", ["v1"]),
    "services": ("Service", "", ["v1"]),
    "gateways": ("Gateway", "networking.istio.io", ISTIO),
    "virtualservices": ("VirtualService", "networking.istio.io", ISTIO),
    "destinationrules": ("DestinationRule", "networking.istio.io", ISTIO),
    "serviceentries": ("ServiceEntry", "networking.istio.io", ISTIO),
    "workloadentries": ("WorkloadEntry", "networking.istio.io", ISTIO),
    "gateways.gateway.networking.k8s.io": ("Gateway", "gateway.networking.k8s.io", ["v1", "v1beta1"]),
    "httproutes": ("HTTPRoute", "gateway.networking.k8s.io", ["v1", "v1beta1"]),
    "referencegrants": ("ReferenceGrant", "gateway.networking.k8s.io", ["v1beta1"]),
    "wasmplugins": ("WasmPlugin", "extensions.istio.io", ["v1alpha1"]),
    "asmheaderpropagations": ("ASMHeaderPropagation", "istio.alibabacloud.com", ["v1beta1"]),
}
PLURALS = {(kind, group): plural for plural, (kind, group, _) in KINDS.items()}


def plural_of(item):
    """None: a kind that is not served."""
    return PLURALS.get((item["kind"], item["apiVersion"].rpartition("/")[0]))


def resource_of(plural):
    """What the kind is called in paths."""
    return plural.split(".")[0]


class State:
    def __init__(self, token):
        self.token = token
        self.changed = threading.Condition()
        self.version = 100
        self.oldest = 100  # changes up to this one are forgotten
        self.objects = {plural: {} for plural in KINDS}
        self.events = {plural: [] for plural in KINDS}
        self.faults = []
        self.absent = set()
        self.asked = []
        self.epoch = 0  # a watch of an older one is cut
        self.lists = {}  # pages that are still to come, by token

    def put(self, item):
        plural = plural_of(item)
        kind, group, versions = KINDS[plural]
        metadata = item.setdefault("metadata", {})
        name = (metadata.setdefault("namespace", "default"), metadata["name"])
        with self.changed:
            self.version += 1
            event = "MODIFIED" if name in self.objects[plural] else "ADDED"
            metadata.update(resourceVersion=str(self.version), uid="u-%s-%s" % name, creationTimestamp="2026-11-30T21:05:12Z")
            metadata["managedFields"] = [{"manager": "test", "operation": "Update", "fieldsV1": {"f:spec": {}}}]
            if not group:  # as the core's lists have them
                item = {key: value for key, value in item.items() if key not in ("kind", "apiVersion")}
            else:
                item["apiVersion"] = group + "/" + versions[0]
            self.objects[plural][name] = item
            self.events[plural].append((self.version, event, item))
            self.changed.notify_all()

    def delete(self, kind, namespace, name):
        plural = next(plural for plural, each in KINDS.items() if each[0] == kind)
        with self.changed:
            self.version += 1
            item = json.loads(json.dumps(self.objects[plural].pop((namespace, name))))
            item["metadata"]["resourceVersion"] = str(self.version)
            self.events[plural].append((self.version, "DELETED", item))
            self.changed.notify_all()

    def take_fault(self, plural, step):
        with self.changed:
            for fault in self.faults:
                if fault["left"] and fault["kind"] in ("any", plural) and fault["step"] in ("any", step):
                    fault["left"] -= 1
                    return fault
        return None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state = None

    def log_message(self, *arguments):
        pass

    def answer(self, status, body, kind="application/json", fields=()):
        data = body.encode() if isinstance(body, str) else body
        if len(data) > 1000 and "gzip" in self.headers.get("Accept-Encoding", ""):
            data = gzip.compress(data, 1)
            fields = (*fields, ("Content-Encoding", "gzip"))
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in fields:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def status(self, code, reason, message):
        self.answer(code, json.dumps({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                                      "message": message, "reason": reason, "code": code}))

    def chunk(self, text):
        data = text if isinstance(text, bytes) else text.encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def start_chunks(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def cut(self):
        self.close_connection = True
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def do_GET(self):
        try:
            self.serve()
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError, OSError):
            self.close_connection = True

    def serve(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        self.state.asked.append("GET %s %s" % (self.path, self.headers.get("User-Agent", "")))
        if self.headers.get("Authorization") != "Bearer " + self.state.token:
            return self.status(401, "Unauthorized", "Unauthorized")
        parts = url.path.strip("/").split("/")
        group = parts[1] if parts[0] == "apis" else ""
        rest = parts[2:] if group else parts[1:]
        if group and len(rest) < 2:
            return self.discover(group, rest)
        namespace = None
        if len(rest) == 4 and rest[1] == "namespaces":
            namespace, rest = rest[2], [rest[0], rest[3]]
        resource = rest[1] if len(rest) == 2 else None
        plural = next((plural for plural, each in KINDS.items() if resource_of(plural) == resource and each[1] == group), None)
        if not plural or group in self.state.absent:
            return self.status(403, "Forbidden", "%s is forbidden" % resource)
        step = "watch" if query.get("watch") else "list"
        fault = self.state.take_fault(plural, step)
        if fault and self.fail(fault, plural, step, query, namespace):
            return None
        return self.watch(plural, query, namespace) if step == "watch" else self.list(plural, query, namespace)

    def discover(self, group, rest):
        fault = self.state.take_fault("any", "group")
        if fault and self.fail(fault, "any", "group", {}, None):
            return None
        kinds = {plural: each for plural, each in KINDS.items() if each[1] == group}
        if not kinds or group in self.state.absent:
            return self.answer(404, "404 page not found\n", "text/plain")
        versions = next(iter(kinds.values()))[2]
        if not rest:
            listed = [{"groupVersion": group + "/" + version, "version": version} for version in versions]
            return self.answer(200, json.dumps({"kind": "APIGroup", "apiVersion": "v1", "name": group, "versions": listed,
                                                "preferredVersion": listed[0]}))
        resources = [{"name": resource_of(plural), "namespaced": True, "kind": each[0], "verbs": ["get", "list", "watch"]}
                     for plural, each in kinds.items()]
        return self.answer(200, json.dumps({"kind": "APIResourceList", "groupVersion": group + "/" + rest[0],
                                            "resources": resources}))

    # True: it was all the answer.
    def fail(self, fault, plural, step, query, namespace):
        what = fault["fault"]
        if what.isdigit():
            code = int(what)
            if code == 429:
                self.answer(429, "Too many requests, please try again later.\n", "text/plain", (("Retry-After", "1"),))
            elif code == 404:
                self.answer(404, "404 page not found\n", "text/plain")
            else:
                self.status(code, "Expired" if code == 410 else "Failure", "ordered: %d" % code)
        elif what == "expired":  # as a watch says it
            self.start_chunks()
            self.chunk(json.dumps({"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired",
                                                               "message": "too old resource version"}}) + "\n")
            self.chunk(b"")
        elif what == "garbage":
            self.answer(200, "<html>\x00{\"items\": [[[[ \"a captive portal\"</html>", "text/html")
        elif what == "cut":
            body = self.listed(plural, namespace, None)[0]
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:len(body) // 2].encode())
            self.cut()
        elif what == "silence":
            self.start_chunks()
            time.sleep(fault["seconds"])
            self.cut()
        elif what == "slow":  # every byte by itself
            body = self.listed(plural, namespace, None)[0].encode()
            self.start_chunks()
            for i in range(0, len(body), 97):
                self.chunk(body[i:i + 97])
            self.chunk(b"")
        elif what == "bad-object":
            self.start_chunks()
            self.chunk('{"type":"ADDED","object":{"metadata":{"name":"../../etc","namespace":"x y","resourceVersion":"%d"}}}\n'
                       % self.state.version)
            return self.watch(plural, query, namespace, started=True) or True
        else:
            raise ValueError(what)
        return True

    def listed(self, plural, namespace, limit):
        kind, group, versions = KINDS[plural]
        with self.state.changed:
            items = [item for name, item in sorted(self.state.objects[plural].items()) if namespace in (None, name[0])]
            metadata = {"resourceVersion": str(self.state.version)}
        rest = items[limit:] if limit else []
        body = {"kind": kind + "List", "apiVersion": (group + "/" if group else "") + versions[0], "metadata": metadata,
                "items": items[:limit] if limit else items}
        return json.dumps(body), rest, body

    def list(self, plural, query, namespace):
        limit = int(query.get("limit", 0))
        if self.state.page:
            limit = self.state.page
        if "continue" in query:
            entry = self.state.lists.pop(query["continue"], None)
            if entry is None:
                return self.status(410, "Expired", "the continue parameter is too old")
            body, rest = entry
        else:
            _, rest, body = self.listed(plural, namespace, None)
            rest = body["items"]
        page, rest = (rest[:limit], rest[limit:]) if limit else (rest, [])
        answer = dict(body, items=page, metadata=dict(body["metadata"]))
        if rest:
            token = "t/%d+%d=" % (len(self.state.asked), len(rest))
            self.state.lists[token] = (body, rest)
            answer["metadata"]["continue"] = token
        return self.answer(200, json.dumps(answer))

    def watch(self, plural, query, namespace, started=False):
        version = int(query["resourceVersion"])
        end = time.monotonic() + int(query.get("timeoutSeconds", 300))
        epoch = self.state.epoch
        if not started:
            self.start_chunks()
        if version < self.state.oldest:
            self.chunk(json.dumps({"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}}) + "\n")
            self.chunk(b"")
            return
        while time.monotonic() < end:
            with self.state.changed:
                if self.state.epoch != epoch:
                    self.cut()
                    return
                new = [event for event in self.state.events[plural] if event[0] > version]
                if not new:
                    self.state.changed.wait(min(0.5, max(0.01, end - time.monotonic())))
                    continue
            for version, event, item in new:
                if namespace in (None, item["metadata"]["namespace"]):
                    self.chunk(json.dumps({"type": event, "object": item}) + "\n")
        self.chunk(json.dumps({"type": "BOOKMARK", "object": {"spec": {"containers": None},
                                                              "metadata": {"resourceVersion": str(version)}}}) + "\n")
        self.chunk(b"")


class Control(BaseHTTPRequestHandler):
    state = None

    def log_message(self, *arguments):
        pass

    def reply(self, text):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text.encode())

    def do_GET(self):
        state = self.state
        if self.path == "/asked":
            return self.reply("".join(line + "\n" for line in state.asked))
        items = []
        for plural, objects in state.objects.items():
            kind, group, versions = KINDS[plural]
            for _, item in sorted(objects.items()):
                items.append(dict(item, kind=kind, apiVersion=(group + "/" if group else "") + versions[0]))
        return self.reply(json.dumps({"apiVersion": "v1", "kind": "List", "items": items, "metadata": {}}, indent=1))

    def do_POST(self):
        state = self.state
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        words = body.split()
        if self.path == "/apply":
            for item in yaml.safe_load_all(body):
                for each in item["items"] if item and item["kind"] == "List" else [item] if item else []:
                    if plural_of(each):
                        state.put(each)
        elif self.path == "/recorded":
            text = open(body.strip(), "rb").read().split(b"\r\n\r\n", 1)
            data = text[1]
            if b"chunked" in text[0]:
                data = b"".join(re.findall(rb"[0-9a-f]+\r\n(.*?)\r\n(?=[0-9a-f]+\r\n)", data, re.S))
            answer = json.loads(data)
            for item in answer["items"]:
                state.put(dict(item, kind=answer["kind"][:-len("List")], apiVersion=answer["apiVersion"]))
        elif self.path == "/delete":
            state.delete(*words)
        elif self.path == "/fault":
            state.faults.append(dict(kind=words[0], step=words[1], fault=words[2], left=int(words[3]),
                                     seconds=float(words[4]) if len(words) > 4 else 1))
        elif self.path == "/token":
            state.token = words[0]
        elif self.path == "/page":
            state.page = int(words[0])
        elif self.path in ("/absent", "/present"):
            (state.absent.add if self.path == "/absent" else state.absent.discard)(words[0])
        with state.changed:
            if self.path == "/compact":
                state.oldest = state.version
                state.events = {plural: [] for plural in KINDS}
            if self.path in ("/drop", "/compact", "/absent"):
                state.epoch += 1
            state.changed.notify_all()
        return self.reply("")


class Server(ThreadingHTTPServer):
    daemon_threads = True
    context = None

    def finish_request(self, request, client_address):
        if self.context:
            request.settimeout(30)
            try:
                request = self.context.wrap_socket(request, server_side=True)
            except (ssl.SSLError, OSError):
                return
        super().finish_request(request, client_address)

    def handle_error(self, request, client_address):
        pass


def main():
    certificate, key, token, port, control_port = sys.argv[1:]
    state = State(token)
    state.page = 0
    Handler.state = Control.state = state
    server = Server(("127.0.0.1", int(port)), Handler)
    server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.context.load_cert_chain(certificate, key)
    control = Server(("127.0.0.1", int(control_port)), Control)
    threading.Thread(target=control.serve_forever, daemon=True).start()
    server.serve_forever()


main()
