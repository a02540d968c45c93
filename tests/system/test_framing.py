# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""HTTP framing without two readings: what a real server takes is what Sluice's records say.

Each case of http_cases.py, and requests grown from them by mutation, go through Sluice to nginx and
HAProxy (with --long also to Node's http and Python's http.server), each in front of a recorder or
recording itself. For each connection the server must have seen exactly the requests that Sluice
passed, in number, target and body digest; and of a case that a strict reader refuses, nothing from
the refused message on.
"""

import concurrent.futures
import hashlib
import itertools
import json
import random
import re
import select
import time

from http_cases import CASES
from lab import SERVER4, SOURCE, Lab, check, figure, main, short_form

SEED = 20261124
EMPTY = hashlib.sha256(b"").hexdigest()  # records of requests without a body have no digest
POLICY = """
mode: block
rules: {{ include: [{home}/rules.conf] }}
services:
  - name: web
    addresses: [{server4}]
    ports: [8001, 8002, 8003, 8004]
"""
CLIENT_PORTS = itertools.count(10_000)
FINAL = re.compile(rb"HTTP/1\.[01] [2-5]")  # not 100 Continue
EXTRA = "events: { request_headers: [], body_digest: sha256 }\n"
PORTS = {"nginx": 8001, "haproxy": 8002, "node": 8003, "python": 8004}
BACKEND = 9001

NGINX = """
daemon off; worker_processes 1; pid {home}/framing.pid; error_log {home}/framing-error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_max_body_size 0; client_body_temp_path {home}/fb; proxy_temp_path {home}/fp;
  fastcgi_temp_path {home}/ff; uwsgi_temp_path {home}/fu; scgi_temp_path {home}/fs;
  server {{
    listen {port};
    location / {{
      proxy_pass http://127.0.0.1:{backend}; proxy_http_version 1.1;
      proxy_set_header X-Conn $remote_port;
    }}
  }}
}}
"""
HAPROXY = """
defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 5s
frontend in
  bind :{port}
  http-request set-header X-Conn %[src_port]
  default_backend out
backend out
  server recorder 127.0.0.1:{backend}
"""
NODE = """
const http = require('http'), fs = require('fs'), crypto = require('crypto');
const [port, log] = process.argv.slice(2);
http.createServer((request, response) => {
  const digest = crypto.createHash('sha256');
  request.on('data', (chunk) => digest.update(chunk));
  request.on('end', () => {
    fs.appendFileSync(log, JSON.stringify({method: request.method, target: request.url,
      body_sha256: digest.digest('hex'), conn: request.socket.remotePort}) + '\\n');
    response.end('ok');
  });
}).listen(port);
"""
PYTHON = """
import hashlib, http.server, json, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def answer(self):
        body = b''
        if 'chunked' in self.headers.get('Transfer-Encoding', ''):
            while True:
                size = int(self.rfile.readline().split(b';')[0], 16)
                if size == 0:
                    break
                body += self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
        else:
            body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        with open(sys.argv[2], 'a') as log:
            log.write(json.dumps({'method': self.command, 'target': self.path,
                'body_sha256': hashlib.sha256(body).hexdigest(),
                'conn': self.client_address[1]}) + '\\n')
        self.send_response(200)
        self.send_header('Content-Length', '0')
        self.end_headers()
    def __getattr__(self, name):
        if name.startswith('do_'):
            return self.answer
        raise AttributeError(name)
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(('', int(sys.argv[1])), Handler).serve_forever()
"""


class FramingLab(Lab):
    """A laboratory with the servers that are compared."""

    def __init__(self, servers):
        super().__init__("framing", nginx=False, policy=POLICY, extra=EXTRA,
                         rules="SecRuleEngine On\nSecRequestBodyAccess On\n")
        self.servers = servers

    def __enter__(self):
        super().__enter__()
        self.record_log = self.home / "recorder.ndjson"
        self.own_log = self.home / "own.ndjson"
        self.own_log.touch()
        self.in_namespace("server", "ip", "link", "set", "lo", "up")
        self.listen("server", BACKEND, "python3", SOURCE / "tests/system/recorder.py", "127.0.0.1",
                    BACKEND, self.record_log, log="recorder.log")
        for name in self.servers:
            getattr(self, f"_start_{name}")(PORTS[name])
        self.push()
        return self

    def _text(self, name, text, **fields):
        path = self.home / name
        path.write_text(text.format(home=self.home, backend=BACKEND, **fields) if fields else text)
        return path

    def _start_nginx(self, port):
        conf = self._text("framing.conf", NGINX, port=port)
        self.listen("server", port, "nginx", "-c", conf, "-e", self.home / "framing-error.log")

    def _start_haproxy(self, port):
        self.listen("server", port, "haproxy", "-q", "-f",
                    self._text("haproxy.cfg", HAPROXY, port=port))

    def _start_node(self, port):
        self.listen("server", port, "node", self._text("node.js", NODE), port, self.own_log)

    def _start_python(self, port):
        self.listen("server", port, "python3", self._text("server.py", PYTHON), port, self.own_log)

    def exchange(self, server, stream, answers):
        """Sends `stream` on one connection, waits for `answers` final responses or the end of the
        connection. Returns the client's port."""
        with self.socket("client") as peer:
            peer.settimeout(5)
            # The records are told apart by it, so no port may come twice.
            port = next(CLIENT_PORTS)
            peer.bind(("", port))
            peer.connect((SERVER4, PORTS[server]))
            received = b""
            try:
                peer.sendall(stream)
                # A reader that waits for more bytes answers nothing: 1.2 s is its whole chance.
                end = time.monotonic() + 1.2
                while len(FINAL.findall(received)) < answers and time.monotonic() < end:
                    if select.select([peer], [], [], end - time.monotonic())[0]:
                        data = peer.recv(65536)
                        if not data:
                            break
                        received += data
            except OSError:
                pass
        return port

    def seen_by_servers(self):
        """{client port: [(method, target, digest)]} in the order of arrival."""
        seen = {}
        for path in (self.record_log, self.own_log):
            for line in path.read_text().splitlines():
                entry = json.loads(line)
                if "target" not in entry:
                    continue
                conn = entry.get("conn") or int(dict(entry["fields"]).get("x-conn", 0))
                seen.setdefault(conn, []).append(
                    (entry["method"], entry["target"], entry["body_sha256"]))
        return seen

    def passed_by_sluice(self):
        """{client port: [(method, target, digest, status)]} of the requests that were let through."""
        passed = {}
        for record in self.events("http"):
            if record["sluice"]["verdict"] != "pass":
                continue
            passed.setdefault(record["src_port"], []).append(
                (record["http"]["http_method"], record["http"]["url"],
                 record["sluice"].get("body_sha256", EMPTY), record["http"].get("status", 0)))
        return passed


