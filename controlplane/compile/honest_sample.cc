// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/compile/honest_sample.h"

#include <algorithm>
#include <array>
#include <bit>
#include <bitset>
#include <string_view>
#include <vector>

#include "controlplane/compile/needs.h"
#include "dataplane/abi/ruleset.h"
#include "dataplane/rules/byte_class.h"

namespace sluice::compile {

namespace {

/// Names, values, headers and paths as the clients of APIs send them.
constexpr std::string_view kSample[] = {
    "json.order.items.items_0.name",
    "json.user.address.street",
    "json.items.array_3.count",
    "json.data.attributes.created_at",
    "json.id",
    "json.metadata.tags.tags_1",
    "json.note",
    "json.customer.email",
    "json.total.currency",
    "json.config.enabled",
    "json.query",
    "json.variables.input.description",
    "json.lines.array_12.product_code",
    "json.payload.script",
    "page",
    "per_page",
    "sort",
    "order",
    "filter",
    "q",
    "search",
    "category",
    "user_id",
    "token",
    "session",
    "lang",
    "theme",
    "created_after",
    "include",
    "fields",
    "limit",
    "offset",
    "callback",
    "Host",
    "User-Agent",
    "Accept",
    "Accept-Encoding",
    "Accept-Language",
    "Content-Type",
    "Content-Length",
    "Authorization",
    "Cookie",
    "Referer",
    "Origin",
    "Cache-Control",
    "X-Request-Id",
    "X-Forwarded-For",
    "If-None-Match",
    "Connection",
    "Traceparent",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)",
    "Mozilla/5.0 (Macintosh) Gecko/20100101 Chrome/126.0.0.0 Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "okhttp/4.12.0",
    "python-requests/2.31.0",
    "Go-http-client/1.1",
    "shop-app/4.2 (iPhone; iOS 17.4)",
    "application/json",
    "application/json; charset=utf-8",
    "application/x-www-form-urlencoded",
    "application/json, text/plain;q=0.9, */*;q=0.8",
    "text/html,application/xhtml+xml",
    "*/*",
    "gzip, deflate, br",
    "en-GB,en;q=0.8,de;q=0.5",
    "keep-alive",
    "no-cache",
    "max-age=0",
    "api.shop.internal",
    "orders.internal:8080",
    "https://shop.example/catalogue/outdoor?page=2",
    "Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w",
    "W/\"a41f-5e2c9b\"",
    "XMLHttpRequest",
    "7d0f3c52-9a41-4e0e-b0aa-8c1f0b1c2d3e",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "198.51.100.23",
    "POST",
    "GET",
    "HTTP/1.1",
    "/api/v1/orders",
    "/api/v2/users/4711/addresses",
    "/health",
    "/graphql",
    "/api/v1/items/8812?expand=price",
    "page=3&per_page=25&sort=price&order=asc",
    "session=4f9c2b7e81d3; theme=light; lang=en; currency=EUR",
    "1",
    "0",
    "3",
    "25",
    "250",
    "46168",
    "19.5",
    "220.40",
    "-12.75",
    "1700000000",
    "true",
    "false",
    "null",
    "yes",
    "on",
    "asc",
    "EUR",
    "light",
    "outdoor",
    "garden chair",
    "Mary O'Brien",
    "Jean-Luc Dupont",
    "mary.obrien@example.com",
    "+353 1 555 0199",
    "12 Main Street",
    "Dublin",
    "D02 X285",
    "2026-03-01",
    "2026-03-01T12:30:00Z",
    "ORD-2026-000123",
    "CHAIR-00-4711",
    "Folding table",
    "window-625173",
    "cotton window 94928",
    "Please ring the bell twice; leave it with the neighbour if nobody is in. Thank you very much.",
    "The update of the order from Monday: select a colour and a size (or both), then insert coin!",
    "Price: $19.99, 20% off & free delivery",
    "C# or C++ developer",
    "see https://example.com/a/b",
    "leather travel yellow market 46168",
    "monitor coffee small evening",
    "paper7935@tokyo.example",
    "dGhlIHF1aWNrIGJyb3duIGZveCBqdW1wcyBvdmVy",
    "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd6",
    "TvUh_PkS1yZT74FoXI4tYBKbqtyKidtIqbR47aFgObFHC_NqLrq-E9B2uWg1",
    "query { user(id: 4) { name orders { total } } }",
    "**bold** and _italic_ [link](https://a.b)",
    "\xc3\x84pfel & Birnen",
    "\xe6\x9d\xb1\xe4\xba\xac\xe9\x83\xbd",
    "if (a < b) { return a; }",
    "r\"\xf3\xb2\x91\x8a^\x9c\x02}\xb4(",
    "first line\nsecond line",
    "name,price\nchair,19.50\n"};

/// A bit for each value of the sample.
using Values = std::bitset<std::size(kSample)>;

double smoothed(std::size_t count, double guess) {
  return (static_cast<double>(count) + guess) / (static_cast<double>(std::size(kSample)) + 1);
}

struct Sample {
  std::array<Values, abi::kGramCount> with_gram;
  std::array<Values, 64> with_class;
  std::array<double, abi::kGramCount> gram_share{};
  std::array<double, 64> class_share{};

