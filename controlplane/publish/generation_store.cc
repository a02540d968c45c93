// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/publish/generation_store.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "controlplane/publish/file_io.h"
#include "dataplane/abi/store.h"

namespace sluice::publish {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// In the folder of a generation once it was live: the control plane's own, beside abi/store.h.
constexpr const char* kWasLiveFile = "was_live";

std::optional<std::uint64_t> parse_number(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number == 0) return std::nullopt;
  return number;
}

GenerationState parse_state(const std::string& text) {
  if (text == "accepted") return GenerationState::kAccepted;
  if (text == "refused") return GenerationState::kRefused;
  return GenerationState::kPending;
}

json to_json(const Manifest& manifest) {
  json sources = json::array();
  for (const auto& source : manifest.sources) {
    sources.push_back({{"path", source.path}, {"sha256", source.sha256}, {"bytes", source.bytes}});
  }
  return json{{"generation", manifest.number},
              {"state", state_name(manifest.state)},
              {"error", manifest.error},
              {"kind", manifest.kind},
              {"time_ns", manifest.time_ns},
              {"who", manifest.who},
              {"version", manifest.version},
              {"abi_version", manifest.abi_version},
              {"hyperscan_version", manifest.hyperscan_version},
              {"cpu_features", manifest.cpu_features},
              {"image_sha256", manifest.image_sha256},
              {"image_bytes", manifest.image_bytes},
              {"rules", manifest.rules},
              {"policy", manifest.policy},
              {"sources", sources}};
}

base::Result<Manifest> from_json(const std::string& text, const std::string& path) {
  const json object = json::parse(text, nullptr, false);
  if (!object.is_object()) return base::Error{path + " is damaged"};
  Manifest manifest;
  try {
    manifest.number = object.value("generation", std::uint64_t{0});
    manifest.state = parse_state(object.value("state", ""));
    manifest.error = object.value("error", "");
    manifest.kind = object.value("kind", "push");
    manifest.time_ns = object.value("time_ns", std::uint64_t{0});
    manifest.who = object.value("who", "");
    manifest.version = object.value("version", "");
    manifest.abi_version = object.value("abi_version", std::uint32_t{0});
    manifest.hyperscan_version = object.value("hyperscan_version", "");
    manifest.cpu_features = object.value("cpu_features", std::uint64_t{0});
    manifest.image_sha256 = object.value("image_sha256", "");
    manifest.image_bytes = object.value("image_bytes", std::uint64_t{0});
    manifest.rules = object.value("rules", std::uint64_t{0});
    manifest.policy = object.value("policy", "");
    for (const json& source : object.value("sources", json::array())) {
      manifest.sources.push_back({source.value("path", ""), source.value("sha256", ""),
                                  source.value("bytes", std::uint64_t{0})});
    }
  } catch (const json::exception& error) {
    return base::Error{path + " is damaged: " + error.what()};
  }
  return manifest;
}

}  // namespace

const char* state_name(GenerationState state) {
  switch (state) {
    case GenerationState::kPending:
      return "pending";
    case GenerationState::kAccepted:
      return "accepted";
    case GenerationState::kRefused:
      return "refused";
  }
  return "pending";
}

std::string manifest_json(const Manifest& manifest) {
  return to_json(manifest).dump(2, ' ', false, json::error_handler_t::replace);
}

GenerationStore::GenerationStore(std::string state_folder)
    : root_(std::move(state_folder) + "/" + abi::kGenerationsFolder) {}

base::Status GenerationStore::open() { return make_folders(root_); }

std::string GenerationStore::folder(std::uint64_t number) const {
  return root_ + "/" + std::to_string(number);
}

