// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/telemetry/differences.h"

#include <nlohmann/json.hpp>

#include "controlplane/publish/file_io.h"
#include "controlplane/telemetry/json_writer.h"
#include "dataplane/abi/events.h"

namespace sluice::telemetry {

void StagedDifferences::attach(std::uint64_t dataplane_start_ns, std::uint64_t requests) {
  const bool same = dataplane_start_ns == dataplane_start_ns_ && requests >= requests_seen_;
  if (!same) requests_seen_ = requests;
  dataplane_start_ns_ = dataplane_start_ns;
}

void StagedDifferences::judged(std::uint64_t staged, std::uint64_t requests) {
  if (staged != 0 && staged != generation_) {
    generation_ = staged;
    judged_ = differ_ = stricter_ = weaker_ = 0;
    newest_.clear();
  } else if (staged != 0) {
    judged_ += requests - requests_seen_;
  }
  requests_seen_ = requests;
}

void StagedDifferences::note(const Record& record, const std::string& line) {
  const abi::EventHeader& header = record.header;
  // Of a differing transaction there is always an alert; whether there is an `http` record, the
  // settings say.
  if (record.type != abi::RecordType::kAlert || header.staged_generation != generation_) return;
  ++differ_;
  if (header.staged_action > header.action) ++stricter_;
  if (header.staged_action < header.action) ++weaker_;
  if (newest_.size() >= kRecordsKept) newest_.erase(newest_.begin());
  newest_.push_back(line);
}

std::string StagedDifferences::json() const {
  std::string out;
  JsonWriter json(out);
  json.open();
  json.field("generation", generation_).field("judged", judged_).field("differ", differ_);
  json.field("stricter", stricter_).field("weaker", weaker_);
  json.close();
  out.pop_back();
  out += ",\"requests\":[";
  for (std::size_t i = 0; i < newest_.size(); ++i) {
    if (i != 0) out += ',';
    out += newest_[i];
  }
  return out + "]}";
}

void StagedDifferences::save(const std::string& path) const {
  if (generation_ == 0) return;
  std::string text = json();
  text.pop_back();
  text += ",\"dataplane_start_ns\":" + std::to_string(dataplane_start_ns_) +
          ",\"requests_seen\":" + std::to_string(requests_seen_) + "}";
  static_cast<void>(publish::write_file(path, text));
}

void StagedDifferences::load(const std::string& path) {
  const auto text = publish::read_file(path);
  if (!text.ok()) return;
  const auto kept = nlohmann::json::parse(text.value(), nullptr, false);
  if (!kept.is_object()) return;
  try {
    StagedDifferences read;
    for (const auto& [name, into] :
         {std::pair{"generation", &read.generation_}, std::pair{"judged", &read.judged_},
          std::pair{"differ", &read.differ_}, std::pair{"stricter", &read.stricter_},
          std::pair{"weaker", &read.weaker_},
          std::pair{"dataplane_start_ns", &read.dataplane_start_ns_},
          std::pair{"requests_seen", &read.requests_seen_}}) {
      *into = kept.at(name).get<std::uint64_t>();
    }
    for (const auto& record : kept.at("requests")) read.newest_.push_back(record.dump());
    *this = std::move(read);
  } catch (const nlohmann::json::exception&) {
    // Another version's, or damaged.
  }
}

}  // namespace sluice::telemetry
