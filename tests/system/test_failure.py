#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""on_failure: what a link does without a valid generation, and while a worker is held."""
import contextlib
import os
import pathlib
import select
import time

import lab
from threads import process_of, stopped, worker_threads

EVIL = b"GET /index.html?q=evil-marker HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n"
CONNECTIONS = 48  # each of the four pairs of queue and owner has some


def total(it, counter):
    return sum(worker[counter] for worker in it.ctl_json("counters")["workers"])


def dropped(it, reason):
    return sum(worker["drops"].get(reason, 0) for worker in it.ctl_json("counters")["workers"])


def without_a_valid_generation():
    """Nothing on the disk verifies: block carries nothing, bypass everything; a push ends both."""
    for on_failure in ("block", "bypass"):
        with lab.Lab(f"none-{on_failure}", on_failure=on_failure) as it:
            it.push()
            it.stop(it.daemon)
            it.stop(it.dataplane)
            for image in [*it.folder("state").glob("generations/*/image.img"),
                          *it.folder("shm").glob("images/*.img")]:
                image.write_bytes(image.read_bytes()[:-1] + b"?")
            it.start_dataplane()
            lab.check("digest" in (it.home / "dataplane.log").read_text(), "it does not say what is wrong")
            it.start_daemon()
            lab.check(it.ctl_json("status")["generation"]["live"] is None, "a damaged generation is live")
            status = it.curl("/?q=evil-marker", timeout=2)[0]
            lab.check(status == (0 if on_failure == "block" else 200), f"{on_failure}: an attack got {status}")
            counted = dropped(it, "no_generation") if on_failure == "block" else total(it, "uninspected")
            lab.check(counted > 0, f"{on_failure}: not counted")
            lab.check(on_failure == "bypass" or total(it, "tx_packets") == 0, "something crossed")
            it.push()
            lab.wait_for(lambda: it.curl("/?q=evil-marker", timeout=2)[0] == 403, 10, "blocking after a push")
            lab.check(it.curl("/index.html")[0] == 200, "honest requests do not pass after a push")


class Attackers:
    """Connections at once, each with the same attack as soon as it is open; what each was answered."""

    def __init__(self, it, count):
        self.answers = {}
        self.waiting = {}
        for _ in range(count):
            peer = it.socket("client")
            peer.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                peer.connect((lab.SERVER4, 80))
            self.waiting[peer.fileno()] = (peer, "opening")

    def go_on(self, seconds):
        """For that long, or until each has its answer."""
        end = time.monotonic() + seconds
        while self.waiting and time.monotonic() < end:
            opening = [fd for fd, (_, state) in self.waiting.items() if state == "opening"]
            reading = [fd for fd, (_, state) in self.waiting.items() if state == "asked"]
            readable, writable, _ = select.select(reading, opening, [], 0.1)
            for fd in writable:
                peer = self.waiting[fd][0]
                peer.sendall(EVIL)
                self.waiting[fd] = (peer, "asked")
            for fd in readable:
                peer, _ = self.waiting.pop(fd)
                with contextlib.suppress(ConnectionResetError):
                    self.answers[fd] = peer.recv(1000).split(b" ")[1:2] or [b"closed"]
                self.answers.setdefault(fd, [b"reset"])
                peer.close()

    def count(self, status):
        return sum(answer == [status] for answer in self.answers.values())


def with_a_held_worker():
    """Frames of its flows that other workers get are dropped or go on uninspected; flows of others
    are judged as ever; what waited in its own queues is judged when it goes on."""
    for on_failure in ("block", "bypass"):
        with lab.Lab(f"held-{on_failure}", on_failure=on_failure) as it:
            it.push()
            # The held worker may be the one that would carry their ARP.
            lab.check(it.curl("/index.html")[0] == 200, "honest requests do not pass")
            uninspected = total(it, "uninspected")
            with stopped(worker_threads(it)[0]):
                lab.wait_for(lambda: it.ctl_json("status")["dataplane"]["state"] == "stalled", 3, "it is seen")
                told = [worker["stalled"] for worker in it.ctl_json("status")["dataplane"]["workers"]]
                lab.check(sorted(told) == [False, True], f"status shows {told}")
                lab.check("stalled" in it.ctl("status").stdout, "status for people does not name it")
                attackers = Attackers(it, CONNECTIONS)
                attackers.go_on(3)
                blocked, passed = attackers.count(b"403"), attackers.count(b"200")
                lab.figure(f"{on_failure}: of {CONNECTIONS} attacks beside a held worker",
                           f"{blocked} blocked, {passed} passed, {len(attackers.waiting)} wait")
                lab.check(blocked > 0, "the other worker blocks nothing")
                lab.check(attackers.waiting, "the held worker's queue is empty")
                if on_failure == "block":
                    lab.check(passed == 0, f"{passed} attacks reached the server")
                    lab.check(dropped(it, "worker_stalled") > 0, "worker_stalled is not counted")
                else:
                    lab.check(passed > 0, "bypass carries no flow of the held worker")
                    lab.check(total(it, "uninspected") > uninspected, "uninspected is not counted")
            attackers.go_on(15)
            lab.check(not attackers.waiting, f"{len(attackers.waiting)} connections never went on")
            lab.check(on_failure == "bypass" or attackers.count(b"403") == CONNECTIONS,
                      f"answers after the worker went on: {attackers.answers.values()}")
            lab.check(it.ctl_json("status")["dataplane"]["state"] == "running", "it stays stalled")
            lab.check(it.curl("/?q=evil-marker")[0] == 403, "no longer blocking")


