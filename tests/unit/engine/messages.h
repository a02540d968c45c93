// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <string>

/// Messages that the engine's tests send.
namespace sluice::test {

inline const std::string kGood = "GET /good HTTP/1.1\r\nHost: orders\r\n\r\n";
inline const std::string kHead = "HEAD /good HTTP/1.1\r\nHost: orders\r\n\r\n";
inline const std::string kGoodBody =
    "POST /items HTTP/1.1\r\nHost: orders\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    "Content-Length: 11\r\n\r\nname=carrot";
inline const std::string kBad = "GET /?q=attack HTTP/1.1\r\nHost: orders\r\n\r\n";
inline const std::string kBadHead = "HEAD /?q=attack HTTP/1.1\r\nHost: orders\r\n\r\n";
inline const std::string kBadHeader =
    "GET /good HTTP/1.1\r\nHost: orders\r\nX-Note: attack\r\n\r\n";
inline const std::string kBadBody =
    "POST /items HTTP/1.1\r\nHost: orders\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    "Content-Length: 11\r\n\r\nname=attack";
inline const std::string kBadChunked =
    "POST /items HTTP/1.1\r\nHost: orders\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    "Transfer-Encoding: chunked\r\n\r\n7\r\nname=at\r\n4\r\ntack\r\n0\r\n\r\n";
inline const std::string kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

}  // namespace sluice::test
