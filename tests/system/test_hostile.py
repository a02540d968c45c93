# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""Hostile load on one appliance: what attackers can make it spend, and what neighbours notice.

Bounds asserted are those of docs/limits.md; times are printed as figures.
"""

import itertools
import os
import random
import socket
import statistics
import threading
import time
import zlib

from lab import SERVER4, SOURCE, Failure, Lab, check, figure, main, wait_for
from rawtcp import SYN, Connection, Link, tcp_segment

RULES = r'''
SecRequestBodyAccess On
SecRule ARGS|REQUEST_HEADERS "@contains evil-marker" "id:1001,phase:2,deny,status:403,msg:'marker'"
SecRule ARGS "@rx ^(a+)+$" "id:1002,phase:2,deny,status:403,msg:'repetition'"
'''
POLICY = """
mode: block
rules: {{ include: ["{source}/signatures/*.conf"] }}
services:
  - name: web
    addresses: [{server4}, "{server6}"]
    ports: [80]
"""
TIMEOUTS = """
mode: block
rules: {{ include: [{home}/rules.conf] }}
services:
  - name: web
    addresses: [{server4}, "{server6}"]
    ports: [80]
    inspect: {{ head_timeout_ms: 2s, body_timeout_ms: 2s }}
"""


def latency_ms(lab, seconds=2.0):
    """Median and worst time of honest requests, each on its own connection."""
    times, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        with lab.socket("client") as peer:
            peer.settimeout(5)
            began = time.monotonic()
            peer.connect((SERVER4, 80))
            peer.sendall(b"GET /index.html HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n")
            data = peer.recv(4096)
            times.append((time.monotonic() - began) * 1000)
            check(data.startswith(b"HTTP/1.1 200"), f"an honest request got {data[:60]}")
    return statistics.median(times), max(times)


def resident_kib(lab):
    """VmRSS of the dataplane."""
    for line in open(f"/proc/{lab.dataplane.pid}/status"):
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    return 0


def neighbours_during(lab, what, attack):
    """Runs attack(stop) in a thread while honest requests go on; memory stays as it is."""
    quiet, _ = latency_ms(lab)
    before = resident_kib(lab)
    stop = threading.Event()
    thread = threading.Thread(target=attack, args=(stop,))
    thread.start()
    try:
        median, worst = latency_ms(lab, 3.0)
    finally:
        stop.set()
        thread.join()
    grown = resident_kib(lab) - before
    figure(f"{what}: neighbours' latency", f"{median:.2f}", f"ms median ({quiet:.2f} quiet), "
           f"{worst:.1f} worst, resident grown {grown} KiB")
    check(worst < 2000, f"a neighbour waited {worst:.0f} ms")
    check(grown < 4096, f"{grown} KiB more resident memory")


def round_trips_ms(lab, seconds):
    """Times of honest requests one after the other on one connection."""
    times, end = [], time.monotonic() + seconds
    with lab.socket("client") as peer:
        peer.settimeout(20)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer.connect((SERVER4, 80))
        while time.monotonic() < end:
            began = time.monotonic()
            peer.sendall(b"GET /index.html HTTP/1.1\r\nHost: web\r\n\r\n")
            data = b""
            while not data.endswith(b"laboratory\n"):
                data += peer.recv(4096)
                check(data.startswith(b"HTTP/1.1 200"), f"an honest request got {data[:60]}")
            times.append((time.monotonic() - began) * 1000)
            time.sleep(0.003)
    return times


def long_requests_keep_no_neighbour_waiting():
    """One worker, one client that sends the longest requests that there are, as many as fit: who
    shares the worker waits for slices of them, not for requests (docs/limits.md, "At a stretch")."""
    def attack_once(number):
        """Milliseconds from its last byte to the answer. As many values as a rule stops between, of
        text that begins patterns again and again, and new ones each time: scans are remembered."""
        body = b"&".join(b"k%d=%x.%d%s" % (i, number, i, b"' or '" * 38) for i in range(1000))
        with lab.socket("client") as peer:
            peer.settimeout(20)
            peer.connect((SERVER4, 80))
            began = time.monotonic()
            try:
                peer.sendall(b"PUT /upload/form HTTP/1.1\r\nHost: web\r\nContent-Length: %d\r\nContent-Type: "
                             b"application/x-www-form-urlencoded\r\n\r\n%s" % (len(body), body[:-1]))
                time.sleep(0.02)
                began = time.monotonic()
                peer.sendall(body[-1:])
                peer.recv(4096)
            except ConnectionError:
                pass  # answered before it was read
            return (time.monotonic() - began) * 1000

    def attack(stop, first):
        for number in itertools.count(first):
            if stop.is_set():
                return
            attack_once(number)

    def beside_attackers(lab):
        stop = threading.Event()
        threads = [threading.Thread(target=attack, args=(stop, next(salts))) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            return round_trips_ms(lab, 4)
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    salts = itertools.count(1 << 20, 1 << 16)
    with Lab("slices", workers=1, guarded=False, policy=POLICY, rules="") as lab:
        lab.push()
        rounds = []
        while len(rounds) < 3:  # others may take this machine's core in any one of them
            alone = statistics.median(attack_once(next(salts)) for _ in range(5))
            times = beside_attackers(lab)
            # Nine of ten: a request that is judged at a stretch stops all who share the worker, but
            # then few others begin.
            slow = statistics.quantiles(times, n=10)[-1]
            figure("long requests: one alone", f"{alone:.1f}", "ms; neighbour's round trip beside four "
                   f"{statistics.median(times):.2f} (nine of ten {slow:.1f}, worst {max(times):.1f})")
            if slow < alone / 2:
                return
            rounds.append(f"{slow:.1f} ms beside requests of {alone:.1f} ms")
        raise Failure("a neighbour waits " + ", ".join(rounds))


def syn_flood():
    with Lab("syn", rules=RULES) as lab:
        lab.push()
        link = Link(lab.raw_socket("client", "cl0"), "10.77.0.100", SERVER4)

        def attack(stop):
            rng = random.Random(1)
            while not stop.is_set():
                for _ in range(200):
                    source = f"10.77.{rng.randrange(1, 255)}.{rng.randrange(1, 255)}"
                    try:
                        link.send(tcp_segment(source, SERVER4, rng.randrange(1024, 65535), 80,
                                              rng.randrange(1 << 32), 0, SYN))
                    except OSError:
                        time.sleep(0.001)
                time.sleep(0.02)
        neighbours_during(lab, "SYN flood", attack)
        link.close()


def flows_of_many_addresses_and_tiny_segments():
    with Lab("tiny", rules=RULES) as lab:
        lab.push()
        link = Link(lab.raw_socket("client", "cl0"), "10.77.0.100", SERVER4)
        raw = (b"POST /form HTTP/1.1\r\nHost: web\r\nContent-Length: 200\r\n"
               b"Content-Type: application/x-www-form-urlencoded\r\n\r\na=" + b"x" * 198)

        def attack(stop):
            while not stop.is_set():
                connection = Connection(link, 80).connect()
                # The worst order: from the end to the front, one byte at a time.
                for i in range(len(raw) - 1, -1, -1):
                    connection.send(i, raw[i:i + 1])
                link.poll(0)
                connection.abort(len(raw))
        neighbours_during(lab, "one-byte segments in reverse", attack)
        link.close()


def slow_heads_and_bodies_are_ended():
    with Lab("slow", rules=RULES, policy=TIMEOUTS) as lab:
        lab.push()
        peers = []
        for i in range(50):
            peer = lab.socket("client")
            peer.settimeout(10)
            peer.connect((SERVER4, 80))
            if i % 2:
                peer.sendall(b"GET / HTTP/1.1\r\nHost: web\r\nX-Slow:")
            else:
                peer.sendall(b"POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 100\r\n\r\nab")
            peers.append(peer)
        median, worst = latency_ms(lab)
        figure("50 slow requests: neighbours' latency", f"{median:.2f}", f"ms, worst {worst:.1f}")
        began = time.monotonic()
        for peer in peers:
            try:
                while peer.recv(4096):
                    pass
            except ConnectionError:
                pass
            peer.close()
        figure("slow requests ended", f"{time.monotonic() - began:.1f}", "s later")
        wait_for(lambda: [e for e in lab.events() if e.get("sluice", {}).get("reason") == "http_slow"],
                 5, "http_slow in the records")


def bombs_are_bounded():
    """Worst cases of the decoders and of a pattern: an answer in bounded time, by name."""
    rng = random.Random(2)
    bombs = {
        "regex": b"q=" + b"a" * 60000 + b"b",
        "json depth": b'{"a":' * 20000 + b"1" + b"}" * 20000,
        "json keys": b"{" + b",".join(b'"k%d":%d' % (i, i) for i in range(20000)) + b"}",
        "xml entities": b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "aaaa">'
                        + b"".join(b'<!ENTITY %c "%s">' % (98 + i, b"&%c;" % (97 + i) * 10)
                                   for i in range(8)) + b"]><l>&i;</l>",
        "arguments": b"&".join(b"a%d=%d" % (i, i) for i in range(20000)),
        "percent": b"a=" + b"%25" * 60000,
        "multipart": b"".join(b"--x\r\nContent-Disposition: form-data; name=\"f%d\"\r\n\r\n1\r\n" % i
                              for i in range(5000)) + b"--x--\r\n",
        "random": bytes(rng.randrange(256) for _ in range(200000)),
    }
    types = {"json": "application/json", "xml": "text/xml",
             "multipart": "multipart/form-data; boundary=x"}
    # Its server reads the whole body: what nginx answers early is blocked for that instead.
    with Lab("bomb", nginx=False, rules=RULES) as lab:
        lab.listen("server", 80, "python3", SOURCE / "tests/system/recorder.py", SERVER4, 80,
                   lab.home / "recorder.ndjson", log="recorder.log")
        lab.push()
        path = lab.home / "bomb.bin"
        for name, body in bombs.items():
            path.write_bytes(body)
            kind = types.get(name.split()[0], "application/x-www-form-urlencoded")
            began = time.monotonic()
            status, _ = lab.curl("/", "-H", f"Content-Type: {kind}", "-H", "Expect:",
                                 "--data-binary", f"@{path}")
            spent = (time.monotonic() - began) * 1000
            figure(f"bomb {name}", f"{spent:.0f}", f"ms, {len(body)} bytes, status {status}")
            check(spent < 3000, f"{name} took {spent:.0f} ms")
            check(status in (200, 403, 405, 413, 0), f"{name}: status {status}")
        compressed = zlib.compress(b"a=" + b"b" * 50_000_000, 9, wbits=31)
        path.write_bytes(compressed)
        status, _ = lab.curl("/", "-H", "Content-Encoding: gzip", "-H", "Expect:", "-H",
                             "Content-Type: application/x-www-form-urlencoded",
                             "--data-binary", f"@{path}")
        check(status == 403, f"a decompression bomb: status {status}")
        wait_for(lambda: [e for e in lab.events() if e.get("sluice", {}).get("reason") == "body_bomb"],
                 5, "body_bomb in the records")
        check(lab.curl("/")[0] == 200, "no longer forwarding")


def a_limit_table_full_of_attackers():
    policy = """
