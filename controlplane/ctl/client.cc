// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/ctl/client.h"

#include <httplib.h>
#include <sys/socket.h>

namespace sluice::ctl {
namespace {

httplib::Client connect(const std::string& socket, int timeout_s) {
  httplib::Client client(socket);
  client.set_address_family(AF_UNIX);
  client.set_connection_timeout(5);
  client.set_read_timeout(timeout_s);
  client.set_write_timeout(timeout_s);
  return client;
}

Answer answer_of(const httplib::Result& result, const std::string& socket) {
  Answer answer;
  if (!result) {
    if (result.error() == httplib::Error::Read) {
      answer.exit = kTimeout;
      answer.message = "sluiced did not answer in time on " + socket;
    } else {
      answer.message =
          "sluiced is not reachable on " + socket + ": is it running, and may you open its socket?";
    }
    return answer;
  }
  answer.exit = kDone;
  answer.status = result->status;
  answer.body = result->body;
  return answer;
}

}  // namespace

Answer get(const std::string& socket, const std::string& path,
           const std::map<std::string, std::string>& parameters, int timeout_s) {
  auto client = connect(socket, timeout_s);
  httplib::Params params;
  for (const auto& [name, value] : parameters) params.emplace(name, value);
  return answer_of(client.Get(path, params, httplib::Headers{}), socket);
}

Answer post(const std::string& socket, const std::string& path, const std::string& body,
            int timeout_s, const char* type) {
  auto client = connect(socket, timeout_s);
  return answer_of(client.Post(path, body, type), socket);
}

}  // namespace sluice::ctl
