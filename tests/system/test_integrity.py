#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""Bytes arrive as they were sent, over a good wire and over a bad one; and goodput against a
bridge in Sluice's place."""
import hashlib
import os
import re
import statistics

import lab

DELAY = 0.01  # each way; netem reorders only with a delay too
PART = 256 << 10
# What could strike an honest segment that comes out of order. Others are right to drop here what
# receivers drop too, as tcp_paws one so late that a retransmission has moved their clock.
UNJUST = lab.LOSSES - {"no_generation"} | {"tcp_window", "tcp_overlap_differs", "tcp_csum",
                                           "tcp_small_segments", "tcp_ack_ahead", "tcp_ack_unseen"}


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def transfer(it, down_mib, up_mib):
    down, up = it.home / "www/down.bin", it.home / "up.bin"
    for path, mib in ((down, down_mib), (up, up_mib)):
        with open(path, "wb") as file:
            for _ in range(mib):
                file.write(os.urandom(1 << 20))
    got = it.home / "got.bin"
    it.client("curl", "-sf", "-o", got, f"http://{lab.SERVER4}/down.bin", timeout=300)
    lab.check(digest(got) == digest(down), f"{down_mib} MiB down differ")
    it.client("curl", "-sf", "-T", up, "-H", "Expect:", "-H", "Content-Type: application/octet-stream",
              f"http://{lab.SERVER4}/upload/up.bin", timeout=300)
    lab.check(digest(it.home / "www/upload/up.bin") == digest(up), f"{up_mib} MiB up differ")
    print(f"{down_mib} MiB down and {up_mib} MiB up are identical", flush=True)


def narrow_windows(it):
    """What lies beyond a gap (of the wire, or of the kernel's ring on a busy machine) must fit into
    the bound for it."""
    for side in ("client", "server"):
        it.in_namespace(side, "sysctl", "-qw", "net.ipv4.tcp_rmem=4096 131072 200000")


def identical_over_a_good_wire():
    with lab.Lab("integrity", flows_max=65536, pool_mb=128) as it:
        it.push()
        narrow_windows(it)
        transfer(it, 200, 50)
        lab.check(not it.drops(), f"frames were dropped: {it.drops()}")


def identical_over_a_bad_wire():
    for end in ("client", "server"):
        with lab.Lab("trouble", flows_max=65536, pool_mb=128, trouble=end) as it:
            it.push()
            narrow_windows(it)
            transfer(it, 8 if lab.short_form() else 200, 4 if lab.short_form() else 50)
            lab.check(not it.drops(), f"trouble at the {end}, drops: {it.drops()}")


def goodput_against_a_bridge():
    """Median of paired runs over one wire that delays, loses and reorders: with Sluice over with a
    bridge of the kernel in its place. Uploads where the client's wire does it, downloads where the
    server's: so Sluice sees the gaps."""
    for end in ("client", "server"):
        with lab.Lab("goodput", flows_max=65536, pool_mb=128, trouble=end, delay=DELAY) as it:
            it.push()
            narrow_windows(it)
            (it.home / "www/part.bin").write_bytes(os.urandom(PART))
            (it.home / "up.lua").write_text(
                f'wrk.method, wrk.body = "PUT", string.rep("x", {PART})\n'
                'wrk.headers["Content-Type"] = "application/octet-stream"\n')
            words = {"client": ("-s", it.home / "up.lua", f"http://{lab.SERVER4}/upload/up.bin"),
                     "server": (f"http://{lab.SERVER4}/part.bin",)}[end]

            def sent():
                """Segments that both ends have sent, and those of them that were sent again."""
                lines = [line.split() for end in ("client", "server") for line in it.in_namespace(
                    end, "cat", "/proc/net/snmp").stdout.splitlines() if line.startswith("Tcp:")]
                return [sum(int(dict(zip(names, values))[key])
                            for names, values in (lines[:2], lines[2:]))
                        for key in ("OutSegs", "RetransSegs")]

            def goodput(which):
                it.curl("/index.html")  # neighbours and bridge know their addresses
                # Several flows, since one that meets a retransmission timeout says little.
                before = sent()
                told = it.client("wrk", "-t", "1", "-c", "6", "-d", "2s", *words).stdout
                for i, count in enumerate(sent()):
                    segments[which][i] += count - before[i]
                lab.check("Non-2xx" not in told, told)
                return 8 * PART * float(re.search(r"Requests/sec:\s+([\d.]+)", told).group(1))
            ratios, out_of_order = [], 0
            segments = {"sluice": [0, 0], "bridge": [0, 0]}
            pairs = 3 if lab.short_form() else 15
            # A busy machine keeps workers waiting, the kernel's bridge never: more pairs then.
            while len(ratios) < pairs or (statistics.median(ratios) < 0.8 and len(ratios) < 9):
                with_sluice = goodput("sluice")
                workers = it.ctl_json("counters")["workers"]
                out_of_order += sum(worker["out_of_order"] for worker in workers)
                dropped = {reason: count for worker in workers
                           for reason, count in worker["drops"].items() if reason in UNJUST}
                lab.check(not dropped, f"segments were dropped: {dropped}")
                with it.bridged():
                    without = goodput("bridge")
                ratios.append(with_sluice / without)
                print(f"pair: {with_sluice / 1e6:.1f} and {without / 1e6:.1f} Mbit/s", flush=True)
            lab.check(out_of_order > 0, "the wire reordered nothing")
            median = statistics.median(ratios)
            lab.figure(f"goodput with trouble at the {end}, with over without, median",
                       round(median, 2), f"of {len(ratios)} pairs, {out_of_order} out of order")
            again = {which: count / of for which, (of, count) in segments.items()}
            lab.figure("of the segments, sent again", {which: f"{share:.2%}" for which, share in again.items()})
            # What no load of the machine explains: segments that we dropped, changed or kept back.
            lab.check(again["sluice"] < 1.5 * again["bridge"], f"more is sent again: {again}")
            lab.check(median >= 0.8, f"slower than a bridge: {ratios}")


if __name__ == "__main__":
    lab.main(identical_over_a_good_wire, identical_over_a_bad_wire, goodput_against_a_bridge)
