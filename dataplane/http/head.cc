// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/http/head.h"

#include <array>

#include "dataplane/http/characters.h"

namespace sluice::http {
namespace {

constexpr std::array<std::string_view, static_cast<std::size_t>(FieldId::kCount)> kNames = {
    std::string_view(),
#define SLUICE_X(enumerator, name) std::string_view(name),
    SLUICE_HTTP_FIELDS(SLUICE_X)
#undef SLUICE_X
};

constexpr std::size_t kNameBytesMax = 24;
constexpr std::size_t kPlaces = 256;

/// Length, first, middle and last letter tell nearly all names apart; probing does the rest.
constexpr std::size_t place_of(std::string_view name) {
  const auto at = [name](std::size_t i) {
    return static_cast<std::size_t>(static_cast<std::uint8_t>(name[i]) | 0x20);
  };
  const std::size_t size = name.size();
  return (size * 31 + at(0) * 7 + at(size / 2) * 13 + at(size - 1) * 3) % kPlaces;
}

constexpr std::array<std::uint8_t, kPlaces> kTable = [] {
  std::array<std::uint8_t, kPlaces> table{};
  for (std::size_t i = 1; i < kNames.size(); ++i) {
    std::size_t place = place_of(kNames[i]);
    while (table[place] != 0) place = (place + 1) % kPlaces;
    table[place] = static_cast<std::uint8_t>(i);
  }
  return table;
}();

}  // namespace

FieldId field_id(std::string_view name) {
  if (name.empty() || name.size() > kNameBytesMax) return FieldId::kOther;
  for (std::size_t place = place_of(name); kTable[place] != 0; place = (place + 1) % kPlaces) {
    if (abi::equal_ignoring_case(name, kNames[kTable[place]])) {
      return static_cast<FieldId>(kTable[place]);
    }
  }
  return FieldId::kOther;
}

const Field* Head::find(FieldId id) const {
  for (const Field& field : fields) {
    if (field.id == id) return &field;
  }
  return nullptr;
}

const Field* Head::find(std::string_view name) const {
  for (const Field& field : fields) {
    if (abi::equal_ignoring_case(field.name, name)) return &field;
  }
  return nullptr;
}

}  // namespace sluice::http
