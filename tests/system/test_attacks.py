# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""The attack matrix: no blocked request is ever complete at the server, however it is cut.

The upstream reads each request whole before it answers and logs it with a digest. An attack sits in
the URI, a header, a cookie, an urlencoded, a JSON or a chunked body, and is sent cut at every byte
boundary, in reverse order, with overlaps, and with retransmissions that differ.
"""

import hashlib
import json
import re
import struct
import time

from lab import SERVER4, SOURCE, Lab, check, figure, main, wait_for
from rawtcp import ACK, PSH, RST, Connection, Link

RULES = r'''
SecRuleEngine On
SecRequestBodyAccess On
SecRule REQUEST_HEADERS:Content-Type "@beginsWith application/json" \
    "id:1000,phase:1,pass,nolog,t:none,t:lowercase,ctl:requestBodyProcessor=JSON"
SecRule REQUEST_URI|ARGS|REQUEST_COOKIES|REQUEST_HEADERS "@rx (?i)union\s+select" \
    "id:1001,phase:2,deny,status:403,t:none,t:urlDecodeUni,msg:'SQL injection'"
'''
EVIL = "1 union select password"


def form(target="/", body=None, headers=(), method="POST", chunked=False):
    """One raw request."""
    lines = [f"{method} {target} HTTP/1.1", "Host: web", *headers]
    if body is None:
        return ("\r\n".join(lines) + "\r\n\r\n").encode()
    if chunked:
        middle = len(body) // 2
        pieces = [body[:middle], body[middle:], b""]
        framed = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
        return ("\r\n".join(lines + ["Transfer-Encoding: chunked"]) + "\r\n\r\n").encode() + framed
    return ("\r\n".join(lines + [f"Content-Length: {len(body)}"]) + "\r\n\r\n").encode() + body


URLENCODED = ("Content-Type: application/x-www-form-urlencoded",)
JSON = ("Content-Type: application/json",)
PLACES = {
    "uri": form("/?q=1%20union%20select%20password", method="GET"),
    "header": form("/header", headers=(f"X-Note: {EVIL}",), method="GET"),
    "cookie": form("/cookie", headers=(f"Cookie: a=1; note={EVIL}",), method="GET"),
    "form": form("/form", b"a=1&q=1+union+select+password&z=2", URLENCODED),
    "json": form("/json", json.dumps({"a": 1, "q": {"n": [EVIL]}}).encode(), JSON),
    "chunked": form("/chunked", b"a=1&q=1+union+select+password&z=2", URLENCODED, chunked=True),
}
HONEST = form("/honest", b"a=1&q=the+student+union+may+select+members", URLENCODED)


class Matrix:
    """A laboratory with the recorder as its server, the rules pushed, and a raw link to it."""

    def __init__(self, name):
        self.lab = Lab(f"attack-{name}", nginx=False, rules=RULES)

    def __enter__(self):
        lab = self.lab.__enter__()
        self.log = lab.home / "recorder.ndjson"
        lab.listen("server", 80, "python3", SOURCE / "tests/system/recorder.py", SERVER4, 80,
                   self.log, log="recorder.log")
        lab.push()
        self.link = Link(lab.raw_socket("client", "cl0"), "10.77.0.100", SERVER4)
        return self

    def __exit__(self, *error):
        self.link.close()
        self.lab.__exit__(*error)

    def connect(self):
        return Connection(self.link, 80).connect()

    def entries(self):
        return [json.loads(line) for line in self.log.read_text().splitlines()]


def complete_attacks(matrix):
    """Requests that reached the server whole and are an attack; targets name their place."""
    digests = {hashlib.sha256(raw.split(b"\r\n\r\n", 1)[1]).hexdigest()
               for name, raw in PLACES.items() if name != "chunked"}
    digests.add(hashlib.sha256(b"a=1&q=1+union+select+password&z=2").hexdigest())
    bad = []
    for entry in matrix.entries():
        if "partial" in entry:
            continue
        evil = "union" in entry["target"] or any("union" in value for _, value in entry["fields"])
        if evil or (entry["body_bytes"] and entry["body_sha256"] in digests):
            bad.append(entry)
    return bad


def answered(connection):
    return connection.reset or b"\r\n\r\n" in connection.received


def expect_blocked(connection, what):
    """A 403 with an event id, or a reset."""
    check(connection.wait(8, answered), f"{what}: neither answer nor reset")
    if connection.received:
        check(connection.received.startswith(b"HTTP/1.1 403 "), f"{what}: {connection.received[:80]}")
        check(re.search(rb"X-Sluice-Event: [0-9A-HJKMNP-TV-Z]{26}\r\n", connection.received),
              f"{what}: no event id")
    return bool(connection.received)


def each_place(matrix, send):
    """Runs send(connection, raw, cut) for every place and cut; returns (replies, resets)."""
    replies = resets = 0
    for place, raw in PLACES.items():
        for cut in range(1, len(raw)):
            connection = matrix.connect()
            send(connection, raw, cut)
            if expect_blocked(connection, f"{place} at {cut} of {len(raw)}"):
                replies += 1
            else:
                resets += 1
            connection.abort(len(raw))
    # The server is still there for honest requests, and its log is complete behind this one.
    connection = matrix.connect()
    connection.send(0, HONEST)
    check(connection.wait(5, answered), "an honest request got no answer")
    check(connection.received.startswith(b"HTTP/1.1 200 "), f"honest: {connection.received[:80]}")
    wait_for(lambda: any(e.get("target") == "/honest" for e in matrix.entries()), 5, "the log")
    bad = complete_attacks(matrix)
    check(not bad, f"{len(bad)} blocked requests reached the server whole, the first: {bad[:1]}")
    partial = sum("partial" in entry for entry in matrix.entries())
    figure("blocked with a reply", replies)
    figure("blocked with a reset", resets)
    figure("partial requests at the server", partial)
    return replies, resets


def every_cut_in_order():
    def send(connection, raw, cut):
        connection.send(0, raw[:cut])
        connection.send(cut, raw[cut:])
    with Matrix("order") as matrix:
        _, resets = each_place(matrix, send)
        check(resets == 0, "in order, each attack is answered")


def every_cut_in_reverse():
    def send(connection, raw, cut):
        connection.send(cut, raw[cut:])
        connection.send(0, raw[:cut])
    with Matrix("reverse") as matrix:
        each_place(matrix, send)


def every_cut_with_overlap():
    def send(connection, raw, cut):
        connection.send(0, raw[:cut])
        connection.send(max(0, cut - 7), raw[max(0, cut - 7):])
    with Matrix("overlap") as matrix:
        each_place(matrix, send)


def byte_by_byte():
    with Matrix("bytes") as matrix:
        for place, raw in PLACES.items():
            connection = matrix.connect()
            for i in range(len(raw)):
                connection.send(i, raw[i:i + 1])
                matrix.link.poll(0)
            expect_blocked(connection, place)
            connection.abort(len(raw))
        check(not complete_attacks(matrix), "a blocked request reached the server whole")


def differing_retransmission():
    """The attack comes only in a second version of bytes already sent: the server has either
    exactly what was inspected, or nothing whole."""
    honest = form("/differs", b"a=1&q=1+onion+celery+password&z=2", URLENCODED)
    evil = form("/differs", b"a=1&q=1+union+select+password&z=2", URLENCODED)
    check(len(honest) == len(evil), "both versions have one length")
    with Matrix("differs") as matrix:
        head = honest.index(b"\r\n\r\n") + 4
        for hole in range(head, len(honest) - 1):
            connection = matrix.connect()
            # Beyond a gap first the honest bytes, then the attack over them, then the gap.
            connection.send(hole + 1, honest[hole + 1:])
            connection.send(hole + 1, evil[hole + 1:])
            connection.send(0, honest[:hole + 1])
            connection.send(hole + 1, evil[hole + 1:])
            connection.wait(3, answered)
            connection.abort(len(honest))
        entries = wait_for(lambda: [e for e in matrix.entries() if "target" in e], 5, "the log")
        inspected = hashlib.sha256(honest[head:]).hexdigest()
        for entry in entries:
            check(entry["body_sha256"] == inspected, f"the server has other bytes: {entry}")
        figure("arrived as inspected", len(entries), f"of {len(honest) - 1 - head}")


def pipeline_good_bad_good():
    """The first is answered by the server, the second by us, the third never served."""
    good, bad, third = (form("/first", method="GET"), PLACES["uri"], form("/third", method="GET"))
    whole = good + bad + third
    with Matrix("pipeline") as matrix:
        for cut in (None, 5, len(good), len(good) + 9, len(good) + len(bad), len(whole) - 3):
            connection = matrix.connect()
            for start, end in ((0, cut), (cut, None)) if cut else ((0, None),):
                connection.send(start, whole[start:end])
            check(connection.wait(8, lambda c: b" 403 " in c.received or c.reset),
                  f"cut at {cut}: no verdict")
            check(connection.received.startswith(b"HTTP/1.1 200 "), "the first got no answer")
            check(connection.received.count(b"HTTP/1.1 200 ") == 1, "one answer of the server")
            check(b"HTTP/1.1 403 " in connection.received, "the second was not answered by us")
            connection.abort(len(whole))
        targets = [e["target"] for e in matrix.entries() if "target" in e]
        check(set(targets) == {"/first"}, f"the server saw {set(targets)}")


def forwarded_before_an_earlier_request():
    """The end of a bad request goes out beyond a gap, then an earlier request of the pipeline fills
    the gap: nothing more is sent on, and both ends are reset."""
    bad = PLACES["uri"]
    whole = form("/first", method="GET") + bad
    start = len(whole) - len(bad)
    with Matrix("filled") as matrix:
        server_side = matrix.lab.raw_socket("server", "sv0")
        cuts = range(start + 1, len(whole), 5)
        for cut in cuts:
            connection = matrix.connect()
            connection.send(cut, whole[cut:])  # forwarded: nothing beyond a gap is deliverable
            check(connection.wait(0.05, lambda c: c.received or c.reset) is False,
                  f"cut at {cut}: answered too early")
            connection.send(0, whole[:cut])
            check(connection.wait(8, lambda c: c.reset), f"cut at {cut}: the client is not reset")
            check(not connection.received, f"cut at {cut}: the client got {connection.received[:60]}")
            wait_for(lambda: reset_seen(server_side, connection.sport), 3,
                     f"cut at {cut}: the server is not reset", 0)
            connection.abort(len(whole))
        targets = [e for e in matrix.entries() if "target" in e]
        check(not targets, f"the server served {targets[:1]}")
        figure("reset on both ends", len(cuts))


def reset_seen(raw, client_port):
    """Takes one frame: is it a RST from this port to the server?"""
    try:
        frame = raw.recv(65535)
    except TimeoutError:
        return False
    header = 14 + (frame[14] & 15) * 4
    return (frame[12:14] == b"\x08\x00" and frame[23] == 6 and frame[header + 13] & RST
            and struct.unpack("!HH", frame[header:header + 4]) == (client_port, 80))


def lost_reply_is_retransmitted():
    with Matrix("lost") as matrix:
        connection = matrix.connect()
        taken = []
        take = connection.take

        def lose_first(seq, ack, flags, payload):
            if payload and not taken:
                taken.append(seq)
                return
            take(seq, ack, flags, payload)
        connection.take = lose_first
        connection.send(0, PLACES["uri"])
        check(expect_blocked(connection, "after a loss"), "a reset instead of a reply")
        check(taken, "no reply was lost")


def bad_checksum_and_old_bytes_change_nothing():
    """A segment that receivers drop (bad checksum) carries honest bytes over an attack: what counts
    is what the server takes."""
    raw = PLACES["form"]
    with Matrix("checksum") as matrix:
        for cut in range(1, len(raw), 7):
            connection = matrix.connect()
            connection.send(0, b"A" * cut, flags=PSH | ACK, bad_checksum=True)
            connection.send(0, raw[:cut])
            connection.send(cut, b"B" * (len(raw) - cut), bad_checksum=True)
            connection.send(cut, raw[cut:])
            expect_blocked(connection, f"cut at {cut}")
            connection.abort(len(raw))
        check(not complete_attacks(matrix), "a blocked request reached the server whole")


def replay_of_the_capture_gives_the_same_verdicts():
    """What was captured outside gives, offline, one verdict for each transaction, with equal reason,
    rules and inspected bytes."""
    def view(verdict, reason, rules, target, inspected):
        return (verdict, reason, tuple(rules), target, inspected)

    with Matrix("replay") as matrix:
        lab = matrix.lab
        capture = lab.home / "outside.pcap"
        tcpdump = lab.start("client", "tcpdump", "-i", "cl0", "-U", "-s0", "-w", capture, "tcp",
                            log="tcpdump.log")
        wait_for(lambda: "listening on" in (lab.home / "tcpdump.log").read_text(), 5, "tcpdump")
        sent = 5
        for place, raw in PLACES.items():
            for cut in range(1, len(raw), 17):
                sent += 1
                connection = matrix.connect()
                first, second = ((0, cut), (cut, None)) if cut % 2 else ((cut, None), (0, cut))
                connection.send(first[0], raw[first[0]:first[1]])
                connection.send(second[0], raw[second[0]:second[1]])
                expect_blocked(connection, f"{place} at {cut}")
                connection.abort(len(raw))
        for _ in range(5):
            connection = matrix.connect()
            connection.send(0, HONEST)
            check(connection.wait(5, answered), "no answer to an honest request")
            connection.abort(len(HONEST))
        time.sleep(1)
        lab.stop(tcpdump)
        live = []
        for event in lab.events("http"):
            ours = event["sluice"]
            rules = [rule["id"] for rule in event.get("alert", {}).get("rules", [])]
            live.append((ours["event_id"], view(ours["verdict"], ours["reason"], rules,
                                                event["http"]["url"], ours["bytes"]["inspected"])))
        alerts = {e["sluice"]["event_id"]: [r["id"] for r in e["alert"]["rules"]]
                  for e in lab.events("alert")}
        live = sorted(view(v[0], v[1], alerts.get(event_id, v[2]), v[3], v[4])
                      for event_id, v in live)
        done = lab.ctl("--json", "replay", "--policy", lab.home / "policy.yaml", capture,
                       check=False)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        offline = sorted(view(v["verdict"], v["reason"], [r["id"] for r in v["rules"]], v["uri"],
                              v["bytes"]["inspected"]) for v in lines)
        figure("transactions replayed", len(offline))
        check(len(live) == sent, f"{len(live)} live records of {sent} requests")
        check(offline == live, f"{len(offline)} offline, {len(live)} live; differ: "
              f"{[x for x in zip(offline, live) if x[0] != x[1]][:3]}")


if __name__ == "__main__":
    main(every_cut_in_order, every_cut_in_reverse, every_cut_with_overlap, byte_by_byte,
         differing_retransmission, pipeline_good_bad_good, forwarded_before_an_earlier_request,
         lost_reply_is_retransmitted,
         bad_checksum_and_old_bytes_change_nothing, replay_of_the_capture_gives_the_same_verdicts)
