// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "tests/hostile/requests.h"

#include <zlib.h>

#include <functional>
#include <stdexcept>

namespace sluice::hostile {
namespace {

constexpr std::size_t kLargeBytes = 60'000, kHugeBytes = 250'000;

std::string repeat(const std::string& piece, std::size_t bytes) {
  std::string text;
  while (text.size() < bytes) text += piece;
  return text;
}
std::string numbered(std::size_t count, const std::function<std::string(std::size_t)>& piece) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) text += piece(i);
  return text;
}

Request post(std::string name, const std::string& type, const std::string& body,
             const std::string& fields = "") {
  std::string text = "POST /api/items HTTP/1.1\r\nHost: api.test\r\nContent-Type: " + type +
                     "\r\n" + fields + "Content-Length: " + std::to_string(body.size()) +
                     "\r\n\r\n" + body;
  return {std::move(name), std::move(text), body.size()};
}
Request form(std::string name, const std::string& body) {
  return post(std::move(name), "application/x-www-form-urlencoded", body);
}
Request get(std::string name, const std::string& target, const std::string& fields = "") {
  return {std::move(name), "GET " + target + " HTTP/1.1\r\nHost: api.test\r\n" + fields + "\r\n",
          0};
}

std::string gzip(const std::string& text) {
  z_stream stream{};
  if (deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY) != Z_OK) {
    throw std::runtime_error("zlib");
  }
  std::string out(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

/// What patterns of attack rules begin with, without ever becoming one, and what they find often.
struct Piece {
  const char *name, *text;
};
constexpr Piece kPieces[] = {
    {"quotes", "' or '"},
    {"words of SQL", "select from where union "},
    {"comments", "/*/**/"},
    {"open tags", "<svg/onx="},
    {"angles", "<"},
    {"traversal", "..%2f"},
    {"percent of percent", "%2525"},
    {"unicode escapes", "%5Cu0027"},
    {"entities", "%26%23x27;"},
    {"templates", "${{{%"},
    {"lookups", "${${lower:j}"},
    {"shell", ";%20cat%20$(ls%20`"},
    {"spaces", "a%20%20%20%20%20"},
    {"digits", "1234567890"},
    {"base64", "c2VsZWN0IGZyb20g"},
    {"one letter", "a"},
    {"nearly a match", "unio"},
    {"parentheses", "char(concat("},
    {"protocols", "http://1.1.1.1/"},
    {"backslashes", "%5C%5C"},
};

void add_patterns(std::vector<Request>& all, const std::string& salt) {
  for (const Piece& piece : kPieces) {
    const std::string name = piece.name;
    all.push_back(
        form(name + ", one value of 60 kB", "q=" + salt + repeat(piece.text, kLargeBytes)));
    all.push_back(form(name + ", 1,000 values", numbered(1000, [&](std::size_t i) {
                         return "&k" + std::to_string(i) + "=" + salt + std::to_string(i) +
                                repeat(piece.text, 40);
                       })));
    all.push_back(get(name + ", query of 7 kB", "/s?q=" + salt + repeat(piece.text, 7000)));
  }
}

/// Values of repeated text with which one pattern of the CRS runs over the rest of the value again
/// from every place, and behind them what makes it a candidate; the worst that a search among
/// units of all its patterns found.
constexpr struct {
  const char *name, *unit, *end;
} kRuns[] = {
    {"angles before a script", "<", " <img src=x onerror=x>"},  // 941160
    {"assignments in a shell", ";a=", ";ls "},                  // 932100, 932105
    {"lines before a query", "%0A", " select @@version "},      // 942190
    {"equals signs", "=%20", " =javascript:"},                  // 941140
    {"handlers", "a%3E%22", " <script>"},                       // 941110
    {"commands", "%0Al%5C", "%0Als "},                          // 932100
};

void add_runs(std::vector<Request>& all, const std::string& salt) {
  for (const auto& run : kRuns) {
    all.push_back(form(std::string(run.name) + ", one value of 20 kB",
                       "q=" + salt + repeat(run.unit, 20'000) + run.end));
    all.push_back(form(std::string(run.name) + ", 100 values", numbered(100, [&](std::size_t i) {
                         return "&k" + std::to_string(i) + "=" + salt + std::to_string(i) +
                                repeat(run.unit, 500) + run.end;
                       })));
  }
}

/// Every pair of the signs and letters that a form need not escape, so that no sieve by pairs
/// helps.
std::string all_pairs() {
  std::string signs;
  for (char c = ' '; c <= '~'; ++c) {
    if (std::string_view("%&+").find(c) == std::string_view::npos && (c < 'A' || c > 'Z')) {
      signs += c;
    }
  }
  std::string text;
  for (std::size_t i = 0; i < signs.size(); ++i) {
    for (std::size_t j = i; j < signs.size(); ++j) (text += signs[i]) += signs[j];
  }
  return text;
}

void add_pairs(std::vector<Request>& all, const std::string& salt) {
  for (const Piece& piece : kPieces) {
    const std::string name = piece.name;
    if (name != "quotes" && name != "words of SQL" && name != "templates" && name != "shell") {
      continue;
    }
    all.push_back(form("all pairs, then " + name + ", 60 kB",
                       "q=" + salt + all_pairs() + repeat(piece.text, kLargeBytes)));
  }
}

void add_heads(std::vector<Request>& all, const std::string& salt) {
  all.push_back(get("90 header fields", "/", numbered(90, [&](std::size_t i) {
                      return "X-Field-" + std::to_string(i) + ": ' or 1=1 -- " + salt +
                             std::to_string(i) + repeat("<a ", 200) + "\r\n";
                    })));
  all.push_back(get("2,000 cookies", "/", "Cookie: " + numbered(2000, [&](std::size_t i) {
                                            return std::to_string(i) + "=";
                                          }) + "\r\n"));
  all.push_back(get("cookies of attack words", "/", "Cookie: " + numbered(90, [&](std::size_t i) {
                                                      return "c" + std::to_string(i) +
                                                             "=union select " +
                                                             repeat("' or ", 60) + "; ";
                                                    }) + "\r\n"));
  all.push_back(get("2,000 query arguments",
                    "/?" + numbered(2000, [&](std::size_t i) { return "&" + std::to_string(i); })));
  all.push_back(
      get("User-Agent of 8 kB", "/", "User-Agent: " + salt + repeat("sqlmap/1. ", 7900) + "\r\n"));
}

void add_bodies(std::vector<Request>& all, const std::string& salt) {
  const std::string json = "application/json", xml = "text/xml";
  const std::string multipart = "multipart/form-data; boundary=xyz";
  all.push_back(form("20,000 arguments", numbered(20000, [&](std::size_t i) {
                       return "&a" + std::to_string(i) + "=1";
                     })));
  all.push_back(form("20,000 arguments of one name", repeat("&a=1", 80000)));
  all.push_back(
      post("JSON, 500 deep", json, repeat("{\"a\":", 2500) + "1" + std::string(500, '}')));
  all.push_back(post("JSON, 20,000 deep", json, std::string(20000, '[')));
  all.push_back(post("JSON, 9,000 keys", json, "{" + numbered(9000, [&](std::size_t i) {
                                                 return (i == 0 ? "\"k" : ",\"k") +
                                                        std::to_string(i) + "\":1";
                                               }) + "}"));
  all.push_back(post("JSON, 30,000 empty arrays", json, "[" + repeat("[],", 90000) + "[]]"));
  all.push_back(
      post("JSON, escapes", json, "{\"a\":\"" + repeat("\\u0041\\n", kHugeBytes) + "\"}"));
  all.push_back(post("JSON, a long number", json, "[" + repeat("9", kLargeBytes) + "]"));
  all.push_back(post("JSON, 5,000 strings of quotes", json,
                     "[" + numbered(5000, [&](std::size_t i) {
                       return "\"' or '1'='" + salt + std::to_string(i) + "\",";
                     }) + "1]"));
  all.push_back(post("XML, 500 deep", xml, repeat("<a>", 1500) + repeat("</a>", 2000)));
  all.push_back(
      post("XML, entities of entities", xml,
           "<!DOCTYPE l [<!ENTITY a \"aaaaaaaaaa\">" + numbered(9, [&](std::size_t i) {
             const char self = static_cast<char>('b' + i);
             const std::string below = "&" + std::string(1, static_cast<char>('a' + i)) + ";";
             return "<!ENTITY " + std::string(1, self) + " \"" + repeat(below, 30) + "\">";
           }) + "]><l>&j;</l>"));
  all.push_back(post("XML, 10,000 attributes", xml, "<a " + numbered(10000, [&](std::size_t i) {
                                                      return "b" + std::to_string(i) + "='1' ";
                                                    }) + "/>"));
  all.push_back(post("XML, 15,000 elements", xml, "<a>" + numbered(15000, [&](std::size_t i) {
                                                    return "<b>'or " + salt + std::to_string(i) +
                                                           "</b>";
                                                  }) + "</a>"));
  all.push_back(post("multipart, 1,000 parts", multipart,
                     numbered(1000, [&](std::size_t i) {
                       return "--xyz\r\nContent-Disposition: form-data; name=\"f" +
                              std::to_string(i) + "\"\r\n\r\n' or 1=" + salt + std::to_string(i) +
                              "\r\n";
                     }) + "--xyz--\r\n"));
  all.push_back(post("multipart, nearly the boundary", multipart,
                     "--xyz\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\n" +
                         repeat("\r\n--xy", kHugeBytes) + "\r\n--xyz--\r\n"));
  all.push_back(post("multipart, a file of 250 kB", multipart,
                     "--xyz\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.bin\"\r\n"
                     "\r\n" +
                         repeat("<?php eval(", kHugeBytes) + "\r\n--xyz--\r\n"));
  const std::string gzipped = "Content-Encoding: gzip\r\n";
  static const std::string bomb = gzip("q=" + std::string(100'000'000, 'a'));  // takes its time
  all.push_back(post("gzip bomb, 100 MB", "application/x-www-form-urlencoded", bomb, gzipped));
  all.push_back(post("gzip below the ratio", "application/x-www-form-urlencoded",
                     gzip("q=" + repeat("' or 1=1 -- union select <script>", 200'000)), gzipped));
  all.push_back(
      post("binary, 250 kB", "application/octet-stream", numbered(kHugeBytes, [&](std::size_t i) {
             return std::string(1, static_cast<char>((i * 2654435761U) >> 13));
           })));
  all.push_back(
      post("text, 250 kB", "text/plain", salt + repeat("select ' from <a> ", kHugeBytes)));
}

}  // namespace

std::vector<Request> make_requests(const std::string& salt) {
  std::vector<Request> all;
  add_patterns(all, salt);
  add_runs(all, salt);
  add_pairs(all, salt);
  add_heads(all, salt);
  add_bodies(all, salt);
  return all;
}

}  // namespace sluice::hostile
