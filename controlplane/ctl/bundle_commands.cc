// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "controlplane/ctl/client.h"
#include "controlplane/ctl/judge_request.h"
#include "controlplane/ctl/online.h"
#include "controlplane/ctl/render.h"
#include "controlplane/publish/bundle.h"
#include "controlplane/publish/file_io.h"
#include "dataplane/base/clock.h"

namespace sluice::ctl {
namespace {

using nlohmann::json;

int show_info(const Context& context, const publish::BundleInfo& info, const char* what) {
  if (context.json) {
    json files = json::array();
    for (const auto& file : info.files) files.push_back(file.path);
    print_json({{"name", info.name},
                {"version", info.version},
                {"policy", info.policy},
                {"key_id", info.key_id},
                {"files", files},
                {"state", what}});
    return kDone;
  }
  std::printf("%s %llu: %s, %s%s%s\n", info.name.c_str(),
              static_cast<unsigned long long>(info.version), what,
              counted(info.files.size(), "file").c_str(), info.key_id.empty() ? "" : ", key ",
              info.key_id.substr(0, 16).c_str());
  return kDone;
}

int write_bundle(const Context& context, const std::string& path, const std::string& bytes,
                 const char* what) {
  if (auto wrote = publish::write_file(path, bytes, 0644); !wrote.ok()) {
    return complain(context, kNo, wrote.error().message);
  }
  const auto info = publish::read_bundle(bytes);
  return info.ok() ? show_info(context, info.value(), what)
                   : complain(context, kNo, info.error().message);
}

/// A file is kept under its name, a folder under its files' paths in it. `rules`: where the
/// rule files among them lie.
base::Status collect(const std::string& path, std::vector<publish::Source>& files,
                     std::vector<std::string>& rules) {
  namespace fs = std::filesystem;
  std::vector<std::pair<std::string, std::string>> found;
  if (fs::is_directory(path)) {
    for (const auto& entry : fs::recursive_directory_iterator(path)) {
      if (!entry.is_regular_file()) continue;
      found.emplace_back(entry.path().string(), fs::relative(entry.path(), path).string());
    }
    std::sort(found.begin(), found.end());
  } else {
    found.emplace_back(path, fs::path(path).filename().string());
  }
  for (const auto& [from, name] : found) {
    auto text = publish::read_file(from);
    if (!text.ok()) return text.error();
    for (const publish::Source& file : files) {
      if (file.path == name) return base::Error{name + " is named twice"};
    }
    files.push_back({name, std::move(text).value()});
    if (name.ends_with(".conf")) rules.push_back(from);
  }
  return base::ok_status();
}

/// Compiles what is to be packed, where it lies: the policy with all that it includes, and the rule
/// files by themselves. kDone, or kInvalid with all errors said.
int compile_sources(const Context& context, const std::vector<std::string>& rules) {
  std::vector<publish::Diagnostic> errors;
  Context part = context;
  if (!context.policy.empty()) errors = compile_offline(part).errors;
  if (!rules.empty()) {
    part.policy.clear();
    part.rules = rules;
    for (publish::Diagnostic& error : compile_offline(part).errors) {
      const bool said = std::any_of(errors.begin(), errors.end(), [&](const auto& other) {
        return other.file == error.file && other.line == error.line &&
               other.message == error.message;
      });
      if (!said) errors.push_back(std::move(error));
    }
  }
  return say_errors(context, errors);
}

}  // namespace

int run_bundle_build(const Context& context) {
  publish::BundleInfo info;
  info.name = context.service;
  info.version = context.bundle_version;
  info.time_ns = base::wall_now();
  if (!publish::is_bundle_name(info.name)) {
    return complain(
        context, kUsage,
        "--name: a bundle's name is made of " + std::string(publish::kBundleNameWanted));
  }
  std::vector<std::string> rules;
  for (const std::string& path : context.files) {
    if (auto added = collect(path, info.files, rules); !added.ok()) {
      return complain(context, kInvalid, added.error().message);
    }
  }
  if (!context.policy.empty()) {
    info.policy = std::filesystem::path(context.policy).filename().string();
    if (auto added = collect(context.policy, info.files, rules); !added.ok()) {
      return complain(context, kInvalid, added.error().message);
    }
  }
  if (info.files.empty()) return complain(context, kUsage, "a bundle of no files");
  if (const int exit = compile_sources(context, rules); exit != kDone) return exit;
  auto bundle = publish::build_bundle(info);
  if (!bundle.ok()) return complain(context, kInvalid, bundle.error().message);
  return write_bundle(context, context.output, bundle.value(), "built, unsigned");
}

int run_bundle_sign(const Context& context) {
  const auto bytes = publish::read_file(context.files[0]);
  const auto key = publish::read_file(context.key);
  if (!bytes.ok()) return complain(context, kNo, bytes.error().message);
  if (!key.ok()) return complain(context, kNo, key.error().message);
  const auto done = publish::sign_bundle(bytes.value(), key.value());
  if (!done.ok()) return complain(context, kNo, done.error().message);
  return write_bundle(context, context.output.empty() ? context.files[0] : context.output,
                      done.value(), "signed");
}

int run_bundle_verify(const Context& context) {
  const auto bytes = publish::read_file(context.files[0]);
  if (!bytes.ok()) return complain(context, kNo, bytes.error().message);
  const std::string from = context.key.empty() ? keys_folder(context) : context.key;
  std::vector<std::string> keys;
  if (std::filesystem::is_directory(from)) {
    keys = publish::trusted_keys(from);
  } else if (auto key = publish::read_file(from); key.ok()) {
    keys.push_back(std::move(key).value());
  }
  if (keys.empty()) {
    return complain(context, kNo, "no public key in " + from + ": put the signer's *.pem there");
  }
  const auto info = publish::verify_bundle(bytes.value(), keys);
  if (!info.ok()) return complain(context, kNo, info.error().message);
  return show_info(context, info.value(), "verified");
}

}  // namespace sluice::ctl