std::vector<std::uint64_t> GenerationStore::numbers() const {
  std::vector<std::uint64_t> found;
  std::error_code error;
  for (fs::directory_iterator at(root_, error), end; !error && at != end; at.increment(error)) {
    if (const auto number = parse_number(at->path().filename().string())) found.push_back(*number);
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::uint64_t GenerationStore::next_number() const {
  const auto all = numbers();
  std::uint64_t highest = all.empty() ? 0 : all.back();
  const auto counter = read_file(root_ + "/next");
  if (counter.ok()) {
    if (const auto number = parse_number(counter.value())) {
      highest = std::max(highest, *number - 1);
    }
  }
  return highest + 1;
}

base::Status GenerationStore::save(const Manifest& manifest, const std::vector<Source>& sources,
                                   std::string_view image, std::string_view rules_json) {
  const std::string place = folder(manifest.number);
  const std::string beside = root_ + "/.new-" + std::to_string(manifest.number);
  std::error_code error;
  fs::remove_all(beside, error);
  if (auto made = make_folders(beside + "/sources"); !made.ok()) return made;
  Manifest complete = manifest;
  complete.sources.clear();
  for (std::size_t i = 0; i < sources.size(); ++i) {
    complete.sources.push_back(
        {sources[i].path, sha256_hex(sources[i].text), sources[i].text.size()});
    auto wrote = write_file(beside + "/sources/" + std::to_string(i), sources[i].text);
    if (!wrote.ok()) return wrote;
  }
  complete.image_sha256 = sha256_hex(image);
  complete.image_bytes = image.size();
  for (const auto& [name, bytes] :
       {std::pair<const char*, std::string_view>{abi::kImageFile, image},
        std::pair<const char*, std::string_view>{"rules.json", rules_json}}) {
    if (auto wrote = write_file(beside + "/" + name, bytes); !wrote.ok()) return wrote;
  }
  auto wrote = write_file(beside + "/" + abi::kManifestFile, manifest_json(complete));
  if (!wrote.ok()) return wrote;
  fs::remove_all(place, error);
  fs::rename(beside, place, error);
  if (error) return base::Error{"cannot rename to " + place + ": " + error.message()};
  return write_file(root_ + "/next", std::to_string(manifest.number + 1) + "\n");
}

base::Status GenerationStore::set_state(std::uint64_t number, GenerationState state,
                                        const std::string& error) {
  auto stored = manifest(number);
  if (!stored.ok()) return stored.error();
  stored.value().state = state;
  stored.value().error = error;
  auto wrote = write_file(folder(number) + "/" + abi::kManifestFile, manifest_json(stored.value()));
  if (!wrote.ok()) return wrote;
  const std::string marker = folder(number) + "/" + abi::kAcceptedFile;
  if (state == GenerationState::kAccepted) return write_file(marker, "");
  std::error_code ignored;
  fs::remove(marker, ignored);
  return base::ok_status();
}

base::Status GenerationStore::set_live(std::uint64_t number) {
  if (auto marked = write_file(folder(number) + "/" + kWasLiveFile, ""); !marked.ok()) {
    return marked;
  }
  return write_file(root_ + "/" + abi::kLiveFile, std::to_string(number) + "\n");
}

std::optional<std::uint64_t> GenerationStore::live() const {
  const auto accepted = [this](std::uint64_t number) {
    return fs::exists(folder(number) + "/" + abi::kAcceptedFile);
  };
  if (const auto text = read_file(root_ + "/" + abi::kLiveFile); text.ok()) {
    const auto number = parse_number(text.value());
    if (number && accepted(*number)) return number;
  }
  const auto all = numbers();
  const auto newest = std::find_if(all.rbegin(), all.rend(), accepted);
  if (newest == all.rend()) return std::nullopt;
  return *newest;
}

base::Result<Manifest> GenerationStore::manifest(std::uint64_t number) const {
  const std::string path = folder(number) + "/" + abi::kManifestFile;
  const auto text = read_file(path);
  if (!text.ok()) return text.error();
  return from_json(text.value(), path);
}

base::Result<std::string> GenerationStore::image(std::uint64_t number) const {
  return read_file(folder(number) + "/" + abi::kImageFile);
}

base::Result<std::string> GenerationStore::rules_json(std::uint64_t number) const {
  return read_file(folder(number) + "/rules.json");
}

base::Result<std::vector<Source>> GenerationStore::sources(std::uint64_t number) const {
  const auto stored = manifest(number);
  if (!stored.ok()) return stored.error();
  std::vector<Source> all;
  for (std::size_t i = 0; i < stored.value().sources.size(); ++i) {
    const auto& entry = stored.value().sources[i];
    auto text = read_file(folder(number) + "/sources/" + std::to_string(i));
    if (!text.ok()) return text.error();
    if (sha256_hex(text.value()) != entry.sha256) {
      return base::Error{"the stored copy of " + entry.path + " was altered"};
    }
    all.push_back({entry.path, std::move(text).value()});
  }
  return all;
}

std::vector<Manifest> GenerationStore::list() const {
  std::vector<Manifest> all;
  for (const std::uint64_t number : numbers()) {
    if (auto stored = manifest(number); stored.ok()) all.push_back(std::move(stored).value());
  }
  return all;
}

bool GenerationStore::was_live(std::uint64_t number) const {
  return fs::exists(folder(number) + "/" + kWasLiveFile);
}

std::optional<std::uint64_t> GenerationStore::live_before(std::uint64_t number) const {
  const auto all = numbers();
  for (auto at = all.rbegin(); at != all.rend(); ++at) {
    if (*at < number && fs::exists(folder(*at) + "/" + abi::kAcceptedFile) && was_live(*at)) {
      return *at;
    }
  }
  return std::nullopt;
}

std::size_t GenerationStore::prune(std::size_t keep, const std::vector<std::uint64_t>& needed) {
  const auto all = numbers();
  std::size_t removed = 0;
  for (std::size_t i = 0; i + keep < all.size(); ++i) {
    if (std::find(needed.begin(), needed.end(), all[i]) != needed.end()) continue;
    std::error_code error;
    if (fs::remove_all(folder(all[i]), error) > 0 && !error) ++removed;
  }
  return removed;
}

}  // namespace sluice::publish
