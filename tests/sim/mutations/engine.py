# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""Checks of the engine and http rooms that engine_sim must miss when they are gone."""

# name, file, text, what replaces it
MUTATIONS = [
    ("verdicts_ignored", "engine/judge.cc", "return transaction.live.verdict.blocks(); }",
     "return transaction.live.verdict.blocks() && transaction.service == kNoService; }"),
    ("bodies_not_given_to_rules", "engine/judge.cc",
     "(void)timed(context_, [&] { return judgement->rules.request_body(bytes); });",
     "(void)bytes;"),
    ("phase_two_not_taken", "engine/judge.cc",
     "return begin_judging(transaction, Judging::kEnd);", "return false;"),
    ("unjudged_bytes_allowed", "engine/exchange.cc",
     "return {static_cast<std::uint32_t>(consumed), client_allowed_, 0, false, true};",
     "return {static_cast<std::uint32_t>(consumed), end, 0, false, true};"),
    ("blocked_bytes_allowed", "engine/exchange.cc",
     "client_allowed_ = std::max(client_allowed_, block_offset_);",
     "client_allowed_ = std::max(client_allowed_, block_offset_ + 100000);"),
    ("block_forgotten", "engine/exchange.cc", "  state_ = ExchangeState::kBlocked;\n  bad_ = &transaction;",
     "  bad_ = &transaction;"),
    ("body_end_one_late", "http/request_parser.cc", "body_left_ = head_.content_length;",
     "body_left_ = head_.content_length + 1;"),
    ("response_end_one_late", "engine/exchange_response.cc",
     "end + static_cast<std::int64_t>(transaction.response.content_length);",
     "end + static_cast<std::int64_t>(transaction.response.content_length) + 1;"),
    ("reply_before_earlier_answers", "engine/blocking.cc",
     "exchange.earlier() != 0 || server.acknowledged < server.forwarded", "server.acknowledged < 0"),
    ("fragments_not_joined", "engine/engine.cc", "if (stream_mode(packet) != abi::Mode::kBlock) return;",
     "if (stream_mode(packet) != abi::Mode::kOff) return;"),
    ("dropped_datagrams_leave", "engine/engine.cc",
     "case Fate::kDrop:\n      desk->free(packet.ref);\n      break;\n  }\n}",
     "case Fate::kDrop:\n      desk->transmit(packet.ref, whole, false, packet.link, other(packet.side));\n"
     "      break;\n  }\n}"),
    ("midstream_passes", "engine/flows.cc", "drop(packet, direction, Reason::kTcpNoFlow);",
     "note(packet, direction, Reason::kTcpNoFlow, Action::kPass);"),
    ("stream_memory_kept", "engine/blocking.cc",
     "connection.tcp.close(memory_.streams, Reason::kBlockedFlow, sink);", "(void)sink;"),
    ("generations_stay_pinned", "engine/transaction.cc",
     "if (generation != nullptr) generation->unpin(worker);", "(void)worker;"),
]
