# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""Who may include whom (docs/architecture.md), licence headers and file lengths.

Prints file:line: message for each violation; exit status 1 if there is any.
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Rooms of the dataplane and what each may include besides itself, base and abi.
DATAPLANE = {
    "base": set(),
    "abi": {"base"},
    "net": set(),
    "io": set(),
    "flow": {"net"},
    "stream": {"net", "flow"},
    "http": set(),
    "limit": set(),
    "rules": {"http"},
    "config": set(),
    "engine": {"net", "flow", "stream", "http", "limit", "rules"},
    "worker": {"net", "io", "flow", "stream", "http", "limit", "rules", "engine", "config"},
}
# Rooms of the control plane: what of the dataplane they may include besides base, abi and config.
CONTROLPLANE = {
    "seclang": set(),
    "compile": {"rules", "http"},
    "policy": set(),
    "publish": set(),
    "telemetry": set(),
    "api": set(),
    "ctl": {"net", "flow", "stream", "http", "limit", "rules", "engine"},
}
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')
LINES_MAX = 500
SPDX = "SPDX-License-Identifier: Apache-2.0"


def tracked_files():
    """All files under version control, and new ones that are not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\n")
    return [pathlib.Path(name) for name in listed if name and (ROOT / name).is_file()]


def includes(path):
    """Yields (line number, included name)."""
    for number, line in enumerate((ROOT / path).read_text(errors="replace").splitlines(), 1):
        found = INCLUDE.match(line)
        if found:
            yield number, found.group(1)


def allowed(path, name):
    """Whether the file may include `name`; a reason why not, or None."""
    parts = path.parts
    target = name.split("/")
    if name.startswith("rte_"):
        fine = parts[:2] in (("dataplane", "io"), ("dataplane", "worker")) or parts[:2] == (
            "perf", "gen") or parts[:2] == ("tests", "unit") and parts[2] in ("io", "worker", "gen")
        return None if fine else (
            "DPDK headers only in dataplane/io, dataplane/worker, perf/gen and their unit tests")
    if target[0] not in ("dataplane", "controlplane") or len(target) < 3:
        return None
    room = target[1]
    if parts[0] == "dataplane":
        if target[0] == "controlplane":
            return "the dataplane knows nothing of the control plane"
        own = parts[1]
        common = set() if own in ("base", "abi") else {"base", "abi"}
        if room == own or room in common | DATAPLANE[own]:
            return None
        return f"{own} may not include {room}"
    if parts[0] == "controlplane" and target[0] == "dataplane":
        own = parts[1]
        if room in {"base", "abi", "config"} | CONTROLPLANE[own]:
            return None
        return f"controlplane/{own} may not include dataplane/{room}"
    if room == "worker" and parts[0] != "tests":
        return "nothing includes worker"
    return None


def main():
    complaints = []
    for path in tracked_files():
        if path.suffix in (".cc", ".h"):
            for number, name in includes(path):
                why = allowed(path, name)
                if why:
                    complaints.append(f"{path}:{number}: includes {name}: {why}")
        if path.suffix in (".cc", ".h", ".py") or path.name == "meson.build":
            text = (ROOT / path).read_text(errors="replace")
            if SPDX not in text[:200]:
                complaints.append(f"{path}:1: no licence header")
            lines = text.count("\n")
            if lines > LINES_MAX:
                complaints.append(f"{path}:{lines}: longer than {LINES_MAX} lines")
    print("\n".join(complaints))
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
