#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""compare.py ORACLE-BATCH RULES-FOLDER [COUNT [SEED]]: random requests around the rules of a folder
through libmodsecurity and through our engine, which must log the same rules and add up the same
scores.

The rules run at paranoia level 4, detection only, with REQUEST_BODY forced: docs/seclang.md says
where we depart from the reference on purpose. Prints each difference with its request.
"""
import base64
import json
import os
import pathlib
import subprocess
import sys
import tempfile

from requests_around import requests

SETTINGS = """
SecRuleEngine DetectionOnly
SecRequestBodyAccess On
SecRule REQUEST_HEADERS:Content-Type "^(?:application(?:/soap\\+|/)|text/)xml" \\
  "id:1,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML"
SecRule REQUEST_HEADERS:Content-Type "^application/json" \\
  "id:2,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"
SecAction "id:3,phase:1,nolog,pass,t:none,ctl:forceRequestBodyVariable=On,setvar:tx.paranoia_level=4"
SecAction "id:4,phase:1,nolog,pass,t:none,setvar:tx.blocking_paranoia_level=4,\\
  setvar:tx.detection_paranoia_level=4,setvar:tx.crs_validate_utf8_encoding=1"
Include /etc/modsecurity/crs/crs-setup.conf
Include {folder}/*.conf
"""
# Phase 5, which the reference's harness does not ask for; a chain on MATCHED_VAR, whose value is the
# last match in the order of the reference's hash table; and one on MATCHED_VARS, which there still
# has the matches of rules before it (docs/seclang.md, "Rules").
PHASE_5 = set(range(980000, 981000))
NOT_COMPARED = {932200, 944120, *PHASE_5}
# Adds to the score for each of MATCHED_VARS_NAMES that has this in it: in the reference those of
# rules before it too, such as an argument of that name.
NAME_AMONG_EARLIER_MATCHES = (921180, b"paramcounter_")


def ask(command, feed):
    """The rule ids that each request logged: once each, since the reference logs a rule with multiMatch
    once for every form that matched."""
    text = "".join(json.dumps({"id": number, "request_b64": base64.b64encode(data).decode()}) + "\n"
                   for number, data in feed.items())
    done = subprocess.run(command, input=text, text=True, stdout=subprocess.PIPE, check=False)
    answers = {}
    for line in filter(None, done.stdout.split("\n")):  # values may hold other ends of lines
        answer = json.loads(line)
        answers[answer["id"]] = (
            {rule["id"] for rule in answer["rules"]} - NOT_COMPARED, answer)
    if done.returncode != 0 or len(answers) != len(feed):
        sys.exit(f"{command[1]}: exit {done.returncode}, {len(answers)} of {len(feed)} answers")
    return answers


def score_difference(ours, theirs):
    """The scores that differ, where the rules that are not compared do not."""
    matched = [{rule["id"] for rule in each["rules"]} - PHASE_5 for each in (ours, theirs)]
    if matched[0] != matched[1]:
        return {}
    mine, other = ours.get("scores", {}), theirs.get("scores", {})
    return {name: (mine.get(name), other.get(name)) for name in {*mine, *other}
            if mine.get(name) != other.get(name)}


def compare(batch, rules, feed):
    ours, theirs = ask([batch, "ours", rules], feed), ask([batch, "reference", rules], feed)
    differing, matched, refused = 0, 0, 0
    for number, data in feed.items():
        if ours[number][1].get("refused"):
            refused += 1
            continue
        mine, other = ours[number][0], theirs[number][0]
        matched += len(other)
        rule, name = NAME_AMONG_EARLIER_MATCHES
        scores = {} if rule in mine and name in data else score_difference(
            ours[number][1], theirs[number][1])
        if mine == other and not scores:
            continue
        differing += 1
        if differing <= 40:
            print(f"request {number}: ours alone {sorted(mine - other)}, reference alone "
                  f"{sorted(other - mine)}, scores (ours, reference) {scores}\n  {data!r}")
    return differing, matched, refused


def main():
    batch, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    usual = 200_000 if os.environ.get("SLUICE_LONG") else 3000
    count = int(sys.argv[3]) if len(sys.argv) > 3 else usual
    seed = int(os.environ.get("SLUICE_SEED", sys.argv[4] if len(sys.argv) > 4 else 1))
    files = sorted(folder.glob("*.conf")) + sorted(folder.glob("*.data"))
    if not files:
        sys.exit(f"{folder}: no rules")
    with tempfile.TemporaryDirectory() as home:
        rules = pathlib.Path(home) / "rules.conf"
        rules.write_text(SETTINGS.format(folder=folder))
        differing, matched, refused = compare(batch, str(rules), requests(files, count, seed))
    print(f"{count} requests of seed {seed}: {matched} rule matches of the reference, "
          f"{refused} requests refused by the parser of both, {differing} differ")
    return 1 if differing or matched < count else 0


if __name__ == "__main__":
    sys.exit(main())
