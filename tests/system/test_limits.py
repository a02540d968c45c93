# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""Per-client limits through the wire: exact over time, workers, pushes and restarts."""

import re
import time

from lab import SERVER4, Lab, check, figure, main, short_form, wait_for

POLICY = """
mode: block
rules: {{ include: [{home}/rules.conf] }}
services:
  - name: web
    addresses: [{server4}, "{server6}"]
    ports: [80]
    %s
    limits:
      - %s
"""


def policy(limit, extra=""):
    return POLICY % tuple(text.replace("{", "{{").replace("}", "}}") for text in (extra, limit))


def admitted(lab):
    """Requests that nginx has answered, and when the first and the last came (its own clock)."""
    times = [float(line.split()[0]) for line in
             (lab.home / "admitted.log").read_text().splitlines() if line.strip()]
    return len(times), (times[-1] - times[0] if times else 0.0)


class LimitLab(Lab):
    """A laboratory whose nginx notes the time of each request."""

    def start_nginx(self):
        super().start_nginx()
        conf = self.home / "nginx.conf"
        conf.write_text(conf.read_text().replace(
            "access_log {}/access.log combined buffer=64k flush=1s;".format(self.home),
            "log_format moment '$msec $request_uri'; "
            f"access_log {self.home}/admitted.log moment;"))
        self.stop(self.nginx)
        self.nginx = self.start("server", "nginx", "-p", self.home, "-c", conf,
                                "-e", self.home / "nginx-error.log", log="nginx.log")
        wait_for(lambda: self.in_namespace("server", "curl", "-sf", "-o", "/dev/null",
                                           f"http://{SERVER4}/", check=False).returncode == 0,
                 10, "nginx answers")
        (self.home / "admitted.log").write_text("")


def load(lab, seconds, rate_hint=4):
    """wrk against one key for `seconds`, in the background."""
    return lab.start("client", "wrk", "-t1", f"-c{rate_hint * 4}", f"-d{seconds}s",
                     f"http://{SERVER4}/index.html", log="wrk.log")


def exact_across_workers_and_pushes():
    """burst + N * T within 1 %, four workers sharing one key, while generations change."""
    seconds, rate, burst = (11 if short_form() else 40), 200, 100
    limit = f"{{ name: all, key: [service], rate: {rate}/s, burst: {burst}, action: block }}"
    with LimitLab("limit", workers=4, pool_mb=96, policy=policy(limit)) as lab:
        lab.push()
        wrk = load(lab, seconds)
        pushes = 0
        while wrk.poll() is None:
            time.sleep(1)
            lab.push()
            pushes += 1
            if pushes == 5:
                lab.stop(lab.daemon)
                lab.start_daemon()
        count, span = admitted(lab)
        expected = burst + rate * span
        figure("admitted", count, f"in {span:.2f} s, expected {expected:.0f}, {pushes} pushes")
        check(rate * span >= 2000, f"the run was too short: {span} s")
        check(abs(count - expected) <= 0.01 * expected, f"admitted {count}, expected {expected:.0f}")


def never_more_across_a_restart():
    seconds, rate, burst = 12, 200, 100
    limit = f"{{ name: all, key: [service], rate: {rate}/s, burst: {burst}, action: block }}"
    with LimitLab("restart", workers=2, policy=policy(limit)) as lab:
        lab.push()
        began = time.monotonic()
        wrk = load(lab, seconds)
        time.sleep(4)
        down = time.monotonic()
        lab.kill(lab.dataplane)
        lab.start_dataplane()
        down = time.monotonic() - down
        wrk.wait()
        # Never above what the time from before the first request to after the last one admits (nginx notes
        # a request when it is done, too late for a bound); below by what the time down would have admitted.
        most = burst + rate * (time.monotonic() - began)
        count, span = admitted(lab)
        least = burst + rate * (span - down)
        figure("admitted across a restart", count, f"in {span:.2f} s, down {down:.2f} s")
        check(count <= most, f"admitted {count}, at most {most:.0f}")
        check(count >= 0.99 * least, f"admitted {count}, at least {least:.0f}")


