#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""The test of the simulator: with any one check of the stream room taken out, it must fail.

Usage: run.py SOURCE_ROOT BUILD_ROOT [NAME...]
Each mutation replaces a piece of text in a copy of dataplane/stream, builds that copy with the
simulator's appliance, and runs seeds until one fails. Prints "PASS name" where one did.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

SEEDS = "20000"
CC, SINK, SHAKE = "tcp_connection.cc", "tcp_connection_sink.h", "handshake.cc"

# name, file, text, what replaces it
MUTATIONS = [
    ("retransmissions_not_compared", CC,
     "if (!same(begin, std::min(placed.end, sender.received))) return true;", ""),
    ("bytes_beyond_gaps_not_compared", CC,
     "if (!same(std::max(begin, gaps->ranges[i].begin), std::min(placed.end, gaps->ranges[i].end)))",
     "if (placed.end < 0)"),
    ("retained_bytes_freed_early", CC,
     "sender.store.free_below(pools, std::min(sender.acknowledged, sender.inspected));",
     "sender.store.free_all(pools);"),
    ("acknowledgement_ahead_believed", CC, "if (offset > sent) {", "if (offset > sent + 100000) {"),
    ("no_ack_flag_taken", CC,
     "if (!packet.has_flag(net::kAck)) return Reason::kTcpNoAck;", ""),
    ("window_not_checked", CC, "if (placed.end > sender.window_edge + beyond ||",
     "if (placed.end > sender.window_edge + beyond + 200000 ||"),
    ("old_timestamps_taken", CC,
     "static_cast<std::int32_t>(packet.options.timestamp_value - sender.timestamp) < -1)",
     "packet.window == 1)"),
    ("fin_place_forgotten", CC, "return sound ? Reason::kNone : Reason::kTcpFinDiffers;",
     "return sound || !sound ? Reason::kNone : Reason::kTcpFinDiffers;"),
    ("reset_anywhere", CC, "if (placed.begin < sender.acknowledged || placed.begin > sent) {",
     "if (placed.begin < sender.acknowledged - 100000 || placed.begin > sent + 100000) {"),
    ("reset_ends_inspection", CC, "  sender.reset = true;\n",
     "  sender.reset = true;\n  sender.skip_until = sender.allowed = kAllOffsets;\n"),
    ("reset_acknowledgement_not_checked", CC,
     "if (check_acknowledgment(placed.direction, offset) != Reason::kNone) {",
     "if (offset == kAllOffsets) {"),
    ("filler_does_not_wait", CC, "if (!segment.enforce || (next && end <= sender.allowed && end_allowed)) {",
     "if (!segment.enforce || (next && placed.end <= sender.allowed && end_allowed)) {"),
    ("held_bytes_leave_as_copies", CC, "if (left || left_beyond || !segment.enforce) return {};",
     "return {};"),
    ("blocked_bytes_leave", CC, "return begin > sender.forwarded || stop <= begin || stop >= end ? begin : stop;",
     "return stop <= begin ? begin : end;"),
    ("gap_list_lost", CC, "if (gaps != nullptr) sender.received = gaps->extend(sender.received);", ""),
    ("gap_memory_leaks", CC, "if (sender.ranges != Pools::kNone) pools.give_block(sender.ranges);", ""),
    ("urgent_data_left", SINK,
     "if (segment.enforce && net::needs_normalising(packet)) net::normalise(segment.frame, packet);", ""),
    ("block_forgotten", SINK, "    sender.blocked = true;\n    return;\n", "    return;\n"),
    ("conflicts_forwarded", SINK, "checked.fate = segment.enforce ? Fate::kDrop : Fate::kForward;", ""),
    ("syn_data_left", SHAKE, "if (packet.payload_bytes != 0) cut_payload(segment);", ""),
    ("syn_fin_taken", SHAKE, "if ((packet.tcp_flags & kNeverWithSyn) != 0) return drop(segment, Reason::kTcpFlags);", ""),
    ("client_syn_ack_taken", SHAKE,
     "if (direction == Direction::kToServer) return drop(segment, Reason::kTcpHandshake);",
     "if (direction == Direction::kToServer) return forward();"),
    ("second_syn_hides_options", SHAKE, "known.timestamps = known.timestamps || again.timestamps;",
     "known.timestamps = again.timestamps;"),
]


def run(mutation, source, build):
    name, file, old, new = mutation
    with tempfile.TemporaryDirectory(prefix="sluice-mutation-") as folder:
        root = pathlib.Path(folder)
        stream = root / "dataplane" / "stream"
        shutil.copytree(source / "dataplane" / "stream", stream)
        text = (stream / file).read_text()
        if text.count(old) != 1:
            # clang-format may have broken the line: compare without layout.
            squeezed = " ".join(text.split())
            wanted = " ".join(old.split())
            if squeezed.count(wanted) != 1:
                return "its text is not there once"
            pattern_at, end_at = locate(text, wanted)
            text = text[:pattern_at] + new + text[end_at:]
        else:
            text = text.replace(old, new)
        (stream / file).write_text(text)
        compiler = os.environ.get("CXX", "g++").split()
        flags = ["-std=c++20", "-O1", "-march=x86-64-v2", "-mcx16", "-fno-strict-aliasing", "-D_GNU_SOURCE",
                 f"-I{root}", f"-I{source}"]
        sources = sorted(stream.glob("*.cc")) + [source / "tests/sim/stream_appliance.cc"]
        objects = sorted((build / "tests/sim/stream_sim.p").glob("*.o"))
        objects = [str(o) for o in objects if "stream_appliance" not in o.name]
        libraries = [str(build / f"dataplane/{room}/libsluice_{room}.a") for room in ("flow", "net", "base")]
        command = compiler + flags + [str(s) for s in sources] + objects + libraries
        built = subprocess.run(command + ["-lxxhash", "-o", str(root / "sim")], capture_output=True, text=True)
        if built.returncode != 0:
            return "it does not build: " + built.stderr[:2000]
        try:
            result = subprocess.run([str(root / "sim"), "--seeds", SEEDS, "--failures-max", "1"],
                                    capture_output=True, text=True, timeout=300)
        except subprocess.TimeoutExpired:
            return ""  # hanging is failing
        if result.returncode == 0:
            return f"{SEEDS} seeds did not notice"
        print(f"  {name}: {result.stdout.splitlines()[0] if result.stdout else 'crashed'}")
        return ""


def locate(text, wanted):
    """Begin and end in `text` of what equals `wanted` but for layout."""
    words = wanted.split()
    start = 0
    while True:
        begin = text.index(words[0], start)
        at = begin
        for word in words:
            while at < len(text) and text[at].isspace():
                at += 1
            if not text.startswith(word, at):
                break
            at += len(word)
        else:
            return begin, at
        start = begin + 1


def main():
    source, build = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    chosen = [m for m in MUTATIONS if not sys.argv[3:] or m[0] in sys.argv[3:]]
    missed = 0
    for mutation in chosen:
        problem = run(mutation, source, build)
        print(f"{'FAIL' if problem else 'PASS'} {mutation[0]}{': ' + problem if problem else ''}", flush=True)
        missed += bool(problem)
    print(f"{len(chosen) - missed} of {len(chosen)} mutations caught")
    return 1 if missed else 0


sys.exit(main())
