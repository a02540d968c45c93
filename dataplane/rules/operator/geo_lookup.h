// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "dataplane/base/bytes.h"
#include "dataplane/base/result.h"

struct MMDB_s;

namespace sluice::rules {

using base::Bytes;

/// What `@geoLookup` puts into the GEO collection. Texts lie in the database and live as long as
/// it; those that the database does not have are empty.
struct GeoRecord {
  std::string_view country_code;  ///< ISO 3166-1, two letters
  std::string_view country_name, continent_code, region, city, postal_code;  ///< names in English
  std::optional<double> latitude, longitude;
};

/// A MaxMind database (`SecGeoLookupDb`), mapped read-only and touched whole when it is opened, so
/// that look-ups on a worker do not wait for the disk. Opened off the packet path, then shared.
class GeoDatabase {
 public:
  /// Error: what the file lacks.
  static base::Result<GeoDatabase> open(const std::string& path);
  GeoDatabase(GeoDatabase&& other) noexcept;
  GeoDatabase& operator=(GeoDatabase&& other) noexcept;
  GeoDatabase(const GeoDatabase&) = delete;
  GeoDatabase& operator=(const GeoDatabase&) = delete;
  ~GeoDatabase();

  /// False if the value is no address or the database does not have it. At most 128 tree steps and
  /// the entry's own size; no allocation.
  bool lookup(Bytes value, GeoRecord& record) const;

 private:
  explicit GeoDatabase(MMDB_s* database) : database_(database) {}
  MMDB_s* database_ = nullptr;
};

}  // namespace sluice::rules
