// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstddef>
#include <cstdint>

/// Every capacity of the dataplane: unit, reason, and what happens when it is full. docs/limits.md
/// tells operators the same. Rooms add theirs here, in their section.
namespace sluice::abi {

// -- process ------------------------------------------------------------------------------------
inline constexpr std::size_t kCacheLineBytes = 64;
/// Frames taken from a port at once. DPDK drivers vectorise multiples of 32.
inline constexpr std::size_t kBurstMax = 64;
inline constexpr std::size_t kWorkersMax = 64;
inline constexpr std::size_t kLinksMax = 16;

// -- policy -------------------------------------------------------------------------------------
inline constexpr std::size_t kServicesMax = 64;  // more: a policy error
inline constexpr std::size_t kServiceNameBytesMax = 64;
inline constexpr std::size_t kLimitsPerServiceMax = 16;  // more: a policy error
inline constexpr std::size_t kLimitsMax = 256;
inline constexpr std::size_t kGenerationSlots = 8;  // full: the publish fails loudly

// -- records ------------------------------------------------------------------------------------
inline constexpr std::size_t kEventRecordBytesMax = 16384;  // fields are cut to fit
inline constexpr std::size_t kEventFieldBytesMax =
    1024;  // longer values are cut, said in the record
inline constexpr std::size_t kVerdictRingBytes = 4u << 20;  // full: drops and counts
inline constexpr std::size_t kHttpRingBytes = 16u << 20;    // full: drops and counts

// -- http ---------------------------------------------------------------------------------------
inline constexpr std::size_t kRequestLineBytesMax = 8 * 1024;  // http_request_line
inline constexpr std::size_t kHeaderBytesMax = 8 * 1024;       // http_headers_too_large
inline constexpr std::size_t kHeadBytesMax = 32 * 1024;        // http_headers_too_large
inline constexpr std::size_t kHeadersMax = 100;                // http_headers_too_large
inline constexpr std::size_t kChunkSizeDigitsMax = 8;          // http_chunk_size
inline constexpr std::size_t kPipelinedMax = 32;               // http_pipeline
inline constexpr std::size_t kInterimResponsesMax = 8;         // http_response
/// Tiny chunks cost a header each: more than this many averaging less, http_chunks.
inline constexpr std::size_t kTinyChunksMax = 1024;
inline constexpr std::size_t kTinyChunkBytes = 16;
/// Open containers of a JSON document whatever a switch or a rule file says; json_depth.
inline constexpr std::size_t kJsonDepthMax = 512;
inline constexpr std::size_t kJsonStrictDepth = 32;            // switch json_depth
inline constexpr std::size_t kJsonStrictKeys = 10'000;         // switch json_depth
inline constexpr std::size_t kJsonKeyTableBytes = 152 * 1024;  // of them; json_duplicate_key
inline constexpr std::size_t kJsonStrictNumberBytes = 64;      // switch json_depth
inline constexpr std::size_t kJsonKeysMax = 1'000'000;         // members and elements; json_depth
inline constexpr std::size_t kJsonNameBytesMax = 8 * 1024;     // "json.a.b"; json_depth
inline constexpr std::size_t kXmlDepthMax = 512;               // open elements; xml_depth
inline constexpr std::size_t kXmlStrictDepth = 64;             // switch xml_depth
inline constexpr std::size_t kXmlStrictAttributes = 64;        // of one element; switch xml_depth
/// `<` of a body that is judged whole where rules read XML://text(); beyond: in batches.
inline constexpr std::ptrdiff_t kXmlTextsMax = 4096;
inline constexpr std::size_t kXmlMemoryBytes = 256 * 1024;           // of expat; transaction_memory
inline constexpr std::size_t kMultipartPartsMax = 1024;              // http_args
inline constexpr std::size_t kMultipartPartHeadBytesMax = 4 * 1024;  // http_args
inline constexpr std::size_t kMultipartBoundaryBytesMax = 256;       // a multipart error
/// Decoded bytes of one body, and their ratio to the coded ones once there are this many;
/// body_bomb.
inline constexpr std::size_t kDecodedBytesMax = 4u << 20;
inline constexpr std::size_t kDecodedRatioMax = 100;
inline constexpr std::size_t kDecodedRatioFreeBytes = 64 * 1024;
inline constexpr std::size_t kDecodedPieceBytes = 4 * 1024;    // given to the sink at once
inline constexpr std::size_t kInflateMemoryBytes = 64 * 1024;  // of zlib; transaction_memory
inline constexpr std::size_t kBrotliMemoryBytes = 8u << 20;    // of brotli; transaction_memory

// -- net ----------------------------------------------------------------------------------------
inline constexpr std::size_t kVlanTagsMax = 2;              // link_vlan_depth
inline constexpr std::size_t kVlanTagsReadMax = 16;         // beyond: the frame stays unread
inline constexpr std::size_t kExtensionHeadersMax = 8;      // ip6_chain
inline constexpr std::size_t kExtensionBytesMax = 256;      // ip6_chain
inline constexpr std::size_t kFragmentsMax = 64;            // per datagram; ip_frag_count
inline constexpr std::size_t kFragmentDatagramsMax = 4096;  // per worker; ip_frag_full
/// Of these, datagrams of one source (IPv4 address, IPv6 /64). Beyond: ip_frag_full for it alone.
inline constexpr std::size_t kFragmentDatagramsPerSource = 64;
/// Bytes of unfinished datagrams per worker, in blocks; ip_frag_full.
inline constexpr std::size_t kFragmentBlockBytes = 2048;
inline constexpr std::size_t kFragmentBlocks = 4096;
inline constexpr std::size_t kFragmentBlocksPerSource = 512;  // ip_frag_full for that source
/// Packets kept until their datagram is whole: they come out of the ports' pools. ip_frag_full.
inline constexpr std::size_t kFragmentPacketsMax = 8192;
inline constexpr std::size_t kFragmentPacketsPerSource = 1024;
/// Datagrams remembered as dropped. Full: the oldest of a set of 4 is forgotten, which is safe, as
/// no receiver ever got a part of it.
inline constexpr std::size_t kFragmentTombstones = 8192;
inline constexpr std::uint64_t kFragmentTimeoutNs = 10'000'000'000;    // ip_frag_timeout
inline constexpr std::uint64_t kFragmentTombstoneNs = 60'000'000'000;  // then the id is free again

// -- stream -------------------------------------------------------------------------------------
inline constexpr std::size_t kOutOfOrderBytesMax = 256 * 1024;  // tcp_ooo_full, per direction
inline constexpr std::size_t kOutOfOrderRangesMax = 64;         // tcp_ooo_full
inline constexpr std::size_t kRetainedBytesMax = 1024 * 1024;   // tcp_retain_full, per direction
inline constexpr std::size_t kOverlapConflictsMax = 3;          // then the connection is blocked
/// Packets of one direction that wait for a verdict; tcp_hold_full, and TCP sends them again.
inline constexpr std::size_t kHeldPerDirectionMax = 256;
/// Bytes behind a filled gap that one call works off; the filling segment waits meanwhile.
inline constexpr std::size_t kInspectBytesPerCall = 64 * 1024;
/// Segments below kSmallSegmentBytes in one request; tcp_small_segments blocks the connection.
inline constexpr std::size_t kSmallSegmentsMax = 1000;
inline constexpr std::size_t kSmallSegmentBytes = 16;
/// How long a handshake is remembered behind its latest SYN or SYN-ACK; then midstream.
inline constexpr std::uint64_t kHandshakeTimeoutNs = 10'000'000'000;
/// How long a reset connection is still inspected, and one that both ends have finished.
inline constexpr std::uint64_t kResetTimeoutNs = 60'000'000'000;
inline constexpr std::uint64_t kClosedTimeoutNs = 5'000'000'000;

// -- rules: regex -------------------------------------------------------------------------------
/// Work of PCRE2 at one start of a match in its own units, which the budget counts otherwise.
/// Reached: rule_budget, the request fails closed.
inline constexpr std::uint32_t kRegexMatchLimit = 1'000'000;
inline constexpr std::uint32_t kRegexDepthLimit = 20'000;    // interpreter only; rule_budget
inline constexpr std::uint32_t kRegexHeapKib = 1024;         // per worker; full: rule_budget
inline constexpr std::size_t kRegexStackBytes = 512 * 1024;  // per worker; full: interpreter
inline constexpr std::size_t kRegexGroupsMax = 64;           // groups beyond are not captured
inline constexpr std::uint32_t kSqliTokensMax = 4096;  // beyond bytes / 2, a request; rule_budget
inline constexpr std::size_t kVerifyBytesMax = 256 * 1024;  // digits tried by verify*; rule_budget

// -- rules: transactions ------------------------------------------------------------------------
/// Arguments, headers, cookies, files and scalars of one transaction; beyond: http_args.
inline constexpr std::size_t kValuesMax = 8192;
/// Bytes of one transaction: values, decoded bodies, matches. Typical: 16 KiB; transaction_memory.
inline constexpr std::size_t kTransactionBytesMax = 2u << 20;
/// Request body bytes kept and judged whole where the rules name no SecRequestBodyLimit.
inline constexpr std::size_t kBodyBytesKept = 256 * 1024;
/// A longer body is judged in batches of so many bytes or values; one value longer than that in
/// pieces with an overlap. The record says exact: false.
inline constexpr std::size_t kLongBatchBytes = 64 * 1024;
inline constexpr std::size_t kLongBatchValues = 1024;
inline constexpr std::size_t kLongOverlapBytes = 4096;
inline constexpr std::size_t kLongDecoderBytes = 60 * 1024;  // of its decoder; transaction_memory
/// Values of one worker whose scans are remembered; beyond: the oldest are scanned again.
inline constexpr std::size_t kMemoEntries = 32'768;
inline constexpr std::size_t kInjectionMemoEntries = 16384;  // the same for libinjection
/// Steps of one transaction (a rule and a value, 64 bytes scanned, 4 units of RegexMeter): so
/// many, and more for each byte of its heads and bodies (decoded); rule_budget.
inline constexpr std::uint64_t kRuleStepsBase = 20'000;
inline constexpr std::uint64_t kRuleStepsPerByte = 18;
inline constexpr std::size_t kRuleMatchesMax = 512;      // reported matches; the rest is counted
inline constexpr std::size_t kMatchedVarsMax = 1024;     // MATCHED_VARS members of one rule
inline constexpr std::size_t kMatchValueBytesMax = 512;  // value kept of a match
inline constexpr std::size_t kExpandedBytesMax = 8192;   // one text with its macros; cut
inline constexpr std::size_t kTxVariablesMax = 4096;     // members of TX; transaction_memory
inline constexpr std::size_t kRuleRemovalsMax = 256;     // ctl:ruleRemove* of one request

// -- rules: persistent collections --------------------------------------------------------------
/// What one slot of the table holds: records of about 20 clients. Full: what has expired goes, then
/// what was changed longest ago, counted in collection_evictions.
inline constexpr std::size_t kCollectionPageBytes = 4096;
/// One collection (IP of one client) with its members; beyond: collection_full.
inline constexpr std::size_t kCollectionRecordBytesMax = 2048;
inline constexpr std::size_t kCollectionKeyBytesMax = 64;      // shown as KEY; cut
inline constexpr std::size_t kCollectionNameBytesMax = 128;    // of a member; collection_full
inline constexpr std::size_t kCollectionValueBytesMax = 1024;  // of a member; cut
/// Changes by other workers that one change of the same page waits out; collection_full.
inline constexpr std::uint32_t kCollectionAttemptsMax = 4096;
inline constexpr std::uint64_t kCollectionSteps = 64;  // of the budget, for each access
// -- engine -------------------------------------------------------------------------------------
/// Both heads of a transaction with their field tables, as the parsers need them; beyond:
/// transaction_memory.
inline constexpr std::size_t kTransactionArenaBytes = 2 * (kHeadBytesMax + 8 * 1024);
inline constexpr std::size_t kReplyBytesMax = 1024;  // head and problem details of our reply
/// How long the rules go on for what one segment brings, in ns; then poll() goes on with them, a
/// slice at a time, and others are served between.
inline constexpr std::uint64_t kSliceNs = 150'000;
/// Values of at least so many bytes whose scans may stop at the end of a slice. Of one worker there
/// are so many of these and of the bodies below at once: a further one waits before it begins.
inline constexpr std::size_t kLongWorkBytes = 2048;
inline constexpr std::size_t kSlicedBodyBytes = 16 * 1024;  // JSON and multipart: the same
inline constexpr std::size_t kLongWorks = 4;
/// For the forms, or the decoder, of one of them; full: a value is scanned at a stretch.
inline constexpr std::size_t kLongWorkArenaBytes = 4u << 20;
/// Timers, waiting replies and connections with work left over that one poll() handles.
inline constexpr std::size_t kTimersPerPoll = 64;
/// Where fewer than one in so many transactions of a worker is free, requests that have been
/// incomplete for kCrowdedNs end as http_slow, the oldest first.
inline constexpr std::size_t kCrowdedPart = 8;
inline constexpr std::uint64_t kCrowdedNs = 250'000'000;  // see above
/// Resets sent in answer to packets of one connection that is over, per second (evasion RX9); of
/// packets without a connection, per worker and second.
inline constexpr std::size_t kResetsPerSecond = 2;
inline constexpr std::size_t kMidstreamResetsPerSecond = 1000;

}  // namespace sluice::abi
