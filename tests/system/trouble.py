#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""A wire that delays, loses and reorders frames, for kernels without netem: carries frames between
two interfaces of its namespace. usage: trouble.py A B LOSS REORDER DELAY SEED (shares of 1, seconds)"""
import collections
import random
import select
import socket
import sys
import time

HOLD_FRAMES, HOLD_SECONDS = 3, 0.004  # a held frame leaves after so many others, or so late


class Direction:
    def __init__(self, source, target, loss, reorder, delay, dice):
        self.source, self.target = source, target
        self.loss, self.reorder, self.delay, self.dice = loss, reorder, delay, dice
        self.line = collections.deque()  # (when it comes to the end, frame)
        self.held = []  # [frame, others still to pass, latest time]

    def send(self, frame):
        try:
            self.target.send(frame)
        except OSError:
            pass  # a full queue: one more loss

    def release(self, now):
        while self.line and self.line[0][0] <= now:
            self.arrive(self.line.popleft()[1], now)
        self.let_go(now)

    def let_go(self, now):
        for entry in [entry for entry in self.held if entry[1] <= 0 or entry[2] <= now]:
            self.held.remove(entry)
            self.send(entry[0])

    def take(self, now):
        for _ in range(64):
            try:
                frame, address = self.source.recvfrom(65536)
            except BlockingIOError:
                return
            if address[2] == socket.PACKET_OUTGOING or self.dice.random() < self.loss:
                continue
            self.line.append((now + self.delay, frame))

    def arrive(self, frame, now):
        if self.dice.random() < self.reorder:
            self.held.append([frame, HOLD_FRAMES, now + HOLD_SECONDS])
            return
        self.send(frame)
        for entry in self.held:
            entry[1] -= 1
        self.let_go(now)

    def wait(self, now):
        """Seconds until release() has something to do, at most 2 ms."""
        return max(0, min(0.002, self.line[0][0] - now)) if self.line else 0.002


def open_raw(interface):
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    raw.bind((interface, 0))
    raw.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
    raw.setblocking(False)
    return raw


def main():
    shares, dice = [float(word) for word in sys.argv[3:6]], random.Random(int(sys.argv[6]))
    left, right = open_raw(sys.argv[1]), open_raw(sys.argv[2])
    ways = [Direction(left, right, *shares, dice), Direction(right, left, *shares, dice)]
    now = time.monotonic()
    while True:
        ready = select.select([left, right], [], [], min(way.wait(now) for way in ways))[0]
        now = time.monotonic()
        for way in ways:
            if way.source in ready:
                way.take(now)
            way.release(now)


main()
