// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/engine/engine.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>

#include "dataplane/abi/segments.h"
#include "dataplane/engine/drop_summary.h"
#include "dataplane/engine/flows.h"
#include "dataplane/engine/generation_counters.h"
#include "dataplane/engine/packet_desk.h"
#include "dataplane/engine/pool.h"
#include "dataplane/engine/reply.h"
#include "dataplane/engine/worker_context.h"
#include "dataplane/flow/flow_key.h"
#include "dataplane/net/fragments.h"

namespace sluice::engine {

using abi::CounterId;
using abi::Reason;
using flow::Direction;

/// Everything of one engine. Members that borrow memory or each other are made in order.
struct Engine::State {
  State(const EngineConfig& engine_config, const EngineEnvironment& engine_environment)
      : config(engine_config),
        environment(engine_environment),
        context(config.worker, environment, config.events) {}
  ~State();

  std::span<std::uint8_t> take(const char* name, std::size_t items, std::size_t bytes);
  bool build();
  bool build_transactions();
  void drop(Packet& packet, Reason reason, bool enforce);
  void parse(Packet& packet) const;
  void reassemble(Packet& packet);
  void finish_fragments(Packet& packet, const net::FragmentResult& result);
  void judge_joined(const JoinedDatagram& datagram);
  void free_fragments(std::span<const net::PacketRef> packets);
  [[nodiscard]] abi::Mode stream_mode(const Packet& packet) const {
    return packet.service == kNoService ? abi::Mode::kBlock : context.stream_modes[packet.service];
  }
  void resolve_modes(const Switches& switches);

