#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""scripts/demo twice in a row: it works, and leaves nothing behind."""
import os
import pathlib
import re
import signal
import subprocess
import sys

import lab

HUGE = pathlib.Path("/sys/kernel/mm/hugepages/hugepages-2048kB")


def traces():
    """What a demonstration could leave: names of it, in every place where it makes something."""
    found = set(re.findall(r"^slc-demo\S*", subprocess.run(
        ["ip", "netns", "list"], text=True, capture_output=True, check=True).stdout, re.M))
    for folder in ("/dev/shm", "/dev/hugepages", "/tmp", "/run", "/var/run/dpdk", "/var/lib"):
        found |= {str(path) for path in pathlib.Path(folder).glob("*")
                  if "sluice-lab-demo" in path.name or "rtemap" in path.name}
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if b"sluice-lab-demo" in (entry / "cmdline").read_bytes():
                found.add(f"process {entry.name}")
        except OSError:
            pass
    for name in ("nr_hugepages", "free_hugepages"):
        if (HUGE / name).exists():
            found.add(f"{name} {(HUGE / name).read_text().strip()}")
    return found


def start(*words):
    environment = {name: value for name, value in os.environ.items() if name != "SLUICE_BUILD"}
    return subprocess.Popen([lab.SOURCE / "scripts/demo", *words], text=True, env=environment,
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, start_new_session=True)


def shows_its_work(told):
    for words in ("answered by nginx", "stopped, rules: rule 1001, event ", "http_cl_and_te",
                  "refused with 429", "generation 1: live", "cleaned up"):
        lab.check(words in told, f"the demonstration does not say '{words}':\n{told[-3000:]}")
    limited = re.search(r"(\d+) answered by nginx, (\d+) refused with 429, in (\S+) s", told)
    admitted, refused, seconds = int(limited[1]), int(limited[2]), float(limited[3])
    lab.check(admitted + refused == 40, f"of 40 requests at once: {limited[0]}")
    # One after the other they take so long that several more are admitted.
    lab.check(20 <= admitted <= 22 + 5 * max(0.0, seconds - 1), f"the 40 requests were not at once: {limited[0]}")


def twice_in_a_row_without_a_trace():
    before = traces()
    for round_ in ("runs through", "stays until it is interrupted"):
        demo = start(*(["--stay"] if "stays" in round_ else []))
        told = ""
        try:
            for line in demo.stdout:
                told += line
                if "it stays" in line:
                    lab.check(any("slc-demo" in name for name in traces()), "nothing stays")
                    os.killpg(demo.pid, signal.SIGINT)
            status = demo.wait(30)
        finally:
            if demo.poll() is None:
                os.killpg(demo.pid, signal.SIGTERM)
                demo.wait()
        lab.check(status == 0, f"{round_}: status {status}\n{told[-3000:]}")
        shows_its_work(told)
        lab.check(traces() == before, f"{round_}: left {traces() ^ before}")


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("skipped: needs root for namespaces")
        sys.exit(lab.SKIPPED)
    lab.main(twice_in_a_row_without_a_trace)
