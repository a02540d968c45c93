// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <string_view>

#include "dataplane/abi/limits.h"
#include "dataplane/abi/reasons.h"
#include "dataplane/abi/strict.h"
#include "dataplane/base/arena.h"
#include "dataplane/base/bytes.h"
#include "dataplane/http/block_pool.h"

struct XML_ParserStruct;

namespace sluice::http {

enum class XmlError : std::uint8_t { kNone, kSyntax, kEncoding, kDepth, kMemory };

/// Reads one XML document as it arrives with expat, whose memory comes from a bounded pool. No
/// entity but the five predefined ones and characters is expanded; nothing external is loaded.
///
/// Sink: text(Bytes piece): character data and CDATA of all elements in document order;
/// text_end(): what text() gave since the last one is a text node, of which a CDATA section is one
/// for itself; reference(Bytes piece): one to an entity, as it is written, which is part of the
/// root's string value and of no text node; attribute(std::string_view name, std::string_view
/// value).
class XmlDecoder {
 public:
  /// `arena` must outlive the decoder; at most abi::kXmlMemoryBytes of it are taken. Decoders of
  /// one thread may live side by side.
  explicit XmlDecoder(base::Arena& arena);
  ~XmlDecoder();
  XmlDecoder(const XmlDecoder&) = delete;
  XmlDecoder& operator=(const XmlDecoder&) = delete;

  /// False after an error, which stays. What was given before it stands. O(chunk).
  template <typename Sink>
  bool feed(base::Bytes chunk, Sink& sink) {
    return parse(chunk, false, callbacks(sink));
  }
  /// The body has ended. An empty body is an error, as in libmodsecurity.
  template <typename Sink>
  bool finish(Sink& sink) {
    return parse({}, true, callbacks(sink));
  }

  [[nodiscard]] XmlError error() const { return error_; }
  /// A limit that fails closed whatever the switches say: kNone, kXmlDepth or kTransactionMemory.
  [[nodiscard]] abi::Reason reason() const;
  /// Switches of abi/strict.h that the document fails, as abi::strict_bit() (HB15).
  [[nodiscard]] std::uint64_t strict_failures() const { return strict_failures_; }
  [[nodiscard]] std::string_view error_text() const;

 private:
  struct Callbacks {
    void* sink;
    void (*text)(void* sink, base::Bytes piece);
    void (*text_end)(void* sink);
    void (*reference)(void* sink, base::Bytes piece);
    void (*attribute)(void* sink, std::string_view name, std::string_view value);
  };
  template <typename Sink>
  static Callbacks callbacks(Sink& sink) {
    return {&sink, [](void* to, base::Bytes piece) { static_cast<Sink*>(to)->text(piece); },
            [](void* to) { static_cast<Sink*>(to)->text_end(); },
            [](void* to, base::Bytes piece) { static_cast<Sink*>(to)->reference(piece); },
            [](void* to, std::string_view name, std::string_view value) {
              static_cast<Sink*>(to)->attribute(name, value);
            }};
  }
  struct Handlers;
  enum class Node : std::uint8_t { kNone, kText, kCdata };
  bool parse(base::Bytes chunk, bool final, const Callbacks& callbacks);
  void stop(XmlError error);
  /// What follows is of another node than what came before, unless both are of this kind.
  void begin_node(Node kind);
  void fails(abi::Strict strict);
  void note_byte_order_mark(base::Bytes piece);
  [[nodiscard]] XmlError error_of_parser() const;

  BlockPool pool_;
  Callbacks callbacks_{};
  XML_ParserStruct* parser_ = nullptr;
  std::uint32_t depth_ = 0;
  std::uint8_t seen_ = 0;    ///< of the first two bytes
  Node node_ = Node::kNone;  ///< the text node under way
  bool in_cdata_ = false;
  XmlError error_ = XmlError::kNone;
  std::uint64_t strict_failures_ = 0;
};

}  // namespace sluice::http
