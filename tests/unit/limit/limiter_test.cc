// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/limit/limiter.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

namespace sluice::limit {
namespace {

constexpr std::uint64_t kSecond = base::kNanosPerSecond;
constexpr std::uint64_t kNow = 5000 * kSecond;

struct Field {
  std::string_view name, value;
};
using Fields = std::vector<Field>;

/// An image of one service, laid out as sluiced does it: header, strings, policy.
class OneService {
 public:
  OneService() {
    limits_.reserve(abi::kLimitsPerServiceMax);
    base::seeded_hash_key(hash_key_, 3);
    service_.mode = abi::Mode::kBlock;
    service_.name = text("orders");
  }

  abi::StringRef text(std::string_view value) {
    const auto offset = static_cast<std::uint32_t>(strings_.size());
    strings_ += value;
    return {offset, static_cast<std::uint32_t>(value.size())};
  }
  abi::PolicyLimit& limit(std::string_view name, std::uint64_t per_second, std::uint64_t burst,
                          std::vector<std::pair<abi::LimitKeyPart, std::string_view>> keys) {
    abi::PolicyLimit& made = limits_.emplace_back();
    std::memset(&made, 0, sizeof made);
    made.name = text(name);
    made.limit_id = static_cast<std::uint32_t>(limits_.size() - 1);
    made.interval_ns = kSecond / per_second;
    made.burst_ns = made.interval_ns * burst;
    made.identity = limits_.size() * 1000;
    made.prefix_v4_bits = 32;
    made.prefix_v6_bits = 64;
    made.action = abi::Mode::kBlock;
    for (const auto& [part, key] : keys) {
      made.keys[made.key_count].part = part;
      made.keys[made.key_count++].name = text(key);
    }
    return made;
  }
  void trust(std::string_view header, std::string_view prefix,
             abi::ClientAddressPosition position) {
    service_.client_address_header = text(header);
    service_.client_address_position = position;
    const base::IpPrefix range = *base::IpPrefix::parse(prefix);
    abi::PolicyPrefix& made = trusted_.emplace_back();
    std::memcpy(made.address, range.address.bytes, 16);
    made.prefix_bits = range.bits;
  }
  void route(std::string_view name, std::string_view method, std::string_view pattern) {
    routes_.push_back({text(name), text(method), text(pattern)});
  }

  void build() {
    image_.assign(sizeof(abi::ImageHeader), 0);
    const std::size_t strings_at = append(strings_.data(), strings_.size());
    const std::size_t policy_at = append(nullptr, sizeof(abi::PolicyHeader));
    const std::size_t service_at = append(nullptr, sizeof(abi::PolicyService));
    service_.limits = span(limits_);
    service_.trusted = span(trusted_);
    service_.routes = span(routes_);
    std::memcpy(image_.data() + service_at, &service_, sizeof service_);
    abi::PolicyHeader policy{};
    policy.mode = abi::Mode::kBlock;
    policy.limit_count = static_cast<std::uint32_t>(limits_.size());
    policy.services = {service_at, 1, 0};
    std::memcpy(image_.data() + policy_at, &policy, sizeof policy);
    auto* header = reinterpret_cast<abi::ImageHeader*>(image_.data());
    header->section_count = 2;
    header->sections[0] = {static_cast<std::uint32_t>(abi::SectionType::kStrings), 0, strings_at,
                           strings_.size()};
    header->sections[1] = {static_cast<std::uint32_t>(abi::SectionType::kPolicy), 0, policy_at,
                           image_.size() - policy_at};
    view_ = abi::PolicyView({image_.data(), image_.size()});
    ASSERT_TRUE(view_.valid());
    const std::size_t bytes = (Table::bytes_for(1024) + 63) / 64 * 64;
    memory_ = static_cast<std::uint8_t*>(std::aligned_alloc(64, bytes));
    std::memset(memory_, 0, bytes);
    Table::format({memory_, bytes}, 1024);
    table_ = Table({memory_, bytes});
  }
  ~OneService() { std::free(memory_); }

