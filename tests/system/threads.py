# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""The dataplane's threads: which are its workers, and one of them held."""
import contextlib
import ctypes
import os
import pathlib
import re


def process_of(it):
    return int((it.folder("run") / "dataplane.pid").read_text())


def worker_threads(it):
    """Thread ids of the workers, in their order."""
    found = {}
    for task in pathlib.Path(f"/proc/{process_of(it)}/task").iterdir():
        name = (task / "comm").read_text().strip()
        if match := re.fullmatch(r"(?:lcore-worker|rte-worker)-(\d+)", name):
            found[int(match.group(1))] = int(task.name)
    return [found[lcore] for lcore in sorted(found)]


@contextlib.contextmanager
def stopped(thread):
    """Within it, one thread of a process is held; the others run. ptrace(2). The dataplane ends
    itself after ten seconds of that."""
    libc = ctypes.CDLL(None, use_errno=True)

    def ptrace(request):
        if libc.ptrace(request, thread, None, None) != 0:
            raise OSError(ctypes.get_errno(), "ptrace")
    ptrace(0x4206)  # PTRACE_SEIZE
    ptrace(0x4207)  # PTRACE_INTERRUPT
    os.waitpid(thread, 0x40000000)  # __WALL
    try:
        yield
    finally:
        try:
            ptrace(17)  # PTRACE_DETACH
        except OSError:  # dead, and a zombie until its tracer has asked for it
            os.waitpid(thread, 0x40000000)
