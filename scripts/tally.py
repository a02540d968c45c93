# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""Counts the results that scripts/test has gathered: JUnit files of meson and PASS/FAIL lines.

Lists what failed; the last line is "N passed, N failed". Exit status 1 if anything failed, or if
nothing ran.
"""

import pathlib
import sys
import xml.etree.ElementTree as ElementTree


def junit_results(path):
    """Yields (name, passed) of each case; a skipped one counts as failed, since none may be."""
    for suite in ElementTree.parse(path).getroot().iter("testsuite"):
        for case in suite.iter("testcase"):
            bad = [child for child in case if child.tag in ("failure", "error", "skipped")]
            yield f"{path.stem}: {suite.get('name')}: {case.get('name')}", not bad


def line_results(path):
    """Yields (name, passed) of each line "PASS name" or "FAIL name"."""
    for line in path.read_text().splitlines():
        state, _, name = line.partition(" ")
        yield f"{path.name.removeprefix('steps.txt.')}: {name}", state == "PASS"


def main(folder):
    results = []
    for path in sorted(pathlib.Path(folder).glob("*.xml")):
        results += junit_results(path)
    for path in sorted(pathlib.Path(folder).glob("steps.txt.*")):
        results += line_results(path)
    failed = [name for name, passed in results if not passed]
    for name in failed:
        print("failed:", name)
    print(f"{len(results) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed or not results else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
