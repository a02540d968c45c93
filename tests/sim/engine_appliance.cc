// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "dataplane/http/head.h"
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
  explicit EngineAppliance(bool monitor) : monitor_(monitor) {
    for (auto& rig : rigs_) {
      test::RigOptions options;
      options.rules = kRules[0];
      // Late verdicts: the rules stop wherever they can, and poll() goes on.
      options.config.slice_ns = &rig == &rigs_[1] ? 1 : 0;
      if (monitor) options.mode = abi::Mode::kMonitor;
      rig = std::make_unique<test::EngineRig>(options);
      rig->publish(kRules[1]);
    }
    engine::Engine::Observer observer;
    observer.context = this;
    observer.inspected = [](void* self, std::uint64_t flow, int direction, std::uint64_t offset,
                            base::Bytes bytes) {
      test::guard_allocations(false);
      static_cast<EngineAppliance*>(self)->on_inspected(flow, direction, offset, bytes);
      test::guard_allocations(true);
    };
    observer.rules_head = [](void* self, const http::RequestHead& head) {
      test::guard_allocations(false);
      static_cast<EngineAppliance*>(self)->on_rules_head(head);
      test::guard_allocations(true);
    };
    observer.rules_body = [](void* self, base::Bytes bytes) {
      test::guard_allocations(false);
      static_cast<EngineAppliance*>(self)->entered_.push_back(
          {false, std::string(base::as_text(bytes))});
      test::guard_allocations(true);
    };
    for (auto& rig : rigs_) rig->engine->set_observer(observer);
  }

  [[nodiscard]] bool judges_responses() const override { return false; }
  [[nodiscard]] bool has_rules() const override { return true; }
  [[nodiscard]] bool monitors() const override { return monitor_; }

  void start(std::uint64_t seed, const Conditions& conditions) override {
    random_ = Random(seed);
    switch_generations_ = conditions.late_verdicts;
    rig_ = rigs_[conditions.late_verdicts ? 1 : 0].get();
    begun_ = rig_->now + kPause;
    outbox.clear();
    inspected.clear();
    records_.clear();
    shakes_.clear();
    entered_.clear();
    recorded_bad = 0;
    bound_reached = false;
    problem_.clear();
    started_ = false;
  }

  void on_frame(bool from_outside, const Frame& frame, Nanos now) override {
    set_clock(now);
    if (switch_generations_ && random_.chance(20)) {
      if (counts != nullptr) ++(*counts)[static_cast<std::size_t>(Oddity::kLateVerdict)];
      rig_->go_live(random_.below(2));
    }
    const std::size_t before = outbox.size();
    rig_->push(from_outside ? engine::Side::kOutside : engine::Side::kInside, frame);
    collect();
    if (!monitor_ || !problem_.empty()) return;
    const bool as_it_came = outbox.size() == before + 1 && outbox.back().first == from_outside &&
                            outbox.back().second == frame;
    if (!as_it_came) problem_ = "monitor dropped, held or changed a frame";
  }

  void poll(Nanos now) override {
    set_clock(now);
    const std::size_t before = outbox.size();
    rig_->poll();
    collect();
    if (monitor_ && outbox.size() != before) problem_ = "monitor sent a frame of its own";
  }

  std::string finish(Nanos now) override {
    set_clock(now);
    rig_->close_all();
    // Replies linger, fragments wait for the rest of their datagram: let all of it end.
    for (int i = 0; i < 20 && rig_->kept() != 0; ++i) rig_->advance_ms(5000);
    rig_->now += 2 * kSecond;  // the summaries of drops are due, some with every poll
    for (int i = 0; i < (monitor_ ? 128 : 1); ++i) rig_->poll();
    collect();
    outbox.clear();
    read_records();
    if (!problem_.empty()) return problem_;
    if (rig_->kept() != 0) return "held packets did not come back";
    if (const std::string leaked = leak(); !leaked.empty()) return leaked;
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

  /// What has left on both sides, in the order in which it did.
  void collect() {
    auto server = rig_->to_server.begin(), client = rig_->to_client.begin();
    while (server != rig_->to_server.end() || client != rig_->to_client.end()) {
      const bool to_server =
          client == rig_->to_client.end() ||
          (server != rig_->to_server.end() && (*server)->order < (*client)->order);
      test::Left& sent = **(to_server ? server++ : client++);
      Tcp segment;
      if (!to_server && !read_ip(sent.frame).fragment && read_frame(sent.frame, segment) &&
          segment.has(kSyn) && segment.has(kAck)) {
        shakes_.push_back({segment.ack - 1, segment.seq});
      }
      outbox.emplace_back(to_server, std::move(sent.frame));
    }
    rig_->to_server.clear();
    rig_->to_client.clear();
  }

  void on_inspected(std::uint64_t flow, int direction, std::uint64_t offset, base::Bytes bytes) {
    const auto [entry, is_new] = records_.try_emplace(flow, inspected.size());
    const auto text_of = [&](std::size_t at) -> std::string& {
      return direction == 0 ? inspected[at].up : inspected[at].down;
    };
    // The same ports, from the start again: another incarnation.
    if (is_new || (offset == 0 && !text_of(entry->second).empty())) {
      entry->second = inspected.size();
      const Shake shake = shakes_.empty() ? Shake{} : shakes_.back();
      inspected.push_back({shake.client_isn, shake.server_isn, {}, {}, {}});
    }
    std::string& text = text_of(entry->second);
    if (text.size() != offset) text += "<hole>";
    text += base::as_text(bytes);
    if (direction != 0) return;
    std::vector<Inspected::Request>& requests = inspected[entry->second].requests;
    for (Entered& piece : entered_) {
      if (piece.is_head || requests.empty()) requests.emplace_back();
      (piece.is_head ? requests.back().head : requests.back().body) += piece.text;
    }
    entered_.clear();
  }

  /// The head in the spelling of the simulator's clients, from the parts that rules see.
  void on_rules_head(const http::RequestHead& head) {
    std::string text = std::string(head.method) + ' ' + std::string(head.target) + ' ' +
                       std::string(head.protocol) + "\r\n";
    for (const http::Field& field : head.fields) {
      text += std::string(field.name) + ": " + std::string(field.value) + "\r\n";
    }
    entered_.push_back({true, text + "\r\n"});
  }

  void read_records() {
    for (const test::RigRecord& record : rig_->records()) {
      if (record.type == abi::RecordType::kDrop) {
        bound_reached = bound_reached || record.header.reason == abi::Reason::kTcpOooFull;
      } else if (record.type == abi::RecordType::kAlert) {
        recorded_bad += static_cast<std::size_t>(
            std::count_if(record.rules.begin(), record.rules.end(),
                          [](std::uint32_t id) { return id == 2 || id == 12; }));
      }
    }
  }

  /// Every pool and pin is back where it started.
  [[nodiscard]] std::string leak() const {
    const abi::WorkerCounters& counters = *rig_->counters;
    if (counters.flows.get() != 0) return "flows did not come back";
    if (counters.held_segments.get() != 0) return "held entries did not come back";
    if (counters.retained_bytes.get() != 0) return "blocks did not come back";
    if (counters.transactions.get() != 0) return "transactions did not come back";
    return rig_->pins() == 0 ? "" : "a generation is still pinned";
  }

  struct Entered {
    bool is_head;
    std::string text;
  };

  std::unique_ptr<test::EngineRig> rigs_[2];  ///< at a stretch, and in slices
  test::EngineRig* rig_ = nullptr;
  Random random_{1};
  bool switch_generations_ = false, started_ = false;
  Nanos begun_ = 0, world_begun_ = 0;
  std::map<std::uint64_t, std::size_t> records_;  ///< flow id to its place in `inspected`
  std::vector<Shake> shakes_;
  std::vector<Entered> entered_;  ///< into the rules room, since the last on_inspected()
  std::string problem_;
  const bool monitor_;
};

}  // namespace

std::unique_ptr<Appliance> make_appliance(bool monitor) {
  return std::make_unique<EngineAppliance>(monitor);
}

}  // namespace sluice::sim
