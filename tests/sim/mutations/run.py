#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""The test of the tests: with any one check of a room taken out, they must fail.

Usage: run.py stream|engine|unit SOURCE_ROOT BUILD_ROOT [NAME...]
Each mutation of stream.py, engine.py or unit.py replaces a piece of text in a copy of one file,
builds what that changes and links a program with it: the simulator, which runs seeds until one
fails, or the unit test that the mutation names. Prints "PASS name" where it failed. Two at a time.
"""

import concurrent.futures
import json
import pathlib
import shlex
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
import engine
import stream
import unit

SEEDS = "20000"
# What the sinks of stream/ are compiled into: a header's mutation changes these.
STREAM_USERS = {
    unit.ENGINE: ["dataplane/stream/tcp_connection.cc"] + [
        f"dataplane/engine/{which}.cc" for which in ("blocking", "flow_timers", "flows")],
    "tests/sim/stream_sim": ["dataplane/stream/tcp_connection.cc", "tests/sim/stream_appliance.cc"],
    unit.STREAM: ["dataplane/stream/tcp_connection.cc"] + [
        f"tests/unit/stream/tcp_{which}_test.cc" for which in (
            "bounds", "data", "options", "state", "waits")],
}


class Build:
    """How a program is compiled and linked, as ninja does it."""

    def __init__(self, source, build, program):
        self.source, self.build, self.program = source, build, program
        self.compile = {}
        for entry in json.loads((build / "compile_commands.json").read_text()):
            file = (pathlib.Path(entry["directory"]) / entry["file"]).resolve()
            if file.is_relative_to(source):
                name = str(file.relative_to(source))
                if name not in self.compile or f"{program}.p/" in entry["output"]:
                    self.compile[name] = entry["command"]
        commands = subprocess.run(["ninja", "-C", build, "-t", "commands", "-s", program],
                                  capture_output=True, text=True, check=True).stdout
        self.link = shlex.split(commands.strip().splitlines()[-1])

    def object(self, name, folder):
        """Compiles a source file, or its copy where the folder has one. Message of an error, or ""."""
        copy = folder / name
        words = [w for w in shlex.split(self.compile[name]) if w not in ("ccache", "-g", "-O2")]
        target = str(folder / (name.replace("/", "_") + ".o"))
        words[words.index("-o") + 1] = target
        original = words.index("-c") + 1
        words[original] = str(copy if copy.exists() else self.source / name)
        words[1:1] = ["-O1", "-w", f"-I{folder}"]
        done = subprocess.run(words, cwd=self.build, capture_output=True, text=True)
        return target, done.stderr[:2000] if done.returncode != 0 else ""

    def run(self, name, file, old, new, arguments):
        with tempfile.TemporaryDirectory(prefix="sluice-mutation-") as made:
            folder = pathlib.Path(made)
            path = folder / "dataplane" / file
            path.parent.mkdir(parents=True)
            text = (self.source / "dataplane" / file).read_text()
            place = locate(text, old)
            if place is None:
                return "its text is not there once"
            path.write_text(text[:place[0]] + new + text[place[1]:])
            objects = []
            users = STREAM_USERS[self.program] if file.endswith(".h") else [f"dataplane/{file}"]
            for user in users:
                built, problem = self.object(user, folder)
                if problem:
                    return "it does not build: " + problem
                objects.append(built)
            # In front of the archives, whose members of the same names are then not wanted, or lose
            # where they have an instantiation of a template that somebody else asks for.
            changed = [pathlib.Path(user).name + ".o" for user in users]
            words = [w for w in self.link if not w.endswith(tuple(changed))]
            out = words.index("-o")
            words[out + 1] = str(folder / "sim")
            words[out + 2:out + 2] = ["-Wl,--allow-multiple-definition", *objects]
            linked = subprocess.run(words, cwd=self.build, capture_output=True, text=True)
            if linked.returncode != 0:
                return "it does not link: " + linked.stderr[:2000]
            try:
                result = subprocess.run([folder / "sim", *arguments], capture_output=True, text=True,
                                        cwd=self.build, timeout=300)
            except subprocess.TimeoutExpired:
                return ""  # hanging is failing
            if result.returncode == 0:
                return f"{' '.join(arguments)} did not notice"
            print(f"  {name}: {how(result.stdout)}")
            return ""


def how(output):
    """The line of a failing program that says why."""
    lines = [line for line in output.splitlines() if line.startswith(("FAILED", "[  FAILED"))]
    return lines[0] if lines else "crashed"


def locate(text, wanted):
    """Begin and end in `text` of the one place that equals `wanted` but for layout, or None."""
    words = wanted.split()
    found, start = [], 0
    while words and (begin := text.find(words[0], start)) >= 0:
        at = begin
        for word in words:
            while at < len(text) and text[at].isspace():
                at += 1
            if not text.startswith(word, at):
                break
            at += len(word)
        else:
            found.append((begin, at))
        start = begin + 1
    return found[0] if len(found) == 1 else None


def main():
    which = sys.argv[1]
    source, folder = pathlib.Path(sys.argv[2]).resolve(), pathlib.Path(sys.argv[3]).resolve()
    seeds = ["--seeds", SEEDS, "--failures-max", "1"]
    mutations = {
        "stream": [(*m, "tests/sim/stream_sim", seeds) for m in stream.MUTATIONS],
        "engine": [(*m, "tests/sim/engine_sim", seeds) for m in engine.MUTATIONS],
        "unit": [(*m[:5], [f"--gtest_filter={m[5]}"]) for m in unit.MUTATIONS]}[which]
    chosen = [m for m in mutations if not sys.argv[4:] or m[0] in sys.argv[4:]]
    builds = {program: Build(source, folder, program) for program in {m[4] for m in chosen}}
    missed = 0

    def run(mutation):
        *words, program, arguments = mutation
        return builds[program].run(*words, arguments)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for mutation, problem in zip(chosen, pool.map(run, chosen)):
            print(f"{'FAIL' if problem else 'PASS'} {mutation[0]}{': ' + problem if problem else ''}",
                  flush=True)
            missed += bool(problem)
    print(f"{len(chosen) - missed} of {len(chosen)} mutations caught")
    return 1 if missed else 0


sys.exit(main())
