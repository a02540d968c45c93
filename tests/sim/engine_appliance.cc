// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "tests/sim/make_appliance.h"
#include "tests/unit/engine/engine_rig.h"
#include "tests/unit/engine/rig_image.h"

namespace sluice::sim {
namespace {

/// Blocks what is_bad() calls bad; the second generation does the same by other rules.
constexpr const char* kRules[] = {
    "SecRuleEngine On\nSecRequestBodyAccess On\n"
    "SecAction \"id:1,phase:1,pass,nolog,ctl:forceRequestBodyVariable=On\"\n"
    "SecRule REQUEST_URI|REQUEST_BODY \"@contains ATTACK\" \"id:2,phase:2,deny,status:403\"\n",
    "SecRuleEngine On\nSecRequestBodyAccess On\n"
    "SecAction \"id:11,phase:1,pass,nolog,ctl:forceRequestBodyVariable=On\"\n"
    "SecRule REQUEST_URI|REQUEST_BODY \"@rx ATT[A]CK\" \"id:12,phase:2,deny,status:403\"\n"};

/// Between two worlds: longer than any state of the engine lives.
constexpr Nanos kPause = 2000 * kSecond;

/// The whole engine on the bench of its unit tests: real rules image, pools, rings and replies.
class EngineAppliance final : public Appliance {
 public:
  EngineAppliance() {
    test::RigOptions options;
    options.rules = kRules[0];
    rig_ = std::make_unique<test::EngineRig>(options);
    rig_->publish(kRules[1]);
    engine::Engine::Observer observer;
    observer.context = this;
    observer.inspected = [](void* self, std::uint64_t flow, int direction, std::uint64_t offset,
                            base::Bytes bytes) {
      test::guard_allocations(false);
      static_cast<EngineAppliance*>(self)->on_inspected(flow, direction, offset, bytes);
      test::guard_allocations(true);
    };
    rig_->engine->set_observer(observer);
  }

  [[nodiscard]] bool judges_responses() const override { return false; }

  void start(std::uint64_t seed, bool late_verdicts) override {
    random_ = Random(seed);
    switch_generations_ = late_verdicts;
    begun_ = rig_->now + kPause;
    outbox.clear();
    inspected.clear();
    records_.clear();
    shakes_.clear();
    started_ = false;
  }

  void on_frame(bool from_outside, const Frame& frame, Nanos now) override {
    set_clock(now);
    if (switch_generations_ && random_.chance(20)) {
      if (counts != nullptr) ++(*counts)[static_cast<std::size_t>(Oddity::kLateVerdict)];
      rig_->go_live(random_.below(2));
    }
    rig_->push(from_outside ? engine::Side::kOutside : engine::Side::kInside, frame);
    collect();
  }

  void poll(Nanos now) override {
    set_clock(now);
    rig_->poll();
    collect();
  }

  std::string finish(Nanos now) override {
    set_clock(now);
    rig_->engine->close_all(rig_->now, rig_->now + test::EngineRig::kWallOffset);
    // Replies linger, fragments wait for the rest of their datagram: let all of it end.
    for (int i = 0; i < 20 && rig_->kept() != 0; ++i) rig_->advance_ms(5000);
    collect();
    outbox.clear();
    (void)rig_->records();
    if (rig_->kept() != 0) return "held packets did not come back";
    if (testing::UnitTest::GetInstance()->ad_hoc_test_result().Failed()) return "the bench failed";
    return "";
  }

 private:
  struct Shake {
    std::uint32_t client_isn, server_isn;
  };

  /// The world's clock starts anew each time, the engine's never goes back.
  void set_clock(Nanos now) {
    if (!started_) {
      world_begun_ = now;
      started_ = true;
    }
    rig_->now = std::max(rig_->now, begun_ + (now - world_begun_));
  }

  void collect() {
    for (auto* left : {&rig_->to_server, &rig_->to_client}) {
      const bool to_server = left == &rig_->to_server;
      for (auto& sent : *left) {
        Tcp segment;
        if (!to_server && !read_ip(sent->frame).fragment && read_frame(sent->frame, segment) &&
            segment.has(kSyn) && segment.has(kAck)) {
          shakes_.push_back({segment.ack - 1, segment.seq});
        }
        outbox.emplace_back(to_server, std::move(sent->frame));
      }
      left->clear();
    }
  }

  void on_inspected(std::uint64_t flow, int direction, std::uint64_t offset, base::Bytes bytes) {
    const auto [entry, is_new] = records_.try_emplace(flow, inspected.size());
    if (is_new) {
      const Shake shake = shakes_.empty() ? Shake{} : shakes_.back();
      inspected.push_back({shake.client_isn, shake.server_isn, {}, {}});
    }
    Inspected& record = inspected[entry->second];
    std::string& text = direction == 0 ? record.up : record.down;
    if (text.size() != offset) text += "<hole>";
    text += base::as_text(bytes);
  }

  std::unique_ptr<test::EngineRig> rig_;
  Random random_{1};
  bool switch_generations_ = false, started_ = false;
  Nanos begun_ = 0, world_begun_ = 0;
  std::map<std::uint64_t, std::size_t> records_;  ///< flow id to its place in `inspected`
  std::vector<Shake> shakes_;
};

}  // namespace

std::unique_ptr<Appliance> make_appliance() { return std::make_unique<EngineAppliance>(); }

}  // namespace sluice::sim
