#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""Runs signatures/vectors: every attack must match its rule (and be blocked if the rule is sure),
every near miss must neither match it nor be blocked.

check_vectors.py ENGINE-COMMAND VECTOR-FILE...; a file maps a rule id to
{"attacks": {encoding: [values]}, "honest": {encoding: [values]}} (encodings: wire.py).
"""
import json
import re
import sys
from pathlib import Path

from wire import ask, wrap

ATTACKS_MIN, ENCODINGS_MIN, HONEST_MIN = 8, 3, 8


def rules_with(folder, *marks):
    """The ids of the rules whose text holds every mark."""
    found = set()
    for path in Path(folder).glob('*.conf'):
        for rule in re.split(r'\n(?=Sec)', path.read_text()):
            number = re.search(r'\bid:(\d+)', rule)
            if number and all(mark in rule for mark in marks):
                found.add(int(number.group(1)))
    return found


def detection_rules(folder):
    text = ''.join(path.read_text() for path in Path(folder).glob('20-*.conf'))
    return {int(number) for number in re.findall(r'\bid:(\d+)', text)}


def shared_lists(folder):
    """The regexes that several rules repeat because SecLang cannot share one: of more than 4 KB."""
    text = (Path(folder) / '20-encoded.conf').read_text()
    return [regex for regex in re.findall(r'"@rx (.*)" \\\n', text) if len(regex) > 4096]


def main():
    command, files = sys.argv[1], sys.argv[2:]
    folder = Path(files[0]).resolve().parent.parent
    weak = rules_with(folder, 'setvar:tx.sluice_weak_')
    # libmodsecurity logs the starter of a chain with multiMatch before it knows the chain.
    logged_early = rules_with(folder, 'multiMatch', ',chain"')
    problems, requests, expected = [], {}, {}
    if len(set(shared_lists(folder))) != 1:
        problems.append('20-encoded.conf: the lists of sure signs differ from one another')
    rules = {}
    for name in files:
        rules.update({int(k): v for k, v in json.loads(Path(name).read_text()).items()})
    for rule in sorted(detection_rules(folder) - set(rules)):
        problems.append(f'{rule}: no vectors')
    for rule, vectors in rules.items():
        attacks = {value for values in vectors['attacks'].values() for value in values}
        honest = {value for values in vectors['honest'].values() for value in values}
        if len(attacks) < ATTACKS_MIN or len(honest) < HONEST_MIN:
            problems.append(f'{rule}: {len(attacks)} attacks, {len(honest)} honest values')
        if len(vectors['attacks']) < ENCODINGS_MIN:
            problems.append(f"{rule}: attacks in {len(vectors['attacks'])} encodings")
        for kind in ('attacks', 'honest'):
            for encoding, values in vectors[kind].items():
                for number, value in enumerate(values):
                    key = f'{rule} {kind} {encoding} {number}'
                    requests[key] = wrap(encoding, value)
                    expected[key] = (rule, kind, value)
    for key, (verdict, ids) in ask(command, requests).items():
        rule, kind, value = expected[key]
        if kind == 'attacks' and rule not in ids:
            problems.append(f'{key}: not matched: {value!r} (matched {sorted(ids)})')
        elif kind == 'attacks' and rule not in weak and verdict != 'block':
            problems.append(f'{key}: matched and not blocked: {value!r}')
        elif kind == 'honest' and (verdict == 'block' or rule in ids - logged_early):
            problems.append(f'{key}: {verdict} of a near miss: {value!r} (matched {sorted(ids)})')
    print('\n'.join(problems))
    print(f'{len(rules)} rules, {len(requests)} requests, {len(problems)} problems')
    return 1 if problems else 0


if __name__ == '__main__':
    sys.exit(main())
