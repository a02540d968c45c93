#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""check_honest.py ENGINE-COMMAND [COUNT [SEED]]: no generated honest request may be blocked."""
import sys

from honest_requests import requests
from wire import ask


def main():
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 10000
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    feed = requests(count, seed)
    blocked = {key: ids for key, (verdict, ids) in ask(sys.argv[1], feed).items()
               if verdict == 'block'}
    for key, ids in list(blocked.items())[:10]:
        print(key, sorted(ids), feed[key][:2000])
    print(f'{count} honest requests of seed {seed}, {len(blocked)} blocked')
    return 1 if blocked else 0


if __name__ == '__main__':
    sys.exit(main())