  EngineConfig config;
  EngineEnvironment environment;
  WorkerContext context;
  std::vector<PoolSize> sizes;
  std::vector<void*> blocks;  ///< of the C++ heap, where the environment has no memory of its own
  std::unique_ptr<rules::WorkerState> rules_state;
  std::unique_ptr<flow::FlowTable<Connection>> table;
  std::unique_ptr<flow::TimerWheel> timers;
  std::unique_ptr<stream::HandshakeTable> handshakes;
  std::unique_ptr<stream::Pools> streams;
  std::unique_ptr<Pool<Exchange>> exchanges;
  std::unique_ptr<Pool<Transaction>> transactions;
  std::unique_ptr<Pool<JoinedPacket>> joined;
  std::unique_ptr<SegmentSender> sender;
  std::unique_ptr<ReplyTable> replies;
  std::unique_ptr<PacketDesk> desk;
  std::unique_ptr<DropSummary> drops;
  std::unique_ptr<net::FragmentTable> fragments;
  std::unique_ptr<Flows> flows;
  JoinedHook joined_hook;
  std::uint64_t switches_version = ~std::uint64_t{0};
  Generation* modes_of = nullptr;  ///< generations that modes were resolved for
  Generation* staged_modes_of = nullptr;
  bool bypass = false;
};

// -- making -------------------------------------------------------------------------------------

std::span<std::uint8_t> Engine::State::take(const char* name, std::size_t items,
                                            std::size_t bytes) {
  sizes.push_back({name, items, bytes});
  const std::size_t rounded = (bytes + 63) & ~std::size_t{63};
  if (environment.allocate_pool != nullptr) {
    return environment.allocate_pool(environment.memory_context, rounded, name);
  }
  void* block = std::aligned_alloc(64, rounded);
  if (block == nullptr) return {};
  std::memset(block, 0, rounded);
  blocks.push_back(block);
  return {static_cast<std::uint8_t*>(block), rounded};
}

bool Engine::State::build_transactions() {
  const std::size_t count = config.transactions_max;
  const auto memory = take("transactions", count, Pool<Transaction>::memory_bytes(count));
  const auto arenas = take("heads", count, count * abi::kTransactionArenaBytes);
  if (memory.empty() || arenas.empty()) return false;
  transactions = std::make_unique<Pool<Transaction>>(memory, count);
  for (std::size_t i = 0; i < count; ++i) {
    Transaction& transaction = transactions->at(static_cast<std::uint32_t>(i));
    transaction.arena =
        base::Arena(arenas.subspan(i * abi::kTransactionArenaBytes, abi::kTransactionArenaBytes));
  }
  context.transactions = transactions.get();
  return true;
}

bool Engine::State::build() {
  const std::size_t flows_max = config.flows_max;
  const base::HashKey& key = *environment.hash_key;
  using Table = flow::FlowTable<Connection>;
  const auto table_memory = take("flows", flows_max, Table::memory_bytes(flows_max));
  const auto timer_memory = take("timers", flows_max, flow::TimerWheel::memory_bytes(flows_max));
  const auto handshake_memory = take("handshakes", config.embryonic_max,
                                     stream::HandshakeTable::memory_bytes(config.embryonic_max));
  stream::PoolSizes pool_sizes;
  pool_sizes.blocks = std::max<std::size_t>(config.retained_bytes / stream::Pools::kBlockBytes, 64);
  pool_sizes.held_packets = config.held_packets_max;
  const auto stream_memory =
      take("streams", pool_sizes.blocks, stream::Pools::memory_bytes(pool_sizes));
  const auto exchange_memory =
      take("exchanges", config.streams_max, Pool<Exchange>::memory_bytes(config.streams_max));
  const auto reply_memory =
      take("replies", config.reply_slots, ReplyTable::memory_bytes(config.reply_slots));
  const auto joined_memory =
      take("datagrams", config.joined_max, Pool<JoinedPacket>::memory_bytes(config.joined_max));
  net::FragmentLimits fragment_limits;
  fragment_limits.datagrams = config.fragment_datagrams;
  fragment_limits.blocks = config.fragment_blocks;
  const auto fragment_memory = take("fragments", config.fragment_datagrams,
                                    net::FragmentTable::memory_bytes(fragment_limits));
  for (const auto& memory : {table_memory, timer_memory, handshake_memory, stream_memory,
                             exchange_memory, reply_memory, joined_memory, fragment_memory}) {
    if (memory.empty()) return false;
  }
  if (!build_transactions()) return false;
  table = std::make_unique<Table>(table_memory, flows_max, key);
  timers = std::make_unique<flow::TimerWheel>(timer_memory, flows_max, environment.start_time);
  handshakes = std::make_unique<stream::HandshakeTable>(handshake_memory, config.embryonic_max);
  streams = std::make_unique<stream::Pools>(stream_memory, pool_sizes);
  exchanges = std::make_unique<Pool<Exchange>>(exchange_memory, config.streams_max);
  joined = std::make_unique<Pool<JoinedPacket>>(joined_memory, config.joined_max);
  sender = std::make_unique<SegmentSender>(environment.port, context.counters);
  replies = std::make_unique<ReplyTable>(reply_memory, config.reply_slots, *sender);
  desk = std::make_unique<PacketDesk>(environment.port, context.counters, *joined);
  drops = std::make_unique<DropSummary>();
  fragments = std::make_unique<net::FragmentTable>(fragment_memory, key, fragment_limits);
  flows = std::make_unique<Flows>(
      context, FlowMemory{*table, *timers, *handshakes, *streams, *exchanges, *replies}, *desk,
      *sender, *drops);
  return true;
}

Engine::State::~State() {
  if (drops != nullptr) drops->flush(context);
  transactions.reset();
  for (void* block : blocks) std::free(block);
}

Engine::Engine(std::unique_ptr<State> state) : state_(std::move(state)) {}
Engine::~Engine() = default;

base::Result<std::unique_ptr<Engine>> Engine::create(const EngineConfig& config,
                                                     const EngineEnvironment& environment) {
  for (const std::size_t size :
       {config.flows_max, config.embryonic_max, config.streams_max, config.transactions_max,
        config.reply_slots, config.held_packets_max, config.fragment_datagrams,
        config.fragment_blocks, config.joined_max}) {
    if (size == 0) return base::Error{"a pool of the engine has size 0: set memory.flows_max"};
  }
  if (environment.hash_key == nullptr || environment.counters == nullptr) {
    return base::Error{"the engine needs a hash key and counters"};
  }
  auto state = std::make_unique<State>(config, environment);
  rules::WorkerState::Options options;
  options.index = config.worker;
  options.transaction_bytes = config.rules_bytes;
  options.hash_seed = environment.rules_hash_seed;
  options.collections = environment.collections;
  options.resident = environment.allocate_pool != nullptr;  // as the other pools of a process
  auto rules_state = rules::WorkerState::create(options);
  if (!rules_state.ok()) return rules_state.error();
  state->sizes.push_back({"rules", 1, options.bytes()});
  state->rules_state = std::move(rules_state).value();
  state->context.rules_state = state->rules_state.get();
  state->context.slice_cycles = slice_cycles(config.slice_ns);
  if (!state->build()) {
    return base::Error{"not enough memory for the engine's pools: lower memory.flows_max"};
  }
  return std::unique_ptr<Engine>(new Engine(std::move(state)));
}

std::span<const PoolSize> Engine::pools() const { return state_->sizes; }
bool Engine::judging() const { return state_->flows->judging(); }
void Engine::set_joined_hook(JoinedHook hook) { state_->joined_hook = hook; }
void Engine::set_observer(const Observer& observer) { state_->context.observer = observer; }
void Engine::set_rule_costs(std::span<rules::RuleCost> costs) {
  state_->rules_state->set_rule_costs(costs);
}

// -- generations --------------------------------------------------------------------------------

void Engine::State::resolve_modes(const Switches& switches) {
  const auto resolve = [&](const Generation& generation,
                           std::array<abi::Mode, abi::kServicesMax>& modes) {
    const abi::Mode global = switches.mode == abi::kModeUnset
                                 ? generation.policy().header().mode
                                 : static_cast<abi::Mode>(switches.mode);
    const auto services = generation.services();
    for (std::size_t i = 0; i < services.size(); ++i) {
      abi::Mode own = services[i].mode;
      const std::uint64_t hash = abi::fnv1a64(generation.policy().text(services[i].name));
      for (const Switches::Service& service : switches.services) {
        if (service.name_hash == hash && service.mode != abi::kModeUnset) {
          own = static_cast<abi::Mode>(service.mode);
        }
      }
      modes[i] = abi::weakest(global, own);
    }
  };
  if (context.staged != nullptr) resolve(*context.staged, context.staged_modes);
  if (context.live == nullptr) return;
  resolve(*context.live, context.modes);
  for (std::size_t i = 0; i < context.live->services().size(); ++i) {
    abi::Mode strongest = abi::Mode::kOff;
    std::uint64_t neighbours = context.live->neighbours(static_cast<std::uint16_t>(i));
    for (; neighbours != 0; neighbours &= neighbours - 1) {
      strongest = std::max(strongest,
                           context.modes[static_cast<std::size_t>(std::countr_zero(neighbours))]);
    }
    context.stream_modes[i] = strongest;
  }
}

void Engine::observe(Generation* live, Generation* staged, const Switches& switches) {
  State& state = *state_;
  if (live == state.modes_of && staged == state.staged_modes_of &&
      switches.version == state.switches_version) {
    return;
  }
  if (live != state.context.live) {
    state.context.counters.count(CounterId::kGenerationsSeen);
    begin_counters(state.context.live, live, state.context.counters);
  }
  // Frames pass unseen in bypass: what was known of connections before is stale after it.
  if (switches.bypass && !state.bypass) state.flows->forget_all();
  state.bypass = switches.bypass;
  state.context.live = live;
  state.context.staged = staged;
  state.modes_of = live;
  state.staged_modes_of = staged;
  state.switches_version = switches.version;
  state.resolve_modes(switches);
  state.context.counters.generation.set(live == nullptr ? 0 : live->number());
}

void Engine::end_pins(std::uint64_t generation) {
  State& state = *state_;
  if (generation == state.context.ending) return;
  state.context.ending = generation;
  if (generation != 0) state.flows->look_for_pins();
}

// -- frames -------------------------------------------------------------------------------------

void Engine::parse(Packet& packet) const { state_->parse(packet); }

void Engine::State::parse(Packet& packet) const {
  net::parse(packet.frame, packet.checks, packet.parsed);
  packet.fate = Fate::kForward;
  packet.reason = Reason::kNone;
  packet.frame_bytes = static_cast<std::uint32_t>(packet.frame.size());
  packet.service = kNoService;
  packet.flow_hash = 0;
  const net::ParsedPacket& parsed = packet.parsed;
  const Generation* live = context.live;
  const bool from_outside = packet.side == Side::kOutside;
  net::Protection& protection = packet.protection;
  protection = net::Protection{};
  protection.from_outside = from_outside;
  if (live == nullptr) return;
  protection.drop_unknown_frames =
      live->policy().header().unknown_frames == abi::UnknownFrames::kDrop;
  if (!parsed.addresses_known) return;
  const base::IpAddress& own = from_outside ? parsed.destination : parsed.source;
  packet.service = parsed.ports_known ? live->service_at(own, from_outside ? parsed.destination_port
                                                                           : parsed.source_port)
                                      : live->service_at_address(own);
  (from_outside ? protection.to_service : protection.from_service) = packet.service != kNoService;
  if (from_outside && parsed.ports_known &&
      live->is_own_address(parsed.source, parsed.source_port)) {
    protection.from_service = true;
  }
  if (packet.service == kNoService) return;
  protection.drop_fragments = live->services()[packet.service].drop_fragments != 0;
  const base::HashKey& key = *environment.hash_key;
  if (parsed.is_fragment) {
    packet.flow_hash = net::fragment_hash(key, parsed);
  } else if (parsed.ports_known) {
    packet.flow_hash = flow::flow_hash(
        key, flow::flow_key(parsed, from_outside ? Direction::kToServer : Direction::kToClient,
                            static_cast<std::uint8_t>(packet.link)));
  }
}

bool Engine::needs_steering(const Packet& packet) const {
  return packet.service != kNoService && !state_->bypass &&
         state_->stream_mode(packet) != abi::Mode::kOff &&
         (packet.parsed.protocol == net::kProtocolTcp || packet.parsed.is_fragment);
}

void Engine::State::drop(Packet& packet, Reason reason, bool enforce) {
  packet.reason = reason;
  if (packet.service != kNoService) {
    drops->add(context, packet.parsed, packet.service, packet.flow_hash,
               packet.side == Side::kOutside, reason,
               enforce ? abi::Action::kBlock : abi::Action::kMonitor);
  }
  if (!enforce) return;
  packet.fate = Fate::kDrop;
  context.counters.drop(reason);
}

void Engine::process(std::span<Packet> burst, base::Nanos now, base::Nanos wall) {
  State& state = *state_;
  SLUICE_CHECK(burst.size() <= abi::kBurstMax);
  state.context.now = now;
  state.context.wall = wall;
  std::array<Packet*, abi::kBurstMax> inspected;
  std::size_t count = 0;
  for (Packet& packet : burst) {
    if (state.bypass) {
      packet.reason = Reason::kBypass;
      continue;
    }
    if (state.context.live == nullptr) {
      if (state.config.block_on_failure[packet.link]) {
        state.drop(packet, Reason::kNoGeneration, true);
      }
      continue;
    }
    const net::Classification verdict = net::classify(packet.parsed, packet.protection);
    const abi::Mode mode = state.stream_mode(packet);
    if (mode == abi::Mode::kOff && packet.service != kNoService) {
      packet.reason = Reason::kModeOff;
      continue;
    }
    switch (verdict.action) {
      case net::Action::kForward:
        state.context.counters.count(CounterId::kUninspected);
        if (packet.service != kNoService && packet.parsed.icmp_type != 0 &&
            !state.flows->icmp_plausible(packet)) {
          state.drop(packet, Reason::kIcmpError, mode == abi::Mode::kBlock);
        }
        break;
      case net::Action::kInspect:
        inspected[count++] = &packet;
        break;
      case net::Action::kReassemble:
        state.reassemble(packet);
        break;
      case net::Action::kDrop:
        state.drop(packet, verdict.reason, mode == abi::Mode::kBlock);
        if (packet.parsed.is_fragment && packet.fate == Fate::kDrop &&
            packet.parsed.ip_checksum_ok) {
          state.free_fragments(state.fragments->poison(packet.parsed, verdict.reason, now).packets);
        }
        break;
    }
  }
  if (count != 0) state.flows->inspect({inspected.data(), count});
}

// -- fragments ----------------------------------------------------------------------------------

void Engine::State::free_fragments(std::span<const net::PacketRef> packets) {
  for (const net::PacketRef packet : packets) desk->free(packet);
}

void Engine::State::reassemble(Packet& packet) {
  context.counters.count(CounterId::kFragments);
  if (stream_mode(packet) != abi::Mode::kBlock) return;  // monitor holds nothing
  const net::FragmentResult result = fragments->add(packet.parsed, packet.ref, context.now);
  switch (result.outcome) {
    case net::FragmentOutcome::kHeld:
      packet.fate = Fate::kKept;
      return;
    case net::FragmentOutcome::kDropped:
      drop(packet, result.reason, true);
      free_fragments(result.packets);
      return;
    case net::FragmentOutcome::kComplete:
      packet.fate = Fate::kKept;
      context.counters.count(CounterId::kDatagrams);
      finish_fragments(packet, result);
      return;
  }
}

void Engine::State::finish_fragments(Packet& packet, const net::FragmentResult& result) {
  JoinedDatagram datagram{result.datagram, result.packets, packet.link, packet.side, 0};
  net::ParsedPacket parsed;
  net::parse(result.datagram, {}, parsed);
  if (parsed.ports_known) {
    const bool to_server = packet.side == Side::kOutside;
    datagram.flow_hash = flow::flow_hash(
        *environment.hash_key,
        flow::flow_key(parsed, to_server ? Direction::kToServer : Direction::kToClient,
                       static_cast<std::uint8_t>(packet.link)));
  }
  if (joined_hook.take != nullptr && joined_hook.take(joined_hook.context, datagram)) return;
  judge_joined(datagram);
}

void Engine::State::judge_joined(const JoinedDatagram& datagram) {
  Packet packet;
  packet.ref = desk->adopt(datagram.frame, datagram.fragments);
  if (packet.ref.empty()) {
    context.counters.drop(Reason::kIpFragFull);
    free_fragments(datagram.fragments);
    return;
  }
  packet.frame = desk->frame(packet.ref);
  packet.link = datagram.link;
  packet.side = datagram.side;
  parse(packet);
  const net::Classification verdict = net::classify(packet.parsed, packet.protection);
  const bool normalised = packet.parsed.is_tcp() && net::needs_normalising(packet.parsed);
  const auto whole = static_cast<std::uint32_t>(packet.frame.size());
  if (verdict.action == net::Action::kInspect) {
    Packet* const one = &packet;
    flows->inspect({&one, 1});
  } else if (verdict.action != net::Action::kForward) {
    drop(packet, verdict.reason, true);
  }
  switch (packet.fate) {
    case Fate::kForward:
      desk->transmit(packet.ref, packet.frame_bytes, normalised || packet.frame_bytes != whole,
                     packet.link, other(packet.side));
      break;
    case Fate::kKept:
      break;
    case Fate::kDrop:
      desk->free(packet.ref);
      break;
  }
}

void Engine::process_joined(const JoinedDatagram& datagram, base::Nanos now, base::Nanos wall) {
  state_->context.now = now;
  state_->context.wall = wall;
  state_->judge_joined(datagram);
}

// -- time ---------------------------------------------------------------------------------------

std::size_t Engine::poll(base::Nanos now, base::Nanos wall) {
  State& state = *state_;
  state.context.now = now;
  state.context.wall = wall;
  std::size_t handled = state.flows->poll();
  net::FragmentResult expired;
  for (std::size_t i = 0; i < 4 && state.fragments->expire(now, expired); ++i) {
    ++handled;
    state.context.counters.drop(Reason::kIpFragTimeout);
    state.free_fragments(expired.packets);
  }
  state.flows->publish_gauges();
  const rules::WorkerState::Counts& counts = state.rules_state->counts();
  abi::WorkerCounters& counters = state.context.counters;
  const auto set = [&](CounterId id, std::uint64_t count) {
    counters.values[static_cast<std::size_t>(id)].set(count);
  };
  set(CounterId::kScans, counts.scans);
  set(CounterId::kScanBytes, counts.scan_bytes);
  set(CounterId::kRegexConfirms, counts.regex_confirms);
  set(CounterId::kMemoHits, counts.memo_hits);
  set(CounterId::kMemoMisses, counts.memo_misses);
  set(CounterId::kCollectionUpdates, counts.collection_updates);
  set(CounterId::kCollectionEvictions, counts.collection_evictions);
  set(CounterId::kCollectionsFull, counts.collections_full);
  return handled;
}

void Engine::close_all(base::Nanos now, base::Nanos wall) {
  state_->context.now = now;
  state_->context.wall = wall;
  state_->flows->close_all();
}

base::Nanos Engine::next_timer(base::Nanos now) const {
  const base::Nanos next = std::min(state_->flows->next_timer(), now + base::kNanosPerSecond);
  return state_->fragments->datagrams() == 0 ? next
                                             : std::min(next, now + base::kNanosPerSecond / 10);
}

}  // namespace sluice::engine