def retry_after_is_exact():
    limit = "{ name: slow, key: [client_address], rate: 12/min, burst: 1, action: block }"
    with Lab("retry", policy=policy(limit)) as lab:
        lab.push()
        check(lab.curl("/")[0] == 200, "the first request was not admitted")
        status, body = lab.curl("/", "-i")
        check(status == 429, f"the second got {status}")
        wait = int(re.search(r"(?i)retry-after: (\d+)", body).group(1))
        check(4 <= wait <= 5, f"Retry-After {wait} of a request every 5 s")
        event = re.search(r"X-Sluice-Event: (\S+)", body).group(1)
        check("application/problem+json" in body, "not a problem document")
        time.sleep(max(0, wait - 1.5))
        check(lab.curl("/")[0] == 429, "admitted before its time")
        time.sleep(1.6)
        check(lab.curl("/")[0] == 200, "not admitted after Retry-After")
        record = wait_for(lambda: next((e for e in lab.events("alert")
                                        if e["sluice"]["event_id"] == event), None), 5, "the event")
        check(record["sluice"]["reason"] == "limit", f"reason {record['sluice']['reason']}")
        check("slow" in str(record), "the event does not name the limit")


def keys_are_told_apart():
    """Header, cookie, route, forwarded address: one bucket for each value and no way around it."""
    limits = """{ name: key, key: ["header:x-api-key"], rate: 1/min, burst: 1, action: block }
      - { name: cookie, key: ["cookie:session", route], rate: 1/min, burst: 2, action: block }"""
    with Lab("keys", policy=policy(limits)) as lab:
        lab.push()
        def get(path, *words):
            return lab.curl(path, *words)[0]
        check(get("/a", "-H", "X-Api-Key: one", "-b", "session=s1") != 429, "first of key one")
        check(get("/a", "-H", "X-Api-Key: one", "-b", "session=s2") == 429, "second of key one")
        check(get("/a", "-H", "X-Api-Key: two", "-b", "session=s1") != 429, "first of key two")
        check(get("//a", "-H", "X-Api-Key: three", "-b", "session=s1") == 429,
              "a third of one session on one route, spelled otherwise")
        check(get("/b", "-H", "X-Api-Key: four", "-b", "session=s1") != 429, "another route")
        check(get("/c", "-b", "session=s9") != 429, "first without a key")
        check(get("/d", "-b", "session=s8") == 429, "second without a key")
        check(get("/e", "-H", "X-Api-Key: x", "-H", "X-Api-Key: y", "-b", "session=s7") == 429,
              "a repeated header is no key of its own")


def forwarded_address_of_a_trusted_proxy():
    limit = "{ name: client, key: [client_address], rate: 1/min, burst: 1, action: block }"
    trusted = "client_address: { header: x-forwarded-for, trusted: [10.77.0.0/24], position: last }"
    with Lab("xff", policy=policy(limit, trusted)) as lab:
        lab.push()
        def get(value):
            return lab.curl("/", "-H", f"X-Forwarded-For: {value}")[0]
        check(get("198.51.100.1") == 200, "first client")
        check(get("198.51.100.2") == 200, "second client")
        check(get("198.51.100.1") == 429, "first client again")
        check(get("6.6.6.6, 198.51.100.2") == 429, "a forged left part")
        check(get("2001:db8::1") == 200, "first client of an IPv6 network")
        check(get("2001:db8::ffff") == 429, "another address of its /64")
        check(get("2001:db8:0:1::1") == 200, "another /64")


def counts_stay_with_their_names():
    """A push moves a limit and a service to other places: what is counted is read under its own name."""
    limit = "{{{{ name: {}, key: [service], rate: 1/h, burst: 9, action: block }}}}"
    service = "  - {{{{ name: {0}, addresses: [{{server4}}], ports: [80], hosts: [{0}.test], limits: [{1}] }}}}\n"
    first = service.format("one", limit.format("first"))
    moved = service.format("two", limit.format("other")) + first
    with Lab("names", policy="services:\n" + first, metrics="127.0.0.1:9464") as lab:
        lab.push()

        def counted():
            told = lab.in_namespace("middle", "curl", "-s", "http://127.0.0.1:9464/metrics").stdout
            sums = {}
            for name, labels, value in re.findall(r"^(sluice_(?:requests|limit_decisions)_total)\{(.*)\} (\d+)$", told, re.M):
                key = re.search(r'(?:service|limit)="(.*?)"', labels).group(1)
                if 'decision="limited"' not in labels and 'decision="full"' not in labels:
                    sums[key] = sums.get(key, 0) + int(value)
            return sums
        for _ in range(3):
            check(lab.curl("/", "-H", "Host: one.test")[0] == 200, "an honest request")
        check(counted()["one"] == counted()["one/first"] == 3, f"counted {counted()}")
        lab.write_policy("services:\n" + moved)
        lab.push()
        lab.curl("/", "-H", "Host: two.test")
        check(lab.curl("/", "-H", "Host: one.test")[0] == 200, "an honest request")
        check(counted() == {"one": 1, "two": 1, "one/first": 1, "two/other": 1}, f"counted {counted()}")
        lab.push()
        check(counted() == {"one": 1, "two": 1, "one/first": 1, "two/other": 1}, f"the same again: {counted()}")


