# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""A laboratory for system tests: a client and a server in namespaces of their own, Sluice between.

    client namespace            middle namespace             server namespace
    cl0 10.77.0.1/24  <-veth->  out0 [dataplane] in0  <-veth->  sv0 10.77.0.2/24, nginx on 80
        fd77::1                                                     fd77::2

Everything that a Lab starts or makes carries its run id and is gone at its end; close() says what
is not. Needs root and Debian's iproute2, ethtool, nginx; nothing else.
"""
import contextlib
import ctypes
import itertools
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

CLIENT4, SERVER4 = "10.77.0.1", "10.77.0.2"
CLIENT6, SERVER6 = "fd77::1", "fd77::2"
SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SLUICE_BUILD", SOURCE / "build"))
SKIPPED = 77
LOSS, REORDER = 0.01, 0.02  # of Lab(trouble=...)
LOSSES = {"no_generation", "worker_stalled", "reply_slots", "transaction_memory", "worker_memory",
          "link_oversize", "tx_full", "steer_full", "ip_frag_full", "tcp_ooo_full",
          "tcp_retain_full", "tcp_hold_full", "flow_full", "flow_embryonic_full"}
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


class Failure(Exception):
    """A property of Sluice that does not hold."""


def check(condition, message):
    if not condition:
        raise Failure(message)


def figure(name, value, unit=""):
    """One measured value, for whoever reads the log."""
    print(f"figure {name}: {value} {unit}".rstrip(), flush=True)


def short_form():
    """CI runs the short form; SLUICE_LONG (scripts/test --long) the whole."""
    return not os.environ.get("SLUICE_LONG")


def wait_for(condition, seconds, what, step=0.01):
    """Waits until condition() gives something true, and returns it."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure(f"{what}: not within {seconds} s")
        time.sleep(step)


def _run(*words, **options):
    return subprocess.run([str(word) for word in words], check=True, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options).stdout


def _hugepages_free():
    path = pathlib.Path("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages")
    return int(path.read_text()) if path.exists() else 0


NGINX = """
daemon off; worker_processes 1; pid {home}/nginx.pid; error_log {home}/nginx-error.log;
events {{ worker_connections 4096; }}
http {{
  access_log {home}/access.log combined buffer=64k flush=1s;
  client_body_temp_path {home}/body; proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/fcgi;
  uwsgi_temp_path {home}/uwsgi; scgi_temp_path {home}/scgi;
  client_max_body_size 0; keepalive_requests 100000000; sendfile on;
  default_type application/octet-stream;
  server {{
    listen 80 backlog=4096; listen [::]:80 backlog=4096;
    root {home}/www;
    location /upload/ {{ dav_methods PUT; create_full_put_path on; }}
    location / {{ error_page 405 =200 $uri; }}
  }}
}}
"""

POLICY = """
mode: block
rules: {{ include: [{home}/rules.conf] }}
services:
  - name: web
    addresses: [{server4}, "{server6}"]
    ports: [80]
"""

RULES = """
SecRule ARGS|REQUEST_HEADERS|REQUEST_BODY|REQUEST_URI "@contains evil-marker" \\
  "id:1001,phase:2,deny,status:403,msg:'marker of the laboratory'"
"""


