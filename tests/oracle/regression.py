#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""regression.py REPLAY-TOOL TESTS RULES-FOLDER SLUICECTL ORACLE-BATCH: the regression requests of the
CRS at paranoia level 4, detection only, through `sluicectl check --batch` and libmodsecurity: at
least 99 % of the expectations are met, and every one that the reference meets."""
import json
import pathlib
import subprocess
import sys
import tempfile

SETTINGS = """
SecRuleEngine DetectionOnly
SecRequestBodyAccess On
SecRule REQUEST_HEADERS:Content-Type "^(?:application(?:/soap\\+|/)|text/)xml" \\
  "id:1,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML"
SecRule REQUEST_HEADERS:Content-Type "^application/json" \\
  "id:2,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"
SecAction "id:3,phase:1,nolog,pass,t:none,setvar:tx.paranoia_level=4"
SecAction "id:4,phase:1,nolog,pass,t:none,setvar:tx.blocking_paranoia_level=4,\\
  setvar:tx.detection_paranoia_level=4,setvar:tx.crs_validate_utf8_encoding=1,\\
  setvar:tx.arg_name_length=100,setvar:tx.arg_length=400,setvar:tx.total_arg_length=64000,\\
  setvar:tx.max_num_args=255,setvar:tx.max_file_size=64100,setvar:tx.combined_file_sizes=65535"
Include /etc/modsecurity/crs/crs-setup.conf
Include {folder}/*.conf
"""


def met(tool, tests, folder, engine, home, name):
    """The names of the tests whose expectations the engine meets, and of all."""
    report = home / (name + ".json")
    subprocess.run([sys.executable, tool, "--tests", tests, "--rules", folder, "--engine", engine,
                    "--json", str(report)], stdout=subprocess.DEVNULL, check=False)
    results = json.loads(report.read_text())["results"]
    return {r["name"] for r in results if r["ids"]}, {r["name"] for r in results}


def main():
    tool, tests, folder, sluicectl, batch = sys.argv[1:]
    with tempfile.TemporaryDirectory() as place:
        home = pathlib.Path(place)
        rules = home / "rules.conf"
        rules.write_text(SETTINGS.format(folder=folder))
        reference = home / "reference"
        reference.write_text(f"#!/bin/sh\nexec {batch} reference {rules}\n")
        reference.chmod(0o755)
        theirs, _ = met(tool, tests, folder, str(reference), home, "theirs")
        ours, every = met(tool, tests, folder, f"{sluicectl} check --batch --rules {rules} -", home,
                          "ours")
    print(f"{len(every)} tests: {len(ours)} met by Sluice, {len(theirs)} by libmodsecurity")
    print("not met:", *sorted(every - ours))
    lost = theirs - ours
    if lost:
        print("met by libmodsecurity alone:", *sorted(lost))
    return 1 if lost or len(ours) < 0.99 * len(every) or not theirs else 0


if __name__ == "__main__":
    sys.exit(main())
