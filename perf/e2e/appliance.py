# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""The appliance under test, and bare forwarders in its place, between two memif sockets or NICs."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

from .machine import SOURCE, Failure

SERVER = "10.10.0.2"
OWN = [str(SOURCE / "signatures/*.conf")]
CRS = """
SecRuleEngine On
SecRequestBodyAccess On
SecRule REQUEST_HEADERS:Content-Type "^application/json" "id:200001,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"
SecRule REQUEST_HEADERS:Content-Type "^(?:application(?:/soap\\+|/)|text/)xml" "id:200000,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML"
SecResponseBodyAccess {response}
SecResponseBodyMimeType text/plain text/html text/xml application/json
Include /etc/modsecurity/crs/crs-setup.conf
Include /usr/share/modsecurity-crs/rules/*.conf
"""
POLICY = """
mode: block
rules: {{ include: [{rules}] }}
services:
  - name: orders
    addresses: [{server}]
    ports: [80]
"""
CONFIG = """
workers: {{ cores: [{core}], main_core: {main}, idle: spin }}
memory: {{ pool_mb: {pool_mb}, flows_max: {flows}, huge_pages: auto }}
links:
  - name: lan0
    outside: {{ device: "{outside}" }}
    inside: {{ device: "{inside}" }}
    on_failure: block
events: {{ http_records: {records} }}
metrics: {{ listen: "off" }}
paths: {{ shm: {shm}, state: {home}/state, run: {home}/run, log: {home}/log, policy: {home}/policy.yaml }}
"""


class Wire:
    """Names of the four ports: two of the appliance, two of the generator."""

    def __init__(self, home, devices=None):
        if devices:
            self.outside, self.inside, self.client, self.server = devices
            return
        # Abstract sockets leave no file behind. 4096 descriptors bridge about 1 ms without a processor.
        common = "id={id},rsize=12,socket=" + str(home) + "-{name}"
        out, inside = common.format(id=0, name="outside"), common.format(id=1, name="inside")
        self.outside, self.inside = f"net_memif0,role=server,{out}", f"net_memif1,role=server,{inside}"
        self.client, self.server = f"net_memif0,role=client,{out}", f"net_memif1,role=client,{inside}"


