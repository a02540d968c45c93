# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""Installs, starts, upgrades and removes the Debian package in a root directory of its own: this
machine's file system below, an empty layer above, so that what the package leaves is what the layer
holds. Needs root and overlayfs."""
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

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
        sys.exit(f"FAILED {shlex.join(map(str, command))}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def expect(condition, message):
    if not condition:
        sys.exit(f"FAILED: {message}")


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
        for name, minor in (("null", 3), ("zero", 5), ("random", 8), ("urandom", 9)):
            run("mknod", "-m", "666", self.path / "dev" / name, "c", 1, minor)
        (self.path / "dev/shm").mkdir()
        run("mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", self.path / "dev/shm")

    def run(self, *command, user=None, check=True):
        chroot = ["chroot"] + ([f"--userspec={user}:{user}"] if user else []) + [self.path]
        return run(*chroot, *command, check=check)

    def start(self, *command):
        return subprocess.Popen(["chroot", "--userspec=sluice:sluice", str(self.path), *command],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

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
                             "--output", folder).stdout.strip().splitlines()[-1])
    # The next version differs in its number alone.
    run("dpkg-deb", "-R", first, folder / "next")
    control = folder / "next/DEBIAN/control"
    control.write_text(control.read_text().replace("Version: 0.1.0", "Version: 0.1.1"))
    second = folder / "next.deb"
    run("dpkg-deb", "--root-owner-group", "-b", folder / "next", second)
    return first, second


def exec_start(root, unit):
    words = re.search(r"^ExecStart=(.*)$", root.text(f"lib/systemd/system/{unit}"), re.M).group(1)
    return shlex.split(words)


def check_services(root):
    """Starts both programs as the units do, as the package's user without any privilege."""
    (root.path / "etc/sluice/sluice.yaml").write_text(
        "workers: { cores: [0], main_core: 0, idle: sleep }\n"
        "memory: { pool_mb: 16, flows_max: 1024, huge_pages: off }\n"
        "links:\n  - { name: lan0, outside: { device: net_null0 }, inside: { device: net_null1 } }\n"
        "metrics: { listen: \"off\" }\n")
    daemon = root.start(*exec_start(root, "sluiced.service"))
    dataplane = root.start(*exec_start(root, "sluice-dataplane.service"))
    state = {}
    try:
        end = time.monotonic() + 20
        while time.monotonic() < end and state.get("dataplane", {}).get("state") != "running":
            for process in (daemon, dataplane):
                expect(process.poll() is None, f"{process.args} ended: {process.stdout.read() if process.poll() is not None else ''}")
            asked = root.run("sluicectl", "--json", "status", check=False)
            state = json.loads(asked.stdout) if asked.returncode == 0 else {}
            time.sleep(0.1)
        expect(state.get("dataplane", {}).get("state") == "running", f"status says {state}")
        expect(root.run("sluicectl", "push", check=False).returncode == 0, "the example policy is not pushed")
    finally:
        for process in (dataplane, daemon):
            process.terminate()
            process.wait(20)
    expect(daemon.returncode == 0, f"sluiced ended with {daemon.returncode}")
    expect(dataplane.returncode == 0, f"sluice-dataplane ended with {dataplane.returncode}")


