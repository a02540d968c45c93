#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""kill -9 of either process, twice and in both orders."""
import os
import pathlib
import shutil
import signal
import time

import lab

# Under 2 on a quiet machine (see the figure); half of the times must be below the first bound, and
# at a load of 12 single ones are beyond it.
RECOVERY_SECONDS, SLOWEST_SECONDS = 5, 10


def blocking(it):
    """Whether an attack is answered; that it is never served is checked each time."""
    status = it.curl("/?q=evil-marker", timeout=1)[0]
    lab.check(status in (0, 403), f"an attack got {status}")
    return status == 403


def kill_daemon(it):
    """sluiced dies under load and comes back: no request notices, and blocking goes on."""
    load = it.start("client", "wrk", "-t", "1", "-c", "20", "-d", "4s",
                    f"http://{lab.SERVER4}/1k.bin", log="wrk.log")
    time.sleep(1)
    it.kill(it.daemon)
    lab.check(blocking(it), "no blocking without sluiced")
    lab.check(load.wait(60) == 0, "wrk failed")
    text = (it.home / "wrk.log").read_text()
    (it.home / "wrk.log").unlink()
    lab.check("Socket errors" not in text and "Non-2xx" not in text, text)
    it.start_daemon()
    before = len(it.events("alert"))
    lab.check(blocking(it), "no blocking after the restart of sluiced")
    lab.wait_for(lambda: len(it.events("alert")) > before, 5, "records go on")


def kill_dataplane(it, daemon_too=False):
    """The dataplane dies under load, and with it the daemon before it is back: seconds until it
    blocks and serves again."""
    load = it.start("client", "wrk", "-t", "1", "-c", "20", "-d", "3s",
                    f"http://{lab.SERVER4}/1k.bin")
    time.sleep(0.5)
    pid = int((it.folder("run") / "dataplane.pid").read_text())
    os.kill(pid, signal.SIGKILL)
    if daemon_too:
        it.kill(it.daemon)
    start = time.monotonic()
    lab.wait_for(lambda: blocking(it), SLOWEST_SECONDS, "the dataplane blocks again", 0.005)
    took = time.monotonic() - start
    lab.check(it.curl("/index.html")[0] == 200, "honest requests do not pass after the restart")
    lab.check(int((it.folder("run") / "dataplane.pid").read_text()) != pid, "the same process")
    it.stop(load)
    return took


def survives_both_orders():
    with lab.Lab("crash", supervise=True) as it:
        it.push()
        lab.check(blocking(it), "no blocking at all")
        live = it.ctl_json("status")["generation"]["live"]
        took = []
        for _ in range(2):
            kill_daemon(it)
            took.append(kill_dataplane(it))
            # Both at once, either first: back without the daemon, from disk alone.
            for daemon_first in (True, False):
                if daemon_first:
                    it.kill(it.daemon)
                took.append(kill_dataplane(it, daemon_too=not daemon_first))
                it.start_daemon()
                lab.wait_for(lambda: it.ctl_json("status")["dataplane"]["state"] == "running", 5,
                             "sluiced finds the new dataplane")
                lab.check(it.ctl_json("status")["generation"]["live"] == live, "another generation")
        median = sorted(took)[len(took) // 2]
        lab.figure("dataplane back after kill -9", f"median {median:.2f}, slowest {max(took):.2f}", "s")
        lab.check(median <= RECOVERY_SECONDS, f"back after {took} s")


def nothing_crosses_without_a_dataplane():
    """Nobody starts it again: the kernel carries nothing in its place, of a service or not."""
    with lab.Lab("dead") as it:
        it.push()
        lab.check(it.client("ping", "-c", "1", "-W", "2", lab.SERVER4, check=False).returncode == 0,
                  "no ping through the dataplane")
        it.kill(it.dataplane)
        lab.check(it.curl("/index.html", timeout=2)[0] == 0, "a request crossed")
        lab.check(it.client("ping", "-c", "2", "-W", "1", lab.SERVER4, check=False).returncode != 0,
                  "a ping crossed")


def supervisor_ends_with_everything():
    with lab.Lab("supervisor", supervise=True, daemon=False, nginx=False,
                 on_failure="bypass") as it:
        pid = int((it.folder("run") / "dataplane.pid").read_text())
        lab.check(pid != it.dataplane.pid, "no process of its own")
        it.stop(it.dataplane)
        lab.wait_for(lambda: not pathlib.Path(f"/proc/{pid}").exists(), 2, "the child ends")


def removed_shared_memory_is_no_end():
    """Somebody removes the folder: both go on sharing what they have mapped, each may restart."""
    with lab.Lab("removed") as it:
        it.push()

        def state():
            return it.ctl_json("status")["dataplane"]
        shutil.rmtree(it.shm)
        lab.check(state()["state"] == "running", f"sluiced loses sight of the dataplane: {state()}")
        before = len(it.events("alert"))
        lab.check(blocking(it), "no blocking any more")
        lab.wait_for(lambda: len(it.events("alert")) > before, 5, "records go on")
        lab.check(it.push()["state"] == "live", "no push any more")
        # The dataplane starts again and makes it anew; sluiced follows.
        it.stop(it.dataplane)
        shutil.rmtree(it.shm)
        it.start_dataplane()
        lab.wait_for(lambda: state()["state"] == "running", 5, "sluiced finds the new dataplane")
        lab.check(blocking(it), "no blocking after the restart")
        lab.check(it.push()["state"] == "live", "no push after the restart")
        # sluiced starts again: nothing is shared any more, and it says so.
        shutil.rmtree(it.shm)
        it.stop(it.daemon)
        it.start_daemon()
        lab.check(blocking(it), "no blocking without sluiced")
        told = state()
        lab.check(told["state"] == "stopped" and f"process {it.dataplane.pid} " in told.get("message", ""),
                  f"status hides that a dataplane runs: {told}")
        lab.check("restart" in it.ctl("status").stdout, "status for people does not say what to do")
        pushed = it.ctl("push")
        lab.check("restart" in pushed.stdout + pushed.stderr, f"push does not say what to do: {pushed.stdout}")
        for words in (("mode", "monitor"), ("bypass", "on"), ("bypass", "off"), ("mode", "policy")):
            lab.check("restart" in it.ctl(*words).stdout, f"{words}: hides that nothing has changed")
        lab.check(blocking(it), "a switch that cannot be heard was")
        it.stop(it.dataplane)
        it.start_dataplane()
        lab.wait_for(lambda: state()["state"] == "running", 5, "a restart mends it")
        lab.check("message" not in state() and blocking(it), "not mended")


if __name__ == "__main__":
    lab.main(survives_both_orders, nothing_crosses_without_a_dataplane, supervisor_ends_with_everything, removed_shared_memory_is_no_end)
