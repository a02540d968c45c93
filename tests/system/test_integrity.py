#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""Bytes arrive as they were sent, over a good wire and over a bad one; and goodput against a
bridge in Sluice's place."""
import hashlib
import os
import statistics

import lab


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


def identical_over_a_good_wire():
    with lab.Lab("integrity", flows_max=65536, pool_mb=128) as it:
        it.push()
        # The kernel's ring may lose frames on a busy machine; then what lies beyond the gap must fit.
        for side in ("client", "server"):
            it.in_namespace(side, "sysctl", "-qw", "net.ipv4.tcp_rmem=4096 131072 200000")
        transfer(it, 200, 50)
        lab.check(not it.drops(), f"frames were dropped: {it.drops()}")


def identical_over_a_bad_wire():
    for end in ("client", "server"):
        with lab.Lab("trouble", flows_max=65536, pool_mb=128, trouble=end) as it:
            it.push()
            for side in ("client", "server"):  # windows within the bound for bytes beyond a gap
                it.in_namespace(side, "sysctl", "-qw", "net.ipv4.tcp_rmem=4096 131072 200000")
            transfer(it, 8 if lab.short_form() else 200, 4 if lab.short_form() else 50)
            lab.check(not it.drops(), f"trouble at the {end}, drops: {it.drops()}")


def goodput_against_a_bridge():
    """Median of paired runs: with Sluice over without."""
    with lab.Lab("goodput", flows_max=65536, pool_mb=128, trouble="client") as it:
        it.push()
        (it.home / "www/down.bin").write_bytes(os.urandom(8 << 20))

        def goodput():
            speed = it.client("curl", "-sf", "-o", "/dev/null", "-w", "%{speed_download}",
                              f"http://{lab.SERVER4}/down.bin").stdout
            return float(speed) * 8
        ratios = []
        for _ in range(3 if lab.short_form() else 9):
            with_sluice = goodput()
            with it.bridged():
                without = goodput()
            ratios.append(with_sluice / without)
            print(f"pair: {with_sluice / 1e6:.1f} and {without / 1e6:.1f} Mbit/s", flush=True)
        lab.figure("goodput under trouble, with over without, median",
                   round(statistics.median(ratios), 2))
        lab.check(statistics.median(ratios) > 0.4, "far slower than a bridge")


if __name__ == "__main__":
    lab.main(identical_over_a_good_wire, identical_over_a_bad_wire, goodput_against_a_bridge)
