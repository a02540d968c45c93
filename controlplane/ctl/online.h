// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "controlplane/ctl/context.h"

namespace sluice::ctl {

/// Asks sluiced; `answer` gets its JSON. An exit status other than kDone has been explained.
int ask(const Context& context, const std::string& path,
        const std::map<std::string, std::string>& parameters, nlohmann::json& answer);
int tell(const Context& context, const std::string& path, const nlohmann::json& body,
         nlohmann::json& answer);
/// One line, for machines.
void print_json(const nlohmann::json& value);

}  // namespace sluice::ctl
