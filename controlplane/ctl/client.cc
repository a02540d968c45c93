// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/ctl/client.h"

#include <httplib.h>
#include <sys/socket.h>

#include "dataplane/base/clock.h"

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

/// asked: when; a connection that sluiced ends is no answer either, but no timeout.
Answer answer_of(const httplib::Result& result, const std::string& socket, base::Nanos asked,
                 int timeout_s) {
  Answer answer;
  if (!result) {
    const base::Nanos waited = base::monotonic_now() - asked;
    if (result.error() != httplib::Error::Read) {
      answer.message =
          "sluiced is not reachable on " + socket + ": is it running, and may you open its socket?";
    } else if (waited >= static_cast<base::Nanos>(timeout_s) * base::kNanosPerSecond) {
      answer.exit = kTimeout;
      answer.message = "sluiced did not answer in time on " + socket;
    } else {
      answer.message = "sluiced ended before it answered on " + socket;
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
  const base::Nanos asked = base::monotonic_now();
  return answer_of(client.Get(path, params, httplib::Headers{}), socket, asked, timeout_s);
}

Answer post(const std::string& socket, const std::string& path, const std::string& body,
            int timeout_s, const char* type) {
  auto client = connect(socket, timeout_s);
  const base::Nanos asked = base::monotonic_now();
  return answer_of(client.Post(path, body, type), socket, asked, timeout_s);
}

}  // namespace sluice::ctl
