// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include "dataplane/net/packet.h"
#include "tests/support/packet_builder.h"

namespace sluice::net {

/// A built frame, parsed and classified: by default as sent to a protected service.
struct Judged {
  explicit Judged(const test::PacketBuilder& builder, Protection protection = {.to_service = true})
      : frame(builder.build()) {
    parse(frame, {}, packet);
    classification = classify(packet, protection);
  }
  Judged(const Judged&) = delete;
  Judged& operator=(const Judged&) = delete;

  [[nodiscard]] Action action() const { return classification.action; }
  /// kCount unless dropped, so that a forwarded packet never looks like a reason.
  [[nodiscard]] abi::Reason drop_reason() const {
    return action() == Action::kDrop ? classification.reason : abi::Reason::kCount;
  }

  test::Frame frame;
  ParsedPacket packet;
  Classification classification{};
};

}  // namespace sluice::net
