# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""Records: one for each transaction, masked, rotated, bounded, explained, lost without harm."""

import json
import re
import subprocess
import time

from lab import POLICY, SERVER4, Lab, check, figure, main, wait_for

RULES = r'''
SecRequestBodyAccess On
SecRule ARGS|REQUEST_HEADERS "@contains evil-marker" \
  "id:1001,phase:2,deny,status:403,t:none,t:urlDecodeUni,msg:'marker',severity:'CRITICAL',tag:'test'"
'''


def one_http_record_for_each_transaction():
    extra = "events: { request_headers: [x-request-tag], body_digest: sha256, http_records: all }\n"
    with Lab("records", rules=RULES, extra=extra) as lab:
        lab.push()
        check(lab.curl("/1k.bin", "-o", "/dev/null", "-H", "X-Request-Tag: down")[0] == 200, "a download")
        check(lab.curl("/index.html", "-d", "a=1&b=2", "-H", "X-Request-Tag: up")[0] in (200, 405),
              "an upload")
        check(lab.curl("/none", "-H", "X-Request-Tag: missing")[0] == 404, "a missing file")

        def records():
            found = {r["http"]["request_headers"].get("x-request-tag"): r
                     for r in lab.events("http") if r["http"].get("request_headers")}
            return found if len(found) >= 3 else None
        found = wait_for(records, 5, "three records")
        down, up, missing = found["down"], found["up"], found["missing"]
        check(down["http"]["status"] == 200 and down["http"]["length"] == 1024, f"{down['http']}")
        check(down["http"]["http_method"] == "GET" and down["http"]["url"] == "/1k.bin", "request")
        check(missing["http"]["status"] == 404, "status of the missing file")
        check(down["src_ip"] == "10.77.0.1" and down["dest_port"] == 80, "addresses")
        check(down["sluice"]["exact"] is True, "exact")
        check(up["sluice"]["bytes"]["inspected"] >= 7, f"inspected {up['sluice']['bytes']}")
        digest = subprocess.run(["sha256sum"], input=b"a=1&b=2", capture_output=True,
                                check=True).stdout.split()[0].decode()
        check(up["sluice"]["body_sha256"] == digest, "digest of the body")
        check(0 < down["sluice"]["latency_us"] < 1_000_000, f"latency {down['sluice']['latency_us']} us")
        waited = [e["stats"]["added_latency"] for e in wait_for(
            lambda: [e for e in lab.events("stats") if e["stats"]["requests"] >= 3], 15, "stats")][-1]
        check(sum(waited) >= 3, f"requests that waited for no time at all: {waited}")


def secrets_are_masked():
    extra = "events: { request_headers: [authorization, x-request-tag] }\n"
    with Lab("mask", rules=RULES, extra=extra) as lab:
        lab.push()
        lab.curl("/?password=hunter2-evil-marker&q=evil-marker", "-H",
                 "Authorization: Bearer topsecret-evil-marker", "-b", "session=cookiesecret")
        wait_for(lambda: lab.events("alert"), 5, "the alert")
        wait_for(lambda: lab.events("http"), 5, "the record")
        text = (lab.home / "log/eve.json").read_text()
        for secret in ("topsecret", "cookiesecret", "hunter2"):
            check(secret not in text, f"{secret} stands in the records")


def explain_tells_all_also_after_restart_and_rotation():
    with Lab("explain", rules=RULES) as lab:
        lab.push()
        _, body = lab.curl("/?q=%2565vil-marker")
        event = json.loads(body)["event_id"]
        wait_for(lambda: any(e.get("sluice", {}).get("event_id") == event for e in lab.events()), 5,
                 "the event")

        def explain():
            told = lab.ctl_json("explain", event)
            check(told["reason"] == "rules" and told["verdict"] == "block", f"{told}")
            rule = told["rules"][0]
            check(rule["id"] == 1001 and "evil-marker" in rule["text"], f"the rule: {rule}")
            check(rule["target"] == "ARGS:q", f"the target: {rule}")
            check("evil-marker" in str(rule.get("matched", rule.get("value"))), f"bytes: {rule}")
            check(rule["sent"] == "%2565vil-marker", f"the bytes of the client: {rule}")
            check(rule["source"] == "%65vil-marker", f"the value as parsed: {rule}")
            check(rule["steps"] == [{"transformation": "urlDecodeUni", "value": "evil-marker"}],
                  f"the decoding steps: {rule}")
            check(told["generation"] >= 1 and "bytes" in told, "generation and bytes")
        explain()
        lab.stop(lab.daemon)
        (lab.home / "log/eve.json").rename(lab.home / "log/eve.json.1")
        lab.start_daemon()
        lab.curl("/")
        explain()
        text = lab.ctl("explain", event).stdout
        check("1001" in text and "urlDecodeUni" in text and "sent       %2565vil-marker" in text,
              f"for people: {text}")
        check(lab.ctl("explain", "0" * 26, check=False).returncode == 1, "an unknown event")


