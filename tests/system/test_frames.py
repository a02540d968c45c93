#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""Frames that packet sockets would change: QinQ, jumbo frames, fragments; over tap and pcap ports."""
import os
import socket
import struct

import lab

MACS = bytes.fromhex("020000000002020000000001")
CLIENT, SERVER = socket.inet_aton("192.0.2.1"), socket.inet_aton("192.0.2.2")
LINKS = """  - name: lan0
    outside: {{ device: "net_tap0,iface=tapo" }}
    inside: {{ device: "net_tap1,iface=tapi" }}
    mtu: 9000
    on_failure: {on_failure}
"""


class TapLab(lab.Lab):
    """Two taps instead of two veth pairs; the test stands at both."""

    def __init__(self, name, **options):
        self.links = LINKS.format(on_failure=options.get("on_failure", "block"))
        super().__init__(name, nginx=False, pool_mb=256, **options)

    def write_config(self, **changes):
        super().write_config(links=self.links, **changes)

    def ends(self):
        """Raw sockets at the outside and the inside tap."""
        for interface in ("tapo", "tapi"):
            self.in_namespace("middle", "sysctl", "-qw",
                              f"net.ipv6.conf.{interface}.disable_ipv6=1")
            self.in_namespace("middle", "ip", "link", "set", interface, "up", "mtu", "9000")
        return self.raw_socket("middle", "tapo"), self.raw_socket("middle", "tapi")


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ipv4(protocol, payload, identification=1, offset=0, more=False):
    field = (0x2000 if more else 0) | offset // 8
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), identification, field, 64,
                       protocol, 0, CLIENT, SERVER)
    return MACS + b"\x08\x00" + head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def fragments(protocol, payload, size, identification):
    """The payload of one datagram in fragments of `size` bytes."""
    pieces = []
    for offset in range(0, len(payload), size):
        piece = payload[offset:offset + size]
        pieces.append(ipv4(protocol, piece, identification, offset,
                           offset + size < len(payload)))
    return pieces


def crosses(sender, receiver, frame, seconds=2.0):
    sender.send(frame)
    return arrives(receiver, frame, seconds)


def arrives(receiver, frame, seconds=2.0):
    """The kernel takes an outer 802.1Q tag off into its own field; QinQ's 0x88a8 too."""
    receiver.settimeout(seconds)
    receiver.setsockopt(263, 8, 1)
    while True:
        try:
            data, extra, _, address = receiver.recvmsg(65536, 256)
        except TimeoutError:
            return False
        if address[2] == socket.PACKET_OUTGOING:
            continue
        for level, kind, content in extra:
            if (level, kind) == (263, 8):
                status, _, _, _, _, tci, tpid = struct.unpack("IIIHHHH", content[:20])
                if status & 0x10:  # TP_STATUS_VLAN_VALID
                    outer = tpid if status & 0x40 else 0x8100
                    data = data[:12] + struct.pack("!HH", outer, tci) + data[12:]
        if data == frame:
            return True


def unchanged_in_both_directions():
    with TapLab("taps", on_failure="bypass", daemon=False) as it:
        outside, inside = it.ends()
        payload = os.urandom(64)
        frames = {
            "QinQ": MACS + struct.pack("!HHHH", 0x88a8, 100, 0x8100, 200)
                    + ipv4(17, payload)[12:],
            "double 802.1Q": MACS + struct.pack("!HHHH", 0x8100, 100, 0x8100, 0xe000 | 200)
                             + ipv4(17, payload)[12:],
            "longest": MACS + b"\x88\xb5" + os.urandom(1500),
        }
        for name, frame in frames.items():
            lab.check(crosses(outside, inside, frame), f"{name} from outside does not cross")
            lab.check(crosses(inside, outside, frame), f"{name} from inside does not cross")
        for number, frame in enumerate(fragments(17, os.urandom(4000), 1480, 7)):
            lab.check(crosses(outside, inside, frame), f"fragment {number} does not cross")


class PcapLab(lab.Lab):
    """veth pairs of 9000 bytes behind libpcap ports, which carry them (the tap driver does not)."""

    def write_config(self, **changes):
        device = "net_pcap{0},rx_iface_in={1},tx_iface={1},tx_iface={1}"
        links = (f"  - name: lan0\n    outside: {{ device: \"{device.format(0, 'out0')}\" }}\n"
                 f"    inside: {{ device: \"{device.format(1, 'in0')}\" }}\n"
                 f"    mtu: 9000\n    on_failure: {self.options['on_failure']}\n")
        super().write_config(links=links, **changes)

    def _make_network(self):
        super()._make_network()
        for end, interface in (("client", "cl0"), ("middle", "out0"), ("middle", "in0"),
                               ("server", "sv0")):
            self.in_namespace(end, "ip", "link", "set", interface, "mtu", "9000")


def jumbo_frames_cross():
    with PcapLab("jumbo", on_failure="bypass", daemon=False, nginx=False, pool_mb=256) as it:
        outside, inside = it.raw_socket("client", "cl0"), it.raw_socket("server", "sv0")
        frames = {
            "jumbo": ipv4(17, os.urandom(8900)),
            "longest": MACS + b"\x88\xb5" + os.urandom(9000),
            "QinQ jumbo": MACS + struct.pack("!HHHH", 0x88a8, 100, 0x8100, 200)
                          + ipv4(17, os.urandom(8900))[12:],
        }
        for name, frame in frames.items():
            lab.check(crosses(outside, inside, frame), f"{name} from outside does not cross")
            lab.check(crosses(inside, outside, frame), f"{name} from inside does not cross")
        it.client("ping", "-c", "1", "-W", "2", "-s", "8000", "-M", "do", lab.SERVER4)
        it.client("ping", "-c", "1", "-W", "2", "-s", "20000", lab.SERVER4)


POLICY = """
mode: block
rules: {{ include: [{home}/rules.conf] }}
services:
  - name: web
    addresses: [192.0.2.2]
    ports: [80]
"""


def fragments_of_the_unprotected_and_the_protected():
    """With services: fragments to others cross at once; overlapping ones to a service never do."""
    with TapLab("frags", policy=POLICY) as it:
        it.push()
        outside, inside = it.ends()
        udp = struct.pack("!HHHH", 4000, 53, 8 + 3000, 0) + os.urandom(3000)
        pieces = fragments(17, udp, 1480, 11)
        for piece in pieces:
            outside.send(piece)
        for number, piece in enumerate(pieces):
            lab.check(arrives(inside, piece), f"UDP fragment {number} does not cross")
        segment = struct.pack("!HHIIBBHHH", 4000, 80, 1, 0, 0x50, 2, 8192, 0, 0) + os.urandom(3000)
        first, second, _ = fragments(6, segment, 1480, 12)
        overlapping = ipv4(6, os.urandom(1480), 12, 1472, True)
        for piece in (first, overlapping, second):
            outside.send(piece)
        lab.check(not arrives(inside, first, 1.0), "a part of an overlapping datagram crossed")
        totals = {}
        for worker in it.ctl_json("counters")["workers"]:
            for reason, count in worker["drops"].items():
                totals[reason] = totals.get(reason, 0) + count
        lab.check(totals.get("ip_frag_overlap", 0) > 0, f"no ip_frag_overlap: {totals}")
        lab.figure("drops", totals)


if __name__ == "__main__":
    lab.main(unchanged_in_both_directions, jumbo_frames_cross,
             fragments_of_the_unprotected_and_the_protected)
