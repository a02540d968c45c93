// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include "dataplane/abi/image.h"
#include "dataplane/abi/ruleset.h"
#include "dataplane/base/bytes.h"

namespace sluice::rules {

/// The sections of an image that rules read, found and within bounds.
struct ImageLayout {
  const abi::ImageHeader* header = nullptr;
  const abi::Section* strings = nullptr;
  const abi::Section* rules = nullptr;  ///< nullptr: an image without rules
  const abi::Section* scans = nullptr;
};

/// Finds the sections. Checks the header's plain fields and every section's bounds, no digest.
abi::ImageError read_layout(base::Bytes image, ImageLayout& layout);

/// Every offset and index of the rules section.
abi::ImageError check_program(base::Bytes image, const ImageLayout& layout);

}  // namespace sluice::rules