def monitored_limits_only_report():
    limit = "{ name: watched, key: [service], rate: 1/min, burst: 1, action: monitor }"
    with Lab("monitor", policy=policy(limit)) as lab:
        lab.push()
        for _ in range(3):
            check(lab.curl("/")[0] == 200, "a monitored limit blocked")
        seen = wait_for(lambda: [e for e in lab.events()
                                 if e.get("sluice", {}).get("reason") == "limit"], 5, "the report")
        check(all(e["sluice"]["verdict"] == "monitor" for e in seen), "verdict is not monitor")


# Each request of `filler` puts 16 keys that nobody has used into the table.
NEW_KEYS = """
local count = 0
request = function()
  count = count + 1
  return wrk.format("GET", "/index.html", {Host = "open.test", ["X-Api-Key"] = "filler-" .. count})
end
"""


def service(host, on_full):
    """16 limits, so that a request meets 16 sets of the table."""
    return f"  - name: {on_full}\n    addresses: [{{server4}}]\n    ports: [80]\n    hosts: [{host}]\n    limits:\n" + "".join(
        f'      - {{{{ name: {on_full}-{i}, key: ["header:x-api-key"], rate: 1/h, burst: 1, on_full: {on_full} }}}}\n'
        for i in range(16))


def a_full_table_does_what_on_full_says():
    """So many keys that sets of the table are full: new ones of these are refused, or admitted
    uncounted; those that are counted already are judged as before, whatever on_full says."""
    # 480,000 keys for 131,072 sets of 8: one of 16 new ones meets a full set in 2 of 5 cases.
    requests, tried = 30_000, 40
    text = "mode: block\nservices:\n" + service("closed.test", "deny") + service("open.test", "allow")
    with Lab("full", policy=text, metrics="127.0.0.1:9464") as lab:
        lab.push()

        def ask(host, key):
            with lab.socket("client") as peer:
                peer.settimeout(10)
                peer.connect((SERVER4, 80))
                peer.sendall(f"GET /index.html HTTP/1.1\r\nHost: {host}\r\nX-Api-Key: {key}\r\n\r\n".encode())
                head = peer.recv(4000).decode()
            event = re.search(r"X-Sluice-Event: (\S+)", head)
            return int(head.split()[1]), event and event.group(1)

        def decided(kind):
            told = lab.in_namespace("middle", "curl", "-s", "http://127.0.0.1:9464/metrics").stdout
            return sum(int(line.split()[-1]) for line in told.splitlines()
                       if line.startswith("sluice_limit_decisions_total") and f'decision="{kind}"' in line)
        for host in ("closed.test", "open.test"):
            check(ask(host, "known")[0] == 200, "a key is refused while the table is empty")
            check(ask(host, "known")[0] == 429, "the same key again is admitted")
        (lab.home / "keys.lua").write_text(NEW_KEYS)
        wrk = lab.start("client", "wrk", "-t1", "-c32", "-d120s", "-s", lab.home / "keys.lua",
                        f"http://{SERVER4}/", log="wrk.log")
        wait_for(lambda: decided("allowed") + decided("full") >= requests * 16, 110, "the table is filled", 0.5)
        lab.stop(wrk)
        check(decided("full") > 0, "no set of the table was full")
        full = decided("full")
        closed = [ask("closed.test", f"closed-{i}") for i in range(tried)]
        events = {event for status, event in closed if status == 429}
        check(len(events) > tried / 10, f"on_full: deny admits: {closed}")
        opened = [ask("open.test", f"open-{i}") for i in range(tried)]
        check({status for status, _ in opened} == {200}, f"on_full: allow refuses: {opened}")
        check(decided("full") > full, "what on_full decided is not counted")
        for host in ("closed.test", "open.test"):
            check(ask(host, "known")[0] == 429, "a full table forgets who is in it")
        def reasons():
            found = {e["sluice"]["reason"] for e in lab.events("alert") if e["sluice"]["event_id"] in events}
            return found or None
        check(wait_for(reasons, 5, "the records") == {"limit_table_full"}, f"reasons: {reasons()}")
        figure("decisions without a free entry", full, f"of {decided('allowed') + full}")


if __name__ == "__main__":
    main(exact_across_workers_and_pushes, never_more_across_a_restart, retry_after_is_exact,
         keys_are_told_apart, forwarded_address_of_a_trusted_proxy, monitored_limits_only_report,
         a_full_table_does_what_on_full_says, counts_stay_with_their_names)
