// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace sluice::ctl {

/// The HTML page of a report (telemetry/report.h): inline SVG and style, no script, nothing from
/// elsewhere. Figures stand in elements whose ids tests and people's scripts may rely on:
/// requests, blocked, monitored, dropped-packets, added-p99, duration-p99; each plot has a
/// `data-total`, each row of a table a `data-count`.
std::string report_page(const nlohmann::json& report, const std::string& instance);

}  // namespace sluice::ctl
