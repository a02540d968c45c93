# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""Installs, starts, crashes, upgrades under load, rolls back, reboots and removes the Debian package on
a machine of its own (machine.py), whose systemd starts and watches its units. SLUICE_LONG adds the
example configuration compiled once more, and huge pages."""
import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

from lab import BUILD, SERVER4, SKIPPED, SOURCE, Failure, Lab, check, figure, short_form, wait_for
from machine import Machine, run

EDGE_UNITS = EDGE_DAEMON, EDGE_DATAPLANE = "sluiced@edge.service", "sluice-dataplane@edge.service"
EDGE_CLIENT, EDGE_SERVER = "10.78.0.1", "10.78.0.2"
UNITS = DAEMON, DATAPLANE = "sluiced.service", "sluice-dataplane.service"
ACCOUNTS = ("etc/passwd", "etc/group", "etc/shadow", "etc/gshadow")
ATTACK = "/?q=1%27%20OR%20%271%27=%271"


def make_packages(folder):
    first = pathlib.Path(run(SOURCE / "scripts/package", "--build", BUILD, "--version", "0.1.0",
                             "--compression", "none", "--output", folder).stdout.split()[-1])
    # The next version differs in its number alone.
    run("dpkg-deb", "-R", first, folder / "next")
    control = folder / "next/DEBIAN/control"
    control.write_text(control.read_text().replace("Version: 0.1.0", "Version: 0.1.1"))
    second = folder / "next.deb"
    run("dpkg-deb", "-Znone", "--root-owner-group", "-b", folder / "next", second)
    shutil.rmtree(folder / "next")
    return first, second


class Load:
    """Requests from the client until stopped, a connection each."""

    def __init__(self, lab):
        self.lab, self.ends, self.failures, self.longest = lab, False, [], 0.0
        self.served = 0
        self.thread = threading.Thread(target=self._run)

    def request(self, kept=None):
        connection = kept or http.client.HTTPConnection(SERVER4, timeout=0.5)
        if connection.sock is None:
            connection.sock = self.lab.socket("client")
            connection.sock.settimeout(0.5)
            connection.sock.connect((SERVER4, 80))
        connection.request("GET", "/index.html")
        answer = connection.getresponse()
        answer.read()
        if kept is None:
            connection.close()
        return answer.status

    def _run(self):
        last = time.monotonic()
        while not self.ends:
            try:
                status = self.request()
                if status != 200:
                    self.failures.append(f"status {status}")
                    continue
                self.served += 1
                self.longest = max(self.longest, time.monotonic() - last)
                last = time.monotonic()
            except (OSError, http.client.HTTPException) as wrong:
                self.failures.append(repr(wrong))
            time.sleep(0.005)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ends = True
        self.thread.join()


def cpu_waited():
    """Seconds so far in which a process of this machine waited for a processor."""
    return int(re.search(r"total=(\d+)", pathlib.Path("/proc/pressure/cpu").read_text()).group(1)) / 1e6


def status_of(machine, *options):
    asked = machine.run("sluicectl", *options, "--json", "status", check=False)
    return json.loads(asked.stdout) if asked.returncode == 0 else {}


def main_pid(machine, unit):
    return int(machine.property(unit, "MainPID"))


def serving(machine, generation):
    """Both programs run, and the generation is live."""
    told = status_of(machine)
    return (told.get("dataplane", {}).get("state") == "running" and told["generation"]["live"] == generation and
            told["dataplane"]["pid"] == main_pid(machine, DATAPLANE))


def start_services(lab, machine):
    """First hour: name the links and the service, start both, push, see an attack blocked."""
    check(machine.property(DAEMON, "ActiveState") == "active", "sluiced does not run after the installation")
    check(machine.property(DATAPLANE, "ActiveState") == "inactive", "the dataplane runs before its links are named")
    (machine.path / "etc/sluice/sluice.yaml").write_text(
        "workers: { cores: [1, 0], main_core: 0, idle: sleep }\n"
        "memory: { pool_mb: 64, flows_max: 16384, huge_pages: auto }\n"
        "links:\n  - name: lan0\n"
        "    outside: { device: \"net_af_packet0,iface=out0,qpairs=2\" }\n"
        "    inside: { device: \"net_af_packet1,iface=in0,qpairs=2\" }\n")
    policy = machine.path / "etc/sluice/policy.yaml"
    policy.write_text(policy.read_text().replace("mode: monitor", "mode: block")
                      .replace("192.0.2.10", SERVER4))
    machine.run("systemctl", "enable", "--now", DATAPLANE)
    cache = machine.path / "var/lib/sluice/cache"
    if short_form():  # the long form compiles under the unit's restrictions
        shutil.copytree(BUILD / "databases", cache, dirs_exist_ok=True)
        machine.run("chown", "-R", "sluice:sluice", "/var/lib/sluice/cache")
    pushed = machine.run("sluicectl", "push", check=False)
    check(pushed.returncode == 0 and not pushed.stderr, f"the example policy is not pushed well: {pushed.stderr}")
    shutil.copytree(cache, BUILD / "databases", dirs_exist_ok=True)
    tested = None if short_form() else machine.run(  # compiles again
        "sluicectl", "config", "test", "/usr/share/sluice/examples/policy.yaml", check=False)
    check(tested is None or tested.returncode == 0, "the example configuration has errors")
    check(lab.curl("/index.html")[0] == 200, "an honest request is not served")
    code, body = lab.curl(ATTACK)
    check(code == 403, f"the first attack got {code}")
    event = json.loads(body)["event_id"]
    told = wait_for(lambda: machine.run("sluicectl", "explain", event, check=False).stdout, 5,
                    "the explanation", 0.1)
    check("SQL injection" in told, f"explain: {told}")


def install_bundle(lab, machine):
    """A signed update by the steps of docs/operations.md, from where only root can read."""
    check(lab.curl("/?export=all")[0] == 200, "the update's rule is there before it")
    machine.run("sh", "-ec", """
        umask 077
        cd /root
        openssl genpkey -algorithm ed25519 -out signing.pem
        openssl pkey -in signing.pem -pubout -out ours.pub.pem
        mkdir rules
        echo 'SecRule ARGS:export "@streq all" "id:2001,phase:2,deny,status:403"' > rules/export.conf
        sluicectl bundle build --name ours --version 7 --output ours.bundle rules/
        sluicectl bundle sign --key signing.pem ours.bundle
        install -m 0644 ours.pub.pem /etc/sluice/keys/
        sluicectl bundle verify ours.bundle
        sluicectl bundle install ours.bundle""", timeout=300)
    check(lab.curl("/?export=all")[0] == 403, "the installed bundle does not block")
    records = machine.run("sluicectl", "--json", "events", "--type", "audit").stdout
    actors = {record["audit"]["action"]: record["sluice"]["actor"] for record in map(json.loads, records.splitlines())}
    check("(root)" in actors.get("bundle.install", ""), f"who installed the bundle: {actors}")
    return status_of(machine)["generation"]["live"]


def check_units(machine):
    """systemd knows that both run, hears from both, and its journal says what they said."""
    for unit in UNITS:
        said = machine.run("systemctl", "status", "--no-pager", unit).stdout
        print(said)
        check("active (running)" in said, f"status of {unit}: {said}")
        before = machine.property(unit, "WatchdogTimestampMonotonic")
        wait_for(lambda: machine.property(unit, "WatchdogTimestampMonotonic") != before, 10,
                 f"{unit} keeps its watchdog", 0.2)
        check(machine.property(unit, "NRestarts") == "0", f"{unit} was restarted: {machine.journal(unit)}")
    print(machine.journal(DATAPLANE), machine.journal(DAEMON))
    for folder in ("/var/lib/sluice", "/var/log/sluice", "/etc/sluice"):
        check(machine.run("stat", "-c", "%a", folder).stdout == "750\n", f"{folder} is open to others")
    asked = machine.run("sluicectl", "status", user="nobody", check=False)
    check(asked.returncode == 4, f"nobody in particular controls sluiced: {asked.stdout}")


@contextlib.contextmanager
def more_huge_pages(count):
    """Within it, this machine has so many more of 2 MiB."""
    path = pathlib.Path("/proc/sys/vm/nr_hugepages")
    before = int(path.read_text())
    path.write_text(str(before + count))
    try:
        yield
    finally:
        path.write_text(str(before))


def take_huge_pages(machine, live):
    """The dataplane gets huge pages as the user and with the restrictions of its unit."""
    with more_huge_pages(400):
        machine.run("systemctl", "restart", DATAPLANE)
        wait_for(lambda: serving(machine, live), 20, "serving with huge pages", 0.1)
        check(machine.journal(DATAPLANE).rfind(", huge pages\n") > machine.journal(DATAPLANE).rfind("ordinary pages\n"),
              f"no huge pages: {machine.journal(DATAPLANE)}")
        machine.run("systemctl", "stop", DATAPLANE)
    machine.run("systemctl", "start", DATAPLANE)
    wait_for(lambda: serving(machine, live), 20, "serving without huge pages", 0.1)


def restarted(machine, unit, before, count):
    pid = main_pid(machine, unit)
    return (pid not in (0, before) and machine.property(unit, "ActiveState") == "active" and
            int(machine.property(unit, "NRestarts")) == count)


def crash_and_stall(lab, machine, live):
    """Each is killed, then stalled; systemd restarts it, and it goes on where it was."""
    for unit, kills in ((DAEMON, 6), (DATAPLANE, 1)):  # 6: more often than systemd's own limit of starts
        check(machine.property(unit, "StartLimitIntervalUSec") == "0", f"{unit} stays away after some crashes")
        for count in range(1, kills + 1):
            before, began = main_pid(machine, unit), time.monotonic()
            machine.run("kill", "-KILL", before)
            wait_for(lambda: restarted(machine, unit, before, count), 20, f"{unit} restarted after a kill", 0.05)
        figure(f"{unit} killed to ready", f"{time.monotonic() - began:.2f}", "s")
        wait_for(lambda: serving(machine, live), 20, f"serving after {unit} was killed", 0.1)
        check(lab.curl(ATTACK)[0] == 403, f"no longer blocking after {unit} was killed")
    pids, began = {unit: main_pid(machine, unit) for unit in UNITS}, time.monotonic()
    restarts = {unit: int(machine.property(unit, "NRestarts")) for unit in UNITS}
    # And what they share is gone: they make it again.
    machine.run("rm", "-r", "/dev/shm/sluice")
    for pid in pids.values():
        machine.run("kill", "-STOP", pid)
    for unit in (DATAPLANE, DAEMON):  # 5 s and 10 s
        wait_for(lambda: restarted(machine, unit, pids[unit], restarts[unit] + 1), 60, f"{unit} restarted by its watchdog", 0.1)
        figure(f"{unit} stalled to ready", f"{time.monotonic() - began:.2f}", "s")
        check("Watchdog timeout" in machine.journal(unit), f"{unit}: {machine.journal(unit)}")
    wait_for(lambda: serving(machine, live), 20, "serving after both stalled", 0.1)
    check(lab.curl(ATTACK)[0] == 403, "no longer blocking after the stall")


def edge_blocks(lab):
    return lab.curl("/?export=all", server=EDGE_SERVER, timeout=2)[0] == 403


def run_another_instance(lab, machine, live):
    """By the template units, beside main: a link, a policy, bundles and records of its own."""
    for end, device, port, address in (("client", "cl1", "out1", EDGE_CLIENT), ("server", "sv1", "in1", EDGE_SERVER)):
        lab._veth((end, device), ("middle", port))
        lab.in_namespace(end, "ip", "addr", "add", address + "/24", "dev", device)
    (machine.path / "etc/sluice/edge.yaml").write_text(
        "workers: { cores: [1], main_core: 0, idle: sleep }\n"
        "memory: { pool_mb: 32, flows_max: 4096, huge_pages: off }\n"
        "links:\n  - outside: { device: \"net_af_packet0,iface=out1\" }\n"
        "    inside: { device: \"net_af_packet1,iface=in1\" }\n"
        "metrics: { listen: \"127.0.0.1:9465\" }\npaths: { policy: /etc/sluice/edge-policy.yaml }\n")
    (machine.path / "etc/sluice/edge-policy.yaml").write_text(
        "rules: { include: [/etc/sluice/rules.d/*.conf] }\n"
        f"services: [{{ name: edge, addresses: [{EDGE_SERVER}], ports: [80] }}]\n")
    machine.run("systemctl", "enable", "--now", *EDGE_UNITS)
    wait_for(lambda: status_of(machine, "--instance", "edge").get("dataplane", {}).get("state") == "running", 20,
             "the other instance runs", 0.1)
    machine.run("sluicectl", "--instance", "edge", "config", "test")
    machine.run("sluicectl", "--instance", "edge", "push")
    check(lab.curl("/?export=all", server=EDGE_SERVER)[0] == 200, "the bundle of main is in force for another instance")
    machine.run("sluicectl", "--instance", "edge", "bundle", "install", "/root/ours.bundle")
    check(edge_blocks(lab), "the bundle of the instance does not block")
    check(machine.exists("/var/lib/sluice/edge/bundles/ours/current"), "its bundle lies elsewhere")
    for unit in EDGE_UNITS:
        before = main_pid(machine, unit)
        machine.run("kill", "-KILL", before)
        wait_for(lambda: restarted(machine, unit, before, 1), 20, f"{unit} restarted after a kill", 0.05)
        stamp = machine.property(unit, "WatchdogTimestampMonotonic")
        wait_for(lambda: machine.property(unit, "WatchdogTimestampMonotonic") != stamp, 10,
                 f"{unit} keeps its watchdog", 0.2)
    wait_for(lambda: edge_blocks(lab), 10, "the instance blocks after both were killed", 0.1)
    for port in (9464, 9465):
        told = machine.run("curl", "-sf", f"http://127.0.0.1:{port}/metrics").stdout
        check("sluice_dataplane_up 1" in told, f"no metrics of a running dataplane on {port}")
    wait_for(lambda: "2001" in machine.text("var/log/sluice/edge/eve.json"), 5, "records of the instance")
    check(serving(machine, live) and lab.curl(ATTACK)[0] == 403, "the other instance disturbs main")


def upgrade_under_load(lab, machine, second, live):
    """First sluiced alone, the dataplane kept as docs/operations.md says; then the dataplane."""
    daemon, dataplane = (main_pid(machine, unit) for unit in UNITS)
    edge = [main_pid(machine, unit) for unit in EDGE_UNITS]
    keep = machine.path / "etc/sluice/keep-dataplane"
    keep.touch()
    with Load(lab) as load:
        machine.run("dpkg", "-i", f"/var/cache/{second.name}")
        wait_for(lambda: serving(machine, live), 20, "the new sluiced", 0.1)
        time.sleep(0.5)
    check(main_pid(machine, DAEMON) != daemon, "the upgrade did not restart sluiced")
    check(main_pid(machine, EDGE_DAEMON) not in (0, edge[0]) and main_pid(machine, EDGE_DATAPLANE) == edge[1],
          "the upgrade did not restart sluiced alone of the other instance")
    check(main_pid(machine, DATAPLANE) == dataplane, "the upgrade restarted a dataplane to keep")
    check(not load.failures and load.served > 20,
          f"of {load.served} requests failed while sluiced was upgraded: {load.failures[:3]}")
    figure("requests while sluiced was upgraded", load.served, "none failed")
    keep.unlink()
    hand_over(lab, machine, live, "restart of the dataplane", "systemctl", "restart", DATAPLANE)


def hand_over(lab, machine, live, what, *command):
    """The command restarts the dataplane: an old connection is reset, counted; new ones are served."""
    kept = http.client.HTTPConnection(SERVER4, timeout=3)
    before = main_pid(machine, DATAPLANE)
    began, waited = time.monotonic(), cpu_waited()
    with Load(lab) as load:
        check(load.request(kept) == 200, "a connection before the hand-over")
        machine.run(*command)
        wait_for(lambda: main_pid(machine, DATAPLANE) != before and serving(machine, live), 20,
                 "the new dataplane", 0.05)
        time.sleep(1)
    busy = (cpu_waited() - waited) / (time.monotonic() - began)
    figure(f"{what}: longest time without a new connection served", f"{load.longest:.2f}",
           f"s, while something waited for a processor {busy:.0%} of the time")
    # Nearly always: others keep this machine's cores busy, and a start takes its 0.7 s of them.
    check(load.longest <= (2.0 if busy < 0.8 else 20.0), f"{what}: no new connection was served for {load.longest:.2f} s")
    with contextlib.suppress(ConnectionError, http.client.HTTPException):
        load.request(kept)
        raise Failure("a connection of before the hand-over went on, uninspected at its start")
    counted = json.loads(machine.run("sluicectl", "--json", "counters").stdout)
    resets = sum(worker["drops"].get("tcp_no_flow", 0) for worker in counted["workers"])
    check(resets >= 1, f"the reset of the old connection is not counted: {counted['workers']}")
    check(lab.curl(ATTACK)[0] == 403, f"no longer blocking after the {what}")


def check_installed(machine):
    for path in ("usr/sbin/sluiced", "usr/sbin/sluice-dataplane", "usr/bin/sluicectl", "usr/sbin/sluice-nic",
                 "etc/sluice/sluice.yaml", "etc/sluice/policy.yaml", "usr/share/sluice/signatures/10-setup.conf",
                 "usr/lib/sysctl.d/60-sluice.conf"):
        check(machine.exists("/" + path), f"{path} is not installed")
    check("sluice:" in machine.text("etc/passwd"), "no user sluice")
    check(machine.run("stat", "-c", "%U", "/var/lib/sluice").stdout == "sluice\n", "/var/lib/sluice is not sluice's")
    for page in ("sluicectl", "sluiced", "sluice-dataplane", "sluice-nic", "sluice-gen", "sluice.yaml", "policy.yaml"):
        check(list((machine.path / "usr/share/man").glob(f"man?/{page}.*.gz")), f"no manual page {page}")
    completed = machine.run("bash", "-c", "source /usr/share/bash-completion/completions/sluicectl; "
                            "COMP_WORDS=(sluicectl rollb); COMP_CWORD=1; _sluicectl; echo ${COMPREPLY[@]}")
    check("rollback" in completed.stdout, f"completion of rollb gives {completed.stdout!r}")
    for unit in UNITS:
        said = machine.run("systemd-analyze", "verify", "--man=no", f"/lib/systemd/system/{unit}", check=False)
        check(said.stderr == "" and said.returncode == 0, f"{unit}: {said.stderr}")
        score = machine.run("systemd-analyze", "security", "--threshold=50", unit, check=False)
        print(score.stdout.splitlines()[-1])
        check(score.returncode == 0, f"{unit} is exposed more than 5.0: {score.stdout.splitlines()[-1:]}")


def check_manual(machine):
    """Every command of sluicectl is in its manual page."""
    page = machine.run("sh", "-c", "zcat /usr/share/man/man1/sluicectl.1.gz").stdout
    text = machine.run("sluicectl", "--help").stdout
    commands = re.findall(r"^  ([a-z]+)", text.split("Subcommands:")[-1], re.M)
    check(len(commands) > 10, f"no commands in {text}")
    for command in commands:
        check(re.search(rf"\b{command}\b", page), f"sluicectl {command} is not in its manual page")


def remove(machine, before, accounts):
    pids = [machine.outer_pid(main_pid(machine, unit)) for unit in UNITS + EDGE_UNITS]
    machine.run("dpkg", "-r", "sluice")
    check(not machine.exists("/usr/sbin/sluiced"), "sluiced is still there after removal")
    check(not any(os.path.exists(f"/proc/{pid}") for pid in pids), "a program runs on after removal")
    check(machine.exists("/etc/sluice/policy.yaml") and machine.exists("/var/lib/sluice/kept"),
          "removal took configuration or state with it")
    machine.run("dpkg", "-P", "sluice")
    left = sorted(machine.files() - before)
    check(not left, f"left behind: {left}")
    for name, content in accounts.items():
        check(machine.text(name) == content, f"{name} is not what it was: {machine.text(name)[-200:]}")
    for path in ("/run/sluice", "/dev/shm/sluice"):
        check(not machine.exists(path), f"{path} is left")
    known = machine.run("systemctl", "list-units", "--all", "--no-legend", "sluice*").stdout
    check(not known, f"systemd still knows {known}")


def steps(scratch):
    """Everything, inside a mount namespace of its own: its end takes the mounts with it."""
    began = time.monotonic()

    def done(what):
        print(f"{what} after {time.monotonic() - began:.1f} s", flush=True)
    first, second = make_packages(scratch)
    folder = scratch / "machine"
    folder.mkdir()
    machine = Machine(folder)
    for package in (first, second):
        shutil.move(package, machine.path / "var/cache")
    done("packaged")
    with Lab("package", daemon=False, dataplane=False) as lab, contextlib.closing(machine):
        machine.boot(lab)
        before, accounts = machine.files(), {name: machine.text(name) for name in ACCOUNTS}
        done("booted")
        machine.run("dpkg", "-i", f"/var/cache/{first.name}")
        check_installed(machine)
        check_manual(machine)
        done("installed")
        start_services(lab, machine)
        live = install_bundle(lab, machine)
        done("started and blocked an attack")
        check_units(machine)
        if not short_form():
            take_huge_pages(machine, live)
        crash_and_stall(lab, machine, live)
        done("killed and stalled")
        run_another_instance(lab, machine, live)
        done("another instance ran beside it")
        policy = machine.text("etc/sluice/policy.yaml")
        (machine.path / "var/lib/sluice/kept").write_text("kept")
        upgrade_under_load(lab, machine, second, live)
        check("Version: 0.1.1" in machine.run("dpkg", "-s", "sluice").stdout, "not upgraded")
        hand_over(lab, machine, live, "rollback of the package", "dpkg", "-i", f"/var/cache/{first.name}")
        check(machine.text("etc/sluice/policy.yaml") == policy, "the upgrade changed the policy")
        check(machine.exists("/var/lib/sluice/kept"), "the upgrade lost state")
        done("upgraded and rolled back")
        machine.shut_down()
        machine.boot(lab)
        wait_for(lambda: serving(machine, live), 20, "serving after a reboot", 0.1)
        check(lab.curl(ATTACK)[0] == 403, "no longer blocking after a reboot")
        wait_for(lambda: edge_blocks(lab), 10, "the other instance blocks after a reboot", 0.1)
        done("rebooted")
        remove(machine, before, accounts)
        done("removed without a trace")


def main():
    if os.geteuid() != 0:
        print("skipped: needs root")
        sys.exit(SKIPPED)
    if len(sys.argv) > 1:
        try:
            steps(pathlib.Path(sys.argv[1]))
        except Failure as failure:
            sys.exit(f"FAILED: {failure}")
        return
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run(["unshare", "--mount", "--propagation", "private", sys.executable,
                               __file__, scratch], check=False)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
