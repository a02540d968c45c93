// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <string_view>

#include "controlplane/ctl/offline_engine.h"
#include "dataplane/base/ip_address.h"
#include "dataplane/net/craft.h"

namespace sluice::ctl {

/// One TCP connection made by hand through an offline engine: a client and a server that send what
/// they are told, in order, and acknowledge what arrives.
class Conversation {
 public:
  struct Ends {
    base::IpAddress client, server;  ///< of one family
    std::uint16_t client_port = 0, server_port = 0;
  };
  Conversation(OfflineEngine& engine, const Ends& ends);
  Conversation(const Conversation&) = delete;
  Conversation& operator=(const Conversation&) = delete;
  ~Conversation();

  void open();
  void client_says(std::string_view bytes) { say(true, bytes); }
  void server_says(std::string_view bytes) { say(false, bytes); }
  /// The end's FIN. What it ends is known only then (close-delimited bodies).
  void client_ends() { segment(true, net::kFin | net::kAck, {}); }
  void server_ends() { segment(false, net::kFin | net::kAck, {}); }

 private:
  struct End {
    net::SegmentTemplate out;
    std::uint32_t next = 0;   ///< sequence number of its next byte
    std::uint32_t taken = 0;  ///< of the other end's bytes: the next it expects
  };
  void say(bool client, std::string_view bytes);
  void segment(bool client, unsigned flags, std::string_view payload);
  void arrive(engine::Side out, base::Bytes frame);

  OfflineEngine& engine_;
  End client_, server_;
};

}  // namespace sluice::ctl