def explain_answers_for_every_kind_of_verdict():
    policy = POLICY + """    routes: [{{ name: item, method: GET, path: "/api/items/*" }}]
    limits:
      - {{ name: slow, key: ["header:x-api-key"], rate: 1/min, burst: 1, action: block }}
      - {{ name: seen, key: ["header:x-seen"], rate: 1/min, burst: 1, action: monitor }}
"""
    masking = r"""SecRule ARGS "@contains masked-marker" "id:1002,phase:2,deny,msg:'saw %{MATCHED_VAR}'"
SecRule REQUEST_HEADERS:Content-Type "@contains json" "id:1005,phase:1,pass,nolog,ctl:requestBodyProcessor=JSON"
SecRule REQUEST_HEADERS:Authorization "@rx (chained-.*)" "id:1003,phase:2,deny,capture,t:none,chain"
  SecRule TX:1 "@contains secret" "t:none"
SecRule REQUEST_COOKIES|ARGS:pin "@contains chained" "id:1004,phase:2,deny,t:none,chain"
  SecRule MATCHED_VARS "@contains secret" "t:none"
"""
    with Lab("kinds", rules=RULES + masking, policy=policy) as lab:
        lab.push()

        unique = iter(range(1000))

        def event_of(target, *words):
            # Requests without the header would share one bucket.
            mine = ["-H", f"X-Api-Key: own{next(unique)}", "-H", f"X-Seen: own{next(unique)}"]
            return json.loads(lab.curl(target, *(words or mine))[1])["event_id"]

        def raw_event(data):
            wire = lab.socket("client")
            wire.settimeout(3)
            wire.connect((SERVER4, 80))
            wire.sendall(data)
            answer = wire.recv(4096).decode()
            wire.close()
            return re.search(r"X-Sluice-Event: (\S+)", answer).group(1)

        def told(event, reason, verdict="block"):
            answer = lab.ctl_json("explain", event)
            check(answer["reason"] == reason and answer["verdict"] == verdict and
                  answer["meaning"] and answer["generation"] == 1, f"{reason}: {answer}")
            record = answer["records"][0]
            check(record["flow_id"] and record["src_ip"] == "10.77.0.1" and
                  "inspected" in answer["bytes"], f"{reason}: {answer}")
            check(reason in lab.ctl("explain", event).stdout, f"{reason}: not for people")
            return answer
        routes = [told(event_of(target), "rules")["records"][0]["sluice"].get("route")
                  for target in ("/?q=evil-marker", "/api/items/7?q=evil-marker")]
        check(routes == [None, "item"], f"routes of the policy: {routes}")
        secret = told(event_of("/?password=masked-marker"), "rules")
        check("masked-marker" not in json.dumps([secret["records"], secret["rules"][0]["msg"]]),
              f"a masked value is shown: {secret}")
        check(secret["rules"][0]["value_bytes"] == len("masked-marker"), f"no length: {secret}")
        # A secret inside a value is found when it is parsed, not among its escapes.
        inside = told(event_of('/?data=%7B%22password%22%3A%22hunter7%22%7D+masked-marker'), "rules")
        check("hunter7" not in json.dumps(inside["rules"]) and
              inside["rules"][0]["sent_bytes"] == 50 and "sent" not in inside["rules"][0],
              f"a secret inside a value: {inside}")
        # A link of a chain that looks at what another one has found shows no more than that one may.
        for event in (event_of("/", "-H", "Authorization: Bearer chained-secret1", "-H", "X-Api-Key: c1"),
                      event_of("/", "-b", "sid=chained-secret2", "-H", "X-Api-Key: c2"),
                      event_of("/?pin=chained-secret3")):
            chained = told(event, "rules")
            check("chained-secret" not in json.dumps(chained["rules"]) and
                  chained["rules"][0]["value_bytes"] > 10, f"a chain shows a secret: {chained}")
        json_body = told(event_of("/", "-H", "Content-Type: application/json", "-d",
                                  r'{"a":["x",{"q":"\u0065vil-marker"}]}'), "rules")
        check(json_body["rules"][0]["sent"] == r"\u0065vil-marker", f"JSON as sent: {json_body}")
        lab.curl("/", "-H", "X-Api-Key: k", "-H", "X-Seen: own")
        limited = told(event_of("/", "-H", "X-Api-Key: k"), "limit")
        check(limited["records"][0]["sluice"]["limit"] == "slow", f"which limit: {limited}")
        check(limited["limit"] == {"name": "slow", "key": ["header:x-api-key"], "rate": "1/min",
                                   "burst": 1, "prefix": {"ipv4": 32, "ipv6": 64},
                                   "action": "block", "on_full": "deny"}, f"how it is set: {limited}")
        shown = lab.ctl("explain", limited["event_id"]).stdout
        check("slow: 1/min, burst 1, for each header:x-api-key" in shown, f"for people: {shown}")
        check("limit slow" in lab.ctl("events", "--reason", "limit").stdout, "events name no limit")
        head = (b"GET / HTTP/1.1\r\nHost: x\r\nCookie: a=b\r\nContent-Length: 1\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n")
        refused = told(raw_event(head), "http_cl_and_te")
        kept = refused["records"][0]["sluice"]["refused"]
        check(kept == {"at": len(head), "from": 0, "head": head.decode().replace(" a=b", "***")},
              f"the head that was refused: {kept}")
        shown = lab.ctl("explain", refused["event_id"]).stdout
        check("Transfer-Encoding: chunked" in shown, f"for people: {shown}")
        told(raw_event(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1x\r\n\r\na"), "http_cl_bad")
        for _ in range(2):
            lab.curl("/", "-H", "X-Seen: k", "-H", f"X-Api-Key: own{next(unique)}")
        tls = lab.socket("client")
        tls.settimeout(3)
        tls.connect((SERVER4, 80))
        tls.sendall(bytes.fromhex("160301002a010000260303") + bytes(36))

        def record_of(reason):
            return wait_for(lambda: next((e["sluice"]["event_id"] for e in lab.events("alert")
                                          if e["sluice"]["reason"] == reason and
                                          (reason != "limit" or e["sluice"]["verdict"] == "monitor")),
                                         None), 5, f"a record of {reason}")
        hello = told(record_of("tls_uninspected"), "tls_uninspected")["records"][0]["sluice"]["refused"]
        check(hello["at"] == 0 and hello["head"].startswith("\x16\x03\x01"), f"what came: {hello}")
        told(record_of("limit"), "limit", "monitor")
        tls.close()


def files_rotate_and_stay_bounded():
    extra = "events: { rotate: { size: 64KiB }, keep: { size: 256KiB } }\n"
    with Lab("rotate", rules=RULES, extra=extra) as lab:
        lab.push()
        lab.client("wrk", "-t1", "-c8", "-d4s", f"http://{SERVER4}/index.html")
        time.sleep(1.5)
        files = list((lab.home / "log").glob("eve.json*"))
        size = sum(f.stat().st_size for f in files)
        figure("records kept", size, f"bytes in {len(files)} files")
        check(any(f.name != "eve.json" for f in files), f"no rotation: {files}")
        check(size <= (256 + 2 * 64) * 1024, f"{size} bytes kept, 256 KiB wanted")


def a_full_disk_loses_records_and_nothing_else():
    with Lab("full", rules=RULES, daemon=False) as lab:
        log = lab.home / "log"
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "sluice-test", log], check=True)
        try:
            lab.start_daemon()
            lab.push()
            done = lab.client("wrk", "-t1", "-c8", "-d4s", f"http://{SERVER4}/index.html").stdout
            check("Non-2xx" not in done and "Socket errors" not in done, f"requests failed: {done}")
            check(lab.curl("/?q=evil-marker")[0] == 403, "no longer blocking")
            lost = wait_for(lambda: lab.ctl_json("status")["records"]["lost"], 5, "lost records")
            figure("records lost on a full disk", lost)
            check(lab.daemon.poll() is None, "sluiced ended")
            for line in (log / "eve.json").read_text().splitlines():
                json.loads(line)  # no half line
            lab.write_rules(RULES.replace("1001", "1002"))
            lab.push()
            check(lab.curl("/?q=evil-marker")[0] == 403, "a push on a full disk")
        finally:
            lab.stop(lab.daemon)
            subprocess.run(["umount", log], check=True)


