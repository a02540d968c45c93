# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""The report of perf/run: results.json, results.md, and plots."""
import json
import os

from e2e import sizing

RULES = {"off": "no rules", "own": "own signatures", "crs": "CRS PL1", "crs_response": "CRS PL1, response rules"}


def number(value, unit=""):
    if value is None:
        return "-"
    for scale, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= scale:
            return f"{value / scale:.3g} {suffix}{unit}".rstrip()
    return f"{value:.3g} {unit}".rstrip()


def best(cell):
    """The lossless run of a cell, or else its closed loop."""
    return cell.get("lossless") or cell.get("closed_loop") or {}


def remarks(cell):
    run, out = best(cell), []
    if cell.get("error"):
        return "failed: " + cell["error"][:120]
    if not run.get("valid", False):
        out.append("invalid: " + "; ".join(run.get("invalid_because", []))[:160])
    if "lossless" not in cell:
        out.append("closed loop")
    if run.get("generator_bottleneck"):
        out.append("the generator was the limit")
    if cell.get("dataplane_died"):
        out.append("the dataplane died when the generator left")
    return "; ".join(out)


def cell_rows(results):
    reference = {(n["profile"]): n["requests_per_second"] for n in results.get("nginx", [])
                 if "requests_per_second" in n}
    for cell in results["cells"]:
        run, late = best(cell), cell.get("at_80_percent", {})
        rate = run.get("requests_per_second")
        other = reference.get(cell["profile"])
        ratio = f"{rate / other:.0f}x" if rate and other and cell["objects"] == "1k" else ""
        latency = late.get("latency_us") or {}
        yield [cell["profile"], cell["objects"], RULES.get(cell["rules"], cell["rules"]), str(cell["keepalive"]),
               number(rate), number(run.get("bits_per_second"), "b/s"),
               number(run.get("connections_per_second")), number(latency.get("p50"), "µs"),
               number(latency.get("p99"), "µs"), ratio, remarks(cell)]


