// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <string>

#include "controlplane/api/event_filter.h"

namespace sluice::api {

/// A place in the records: "<inode>:<offset>" of the file being written.
std::string end_cursor(const std::string& eve_path);

/// Wanted lines behind `cursor`, through rotations, of at most 1 MiB: {"cursor","events":[]}. A
/// cursor whose file is gone goes on at the start of the oldest file newer than it.
std::string follow_json(const std::string& eve_path, const std::string& cursor,
                        const EventFilter& filter);

}  // namespace sluice::api
