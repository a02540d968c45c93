#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""The engine rooms build and their tests run without DPDK, root or huge pages."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import lab

NOBODY = 65534
# Rooms of the dataplane that know nothing of DPDK, and programs that must not load it.
ROOMS = ("base", "net", "flow", "stream", "http", "limit", "rules", "engine", "config")
PROGRAMS = ("controlplane/api/sluiced", "controlplane/ctl/sluicectl")
TESTS = ("flow", "stream", "config")  # with --long all of the unit suite


def no_symbol_of_dpdk():
    for room in ROOMS:
        archives = list((lab.BUILD / "dataplane" / room).rglob("*.a"))
        lab.check(archives, f"no library of {room}")
        for archive in archives:
            # Thin archives name objects relative to themselves; nm would read GCC's link-time form.
            table = subprocess.run(["readelf", "--symbols", "--wide", archive], text=True,
                                   capture_output=True, check=True).stdout
            rows = (line.split() for line in table.splitlines())
            symbols = [row[7] for row in rows if len(row) > 7 and row[6] == "UND"]
            wanted = {name for name in symbols if name.startswith(("rte_", "per_lcore_"))}
            lab.check(symbols and not wanted, f"{archive.name} needs {wanted}")
    for program in PROGRAMS:
        needs = subprocess.run(["ldd", lab.BUILD / program], text=True, capture_output=True,
                               check=True).stdout
        lab.check("libhs" in needs and "librte" not in needs, f"{program} loads DPDK")


def packages_without_dpdk(folder):
    """A folder of pkg-config's files in which libdpdk is not installed."""
    folder.mkdir()
    for place in ("/usr/lib/x86_64-linux-gnu/pkgconfig", "/usr/lib/pkgconfig", "/usr/share/pkgconfig"):
        for file in pathlib.Path(place).glob("*.pc"):
            if not file.name.startswith(("libdpdk", "librte")):
                (folder / file.name).symlink_to(file)


def an_unprivileged_user_builds_and_tests():
    with tempfile.TemporaryDirectory(prefix="sluice-rooms-") as home:
        home = pathlib.Path(home)
        packages_without_dpdk(home / "packages")
        # What git knows, so that neither a build folder nor its owner matters.
        source = home / "source"
        for name in subprocess.run(["git", "-C", lab.SOURCE, "ls-files", "-z"], text=True,
                                   capture_output=True, check=True).stdout.split("\0")[:-1]:
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(lab.SOURCE / name, source / name, follow_symlinks=False)
        os.chown(home, NOBODY, NOBODY)
        # Off the machine's caches: nobody may write them, and what is compiled is what is tested.
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(home), "LANG": "C.UTF-8",
                       "PKG_CONFIG_LIBDIR": str(home / "packages")}

        def run(*words):
            done = subprocess.run(words, text=True, stdout=subprocess.PIPE, cwd=home,
                                  stderr=subprocess.STDOUT, env=environment, user=NOBODY,
                                  group=NOBODY, extra_groups=[], check=False)
            lab.check(done.returncode == 0, f"{' '.join(map(str, words))}\n{done.stdout[-3000:]}")
            return done.stdout
        told = run("meson", "setup", "build", source, "-Ddpdk=false", "-Dbenchmarks=false",
                   "-Doptimization=0", "-Ddebug=false")
        lab.check("libdpdk found: YES" not in told, "DPDK was found")
        if lab.short_form():
            run("ninja", "-C", "build", *[f"tests/unit/{name}/{name}_test" for name in TESTS])
            for name in TESTS:
                run(home / f"build/tests/unit/{name}/{name}_test", "--gtest_brief=1")
        else:
            run("meson", "test", "-C", "build", "--suite", "unit")
        lab.figure("unit tests without DPDK and root", len(TESTS) if lab.short_form() else "all")


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("skipped: needs root to become another user")
        sys.exit(lab.SKIPPED)
    lab.main(no_symbol_of_dpdk, an_unprivileged_user_builds_and_tests)
