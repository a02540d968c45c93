// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

/// Why something happened: one list, shared by verdicts, drops, events, metrics, commands and
/// documents. The names are those of the evasion catalogue with `_` for `.`. Append only; numbers
/// are part of the shared-memory contract.
// X(enumerator, name, meaning)
#define SLUICE_REASONS(X)                                                                     \
  X(kNone, "none", "nothing to say: passed")                                                  \
  /* verdicts of the engine */                                                                \
  X(kRules, "rules", "a rule decided")                                                        \
  X(kLimit, "limit", "a per-client limit was exceeded")                                       \
  X(kLimitTableFull, "limit_table_full", "no free entry for a limit key, on_full: deny")      \
  X(kTlsUninspected, "tls_uninspected", "a TLS record on a protected clear-text port")        \
  X(kNoGeneration, "no_generation", "no valid generation and on_failure: block")              \
  X(kWorkerStalled, "worker_stalled", "the link's worker does not answer, on_failure: block") \
  X(kReplyWait, "reply_wait", "an earlier response did not end within reply_wait_ms")         \
  X(kReplySlots, "reply_slots", "no free reply slot: reset instead of a reply")               \
  X(kReplyForwarded, "reply_forwarded", "bytes of the bad request had been forwarded: reset") \
  X(kResponseBegun, "response_begun", "the response to the bad request had begun: reset")     \
  X(kBlockedFlow, "blocked_flow", "a packet of a connection already blocked")                 \
  X(kRuleBudget, "rule_budget", "the work bound of one request was hit")                      \
  X(kTransactionMemory, "transaction_memory", "the memory bound of one transaction was hit")  \
  X(kWorkerMemory, "worker_memory", "a pool of the worker is empty")                          \
  /* link */                                                                                  \
  X(kLinkVlanDepth, "link_vlan_depth", "more than two VLAN tags towards a protected service") \
  X(kLinkEthertype, "link_ethertype", "an ethertype not allowed, unknown_frames: drop")       \
  X(kLinkLlc, "link_llc", "IP in LLC/SNAP")                                                   \
  X(kLinkSpoof, "link_spoof", "a protected service's address as source on the client side")   \
  X(kLinkMacType, "link_mac_type", "TCP to a broadcast or multicast MAC address")             \
  X(kLinkTruncated, "link_truncated", "shorter than its own headers")                         \
  X(kLinkOversize, "link_oversize", "longer than the port's MTU or the linearise bound")      \
  X(kTxFull, "tx_full", "the transmit queue took no more")                                    \
  X(kSteerFull, "steer_full", "the ring to the flow's worker is full")                        \
  X(kPortDown, "port_down", "the other port of the link is down")                             \
  /* ip */                                                                                    \
  X(kIpVersion, "ip_version", "IP version and ethertype differ")                              \
  X(kIpHlen, "ip_hlen", "IPv4 header length wrong")                                           \
  X(kIpLen, "ip_len", "total length shorter than the header")                                 \
  X(kIpTruncated, "ip_truncated", "total length beyond the frame")                            \
  X(kIpCsum, "ip_csum", "IPv4 header checksum wrong")                                         \
  X(kIpOptions, "ip_options", "IPv4 options towards a protected service")                     \
  X(kIpMartian, "ip_martian", "an address that no host has")                                  \
  X(kIpTunnel, "ip_tunnel", "a tunnel to a protected host, unknown_frames: drop")             \
  X(kIpFragDf, "ip_frag_df", "reserved flag, or a fragment with DF")                          \
  X(kIpFragOverlap, "ip_frag_overlap", "fragments overlap: the datagram is dropped")          \
  X(kIpFragTiny, "ip_frag_tiny", "the first fragment lacks the whole TCP header")             \
  X(kIpFragLen, "ip_frag_len", "a middle fragment whose length is no multiple of 8")          \
  X(kIpFragEnd, "ip_frag_end", "two ends of one datagram")                                    \
  X(kIpFragBig, "ip_frag_big", "a fragment ends beyond 65535")                                \
  X(kIpFragEmpty, "ip_frag_empty", "a fragment without data")                                 \
  X(kIpFragCount, "ip_frag_count", "too many fragments of one datagram")                      \
  X(kIpFragTimeout, "ip_frag_timeout", "a datagram not completed in time, or its late rest")  \
  X(kIpFragFull, "ip_frag_full", "the fragment table is full")                                \
  X(kIp6Chain, "ip6_chain", "extension headers too many, too long or out of order")           \
  X(kIp6FragChain, "ip6_frag_chain", "the first fragment lacks the upper-layer header")       \
  X(kIp6FragDup, "ip6_frag_dup", "two fragment headers")                                      \
  X(kIp6Rh, "ip6_rh", "a routing header that changes the destination")                        \
  X(kIp6Option, "ip6_option", "an option that tells receivers to discard")                    \
  X(kIp6Nonext, "ip6_nonext", "bytes behind no-next-header")                                  \
  X(kIp6Jumbo, "ip6_jumbo", "payload length 0")                                               \
  X(kIcmpError, "icmp_error", "an ICMP error whose quoted sequence is outside the window")    \
  /* tcp */                                                                                   \
  X(kTcpCsum, "tcp_csum", "TCP checksum wrong")                                               \
  X(kTcpOffset, "tcp_offset", "data offset below 5 or beyond the packet")                     \
  X(kTcpOption, "tcp_option", "an option length wrong")                                       \
  X(kTcpOptionDup, "tcp_option_dup", "two timestamp options")                                 \
  X(kTcpAuthOption, "tcp_auth_option", "MD5 or AO option")                                    \
  X(kTcpFlags, "tcp_flags", "SYN with FIN, RST or URG")                                       \
  X(kTcpSynData, "tcp_syn_data", "data on a SYN")                                             \
  X(kTcpMss, "tcp_mss", "a tiny maximum segment size, raised")                                \
  X(kTcpNoAck, "tcp_no_ack", "neither SYN nor RST nor ACK")                                   \
  X(kTcpAckAhead, "tcp_ack_ahead", "acknowledges what the server never sent")                 \
  X(kTcpAckOld, "tcp_ack_old", "acknowledges far below the window")                           \
  X(kTcpAckUnseen, "tcp_ack_unseen", "acknowledges what was never forwarded")                 \
  X(kTcpWindow, "tcp_window", "outside the receiver's window")                                \
  X(kTcpPaws, "tcp_paws", "timestamp older than the last")                                    \
  X(kTcpUrgent, "tcp_urgent", "urgent pointer cleared")                                       \
  X(kTcpOverlapDiffers, "tcp_overlap_differs", "differs from the bytes forwarded before")     \
  X(kTcpOooFull, "tcp_ooo_full", "the out-of-order bound is full")                            \
  X(kTcpRetainFull, "tcp_retain_full", "the bound of unacknowledged bytes is full")           \
  X(kTcpHoldFull, "tcp_hold_full", "the bound of held segments is full")                      \
  X(kTcpEarlyData, "tcp_early_data", "server data before the handshake ended")                \
  X(kTcpSplitHandshake, "tcp_split_handshake", "the server answers SYN with SYN")             \
  X(kTcpSynDiffers, "tcp_syn_differs", "another SYN with another sequence number")            \
  X(kTcpSynEstablished, "tcp_syn_established", "SYN inside an established connection")        \
  X(kTcpHandshake, "tcp_handshake", "a handshake acknowledgement that matches no SYN-ACK")    \
  X(kTcpRstInvalid, "tcp_rst_invalid", "RST outside una..nxt")                                \
  X(kTcpFinDiffers, "tcp_fin_differs", "bytes at or beyond a FIN")                            \
  X(kTcpNoFlow, "tcp_no_flow", "no connection known, midstream: reset")                       \
  X(kTcpSmallSegments, "tcp_small_segments", "too many tiny segments in one request")         \
  X(kFlowFull, "flow_full", "the flow table is full")                                         \
  X(kFlowEmbryonicFull, "flow_embryonic_full", "a newer handshake took the place of one")     \
  X(kFlowAsymmetric, "flow_asymmetric", "only one direction is seen")                         \
  X(kFlowIdle, "flow_idle", "without a segment for idle_timeout_ms: forgotten")               \
  /* http framing */                                                                          \
  X(kHttpNotHttp, "http_not_http", "not HTTP on a protected port")                            \
  X(kHttpFraming, "http_framing", "refused by the parser, no finer name")                     \
  X(kHttpRequestLine, "http_request_line", "request line malformed or too long")              \
  X(kHttpMethod, "http_method", "method unknown or not allowed")                              \
  X(kHttpTarget, "http_target", "request target in a form that servers read differently")     \
  X(kHttpVersion, "http_version", "neither HTTP/1.0 nor HTTP/1.1")                            \
  X(kHttpNoVersion, "http_no_version", "an HTTP/0.9 request line")                            \
  X(kHttpBareLf, "http_bare_lf", "LF without CR")                                             \
  X(kHttpBareCr, "http_bare_cr", "CR without LF")                                             \
  X(kHttpNul, "http_nul", "a NUL byte in the head")                                           \
  X(kHttpObsFold, "http_obs_fold", "a folded field line")                                     \
  X(kHttpLeadingCrlf, "http_leading_crlf", "an empty line first, or two between requests")    \
  X(kHttpHeaderName, "http_header_name", "a field name empty or with bytes not allowed")      \
  X(kHttpHeaderValue, "http_header_value", "a field value with bytes not allowed")            \
  X(kHttpHeadersTooLarge, "http_headers_too_large", "the head, one field or their number")    \
  X(kHttpHost, "http_host", "Host missing, repeated or malformed")                            \
  X(kHttpHostConflict, "http_host_conflict", "Host and absolute target differ")               \
  X(kHttpConnection, "http_connection", "Connection names a framing field")                   \
  X(kHttpClAndTe, "http_cl_and_te", "Content-Length beside Transfer-Encoding")                \
  X(kHttpClDup, "http_cl_dup", "more than one Content-Length")                                \
  X(kHttpClBad, "http_cl_bad", "Content-Length is no plain number")                           \
  X(kHttpTe, "http_te", "Transfer-Encoding other than one chunked")                           \
  X(kHttpTe10, "http_te_10", "Transfer-Encoding on HTTP/1.0")                                 \
  X(kHttpChunkSize, "http_chunk_size", "chunk size malformed or too large")                   \
  X(kHttpChunkExt, "http_chunk_ext", "chunk extension")                                       \
  X(kHttpChunkData, "http_chunk_data", "chunk data not followed by CRLF")                     \
  X(kHttpChunks, "http_chunks", "too many tiny chunks")                                       \
  X(kHttpTrailer, "http_trailer", "trailer fields")                                           \
  X(kHttpBodyUnexpected, "http_body_unexpected", "a body on GET or HEAD, by switch")          \
  X(kHttpEarlyResponse, "http_early_response", "more body after its response had ended")      \
  X(kHttpExpect, "http_expect", "Expect other than 100-continue")                             \
  X(kHttpUpgrade, "http_upgrade", "an upgrade that the service does not allow")               \
  X(kHttpConnect, "http_connect", "the CONNECT method")                                       \
  X(kHttpH2Preface, "http_h2_preface", "the HTTP/2 preface")                                  \
  X(kHttpPipeline, "http_pipeline", "a request waits: 32 before it have no response")         \
  X(kHttpSlow, "http_slow", "head or body slower than allowed")                               \
  X(kHttpPercent, "http_percent", "a broken percent encoding, by switch")                     \
  X(kHttpArgs, "http_args", "too many arguments, or one too long")                            \
  X(kHttpAfterClose, "http_after_close", "bytes after the last request of a connection")      \
  X(kHttpResponse, "http_response", "a response that cannot be framed")                       \
  X(kHttpUnknownHost, "http_unknown_host", "no service of this address has that host")        \
  /* bodies */                                                                                \
  X(kBodyTooLarge, "body_too_large", "beyond the request body limit")                         \
  X(kBodyType, "body_type", "content type not allowed, by switch")                            \
  X(kBodyCharset, "body_charset", "charset not allowed, by switch")                           \
  X(kBodyEncoding, "body_encoding", "content encoding unknown, broken or stacked")            \
  X(kBodyBomb, "body_bomb", "decompression ratio or output too large")                        \
  X(kBodyForm, "body_form", "urlencoded body broken, by switch")                              \
  X(kJsonSyntax, "json_syntax", "JSON malformed, by switch")                                  \
  X(kJsonDepth, "json_depth", "JSON too deep or too many keys")                               \
  X(kJsonDupKey, "json_dup_key", "a JSON key twice, by switch")                               \
  X(kXmlSyntax, "xml_syntax", "XML malformed, by switch")                                     \
  X(kXmlDoctype, "xml_doctype", "XML with a document type, by switch")                        \
  X(kXmlDepth, "xml_depth", "XML too deep or too large")                                      \
  X(kMultipartBoundary, "multipart_boundary", "multipart boundary malformed")                 \
  X(kMultipartStrict, "multipart_strict", "multipart in a form servers read differently")     \
  /* not errors */                                                                            \
  X(kBypass, "bypass", "forwarded uninspected: bypass is on")                                 \
  X(kMidstream, "midstream", "forwarded uninspected: midstream: pass")                        \
  X(kUpgraded, "upgraded", "forwarded after an allowed upgrade")                              \
  X(kModeOff, "mode_off", "forwarded uninspected: mode off")                                  \
  X(kIpTtl, "ip_ttl", "time to live or hop limit 0 towards a protected service")              \
  X(kIpFrag, "ip_frag", "a fragment to a service with fragments: drop")                       \
  X(kIpFragDup, "ip_frag_dup", "an exact copy of a fragment already held")                    \
  X(kHttpHeaderForbidden, "http_header_forbidden", "a field clients may not set, by switch")  \
  X(kHttpCookie, "http_cookie", "a cookie in legacy syntax, by switch")                       \
  X(kHttpRange, "http_range", "a Range malformed or of too many ranges, by switch")           \
  X(kHttpCredentials, "http_credentials", "credentials malformed, by switch")                 \
  X(kHttpHeaderDup, "http_header_dup", "a field twice that may come once")                    \
  X(kTcpHeldDup, "tcp_held_dup", "a copy of bytes that wait for a verdict")                   \
  X(kCollectionFull, "collection_full", "a persistent collection has no room for a change")

namespace sluice::abi {

enum class Reason : std::uint8_t {
#define SLUICE_X(enumerator, name, meaning) enumerator,
  SLUICE_REASONS(SLUICE_X)
#undef SLUICE_X
      kCount
};

inline constexpr std::size_t kReasonCount = static_cast<std::size_t>(Reason::kCount);
static_assert(kReasonCount <= 255);

struct ReasonText {
  std::string_view name, meaning;
};

inline constexpr std::array<ReasonText, kReasonCount> kReasonTexts = {{
#define SLUICE_X(enumerator, name, meaning) ReasonText{name, meaning},
    SLUICE_REASONS(SLUICE_X)
#undef SLUICE_X
}};

constexpr std::string_view reason_name(Reason reason) {
  const auto index = static_cast<std::size_t>(reason);
  return index < kReasonCount ? kReasonTexts[index].name : std::string_view("unknown");
}

}  // namespace sluice::abi
