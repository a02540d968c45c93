#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""docs/limits.md names every capacity of dataplane/abi/limits.h with its value, and every switch of
dataplane/abi/strict.h with its default. Prints what is missing or out of date; `--write` prints the
two tables as the headers have them, for pasting."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIMIT = re.compile(r"inline constexpr [\w:]+ (k\w+)\s*=\s*([^;]+);(?:\s*//\s*(.*))?")
STRICT = re.compile(r'X\(k\w+, "(\w+)", (true|false), k(\w+),\s*"(\w+)",((?:\s*"(?:[^"\\]|\\.)*")+)\)')


def limits():
    """(section, name, value, what the header says) of each constant."""
    section, said = "", []
    text = re.sub(r"=\n\s+", "= ", (ROOT / "dataplane/abi/limits.h").read_text())
    for line in text.splitlines():
        if heading := re.match(r"// -- (.+?) -+$", line):
            section, said = heading[1], []
        elif comment := re.match(r"///? ?(.*)", line):
            said.append(comment[1])
        elif found := LIMIT.match(line):
            yield section, found[1], " ".join(found[2].split()), " ".join([*said, found[3] or ""]).strip()
            said = []
        elif not line.strip():
            said = []


def switches():
    """(name, default, reason, row of the catalogue, what is refused)."""
    text = (ROOT / "dataplane/abi/strict.h").read_text().replace("\\\n", "\n")
    for name, default, reason, row, pieces in STRICT.findall(text):
        what = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', pieces)).replace('\\"', '"')
        yield name, "on" if default == "true" else "off", re.sub(
            r"(?<!^)(?=[A-Z])", "_", reason).lower(), row, what


def plain(value):
    """A number without the marks between its digits."""
    return re.sub(r"(?<=\d)'(?=\d)", "", value).replace("_", "")


def write():
    section = None
    for of, name, value, said in limits():
        if of != section:
            print(f"\n### {of}\n\n| limit | value | what it is, and what happens when it is reached |\n"
                  "| --- | --- | --- |")
            section = of
        print(f"| `{name}` | {plain(value)} | {said} |")
    print("\n| switch | default | reason | row | refused |\n| --- | --- | --- | --- | --- |")
    for name, default, reason, row, what in switches():
        print(f"| `{name}` | {default} | `{reason}` | {row} | {what} |")


def main():
    if sys.argv[1:] == ["--write"]:
        return write()
    page = (ROOT / "docs/limits.md").read_text()
    wrong = []
    found = list(limits())
    for _, name, value, _ in found:
        value = plain(value)
        if f"| `{name}` | {value} |" not in page:
            wrong.append(f"{name} = {value}")
    listed = list(switches())
    for name, default, *_ in listed:
        if f"| `{name}` | {default} |" not in page:
            wrong.append(f"strict switch {name}, default {default}")
    if len(found) < 80 or len(listed) < 30:
        wrong.append(f"only {len(found)} limits and {len(listed)} switches found in the headers")
    for item in wrong:
        print(f"docs/limits.md: missing or out of date: {item}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
