#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""Two instances side by side, each with its own rules, memory and records."""
import lab

RULES = 'SecRule ARGS "@contains {}-marker" "id:{},phase:2,deny,status:403,msg:\'one of two\'"\n'


def two_side_by_side():
    with lab.Lab("first", rules=RULES.format("first", 1), instance="first") as one, \
            lab.Lab("second", rules=RULES.format("second", 2), instance="second") as two:
        one.push()
        two.push()
        for it, own, other in ((one, "first", "second"), (two, "second", "first")):
            lab.check(it.curl(f"/?q={own}-marker")[0] == 403, f"{own} does not stop its own")
            lab.check(it.curl(f"/?q={other}-marker")[0] == 200, f"{own} stops the other's")
        one.stop(one.dataplane)
        lab.check(two.curl("/?q=second-marker")[0] == 403, "the second went with the first")
        lab.check(one.curl("/", timeout=2)[0] == 0, "the first's link carries without it")


def one_of_each_name():
    with lab.Lab("double", on_failure="bypass", daemon=False, nginx=False) as it:
        again = it.start("middle", lab.BUILD / "dataplane/worker/sluice-dataplane", "--config",
                         it.config, log="again.log")
        lab.check(again.wait(20) == 1, "a second dataplane of one instance runs")
        text = (it.home / "again.log").read_text()
        lab.check("runs already" in text, text)


if __name__ == "__main__":
    lab.main(two_side_by_side, one_of_each_name)
