# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""Runs sluice-gen and reads what it says."""
import json
import subprocess

from .machine import SOURCE, Failure

PROFILES = {"get": ["get.http"], "args": ["args.http"], "json": ["json.http"],
            "mixed": ["get.http", "args.http", "json.http"]}
ATTACKS = SOURCE / "perf/profiles/attacks.http"
# What the CRS at paranoia level 1 does not look for, and our own signatures do.
API_ATTACKS = SOURCE / "perf/profiles/attacks-api.http"


class Generator:
    def __init__(self, build, wire, core):
        self.program, self.wire, self.core = build / "perf/gen/sluice-gen", wire, core

    def run(self, profile="get", *options, timeout=600):
        """One process of the generator. options: as sluice-gen takes them. Returns its report; raises
        where there is none."""
        words = [str(self.program), "--core", str(self.core), "--client-port", self.wire.client,
                 "--server-port", self.wire.server]
        for name in PROFILES[profile]:
            words += ["--profile", str(SOURCE / "perf/profiles" / name)]
        words += [str(option) for option in options]
        done = subprocess.run(words, capture_output=True, text=True, timeout=timeout)
        if done.returncode not in (0, 1):
            raise Failure(f"{' '.join(words)}: {done.returncode} {done.stderr[-2000:]}")
        return json.loads(done.stdout)


def summary(report):
    """The figures of one run that tables and plots show."""
    sustain, generator = report["sustain"], report["generator"]
    latency = report.get("latency_us", {}).get("last_byte", {})
    connect = report.get("latency_us", {}).get("connect", {})
    return {
        "valid": report["valid"], "invalid_because": report["invalid_because"],
        "requests_per_second": sustain.get("transactions_per_second", 0),
        "connections_per_second": sustain.get("connections_per_second", 0),
        "bits_per_second": sustain.get("throughput_bits_per_second", 0),
        "packets_per_second": sustain.get("packets_per_second", 0),
        "received_per_second": sustain.get("received_per_second"),
        "latency_us": {name: latency.get(name) for name in ("p50", "p90", "p99", "p999")},
        "connect_us": {name: connect.get(name) for name in ("p50", "p99")},
        "retransmitted": report.get("client", {}).get("retransmitted", 0) +
        report.get("server", {}).get("retransmitted", 0),
        "generator_bottleneck": generator["bottleneck"],
        "generator_busy_share": generator["busy_share"],
        "generator_on_cpu_share": generator["on_cpu_share"],
    }


def search_summary(report):
    """Of a search: the closed loop, the lossless rate, and the latency at 80 % of it."""
    out = {"closed_loop": summary(report["closed_loop"]), "steps": report["steps"]}
    if "lossless" in report:
        out["lossless"] = summary(report["lossless"])
        out["at_80_percent"] = summary(report["at_80_percent"])
    return out
