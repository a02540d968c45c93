// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "tests/sim/world.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "dataplane/abi/limits.h"
#include "tests/sim/http.h"
#include "tests/sim/invariants.h"

namespace sluice::sim {
namespace {

constexpr Nanos kLinkDelay = kMilli;
constexpr Nanos kTick = 5 * kMilli;
constexpr unsigned kLinuxPercent = 20;  // of the servers are like Linux
constexpr unsigned kRecoveredBytesMin = 16;
constexpr int kNarrowWindow = 1200;
/// Beyond what is kept and judged whole (abi::kBodyBytesKept); a segment fills blocks of its own.
constexpr std::size_t kLongBodyBytes = abi::kBodyBytesKept + 1000, kLongBodyMore = 300'000;
constexpr unsigned kLargeSegmentBytes = 16'000;
/// A connection gets on with: two blocks of each direction, a map, a list, and the quarter that no
/// gap may take. A window of the simulator's stacks is fifteen.
constexpr std::size_t kBlocksMin = 8;
constexpr std::array<int, 2> kWideWindows = {30000, 300000};
constexpr Nanos kHonestEnd = 120 * kSecond, kHostileEnd = 3 * kSecond;

std::string make_text(Random& random, std::size_t bytes) {
  std::string text;
  while (text.size() < bytes) {
    if (random.chance(30)) text += kGoodWord;
    text.push_back(static_cast<char>('a' + random.below(26)));
  }
  return text;
}
std::string response_to(std::string_view request) {
  return make_message("HTTP/1.1 200 OK", std::string(1 + request.size() % 300, 'r'));
}

void print(Nanos now, const char* where, const Frame& frame) {
  Tcp segment;
  const IpInfo ip = read_ip(frame);
  if (ip.fragment || !read_frame(frame, segment)) {
    std::fprintf(stderr, "%8.3f %-10s fragment id %u offset %u\n", double(now) / 1e6, where, ip.id,
                 ip.offset);
    return;
  }
  std::fprintf(stderr, "%8.3f %-10s %s%s%s%s%s%s seq %u ack %u win %u ts %u ttl %u%s [%zu] %.60s\n",
               double(now) / 1e6, where, segment.has(kSyn) ? "S" : "", segment.has(kFin) ? "F" : "",
               segment.has(kRst) ? "R" : "", segment.has(kPsh) ? "P" : "",
               segment.has(kAck) ? "A" : "", segment.has(kUrg) ? "U" : "", segment.seq, segment.ack,
               segment.window, segment.ts_value, segment.ttl,
               segment.checksum_wrong ? " badsum" : "", segment.payload.size(),
               segment.payload.c_str());
}

/// What was added later has a generator of its own, so that seeds mean what they meant without it.
Plan draw_apart(Plan plan) {
  Random random(plan.seed ^ 0xaaa);
  const auto draw = [&](Oddity oddity, unsigned percent) {
    const bool drawn = random.chance(percent);
    plan.oddities[static_cast<std::size_t>(oddity)] = drawn;
    return drawn;
  };
  if (draw(Oddity::kSack, 50)) draw(Oddity::kDsack, 40);
  draw(Oddity::kRenege, 15);
  const bool ipv6 = draw(Oddity::kIpv6, 40);
  if (ipv6) draw(Oddity::kIp6Headers, 30);
  if (plan.honest) return plan;
  draw(Oddity::kSackLie, 6);
  draw(Oddity::kRstSack, 6);
  if (ipv6) draw(Oddity::kIp6Odd, 20);
  for (const Oddity oddity : {Oddity::kRstHandshake, Oddity::kRstData, Oddity::kNearThird,
                              Oddity::kFarBelow, Oddity::kServerOdd}) {
    draw(oddity, 6);
  }
  return plan;
}

/// And later still.
Plan draw_last(Plan plan) {
  Random random(plan.seed ^ 0xbbb), latest(plan.seed ^ 0xddd), longest(plan.seed ^ 0xeee);
  const auto draw = [&](Oddity oddity, unsigned percent) {
    plan.oddities[static_cast<std::size_t>(oddity)] = random.chance(percent);
  };
  plan.oddities[static_cast<std::size_t>(Oddity::kJoined)] = latest.chance(20);
  plan.oddities[static_cast<std::size_t>(Oddity::kLongBody)] = longest.chance(1);
  draw(Oddity::kSmallPools, 8);
  if (plan.honest) return plan;
  for (const Oddity oddity : {Oddity::kUrgentPointer, Oddity::kSynScale, Oddity::kFarThird,
                              Oddity::kReuseSame, Oddity::kReuseOld, Oddity::kFinTwice}) {
    draw(oddity, 6);
  }
  draw(Oddity::kWideAhead, 15);  // most servers have no window for it
  return plan;
}

}  // namespace

Plan draw_plan(std::uint64_t seed) {
  Plan plan;
  plan.seed = seed;
  Random random(seed * 2 + 1);
  plan.honest = random.chance(30);
  for (std::size_t i = 0; i < kFirstHostile; ++i) plan.oddities[i] = random.chance(30);
  if (plan.honest) return draw_last(draw_apart(plan));
  plan.oddities[static_cast<std::size_t>(Oddity::kPlainAttack)] = random.chance(40);
  const std::size_t kinds = 1 + random.below(4);
  for (std::size_t i = 0; i < kinds; ++i) {
    plan.oddities[kFirstHostile + random.below(kDrawnApart - kFirstHostile)] = true;
  }
  return draw_last(draw_apart(plan));
}

void World::push(Nanos time, At at, Frame frame) {
  events_.push({time, order_++, at, std::move(frame)});
}

/// Takes a frame over a link, with what links do.
void World::carry(Frame frame, At to) {
  // The kernel's own timers are too slow to send again what is lost.
  const bool from_kernel = linux != nullptr && (to == At::kApplianceInside || to == At::kClient);
  if (link_random_.chance(loss_percent_) && !from_kernel) {
    count(Oddity::kLoss);
    return;
  }
  Nanos delay = kLinkDelay + link_random_.below(kMilli / 10);
  if (link_random_.chance(reorder_percent_)) {
    count(Oddity::kReorder);
    delay += link_random_.below(20 * kMilli);
  }
  if (link_random_.chance(duplicate_percent_)) {
    count(Oddity::kDuplicate);
    push(now_ + delay + link_random_.below(10 * kMilli), to, frame);
  }
  push(now_ + delay, to, std::move(frame));
}

void World::set_up(const Plan& plan) {
  plan_ = plan;
  events_ = {};
  monitor_.start(has(Oddity::kLateVerdict), !appliance_.judges_responses());
  order_ = 0;
  now_ = 1000 * kSecond;
  link_random_ = Random(plan.seed ^ 0x11);
  attack_random_ = Random(plan.seed ^ 0x22);
  loss_percent_ = has(Oddity::kLoss) ? 1 + static_cast<unsigned>(link_random_.below(10)) : 0;
  reorder_percent_ = has(Oddity::kReorder) ? 5 + static_cast<unsigned>(link_random_.below(25)) : 0;
  duplicate_percent_ =
      has(Oddity::kDuplicate) ? 2 + static_cast<unsigned>(link_random_.below(10)) : 0;
  make_streams();
  Random random(plan.seed ^ 0x33);
  Endpoint::Options options;
  options.isn = static_cast<std::uint32_t>(random.next());
  options.timestamps = random.chance(60);
  options.window_scale = random.chance(70) ? static_cast<int>(random.below(8)) : -1;
  options.segment_bytes = 1 + static_cast<unsigned>(random.below(900));
  if (requests_.size() > 6000) options.segment_bytes += 300;
  if (long_body_) options.segment_bytes = kLargeSegmentBytes;
  options.tiny_segments = has(Oddity::kTinySegments);
  options.resegment = has(Oddity::kResegment);
  options.keep_alive = has(Oddity::kKeepAlive);
  options.handshake_data = has(Oddity::kHandshakeData);
  options.ipv6 = has(Oddity::kIpv6);
  if (options.ipv6) count(Oddity::kIpv6);
  options.ip6_headers = options.ipv6 && has(Oddity::kIp6Headers);
  options.sack = has(Oddity::kSack);
  options.dsack = has(Oddity::kDsack);
  options.joins = has(Oddity::kJoined);
  options.seed = plan.seed ^ 0x44;
  if (has(Oddity::kSequenceWrap)) {
    count(Oddity::kSequenceWrap);
    options.isn = (random.chance(50) ? 0xffffffffU : 0x7fffffffU) -
                  static_cast<std::uint32_t>(random.below(requests_.size()));
  }
  client_.counts = server_.counts = &counts_;
  client_.start(options);
  server_.start(server_options(options, random));
  appliance_.counts = &counts_;
  // The kernel's timers are too slow to send again what finds no memory.
  const bool small_pools =
      has(Oddity::kSmallPools) && appliance_.has_small_pools() && linux == nullptr;
  Appliance::Conditions conditions{has(Oddity::kLateVerdict), 0};
  if (small_pools) {
    count(Oddity::kSmallPools);
    conditions.blocks = plan.honest ? kBlocksMin : 1 + Random(plan.seed ^ 0xccc).below(kBlocksMin);
  }
  appliance_.start(plan.seed ^ 0x77, conditions);
}

Endpoint::Options World::server_options(Endpoint::Options options, Random& random) {
  options.is_client = false;
  options.isn = static_cast<std::uint32_t>(random.next());
  options.zero_window = has(Oddity::kZeroWindow);
  // By segments of a few bytes the simulator's client does not recover within its time.
  options.reneges = has(Oddity::kRenege) && options.segment_bytes >= kRecoveredBytesMin;
  options.seed = plan_.seed ^ 0x55;
  options.segment_bytes = 1 + static_cast<unsigned>(random.below(1200));
  Random variant_random(plan_.seed ^ 0x66), linux_random(plan_.seed ^ 0x99);
  options.variant = plan_.honest ? Variant::honest() : Variant::draw(variant_random);
  const bool like_linux = linux_random.chance(kLinuxPercent) || linux != nullptr;
  if (like_linux) options.variant = Variant::of_linux();
  if (linux == nullptr) return options;
  options.shadow = true;
  // A window of the kernel closes by the memory that segments take, which is not ours to say:
  // instead it stays narrow.
  options.zero_window = false;
  // It forgets what it has beyond a gap when it is out of memory.
  options.reneges = false;
  if (has(Oddity::kRenege)) count(Oddity::kRenege);
  linux->start({has(Oddity::kIpv6), has(Oddity::kSack), has(Oddity::kRenege),
                has(Oddity::kZeroWindow) ? kNarrowWindow
                                         : kWideWindows[linux_random.below(kWideWindows.size())]});
  return options;
}

/// The requests, and the same requests with bad words for good ones: what the attacker wants to be
/// read.
void World::make_streams() {
  Random random(plan_.seed ^ 0x88);
  requests_.clear();
  responses_.clear();
  answered_ = 0;
  const std::size_t requests = 1 + random.below(4);
  const bool large = random.chance(3);
  // Through a narrow window, or to the kernel with its slow timers, it would take too long; in
  // small pools there is no room for its segments.
  long_body_ = has(Oddity::kLongBody) && !has(Oddity::kZeroWindow) && !has(Oddity::kSmallPools) &&
               linux == nullptr;
  Random longer(plan_.seed ^ 0xfff);
  for (std::size_t i = 0; i < requests; ++i) {
    const std::string target = "/" + make_text(random, 10);
    std::string body = make_text(random, random.below(large ? 9000 : 700));
    if (i == 0 && long_body_) {
      body += make_text(longer, kLongBodyBytes + longer.below(kLongBodyMore));
    }
    const std::string request = make_request(target, body);
    if (i == 0) first_batch_ = random.chance(50) ? request.size() : std::size_t{0};
    requests_ += request;
    responses_ += response_to(request);
  }
  if (first_batch_ == 0) first_batch_ = requests_.size();
  other_requests_ = requests_;
  for (std::size_t at = 0; (at = other_requests_.find(kGoodWord, at)) != std::string::npos;) {
    other_requests_.replace(at, kGoodWord.size(), kBadWord);
  }
  if (has(Oddity::kPlainAttack)) {
    count(Oddity::kPlainAttack);
    const std::size_t more = long_body_ ? kLongBodyBytes + longer.below(kLongBodyMore) : 0;
    const std::size_t before = random.below(400) + more;
    requests_ += make_request("/last", std::string(before, 'x') + std::string(kBadWord));
    other_requests_ += make_request("/last", std::string(requests_.size() % 400, 'y'));
  }
}

void World::schedule_attacks() {
  for (std::size_t i = kFirstHostile + 1; i < kOddityCount; ++i) {
    if (!plan_.oddities[i] || !is_hostile(i)) continue;
    Random random(plan_.seed ^ (0x1000 + i));
    const std::size_t times = 1 + random.below(5);
    for (std::size_t n = 0; n < times; ++n) {
      Frame which{static_cast<std::uint8_t>(i)};
      push(now_ + random.below(n == 0 ? 8 * kMilli : 60 * kMilli), At::kAttack, which);
    }
  }
}

/// What leaves the ends and the appliance goes on its way.
void World::flush() {
  for (Frame& frame : client_.outbox) carry(std::move(frame), At::kApplianceOutside);
  client_.outbox.clear();
  std::vector<Frame>& from_server = linux != nullptr ? linux->outbox : server_.outbox;
  for (const Frame& frame : from_server) {
    Tcp segment;
    if (linux != nullptr && read_frame(frame, segment)) server_.follow(segment);
  }
  for (Frame& frame : from_server) carry(std::move(frame), At::kApplianceInside);
  from_server.clear();
  server_.outbox.clear();
  for (auto& [to_server, frame] : appliance_.outbox) {
    if (trace) print(now_, to_server ? "  out>" : "  <out", frame);
    if (!appliance_.monitors()) monitor_.watch(to_server, frame, now_);
    // What has no hops left dies here, behind the appliance.
    if (read_ip(frame).ttl <= 1) continue;
    carry(std::move(frame), to_server ? At::kServer : At::kClient);
  }
  appliance_.outbox.clear();
}

/// The server answers complete requests; the client goes on when it has answers, and ends at last.
void World::application() {
  if (!at_server().empty()) {
    const std::string& got = at_server().back().bytes;
    while (answered_ < got.size()) {
      const std::size_t bytes = message_bytes(std::string_view(got).substr(answered_));
      if (bytes == 0) break;
      const std::string response = response_to(std::string_view(got).substr(answered_, bytes));
      server_.send(response);
      if (linux != nullptr) linux->send(response);
      answered_ += bytes;
    }
    if (server_.peer_finished()) {
      server_.finish();
      if (linux != nullptr) linux->finish();
    }
  }
  if (client_.delivered.empty()) return;
  const std::string& got = client_.delivered.back().bytes;
  if (client_.stream().size() < requests_.size() && !got.empty() && message_bytes(got) != 0) {
    client_.send(std::string_view(requests_).substr(first_batch_));
  }
  if (got.size() >= responses_.size()) client_.finish();
}

void World::handle(const Event& event) {
  switch (event.at) {
    case At::kApplianceOutside:
    case At::kApplianceInside: {
      const bool outside = event.at == At::kApplianceOutside;
      if (trace) print(now_, outside ? "in>" : "<in", event.frame);
      monitor_.enter(outside, event.frame);
      appliance_.on_frame(outside, event.frame, now_);
      break;
    }
    case At::kClient:
      client_.on_frame(event.frame, now_);
      break;
    case At::kServer:
      server_frame(event.frame);
      if (!at_server().empty() && at_server().back().bytes.empty()) answered_ = 0;
      break;
    case At::kAttack:
      attack(static_cast<Oddity>(event.frame[0]));
      break;
    case At::kTick:
      appliance_.poll(now_);
      push(now_ + kTick, At::kTick);
      break;
  }
}

void World::server_frame(const Frame& frame) {
  if (trace) print(now_, "    server>", frame);
  server_.on_frame(frame, now_);
  if (linux != nullptr) linux->on_frame(frame, server_.isn());
}

bool World::all_done() const {
  return client_.peer_finished() && server_.peer_finished() && client_.all_acknowledged() &&
         server_.all_acknowledged();
}

std::string World::run(const Plan& plan) {
  set_up(plan);
  const Nanos end = now_ + (plan.honest ? kHonestEnd : kHostileEnd);
  schedule_attacks();
  push(now_ + kTick, At::kTick);
  client_.send(std::string_view(requests_).substr(0, first_batch_));
  client_.connect(now_);
  flush();
  Nanos done_at = kNever;
  while (!events_.empty() && events_.top().time < end) {
    const Event event = events_.top();
    events_.pop();
    now_ = event.time;
    handle(event);
    application();
    client_.work(now_);
    server_.work(now_);
    flush();
    if (done_at == kNever && all_done()) done_at = now_ + 30 * kMilli;
    if (now_ > done_at) break;
  }
  std::string problem = judge(plan);
  const std::string memory = appliance_.finish(now_);
  flush();
  if (problem.empty()) problem = memory;
  return problem.empty() && appliance_.monitors() ? check_records(plan) : problem;
}

/// In monitor, where only networks are odd: every complete bad request has its record, no other,
/// unless the records say that the copies of a connection reached their bound and bytes went by.
std::string World::check_records(const Plan& plan) {
  for (std::size_t i = kFirstHostile + 1; i < kOddityCount; ++i) {
    if (plan.oddities[i] && is_hostile(i)) return "";
  }
  std::size_t bad = 0;
  for (const Delivered& delivered : at_server()) {
    std::string_view rest = delivered.bytes;
    while (const std::size_t bytes = message_bytes(rest)) {
      bad += is_bad(rest.substr(0, bytes)) ? 1 : 0;
      rest.remove_prefix(bytes);
    }
  }
  // Time may be over before a server that forgets what it has beyond gaps has got all of it.
  const bool told = all_done() ? bad == appliance_.recorded_bad : bad <= appliance_.recorded_bad;
  return told || appliance_.bound_reached
             ? ""
             : std::to_string(bad) + " bad requests were delivered, " +
                   std::to_string(appliance_.recorded_bad) + " recorded";
}

/// One connection on each side: the client reads what the server said to what it was given, then
/// perhaps the appliance's reply, but not before all of that.
std::string World::check_responses() {
  if (client_.delivered.size() != 1 || at_server().size() != 1) return "";
  // Somebody else's bytes in the server's place.
  if (has(Oddity::kServerEarly) || has(Oddity::kFarThird)) return "";
  constexpr std::string_view kReply = "HTTP/1.1 403 ";
  std::string_view got = client_.delivered[0].bytes;
  std::string_view rest = at_server()[0].bytes;
  while (const std::size_t bytes = message_bytes(rest)) {
    const std::string response = response_to(rest.substr(0, bytes));
    rest.remove_prefix(bytes);
    const std::string_view part = got.substr(0, response.size());
    if (!response.starts_with(part)) return "the client has another answer than the server's";
    got.remove_prefix(part.size());
  }
  return got.starts_with(kReply) || kReply.starts_with(got)
             ? ""
             : "the client has an answer that nobody gave";
}

std::string World::check_delivered() {
  std::string problem = check_server(at_server(), appliance_);
  if (!problem.empty()) return problem;
  if (!appliance_.judges_responses()) return check_responses();
  for (const Delivered& delivered : client_.delivered) {
    for (const Inspected& inspected : appliance_.inspected) {
      if (inspected.client_isn == delivered.client_isn &&
          inspected.server_isn == delivered.server_isn &&
          !std::string_view(inspected.down).starts_with(delivered.bytes)) {
        return "the client has bytes that were not seen";
      }
    }
  }
  return "";
}

/// The kernel and the model of it: the same connections with the same bytes, where there are any.
std::string World::check_model() {
  const auto with_bytes = [](std::vector<Delivered> all) {
    std::erase_if(all, [](const Delivered& one) { return one.bytes.empty(); });
    return all;
  };
  const std::vector<Delivered> real = with_bytes(linux->delivered);
  const std::vector<Delivered> model = with_bytes(server_.delivered);
  for (std::size_t i = 0; i < std::max(real.size(), model.size()); ++i) {
    if (i == real.size()) return "the model delivers for a connection that the kernel has not";
    if (i == model.size()) return "the kernel delivers for a connection that the model has not";
    if (real[i].client_isn != model[i].client_isn || real[i].server_isn != model[i].server_isn) {
      return "the kernel and the model have other connections";
    }
    const std::string &one = real[i].bytes, &other = model[i].bytes;
    if (one == other) continue;
    const auto differs = std::mismatch(one.begin(), one.end(), other.begin(), other.end());
    return "the kernel delivered " + std::to_string(one.size()) + " bytes and the model " +
           std::to_string(other.size()) + ", other ones from " +
           std::to_string(differs.first - one.begin());
  }
  return "";
}

std::string World::judge(const Plan& plan) {
  std::string problem = appliance_.monitors() ? "" : check_delivered();
  if (problem.empty()) problem = monitor_.problem(appliance_.inspected);
  // When it is out of memory the kernel drops by sizes that the model does not know.
  if (problem.empty() && linux != nullptr && !has(Oddity::kRenege)) {
    problem = check_model();
    if (!problem.empty() && (server_.unsure() || !LinuxStack::is_measured_version())) {
      ++unsure;
      problem.clear();
    }
  }
  if (!problem.empty() || !plan.honest) return problem;
  // A SYN that is overtaken by a whole connection begins another one, which stays empty.
  const auto same = [&](const Delivered& one) { return one.bytes == requests_; };
  if (std::none_of(at_server().begin(), at_server().end(), same)) {
    return "honest requests did not all arrive";
  }
  if (client_.delivered.empty() || client_.delivered.back().bytes != responses_) {
    return "honest responses did not all arrive";
  }
  return "";
}

}  // namespace sluice::sim
