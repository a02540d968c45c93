#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""Links and flows: a lost link shows on the other side, both directions of a flow meet on one
worker, connections from before are reset or passed, and two processes are joined by memif."""
import hashlib
import json
import os
import time

import lab

EVIL = b"GET /?q=evil-marker HTTP/1.1\r\nHost: web\r\n\r\n"
GET = b"GET /index.html HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n"


def connect(it):
    """An open connection of the client to the web server."""
    peer = it.socket("client")
    peer.settimeout(5)
    peer.connect((lab.SERVER4, 80))
    return peer


def exchange(peer, request):
    """Sends a request and returns what came until the server closed, or "reset"."""
    received = b""
    try:
        peer.sendall(request)
        while data := peer.recv(65536):
            received += data
            if request is EVIL:
                break
    except ConnectionResetError:
        return "reset"
    return received.decode()


def total(it, counter):
    return sum(worker[counter] for worker in it.ctl_json("counters")["workers"])


def dropped(it, reason):
    return sum(worker["drops"].get(reason, 0) for worker in it.ctl_json("counters")["workers"])


def a_lost_link_is_mirrored():
    far_ends = {"outside": ("client", "cl0"), "inside": ("server", "sv0")}
    with lab.Lab("mirror") as it:
        it.push()

        def carrier(side):
            end, interface = far_ends[side]
            flags = json.loads(it.in_namespace(end, "ip", "-j", "link", "show", interface).stdout)
            return "LOWER_UP" in flags[0]["flags"]

        def up(side):
            return it.ctl_json("status")["links"][0][side]["up"]
        for lost, other in (("outside", "inside"), ("inside", "outside")):
            # Under load: frames towards a port that is down must not stop a worker.
            load = it.start(far_ends[other][0], "ping", "-f", "-q",
                            lab.SERVER4 if other == "outside" else lab.CLIENT4)
            # What status shows follows the ports at the watch's next look.
            lab.wait_for(lambda: carrier(other) and up("outside") and up("inside"), 10,
                         "both links are up at first")
            end, interface = far_ends[lost]
            it.in_namespace(end, "ip", "link", "set", interface, "down")
            began = time.monotonic()
            lab.wait_for(lambda: not carrier(other), 2, f"{other} follows {lost} down")
            lab.figure(f"{other} without carrier after {lost} was lost",
                       round((time.monotonic() - began) * 1000), "ms")
            lab.check(not up(lost), f"status shows {lost} up")
            time.sleep(0.3)
            it.in_namespace(end, "ip", "link", "set", interface, "up")
            lab.wait_for(lambda: carrier(other) and carrier(lost), 5, f"{other} follows {lost} up")
            lab.wait_for(lambda: it.curl("/index.html", timeout=1)[0] == 200, 5, "traffic again")
            it.stop(load)
        lab.check(it.ctl_json("status")["dataplane"]["state"] == "running", "a worker is stalled")
        # Our own port, by an operator: the same, and a start brings it back.
        it.in_namespace("middle", "ip", "link", "set", "out0", "down")
        lab.wait_for(lambda: not carrier("inside"), 2, "inside follows our outside port down")
        it.stop(it.dataplane)
        lab.check("UP" in it.in_namespace("middle", "ip", "link", "show", "in0").stdout,
                  "a port that we took down stays down behind us")
        it.start_dataplane()
        lab.wait_for(lambda: it.curl("/index.html", timeout=1)[0] == 200, 5, "traffic after a start")


def both_directions_meet_on_one_worker():
    """The kernel's fan-out spreads frames over both queues as it likes: what comes to the wrong
    worker is counted and handed on, and request and response of each flow are paired on one."""
    connections = 200
    with lab.Lab("steer") as it:
        it.push()
        for _ in range(connections):
            with connect(it) as peer:
                lab.check(" 200 OK" in exchange(peer, GET), "an honest request")
        workers = it.ctl_json("counters")["workers"]
        for worker in workers:
            lab.check(worker["requests"] > connections / 10, f"one worker has all: {workers}")
            lab.check(worker["requests"] == worker["responses"] == worker["flows_created"],
                      f"a flow on two workers: {worker}")
        lab.check(total(it, "requests") == connections, "requests are missing")
        lab.check(total(it, "steered_out") == total(it, "steered_in") > 0, "no frame was handed on")
        lab.figure("frames handed on", f"{total(it, 'steered_out')} of {total(it, 'rx_packets')}")
        for reason in ("tcp_no_flow", "flow_asymmetric"):
            lab.check(dropped(it, reason) == 0, f"{reason} with both directions seen")


def connections_from_before():
    """midstream: reset ends what was not seen from its start; pass forwards it uninspected."""
    policy = lab.POLICY + "inspect: {{ midstream: pass }}\n"
    for name, text in (("reset", lab.POLICY), ("pass", policy)):
        with lab.Lab(f"mid{name}", policy=text) as it:
            it.push()
            it.ctl("bypass", "on")
            lab.wait_for(lambda: it.curl("/?q=evil-marker")[0] == 200, 3, "bypass")
            honest, evil = connect(it), connect(it)
            it.ctl("bypass", "off")
            lab.wait_for(lambda: it.curl("/?q=evil-marker")[0] == 403, 3, "no bypass")
            answers = [exchange(honest, GET), exchange(evil, EVIL)]
            if name == "reset":
                lab.check(answers == ["reset", "reset"], f"midstream: reset gives {answers}")
                lab.check(dropped(it, "tcp_no_flow") > 0, "tcp_no_flow is not counted")
            else:
                lab.check(all(" 200 OK" in answer for answer in answers),
                          f"midstream: pass gives {answers}")
            # New connections are judged under either.
            with connect(it) as fresh:
                lab.check(" 403 " in exchange(fresh, EVIL), "a new connection is not inspected")


class XdpLab(lab.Lab):
    """Ports on AF_XDP sockets, one queue each: a veth device has as many as it was made with."""

    def write_config(self, **changes):
        super().write_config(links=(
            "  - name: lan0\n"
            "    outside: { device: \"net_af_xdp0,iface=out0,start_queue=0,queue_count=1\" }\n"
            "    inside: { device: \"net_af_xdp1,iface=in0,start_queue=0,queue_count=1\" }\n"
            "    on_failure: block\n"), **changes)


def af_xdp_carries_and_stops():
    with XdpLab("xdp", workers=1) as it:
        it.push()
        content = os.urandom(8 << 20)
        (it.home / "www/big.bin").write_bytes(content)
        it.client("curl", "-sf", "-o", it.home / "down.bin", f"http://{lab.SERVER4}/big.bin")
        lab.check((it.home / "down.bin").read_bytes() == content, "8 MiB differ over AF_XDP")
        lab.check(it.curl("/?q=evil-marker")[0] == 403, "an attack is not stopped")


class MemifLab(lab.Lab):
    """Two dataplanes in a row: outside - main - memif - far - inside. Only main has rules."""

    def write_config(self, **changes):
        queues = self.options["workers"]
        memif = f"net_memif0,role={{}},id=0,rsize=11,socket={self.home}/memif"
        packet = "net_af_packet0,iface={},framecnt=4096,qpairs=" + str(queues)
        text = ('  - name: {}\n    outside: {{ device: "{}" }}\n    inside: {{ device: "{}" }}\n'
                '    on_failure: {}\n')
        super().write_config(links=text.format("far", memif.format("client"), packet.format("in0"),
                                               "bypass"), **changes)
        self.config.rename(self.home / "far.yaml")
        super().write_config(links=text.format("near", packet.format("out0"),
                                               memif.format("server"), "block"), **changes)

    def start_far(self):
        return self.start("middle", lab.BUILD / "dataplane/worker/sluice-dataplane-guarded",
                          "--config", self.home / "far.yaml", "--instance", "far", log="far.log")


def memif_joins_two_processes():
    with MemifLab("memif", nginx=False) as it:
        far = it.start_far()
        it.push()
        it.start_nginx()
        content = os.urandom(8 << 20)
        (it.home / "www/big.bin").write_bytes(content)

        def all_passes():
            it.client("curl", "-sf", "-o", it.home / "down.bin", f"http://{lab.SERVER4}/big.bin")
            digest = hashlib.sha256((it.home / "down.bin").read_bytes()).digest()
            lab.check(digest == hashlib.sha256(content).digest(), "8 MiB differ over memif")
            lab.check(it.curl("/?q=evil-marker")[0] == 403, "an attack is not stopped before memif")
        lab.wait_for(lambda: it.curl("/index.html", timeout=1)[0] == 200, 10, "memif carries")
        all_passes()
        # The other process dies and comes back: memif connects again, nobody else restarts.
        near = it.dataplane.pid
        it.kill(far)
        lab.check(it.curl("/index.html", timeout=1)[0] == 0, "answered without the far process")
        far = it.start_far()
        lab.wait_for(lambda: it.curl("/index.html", timeout=1)[0] == 200, 15, "memif carries again")
        all_passes()
        lab.check(it.ctl_json("status")["dataplane"]["pid"] == near, "the near process restarted")
        it.stop(far)


if __name__ == "__main__":
    lab.main(a_lost_link_is_mirrored, both_directions_meet_on_one_worker, connections_from_before,
             af_xdp_carries_and_stops, memif_joins_two_processes)
