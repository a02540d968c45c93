# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""sluicectl(1) against the commands and options that sluicectl itself has.

man_test.py SLUICECTL"""
import pathlib
import re
import subprocess
import sys
import unittest

PAGE = pathlib.Path(__file__).resolve().parents[3] / "docs/man/sluicectl.1"
SLUICECTL = sys.argv.pop(1)


def help_of(*words):
    return subprocess.run([SLUICECTL, *words, "--help"], capture_output=True, text=True,
                          check=True).stdout


def commands(*words):
    """The commands that have none below them, as words."""
    part = re.split("^Subcommands:$", help_of(*words), flags=re.M | re.I)
    if len(part) == 1:
        return [words]
    below = re.findall(r"^  ([a-z]+) ", part[1], re.M)
    return [found for word in below for found in commands(*words, word)]


def options(text):
    return set(re.findall(r"^  (?:-\w,)?(--[a-z-]+)", text, re.M)) - {"--help"}


class ManualPage(unittest.TestCase):
    def setUp(self):
        page = PAGE.read_text().replace("\\-", "-")
        head, _, self.commands = page.partition(".SH COMMANDS")
        self.globals = head.partition(".SH OPTIONS")[2]
        self.commands = self.commands.partition("\n.SH")[0]

    def section(self, words):
        found = re.search(rf"^\.B {' '.join(words)}\b(.*?)(?=^\.B [a-z]|\Z)", self.commands, re.M | re.S)
        self.assertIsNotNone(found, f"no section for {words}")
        return found.group(1)

    def test_every_command_has_its_options_and_no_others(self):
        found = commands()
        self.assertGreater(len(found), 15)
        for words in found:
            named = set(re.findall(r"^\.B (--[a-z-]+)", self.section(words), re.M))
            self.assertEqual(named, options(help_of(*words)), words)

    def test_global_options(self):
        named = set(re.findall(r"^\.B (--[a-z-]+)", self.globals, re.M))
        self.assertEqual(named, options(help_of().partition("Subcommands")[0]))


unittest.main()
