# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""Checks that no simulator draws, and the unit tests that must fail when they are gone."""

LIMIT, ENGINE, EVALUATOR, IMAGE, STREAM = (
    "tests/unit/limit/limit_test", "tests/unit/engine/engine_test",
    "tests/unit/compile/rules_evaluator_test", "tests/unit/compile/compile_image_check_test",
    "tests/unit/stream/stream_test")

# name, file, text, what replaces it, test program, its test
MUTATIONS = [
    ("debt_forgotten_when_time_goes_back", "limit/table.cc",
     "found ? std::max(seen.arrival_ns, now) : now;",
     "found && seen.arrival_ns - now <= rate.burst_ns ? std::max(seen.arrival_ns, now) : now;",
     LIMIT, "LimitTable.HS6_ATimeThatJumpsGivesNoMoreThanTheBurst"),
    ("blocked_requests_not_charged", "engine/judge.cc",
     "check_limits(transaction);\n    if",
     "if (transaction.live.rules.active()) transaction.limit = limit::Result{};\n    if",
     ENGINE, "Engine.HS7_RequestsThatRulesBlockAreChargedToo"),
    ("later_requests_not_charged", "engine/judge.cc", "check_limits(transaction);\n    if",
     "if (transaction.number == 1) check_limits(transaction);\n    if",
     ENGINE, "Engine.HS8_EachRequestIsChargedOnceHoweverItComes"),
    ("requests_charged_twice", "engine/judge.cc", "check_limits(transaction);\n    if",
     "check_limits(transaction);\n    check_limits(transaction);\n    if",
     ENGINE, "Engine.HS8_EachRequestIsChargedOnceHoweverItComes"),
    ("macros_expanded_again", "rules/targets.cc",
     "piece = piece.substr(0, abi::kExpandedBytesMax - bytes);",
     """if (part.variable != abi::kNone16 && piece.starts_with("%{ARGS.") && piece.ends_with('}')) {
          piece = variable_text(state, static_cast<VariableId>(part.variable),
                                piece.substr(7, piece.size() - 8), abi::kNone16);
        }
        piece = piece.substr(0, abi::kExpandedBytesMax - bytes);""",
     EVALUATOR, "Evaluator.CP9_WhatAMacroGivesIsNotExpandedAgain"),
    ("cut_heads_pass", "engine/exchange.cc",
     "request_parser_.in_head() && judge.refuse(*request_, Reason::kHttpFraming, kForbidden);",
     "false;", ENGINE, "Http.AHeadThatTheClientCutsIsRefusedBeforeItsEnd"),
    ("empty_lines_begin_requests", "engine/exchange.cc",
     "consumed += request_parser_.skip_empty_line(chunk.subspan(consumed));", "consumed += 0;",
     ENGINE, "EmptyLine.AnEmptyLineBeforeTheClientsEndIsNoRequest"),
    ("cut_bodies_not_judged", "engine/exchange.cc", "? judge.request_cut(*request_)", "? false",
     ENGINE, "Http.ABodyThatTheClientCutsIsJudgedBeforeItsEnd"),
    ("scan_sets_not_counted", "rules/image_check.cc", "require(sets_.size() < abi::kNone16);", "",
     IMAGE, "ImageCheck.MoreScanSetsThanAMemoCanNameAreRefused"),
    ("scale_not_clamped", "stream/handshake.cc",
     "options.window_scale = std::min(sent.window_scale, kWindowScaleMax);",
     "options.window_scale = sent.window_scale;", STREAM, "TcpOptions.TO7_WindowScaleIsAtMostFourteen"),
    ("gaps_take_the_last_blocks", "stream/tcp_connection.cc",
     "pools.gap_block_allowed() ? pools.take_block() : Pools::kNone", "pools.take_block()",
     STREAM, "TcpBounds.RX3_TheLastQuarterOfThePoolIsKeptForBytesInOrder"),
    ("copies_of_held_bytes_are_held", "stream/tcp_connection.cc",
     "if (sender.held_count != 0) return dropped(segment, Reason::kTcpHeldDup);", "",
     STREAM, "TcpData.CopyOfAHeldSegmentIsDroppedAndADifferingOneIsAConflict"),
    ("held_with_a_hole", "stream/tcp_connection.cc",
     "if (placed.begin > behind || sender.held_count >= abi::kHeldPerDirectionMax ||",
     "if (sender.held_count >= abi::kHeldPerDirectionMax ||",
     STREAM, "TcpData.SegmentThatCannotBeHeldLeavesWhenItIsSentAgain"),
    ("clock_beyond_a_gap", "stream/tcp_connection_sink.h",
     "if (in_order) accept_timestamp(direction, packet);", "accept_timestamp(direction, packet);",
     STREAM, "TcpOptions.TO1_ASegmentBeyondAGapDoesNotMoveTheClock"),
    ("small_segments_without_end", "stream/tcp_connection_sink.h",
     "if (count_small(placed) && segment.enforce) {", "if (placed.begin < 0) {",
     STREAM, "TcpData.TD9_TooManySmallSegmentsInOneRequestBlockTheConnection"),
]
