// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>

#include "dataplane/abi/segments.h"

/// What the state folder (paths.state, default /var/lib/sluice[/instance]) holds, as far as both
/// processes read it. All of it is written by sluiced, each file by rename; the dataplane reads it
/// at its start only, so that it comes back without the daemon.
///
/// | file | what |
/// | --- | --- |
/// | `generations/<number>/image.img` | the image for this CPU |
/// | `generations/<number>/manifest.json` | sources, digests, versions, CPU, time, who, state |
/// | `generations/<number>/rules.json` | id, text and place of each rule, for records |
/// | `generations/<number>/sources/<i>` | copies of the sources, in the manifest's order |
/// | `generations/<number>/accepted` | there once a dataplane accepted it |
/// | `generations/live` | decimal number of the generation that was last live; may be missing |
/// | `switches` | lines `mode MODE`, `bypass on|off`, `service HASH16 MODE`; may be missing |
///
/// At its start the dataplane takes the generation that `live` names, else the highest number with
/// an `accepted` file.
namespace sluice::abi {

inline constexpr const char* kGenerationsFolder = "generations";
inline constexpr const char* kImageFile = "image.img";
inline constexpr const char* kManifestFile = "manifest.json";
inline constexpr const char* kAcceptedFile = "accepted";
inline constexpr const char* kLiveFile = "live";
inline constexpr const char* kSwitchesFile = "switches";
inline constexpr const char* kControlFile = "control";
inline constexpr const char* kDataplaneFile = "dataplane";
inline constexpr const char* kLimitsFile = "limits";
inline constexpr const char* kCollectionsFile = "collections";
inline constexpr const char* kImagesFolder = "images";
/// In the folder of sockets: the process that runs, locked while it does.
inline constexpr const char* kDataplanePidFile = "dataplane.pid";

/// The mode switch in force. A control segment whose switches nobody has written yet is all zero,
/// which would read as Mode::kOff: version 0 therefore means unset.
inline std::uint32_t wanted_mode(const ControlSegment& control) {
  if (control.switches_version.load(std::memory_order_acquire) == 0) return kModeUnset;
  return control.mode.load(std::memory_order_relaxed);
}
inline bool wanted_bypass(const ControlSegment& control) {
  if (control.switches_version.load(std::memory_order_acquire) == 0) return false;
  return control.bypass.load(std::memory_order_relaxed) == 1;
}

}  // namespace sluice::abi
