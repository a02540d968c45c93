// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

/// libmodsecurity 3 as the reference: the same rules and requests through its C++ interface, read
/// by our own HTTP parser, so that only the rule engines can differ.
namespace sluice::oracle {

struct ReferenceVerdict {
  std::vector<std::uint32_t> ids;  ///< of the rules it logged, in order
  int status = 200;                ///< of its intervention
  std::vector<std::string> tx;     ///< values of the members asked for, empty where unset
  bool refused = false;            ///< our parser found no request
};

class Reference {
 public:
  /// nullptr, with its message on standard error, if the rules do not load.
  static std::unique_ptr<Reference> load(const std::vector<std::string>& files);
  static std::unique_ptr<Reference> load_text(const std::string& text);
  Reference(const Reference&) = delete;
  Reference& operator=(const Reference&) = delete;
  ~Reference();

  /// tx_names: members of TX whose values are wanted at the end of phase 2.
  ReferenceVerdict run(std::string_view request, const std::vector<std::string>& tx_names = {});

 private:
  Reference();
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sluice::oracle