  base::IpAddress client(std::string_view peer, const Fields& fields) {
    return ClientAddressFinder(view_, view_.services()[0], *base::IpAddress::parse(peer))
        .find(fields);
  }
  Result charge(std::string_view peer, std::string_view target, const Fields& fields = {},
                std::uint64_t now = kNow, std::string_view method = "GET") {
    const Request<Fields> request{view_.services()[0], method, target, fields,
                                  client(peer, fields)};
    return limit::charge(table_, view_, request, now, nullptr);
  }
  abi::PolicyView& view() { return view_; }
  std::vector<std::uint8_t>& image() { return image_; }

 private:
  std::size_t append(const void* data, std::size_t bytes) {
    image_.resize((image_.size() + 63) / 64 * 64);
    const std::size_t at = image_.size();
    image_.resize(at + bytes);
    if (data != nullptr) std::memcpy(image_.data() + at, data, bytes);
    return at;
  }
  template <typename T>
  abi::Span32 span(const std::vector<T>& items) {
    return {append(items.data(), items.size() * sizeof(T)),
            static_cast<std::uint32_t>(items.size()), 0};
  }

  std::string strings_;
  abi::PolicyService service_{};
  std::vector<abi::PolicyLimit> limits_;
  std::vector<abi::PolicyPrefix> trusted_;
  std::vector<abi::PolicyRoute> routes_;
  std::vector<std::uint8_t> image_;
  abi::PolicyView view_;
  base::HashKey hash_key_;
  std::uint8_t* memory_ = nullptr;
  Table table_;
};

using abi::LimitKeyPart;

TEST(Limiter, CountsEachClientPrefixAlone) {
  OneService service;
  service.limit("per-client", 1, 1, {{LimitKeyPart::kClientAddress, ""}}).prefix_v4_bits = 24;
  service.build();
  EXPECT_EQ(service.charge("192.0.2.1", "/").reason, abi::Reason::kNone);
  const Result refused = service.charge("192.0.2.200", "/");
  EXPECT_EQ(refused.reason, abi::Reason::kLimit);
  EXPECT_EQ(refused.limit_name, "per-client");
  EXPECT_EQ(refused.retry_after_s, 1U);
  EXPECT_EQ(service.charge("192.0.3.1", "/").reason, abi::Reason::kNone);
  EXPECT_EQ(service.charge("2001:db8::1", "/").reason, abi::Reason::kNone);
  EXPECT_EQ(service.charge("2001:db8::ffff", "/").reason, abi::Reason::kLimit);
  EXPECT_EQ(service.charge("2001:db8:0:1::1", "/").reason, abi::Reason::kNone);
}

TEST(Limiter, RetryAfterIsTheTimeRoundedUp) {
  OneService service;
  abi::PolicyLimit& slow = service.limit("slow", 1, 1, {{LimitKeyPart::kService, ""}});
  slow.interval_ns = slow.burst_ns = 10 * kSecond;
  service.build();
  EXPECT_EQ(service.charge("192.0.2.1", "/").reason, abi::Reason::kNone);
  EXPECT_EQ(service.charge("192.0.2.1", "/", {}, kNow + 1).retry_after_s, 10U);
  EXPECT_EQ(service.charge("192.0.2.1", "/", {}, kNow + kSecond).retry_after_s, 9U);
  EXPECT_EQ(service.charge("192.0.2.1", "/", {}, kNow + 10 * kSecond).reason, abi::Reason::kNone);
}

TEST(Limiter, AnAbsentOrRepeatedHeaderIsOneBucket) {
  OneService service;
  service.limit("per-key", 1, 1, {{LimitKeyPart::kHeader, "x-api-key"}});
  service.build();
  EXPECT_EQ(service.charge("192.0.2.1", "/", {{"X-Api-Key", "a"}}).reason, abi::Reason::kNone);
  EXPECT_EQ(service.charge("192.0.2.2", "/", {{"x-api-key", "a"}}).reason, abi::Reason::kLimit);
  EXPECT_EQ(service.charge("192.0.2.1", "/", {}).reason, abi::Reason::kNone);
  EXPECT_EQ(service.charge("192.0.2.9", "/", {}).reason, abi::Reason::kLimit);
  EXPECT_EQ(service.charge("192.0.2.1", "/", {{"x-api-key", "j1"}, {"x-api-key", "a"}}).reason,
            abi::Reason::kLimit);
}

TEST(Limiter, RoutesCountByMethodAndPathHoweverSpelled) {
  OneService service;
  service.route("order", "", "/api/orders/*");
  service.limit("per-route", 1, 1, {{LimitKeyPart::kRoute, ""}});
  service.build();
  EXPECT_EQ(service.charge("192.0.2.1", "/api/orders/1").reason, abi::Reason::kNone);
  EXPECT_EQ(service.charge("192.0.2.1", "/api//orders/%32").reason, abi::Reason::kLimit);
  EXPECT_EQ(service.charge("192.0.2.1", "/api/orders/1", {}, kNow, "POST").reason,
            abi::Reason::kNone);
  EXPECT_EQ(service.charge("192.0.2.1", "/other/a/b").reason, abi::Reason::kNone);
  EXPECT_EQ(service.charge("192.0.2.1", "/other/a/c").reason, abi::Reason::kLimit);
}

TEST(Limiter, ARefusedRequestCostsNoOtherBucket) {
  OneService service;
  service.limit("wide", 1, 2, {{LimitKeyPart::kService, ""}});
  service.limit("narrow", 1, 1, {{LimitKeyPart::kClientAddress, ""}});
  service.build();
  EXPECT_EQ(service.charge("192.0.2.1", "/").reason, abi::Reason::kNone);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(service.charge("192.0.2.1", "/").limit_name, "narrow");
  }
  // The wide bucket has one left.
  EXPECT_EQ(service.charge("192.0.2.2", "/").reason, abi::Reason::kNone);
  EXPECT_EQ(service.charge("192.0.2.3", "/").limit_name, "wide");
}

/// Who writes tokens that nobody has verified gets a bucket for each, and stays in the client's.
TEST(Limiter, HS11_NoTokenLeadsAroundALimitByClient) {
  OneService service;
  service.limit("per-token", 1, 1, {{LimitKeyPart::kHeader, "authorization"}});
  service.limit("per-client", 1, 3, {{LimitKeyPart::kClientAddress, ""}});
  service.build();
  // One header and signature, with padding, other claims, a claim twice, and no algorithm.
  for (const char* token : {"Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
                            "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0=.c2ln",
                            "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIyIiwic3ViIjoiMSJ9.c2ln"}) {
    EXPECT_EQ(service.charge("192.0.2.1", "/", {{"Authorization", token}}).reason,
              abi::Reason::kNone)
        << token;
  }
  for (const char* token : {"Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.", "Bearer x", ""}) {
    EXPECT_EQ(service.charge("192.0.2.1", "/", {{"Authorization", token}}).limit_name, "per-client")
        << token;
  }
}

TEST(Limiter, AMonitoredLimitReportsAndIsNeverRefunded) {
  OneService service;
  service.limit("watched", 1, 1, {{LimitKeyPart::kService, ""}}).action = abi::Mode::kMonitor;
  service.limit("blocking", 1, 2, {{LimitKeyPart::kService, ""}});
  service.build();
  EXPECT_EQ(service.charge("192.0.2.1", "/").reason, abi::Reason::kNone);
  const Result watched = service.charge("192.0.2.1", "/");
  EXPECT_EQ(watched.reason, abi::Reason::kLimit);
  EXPECT_EQ(watched.mode, abi::Mode::kMonitor);
  const Result both = service.charge("192.0.2.1", "/");
  EXPECT_EQ(both.mode, abi::Mode::kBlock);
  EXPECT_EQ(both.limit_name, "blocking");
  // The watched bucket had refused, so nothing was charged there that could come back.
  EXPECT_EQ(service.charge("192.0.2.1", "/", {}, kNow + kSecond - 1).limit_name, "blocking");
}

TEST(ClientAddress, OnlyATrustedPeerMayNameTheClient) {
  OneService service;
  service.trust("x-forwarded-for", "10.0.0.0/8", abi::ClientAddressPosition::kLast);
  service.build();
  const auto client = [&](std::string_view peer, const Fields& fields) {
    return service.client(peer, fields).to_string();
  };
  const Fields one = {{"X-Forwarded-For", "203.0.113.9, 198.51.100.7"}};
  EXPECT_EQ(client("192.0.2.1", one), "192.0.2.1");
  EXPECT_EQ(client("10.1.1.1", one), "198.51.100.7");
  EXPECT_EQ(client("10.1.1.1", {}), "10.1.1.1");
  // Trusted proxies in the list are stepped over; a forged left part does not count.
  EXPECT_EQ(client("10.1.1.1", {{"x-forwarded-for", "6.6.6.6, 198.51.100.7, 10.2.2.2"}}),
            "198.51.100.7");
  EXPECT_EQ(client("10.1.1.1", {{"x-forwarded-for", "6.6.6.6"}, {"x-forwarded-for", "10.2.2.2"}}),
            "6.6.6.6");
  EXPECT_EQ(client("10.1.1.1", {{"x-forwarded-for", "[2001:db8::5]:443"}}), "2001:db8::5");
  EXPECT_EQ(client("10.1.1.1", {{"x-forwarded-for", "198.51.100.7:1234"}}), "198.51.100.7");
  EXPECT_EQ(client("10.1.1.1", {{"x-forwarded-for", "unknown"}}), "10.1.1.1");
}

TEST(ClientAddress, FirstPositionTakesTheFirst) {
  OneService service;
  service.trust("x-real-ip", "10.0.0.0/8", abi::ClientAddressPosition::kFirst);
  service.build();
  EXPECT_EQ(service.client("10.1.1.1", {{"X-Real-IP", "203.0.113.9, 198.51.100.7"}}).to_string(),
            "203.0.113.9");
}

TEST(PolicyView, RefusesOffsetsOutsideTheSection) {
  OneService service;
  service.limit("per-client", 1, 1, {{LimitKeyPart::kClientAddress, ""}});
  service.build();
  const std::vector<std::uint8_t> good = service.image();
  const auto* header = reinterpret_cast<const abi::ImageHeader*>(good.data());
  const std::size_t policy_at = header->sections[1].offset;
  abi::PolicyHeader policy;
  std::memcpy(&policy, good.data() + policy_at, sizeof policy);
  const auto valid_with = [&](auto&& change) {
    std::vector<std::uint8_t> image = good;
    auto* bad_policy = reinterpret_cast<abi::PolicyHeader*>(image.data() + policy_at);
    auto* bad_service =
        reinterpret_cast<abi::PolicyService*>(image.data() + policy.services.offset);
    auto* bad_limit =
        reinterpret_cast<abi::PolicyLimit*>(image.data() + bad_service->limits.offset);
    change(*bad_policy, *bad_service, *bad_limit);
    return abi::PolicyView({image.data(), image.size()}).valid();
  };
  using H = abi::PolicyHeader;
  using S = abi::PolicyService;
  using L = abi::PolicyLimit;
  EXPECT_TRUE(valid_with([](H&, S&, L&) {}));
  EXPECT_FALSE(valid_with([](H& h, S&, L&) { h.services.offset = 8; }));
  EXPECT_FALSE(valid_with([](H& h, S&, L&) { h.services.count = 60; }));
  EXPECT_FALSE(valid_with([](H&, S& s, L&) { s.limits.offset += 4; }));
  EXPECT_FALSE(valid_with([](H&, S& s, L&) { s.name.offset = 1U << 30; }));
  EXPECT_FALSE(valid_with([](H&, S&, L& l) { l.limit_id = 1; }));
  EXPECT_FALSE(valid_with([](H&, S&, L& l) { l.interval_ns = 0; }));
  EXPECT_FALSE(valid_with([](H&, S&, L& l) { l.key_count = 5; }));
}

}  // namespace
}  // namespace sluice::limit