def table(header, rows):
    rows = [[str(c) for c in row] for row in rows]
    return "\n".join(["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)] +
                     ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def markdown(results):
    machine = results["machine"]
    out = [f"# Measured {results['started']}\n",
           f"Commit `{machine['commit']}`, {machine['cpu']}, {machine['cores']} cores"
           f"{' (virtual machine)' if machine['hypervisor'] else ''}, kernel {machine['kernel']}, "
           f"load average before {machine['load_average_before']:.2f}, precedence: {results['precedence']}.",
           f"Command: `{results['command']}`. One core for the appliance's worker, one for the generator"
           + (", which the other processes share." if machine["cores"] <= 2 else ".") + "\n",
           "## Attacks\n",
           table(["rules", "attacks", "blocked", "reached the server", "requests counted alike", "verdict"],
                 [[RULES.get(a["rules"], a["rules"]), a["attacks"], a["blocked"], a["leaked"],
                   f"{a['requests_dataplane']} of {a['requests_sent']}",
                   "VOID" if not a["good"] else "blocked" if a["blocked"] else "served, as they must be"]
                  for a in results["attack_checks"]]),
           "## Cells\n",
           "Requests/s, bits/s and connections/s at the highest lossless rate; latency to the last byte at 80 % "
           "of it, counted from when a request was due; the last column but one against nginx + libmodsecurity + "
           "CRS in this run.\n",
           table(["profile", "object", "rules", "keep-alive", "requests/s", "payload", "connections/s", "p50",
                  "p99", "ratio", "remarks"], cell_rows(results))]
    if results.get("forwarders"):
        out += ["## Forwarding\n",
                table(["forwarder", "load", "packets/s", "payload", "remarks"],
                      [[f["name"], f["load"], number(best(f).get("received_per_second") or
                                                     best(f).get("packets_per_second")),
                        number(best(f).get("bits_per_second"), "b/s"), remarks(f)] for f in results["forwarders"]])]
    if results.get("nginx"):
        out += ["## nginx + libmodsecurity + CRS, one worker, wrk over loopback\n",
                table(["profile", "rules", "requests/s", "attacks blocked"],
                      [[n["profile"], n["rules"], number(n.get("requests_per_second")) if "error" not in n
                        else n["error"][:80], n.get("attacks", "")] for n in results["nginx"]])]
    models = list(sizing.of_cells(results["cells"], best))
    if models:
        out += ["## Sizing model\n",
                "µs of one worker's core: request + transfer x KiB + connection / transactions per connection.\n",
                table(["rules", "request, by profile", "transfer, per KiB", "connection"],
                      [[RULES.get(rules, rules),
                        ", ".join(f"{p} {us:.2f}" for p, us in model["request_us"].items()),
                        f"{model['transfer_us_per_kib']:.3f}", f"{model['connection_us']:.2f}"]
                       for rules, model, _ in models]),
                "Cells that it was not fitted to:\n",
                table(["rules", "profile", "object", "keep-alive", "measured/s", "predicted/s", "error"],
                      [[RULES.get(rules, rules), *map(str, cell), number(measured), number(predicted),
                        f"{predicted / measured - 1:+.0%}"]
                       for rules, _, checks in models for cell, measured, predicted in checks if predicted])]
    if results.get("cycles"):
        out += ["## Cycles by stage (own signatures, tiny GET)\n",
                table(["stage", "cycles", "share"], [[c["stage"], number(c["cycles"]), f"{c['share']:.1%}"]
                                                     for c in results["cycles"]])]
    return "\n".join(out)


def plots(results, folder):
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot

    profiles = sorted({c["profile"] for c in results["cells"]})
    rules = [r for r in RULES if any(c["rules"] == r for c in results["cells"])]
    figure, axes = pyplot.subplots(1, 2, figsize=(12, 4.5))
    width = 0.8 / (len(rules) + 1)
    for i, name in enumerate(rules):
        rates = [next((best(c).get("requests_per_second", 0) for c in results["cells"] if c["profile"] == p and
                       c["rules"] == name and c["objects"] == "1k" and c["keepalive"] == 10), 0) for p in profiles]
        axes[0].bar([x + i * width for x in range(len(profiles))], rates, width, label=RULES[name])
    reference = [next((n.get("requests_per_second", 0) for n in results.get("nginx", []) if n["profile"] == p and
                       n["rules"] == "crs"), 0) for p in profiles]
    if any(reference):
        axes[0].bar([x + len(rules) * width for x in range(len(profiles))], reference, width,
                    label="nginx + libmodsecurity + CRS")
    axes[0].set_xticks([x + 0.3 for x in range(len(profiles))], profiles)
    axes[0].set(yscale="log", ylabel="requests/s", title="1 kB responses, keep-alive 10")
    axes[0].legend(fontsize=8)
    order = ["1k", "4k", "16k", "64k", "256k"]
    for name in rules:
        points = [(order.index(c["objects"]), best(c).get("bits_per_second", 0) / 1e9) for c in results["cells"]
                  if c["rules"] == name and c["profile"] == "get" and c["objects"] in order and c["keepalive"] == 10]
        if points:
            axes[1].plot(*zip(*sorted(points)), marker="o", label=RULES[name])
    axes[1].set_xticks(range(len(order)), order)
    axes[1].set(ylabel="Gb/s of responses", xlabel="response bytes", title="tiny GET", ylim=(0, None))
    axes[1].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(folder / "rates.svg")
    figure, axis = pyplot.subplots(figsize=(7, 4))
    names = ["p50", "p90", "p99", "p999"]
    for cell in results["cells"]:
        latency = (cell.get("at_80_percent") or {}).get("latency_us") or {}
        if cell["objects"] == "1k" and cell["keepalive"] == 10 and all(latency.get(n) for n in names):
            axis.plot(names, [latency[n] for n in names], marker="o",
                      label=f"{cell['profile']}, {RULES[cell['rules']]}")
    axis.set(yscale="log", ylabel="µs to the last byte", title="latency at 80 % of the lossless rate")
    if axis.lines:
        axis.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(folder / "latency.svg")


def write(results, folder):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(results, indent=1))
    (folder / "results.md").write_text(markdown(results))
    if results["cells"] and not os.environ.get("SLUICE_NO_PLOTS"):
        plots(results, folder)
