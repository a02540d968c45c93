# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""Installs, starts, upgrades under load and removes the Debian package in a root directory of its
own: this machine's file system below, an empty layer above, so that what the package leaves is what
the layer holds. Its programs run as the units run them, between the namespaces of a laboratory.
Needs root and overlayfs."""
import http.client
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

from lab import SERVER4, Failure, Lab, check, figure, wait_for

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SLUICE_BUILD", SOURCE / "build"))
SKIPPED = 77
# What installing any package changes.
DPKG_OWN = re.compile(r"^(var/(lib/(dpkg|systemd|ucf)|log|cache)|etc/(passwd|group|shadow|gshadow|subuid|subgid)-?$|"
                      r"etc/\.pwd\.lock|etc/ld\.so\.cache|tmp|root|run|usr/share/(mime|man)|usr/lib/x86_64-linux-gnu$)")
ACCOUNTS = ("etc/passwd", "etc/group", "etc/shadow", "etc/gshadow")


def run(*command, check=True, **options):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)
    if check and done.returncode:
        raise Failure(f"{shlex.join(map(str, command))}: {done.returncode}\n"
                      f"{done.stdout}{done.stderr}")
    return done


class Root:
    """A layered root directory."""

    def __init__(self, folder):
        self.layer, self.path = folder / "layer", folder / "root"
        run("mount", "-t", "tmpfs", "tmpfs", folder)
        for part in (self.layer, folder / "work", self.path):
            part.mkdir()
        mounted = run("mount", "-t", "overlay", "overlay", "-o",
                      f"lowerdir=/,upperdir={self.layer},workdir={folder}/work", self.path, check=False)
        if mounted.returncode:
            print(f"skipped: no overlayfs here: {mounted.stderr.strip()}")
            sys.exit(SKIPPED)
        for name in ("dev", "run", "tmp"):
            run("mount", "-t", "tmpfs", "tmpfs", self.path / name)
        run("mount", "-t", "proc", "proc", self.path / "proc")
        run("mount", "--bind", "-o", "ro", "/sys", self.path / "sys")
        # The index of all manual pages takes seconds and says nothing here.
        (self.path / "var/lib/man-db/auto-update").unlink(missing_ok=True)
        for name, minor in (("null", 3), ("zero", 5), ("random", 8), ("urandom", 9)):
            run("mknod", "-m", "666", self.path / "dev" / name, "c", 1, minor)
        (self.path / "dev/shm").mkdir()
        run("mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", self.path / "dev/shm")

    def run(self, *command, user=None, check=True):
        chroot = ["chroot"] + ([f"--userspec={user}:{user}"] if user else []) + [self.path]
        return run(*chroot, *command, check=check)

    def files(self):
        """Everything in the layer that dpkg does not change for any package. A whiteout (a file gone
        from below) counts too."""
        found = set()
        for folder, folders, names in os.walk(self.layer):
            for name in folders + names:
                relative = os.path.relpath(os.path.join(folder, name), self.layer)
                whole = os.path.join(folder, name)
                if os.path.isdir(whole) and os.path.isdir("/" + relative):
                    continue
                if not DPKG_OWN.match(relative):
                    found.add(relative)
        return found

    def text(self, path):
        return (self.path / path).read_text()

    def exists(self, path):
        return os.path.lexists(self.path / path.lstrip("/"))


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


class Service:
    """One program of the package, run as its unit says: user, capabilities, command."""

    def __init__(self, lab, root, unit):
        self.lab, self.unit = lab, unit
        text = root.text(f"lib/systemd/system/{unit}")
        words = shlex.split(re.search(r"^ExecStart=(.*)$", text, re.M).group(1))
        rights = re.search(r"^AmbientCapabilities=(.*)$", text, re.M)
        sets = ",".join("+" + name.removeprefix("CAP_").lower()
                        for name in (rights.group(1).split() if rights else []))
        self.words = ["chroot", root.path, "setpriv", "--reuid", "sluice", "--regid", "sluice",
                      "--init-groups", "--no-new-privs", "--bounding-set", "-all" +
                      ("," + sets if sets else ""), *(["--inh-caps", "-all," + sets,
                                                       "--ambient-caps", "-all," + sets]
                                                      if sets else []), *words]
        self.process = None

    def start(self):
        self.process = self.lab.start("middle", *self.words, log=self.unit + ".log")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(20)
        self.lab.processes.remove(self.process)
        check(status == 0, f"{self.unit} ended with {status}")


class Load:
    """Requests from the client until stopped, a connection each; and one connection that stays."""

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


def status_of(root):
    asked = root.run("sluicectl", "--json", "status", check=False)
    return json.loads(asked.stdout) if asked.returncode == 0 else {}


def start_services(lab, root):
    """First hour: name the links and the service, start both, push, see an attack blocked."""
    (root.path / "etc/sluice/sluice.yaml").write_text(
        "workers: { cores: [1, 0], main_core: 0, idle: sleep }\n"
        "memory: { pool_mb: 64, flows_max: 16384, huge_pages: off }\n"
        "links:\n  - name: lan0\n"
        "    outside: { device: \"net_af_packet0,iface=out0,qpairs=2\" }\n"
        "    inside: { device: \"net_af_packet1,iface=in0,qpairs=2\" }\n"
        "metrics: { listen: \"off\" }\n")
    policy = root.path / "etc/sluice/policy.yaml"
    policy.write_text(policy.read_text().replace("mode: monitor", "mode: block")
                      .replace("192.0.2.10", SERVER4))
    daemon, dataplane = (Service(lab, root, name + ".service")
                         for name in ("sluiced", "sluice-dataplane"))
    daemon.start()
    dataplane.start()
    wait_for(lambda: status_of(root).get("dataplane", {}).get("state") == "running", 20,
             "both programs run", 0.1)
    pushed = root.run("sluicectl", "push", check=False)
    check(pushed.returncode == 0, f"the example policy is not pushed: {pushed.stderr}")
    tested = root.run("sluicectl", "config", "test", "/usr/share/sluice/examples/policy.yaml",
                      check=False) if os.environ.get("SLUICE_LONG") else None  # compiles again
    check(tested is None or tested.returncode == 0, "the example configuration has errors")
    check(lab.curl("/index.html")[0] == 200, "an honest request is not served")
    code, body = lab.curl("/?q=1%27%20OR%20%271%27=%271")
    check(code == 403, f"the first attack got {code}")
    event = json.loads(body)["event_id"]
    told = wait_for(lambda: root.run("sluicectl", "explain", event, check=False).stdout, 5,
                    "the explanation", 0.1)
    check("SQL injection" in told, f"explain: {told}")
    return daemon, dataplane


def upgrade_under_load(lab, root, second, daemon, dataplane):
    """dpkg replaces the programs; then both restart in the order of postinst."""
    live = status_of(root)["generation"]["live"]
    with Load(lab) as load:
        root.run("dpkg", "-i", f"/tmp/{second.name}")
        daemon.stop()
        daemon.start()
        wait_for(lambda: status_of(root).get("generation", {}).get("live") == live, 20,
                 "the new sluiced", 0.1)
        time.sleep(0.5)
    check(not load.failures and load.served > 20,
          f"of {load.served} requests failed while sluiced was upgraded: {load.failures[:3]}")
    figure("requests while sluiced was upgraded", load.served, "none failed")

    kept = http.client.HTTPConnection(SERVER4, timeout=3)
    with Load(lab) as load:
        check(load.request(kept) == 200, "a connection before the hand-over")
        before = time.monotonic()
        dataplane.stop()
        stopped = time.monotonic()
        dataplane.start()
        wait_for(lambda: status_of(root)["dataplane"].get("pid") == dataplane.process.pid and
                 status_of(root)["generation"]["live"] == live, 20, "the new dataplane", 0.05)
        ready = time.monotonic()
        time.sleep(1)
    figure("stop and start of the dataplane", f"{stopped - before:.2f} {ready - stopped:.2f}", "s")
    check(load.longest <= 2.0, f"no new connection was served for {load.longest:.2f} s")
    figure("longest time without a new connection served", f"{load.longest:.2f}", "s")
    try:
        load.request(kept)
        raise Failure("a connection of before the hand-over went on, uninspected at its start")
    except (ConnectionError, http.client.HTTPException):
        pass
    counted = json.loads(root.run("sluicectl", "--json", "counters").stdout)
    resets = sum(worker["drops"].get("tcp_no_flow", 0) for worker in counted["workers"])
    check(resets >= 1, f"the reset of the old connection is not counted: {counted['workers']}")
    check(lab.curl("/?q=1%27%20OR%20%271%27=%271")[0] == 403, "no longer blocking after the upgrade")


def check_installed(root):
    for path in ("usr/sbin/sluiced", "usr/sbin/sluice-dataplane", "usr/bin/sluicectl", "usr/sbin/sluice-nic",
                 "etc/sluice/sluice.yaml", "etc/sluice/policy.yaml", "usr/share/sluice/signatures/10-setup.conf",
                 "usr/lib/sysctl.d/60-sluice.conf"):
        check(root.exists(path), f"{path} is not installed")
    check("sluice:" in root.text("etc/passwd"), "no user sluice")
    check("root\n" not in root.run("stat", "-c", "%U", "/var/lib/sluice").stdout, "/var/lib/sluice is root's")
    for page in ("sluicectl", "sluiced", "sluice-dataplane", "sluice-nic", "sluice-gen", "sluice.yaml", "policy.yaml"):
        check(list((root.path / "usr/share/man").glob(f"man?/{page}.*.gz")), f"no manual page {page}")
    completed = root.run("bash", "-c", "source /usr/share/bash-completion/completions/sluicectl; "
                         "COMP_WORDS=(sluicectl rollb); COMP_CWORD=1; _sluicectl; echo ${COMPREPLY[@]}")
    check("rollback" in completed.stdout, f"completion of rollb gives {completed.stdout!r}")
    if shutil.which("systemd-analyze"):
        for unit in ("sluiced.service", "sluice-dataplane.service"):
            said = root.run("systemd-analyze", "verify", "--man=no", f"/lib/systemd/system/{unit}", check=False)
            check(unit not in said.stderr, f"{unit}: {said.stderr}")
            score = root.run("systemd-analyze", "security", "--offline=yes", "--threshold=50",
                             f"/lib/systemd/system/{unit}", check=False)
            check(score.returncode == 0, f"{unit} is exposed more than 5.0: {score.stdout.splitlines()[-1:]}")


def check_manual(root):
    """Every command of sluicectl is in its manual page."""
    page = root.run("sh", "-c", "zcat /usr/share/man/man1/sluicectl.1.gz").stdout
    text = root.run("sluicectl", "--help").stdout
    commands = re.findall(r"^  ([a-z]+)", text.split("Subcommands:")[-1], re.M)
    check(len(commands) > 10, f"no commands in {text}")
    for command in commands:
        check(re.search(rf"\b{command}\b", page), f"sluicectl {command} is not in its manual page")


def steps(scratch):
    """Everything, inside a mount namespace of its own: its end takes the mounts with it."""
    began = time.monotonic()

    def done(what):
        print(f"{what} after {time.monotonic() - began:.1f} s", flush=True)
    first, second = make_packages(scratch)
    folder = scratch / "overlay"
    folder.mkdir()
    root = Root(folder)
    for package in (first, second):
        shutil.move(package, root.path / "tmp")
    before, accounts = root.files(), {name: root.text(name) for name in ACCOUNTS}
    done("packaged")

    root.run("dpkg", "-i", f"/tmp/{first.name}")
    check_installed(root)
    check_manual(root)
    done("installed")
    with Lab("package", daemon=False, dataplane=False) as lab:
        daemon, dataplane = start_services(lab, root)
        done("started and blocked an attack")
        policy = root.text("etc/sluice/policy.yaml")
        (root.path / "var/lib/sluice/kept").write_text("kept")
        upgrade_under_load(lab, root, second, daemon, dataplane)
        daemon.stop()
        dataplane.stop()
    check("Version: 0.1.1" in root.run("dpkg", "-s", "sluice").stdout, "not upgraded")
    check(root.text("etc/sluice/policy.yaml") == policy, "the upgrade changed the policy")
    check(root.exists("var/lib/sluice/kept"), "the upgrade lost state")
    done("upgraded")

    root.run("dpkg", "-r", "sluice")
    check(not root.exists("usr/sbin/sluiced"), "sluiced is still there after removal")
    check(root.exists("etc/sluice/policy.yaml") and root.exists("var/lib/sluice/kept"),
          "removal took configuration or state with it")
    root.run("dpkg", "-P", "sluice")
    left = sorted(root.files() - before)
    check(not left, f"left behind: {left}")
    for name, content in accounts.items():
        check(root.text(name) == content, f"{name} is not what it was: {root.text(name)[-200:]}")
    for path in ("run/sluice", "dev/shm/sluice"):
        check(not root.exists(path), f"{path} is left")
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
