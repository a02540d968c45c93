#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""What Sluice takes of a machine: memory as announced and constant, processor time by `idle`, scans
that rules share; and a worker that hangs is seen."""
import os
import pathlib
import re
import time

import lab
from threads import process_of, stopped, worker_threads

RULE = 'SecRule {} "@rx (?i)marker-[0-9]+z{}w" "id:{},phase:2,deny,status:403,t:none,t:lowercase,msg:\'m\'"\n'
TARGETS = "ARGS|REQUEST_HEADERS|REQUEST_URI"


def resident_kib(it):
    text = pathlib.Path(f"/proc/{process_of(it)}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text).group(1))


def processor_seconds(it):
    ticks = 0
    for thread in worker_threads(it):
        stat = pathlib.Path(f"/proc/{process_of(it)}/task/{thread}/stat").read_text()
        fields = stat.rpartition(") ")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def a_million_flows_take_what_was_announced():
    with lab.Lab("million", workers=1, flows_max=1000000, pool_mb=128) as it:
        it.push()
        lab.check(it.curl("/index.html")[0] == 200, "no answer")
        text = (it.home / "dataplane.log").read_text()
        pools = {name: int(count) for name, count in
                 re.findall(r"^  (.+): \d+ for each worker, (\d+) bytes$", text, re.M)}
        for name in ("flows", "transactions", "streams"):
            lab.check(any(name in pool for pool in pools), f"no pool of {name}: {text}")
        announced = {name: float(re.search(rf"^  {name}: .*?([\d.]+) MiB", text, re.M).group(1))
                     for name in ("packet buffers", "limits", "engines")}
        workers = len(worker_threads(it))
        lab.check(abs(sum(pools.values()) * workers / 2**20 - announced["engines"]) < 1,
                  f"the pools do not make the sum: {pools}, {announced}")
        before = resident_kib(it)
        share = sum(announced.values()) / (before / 1024)
        lab.figure("announced", round(sum(announced.values())), f"MiB, {share:.0%} of what is resident")
        lab.check(0.9 < share < 1.1, f"announced {announced}, resident {before} KiB")
        for words in (("-c", "300"), ("-c", "100", "-H", "Connection: close")):
            it.client("wrk", "-t", "1", "-d", "3s", *words, f"http://{lab.SERVER4}/1k.bin")
        lab.check(sum(w["flows_created"] for w in it.ctl_json("counters")["workers"]) > 1000,
                  "hardly a flow was made")
        lab.figure("resident grown under load", resident_kib(it) - before, "KiB")
        lab.check(abs(resident_kib(it) - before) < 256, "the resident size is not constant")


def idle_takes_what_it_says():
    """spin and pause take all the time there is, pause polls less often in it; sleep takes little."""
    share, polls = {}, {}
    for idle in ("spin", "pause", "sleep"):
        with lab.Lab(idle, idle=idle, nginx=False) as it:
            def counted():
                workers = it.ctl_json("counters")["workers"]
                return processor_seconds(it), sum(worker["polls"] for worker in workers)
            began, (seconds, count) = time.monotonic(), counted()
            time.sleep(2)
            after, more = counted()
            share[idle] = (after - seconds) / (time.monotonic() - began) / len(worker_threads(it))
            polls[idle] = (more - count) / max(after - seconds, 0.01)
            lab.figure(f"a quiet worker, {idle}", f"{share[idle]:.0%}",
                       f"of a core, {polls[idle] / 1e6:.2f} million polls in a second of it")
    lab.check(share["sleep"] < 0.25, "sleeping workers leave no room")
    lab.check(min(share["spin"], share["pause"]) > 2 * share["sleep"], "polling workers sleep")
    lab.check(polls["pause"] < polls["spin"] / 2, "pause polls as often as spin")


def a_stalled_worker_is_seen():
    with lab.Lab("stall", metrics="127.0.0.1:9464") as it:
        it.push()

        def metrics():
            text = it.in_namespace("middle", "curl", "-sf", "http://127.0.0.1:9464/metrics").stdout
            return dict(line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")

        def statuses(count):
            """Of so many connections at once; 0: no answer."""
            done = it.client("curl", "-s", "-Z", "--parallel-immediate", "--parallel-max", count,
                             "--max-time", 1, "-o", "/dev/null", "-w", "%{http_code}\\n",
                             f"http://{lab.SERVER4}/index.html?[1-{count}]", check=False)
            return [int(status) for status in done.stdout.split()]

        def stalled():
            return it.ctl_json("status")["dataplane"]["state"] == "stalled"

        def running():
            lab.wait_for(lambda: it.ctl_json("status")["dataplane"]["state"] == "running", 10, "running")
        lab.check(metrics()['sluice_worker_stalled{worker="1"}'] == "0", "stalled at first")
        with stopped(worker_threads(it)[1]):
            lab.wait_for(stalled, 3, "status says stalled")
            workers = it.ctl_json("status")["dataplane"]["workers"]
            lab.check([worker["stalled"] for worker in workers] == [False, True], f"{workers}")
            lab.check("stalled" in it.ctl("status").stdout, "status for people")
            seen = metrics()
            lab.check(seen['sluice_worker_stalled{worker="1"}'] == "1"
                      and seen['sluice_worker_stalled{worker="0"}'] == "0"
                      and seen["sluice_dataplane_up"] == "0", "the metrics do not show it")
            lab.check(it.curl("/?q=evil-marker", timeout=0.3)[0] in (0, 403), "an attack passed")
        running()
        # Flows of the other worker go on, a quarter of all: both their queue and their owner must be
        # its. Of those that come by its queue the held worker's are dropped with a name.
        with stopped(worker_threads(it)[1]):
            lab.wait_for(stalled, 3, "status says stalled again")
            answers = statuses(48)
            lost = it.ctl_json("counters")["workers"][0]["drops"].get("worker_stalled", 0)
        lab.check({0, 200} == set(answers), f"one of two workers serves: {answers}")
        lab.check(lost > 0, "nothing was dropped as worker_stalled")
        running()
        lab.wait_for(lambda: set(statuses(12)) == {200}, 10, "all flows pass again")


def rules_that_cannot_match_add_no_scans():
    """1,000 rules more on the same targets and transformations: not one scan more for values that lack a pair
    of bytes of theirs, at most one a rule for those that have all pairs of all rules, and no request
    is refused for what it costs."""
    few = "".join(RULE.format(TARGETS, f"{n}q", 1000 + n) for n in range(3))
    many = few + "".join(RULE.format(TARGETS, str(n % 10) + "q" * (2 + n // 10), 10000 + n) for n in range(1000))
    near = "Marker-5-5z0q1qw"  # the parts of the first rules; no other goes without "qq"
    alike = "Marker-5-5z0qz1qz2qz3qz4qz5qz6qz7qz8qz9qqqw"
    with lab.Lab("scans", rules=few, metrics="127.0.0.1:9464") as it:

        def scans():
            text = it.in_namespace("middle", "curl", "-sf", "http://127.0.0.1:9464/metrics").stdout
            return sum(int(n) for n in re.findall(r"^sluice_scans_total\{.*\} (\d+)$", text, re.M))

        def cost(value, seed):
            before = scans()
            for n in range(40):
                # Each value is new, and longer than what PCRE2 looks at instead.
                target = f"/index.html?a={value}%20%20{'long' * 10}{seed}{n}"
                lab.check(it.curl(target)[0] == 200, "an honest request")
            return scans() - before
        it.push()
        base = cost(near, "one")
        it.write_rules(many)
        report = it.push()
        lab.check(report["rules"] >= 1003, f"not all rules are there: {report}")
        lab.check(it.curl("/index.html?a=marker-12z7qqqw")[0] == 403, "an added rule is not live")
        with_all, worst = cost(near, "two"), cost(alike, "three")
        lab.figure("scans of 40 requests", f"{base} with 3 rules, {with_all} with 1003; {worst} where values are like all")
        lab.check(base >= 40, "the requests are not scanned at all")
        lab.check(with_all == base, "added rules add scans")
        values = 40 * 2  # the argument and the address
        lab.check(1000 <= worst <= values * report["rules"], "a value is scanned for a rule more than once")


if __name__ == "__main__":
    lab.main(a_million_flows_take_what_was_announced, idle_takes_what_it_says,
             a_stalled_worker_is_seen, rules_that_cannot_match_add_no_scans)
