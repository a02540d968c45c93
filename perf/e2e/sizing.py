# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""The sizing model: microseconds of one worker's core for one transaction,

  T = request + transfer * KiB of response + connection / transactions per connection

for each set of rules, `request` also for each profile. It is fitted to the least and largest object and to
one transaction per connection, and checked on the cells in between, which it was not fitted to."""

KIB = {"1k": 1, "4k": 4, "16k": 16, "64k": 64, "256k": 256, "mix": 0.80 * 1 + 0.15 * 16 + 0.05 * 64}
FITTED = {("get", "1k", 10), ("get", "256k", 10), ("get", "1k", 1)}


def microseconds(rates, profile, objects, keepalive):
    rate = rates.get((profile, objects, keepalive))
    return 1e6 / rate if rate else None


def fit(rates):
    """rates: requests/s by (profile, object, keep-alive), of one set of rules. None where a cell that it
    needs is missing."""
    small, large, alone = (microseconds(rates, *cell) for cell in
                           (("get", "1k", 10), ("get", "256k", 10), ("get", "1k", 1)))
    if not small or not large:
        return None
    transfer = (large - small) / (KIB["256k"] - KIB["1k"])
    connection = max(0.0, (alone - small) / 0.9) if alone else 0.0
    if small - transfer - connection / 10 < 0:
        connection = 0.0  # the rates do not resolve it: a search that ended early
    model = {"transfer_us_per_kib": transfer, "connection_us": connection, "request_us": {}}
    for profile, objects, keepalive in rates:
        if objects == "1k" and keepalive == 10:
            model["request_us"][profile] = microseconds(rates, profile, objects, keepalive) - transfer \
                - connection / 10
    return model


def predict(model, profile, kib, keepalive):
    """Requests/s of one core, None for a profile that was not measured."""
    request = model["request_us"].get(profile)
    if request is None:
        return None
    return 1e6 / (request + model["transfer_us_per_kib"] * kib + model["connection_us"] / keepalive)


def check(model, rates):
    """(cell, measured, predicted) of every cell that the model was not fitted to."""
    for (profile, objects, keepalive), measured in rates.items():
        fitted = (profile, objects, keepalive) in FITTED or (objects == "1k" and keepalive == 10)
        if not fitted and objects in KIB and measured:
            yield (profile, objects, keepalive), measured, predict(model, profile, KIB[objects], keepalive)


def of_cells(cells, best):
    """(rules, model, checks) for each set of rules that has the cells. best(cell): its valid run."""
    for rules in dict.fromkeys(cell["rules"] for cell in cells):
        rates = {(c["profile"], c["objects"], c["keepalive"]): best(c).get("requests_per_second")
                 for c in cells if c["rules"] == rules}
        rates = {cell: rate for cell, rate in rates.items() if rate}
        model = fit(rates)
        if model:
            yield rules, model, list(check(model, rates))
