# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""What a measurement stands on: machine, commit, cores, priorities."""
import os
import pathlib
import platform
import re
import subprocess

SOURCE = pathlib.Path(__file__).resolve().parents[2]


class Failure(Exception):
    """A measurement that cannot be made or does not hold."""


def read(path, default=""):
    try:
        return pathlib.Path(path).read_text().strip()
    except OSError:
        return default


def describe(build):
    model = re.search(r"model name\s*:\s*(.*)", read("/proc/cpuinfo"))
    commit = subprocess.run(["git", "-C", str(SOURCE), "describe", "--always", "--dirty", "--abbrev=12"],
                            capture_output=True, text=True).stdout.strip()
    return {"commit": commit, "cpu": model.group(1) if model else "unknown", "cores": os.cpu_count(),
            "kernel": platform.release(), "hypervisor": "hypervisor" in read("/proc/cpuinfo"),
            "load_average_before": os.getloadavg()[0], "build": str(build),
            "huge_pages_free": read("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "0"),
            "governor": read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "none")}


def take_precedence():
    """Lets the processes of the measurement run before everything else on the machine, where that is
    allowed. Returns what was got."""
    got = []
    try:
        os.setsid()  # an autogroup of our own: without it nice values count only within the session's
    except OSError:
        pass
    for path in ("/proc/self/autogroup",):
        try:
            pathlib.Path(path).write_text("-20")
            got.append("autogroup -20")
        except OSError:
            pass
    try:
        os.nice(-20)
        got.append("nice -20")
    except OSError:
        pass
    return ", ".join(got) or "none"


def cores():
    """(generator, appliance, rest): a core each where there are two; then the rest shares the first."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        return allowed[0], allowed[0], allowed[0]
    return allowed[0], allowed[1], allowed[2] if len(allowed) > 2 else allowed[0]
