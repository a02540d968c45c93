// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/base/notify.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <string>

namespace sluice::base {

void notify_systemd(std::string_view state) {
  const char* socket_path = std::getenv("NOTIFY_SOCKET");
  if (socket_path == nullptr) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = socket_path;
  if (path.empty() || path.size() >= sizeof address.sun_path) return;
  path.copy(address.sun_path, path.size());
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  // Nothing can be done about a lost notification; systemd's timeout will.
  static_cast<void>(::sendto(fd, state.data(), state.size(), MSG_NOSIGNAL,
                             reinterpret_cast<sockaddr*>(&address), length));
  ::close(fd);
}

std::uint64_t watchdog_interval_ns() {
  const char* text = std::getenv("WATCHDOG_USEC");
  return text == nullptr ? 0 : std::strtoull(text, nullptr, 10) * 1000 / 2;
}

}  // namespace sluice::base
