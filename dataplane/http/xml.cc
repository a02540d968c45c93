// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/http/xml.h"

// Debian builds expat with it; the header hides the expansion bounds without.
#define XML_DTD 1
#include <expat.h>

#include <algorithm>

#include "dataplane/abi/strict.h"
#include "dataplane/http/head.h"

namespace sluice::http {
namespace {

/// expat's allocator hooks carry no context: the pool of the decoder that is at work on this
/// thread.
thread_local BlockPool* current_pool = nullptr;

void* pool_allocate(std::size_t size) { return current_pool->allocate(size); }
void* pool_reallocate(void* block, std::size_t size) {
  return current_pool->reallocate(block, size);
}
void pool_release(void* block) { current_pool->release(block); }

/// Internal entities can multiply work without output; expat's own bound begins at 8 MiB.
constexpr unsigned long long kExpansionFreeBytes = 64 * 1024;
constexpr float kExpansionRatioMax = 4;

}  // namespace

struct XmlDecoder::Handlers {
  static XmlDecoder& self(void* decoder) { return *static_cast<XmlDecoder*>(decoder); }

  static void start_element(void* decoder, const char*, const char** attributes) {
    XmlDecoder& to = self(decoder);
    to.begin_node(Node::kNone);
    if (++to.depth_ > abi::kXmlStrictDepth) to.fails(abi::Strict::kXmlDepth);
    if (to.depth_ > abi::kXmlDepthMax) return to.stop(XmlError::kDepth);
    std::size_t count = 0;
    for (; attributes[2 * count] != nullptr; ++count) {
      to.callbacks_.attribute(to.callbacks_.sink, attributes[2 * count], attributes[2 * count + 1]);
    }
    if (count > abi::kXmlStrictAttributes) to.fails(abi::Strict::kXmlDepth);
  }
  static void end_element(void* decoder, const char*) {
    self(decoder).begin_node(Node::kNone);
    --self(decoder).depth_;
  }
  /// Sections side by side are one node, as in libxml2's tree.
  static void start_cdata(void* decoder) {
    self(decoder).in_cdata_ = true;
    self(decoder).begin_node(Node::kCdata);
  }
  static void end_cdata(void* decoder) { self(decoder).in_cdata_ = false; }
  static void text(void* decoder, const char* bytes, int size) {
    XmlDecoder& to = self(decoder);
    if (!to.in_cdata_) to.begin_node(Node::kText);
    to.callbacks_.text(to.callbacks_.sink, base::as_bytes({bytes, static_cast<std::size_t>(size)}));
  }
  static void doctype(void* decoder, const char*, const char*, const char*, int) {
    self(decoder).fails(abi::Strict::kXmlDoctype);
  }
  static void declaration(void* decoder, const char*, const char* encoding, int) {
    if (encoding == nullptr) return;
    const bool known = abi::equal_ignoring_case(encoding, "utf-8") ||
                       abi::equal_ignoring_case(encoding, "us-ascii");
    if (!known) self(decoder).fails(abi::Strict::kXmlEncoding);
  }
  /// Comments, instructions and declarations. With a default handler expat expands no internal
  /// entity in text but hands on its reference.
  static void other(void* decoder, const char* bytes, int size) {
    XmlDecoder& to = self(decoder);
    to.begin_node(Node::kNone);
    if (size == 0 || bytes[0] != '&') return;
    to.callbacks_.reference(to.callbacks_.sink,
                            base::as_bytes({bytes, static_cast<std::size_t>(size)}));
  }
};

XmlDecoder::XmlDecoder(base::Arena& arena) : pool_(arena, abi::kXmlMemoryBytes) {
  current_pool = &pool_;
  const XML_Memory_Handling_Suite suite{pool_allocate, pool_reallocate, pool_release};
  parser_ = XML_ParserCreate_MM(nullptr, &suite, nullptr);
  if (parser_ == nullptr) {
    error_ = XmlError::kMemory;
    return;
  }
  XML_SetUserData(parser_, this);
  XML_SetElementHandler(parser_, Handlers::start_element, Handlers::end_element);
  XML_SetCharacterDataHandler(parser_, Handlers::text);
  XML_SetCdataSectionHandler(parser_, Handlers::start_cdata, Handlers::end_cdata);
  XML_SetStartDoctypeDeclHandler(parser_, Handlers::doctype);
  XML_SetXmlDeclHandler(parser_, Handlers::declaration);
  XML_SetDefaultHandler(parser_, Handlers::other);
  XML_SetHashSalt(parser_, reinterpret_cast<std::uintptr_t>(this) | 1);
  XML_SetBillionLaughsAttackProtectionActivationThreshold(parser_, kExpansionFreeBytes);
  XML_SetBillionLaughsAttackProtectionMaximumAmplification(parser_, kExpansionRatioMax);
}

XmlDecoder::~XmlDecoder() {
  current_pool = &pool_;
  if (parser_ != nullptr) XML_ParserFree(parser_);
}

void XmlDecoder::fails(abi::Strict strict) { strict_failures_ |= abi::strict_bit(strict); }

void XmlDecoder::stop(XmlError error) {
  if (error_ == XmlError::kNone) error_ = error;
  XML_StopParser(parser_, XML_FALSE);
}

void XmlDecoder::begin_node(Node kind) {
  if (node_ != Node::kNone && node_ != kind) callbacks_.text_end(callbacks_.sink);
  node_ = kind;
}

bool XmlDecoder::parse(base::Bytes chunk, bool final, const Callbacks& callbacks) {
  // What is left of a piece is copied with the next one: small pieces keep its buffer small.
  constexpr std::size_t kPieceMax = 4096;
  current_pool = &pool_;
  callbacks_ = callbacks;
  while (error_ == XmlError::kNone) {
    const base::Bytes piece = chunk.first(std::min(chunk.size(), kPieceMax));
    chunk = chunk.subspan(piece.size());
    note_byte_order_mark(piece);
    const auto status = XML_Parse(parser_, reinterpret_cast<const char*>(piece.data()),
                                  static_cast<int>(piece.size()), final && chunk.empty());
    if (status == XML_STATUS_ERROR && error_ == XmlError::kNone) error_ = error_of_parser();
    if (chunk.empty()) break;
  }
  if (final || error_ != XmlError::kNone) begin_node(Node::kNone);
  if (error_ == XmlError::kSyntax) fails(abi::Strict::kXmlSyntax);
  if (error_ == XmlError::kEncoding) fails(abi::Strict::kXmlEncoding);
  return error_ == XmlError::kNone;
}

/// UTF-16 begins with FE FF or FF FE, or with a NUL beside its first character.
void XmlDecoder::note_byte_order_mark(base::Bytes piece) {
  for (std::size_t i = 0; i < piece.size() && seen_ < 2; ++i, ++seen_) {
    if (piece[i] == 0 || piece[i] >= 0xfe) fails(abi::Strict::kXmlEncoding);
  }
}

XmlError XmlDecoder::error_of_parser() const {
  switch (XML_GetErrorCode(parser_)) {
    case XML_ERROR_NO_MEMORY:
      return XmlError::kMemory;
    case XML_ERROR_UNKNOWN_ENCODING:
    case XML_ERROR_INCORRECT_ENCODING:
      return XmlError::kEncoding;
    case XML_ERROR_AMPLIFICATION_LIMIT_BREACH:
      return XmlError::kDepth;
    default:
      return XmlError::kSyntax;
  }
}

abi::Reason XmlDecoder::reason() const {
  switch (error_) {
    case XmlError::kNone:
    case XmlError::kSyntax:
    case XmlError::kEncoding:
      return abi::Reason::kNone;
    case XmlError::kDepth:
      return abi::Reason::kXmlDepth;
    case XmlError::kMemory:
      return abi::Reason::kTransactionMemory;
  }
  return abi::Reason::kNone;
}

std::string_view XmlDecoder::error_text() const {
  switch (error_) {
    case XmlError::kNone:
      return {};
    case XmlError::kSyntax:
      return "XML parsing error: Failed parsing document.";
    case XmlError::kEncoding:
      return "XML parsing error: encoding not supported.";
    case XmlError::kDepth:
      return "XML parsing error: depth or expansion limit exceeded.";
    case XmlError::kMemory:
      return "XML parsing error: memory limit exceeded.";
  }
  return {};
}

}  // namespace sluice::http
