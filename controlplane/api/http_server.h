// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "dataplane/base/result.h"

namespace sluice::api {

struct Request {
  std::string method, path, body;
  std::map<std::string, std::string> parameters;
  std::string actor;  ///< "uid 0 (root) pid 42" on a Unix socket, else the address

  [[nodiscard]] std::string parameter(const std::string& name) const {
    const auto at = parameters.find(name);
    return at == parameters.end() ? std::string() : at->second;
  }
};

struct Response {
  int status = 200;
  std::string body;
  std::string type = "application/json";
};

/// HTTP/1.1 on a Unix socket or a TCP port, with threads of its own. The handler is called from
/// several of them.
class HttpServer {
 public:
  using Handler = std::function<Response(const Request&)>;

  explicit HttpServer(Handler handler);
  ~HttpServer();  ///< stops

  /// Takes over a stale socket file; a live one is an error. Mode 0660.
  base::Status listen_unix(const std::string& path);
  /// "127.0.0.1:9464" or "[::1]:9464".
  base::Status listen_tcp(const std::string& address);
  void stop();

 private:
  struct Inside;
  std::unique_ptr<Inside> inside_;
};

/// "uid 1000 (ann) pid 42" for a process id; its owner by /proc.
std::string actor_text(int pid);

}  // namespace sluice::api
