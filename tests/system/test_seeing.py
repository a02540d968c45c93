# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""What operators look at: top and counters in a real terminal, events with filters, the report in
a real browser."""
import json
import re
import shlex
import shutil
import subprocess
import tempfile
import time

from lab import BUILD, SERVER4, SERVER6, Lab, check, figure, main, wait_for

RULES = r'''
SecRule ARGS "@contains evil-marker" "id:1001,phase:2,deny,status:403,msg:'marker'"
SecRule ARGS "@contains odd-marker" "id:1002,phase:2,pass,log,msg:'odd'"
'''
POLICY = """
mode: block
rules: {{ include: [{home}/rules.conf] }}
services:
  - name: web
    addresses: [{server4}, "{server6}"]
    ports: [80]
    limits:
      - {{ name: per-key, key: ["header:x-api-key"], rate: 1/min, burst: 1, action: block }}
"""
HONEST, ATTACKS, LIMITED = 40, 7, 3


def traffic(lab):
    for i in range(HONEST):
        check(lab.curl(f"/index.html?n={i}", "-H", f"X-Api-Key: own{i}")[0] == 200, "an honest request failed")
    for i in range(ATTACKS):
        check(lab.curl("/api/orders/7?q=evil-marker", "-H", f"X-Api-Key: bad{i}")[0] == 403, "not blocked")
    for i in range(LIMITED + 1):
        check(lab.curl("/", "-H", "X-Api-Key: k")[0] == (429 if i else 200), "not limited")
    total = HONEST + ATTACKS + LIMITED + 1
    wait_for(lambda: len(lab.events("http")) >= total, 5, "the records")
    return total


class Terminal:
    """A command in a terminal of 100 by 40."""

    def __init__(self, lab, *words):
        self.socket = lab.home / f"tmux-{words[0]}"
        command = shlex.join([str(BUILD / "controlplane/ctl/sluicectl"), "--config",
                              str(lab.config), *words])
        self._tmux("new-session", "-d", "-x", "100", "-y", "40", command)

    def _tmux(self, *words):
        return subprocess.run(["tmux", "-S", str(self.socket), "-f", "/dev/null", *words],
                              text=True, capture_output=True, check=True).stdout

    def screen(self):
        return self._tmux("capture-pane", "-p")

    def close(self):
        self._tmux("kill-server")


def top_and_counters_refresh_in_a_terminal():
    if shutil.which("tmux") is None:
        subprocess.run(["apt-get", "-qq", "install", "-y", "tmux"], check=True)
    with Lab("top", rules=RULES, policy=POLICY) as lab:
        lab.push()
        traffic(lab)
        screen = Terminal(lab, "top", "--interval", "0.2")
        try:
            for words in ("10.77.0.1", "GET /index.html", "GET /api/orders", "1001", "rules",
                          "limit", "web"):
                wait_for(lambda: words in screen.screen(), 5, f"{words} in top", 0.1)
            first = screen.screen()
            check(first.splitlines()[0].startswith("51 requests, 10 blocked"), first)
            check(re.search(r"^ *1001 +7 +7", first, re.M), f"no count of the rule: {first}")
            check(re.search(r"p99 \d+ us", first), f"no latency: {first}")
            for i in range(5):
                lab.curl("/index.html", "-H", f"X-Api-Key: more{i}")
            wait_for(lambda: screen.screen().startswith("56 requests"), 5, "top refreshes", 0.1)
            wait_for(lambda: re.search(r" [1-9]\d*\.\d/s| 0\.[1-9]/s", screen.screen()), 15,
                     "a rate", 0.2)
        finally:
            screen.close()
        screen = Terminal(lab, "counters", "--watch", "--interval", "0.2")
        try:
            def requests():
                found = re.search(r"^requests .* (\d+)$", screen.screen(), re.M)
                return int(found.group(1)) if found else 0
            wait_for(lambda: requests() == 56, 5, "counters", 0.1)
            lab.curl("/index.html", "-H", "X-Api-Key: last")
            wait_for(lambda: requests() == 57, 5, "counters refresh", 0.1)
            lab.stop(lab.daemon)
            wait_for(lambda: "control.sock" in screen.screen(), 5, "a word on the lost daemon", 0.1)
            lab.start_daemon()
            wait_for(lambda: requests() == 57 and "control.sock" not in screen.screen(), 5,
                     "counters go on behind a restart of sluiced", 0.1)
        finally:
            screen.close()
        counted = lab.ctl_json("counters", "--cycles")
        blocked = {(r["verdict"], r["reason"]): r["count"] for r in counted["requests"]}
        check(blocked == {("pass", "none"): 47, ("block", "rules"): 7, ("block", "limit"): 3},
              f"requests by verdict and reason: {blocked}")
        for stage in ("idle", "observe", "receive", "parse", "flow", "stream", "http", "limit", "rules",
                      "events", "transmit", "timers"):
            check(sum(w["cycles"][stage] for w in counted["workers"]) > 0, f"no cycles of {stage}")
        check(counted["limit_table"]["entries"] == 1 << 20, f"limit table: {counted['limit_table']}")
        frames = counted["buffers"]["frames"]
        check(0 < frames["free"] <= frames["all"], f"buffers: {frames}")


def events_are_followed_and_filtered():
    with Lab("events", rules=RULES, policy=POLICY) as lab:
        lab.push()
        out = lab.home / "followed"
        with open(out, "w") as into:
            follow = subprocess.Popen(
                [str(BUILD / "controlplane/ctl/sluicectl"), "--config", str(lab.config), "--json",
                 "events", "--follow", "--type", "alert", "--reason", "limit"], stdout=into)
        try:
            traffic(lab)

            def followed():
                return [json.loads(line) for line in out.read_text().splitlines()]
            wait_for(lambda: len(followed()) == LIMITED, 5, "the limited ones are followed", 0.1)
            check(all(e["sluice"]["limit"] == "per-key" for e in followed()), "another event")
            # Through a rotation and a restart of sluiced.
            lab.stop(lab.daemon)
            (lab.home / "log/eve.json").rename(lab.home / "log/eve.json.1")
            lab.start_daemon()
            lab.curl("/", "-H", "X-Api-Key: k")
            wait_for(lambda: len(followed()) == LIMITED + 1, 5, "followed through a rotation", 0.1)
        finally:
            follow.terminate()
            follow.wait()

        def count(*words):
            return len(lab.ctl("--json", "events", *words).stdout.splitlines())
        check(count("--type", "alert", "--rule", "1001") == ATTACKS, "by rule")
        check(count("--type", "http", "--verdict", "block") == ATTACKS + LIMITED + 1, "by verdict")
        check(count("--type", "http", "--verdict", "pass", "--limit", "5") == 5, "the newest five")
        check(count("--type", "http", "--service", "none-such") == 0, "by service")
        check(count("--type", "alert", "--client", "10.77.0.1", "--since", "1h") ==
              ATTACKS + LIMITED + 1, "by client")
        for prefix, expected in (("10.77.0.0/24", ATTACKS + LIMITED + 1), ("10.77.0.0/31", ATTACKS + LIMITED + 1),
                                 ("10.77.0.2/31", 0), ("fd77::/16", 0)):
            check(count("--type", "alert", "--client", prefix) == expected, f"by the prefix {prefix}")
        check(lab.curl("/?q=evil-marker", server=SERVER6)[0] == 403, "not blocked over IPv6")
        wait_for(lambda: count("--type", "alert", "--client", "FD77:0::1") == 1, 5,
                 "by an address in another form", 0.1)
        check(count("--type", "alert", "--client", "fd77::/16") == 1, "by a prefix of IPv6")
        check(count("--type", "audit") >= 2, "push and start in the audit")
        check(lab.ctl("events", "--since", "soon", check=False).returncode == 2, "a bad time")


def figures_of(page):
    """The figures that a page shows, by their id, as a reader sees them."""
    return {name: value.replace(",", "") for name, value in
            re.findall(r'<b id="?([\w-]+)"?>([^<]*)</b>', page)}


def a_browser_shows_the_report():
    with Lab("report", rules=RULES, policy=POLICY) as lab, \
            tempfile.TemporaryDirectory() as profile:
        lab.push()
        total = traffic(lab)
        page = lab.home / "report.html"
        lab.ctl("report", "--since", "1h", "--output", page)
        source = page.read_text()
        check("http://" not in source.replace("http://www.w3.org/", "") and "@import" not in source,
              "the page names something elsewhere")
        browser = ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu",
                   "--disable-dev-shm-usage", f"--user-data-dir={profile}",
                   "--virtual-time-budget=2000"]
        began = time.monotonic()
        shown = subprocess.run([*browser, "--dump-dom", page.as_uri()], text=True,
                               capture_output=True, timeout=90, check=True).stdout
        figure("a browser opens the report", f"{time.monotonic() - began:.1f}", "s")
        figures = figures_of(shown)
        check(figures["requests"] == str(total) and figures["blocked"] == str(ATTACKS + LIMITED),
              f"the figures: {figures}")
        check(re.search(r"\d (us|ms|s)$", figures["duration-p99"]), f"the figures: {figures}")
        check(not re.search(r"<(script|link|img|iframe)\b", shown), "more than one page")
        plotted = dict(re.findall(r'<svg id="?([\w-]+)"?[^>]* data-total="?(\d+)', shown))
        check(plotted.get("verdicts-plot") == str(total), f"the plots: {plotted}")
        check(int(plotted["duration-plot"]) > 0 and "added-plot" in plotted, f"{plotted}")
        drawn = sum(int(n) for n in re.findall(r"<title>(\d+) (?:pass|block|monitor)", shown))
        check(drawn == total, f"{drawn} requests in the bars, {total} made")
        text = re.sub(r"<[^>]*>", " ", shown)
        for words in ("10.77.0.1", "GET /index.html", "GET /api/orders", "1001", "limit", "per-key"):
            check(words in text, f"no {words} on the page")
        again = lab.ctl_json("report", "--since", "1h")
        check(again["requests"] == total and again["blocked"] == ATTACKS + LIMITED, f"{again}")


if __name__ == "__main__":
    main(top_and_counters_refresh_in_a_terminal, events_are_followed_and_filtered,
         a_browser_shows_the_report)
