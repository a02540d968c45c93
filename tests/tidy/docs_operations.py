# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""docs/operations.md and the manual pages are in step with the code: every reason, counter, stage,
setting, strict switch, command, option, metric and field of a record occurs there, as code. Prints
what is missing; exit status 1 if something is."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def text(*paths):
    return "\n".join(file.read_text() for path in paths for file in sorted(ROOT.glob(path)))


def rows(path):
    """Names of an X-macro's rows: X(kName, "name", ..."""
    return set(re.findall(r'\bX\(\s*k\w+,\s*"(\w+)"', text(path)))


def settings():
    """Every key that the readers of sluice.yaml and policy.yaml know."""
    source = text("dataplane/config/settings.cc", "controlplane/policy/*.cc")
    found = set()
    for keys in re.findall(r"check_map\([^;]*?\{([^{}]*)\}\)", source):
        found |= set(re.findall(r'"(\w+)"', keys))
    for keys in re.findall(r"inspection_keys\(\) \{\s*return \{([^}]*)\}", source):
        found |= set(re.findall(r'"(\w+)"', keys))
    for keys in re.findall(r"keys\.insert\(keys\.begin\(\), \{([^}]*)\}", source):
        found |= set(re.findall(r'"(\w+)"', keys))
    return found


def commands():
    source = text("controlplane/ctl/main.cc")
    return set(re.findall(r'(?:command|add_subcommand)\(\s*"(\w+)"', source))


def options():
    source = text("controlplane/ctl/main.cc")
    return set(re.findall(r'(?:add_option|add_flag)\(\s*"(--[\w-]+)', source))


def metrics():
    return set(re.findall(r'"(sluice_[a-z_]+)"', text("controlplane/telemetry/counters_view.cc")))


def record_fields():
    source = text("controlplane/telemetry/eve.cc")
    return set(re.findall(r'(?:field|key)\((?:json, )?"(\w+)"', source)) | set(
        re.findall(r'std::pair\{\s*(?:EventFieldId|abi)::\w+, "(\w+)"', source))


def code_words(page):
    """The words of a page that are written as code."""
    fenced = re.findall(r"```.*?\n(.*?)```", page, re.S)
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", page, flags=re.S))
    return set(re.findall(r"--[\w-]+|\w+", "\n".join(fenced + inline)))


def main():
    words = code_words(text("docs/operations.md"))
    parts = {"reason": rows("dataplane/abi/reasons.h"), "counter": rows("dataplane/abi/counters.h"),
             "setting": settings(), "strict switch": rows("dataplane/abi/strict.h"),
             "command": commands(), "option": options(), "metric": metrics(),
             "field of a record": record_fields()}
    stages = re.search(r"kStageNames = \{(.*?)\}", text("dataplane/abi/counters.h"), re.S)
    parts["stage"] = set(re.findall(r'"(\w+)"', stages.group(1)))
    missing = []
    for kind, names in parts.items():
        if len(names) < 5:
            missing.append(f"tests/tidy/docs_operations.py reads no {kind} any more: {names}")
        missing += [f"docs/operations.md: {kind} {name} is missing" for name in names - words]
    manual = {"sluicectl.1": commands() | options(), "sluice.yaml.5": set(), "policy.yaml.5": set()}
    manual["sluice.yaml.5"] = {key for key in settings() if f'"{key}"' in
                               text("dataplane/config/settings.cc")}
    manual["policy.yaml.5"] = {key for key in settings() if f'"{key}"' in
                               text("controlplane/policy/*.cc")}
    for page, names in manual.items():
        plain = text(f"docs/man/{page}").replace("\\", "")
        missing += [f"docs/man/{page}: {name} is missing" for name in names
                    if not re.search(rf"(?<![\w-]){re.escape(name)}\b", plain)]
    print(*sorted(missing), sep="\n", end="\n" if missing else "")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
