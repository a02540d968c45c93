# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""bash completion against the commands and options that sluicectl itself has.

completion_test.py SLUICECTL"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[3] / "scripts/package.d/sluicectl.completion"
SLUICECTL = sys.argv.pop(1)
GLOBAL = {"--config", "--help", "--instance", "--json", "--socket", "--version"}


def help_of(*words):
    done = subprocess.run([SLUICECTL, *words, "--help"], capture_output=True, text=True, check=True)
    return done.stdout


def commands(text):
    part = re.split("^Subcommands:$", text, flags=re.M | re.I)
    return set(re.findall(r"^  ([a-z]+) ", part[1], re.M)) if len(part) > 1 else set()


def options(text):
    return set(re.findall(r"^  (?:-\w,)?(--[a-z-]+)", text, re.M))


class Completion(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        os.symlink(SLUICECTL, f"{self.folder.name}/sluicectl")
        self.empty = f"{self.folder.name}/empty"
        os.mkdir(self.empty)

    def tearDown(self):
        self.folder.cleanup()

    def complete(self, *words):
        script = (f"source {SCRIPT}; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _sluicectl; "
                  "printf '%s\\n' \"${COMPREPLY[@]}\"")
        done = subprocess.run(["bash", "-c", script, "bash", "sluicectl", *words], cwd=self.empty,
                              env={**os.environ, "PATH": f"{self.folder.name}:{os.environ['PATH']}"},
                              capture_output=True, text=True, check=True)
        return set(done.stdout.split())

    def test_every_command_and_option_is_offered_and_no_other(self):
        paths = [()]
        while paths:
            path = paths.pop()
            text = help_of(*path)
            paths += [path + (command,) for command in commands(text)]
            self.assertEqual(self.complete(*path, "-"), options(text) | GLOBAL, path)
            if path not in (("mode",), ("bypass",)):
                self.assertEqual(self.complete(*path, ""), commands(text), path)

    def test_values_of_options_are_no_commands(self):
        self.assertEqual(self.complete("--instance", "events", "bundle", ""),
                         {"build", "sign", "verify", "install"})
        modes = {"off", "monitor", "block", "policy"}
        for words in (("mode",), ("mode", "--service", "top"), ("--json", "mode")):
            self.assertEqual(self.complete(*words, ""), modes, words)
        self.assertEqual(self.complete("bypass", "o"), {"on", "off"})
        self.assertEqual(self.complete("events", "--type", ""),
                         {"alert", "http", "drop", "stats", "audit"})
        self.assertEqual(self.complete("events", "--verdict", ""), {"pass", "monitor", "block"})

    def test_options_for_files_offer_files(self):
        pathlib.Path(self.empty, "rules.conf").touch()
        self.assertEqual(self.complete("check", "--rules", "r"), {"rules.conf"})


if __name__ == "__main__":
    unittest.main()
