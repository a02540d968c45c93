// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <cstring>

#include "controlplane/policy/policy.h"
#include "dataplane/base/hash.h"

namespace sluice::policy {
namespace {

/// Grows a section whose arrays are found by Span32 from the start of the image.
class SectionWriter {
 public:
  explicit SectionWriter(std::uint64_t offset) : offset_(offset) {}

  /// Room for `count` items, zero, on an 8-byte boundary.
  template <typename T>
  abi::Span32 reserve(std::size_t count) {
    if (count == 0) return {};
    bytes_.resize((bytes_.size() + 7) / 8 * 8);
    const abi::Span32 span{offset_ + bytes_.size(), static_cast<std::uint32_t>(count), 0};
    bytes_.resize(bytes_.size() + count * sizeof(T));
    return span;
  }
  template <typename T>
  void put(const abi::Span32& span, std::size_t index, const T& item) {
    std::memcpy(bytes_.data() + (span.offset - offset_) + index * sizeof(T), &item, sizeof(T));
  }
  std::vector<std::uint8_t> take() {
    bytes_.resize((bytes_.size() + 7) / 8 * 8);
    return std::move(bytes_);
  }

 private:
  std::uint64_t offset_;
  std::vector<std::uint8_t> bytes_;
};

/// Names a limit's state for good: a push that leaves service, name and key alone keeps it.
std::uint64_t limit_identity(const Service& service, const Limit& limit) {
  std::string text = service.name + '\0' + limit.name + '\0' + std::to_string(limit.prefix_v4) +
                     '/' + std::to_string(limit.prefix_v6);
  for (const LimitKey& key : limit.key) {
    text += '\0' + std::to_string(static_cast<unsigned>(key.part)) + ':' + key.name;
  }
  base::HashKey hash_key;
  base::seeded_hash_key(hash_key, 0);
  return base::keyed_hash64(hash_key, text.data(), text.size());
}

class PolicyEncoder {
 public:
  PolicyEncoder(const Policy& policy, std::uint64_t offset, compile::StringsBuilder& strings)
      : policy_(policy), writer_(offset), strings_(strings) {}

  std::vector<std::uint8_t> run() {
    abi::PolicyHeader header{};
    const abi::Span32 place = writer_.reserve<abi::PolicyHeader>(1);
    header.mode = policy_.mode;
    header.midstream = policy_.midstream;
    header.unknown_frames = policy_.unknown_frames;
    header.value_bytes = policy_.value_bytes;
    header.pin_max_s = policy_.pin_max_s;
    header.services = writer_.reserve<abi::PolicyService>(policy_.services.size());
    for (std::size_t i = 0; i < policy_.services.size(); ++i) {
      writer_.put(header.services, i, encode(policy_.services[i], static_cast<std::uint32_t>(i)));
    }
    header.limit_count = next_limit_;
    writer_.put(place, 0, header);
    return writer_.take();
  }

 private:
  abi::Span32 prefixes(const std::vector<base::IpPrefix>& list) {
    const abi::Span32 span = writer_.reserve<abi::PolicyPrefix>(list.size());
    for (std::size_t i = 0; i < list.size(); ++i) {
      abi::PolicyPrefix prefix{};
      std::memcpy(prefix.address, list[i].address.bytes, sizeof prefix.address);
      prefix.prefix_bits = list[i].bits;
      writer_.put(span, i, prefix);
    }
    return span;
  }

  abi::PolicyService encode(const Service& service, std::uint32_t index) {
    abi::PolicyService encoded{};
    encoded.name = strings_.add(service.name);
    encoded.addresses = prefixes(service.addresses);
    encoded.ports = writer_.reserve<std::uint16_t>(service.ports.size());
    for (std::size_t i = 0; i < service.ports.size(); ++i) {
      writer_.put(encoded.ports, i, service.ports[i]);
    }
    encoded.hosts = writer_.reserve<abi::StringRef>(service.hosts.size());
    for (std::size_t i = 0; i < service.hosts.size(); ++i) {
      writer_.put(encoded.hosts, i, strings_.add(service.hosts[i]));
    }
    encoded.trusted = prefixes(service.trusted);
    encoded.limits = writer_.reserve<abi::PolicyLimit>(service.limits.size());
    for (std::size_t i = 0; i < service.limits.size(); ++i) {
      writer_.put(encoded.limits, i, encode(service, service.limits[i], index));
    }
    encoded.routes = writer_.reserve<abi::PolicyRoute>(service.routes.size());
    for (std::size_t i = 0; i < service.routes.size(); ++i) {
      const Route& route = service.routes[i];
      writer_.put(encoded.routes, i,
                  abi::PolicyRoute{strings_.add(route.name), strings_.add(route.method),
                                   strings_.add(route.path)});
    }
    encoded.client_address_header = strings_.add(service.client_address_header);
    encoded.client_address_position = service.client_address_position;
    encoded.mode = service.mode;
    encoded.allow_websocket = service.allow_websocket ? 1 : 0;
    encode(service.inspection, encoded);
    return encoded;
  }

  static void encode(const Inspection& inspection, abi::PolicyService& encoded) {
    encoded.drop_fragments = inspection.drop_fragments ? 1 : 0;
    encoded.reply_wait_ms = inspection.reply_wait_ms;
    encoded.linger_ms = inspection.linger_ms;
    encoded.head_timeout_ms = inspection.head_timeout_ms;
    encoded.body_timeout_ms = inspection.body_timeout_ms;
    encoded.idle_timeout_ms = inspection.idle_timeout_ms;
    encoded.response_hold_bytes = inspection.response_hold_bytes;
    encoded.body_rate_min = inspection.body_rate_min;
    encoded.head_bytes_max = inspection.head_bytes_max;
    encoded.header_bytes_max = inspection.header_bytes_max;
    encoded.headers_max = inspection.headers_max;
    encoded.request_line_bytes_max = inspection.request_line_bytes_max;
    encoded.strict = inspection.strict;
  }

  abi::PolicyLimit encode(const Service& service, const Limit& limit, std::uint32_t index) {
    abi::PolicyLimit encoded{};
    encoded.name = strings_.add(limit.name);
    encoded.limit_id = next_limit_++;
    encoded.service_index = index;
    encoded.interval_ns = limit.interval_ns;
    encoded.burst_ns = limit.interval_ns * limit.burst;
    encoded.identity = limit_identity(service, limit);
    for (std::size_t i = 0; i < limit.key.size(); ++i) {
      encoded.keys[i].part = limit.key[i].part;
      encoded.keys[i].name = strings_.add(limit.key[i].name);
    }
    encoded.key_count = static_cast<std::uint8_t>(limit.key.size());
    encoded.prefix_v4_bits = limit.prefix_v4;
    encoded.prefix_v6_bits = limit.prefix_v6;
    encoded.action = limit.action;
    encoded.on_full = limit.on_full;
    return encoded;
  }

  const Policy& policy_;
  SectionWriter writer_;
  compile::StringsBuilder& strings_;
  std::uint32_t next_limit_ = 0;
};

}  // namespace

std::vector<std::uint8_t> encode_policy(const Policy& policy, std::uint64_t offset,
                                        compile::StringsBuilder& strings) {
  return PolicyEncoder(policy, offset, strings).run();
}

}  // namespace sluice::policy
