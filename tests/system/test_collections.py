# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""Persistent collections through the wire: counted exactly over workers, kept over pushes and
restarts of either process, ended by expirevar."""
import time

from lab import SERVER4, Lab, check, figure, main, wait_for

REQUESTS_MAX = 100
RULES = f"""
SecRuleEngine On
SecAction "id:1,phase:1,nolog,pass,initcol:ip=%{{REMOTE_ADDR}}_%{{REQUEST_HEADERS.X-Run}}"
SecAction "id:2,phase:1,nolog,pass,setvar:ip.count=+1,expirevar:ip.count=600"
SecRule IP:count "@gt {REQUESTS_MAX}" "id:3,phase:1,deny,status:429,log,msg:'too many requests'"
SecRule REQUEST_FILENAME "@streq /short" \\
  "id:4,phase:1,nolog,pass,setvar:ip.short=+1,expirevar:ip.short=2"
SecRule IP:short "@gt 1" "id:5,phase:1,deny,status:403,log,msg:'too soon'"
"""


def send(lab, run, count, parallel=8):
    """The statuses of `count` requests, each over a connection of its own."""
    done = lab.client("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}\n", "-H", f"X-Run: {run}",
                      "-H", "Connection: close", "-Z", "--parallel-max", parallel,
                      f"http://{SERVER4}/index.html?n=[1-{count}]")
    return done.stdout.split()


def requests_by_worker(lab):
    return [worker["requests"] for worker in lab.ctl_json("counters")["workers"]]


def blocks_the_next_request_on_both_workers():
    with Lab("collections", workers=2, rules=RULES) as lab:
        lab.push()
        statuses = send(lab, "a", 3 * REQUESTS_MAX)
        passed = statuses.count("200")
        figure("passed", passed, f"of {len(statuses)} over {requests_by_worker(lab)} by worker")
        check(len(statuses) == 3 * REQUESTS_MAX, f"{len(statuses)} answers")
        check(passed == REQUESTS_MAX, f"{passed} requests passed, not {REQUESTS_MAX}")
        check(statuses.count("429") == 2 * REQUESTS_MAX, f"other answers: {set(statuses)}")
        # All are refused now, whichever worker has the connection.
        before = requests_by_worker(lab)
        wait_for(lambda: set(send(lab, "a", 20)) == {"429"} and
                 all(b > a for a, b in zip(before, requests_by_worker(lab))), 20,
                 "both workers refuse")
        check(send(lab, "b", 1) == ["200"], "another collection is full too")
        record = wait_for(lambda: lab.events("alert"), 5, "the event")[0]
        check("IP:count" in str(record), "the event does not name the member")


def keeps_counts_over_pushes_and_restarts():
    with Lab("collections-kept", workers=2, rules=RULES) as lab:
        lab.push()
        part = REQUESTS_MAX // 5
        check(send(lab, "a", part) == ["200"] * part, "the first part")
        lab.push()
        check(send(lab, "a", part) == ["200"] * part, "the second, behind a push")
        lab.kill(lab.dataplane)
        lab.start_dataplane()
        check(send(lab, "a", part) == ["200"] * part, "the third, behind a crash of the dataplane")
        lab.stop(lab.dataplane)
        lab.start_dataplane()
        check(send(lab, "a", part) == ["200"] * part, "the fourth, behind a restart of it")
        lab.kill(lab.daemon)
        lab.start_daemon()
        statuses = send(lab, "a", 2 * part)
        check(statuses.count("200") == part and statuses.count("429") == part,
              f"the last: {statuses.count('200')} passed, not {part}")
        updates = sum(worker["collection_updates"]
                      for worker in lab.ctl_json("counters")["workers"])
        check(updates >= 2 * part, f"{updates} updates counted")


def a_member_ends_by_expirevar():
    with Lab("collections-expire", workers=2, rules=RULES) as lab:
        lab.push()
        check(lab.curl("/short", "-H", "X-Run: s")[0] != 403, "the first was refused")
        check(lab.curl("/short", "-H", "X-Run: s")[0] == 403, "the second was not refused")
        time.sleep(2.1)
        check(lab.curl("/short", "-H", "X-Run: s")[0] != 403, "refused behind its end")


if __name__ == "__main__":
    main(blocks_the_next_request_on_both_workers, keeps_counts_over_pushes_and_restarts,
         a_member_ends_by_expirevar)
