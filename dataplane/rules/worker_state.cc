// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <sys/mman.h>

#include <cerrno>
#include <new>
#include <utility>

#include "dataplane/rules/worker_scratch.h"

namespace sluice::rules {

WorkerScratch::~WorkerScratch() { munmap(mapped.data(), mapped.size()); }

base::Result<std::unique_ptr<WorkerState>> WorkerState::create(const Options& options) {
  auto context = RegexContext::create();
  if (!context.ok()) return context.error();
  auto memo = Memo::create();
  if (!memo.ok()) return memo.error();
  auto injections = InjectionMemo::create();
  if (!injections.ok()) return injections.error();
  const std::size_t bytes = options.bytes();
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return base::Error{"no memory for the rules of a worker"};
  if (options.resident) {
    (void)madvise(memory, bytes, MADV_HUGEPAGE);
    if (madvise(memory, bytes, MADV_POPULATE_WRITE) != 0 && errno == ENOMEM) {
      munmap(memory, bytes);
      return base::Error{"no memory for the rules of a worker"};
    }
  }
  const std::span<std::uint8_t> mapped{static_cast<std::uint8_t*>(memory), bytes};
  std::unique_ptr<WorkerState> state(new (std::nothrow) WorkerState);
  if (state != nullptr) {
    state->scratch_.reset(new (std::nothrow) WorkerScratch(
        mapped.first(options.transaction_bytes),
        mapped.subspan(options.transaction_bytes, options.scratch_bytes),
        std::move(context).value(), std::move(memo).value(), std::move(injections).value()));
  }
  if (state == nullptr || state->scratch_ == nullptr) {
    munmap(memory, bytes);
    return base::Error{"no memory for the rules of a worker"};
  }
  state->scratch_->mapped = mapped;
  std::size_t at = options.transaction_bytes + options.scratch_bytes;
  for (LongWork& work : state->scratch_->scan.long_works) {
    work.arena = base::Arena(mapped.subspan(at, abi::kLongWorkArenaBytes));
    at += abi::kLongWorkArenaBytes;
  }
  state->scratch_->index = options.index;
  state->scratch_->use_memo = options.memo;
  if (options.collections != nullptr) {
    state->scratch_->collections = Collections(*options.collections, options.index);
  }
  if (options.hash_seed != 0) {
    base::seeded_hash_key(state->scratch_->key, options.hash_seed);
  } else {
    base::random_hash_key(state->scratch_->key);
  }
  return state;
}

WorkerState::~WorkerState() = default;

void WorkerState::begin_slice(std::uint64_t cycles) { scratch_->slice.begin(cycles); }

const WorkerState::Counts& WorkerState::counts() const {
  const Collections::Counts& collections = scratch_->collections.counts();
  scratch_->counts.collection_updates = collections.updates;
  scratch_->counts.collection_evictions = collections.evictions;
  scratch_->counts.collections_full = collections.full;
  return scratch_->counts;
}

void WorkerState::set_rule_costs(std::span<RuleCost> costs) { scratch_->costs = costs; }
std::size_t WorkerState::pool_bytes_used() const { return scratch_->pool.bytes_in_use(); }

}  // namespace sluice::rules
