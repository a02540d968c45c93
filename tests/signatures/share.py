#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""The share of the CRS regression requests that our signatures block.

share.py ENGINE-COMMAND CORPUS [--show N]: over the requests that a CRS rule of the families 930 to
944 is expected to catch ("positive"), and over those that it must not. Stages that need a
template or an old runner's magic are built as go-ftw does for well-formed ones.
"""
import argparse
import base64
import collections
import glob
import os
import re
import urllib.parse

import yaml

from wire import ask


def stages(path):
    with open(path, encoding='utf-8') as handle:
        document = yaml.load(handle, yaml.BaseLoader)
    for test in document.get('tests', []):
        for number, stage in enumerate(test['stages']):
            stage = stage.get('stage', stage)
            output = stage.get('output') or {}
            log = output.get('log') or {}
            positive = bool(output.get('log_contains') or log.get('expect_ids')
                            or log.get('match_regex'))
            negative = bool(output.get('no_log_contains') or log.get('no_expect_ids')
                            or log.get('no_match_regex'))
            if positive or negative:
                title = test.get('test_title') or test.get('test_id')
                yield f'{os.path.basename(path)}/{title}#{number}', stage['input'], positive


def raw_request(spec):
    if spec.get('encoded_request'):
        return base64.b64decode(spec['encoded_request'])
    data = spec.get('data') or ''
    data = '\r\n'.join(data) if isinstance(data, list) else data
    fields = dict(spec.get('headers') or {})
    names = {name.lower() for name in fields}
    body = data.encode('utf-8', 'surrogateescape')
    if body and 'content-type' not in names:
        fields['Content-Type'] = 'application/x-www-form-urlencoded'
        if urllib.parse.unquote(data) == data:
            pairs = urllib.parse.parse_qsl(data)
            body = urllib.parse.urlencode(pairs).encode() if pairs else body
    if body and 'content-length' not in names:
        fields['Content-Length'] = str(len(body))
    uri = re.sub(r'\s', '%20', spec.get('uri', '/'))
    lines = [f"{spec.get('method', 'GET')} {uri} HTTP/1.1"]
    lines += [f'{name}: {value}' for name, value in fields.items()]
    return '\r\n'.join(lines).encode('utf-8', 'surrogateescape') + b'\r\n\r\n' + body


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('engine')
    parser.add_argument('corpus')
    parser.add_argument('--show', type=int, default=0, help='print this many that pass')
    options = parser.parse_args()
    requests, positive = {}, {}
    for path in sorted(glob.glob(options.corpus + '/**/*.yaml', recursive=True)):
        if re.search(r'/REQUEST-9(?:3\d|4[0-4])-', path):
            for key, spec, expected in stages(path):
                requests[key], positive[key] = raw_request(spec), expected
    answers = ask(options.engine, requests)
    blocked = collections.Counter()
    total = collections.Counter()
    shown = 0
    for key, (verdict, _) in answers.items():
        group = (key[:3], positive[key])
        total[group] += 1
        blocked[group] += verdict == 'block'
        if positive[key] and verdict != 'block' and shown < options.show:
            shown += 1
            print('passes:', key, requests[key][:300])
    for group in sorted(total):
        kind = 'positive' if group[1] else 'negative'
        print(f'{group[0]} {kind}: {blocked[group]} of {total[group]} blocked')
    hits = sum(count for group, count in blocked.items() if group[1])
    size = sum(count for group, count in total.items() if group[1])
    print(f'share of positive requests blocked: {hits} of {size} = {100 * hits / size:.1f} %')


if __name__ == '__main__':
    main()
