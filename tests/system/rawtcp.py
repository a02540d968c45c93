# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""A TCP client that sends whatever segments a test wants, from an address the kernel does not own.

Frames go over a packet socket of a laboratory; the client answers ARP for its own address, so the
kernel sends no resets in its name.
"""

import os
import random
import select
import socket
import struct
import time

FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32


def checksum(data):
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def tcp_segment(source, destination, sport, dport, seq, ack, flags, payload=b"", window=65535,
                options=b"", urgent=0, bad_checksum=False):
    """An IPv4 packet with one TCP segment. Addresses are dotted strings."""
    options += b"\0" * (-len(options) % 4)
    header = struct.pack("!HHIIBBHHH", sport, dport, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF,
                         (5 + len(options) // 4) << 4, flags, window, 0, urgent) + options
    pseudo = socket.inet_aton(source) + socket.inet_aton(destination) + struct.pack(
        "!BBH", 0, 6, len(header) + len(payload))
    total = checksum(pseudo + header + payload)
    if bad_checksum:
        total ^= 0x5555
    header = header[:16] + struct.pack("!H", total) + header[18:]
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(header) + len(payload),
                     random.randrange(65536), 0x4000, 64, 6, 0, socket.inet_aton(source),
                     socket.inet_aton(destination))
    return ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:] + header + payload


class Link:
    """One AF_PACKET socket with an address of its own; connections share it."""

    def __init__(self, raw_socket, address, server):
        self.socket = raw_socket
        self.socket.setblocking(False)
        self.address, self.server = address, server
        self.mac = bytes([2, 0x5C]) + os.urandom(4)
        self.connections = {}
        self.server_mac = None
        self._resolve()

    def close(self):
        self.socket.close()

    def _resolve(self):
        request = struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 1, self.mac,
                              socket.inet_aton(self.address), b"\0" * 6,
                              socket.inet_aton(self.server))
        for _ in range(20):
            self.socket.send(b"\xff" * 6 + self.mac + b"\x08\x06" + request)
            self.poll(0.1)
            if self.server_mac:
                return
        raise TimeoutError(f"no ARP answer from {self.server}")

    def send(self, packet):
        self.socket.send(self.server_mac + self.mac + b"\x08\x00" + packet)

    def poll(self, seconds):
        """Takes frames for at most `seconds`, or until one arrived and none is left."""
        deadline = time.monotonic() + seconds
        while True:
            ready, _, _ = select.select([self.socket], [], [],
                                        max(0, deadline - time.monotonic()))
            if not ready:
                return
            while True:
                try:
                    frame = self.socket.recv(65535)
                except BlockingIOError:
                    break
                self._take(frame)
            deadline = time.monotonic()

    def _take(self, frame):
        if frame[12:14] == b"\x08\x06":
            operation, = struct.unpack("!H", frame[20:22])
            sender_mac, sender, target = frame[22:28], frame[28:32], frame[38:42]
            if target != socket.inet_aton(self.address):
                return
            if operation == 1:
                reply = struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 2, self.mac,
                                    socket.inet_aton(self.address), sender_mac, sender)
                self.socket.send(sender_mac + self.mac + b"\x08\x06" + reply)
            elif sender == socket.inet_aton(self.server):
                self.server_mac = sender_mac
        elif frame[12:14] == b"\x08\x00" and frame[23] == 6:
            if frame[30:34] != socket.inet_aton(self.address):
                return
            header = 14 + (frame[14] & 15) * 4
            total, = struct.unpack("!H", frame[16:18])
            sport, dport, seq, ack, offset, flags = struct.unpack("!HHIIBB",
                                                                  frame[header:header + 14])
            payload = frame[header + (offset >> 4) * 4:14 + total]
            connection = self.connections.get((dport, sport))
            if connection:
                connection.take(seq, ack, flags, payload)


class Connection:
    """One connection. Stream offsets count from the first byte of data."""

    next_port = random.randrange(20000, 40000)

    def __init__(self, link, port):
        Connection.next_port = 1024 + (Connection.next_port - 1023) % 60000
        self.link, self.port, self.sport = link, port, Connection.next_port
        self.isn = random.randrange(1 << 32)
        self.peer_next = None
        self.received = b""
        self.acked = 0
        self.reset = self.finished = False
        self._later = {}
        link.connections[(self.sport, port)] = self

    def connect(self, timeout=5.0, options=b"\x02\x04\x05\xb4"):
        deadline = time.monotonic() + timeout
        while self.peer_next is None:
            if time.monotonic() > deadline:
                raise TimeoutError("no SYN-ACK")
            self._emit(self.isn, 0, SYN, options=options)
            self.link.poll(0.5)
        self._emit(self.isn + 1, self.peer_next, ACK)
        return self

    def send(self, offset, data, flags=PSH | ACK, **fields):
        """Sends `data` at stream offset `offset`."""
        self._emit(self.isn + 1 + offset, self.peer_next, flags, data, **fields)

    def wait(self, seconds, done):
        """Polls until done(self) or the time is over; says which."""
        deadline = time.monotonic() + seconds
        while not done(self):
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self.link.poll(min(left, 0.05))
        return True

    def abort(self, offset):
        """Resets the connection at stream offset `offset` and forgets it."""
        if not self.reset:
            self._emit(self.isn + 1 + offset, self.peer_next or 0, RST | ACK)
        self.link.connections.pop((self.sport, self.port), None)

    def take(self, seq, ack, flags, payload):
        if flags & SYN and flags & ACK:
            if self.peer_next is None:
                self.peer_next = (seq + 1) & 0xFFFFFFFF
            return
        if flags & RST:
            self.reset = True
            return
        if self.peer_next is None:
            return
        self.acked = max(self.acked, (ack - self.isn - 1) & 0xFFFFFFFF)
        if not payload and not flags & FIN:
            return
        self._later[seq] = (payload, flags)
        while self.peer_next in self._later:
            data, its_flags = self._later.pop(self.peer_next)
            self.received += data
            self.peer_next = (self.peer_next + len(data)) & 0xFFFFFFFF
            if its_flags & FIN:
                self.finished = True
                self.peer_next = (self.peer_next + 1) & 0xFFFFFFFF
                break
        self._emit(self.isn + 1 + self.acked, self.peer_next, ACK)

    def _emit(self, seq, ack, flags, payload=b"", **fields):
        self.link.send(tcp_segment(self.link.address, self.link.server, self.sport, self.port, seq,
                                   ack, flags, payload, **fields))
