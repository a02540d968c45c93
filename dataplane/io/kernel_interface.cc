// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/io/kernel_interface.h"

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace sluice::io {
namespace {

/// Any socket of the process's network namespace reaches the interfaces of it.
class ControlSocket {
 public:
  ControlSocket() = default;
  ControlSocket(const ControlSocket&) = delete;
  ControlSocket& operator=(const ControlSocket&) = delete;
  ~ControlSocket() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] bool control(unsigned long request, ifreq& argument) const {
    return fd_ >= 0 && ::ioctl(fd_, request, &argument) == 0;
  }

 private:
  int fd_ = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
};

ifreq request_for(const std::string& interface) {
  ifreq request{};
  interface.copy(request.ifr_name, sizeof request.ifr_name - 1);
  return request;
}

}  // namespace

std::string devarg(const std::string& device, const std::string& name) {
  const std::string key = "," + name + "=";
  const std::size_t at = device.find(key);
  if (at == std::string::npos) return "";
  const std::size_t begin = at + key.size();
  return device.substr(begin, device.find(',', begin) - begin);
}

std::string kernel_interface(const std::string& device) {
  const auto is = [&](const char* driver) { return device.find(driver) == 4; };  // net_ or eth_
  if (is("af_packet") || is("af_xdp")) return devarg(device, "iface");
  if (!is("pcap")) return "";
  for (const char* name : {"iface", "tx_iface", "rx_iface", "rx_iface_in"}) {
    if (std::string found = devarg(device, name); !found.empty()) return found;
  }
  return "";
}

bool interface_runs(const std::string& interface) {
  ifreq request = request_for(interface);
  return ControlSocket().control(SIOCGIFFLAGS, request) && (request.ifr_flags & IFF_UP) != 0 &&
         (request.ifr_flags & IFF_RUNNING) != 0;
}

bool set_interface_up(const std::string& interface, bool up) {
  const ControlSocket socket;
  ifreq request = request_for(interface);
  if (!socket.control(SIOCGIFFLAGS, request)) return false;
  if (((request.ifr_flags & IFF_UP) != 0) == up) return true;
  request.ifr_flags =
      static_cast<short>(up ? request.ifr_flags | IFF_UP : request.ifr_flags & ~IFF_UP);
  return socket.control(SIOCSIFFLAGS, request);
}

}  // namespace sluice::io