class Lab:
    """Use as a context manager. Options: workers; idle; on_failure; guarded (abort on allocation in
    the poll loop); policy and rules (texts); daemon and dataplane (start them); trouble (client or
    server: the wire at that end loses and reorders frames); delay (of that wire, seconds each way)."""

    count = 0

    def __init__(self, name, workers=2, idle="sleep", on_failure="block", guarded=True,
                 policy=POLICY, rules=RULES, daemon=True, dataplane=True, nginx=True,
                 supervise=False, pool_mb=64, flows_max=16384, extra="", instance="main",
                 trouble=None, delay=0.0, metrics="off"):
        if os.geteuid() != 0:
            print("skipped: needs root for namespaces")
            sys.exit(SKIPPED)
        Lab.count += 1
        self.id = f"{name}-{os.getpid():x}-{Lab.count}"
        self.options = dict(workers=workers, idle=idle, on_failure=on_failure, pool_mb=pool_mb,
                            flows_max=flows_max, extra=extra, metrics=metrics)
        self.guarded, self.supervise, self.instance = guarded, supervise, instance
        self.policy_text, self.rules_text = policy, rules
        self.wanted = dict(daemon=daemon, dataplane=dataplane, nginx=nginx)
        self.trouble, self.delay = trouble, delay
        self.namespaces = {end: f"slc-{self.id}-{end[0]}"
                           for end in ("client", "middle", "server", "trouble")}
        self.made_namespaces, self.processes, self.crashed, self.indices = [], [], [], itertools.count(1001)
        self.home = pathlib.Path(tempfile.mkdtemp(prefix=f"sluice-lab-{self.id}-"))
        self.shm = pathlib.Path(f"/dev/shm/sluice-lab-{self.id}")
        self.hugepages_before = _hugepages_free()
        self.dataplane = self.daemon = self.nginx = self.drops_before = None

    # -- life ---------------------------------------------------------------------------------

    def __enter__(self):
        try:
            self._make_network()
            self._write_files()
            if self.wanted["nginx"]:
                self.start_nginx()
            if self.wanted["dataplane"]:
                self.start_dataplane()
            if self.wanted["daemon"]:
                self.start_daemon()
        except BaseException:
            self.close(failed=True)
            raise
        return self

    def __exit__(self, kind, value, trace):
        self.close(failed=kind is not None)

    def close(self, failed=False):
        """Takes everything down and raises Failure where something crashed or stays behind."""
        for process in reversed(self.processes):
            self.stop(process)
        for name in self.made_namespaces:
            subprocess.run(["ip", "netns", "del", name], check=False, **QUIET)
        if failed:
            self._show_logs()
        shutil.rmtree(self.shm, ignore_errors=True)
        shutil.rmtree(self.home, ignore_errors=True)
        left = self._leaks()
        if (self.crashed or left) and not failed:
            raise Failure(", ".join(self.crashed + [f"left behind: {what}" for what in left]))

    def _leaks(self):
        left = [f"namespace {name}" for name in self.made_namespaces
                if name in _run("ip", "netns", "list")]
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if self.home.name.encode() in words:
                left.append(f"process {entry.name}")
        for path in (self.shm, self.home):
            if path.exists():
                left.append(str(path))
        if _hugepages_free() < self.hugepages_before:
            left.append("huge pages")
        return left

    def _show_logs(self):
        for log in sorted(self.home.glob("*.log")):
            if log.name == "access.log":
                continue
            text = log.read_text(errors="replace").splitlines()[-40:]
            print(f"--- {log.name}", *text, sep="\n", file=sys.stderr)

    # -- network ------------------------------------------------------------------------------

    def _make_network(self):
        for name in self.namespaces.values():
            _run("ip", "netns", "add", name)
            self.made_namespaces.append(name)
        for end, device, port, v4, v6 in (("client", "cl0", "out0", CLIENT4, CLIENT6),
                                          ("server", "sv0", "in0", SERVER4, SERVER6)):
            if end == self.trouble:
                self._veth((end, device), ("trouble", "tr0"))
                self._veth(("trouble", "tr1"), ("middle", port))
                self.start("trouble", "python3", SOURCE / "tests/system/trouble.py", "tr0", "tr1",
                           LOSS, REORDER, self.delay, os.environ.get("SLUICE_SEED", "1"), log="trouble.log")
            else:
                self._veth((end, device), ("middle", port))
            self.in_namespace(end, "ip", "link", "set", "lo", "up")
            self.in_namespace(end, "ip", "addr", "add", v4 + "/24", "dev", device)
            self.in_namespace(end, "ip", "-6", "addr", "add", v6 + "/64", "dev", device, "nodad")
        self.in_namespace("middle", "ip", "link", "set", "lo", "up")

    def _veth(self, one, two):
        """A veth pair between two (namespace, interface). Nothing on it may be larger than the
        wire's segments, or unsummed; between client and server no kernel speaks for itself. Up
        when this returns: a device whose index is its peer's looks like one without a lower
        device to the kernel's link watch, which then takes a second to let frames through."""
        _run("ip", "link", "add", one[1], "netns", self.namespaces[one[0]], "index", next(self.indices),
             "type", "veth", "peer", "name", two[1], "netns", self.namespaces[two[0]],
             "index", next(self.indices))
        for where, interface in (one, two):
            if where in ("middle", "trouble"):
                self.in_namespace(where, "sysctl", "-qw",
                                  f"net.ipv6.conf.{interface}.disable_ipv6=1", check=False)
            self.in_namespace(where, "ethtool", "-K", interface, "tx", "off", "rx", "off",
                              "tso", "off", "gso", "off", "gro", "off")
            self.in_namespace(where, "ip", "link", "set", interface, "up")
        for where, interface in (one, two):
            wait_for(lambda: "state UP" in self.in_namespace(
                where, "ip", "link", "show", interface).stdout, 10, f"{interface} is up")

    def command(self, end, *words):
        """The words of a command inside a namespace."""
        return ["nsenter", f"--net=/run/netns/{self.namespaces[end]}", "--",
                *[str(word) for word in words]]

    def in_namespace(self, end, *words, check=True, timeout=120, **options):
        """Runs to its end; the CompletedProcess with stdout and stderr as text."""
        done = subprocess.run(self.command(end, *words), text=True, capture_output=True,
                              timeout=timeout, check=False, **options)
        if check and done.returncode != 0:
            raise Failure(f"{' '.join(map(str, words))}: status {done.returncode}\n"
                          f"{done.stdout}{done.stderr}")
        return done

    def client(self, *words, **options):
        return self.in_namespace("client", *words, **options)

    def start(self, end, *words, log=None, own_group=False):
        """Starts a process in a namespace; close() stops it."""
        into = open(self.home / log, "a") if log else subprocess.DEVNULL
        process = subprocess.Popen(self.command(end, *words), stdout=into,
                                   stderr=subprocess.STDOUT if log else subprocess.DEVNULL,
                                   stdin=subprocess.DEVNULL, start_new_session=own_group)
        self.processes.append(process)
        return process

    def listen(self, end, port, *words, log=None):
        """Starts a server and waits until it listens on a TCP port."""
        process = self.start(end, *words, log=log)
        wait_for(lambda: f":{port} " in self.in_namespace(end, "ss", "-ltn").stdout, 10,
                 f"{words[0]} listens on {port}")
        return process

    def stop(self, process, seconds=10):
        """TERM, then KILL. The exit status; close() fails if a program of ours ended by any signal but TERM."""
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        ours = [word for word in map(str, process.args) if word.startswith(f"{BUILD}/")]
        if ours and process.returncode < 0 and process.returncode != -signal.SIGTERM:
            self.crashed.append(f"{pathlib.Path(ours[0]).name} ended by signal {-process.returncode}")
        if process in self.processes:
            self.processes.remove(process)
        return process.returncode

    def kill(self, process):
        """kill -9."""
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.processes.remove(process)

    def socket(self, end, *arguments):
        """A socket made inside a namespace, usable from here."""
        libc = ctypes.CDLL(None, use_errno=True)
        with open("/proc/self/ns/net") as home, \
                open(f"/run/netns/{self.namespaces[end]}") as there:
            if libc.setns(there.fileno(), 0x40000000) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            try:
                return socket.socket(*arguments)
            finally:
                libc.setns(home.fileno(), 0x40000000)

    def raw_socket(self, end, interface):
        raw = self.socket(end, socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        raw.bind((interface, 0))
        raw.settimeout(2)
        return raw

    @contextlib.contextmanager
    def bridged(self):
        """Within it, a bridge of the kernel stands in the place of the dataplane."""
        self.stop(self.dataplane)
        self.in_namespace("middle", "ip", "link", "add", "br0", "type", "bridge")
        for port in ("out0", "in0"):
            self.in_namespace("middle", "ip", "link", "set", port, "master", "br0")
        self.in_namespace("middle", "ip", "link", "set", "br0", "up")
        time.sleep(0.2)
        yield
        self.in_namespace("middle", "ip", "link", "del", "br0")
        self.start_dataplane()

    # -- files --------------------------------------------------------------------------------

    def folder(self, name):
        """The instance's folder of a kind: shm, state, run or log."""
        base = self.shm if name == "shm" else self.home / name
        return base if self.instance == "main" else base / self.instance

    @property
    def config(self):
        return self.home / "sluice.yaml"

    def _write_files(self):
        for folder in ("www", "www/upload", "state", "run", "log"):
            (self.home / folder).mkdir()
        # Databases by content: what one laboratory has compiled, the next one finds.
        databases = BUILD / "databases"
        databases.mkdir(exist_ok=True)
        (self.home / "state/cache").symlink_to(databases)
        os.chmod(self.home, 0o755)
        (self.home / "www/upload").chmod(0o777)
        (self.home / "www/1k.bin").write_bytes(bytes(range(256)) * 4)
        (self.home / "www/index.html").write_text("laboratory\n")
        self.write_config()
        self.write_rules(self.rules_text)
        self.write_policy(self.policy_text)

    def write_config(self, **changes):
        options = {**self.options, **changes}
        workers = options["workers"]
        cores = list(range(os.cpu_count() or 1))
        worker_cores = [cores[(i + 1) % len(cores)] for i in range(workers)]
        # The default ring of 512 frames overflows while other processes have the core.
        device = "net_af_packet{},iface={},framecnt=4096,qpairs=" + str(workers)
        links = changes.get("links") or (
            f"  - name: lan0\n"
            f"    outside: {{ device: \"{device.format(0, 'out0')}\" }}\n"
            f"    inside: {{ device: \"{device.format(1, 'in0')}\" }}\n"
            f"    on_failure: {options['on_failure']}\n")
        self.config.write_text(
            f"workers: {{ cores: {worker_cores}, main_core: 0, idle: {options['idle']} }}\n"
            f"memory: {{ pool_mb: {options['pool_mb']}, flows_max: {options['flows_max']}, "
            f"huge_pages: auto }}\nlinks:\n{links}"
            f"metrics: {{ listen: \"{options['metrics']}\" }}\n"
            f"paths: {{ shm: {self.shm}, state: {self.home}/state, run: {self.home}/run, "
            f"log: {self.home}/log, policy: {self.home}/policy.yaml }}\n{options['extra']}")

    def write_policy(self, text):
        (self.home / "policy.yaml").write_text(
            text.format(home=self.home, server4=SERVER4, server6=SERVER6, source=SOURCE))

    def write_rules(self, text):
        (self.home / "rules.conf").write_text(text)

    # -- processes ----------------------------------------------------------------------------

    def start_nginx(self):
        (self.home / "nginx.conf").write_text(NGINX.format(home=self.home))
        self.nginx = self.start("server", "nginx", "-p", self.home, "-c", self.home / "nginx.conf",
                                "-e", self.home / "nginx-error.log", log="nginx.log")
        wait_for(lambda: self.in_namespace("server", "curl", "-sf", "-o", "/dev/null",
                                           f"http://{SERVER4}/", check=False).returncode == 0,
                 10, "nginx answers")

    def start_dataplane(self, guarded=None):
        guarded = self.guarded if guarded is None else guarded
        name = "sluice-dataplane-guarded" if guarded else "sluice-dataplane"
        segment = self.folder("shm") / "dataplane"
        before = segment.stat().st_ino if segment.exists() else 0
        words = [BUILD / "dataplane/worker" / name, "--config", self.config, "--instance",
                 self.instance]
        if self.supervise:
            words.append("--supervise")
        self.dataplane = self.start("middle", *words, log="dataplane.log")

        def running():
            check(self.dataplane.poll() is None,
                  "the dataplane ended: " + (self.home / "dataplane.log").read_text()[-2000:])
            return segment.exists() and segment.stat().st_ino != before
        wait_for(running, 120, "the dataplane runs")

    def start_daemon(self):
        self.daemon = self.start("middle", BUILD / "controlplane/api/sluiced", "--config",
                                 self.config, "--instance", self.instance, log="sluiced.log")

        def running():
            check(self.daemon.poll() is None,
                  "sluiced ended: " + (self.home / "sluiced.log").read_text()[-2000:])
            return self.ctl("status", check=False).returncode == 0
        wait_for(running, 60, "sluiced answers")

    def ctl(self, *words, check=True, timeout=180):
        """sluicectl; the CompletedProcess."""
        try:
            done = subprocess.run([str(BUILD / "controlplane/ctl/sluicectl"), "--config",
                                   str(self.config), "--instance", self.instance,
                                   *map(str, words)],
                                  text=True, capture_output=True, timeout=timeout, check=False)
        except subprocess.TimeoutExpired:
            raise Failure(f"sluicectl {' '.join(map(str, words))}: no answer in {timeout} s")
        if check and done.returncode != 0:
            raise Failure(f"sluicectl {' '.join(map(str, words))}: status {done.returncode}\n"
                          f"{done.stdout}{done.stderr}")
        return done

    def ctl_json(self, *words, **options):
        return json.loads(self.ctl("--json", *words, **options).stdout)

    def drops(self):
        """Frames that we lost for want of room or of a generation since the first push, by
        reason."""
        sums = {}
        for worker in self.ctl_json("counters")["workers"]:
            for reason, count in worker["drops"].items():
                if reason in LOSSES:
                    sums[reason] = sums.get(reason, 0) + count
        before = self.drops_before or {}
        return {reason: count - before.get(reason, 0) for reason, count in sums.items()
                if count > before.get(reason, 0)}

    def push(self):
        report = self.ctl_json("push", timeout=300)
        if self.drops_before is None:
            self.drops_before = self.drops()
        return report

    def event_lines(self):
        """The lines of eve.json so far, those of rotated files first."""
        folder = self.folder("log")
        current = folder / "eve.json"
        older = sorted(path for path in folder.glob("eve*.json*") if path != current)
        for path in [*older, current]:
            if path.exists():
                with open(path, errors="replace") as file:
                    yield from file

    def events(self, kind=None):
        """The records so far."""
        records = []
        for line in self.event_lines():
            try:
                records.append(json.loads(line))
            except ValueError:
                continue  # the line being written
        return [record for record in records if kind in (None, record.get("event_type"))]

    def curl(self, target="/", *words, server=SERVER4, end="client", timeout=20):
        """One request. (status, body); status 0: no answer."""
        url = f"http://[{server}]{target}" if ":" in server else f"http://{server}{target}"
        done = self.in_namespace(end, "curl", "-s", "-g", "--max-time", timeout, "-w",
                                 "\n%{http_code}", *words, url, check=False, timeout=timeout + 10)
        body, _, status = done.stdout.rpartition("\n")
        return int(status or 0), body


def main(*tests):
    """Runs the tests that arguments name, or all; behind --without all others. The exit status for meson."""
    without = sys.argv[1:2] == ["--without"]
    named = sys.argv[2 if without else 1:]
    # A test that runs out of time is ended by SIGTERM: leave through close(), as on any failure.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    failed = 0
    for test in tests:
        if named and (test.__name__ in named) == without:
            continue
        start = time.monotonic()
        try:
            test()
            print(f"PASS {test.__name__} ({time.monotonic() - start:.1f} s)", flush=True)
        except Failure as failure:
            failed = 1
            print(f"FAIL {test.__name__}: {failure}", flush=True)
    sys.exit(failed)
