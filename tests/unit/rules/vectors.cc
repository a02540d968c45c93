// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "tests/unit/rules/vectors.h"

#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <stdexcept>

namespace sluice::rules::test {
namespace {

/// UTF-8 text of characters below U+0100 to one byte each.
std::string bytes_of(const std::string& utf8) {
  std::string bytes;
  for (std::size_t i = 0; i < utf8.size(); ++i) {
    const auto lead = static_cast<unsigned char>(utf8[i]);
    if (lead < 0x80) {
      bytes += static_cast<char>(lead);
    } else if ((lead == 0xc2 || lead == 0xc3) && i + 1 < utf8.size()) {
      bytes += static_cast<char>((lead & 3) << 6 | (static_cast<unsigned char>(utf8[++i]) & 0x3f));
    } else {
      throw std::runtime_error("a vector holds a character above U+00FF");
    }
  }
  return bytes;
}

nlohmann::json read_json(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path);
  return nlohmann::json::parse(file);
}

void replace_all(std::string& text, const std::string& from, char to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos;) {
    text.replace(at, from.size(), 1, to);
  }
}

/// The unescaping of the v3 test program: again and again until nothing is left to replace.
std::string unescape(std::string text) {
  static const std::regex kHex("\\\\x([a-zA-Z0-9]{2})"), kUnicode("\\\\u([a-zA-Z0-9]{4})");
  for (const auto* pattern : {&kHex, &kUnicode}) {
    std::smatch match;
    while (std::regex_search(text, match, *pattern)) {
      const std::string whole = match.str();
      const unsigned long value = std::strtoul(match[1].str().c_str(), nullptr, 16);
      replace_all(text, whole, static_cast<char>(value));
    }
  }
  return text;
}

}  // namespace

std::vector<TransformVector> load_transform_vectors(const std::string& name) {
  std::vector<TransformVector> vectors;
  const std::string path = std::string(SLUICE_SOURCE) + "/tests/unit/rules/vectors/" + name;
  for (const auto& line : read_json(path + ".json")) {
    vectors.push_back({bytes_of(line.at("input")), bytes_of(line.at("output"))});
  }
  return vectors;
}

std::vector<OperatorVector> load_operator_vectors(const std::string& name) {
  std::vector<OperatorVector> vectors;
  const std::string path = std::string(SLUICE_SOURCE) + "/tests/unit/rules/vectors/" + name;
  for (const auto& line : read_json(path + ".json")) {
    vectors.push_back(
        {bytes_of(line.at("argument")), bytes_of(line.at("value")), line.at("match").get<bool>()});
  }
  return vectors;
}

std::string corpora_folder() {
  if (const char* folder = std::getenv("SLUICE_CORPORA")) return folder;
  for (const char* beside : {"/../shared/corpora", "/../../../work/shared/corpora"}) {
    const std::string folder = std::string(SLUICE_SOURCE) + beside;
    if (std::filesystem::is_directory(folder)) return folder;
  }
  return {};
}

std::vector<CorpusVector> load_corpus(const std::string& path) {
  std::vector<CorpusVector> vectors;
  for (const auto& line : read_json(path)) {
    CorpusVector vector;
    const auto text = [&](const char* key) { return line.value(key, std::string()); };
    vector.file = std::filesystem::path(path).stem();
    vector.name = text("name");
    vector.type = text("type");
    vector.input = unescape(text("input"));
    vector.param = text("param");
    vector.output = unescape(text("output"));
    vector.ret = line.value("ret", 0);
    vectors.push_back(vector);
  }
  return vectors;
}

std::string show(base::Bytes bytes) {
  std::string text = "\"";
  for (const std::uint8_t byte : bytes) {
    char hex[5];
    std::snprintf(hex, sizeof hex, "\\x%02x", byte);
    if (byte < 0x20 || byte > 0x7e) {
      text += hex;
    } else {
      text += static_cast<char>(byte);
    }
  }
  return text + "\" (" + std::to_string(bytes.size()) + " bytes)";
}

base::Bytes at_page_end(const std::string& text) {
  constexpr std::size_t kPage = 4096, kRoom = 256 * kPage;
  static std::uint8_t* const memory = [] {
    void* pages =
        mmap(nullptr, kRoom + kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) throw std::runtime_error("mmap");
    mprotect(static_cast<std::uint8_t*>(pages) + kRoom, kPage, PROT_NONE);
    return static_cast<std::uint8_t*>(pages);
  }();
  if (text.size() > kRoom) throw std::runtime_error("too long for at_page_end");
  std::uint8_t* start = memory + kRoom - text.size();
  if (!text.empty()) std::memcpy(start, text.data(), text.size());
  return {start, text.size()};
}

}  // namespace sluice::rules::test
