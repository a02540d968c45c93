#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""The sizing model gives back the costs that rates were made from, and says where rates do not follow it."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "perf"))
sys.dont_write_bytecode = True

from e2e import report, sizing  # noqa: E402


def cell(profile, objects, keepalive, microseconds):
    return {"profile": profile, "objects": objects, "rules": "own", "keepalive": keepalive,
            "lossless": {"requests_per_second": 1e6 / microseconds, "valid": True}}


def cost(profile, objects, keepalive):
    return {"get": 2.0, "args": 5.0}[profile] + 0.1 * sizing.KIB[objects] + 7.0 / keepalive


CELLS = [("get", "1k", 10), ("get", "256k", 10), ("get", "1k", 1), ("args", "1k", 10), ("get", "64k", 10)]


def near(left, right):
    assert abs(left - right) < 1e-6 * right, f"{left} is not {right}"


def main():
    cells = [cell(*each, cost(*each)) for each in CELLS]
    cells.append(cell("get", "16k", 10, 2 * cost("get", "16k", 10)))  # half of what the others promise
    (rules, model, checks), = sizing.of_cells(cells, report.best)
    assert rules == "own"
    near(model["transfer_us_per_kib"], 0.1)
    near(model["connection_us"], 7.0)
    near(model["request_us"]["get"], 2.0)
    near(model["request_us"]["args"], 5.0)
    checked = {place: (measured, predicted) for place, measured, predicted in checks}
    assert set(checked) == {("get", "64k", 10), ("get", "16k", 10)}, checked
    near(checked["get", "64k", 10][1], checked["get", "64k", 10][0])
    near(checked["get", "16k", 10][1], 2 * checked["get", "16k", 10][0])
    cells[2] = cell("get", "1k", 1, 500.0)  # connections that would make requests cost less than nothing
    (_, model, _), = sizing.of_cells(cells, report.best)
    assert model["connection_us"] == 0.0 and model["request_us"]["get"] > 0, model
    assert not list(sizing.of_cells(cells[:1], report.best)), "a model without the cells that it needs"
    print("1 test passed")


if __name__ == "__main__":
    main()
