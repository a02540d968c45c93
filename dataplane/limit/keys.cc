// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/limit/keys.h"

#include <cstring>

namespace sluice::limit {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// The byte at `i` of `text`, decoded; `i` moves behind it.
char next_decoded(std::string_view text, std::size_t& i) {
  const char c = text[i++];
  if (c != '%' || i + 1 >= text.size()) return c;
  const int high = hex_digit(text[i]), low = hex_digit(text[i + 1]);
  if (high < 0 || low < 0) return c;
  i += 2;
  return static_cast<char>(high * 16 + low);
}

/// Resolves the segment that ends at `size` if it is empty, `.` or `..`. Returns the new size,
/// behind a `/`.
std::size_t end_segment(char* path, std::size_t size) {
  std::size_t start = size;
  while (start > 0 && path[start - 1] != '/') --start;
  const std::string_view segment(path + start, size - start);
  if (segment.empty() || segment == ".") return start;
  if (segment == "..") {
    if (start > 1) --start;
    while (start > 0 && path[start - 1] != '/') --start;
    return start;
  }
  if (size < kRoutePathBytesMax) path[size++] = '/';
  return size;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// An address as proxies write it: plain, "[v6]:port", "v4:port", quoted.
std::optional<base::IpAddress> parse_proxy_address(std::string_view text) {
  text = trim(text);
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"') {
    text = text.substr(1, text.size() - 2);
  }
  if (!text.empty() && text.front() == '[') {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    return base::IpAddress::parse(text.substr(1, end - 1));
  }
  const std::size_t colon = text.find(':');
  if (colon != std::string_view::npos && text.find(':', colon + 1) == std::string_view::npos) {
    text = text.substr(0, colon);
  }
  return base::IpAddress::parse(text);
}

}  // namespace

std::string_view route_path(std::string_view target, char* buffer) {
  // Absolute form: the path starts behind the authority (RFC 9112 section 3.2.2).
  if (!target.empty() && target.front() != '/') {
    const std::size_t scheme = target.find("://");
    if (scheme != std::string_view::npos) {
      const std::size_t slash = target.find('/', scheme + 3);
      target = slash == std::string_view::npos ? std::string_view("/") : target.substr(slash);
    }
  }
  target = target.substr(0, target.find_first_of("?#"));
  buffer[0] = '/';
  std::size_t size = 1;
  for (std::size_t i = 0; i < target.size() && size < kRoutePathBytesMax;) {
    const char c = next_decoded(target, i);
    if (c == '/') {
      size = end_segment(buffer, size);
    } else {
      buffer[size++] = c;
    }
  }
  const std::size_t resolved = end_segment(buffer, size);
  // A final slash names the same route.
  const bool whole = resolved > 1 && resolved <= kRoutePathBytesMax && buffer[resolved - 1] == '/';
  return {buffer, whole ? resolved - 1 : resolved};
}

bool route_matches(std::string_view pattern, std::string_view path) {
  const bool has_wildcard = pattern.find('*') != std::string_view::npos;
  while (!pattern.empty()) {
    if (pattern.front() == '/') pattern.remove_prefix(1);
    if (!path.empty() && path.front() == '/') path.remove_prefix(1);
    const std::string_view wanted = pattern.substr(0, pattern.find('/'));
    const std::string_view segment = path.substr(0, path.find('/'));
    if (wanted == "**" && wanted.size() == pattern.size()) return true;
    if (wanted.empty()) break;
    if (wanted == "*" ? segment.empty() : wanted != segment) return false;
    pattern.remove_prefix(wanted.size());
    path.remove_prefix(segment.size());
  }
  return !has_wildcard || path.empty() || path == "/";
}

void find_cookie(std::string_view line, std::string_view name, std::string_view& value,
                 std::size_t& count) {
  while (!line.empty()) {
    const std::size_t end = line.find(';');
    const std::string_view pair = trim(line.substr(0, end));
    line = end == std::string_view::npos ? std::string_view() : line.substr(end + 1);
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos || trim(pair.substr(0, equals)) != name) continue;
    value = trim(pair.substr(equals + 1));
    ++count;
  }
}

bool same_field_name(std::string_view name, std::string_view lower) {
  if (name.size() != lower.size()) return false;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const char c = name[i] >= 'A' && name[i] <= 'Z' ? static_cast<char>(name[i] + 32) : name[i];
    if (c != lower[i]) return false;
  }
  return true;
}

bool ClientAddressFinder::is_trusted(const base::IpAddress& address) const {
  for (const abi::PolicyPrefix& prefix : policy_.items<abi::PolicyPrefix>(service_.trusted)) {
    const base::IpPrefix range{base::IpAddress::from_v6(prefix.address), prefix.prefix_bits};
    if (range.contains(address)) return true;
  }
  return false;
}

bool ClientAddressFinder::take_list(std::string_view list, bool from_end) {
  while (!list.empty()) {
    const std::size_t comma = from_end ? list.rfind(',') : list.find(',');
    std::string_view item;
    if (comma == std::string_view::npos) {
      item = list;
      list = {};
    } else if (from_end) {
      item = list.substr(comma + 1);
      list = list.substr(0, comma);
    } else {
      item = list.substr(0, comma);
      list = list.substr(comma + 1);
    }
    const auto address = parse_proxy_address(item);
    if (!address) return false;
    client_ = *address;
    if (!from_end || !is_trusted(client_)) return false;
  }
  return true;
}

KeyBuilder::KeyBuilder(const base::HashKey& hash_key, std::uint64_t limit_identity)
    : hash_key_(hash_key) {
  std::memcpy(bytes_, &limit_identity, sizeof limit_identity);
}

void KeyBuilder::add(abi::LimitKeyPart part, std::string_view value) {
  const base::Hash128 hash = base::keyed_hash128(hash_key_, value.data(), value.size());
  bytes_[size_] = static_cast<std::uint8_t>(part);
  bytes_[size_ + 1] = 1;
  std::memcpy(bytes_ + size_ + 8, &hash, sizeof hash);
  size_ += kPartBytes;
}

void KeyBuilder::add_absent(abi::LimitKeyPart part) {
  bytes_[size_] = static_cast<std::uint8_t>(part);
  size_ += kPartBytes;
}

Key KeyBuilder::finish() const {
  const base::Hash128 hash = base::keyed_hash128(hash_key_, bytes_, size_);
  return {hash.high == 0 ? 1 : hash.high, hash.low};
}

}  // namespace sluice::limit