mode: block
rules: {{ include: [{home}/rules.conf] }}
services:
  - name: web
    addresses: [{server4}, "{server6}"]
    ports: [80]
    limits:
      - {{ name: key, key: ["header:x-api-key"], rate: 1/h, burst: 1, action: block, on_full: deny }}
"""
    with Lab("table", rules=RULES, policy=policy) as lab:
        lab.push()

        def attack(stop):
            while not stop.is_set():
                with lab.socket("client") as peer:
                    peer.settimeout(5)
                    peer.connect((SERVER4, 80))
                    for _ in range(100):
                        peer.sendall(b"GET /1k.bin HTTP/1.1\r\nHost: web\r\nX-Api-Key: %s\r\n\r\n"
                                     % os.urandom(8).hex().encode())
                        if not peer.recv(65536):
                            break
        before = resident_kib(lab)
        stop = threading.Event()
        thread = threading.Thread(target=attack, args=(stop,))
        thread.start()
        time.sleep(4)
        stop.set()
        thread.join()
        figure("random keys: resident grown", resident_kib(lab) - before, "KiB")
        check(resident_kib(lab) - before < 4096, "memory grows with the number of keys")


if __name__ == "__main__":
    main(syn_flood, flows_of_many_addresses_and_tiny_segments, slow_heads_and_bodies_are_ended,
         bombs_are_bounded, a_limit_table_full_of_attackers, long_requests_keep_no_neighbour_waiting)