def sampled_records_keep_every_verdict():
    extra = "events: { sample: 1/10 }\n"
    with Lab("sample", rules=RULES, extra=extra) as lab:
        lab.push()
        for i in range(60):
            lab.curl(f"/?n={i}")
        for i in range(5):
            check(lab.curl(f"/?q=evil-marker{i}")[0] == 403, "not blocked")
        wait_for(lambda: len(lab.events("alert")) == 5, 5, "five verdicts")
        time.sleep(0.5)
        honest = [e for e in lab.events("http") if e["sluice"]["verdict"] == "pass"]
        figure("honest records of 60", len(honest))
        check(2 <= len(honest) <= 12, f"{len(honest)} of 60 records at 1/10")


def metrics_speak_prometheus():
    with Lab("metrics", rules=RULES) as lab:
        lab.config.write_text(lab.config.read_text().replace('listen: "off"',
                                                             'listen: "127.0.0.1:9464"'))
        lab.stop(lab.daemon)
        lab.start_daemon()
        lab.push()
        lab.curl("/")
        lab.curl("/?q=evil-marker")

        def text():
            return lab.in_namespace("middle", "curl", "-s", "http://127.0.0.1:9464/metrics").stdout
        wait_for(lambda: re.search(
            r'sluice_requests_total\{service="web",verdict="block",reason="rules"\} 1\b', text()),
            5, "the blocked request")
        for name in ("sluice_packets_total", "sluice_drops_total", "sluice_rule_hits_total",
                     "sluice_events_dropped_total", "sluice_flows", "sluice_held_bytes",
                     "sluice_generation", "sluice_added_latency_seconds_bucket",
                     "sluice_stage_cycles_total", "sluice_scans_total", "sluice_build_info"):
            check(f"\n{name}{{" in text(), f"no {name}")