def a_hopeless_worker_ends_its_process():
    """After 10 s the process ends itself; its supervisor starts another, which blocks at once."""
    with lab.Lab("hopeless", supervise=True) as it:
        it.push()
        pid = process_of(it)
        with stopped(worker_threads(it)[0]):
            began = time.monotonic()
            lab.wait_for(lambda: not pathlib.Path(f"/proc/{pid}/exe").exists(), 20, "the process ends itself", 0.05)
            lab.figure("a worker held until its process ended", f"{time.monotonic() - began:.1f}", "s")
        lab.wait_for(lambda: it.curl("/?q=evil-marker", timeout=1)[0] == 403, 15, "the next one blocks")
        lab.check("has not polled" in (it.home / "dataplane.log").read_text(), "it does not say why it ended")


def what_the_machine_lacks_is_said():
    """A missing device, no huge pages, a core that is not there or is taken: what it is and what to do."""
    def link(outside):
        return f"  - {{ outside: {{ device: \"{outside}\" }}, inside: {{ device: \"net_null1\" }} }}\n"
    cases = (  # changes of sluice.yaml, in its text too; exit status, what is said
        ({"links": link("net_af_packet0,iface=nosuch0")}, (), 1, ("no network interface nosuch0", "`ip link`")),
        ({"links": link("0000:ff:1f.7")}, (), 1, ("no such PCI device", "`lspci -D`")),
        ({"links": link("nonsense")}, (), 1, ("cannot open nonsense", "a PCI address as")),
        ({"links": link("net_null0"), "pool_mb": 1 << 18}, ("huge_pages: auto", "huge_pages: on"), 1,
         ("huge pages: ", "sysctl vm.nr_hugepages=")),
        ({"links": link("net_null0")}, ("cores: [", "cores: [999, "), 1, ("worker core 999", "change workers:")),
        ({"links": link("net_null0"), "idle": "spin"}, ("cores: [", "cores: [0, 0, "), 3, ("named twice", "idle: sleep")))
    with lab.Lab("lacks", daemon=False, dataplane=False, nginx=False) as it:
        for changes, (*replaced,), status, said in cases:
            it.write_config(**changes)
            if replaced:
                it.config.write_text(it.config.read_text().replace(*replaced))
            done = it.in_namespace("middle", lab.BUILD / "dataplane/worker/sluice-dataplane-guarded", "--config",
                                   it.config, check=False, timeout=60)
            lab.check(done.returncode == status and all(part in done.stderr for part in said),
                      f"{changes}: {done.returncode}: {done.stderr}")


def a_busy_core_is_said():
    """Another process has the worker's core: the start says so, and with the long form the running worker."""
    with lab.Lab("busy", daemon=False, dataplane=False, nginx=False, workers=1) as it:
        core = (os.cpu_count() or 1) - 1 and 1
        it.start("middle", "taskset", "-c", core, "/usr/bin/python3", "-c", "while True: pass")
        it.start_dataplane()
        log = it.home / "dataplane.log"
        said = log.read_text()
        lab.check(f"core {core} of worker 0 is busy: others took" in said and "change workers:" in said, said)
        if not lab.short_form():
            lab.wait_for(lambda: "the worker waited for it" in log.read_text(), 30, "the running worker's wait is said")


if __name__ == "__main__":
    lab.main(what_the_machine_lacks_is_said, a_busy_core_is_said, without_a_valid_generation, with_a_held_worker, a_hopeless_worker_ends_its_process)