  Sample() {
    for (std::size_t i = 0; i < std::size(kSample); ++i) {
      for (const rules::Gram pair : need_of_text(kSample[i]).grams) with_gram[pair].set(i);
      const std::uint64_t classes = rules::class_bitmap(base::as_bytes(kSample[i]));
      for (unsigned bit = 0; bit < 64; ++bit) with_class[bit].set(i, (classes >> bit & 1) != 0);
    }
    for (unsigned bit = 0; bit < 64; ++bit)
      class_share[bit] = smoothed(with_class[bit].count(), 0.5);
    for (unsigned pair = 0; pair < abi::kGramCount; ++pair) {
      gram_share[pair] = smoothed(with_gram[pair].count(), guess(pair));
    }
  }

 private:
  /// Of pairs that the sample lacks, those of rare bytes are the rarest.
  [[nodiscard]] double guess(unsigned pair) const {
    if (pair / 64 >= rules::kCodeCount || pair % 64 >= rules::kCodeCount) return 0.02;
    double share = 0.5;
    for (const unsigned code : {pair / 64u, pair % 64u}) {
      share *=
          class_share[static_cast<std::size_t>(std::countr_zero(rules::classes_of_code(code)))];
    }
    return share;
  }
};

const Sample& sample() {
  static const Sample kMade;
  return kMade;
}

/// The values that meet a need.
Values values_with(const Need& need) {
  Values values = Values().set(), forbidden;
  for (std::uint64_t left = need.classes; left != 0; left &= left - 1) {
    values &= sample().with_class[static_cast<std::size_t>(std::countr_zero(left))];
  }
  for (std::uint64_t left = need.forbidden; left != 0; left &= left - 1) {
    forbidden |= sample().with_class[static_cast<std::size_t>(std::countr_zero(left))];
  }
  constexpr auto kLines = static_cast<std::size_t>(rules::ByteClass::kOtherWhitespace);
  if (need.by_line) forbidden &= ~sample().with_class[kLines];
  values &= ~forbidden;
  for (const rules::Gram pair : need.grams) values &= sample().with_gram[pair];
  return values;
}

}  // namespace

double share_in_sample_of_class(unsigned bit) { return sample().class_share[bit]; }

double share_in_sample(rules::Gram pair) { return sample().gram_share[pair]; }

double share_in_sample(const Need& need) {
  double guess = 0.5;
  for (std::uint64_t left = need.classes; left != 0; left &= left - 1) {
    guess *= share_in_sample_of_class(static_cast<unsigned>(std::countr_zero(left)));
  }
  for (const rules::Gram pair : need.grams)
    guess *= std::min(1.0, 3 * share_in_sample(pair) + 0.05);
  return smoothed(values_with(need).count(), guess / (1 + 0.1 * std::popcount(need.forbidden)));
}

double share_in_sample(const Needs& needs) {
  Values values;
  for (const Need& need : needs) values |= values_with(need);
  return smoothed(values.count(), 0.5);
}

}  // namespace sluice::compile
