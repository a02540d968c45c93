#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""A bump in the wire: what no service protects crosses unchanged."""
import hashlib
import json
import os
import struct

import lab

ETHERTYPE_TEST = 0x88b5  # IEEE local experimental


def carries_every_protocol():
    with lab.Lab("forward", on_failure="bypass", daemon=False) as it:
        it.client("ping", "-c", "3", "-i", "0.05", "-W", "2", lab.SERVER4)
        it.client("ping", "-6", "-c", "3", "-i", "0.05", "-W", "2", lab.SERVER6)
        it.client("ip", "neigh", "flush", "dev", "cl0")  # ARP once more
        for server in (lab.SERVER4, lab.SERVER6):
            status, body = it.curl("/index.html", server=server)
            lab.check((status, body) == (200, "laboratory\n"), f"curl to {server}: {status} {body}")
        it.listen("server", 5201, "iperf3", "-s", "-p", "5201")
        done = it.client("iperf3", "-c", lab.SERVER4, "-t", "2", "-J")
        rate = json.loads(done.stdout)["end"]["sum_received"]["bits_per_second"]
        lab.figure("iperf3 TCP", round(rate / 1e6), "Mbit/s")
        lab.check(rate > 1e6, "iperf3 over TCP carries nothing")
        done = it.client("iperf3", "-c", lab.SERVER4, "-u", "-b", "20M", "-t", "2",
                         "-J")
        result = json.loads(done.stdout)["end"]["sum"]
        lab.figure("iperf3 UDP lost", f"{result['lost_percent']:.2f}", "%")
        lab.check(result["lost_percent"] < 5, f"UDP lost {result['lost_percent']} %")


def keeps_frames_and_tags():
    with lab.Lab("tags", on_failure="bypass", daemon=False, nginx=False) as it:
        sender, receiver = it.raw_socket("client", "cl0"), it.raw_socket("server", "sv0")
        receiver.setsockopt(263, 8, 1)  # SOL_PACKET, PACKET_AUXDATA: the tag taken off by the kernel
        addresses = bytes.fromhex("020000000002020000000001")
        frames = {
            "unknown ethertype": addresses + struct.pack("!H", ETHERTYPE_TEST) + os.urandom(46),
            "VLAN": addresses + struct.pack("!HHH", 0x8100, 0x2000 | 77, ETHERTYPE_TEST)
            + os.urandom(60),
            "longest": addresses + struct.pack("!H", ETHERTYPE_TEST) + os.urandom(1500),
        }
        for name, frame in frames.items():
            sender.send(frame)
            lab.check(receive_same(receiver, frame), f"{name}: did not arrive unchanged")


def receive_same(receiver, frame):
    """True when `frame` arrives, its VLAN tag in the kernel's hands or in place."""
    tagged = frame[12:14] == b"\x81\x00"
    plain = frame[:12] + frame[16:] if tagged else frame
    for _ in range(20):
        try:
            data, extra, _, _ = receiver.recvmsg(65536, 256)
        except TimeoutError:
            return False
        if data == frame:
            return True
        if data != plain:
            continue
        for level, kind, content in extra:
            if (level, kind) == (263, 8):
                status, _, _, _, _, tci, _ = struct.unpack("IIIHHHH", content[:20])
                if status & 0x10 and tagged:  # TP_STATUS_VLAN_VALID
                    return tci == struct.unpack("!H", frame[14:16])[0]
    return False


def carries_bytes_unchanged():
    with lab.Lab("bytes", on_failure="bypass", daemon=False) as it:
        content = os.urandom(20 << 20)
        (it.home / "www/big.bin").write_bytes(content)
        it.client("curl", "-s", "-o", it.home / "down.bin", f"http://{lab.SERVER4}/big.bin")
        lab.check(hashlib.sha256((it.home / "down.bin").read_bytes()).digest()
                  == hashlib.sha256(content).digest(), "20 MiB down differ")


def blocks_without_generation():
    with lab.Lab("block", on_failure="block", daemon=False) as it:
        done = it.client("ping", "-c", "1", "-W", "1", lab.SERVER4, check=False)
        lab.check(done.returncode != 0, "on_failure: block forwards without a generation")


if __name__ == "__main__":
    lab.main(carries_every_protocol, keeps_frames_and_tags, carries_bytes_unchanged,
             blocks_without_generation)
