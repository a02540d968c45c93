# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""Checks of the stream room, and of net on IPv6, that stream_sim must miss when they are gone."""

CC, SINK, SHAKE = ("stream/tcp_connection.cc", "stream/tcp_connection_sink.h", "stream/handshake.cc")
CHAIN = "net/ipv6_chain.cc"

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
    # RFC 2018 section 8: what was told of may be forgotten again.
    ("selective_acknowledgement_believed", CC, "if (offset <= acknowledged.acknowledged) return;",
     """if (packet.options.sack_blocks != 0) {
          offset = offset_of(acknowledged,
                             base::load_be32(packet.frame.data() + packet.options.sack_offset + 4));
        }
        if (offset <= acknowledged.acknowledged) return;"""),
    ("discarding_options_pass", CHAIN, "if ((at[i] & 0xc0) != 0) return Reason::kIp6Option;", ""),
    ("untaken_routes_pass", CHAIN, "if (header[2] == 0 || header[3] != 0) note(Reason::kIp6Rh);", ""),
    ("hop_by_hop_anywhere", CHAIN,
     "if (chain_.protocol == kHopByHop && headers != 0) return fail(Reason::kIp6Chain);", ""),
]