def check_installed(root):
    for path in ("usr/sbin/sluiced", "usr/sbin/sluice-dataplane", "usr/bin/sluicectl", "usr/sbin/sluice-nic",
                 "etc/sluice/sluice.yaml", "etc/sluice/policy.yaml", "usr/share/sluice/signatures/10-setup.conf",
                 "usr/lib/sysctl.d/60-sluice.conf"):
        expect(root.exists(path), f"{path} is not installed")
    expect("sluice:" in root.text("etc/passwd"), "no user sluice")
    expect("root\n" not in root.run("stat", "-c", "%U", "/var/lib/sluice").stdout, "/var/lib/sluice is root's")
    expect(root.run("sluicectl", "config", "test").returncode == 0, "the example configuration has errors")
    for page in ("sluicectl", "sluiced", "sluice-dataplane", "sluice-nic", "sluice-gen", "sluice.yaml", "policy.yaml"):
        expect(list((root.path / "usr/share/man").glob(f"man?/{page}.*.gz")), f"no manual page {page}")
    completed = root.run("bash", "-c", "source /usr/share/bash-completion/completions/sluicectl; "
                         "COMP_WORDS=(sluicectl rollb); COMP_CWORD=1; _sluicectl; echo ${COMPREPLY[@]}")
    expect("rollback" in completed.stdout, f"completion of rollb gives {completed.stdout!r}")
    if shutil.which("systemd-analyze"):
        for unit in ("sluiced.service", "sluice-dataplane.service"):
            said = root.run("systemd-analyze", "verify", "--man=no", f"/lib/systemd/system/{unit}", check=False)
            expect(unit not in said.stderr, f"{unit}: {said.stderr}")
            score = root.run("systemd-analyze", "security", "--offline=yes", "--threshold=50",
                             f"/lib/systemd/system/{unit}", check=False)
            expect(score.returncode == 0, f"{unit} is exposed more than 5.0: {score.stdout.splitlines()[-1:]}")


def check_manual(root):
    """Every command of sluicectl is in its manual page."""
    page = root.run("sh", "-c", "zcat /usr/share/man/man1/sluicectl.1.gz").stdout
    text = root.run("sluicectl", "--help").stdout
    commands = re.findall(r"^  ([a-z]+)", text.split("Subcommands:")[-1], re.M)
    expect(len(commands) > 10, f"no commands in {text}")
    for command in commands:
        expect(re.search(rf"\b{command}\b", page), f"sluicectl {command} is not in its manual page")


def steps(scratch):
    """Everything, inside a mount namespace of its own: its end takes the mounts with it."""
    first, second = make_packages(scratch)
    folder = scratch / "overlay"
    folder.mkdir()
    root = Root(folder)
    for package in (first, second):
        shutil.copy(package, root.path / "tmp")
    before, accounts = root.files(), {name: root.text(name) for name in ACCOUNTS}

    root.run("dpkg", "-i", f"/tmp/{first.name}")
    check_installed(root)
    check_manual(root)
    check_services(root)
    print("installed and started")

    policy = root.text("etc/sluice/policy.yaml").replace("mode: monitor", "mode: block")
    (root.path / "etc/sluice/policy.yaml").write_text(policy)
    (root.path / "var/lib/sluice/kept").write_text("kept")
    root.run("dpkg", "-i", f"/tmp/{second.name}")
    expect("Version: 0.1.1" in root.run("dpkg", "-s", "sluice").stdout, "not upgraded")
    expect(root.text("etc/sluice/policy.yaml") == policy, "the upgrade changed the operator's policy")
    expect(root.exists("var/lib/sluice/kept"), "the upgrade lost state")
    print("upgraded")

    root.run("dpkg", "-r", "sluice")
    expect(not root.exists("usr/sbin/sluiced"), "sluiced is still there after removal")
    expect(root.exists("etc/sluice/policy.yaml") and root.exists("var/lib/sluice/kept"),
           "removal took configuration or state with it")
    root.run("dpkg", "-P", "sluice")
    left = sorted(root.files() - before)
    expect(not left, f"left behind: {left}")
    for name, content in accounts.items():
        expect(root.text(name) == content, f"{name} is not what it was: {root.text(name)[-200:]}")
    for path in ("run/sluice", "dev/shm/sluice"):
        expect(not root.exists(path), f"{path} is left")
    print("removed without a trace")


def main():
    if os.geteuid() != 0:
        print("skipped: needs root")
        sys.exit(SKIPPED)
    if len(sys.argv) > 1:
        steps(pathlib.Path(sys.argv[1]))
        return
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run(["unshare", "--mount", "--propagation", "private", sys.executable, __file__, scratch])
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
