// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/persistent.h"

#include <algorithm>
#include <cstring>

#include "dataplane/abi/names.h"
#include "dataplane/rules/evaluator.h"
#include "dataplane/rules/scalars.h"
#include "dataplane/rules/targets.h"

namespace sluice::rules {
namespace {

bool same(std::string_view left, std::string_view right) {
  return left.size() == right.size() && abi::equal_ignoring_case(left, right);
}

CollectionKey& key_place(TransactionState& state, VariableId variable) {
  switch (variable) {
    case VariableId::kGlobal:
      return state.collection_keys[0];
    case VariableId::kIp:
      return state.collection_keys[1];
    case VariableId::kResource:
      return state.collection_keys[2];
    case VariableId::kSession:
      return state.collection_keys[3];
    default:
      return state.collection_keys[4];
  }
}

/// Collections of different applications (SecWebAppId) are apart, and those of a staged generation,
/// which sees the requests of the live one, too. False: no memory, and the transaction has failed.
bool identity_of(TransactionState& state, VariableId variable, base::Hash128& identity) {
  const std::string_view key = collection_key(state, variable);
  const std::string_view app = state.text(state.header().settings.web_app_id);
  const std::size_t bytes = 3 + app.size() + key.size();
  const std::size_t used = state.worker->arena.used();
  auto* name = static_cast<char*>(state.worker->arena.allocate(bytes, 1));
  if (name == nullptr) {
    state.fail(abi::Reason::kTransactionMemory);
    return false;
  }
  name[0] = static_cast<char>(variable);
  name[1] = state.info.staged ? 1 : 0;
  if (!app.empty()) std::memcpy(name + 2, app.data(), app.size());
  name[2 + app.size()] = '\0';
  if (!key.empty()) std::memcpy(name + 3 + app.size(), key.data(), key.size());
  identity = state.worker->collections.identity({name, bytes});
  state.worker->arena.shrink_to(used);
  return true;
}

std::uint64_t update_rate(const RecordHeader& header, std::uint64_t wall_s) {
  const std::uint64_t age_s = wall_s > header.created_s ? wall_s - header.created_s : 0;
  return age_s == 0 ? header.updates : std::uint64_t{header.updates} * 60 / age_s;
}

}  // namespace

void set_collection_key(TransactionState& state, const abi::RuleAction& action) {
  CollectionKey& key = key_place(state, static_cast<VariableId>(action.variable));
  const bool late = (action.known & abi::kActionLate) != 0;
  key = late ? CollectionKey{{}, &action} : CollectionKey{expand_kept(state, action.key), nullptr};
}

std::string_view collection_key(TransactionState& state, VariableId variable) {
  CollectionKey& key = key_place(state, variable);
  if (key.late != nullptr) {
    run_deferred(state);
    key = {expand_kept(state, key.late->key), nullptr};
  }
  return key.text;
}

RecordView persistent_record(TransactionState& state, VariableId variable) {
  Collections& collections = state.worker->collections;
  base::Hash128 identity{};
  if (!collections.attached() || !state.spend(abi::kCollectionSteps) ||
      !identity_of(state, variable, identity)) {
    return {};
  }
  const RecordView record = collections.read(identity, state.info.monotonic_ns);
  if (!record.exists()) return record;
  auto* copy = static_cast<std::uint8_t*>(state.worker->arena.allocate(record.bytes().size(), 8));
  if (copy == nullptr) {
    state.fail(abi::Reason::kTransactionMemory);
    return {};
  }
  std::memcpy(copy, record.bytes().data(), record.bytes().size());
  return RecordView({copy, record.bytes().size()});
}

std::optional<std::string_view> persistent_built_in(TransactionState& state, VariableId variable,
                                                    const RecordView& record,
                                                    std::string_view name) {
  if (!state.worker->collections.attached()) return std::nullopt;
  RecordHeader header{};
  header.timeout_s = state.header().settings.collection_timeout_s;
  header.created_by = state.info.id.low;
  const std::uint64_t wall_s = state.info.wall_ns / base::kNanosPerSecond;
  header.created_s = header.updated_s = static_cast<std::uint32_t>(wall_s);
  if (record.exists()) header = record.header();
  std::int64_t number = 0;
  if (same(name, "KEY"))
    return collection_key(state, variable).substr(0, abi::kCollectionKeyBytesMax);
  if (same(name, "IS_NEW")) {
    number = header.created_by == state.info.id.low ? 1 : 0;
  } else if (same(name, "CREATE_TIME")) {
    number = header.created_s;
  } else if (same(name, "LAST_UPDATE_TIME")) {
    number = header.updated_s;
  } else if (same(name, "UPDATE_COUNTER")) {
    number = header.updates;
  } else if (same(name, "UPDATE_RATE")) {
    number = static_cast<std::int64_t>(update_rate(header, wall_s));
  } else if (same(name, "TIMEOUT")) {
    number = header.timeout_s;
  } else {
    return std::nullopt;
  }
  return number_text(state, number);
}

std::string_view persistent_text(TransactionState& state, VariableId variable,
                                 std::string_view name) {
  const RecordView record = persistent_record(state, variable);
  CollectionMember member{};
  if (record.exists() && record.find(name, state.info.monotonic_ns, member)) return member.value;
  return persistent_built_in(state, variable, record, name).value_or(std::string_view());
}

void persistent_change(TransactionState& state, VariableId variable,
                       const CollectionChange& change) {
  Collections& collections = state.worker->collections;
  base::Hash128 identity{};
  if (!collections.attached() || !state.persists || !state.spend(abi::kCollectionSteps) ||
      !identity_of(state, variable, identity)) {
    return;
  }
  const CollectionTime time{state.info.monotonic_ns, state.info.wall_ns, state.info.id.low,
                            state.header().settings.collection_timeout_s};
  if (collections.change(identity, collection_key(state, variable), time, change) !=
      CollectionOutcome::kDone) {
    state.fail(abi::Reason::kCollectionFull);
  }
}

}  // namespace sluice::rules