def a_gap_is_counted_after_a_kill():
    """What did not fit into the rings while sluiced was dead is a number in its records: every
    transaction is either recorded or counted there."""
    with Lab("gap", rules=RULES, flows_max=65536, pool_mb=128) as lab:
        lab.push()
        long_value = "v" * 900
        load = ["wrk", "-t", "1", "-c", "40", "-H", f"User-Agent: {long_value}", "-H",
                f"Host: {'h' * 200}", f"http://{SERVER4}/1k.bin?a={long_value}"]
        busy = lab.start("client", *load, "-d", "8s", log="wrk.log")
        time.sleep(1)
        lab.kill(lab.daemon)
        busy.wait(30)
        lab.start_daemon()

        def gaps():
            return [e for e in lab.events("audit") if e["audit"]["action"] == "events.gap"]
        gap = wait_for(gaps, 5, "the gap in the records")
        check(len(gap) == 1 and gap[0]["audit"]["result"] == "lost", f"{gap}")
        lost = int(gap[0]["audit"]["detail"].split()[0])
        workers = lab.ctl_json("counters")["workers"]
        requests = sum(worker["requests"] for worker in workers)
        dropped = sum(worker["events_dropped"]["http"] for worker in workers)
        check(0 < lost <= dropped, f"{dropped} records did not fit: {gap}")

        def recorded():
            return len({e["sluice"]["event_id"] for e in lab.events("http")})
        end = time.monotonic() + 20
        while recorded() < requests - dropped and time.monotonic() < end:
            time.sleep(0.5)
        figure("records", recorded(), f"of {requests} requests, {dropped} did not fit, {lost} of them "
               "while sluiced was away")
        check(recorded() == requests - dropped, "a record is neither written nor counted")
        check(lab.curl("/?q=evil-marker")[0] == 403, "no longer blocking")
        wait_for(lambda: lab.events("alert"), 5, "records go on")
        # Told once: another start has lost nothing more.
        lab.kill(lab.daemon)
        lab.start_daemon()
        time.sleep(0.5)
        check(len(gaps()) == 1, "the gap is told twice")


if __name__ == "__main__":
    main(one_http_record_for_each_transaction, secrets_are_masked,
         explain_tells_all_also_after_restart_and_rotation,
         explain_answers_for_every_kind_of_verdict, files_rotate_and_stay_bounded,
         a_full_disk_loses_records_and_nothing_else, sampled_records_keep_every_verdict,
         metrics_speak_prometheus, a_gap_is_counted_after_a_kill)
