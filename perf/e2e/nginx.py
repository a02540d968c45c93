# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""The alternative an operator would else run: nginx with libmodsecurity and the CRS (Debian packages),
one worker, loaded by wrk over loopback."""
import pathlib
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request

from .appliance import stop
from .generator import ATTACKS, PROFILES
from .machine import SOURCE, Failure

PORT = 18080
CONFIG = """
load_module /usr/lib/nginx/modules/ngx_http_modsecurity_module.so;
daemon off; worker_processes 1; worker_cpu_affinity {mask}; pid {home}/nginx.pid; error_log {home}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests {keepalive}; client_body_buffer_size 64k; client_body_temp_path {home}/body;
  proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/fcgi; uwsgi_temp_path {home}/uwsgi;
  scgi_temp_path {home}/scgi; default_type application/octet-stream;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    modsecurity {switch}; modsecurity_rules_file {home}/rules.conf;
    location / {{ root {home}; error_page 404 405 =200 /object.bin; try_files /object.bin =404; }}
    location = /object.bin {{ root {home}; }}
  }}
}}
"""
RULES = """
SecRuleEngine On
SecRequestBodyAccess On
SecResponseBodyAccess Off
SecAuditEngine Off
SecTmpDir /tmp/
SecDataDir /tmp/
SecUnicodeMapFile /usr/share/nginx/docs/modsecurity/unicode.mapping 20127
SecRule REQUEST_HEADERS:Content-Type "^application/json" "id:200001,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"
SecRule REQUEST_HEADERS:Content-Type "^(?:application(?:/soap\\+|/)|text/)xml" "id:200000,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML"
Include /etc/modsecurity/crs/crs-setup.conf
Include /usr/share/modsecurity-crs/rules/*.conf
"""
SCRIPT = """
local count = {start}
local head = {{}}
{headers}
local body, path = {body}, {path}
request = function()
  count = count + 1
  local digits = string.format("%08d", count % 100000000)
  local mine = {{}}
  for name, value in pairs(head) do mine[name] = (value:gsub("@@", digits)) end
  return wrk.format({method}, (path:gsub("@@", digits)), mine, body and (body:gsub("@@", digits)))
end
"""


def lua(text):
    return "nil" if text is None else "[==[" + text + "]==]"


def parse_request(text):
    """Method, path, headers and body of one request of a profile; the number's place becomes @@."""
    text = text.replace("{{number}}", "@@").lstrip("\n")
    head, _, body = text.partition("\n\n")
    lines = head.split("\n")
    method, path, _ = lines[0].split(" ", 2)
    headers = dict(line.split(": ", 1) for line in lines[1:] if not line.startswith("Content-Length"))
    return method, path, headers, body.rstrip("\n") or None


def requests_of(path):
    sections = re.split(r"(?m)^###.*\n", pathlib.Path(path).read_text())
    return [parse_request(section) for section in sections if section.strip()]


class Nginx:
    def __init__(self, home, cores, keepalive=10):
        self.home, self.cores, self.keepalive, self.process = pathlib.Path(home), cores, keepalive, None

    def start(self, rules, object_bytes=1024):
        stop(self.process)
        for program in ("nginx", "wrk"):
            if not shutil.which(program):
                raise Failure(f"{program} is missing: scripts/setup installs it")
        self.home.mkdir(parents=True, exist_ok=True)
        self.home.chmod(0o755)
        (self.home / "object.bin").write_bytes(bytes(range(256)) * (object_bytes // 256))
        (self.home / "rules.conf").write_text(RULES)
        (self.home / "nginx.conf").write_text(CONFIG.format(
            home=self.home, port=PORT, switch="on" if rules else "off", keepalive=self.keepalive,
            mask=bin(1 << self.cores[1])[2:]))
        with open(self.home / "nginx.log", "wb") as log:
            self.process = subprocess.Popen(
                ["nginx", "-p", str(self.home), "-c", str(self.home / "nginx.conf"), "-e",
                 str(self.home / "error.log")], stdout=log, stderr=log)
        end = time.monotonic() + 60
        while True:
            try:
                self.ask("GET", "/", {}, None)
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    raise Failure("nginx: " + (self.home / "nginx.log").read_text()[-1500:]) from None
                time.sleep(0.2)

    def ask(self, method, path, headers, body):
        request = urllib.request.Request(f"http://127.0.0.1:{PORT}{path}", method=method, headers=headers,
                                         data=body.encode() if body else None)
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return response.status
        except urllib.error.HTTPError as error:
            return error.code

    def attacks(self):
        """(blocked, all) of the attack profile."""
        statuses = [self.ask(*request) for request in requests_of(ATTACKS)]
        return sum(status == 403 for status in statuses), len(statuses)

    def measure(self, profile, seconds):
        method, path, headers, body = requests_of(SOURCE / "perf/profiles" / PROFILES[profile][0])[0]
        script = self.home / f"{profile}.lua"
        rows = "".join(f"head[ {lua(name)} ] = {lua(value)}\n" for name, value in headers.items())
        script.write_text(SCRIPT.format(start=0, headers=rows, body=lua(body), path=lua(path), method=lua(method)))
        done = subprocess.run(["taskset", "-c", str(self.cores[0]), "wrk", "-t", "1", "-c", "16", "-d",
                               f"{seconds}s", "-s", str(script), "--latency", f"http://127.0.0.1:{PORT}"],
                              capture_output=True, text=True)
        rate = re.search(r"Requests/sec:\s*([\d.]+)", done.stdout)
        errors = re.search(r"Non-2xx or 3xx responses: (\d+)", done.stdout)
        # wrk goes on with requests of its own when it cannot read the script.
        if not rate or errors or done.stderr:
            raise Failure(f"wrk with {profile}: {done.stdout[-800:]}{done.stderr[-300:]}")
        return float(rate.group(1))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        stop(self.process)