def stop(process, seconds=15):
    if process is None or process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Sluice:
    """sluiced and sluice-dataplane of one build. rules: off, own, crs, crs_response, or none (block mode
    without a rule: for showing that the check of the attacks fails)."""

    def __init__(self, build, home, wire, cores, rules, records="off", flows=65536):
        self.build, self.home, self.wire, self.rules = build, pathlib.Path(home), wire, rules
        self.shm = pathlib.Path("/dev/shm") / ("sluice-perf-" + self.home.name)
        self.daemon = self.dataplane = None
        shutil.rmtree(self.home, ignore_errors=True)
        for folder in ("state", "run", "log"):
            (self.home / folder).mkdir(parents=True)
        cache = self.build / "perf-cache"  # of compiled patterns, by content
        cache.mkdir(exist_ok=True)
        (self.home / "state/cache").symlink_to(cache)
        _, core, main = cores
        (self.home / "sluice.yaml").write_text(CONFIG.format(
            core=core, main=main, outside=wire.outside, inside=wire.inside, records=records, shm=self.shm,
            home=self.home, flows=flows, pool_mb=256 if flows < 500_000 else 512))
        include = {"own": OWN}.get(rules, [])
        if rules.startswith("crs"):
            response = "On" if rules == "crs_response" else "Off"
            (self.home / "crs.conf").write_text(CRS.format(response=response))
            include = [str(self.home / "crs.conf")]
        policy = POLICY.format(rules=", ".join(f'"{path}"' for path in include), server=SERVER)
        (self.home / "policy.yaml").write_text(policy)
        self.push_report, self.compile_report = {}, {}

    def __enter__(self):
        try:
            self.daemon = self._start("controlplane/api/sluiced", "sluiced.log", own_session=True)
            if self.rules not in ("off", "none"):
                # Compiled with nobody to take it, so that no worker spins meanwhile; then from the cache.
                self._wait(lambda: self.status().get("daemon"), 30, "sluiced answers")
                self.compile_report = self.ctl("push", check=False)
            self.start_dataplane()
            self.push_report = self.push()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        stop(self.dataplane)
        stop(self.daemon)
        shutil.rmtree(self.shm, ignore_errors=True)

    def _start(self, program, log, own_session=False):
        """own_session: without the precedence that the measured processes have."""
        with open(self.home / log, "ab") as output:
            return subprocess.Popen([str(self.build / program), "--config", str(self.home / "sluice.yaml")],
                                    stdout=output, stderr=output, start_new_session=own_session)

    def start_dataplane(self):
        self.dataplane = self._start("dataplane/worker/sluice-dataplane", "dataplane.log")
        self._wait(lambda: self.status().get("dataplane", {}).get("state") == "running", 30,
                   "the dataplane runs")

    def fresh(self):
        """A new dataplane with the accepted generation: no flow of an earlier run is left in it."""
        died = self.dataplane.poll() is not None
        stop(self.dataplane)
        self.start_dataplane()
        self._wait(lambda: (self.status().get("generation") or {}).get("live") is not None, 30,
                   "the generation is live again")
        return died

    def _wait(self, condition, seconds, what):
        end = time.monotonic() + seconds
        while not condition():
            for process, log in ((self.daemon, "sluiced.log"), (self.dataplane, "dataplane.log")):
                if process is not None and process.poll() is not None:
                    raise Failure(f"{log}: {(self.home / log).read_text()[-2000:]}")
            if time.monotonic() > end:
                raise Failure(f"{what}: not within {seconds} s")
            time.sleep(0.05)

    def ctl(self, *words, check=True, timeout=900):
        done = subprocess.run([str(self.build / "controlplane/ctl/sluicectl"), "--config",
                               str(self.home / "sluice.yaml"), "--json", *words],
                              capture_output=True, text=True, timeout=timeout)
        if check and done.returncode:
            raise Failure(f"sluicectl {' '.join(words)}: {done.returncode} {done.stdout[-2000:]}{done.stderr}")
        try:
            return json.loads(done.stdout)
        except ValueError:
            return {}

    def status(self):
        return self.ctl("status", check=False)

    def push(self):
        pushed = self.ctl("push")
        if pushed.get("state") != "live":
            raise Failure(f"push of {self.rules}: {json.dumps(pushed)[:2000]}")
        return pushed

    def counters(self, cycles=False):
        return self.ctl("counters", *(["--cycles"] if cycles else []))

    def resident_bytes(self):
        for line in pathlib.Path(f"/proc/{self.dataplane.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        return 0


class Testpmd:
    """dpdk-testpmd in io mode on the same ports: what forwarding costs without looking."""

    def __init__(self, home, wire, cores):
        self.home, self.wire, self.cores, self.process = pathlib.Path(home), wire, cores, None

    def __enter__(self):
        program = shutil.which("dpdk-testpmd")
        if not program:
            raise Failure("dpdk-testpmd is missing: apt-get install dpdk-dev")
        self.home.mkdir(parents=True, exist_ok=True)
        _, core, main = self.cores
        # Its output is a file: unbuffered, or the prompt is never seen.
        words = ["stdbuf", "-o0", program, "--no-huge", "--no-shconf", "--no-telemetry", "--no-pci",
                 "-m", "512", "--lcores", f"0@{main},1@{core}", "--vdev", self.wire.outside, "--vdev", self.wire.inside, "--",
                 "--forward-mode=io", "--auto-start", "--nb-cores=1", "--total-num-mbufs=40000",
                 "--burst=64", "--disable-link-check"]
        with open(self.home / "testpmd.log", "wb") as log:
            # testpmd stops when its standard input ends.
            self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=log, stderr=log)
        end = time.monotonic() + 20
        while "Press enter" not in (self.home / "testpmd.log").read_text(errors="replace"):
            if self.process.poll() is not None or time.monotonic() > end:
                raise Failure("testpmd: " + (self.home / "testpmd.log").read_text(errors="replace")[-1500:])
            time.sleep(0.1)
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            try:
                self.process.communicate(b"\n", timeout=10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
