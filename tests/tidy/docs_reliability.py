#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""docs/reliability.md has a line for each row of the evasion catalogue, and what it names exists:
oddities of the simulator, unit tests, files, cases of http_cases.py for the row. A unit test with a row
in its name stands in the row's line, and each oddity in some line or in the list above the table."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Sections 1 to 13 of the catalogue.
ROWS = (
    "LK1 LK2 LK3 LK4 LK5 LK6 LK7 LK8 LK9 LK10 LK11 LK12 LK13 V41 V42 V43 V44 V45 V46 V47 V48 "
    "V49 V50 V51 V52 V53 V54 V55 V56 V57 V58 V59 V61 V62 V63 V64 V65 V66 V67 V68 V69 V6A V6B "
    "V6C TS1 TS2 TS3 TS4 TS5 TS6 TS7 TS8 TS9 TS10 TS11 TS12 TS13 TS14 TS15 TS16 TS17 TS18 "
    "TS19 TS20 TS21 TS22 TS23 TS24 TS25 TS26 TS27 TS28 TD1 TD2 TD3 TD4 TD5 TD6 TD7 TD8 TD9 "
    "TD10 TD11 TD12 TD13 TD14 TD15 TD16 TD17 TD18 TO1 TO2 TO3 TO4 TO5 TO6 TO7 TO8 TO9 TO10 "
    "TO11 TO12 TO13 HF1 HF2 HF3 HF4 HF5 HF6 HF7 HF8 HF10 HF11 HF12 HF13 HF14 HF15 HF16 HF17 "
    "HF18 HF19 HF20 HF21 HF22 HF23 HF24 HF25 HF26 HF27 HF28 HF29 HF30 HF31 HF32 HH1 HH2 HH3 "
    "HH4 HH5 HH6 HH7 HH8 HH9 HH10 HH11 HH12 HH13 HH14 HH15 HH16 HH17 HH18 HH19 HH20 HH21 "
    "HH22 HH23 HH24 HH25 HH26 "
    "HB1 HB2 HB3 HB4 HB5 HB6 HB7 HB8 HB9 HB10 HB11 HB12 HB13 HB14 HB15 HB17 HB18 HB19 HB21 "
    "HB22 HS1 HS2 HS3 HS4 HS5 HS6 HS7 HS8 HS9 HS10 HS11 RX1 RX2 RX3 RX4 RX5 RX6 RX7 RX8 RX9 "
    "RX10 RX11 RX12 RX13 RX14 RX16 CP1 CP2 CP3 CP4 CP5 CP6 CP7 CP8 CP9 CP10 CP11 CP12 CP13 "
    "CP14 CP15 CP16 OP1 OP2 OP3 OP4 OP5 OP6 OP7 OP8 OP9 OP10 OP11 OP12 OP13 OP14"
).split()


CASES = "tests/system/http_cases.py"


def rows_of(name):
    """The rows that the name of a unit test begins with: V49_V63_AnyOverlap... gives V49 and V63."""
    words = name.split(".")[1].split("_")
    return [word for word in words if word in ROWS]


def main():
    page = (ROOT / "docs/reliability.md").read_text()
    oddities = set(re.findall(r'X\(k\w+, "(\w+)"', (ROOT / "tests/sim/oddities.h").read_text()))
    cases = (ROOT / CASES).read_text()
    tests = set()
    for file in (ROOT / "tests/unit").rglob("*.cc"):
        found = re.findall(r"^TEST(?:_F|_P)?\((\w+),\s*(\w+)\)", file.read_text(), re.M)
        tests.update(f"{suite}.{name}" for suite, name in found)
    wrong = []
    lines = {line.split("|")[1].strip(): line.split("|") for line in page.splitlines()
             if line.startswith("| ")}
    for row in ROWS:
        if row not in lines:
            wrong.append(f"no line for {row}")
            continue
        if not lines[row][4].strip():
            wrong.append(f"{row} has neither test nor reason")
        for name in re.findall(r"`([^`]+)`", lines[row][3]):
            if name not in oddities:
                wrong.append(f"{row} names no oddity: {name}")
        for name in re.findall(r"`([^`]+)`", lines[row][4]):
            if name not in tests and not (ROOT / name).is_file():
                wrong.append(f"{row} names no test: {name}")
            if name == CASES and not re.search(rf'"{row}-', cases):
                wrong.append(f"{row} names {CASES}, which has no case {row}-...")
    for test in sorted(tests):
        for row in rows_of(test):
            if f"`{test}`" not in lines.get(row, [""] * 5)[4]:
                wrong.append(f"{row} does not name {test}")
    for oddity in sorted(oddities):
        if f"`{oddity}`" not in page:
            wrong.append(f"the oddity {oddity} is not named")
    for item in wrong:
        print(f"docs/reliability.md: {item}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
