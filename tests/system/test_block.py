#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""Attacks are stopped with a reply that names its event; honest requests are not touched."""
import json

import lab

ATTACKS = {
    "URI": ("/?q=evil-marker",),
    "header": ("/", "-H", "X-Thing: evil-marker"),
    "cookie": ("/", "-b", "a=evil-marker"),
    "urlencoded body": ("/", "-d", "a=1&b=evil%2Dmarker"),
    "JSON body": ("/", "-H", "Content-Type: application/json", "-d", '{"a":{"b":"evil-marker"}}'),
    "chunked body": ("/", "-H", "Transfer-Encoding: chunked", "-d", "a=evil-marker"),
}
HONEST = {
    "plain": ("/index.html",),
    "arguments": ("/index.html?q=good&r=1",),
    "body": ("/index.html", "-d", "a=1&b=2"),
}


def stops_attacks_and_names_the_event():
    with lab.Lab("attack") as it:
        it.push()
        for server in (lab.SERVER4, lab.SERVER6):
            for name, words in HONEST.items():
                status, body = it.curl(*words, server=server)
                lab.check((status, body) == (200, "laboratory\n"), f"{name}: {status} {body!r}")
        ids = {}
        for name, words in ATTACKS.items():
            status, body = it.curl(*words)
            lab.check(status == 403, f"attack in {name}: status {status} {body!r}")
            problem = json.loads(body)
            lab.check(problem["instance"] == "urn:sluice:event:" + problem["event_id"],
                      f"reply of {name}: {body}")
            ids[problem["event_id"]] = name
        lab.check(len(ids) == len(ATTACKS), "two replies name one event")

        def recorded():
            seen = {record["sluice"]["event_id"]: record for record in it.events("alert")}
            return seen if all(event in seen for event in ids) else None
        records = lab.wait_for(recorded, 5, "every attack is in eve.json")
        for event, name in ids.items():
            record = records[event]
            lab.check(record["alert"]["signature_id"] == 1001
                      and record["sluice"]["verdict"] == "block", f"record of {name}: {record}")
        told = it.ctl("explain", next(iter(ids))).stdout
        lab.check("1001" in told, f"explain: {told}")
        access = lab.wait_for(lambda: (it.home / "access.log").read_text(), 5, "nginx logs")
        lab.check("evil" not in access, "nginx served an attack:\n" + access)
        lab.figure("attacks stopped", f"{len(ids)} of {len(ATTACKS)}")


def serves_a_thousand_connections():
    with lab.Lab("thousand", flows_max=65536, pool_mb=128) as it:
        it.push()
        done = it.client("wrk", "-t", "1", "-c", "1000", "-d", "5s", "--timeout", "10s",
                         f"http://{lab.SERVER4}/1k.bin", timeout=60).stdout
        rate = [line for line in done.splitlines() if line.startswith("Requests/sec")]
        lab.figure("wrk, 1000 connections", rate[0].split()[1], "requests/s")
        lab.check("Socket errors" not in done and "Non-2xx" not in done, done)
        lab.figure("our drops", it.drops())
        lab.check(not it.drops(), f"frames were dropped: {it.drops()}")


if __name__ == "__main__":
    lab.main(stops_attacks_and_names_the_event, serves_a_thousand_connections)
