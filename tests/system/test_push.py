#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""Pushes under load: nothing fails, nothing is lost, and each one flips a verdict at once."""
import re
import time

import lab

RULE = 'SecRule ARGS "@contains {}" "id:{},phase:2,deny,status:403,msg:\'probe\'"\n'


def rules(number):
    """Odd generations stop the probe."""
    return RULE.format("probe-marker" if number % 2 else "another-marker", 2000 + number % 2)


def pushes_under_load():
    pushes, seconds = 100, 30
    with lab.Lab("push", rules=rules(0), flows_max=65536, pool_mb=128) as it:
        it.push()
        load = it.start("client", "wrk", "-t", "1", "-c", "50", "-d", f"{seconds}s",
                        f"http://{lab.SERVER4}/1k.bin", log="wrk.log")
        slowest, begin = 0.0, time.monotonic()
        for number in range(1, pushes + 1):
            it.write_rules(rules(number))
            report = it.push()
            lab.check(report["state"] == "live", f"push {number}: {report}")
            live = time.monotonic()
            wanted = 403 if number % 2 else 200
            while it.curl("/index.html?q=probe-marker")[0] != wanted:
                lab.check(time.monotonic() - live < 1, f"push {number}: no {wanted} within 1 s")
            slowest = max(slowest, time.monotonic() - live)
            time.sleep(max(0, begin + number * (seconds - 2) / pushes - time.monotonic()))
        lab.check(load.wait(seconds + 30) == 0, "wrk failed")
        text = (it.home / "wrk.log").read_text()
        lab.figure("push until the probe saw it, slowest", round(slowest * 1000), "ms")
        lab.check("Socket errors" not in text and "Non-2xx" not in text, text)
        lab.check(not it.drops(), f"lost under pushes: {it.drops()}")
        lab.figure("wrk", [line.split()[1] for line in text.splitlines()
                           if line.startswith("Requests/sec")][0], "requests/s")

        def named():
            return len({number for line in it.event_lines()
                        for number in re.findall(r'"generation":(\d+)', line)})
        lab.wait_for(lambda: named() >= pushes * 0.9, 20,
                     "the records name 9 of 10 generations", 0.5)
        lab.figure("generations in the records", f"{named()} of {pushes}")

        before = it.ctl_json("status")["generation"]["live"]
        it.write_rules('SecRule ARGS "@rx (" "id:1,phase:2,deny"\n')
        lab.check(it.ctl("push", check=False).returncode == 3, "a broken rule was pushed")
        lab.check(it.ctl_json("status")["generation"]["live"] == before, "a bad push changed it")
        status = it.curl("/index.html?q=probe-marker")[0]
        it.ctl("rollback")
        lab.wait_for(lambda: it.curl("/index.html?q=probe-marker")[0] != status, 2,
                     "rollback restores the earlier verdict")


if __name__ == "__main__":
    lab.main(pushes_under_load)
