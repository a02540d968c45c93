// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/operator/geo_lookup.h"

#include <arpa/inet.h>
#include <maxminddb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <new>
#include <utility>

namespace sluice::rules {

namespace {

/// One value of an entry. MMDB_get_value() would allocate its path; this form does not.
template <std::size_t kSteps>
bool value_at(MMDB_entry_s& entry, const char* const (&path)[kSteps], MMDB_entry_data_s& data) {
  static_assert(kSteps > 1, "the path ends with nullptr");
  return MMDB_aget_value(&entry, &data, path) == MMDB_SUCCESS && data.has_data;
}

template <std::size_t kSteps>
std::string_view text_at(MMDB_entry_s& entry, const char* const (&path)[kSteps]) {
  MMDB_entry_data_s data;
  if (!value_at(entry, path, data) || data.type != MMDB_DATA_TYPE_UTF8_STRING) return {};
  return {data.utf8_string, data.data_size};
}

template <std::size_t kSteps>
std::optional<double> number_at(MMDB_entry_s& entry, const char* const (&path)[kSteps]) {
  MMDB_entry_data_s data;
  if (!value_at(entry, path, data) || data.type != MMDB_DATA_TYPE_DOUBLE) return std::nullopt;
  return data.double_value;
}

/// The address that the value is the text of, as a socket address.
bool parse_address(std::string_view text, sockaddr_storage& storage) {
  char copy[INET6_ADDRSTRLEN];
  if (text.size() >= sizeof copy || text.find('\0') != std::string_view::npos) return false;
  text.copy(copy, text.size());
  copy[text.size()] = 0;
  storage = {};
  auto& v4 = reinterpret_cast<sockaddr_in&>(storage);
  if (inet_pton(AF_INET, copy, &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    return true;
  }
  auto& v6 = reinterpret_cast<sockaddr_in6&>(storage);
  if (inet_pton(AF_INET6, copy, &v6.sin6_addr) != 1) return false;
  v6.sin6_family = AF_INET6;
  return true;
}

}  // namespace

base::Result<GeoDatabase> GeoDatabase::open(const std::string& path) {
  auto* database = new (std::nothrow) MMDB_s{};
  if (database == nullptr) return base::Error{"no memory for the GEO database"};
  const int status = MMDB_open(path.c_str(), MMDB_MODE_MMAP, database);
  if (status != MMDB_SUCCESS) {
    delete database;
    return base::Error{path + ": " + MMDB_strerror(status)};
  }
  constexpr ssize_t kPageBytes = 4096;
  const auto* bytes = static_cast<const volatile std::uint8_t*>(database->file_content);
  for (ssize_t at = 0; at < database->file_size; at += kPageBytes) (void)bytes[at];
  return GeoDatabase(database);
}

GeoDatabase::GeoDatabase(GeoDatabase&& other) noexcept
    : database_(std::exchange(other.database_, nullptr)) {}

GeoDatabase& GeoDatabase::operator=(GeoDatabase&& other) noexcept {
  std::swap(database_, other.database_);
  return *this;
}

GeoDatabase::~GeoDatabase() {
  if (database_ == nullptr) return;
  MMDB_close(database_);
  delete database_;
}

bool GeoDatabase::lookup(Bytes value, GeoRecord& record) const {
  record = {};
  sockaddr_storage address;
  if (!parse_address(base::as_text(value), address)) return false;
  int error = MMDB_SUCCESS;
  MMDB_lookup_result_s result =
      MMDB_lookup_sockaddr(database_, reinterpret_cast<const sockaddr*>(&address), &error);
  if (error != MMDB_SUCCESS || !result.found_entry) return false;
  record.country_code = text_at(result.entry, {"country", "iso_code", nullptr});
  record.country_name = text_at(result.entry, {"country", "names", "en", nullptr});
  record.continent_code = text_at(result.entry, {"continent", "code", nullptr});
  record.region = text_at(result.entry, {"subdivisions", "0", "names", "en", nullptr});
  record.city = text_at(result.entry, {"city", "names", "en", nullptr});
  record.postal_code = text_at(result.entry, {"postal", "code", nullptr});
  record.latitude = number_at(result.entry, {"location", "latitude", nullptr});
  record.longitude = number_at(result.entry, {"location", "longitude", nullptr});
  return true;
}

}  // namespace sluice::rules
