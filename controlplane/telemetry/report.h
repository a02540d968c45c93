// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <string>

namespace sluice::telemetry {

inline constexpr std::size_t kReportBuckets = 96;

/// Sums the records since `since_ns` (CLOCK_REALTIME) into JSON for `sluicectl report`:
/// {"since_ns","until_ns","bucket_ns","requests","blocked","monitored",
///  "buckets":[{"pass","monitor","block","added_us":{p50,p90,p99},"duration_us":{...}}],
///  "reasons":[{"key","count","blocked"}],"services":[...],"clients":[...],"routes":[...],
///  "rules":[...],"limits":[...],"dropped":[...]}.
/// service: of its records alone; empty: of all. Reads the files once; keys are bounded.
std::string report_json(const std::string& eve_path, std::uint64_t since_ns, std::uint64_t until_ns,
                        const std::string& service = {});

}  // namespace sluice::telemetry