def mutated(rng, stream):
    """A request stream with one to three small changes where parsers differ."""
    pieces = [b"\r", b"\n", b"\r\n", b" ", b"\t", b"\0", b":", b",", b";", b"0", b"1", b"\x0b", b"\x85",
              b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"chunked", b"%0d%0a", b"#",
              b"HTTP/1.0", b"\r\n\r\n", b"0\r\n\r\n", b"+", b"-", b"_", b"\xff"]
    data = bytearray(stream)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(3)
        if kind == 0:
            data[at:at] = rng.choice(pieces)
        elif kind == 1:
            del data[at:at + rng.randint(1, 3)]
        else:
            data[at:at + 1] = rng.choice(pieces)
    return bytes(data)


def comparable(target):
    """A target as all loggers write it: HAProxy drops a default port, nginx a whole authority
    (RFC 9112 section 3.2.2), and bytes beyond ASCII come as Latin-1 or as UTF-8."""
    target = target.encode("utf-8", "surrogateescape")
    try:
        target = target.decode("utf-8").encode("latin-1")
    except UnicodeError:
        pass
    return re.sub(rb"\Ahttp://[^/?#]*(?=[/?]|\Z)", b"", target, flags=re.IGNORECASE) or b"/"


def compare(lab, jobs):
    """Runs (server, name, stream, requests or None, answers) jobs and holds both logs together."""
    def run_job(job):
        server, name, stream, requests, answers = job
        return lab.exchange(server, stream, answers), server, name, stream, requests
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        ports = list(pool.map(run_job, jobs))
    time.sleep(2.5)  # slow readers give up, the last records are written
    seen, passed = lab.seen_by_servers(), lab.passed_by_sluice()
    wrong = []
    for port, server, name, stream, requests in ports:
        at_server = [(r[0], comparable(r[1]), *r[2:]) for r in seen.get(port, [])]
        # What a server refused itself (4xx, 5xx) never reached its application.
        by_sluice = [(r[0], comparable(r[1]), r[2]) for r in passed.get(port, [])
                     if r[3] and r[3] < 400]
        if at_server != by_sluice:
            wrong.append(f"{server} {name}: server saw {at_server}, Sluice passed "
                         f"{passed.get(port, [])}: {stream[:120]!r}")
        if requests is not None:
            allowed = [(r.method, comparable(r.target.decode("latin-1"))) for r in requests]
            if [r[:2] for r in at_server] != allowed[:len(at_server)]:
                wrong.append(f"{server} {name}: server saw {at_server}, a strict reader {allowed}")
    return wrong


def each_case_has_one_reading():
    servers = ["nginx", "haproxy"] if short_form() else list(PORTS)
    with FramingLab(servers) as lab:
        jobs = [(server, case.id, case.stream, case.requests,
                 len(case.requests) + (1 if case.reason else 0))
                for case in CASES for server in servers]
        wrong = compare(lab, jobs)
        figure("cases", len(CASES), f"to each of {len(servers)} servers: {', '.join(servers)}")
        check(not wrong, f"{len(wrong)} readings differ:\n  " + "\n  ".join(wrong[:20]))


def mutated_cases_have_one_reading():
    servers = ["nginx", "haproxy"] if short_form() else list(PORTS)
    count = 300 if short_form() else 5000
    rng = random.Random(SEED)
    good = [case for case in CASES if not case.reason and case.complete]
    with FramingLab(servers) as lab:
        jobs = []
        for i in range(count):
            case = rng.choice(good)
            jobs.append((rng.choice(servers), f"seed {SEED} #{i} of {case.id}",
                         mutated(rng, case.stream), None, len(case.requests)))
        wrong = compare(lab, jobs)
        figure("mutated streams", count, f"seed {SEED}")
        check(not wrong, f"{len(wrong)} readings differ:\n  " + "\n  ".join(wrong[:20]))


if __name__ == "__main__":
    main(each_case_has_one_reading, mutated_cases_have_one_reading)
