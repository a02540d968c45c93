# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""HTTP framing without two readings: what a real server takes is what Sluice's records say.

Each case of http_cases.py, pipelines grown from a grammar (http_grammar.py), and both changed by
mutations, go through Sluice to nginx and HAProxy (with --long also to Apache, lighttpd, Node's http and Python's http.server), each in front of
a recorder or recording itself. For each connection the server must have seen exactly the requests that Sluice
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
from http_grammar import grown
from lab import SERVER4, SOURCE, Lab, check, figure, main, short_form

SEED = 20261124
EMPTY = hashlib.sha256(b"").hexdigest()  # records of requests without a body have no digest
POLICY = """
mode: block
rules: {{ include: [{home}/rules.conf] }}
services:
  - name: web
    addresses: [{server4}]
    ports: [8001, 8002, 8003, 8004, 8005, 8006]
"""
CLIENT_PORTS = itertools.count(10_000)
FINAL = re.compile(rb"HTTP/1\.[01] [2-5]")  # not 100 Continue
EXTRA = "events: { request_headers: [], body_digest: sha256 }\n"
PORTS = {"nginx": 8001, "haproxy": 8002, "node": 8003, "python": 8004, "apache": 8005,
         "lighttpd": 8006}
BACKEND = 9001
RESET_TIMEOUT = 70  # s; then also a connection that was cut has its records
ANSWERED_ALONE = {server: ("OPTIONS", "*") for server in ("apache", "lighttpd")}  # by no application

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
APACHE = """
ServerRoot {home}
PidFile {home}/apache.pid
ErrorLog {home}/apache.log
Listen {port}
ServerName sim.test
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule headers_module /usr/lib/apache2/modules/mod_headers.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
AllowEncodedSlashes NoDecode
ProxyPass / http://127.0.0.1:{backend}/ nocanon
RequestHeader set X-Conn expr=%{{REMOTE_PORT}}
"""
LIGHTTPD = """
server.modules = ( "mod_alias", "mod_cgi" )
server.document-root = "{home}/cgi"
server.errorlog = "{home}/lighttpd.log"
server.port = {port}
server.http-parseopts = ( "url-normalize" => "disable" )
alias.url = ( "/" => "{home}/cgi/record.py/" )
cgi.assign = ( ".py" => "/usr/bin/python3" )
"""
CGI = """
import hashlib, json, os, sys
body = sys.stdin.buffer.read(int(os.environ.get('CONTENT_LENGTH') or 0))
line = json.dumps({'method': os.environ['REQUEST_METHOD'],
    'target': os.environb[b'REQUEST_URI'].decode('latin-1'), 'body_sha256': hashlib.sha256(body).hexdigest(), 'conn': int(os.environ['REMOTE_PORT'])})
with open('LOG', 'a') as log:
    log.write(line + '\\n')
print('Status: 200\\r\\nContent-Length: 2\\r\\n\\r\\nok', end='')
"""
NODE = """
const http = require('http'), fs = require('fs'), crypto = require('crypto');
const [port, log] = process.argv.slice(2);
http.createServer((request, response) => {
  const conn = request.socket.remotePort;
  const digest = crypto.createHash('sha256');
  request.on('data', (chunk) => digest.update(chunk));
  request.on('end', () => {
    fs.appendFileSync(log, JSON.stringify({method: request.method, target: request.url,
      body_sha256: digest.digest('hex'), conn}) + '\\n');
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
        if 'chunked' in self.headers.get('Transfer-Encoding', '').lower():
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

    def _start_apache(self, port):
        self.listen("server", port, "apache2", "-D", "FOREGROUND", "-f",
                    self._text("apache.conf", APACHE, port=port), log="apache.log")

    def _start_lighttpd(self, port):
        folder = self.home / "cgi"
        folder.mkdir()
        (folder / "record.py").write_text(CGI.replace("LOG", str(self.own_log)))
        self.listen("server", port, "lighttpd", "-D", "-f",
                    self._text("lighttpd.conf", LIGHTTPD, port=port), log="lighttpd.log")

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
            # A head that a reset cut has no "http": no reader has made a request of it.
            if record["sluice"]["verdict"] != "pass" or "http" not in record:
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


def comparable(text):
    """A target as all write it: records have U+FFFD for bytes that are no UTF-8, HAProxy drops a
    default port, nginx a whole authority (RFC 9112 section 3.2.2), Apache and Python a second slash;
    Apache decodes escapes of letters and digits, which mean the same (RFC 3986 section 6.2.2.2)."""
    text = re.sub("\ufffd+", "\ufffd", text)
    text = re.sub("%(3[0-9]|[46][1-9a-f]|[57][0-9a])", lambda escape: chr(int(escape[1], 16)), text,
                  flags=re.IGNORECASE)
    text = re.sub(r"\Ahttp://[^/?#]*(?=[/?]|\Z)", "", text, flags=re.IGNORECASE)
    return re.sub(r"\A//+", "/", text) or "/"


def comparable_bytes(target):
    return comparable(target.decode("utf-8", "replace"))


def same(server, seen, passed):
    """The server saw, in order, what was passed and answered. What it refused (4xx, 5xx) or never
    answered, its application need not have seen."""
    rest = list(seen)
    for method, target, digest, status in passed:
        request = (method, comparable(target), digest)
        if rest and rest[0] == request:
            rest.pop(0)
        elif 0 < status < 400 and request[:2] != ANSWERED_ALONE.get(server):
            return False
    return not rest


def compare(lab, jobs):
    """Runs (server, name, stream, requests or None, answers, all pass) jobs and holds both logs together."""
    def run_job(job):
        server, name, stream, requests, answers, whole = job
        return lab.exchange(server, stream, answers), server, name, stream, requests, whole
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        ports = list(pool.map(run_job, jobs))
    time.sleep(2.5)  # slow readers give up, the last records are written
    seen = {port: [(r[0], comparable_bytes(r[1].encode("latin-1")), r[2]) for r in requests]
            for port, requests in lab.seen_by_servers().items()}

    def differing(passed):
        return [job for job in ports if not same(job[1], seen.get(job[0], []), passed.get(job[0], []))]
    passed = lab.passed_by_sluice()
    if differing(passed):
        time.sleep(RESET_TIMEOUT)
        passed = lab.passed_by_sluice()
    wrong = [f"{server} {name}: server saw {seen.get(port, [])}, Sluice passed "
             f"{passed.get(port, [])}: {stream[:120]!r}"
             for port, server, name, stream, _, _ in differing(passed)]
    for port, server, name, stream, requests, whole in ports:
        if whole and len(passed.get(port, [])) != len(requests):
            wrong.append(f"{server} {name}: Sluice passed {passed.get(port, [])} of {stream[:400]!r}")
        if requests is not None:
            at_server = [r[:2] for r in seen.get(port, [])]
            allowed = [(r.method, comparable_bytes(r.target)) for r in requests]
            allowed = [r for r in allowed if r != ANSWERED_ALONE.get(server)]
            if at_server != allowed[:len(at_server)]:
                wrong.append(f"{server} {name}: server saw {at_server}, a strict reader {allowed}")
    return wrong


def each_case_has_one_reading():
    servers = ["nginx", "haproxy"] if short_form() else list(PORTS)
    with FramingLab(servers) as lab:
        # Of a cut body servers may make a request: what Sluice has judged decides.
        jobs = [(server, case.id, case.stream, case.requests if case.complete else None,
                 len(case.requests) + (1 if case.reason else 0), False)
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
                         mutated(rng, case.stream), None, len(case.requests), False))
        for i in range(count // 2):  # as they are, then changed
            stream, requests = grown(rng)
            server = rng.choice(servers)
            name = f"seed {SEED} grown #{i}"
            jobs.append((server, name, stream, requests, len(requests), True))
            jobs.append((server, name + " changed", mutated(rng, stream), None, len(requests), False))
        wrong = compare(lab, jobs)
        figure("mutated streams", count, f"and {count // 2} grown ones, each as it is and changed, seed {SEED}")
        check(not wrong, f"{len(wrong)} readings differ:\n  " + "\n  ".join(wrong[:20]))


if __name__ == "__main__":
    main(each_case_has_one_reading, mutated_cases_have_one_reading)
