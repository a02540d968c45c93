# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""A machine of its own for a test of the package: systemd as process 1 in namespaces of its own, with
the two ports of a laboratory, over a fresh root directory (this machine's file system below, an
empty layer above, so that what the package leaves is what the layer holds). Its cgroups are the
unified hierarchy, its /proc/sys and /sys are read-only, so that nothing in it changes this machine.

Needs root, overlayfs and cgroup2, and a mount namespace that ends with the test."""
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys

from lab import SKIPPED, Failure, wait_for

# What installing any package, and systemd itself, change.
DPKG_OWN = re.compile(r"^(var/(lib/(dpkg|systemd|ucf)|log|cache)|etc/(passwd|group|shadow|gshadow|subuid|subgid)-?$|"
                      r"etc/\.pwd\.lock|etc/ld\.so\.cache|tmp|root|run|usr/share/(mime|man)|usr/lib/x86_64-linux-gnu$)")
# Process 1 of the new namespaces: mounts what a container has, moves into the root, becomes systemd.
BOOT = r"""
set -e
cd "$1"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/shm dev/pts run/old
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
for node in null:1:3 console:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0; do
  IFS=: read -r name major minor <<< "$node"
  mknod -m 666 "dev/$name" c "$major" "$minor"
done
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
pivot_root . run/old
umount -l run/old
exec env -i container=sluice-test PATH="$PATH" /lib/systemd/systemd --show-status=no
"""


def run(*command, check=True, **options):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False, **options)
    if check and done.returncode:
        raise Failure(f"{shlex.join(map(str, command))}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def skip(why):
    print(f"skipped: {why}")
    sys.exit(SKIPPED)


class Machine:
    """folder: an empty one, for the root and its layer. boot() and close() frame what runs."""

    def __init__(self, folder):
        self.layer, self.path = folder / "layer", folder / "root"
        self.process = self.init = None
        run("mount", "-t", "tmpfs", "tmpfs", folder)
        for part in ("layer", "work", "root", "cgroup"):
            (folder / part).mkdir()
        mounted = run("mount", "-t", "overlay", "overlay", "-o",
                      f"lowerdir=/,upperdir={self.layer},workdir={folder}/work", self.path, check=False)
        if mounted.returncode:
            skip(f"no overlayfs here: {mounted.stderr.strip()}")
        if run("mount", "-t", "cgroup2", "cgroup2", folder / "cgroup", check=False).returncode:
            skip("no cgroup2 here")
        self.cgroup = folder / "cgroup" / f"slc-machine-{os.getpid():x}"
        run("mount", "-t", "tmpfs", "tmpfs", self.path / "tmp")
        self._prepare()

    def _prepare(self):
        """Takes out what this machine would start, and who says that nothing be started."""
        for wants in (self.path / "etc/systemd/system").glob("*.wants"):
            shutil.rmtree(wants)
        # The index of all manual pages takes seconds and says nothing here.
        for gone in ("usr/sbin/policy-rc.d", "var/lib/man-db/auto-update"):
            (self.path / gone).unlink(missing_ok=True)
        for unit in ("console-getty.service", "getty@tty1.service", "systemd-logind.service"):
            (self.path / "etc/systemd/system" / unit).symlink_to("/dev/null")
        (self.path / "etc/fstab").write_text("")
        (self.path / "etc/machine-id").write_text("")
        (self.path / "var/log/journal").mkdir(exist_ok=True)

    # -- life ---------------------------------------------------------------------------------

    def boot(self, lab):
        """Starts systemd between the laboratory's ports, and waits until it has started all."""
        self.cgroup.mkdir(exist_ok=True)
        # Into its cgroup first: the namespace made next takes that for the root.
        enter = f"echo $$ > {self.cgroup}/cgroup.procs; exec \"$@\""
        self.process = subprocess.Popen(
            ["sh", "-c", enter, "sh", *lab.command(
                "middle", "unshare", "--mount", "--pid", "--uts", "--ipc", "--cgroup", "--fork",
                "--kill-child=KILL", "--propagation", "private", "bash", "-c", BOOT, "boot", self.path)],
            stdin=subprocess.DEVNULL)
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")

        def running():
            if self.process.poll() is not None:
                raise Failure(f"systemd did not start: {self.process.returncode}")
            self.init = int((children.read_text().split() or ["0"])[0])
            if not self.init or pathlib.Path(f"/proc/{self.init}/comm").read_text().strip() != "systemd":
                return False
            return self.run("systemctl", "is-system-running", check=False).stdout.strip() in (
                "running", "degraded")
        wait_for(running, 60, "systemd has started everything", 0.1)

    def shut_down(self):
        """As poweroff does; what is left of its processes is a Failure."""
        os.kill(self.init, signal.SIGRTMIN + 4)
        self.process.wait(60)
        self.process = None
        self._remove_cgroups()

    def close(self):
        if self.process is not None:
            self.process.kill()  # unshare takes process 1 with it, and so all the others
            self.process.wait()
            self.process = None
        if self.cgroup.exists():
            wait_for(lambda: "populated 0" in (self.cgroup / "cgroup.events").read_text(), 10,
                     "the machine's processes end")
            self._remove_cgroups()

    def _remove_cgroups(self):
        for folder, _, _ in os.walk(self.cgroup, topdown=False):
            os.rmdir(folder)

    # -- inside -------------------------------------------------------------------------------

    def run(self, *command, user=None, check=True, **options):
        """Runs a command in the machine to its end."""
        become = ["runuser", "-u", user, "--"] if user else []
        return run("nsenter", "-a", "-t", self.init, "--", "env", "-i", "TERM=dumb", "LANG=C.UTF-8",
                   f"PATH={os.environ['PATH']}", *become, *command, check=check, **options)

    def property(self, unit, name):
        return self.run("systemctl", "show", "--value", "-p", name, unit).stdout.strip()

    def journal(self, unit):
        return self.run("journalctl", "--no-pager", "-o", "cat", "-u", unit).stdout

    def outer_pid(self, pid):
        """The number here of a process of the machine."""
        for status in pathlib.Path("/proc").glob("[0-9]*/status"):
            try:
                found = re.search(r"^NSpid:\s(.*)$", status.read_text(), re.M)
                same = os.readlink(status.parent / "ns/pid") == os.readlink(f"/proc/{self.init}/ns/pid")
            except OSError:
                continue
            if same and found.group(1).split()[-1] == str(pid):
                return int(status.parent.name)
        raise Failure(f"no process {pid} in the machine")

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
        return self.run("test", "-e", path, check=False).returncode == 0
