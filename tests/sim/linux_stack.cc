// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "tests/sim/linux_stack.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>

namespace sluice::sim {
namespace {

constexpr std::size_t kIp = 14;
/// The part of the client's address by which seeds differ: all of IPv4's, the end of IPv6's.
constexpr std::uint32_t kClient4 = 0xc0000201, kClient6 = 1, kNetwork = 0x0a000000;
constexpr int kReceiveBytes = 4 << 20, kReceiveBytesShort = 8 << 10;

/// The device has the server's MAC address of the simulator's frames, the neighbour the client's.
constexpr const char* kCommands[] = {
    "ip link set lo up",
    "ip link set sim0 address 02:00:00:00:00:02 up",
    "ip addr add 198.51.100.2/24 dev sim0",
    "ip neigh add 198.51.100.1 lladdr 02:00:00:00:00:01 dev sim0",
    "ip route add 10.0.0.0/8 via 198.51.100.1 dev sim0 quickack 1",
    "ip addr add 2001:db8::2/64 dev sim0 nodad",
    "ip neigh add 2001:db8::1 lladdr 02:00:00:00:00:01 dev sim0",
    "ip route add 2001:db8:0:1::/64 via 2001:db8::1 dev sim0 quickack 1",
};
/// Every segment gets its answer at once, and no connection has a past.
constexpr std::array<std::array<const char*, 2>, 11> kSettings = {{
    {"net/ipv4/tcp_invalid_ratelimit", "0"},
    {"net/ipv4/tcp_challenge_ack_limit", "2147483647"},
    {"net/ipv4/tcp_no_metrics_save", "1"},
    {"net/ipv4/tcp_syncookies", "0"},
    {"net/ipv4/tcp_timestamps", "1"},
    {"net/ipv4/conf/all/rp_filter", "0"},
    {"net/ipv4/ipfrag_high_thresh", "268435456"},
    {"net/ipv6/ip6frag_high_thresh", "268435456"},
    {"net/ipv6/conf/sim0/accept_ra", "0"},
    {"net/ipv6/conf/sim0/router_solicitations", "0"},
    {"net/ipv6/conf/sim0/addr_gen_mode", "1"},
}};

std::uint32_t get16(const Frame& frame, std::size_t at) {
  return std::uint32_t{frame[at]} << 8 | frame[at + 1];
}
std::uint32_t get32(const Frame& frame, std::size_t at) {
  return get16(frame, at) << 16 | get16(frame, at + 2);
}
void set16(Frame& frame, std::size_t at, std::uint32_t value) {
  frame[at] = static_cast<std::uint8_t>(value >> 8);
  frame[at + 1] = static_cast<std::uint8_t>(value);
}
/// Changes a checksum for 32 bits that change (RFC 1624): a wrong one stays wrong.
void correct(Frame& frame, std::size_t checksum, std::uint32_t from, std::uint32_t to) {
  std::uint32_t sum = ~get16(frame, checksum) & 0xffff;
  sum += (~from >> 16 & 0xffff) + (~from & 0xffff) + (to >> 16) + (to & 0xffff);
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  set16(frame, checksum, ~sum);
}
std::uint32_t replace32(Frame& frame, std::size_t at, std::uint32_t to) {
  const std::uint32_t from = get32(frame, at);
  set16(frame, at, to >> 16);
  set16(frame, at + 2, to);
  return from;
}
/// Of the source or the destination, with the checksums over it. tcp: 0 where its header is not.
void change_address(Frame& frame, bool source, std::uint32_t to, std::size_t tcp) {
  const bool ipv6 = frame[kIp] >> 4 == 6;
  const std::size_t at = kIp + (ipv6 ? (source ? 20 : 36) : (source ? 12 : 16));
  const std::uint32_t from = replace32(frame, at, to);
  if (!ipv6) correct(frame, kIp + 10, from, to);
  if (tcp != 0) correct(frame, tcp + 16, from, to);
}
void change_number(Frame& frame, std::size_t tcp, std::size_t field, std::uint32_t to) {
  correct(frame, tcp + 16, replace32(frame, tcp + field, to), to);
}
void set_option(int descriptor, int level, int name, int value) {
  setsockopt(descriptor, level, name, &value, sizeof value);
}

}  // namespace

std::unique_ptr<LinuxStack> LinuxStack::make(std::string& problem) {
  std::unique_ptr<LinuxStack> made(new LinuxStack());
  return made->set_up(problem) ? std::move(made) : nullptr;
}

bool LinuxStack::is_measured_version() {
  utsname name{};
  return uname(&name) == 0 && std::string_view(name.release).starts_with("6.18.");
}

bool LinuxStack::set_up(std::string& problem) {
  const auto failed = [&](const std::string& what) {
    problem = what + ": " + std::strerror(errno);
    return false;
  };
  if (unshare(CLONE_NEWNET) != 0) return failed("a network namespace");
  tap_ = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  ifreq request{};
  request.ifr_flags = IFF_TAP | IFF_NO_PI;
  std::strncpy(request.ifr_name, "sim0", sizeof request.ifr_name - 1);
  if (tap_ < 0 || ioctl(tap_, TUNSETIFF, &request) != 0) return failed("/dev/net/tun");
  for (const auto& [name, value] : kSettings) {
    std::ofstream file(std::string("/proc/sys/") + name);
    if (!(file << value << std::flush)) return failed(name);
  }
  for (const char* command : kCommands) {
    if (std::system(command) != 0) return failed(command);
  }
  return true;
}

LinuxStack::~LinuxStack() {
  close_sockets();
  if (tap_ >= 0) close(tap_);
}

void LinuxStack::close_sockets() {
  for (const Socket& socket : sockets_) close(socket.descriptor);
  sockets_.clear();
  if (listener_ >= 0) close(listener_);
  listener_ = -1;
}

void LinuxStack::start(const Options& options) {
  close_sockets();
  ++runs_;
  ipv6_ = options.ipv6;
  address_ = kNetwork | (runs_ / 250 << 8 & 0xffff00) | (1 + runs_ % 250);
  shift_ = kernel_isn_ = 0;
  delivered.clear();
  std::ofstream("/proc/sys/net/ipv4/tcp_sack") << (options.sack ? "1" : "0");
  listener_ = socket(ipv6_ ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  set_option(listener_, SOL_SOCKET, SO_REUSEADDR, 1);
  // Room for all that can be in the window, however small the segments: the kernel drops by the
  // memory that they take, which the model does not count.
  set_option(listener_, SOL_SOCKET, SO_RCVBUFFORCE,
             options.short_of_memory ? kReceiveBytesShort : kReceiveBytes);
  set_option(listener_, IPPROTO_TCP, TCP_WINDOW_CLAMP, options.window_bytes);
  set_option(listener_, IPPROTO_TCP, TCP_NODELAY, 1);
  const linger abort_at_close{1, 0};
  setsockopt(listener_, SOL_SOCKET, SO_LINGER, &abort_at_close, sizeof abort_at_close);
  sockaddr_in6 address{};  // longer than IPv4's, whose port has the same place
  address.sin6_family = ipv6_ ? AF_INET6 : AF_INET;
  address.sin6_port = htons(80);
  const socklen_t bytes = ipv6_ ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  if (bind(listener_, reinterpret_cast<const sockaddr*>(&address), bytes) != 0 ||
      listen(listener_, 64) != 0) {
    std::perror("listen");
    std::abort();
  }
  outbox.clear();
}

void LinuxStack::on_frame(const Frame& original, std::uint32_t server_isn) {
  Frame frame = original;
  if (read_ip(frame).header != kIp) frame.erase(frame.begin() + 12, frame.begin() + 16);
  const std::size_t tcp = tcp_start(frame);
  change_address(frame, true, address_, tcp);
  if (tcp != 0 && (frame[tcp + 13] & kAck) != 0) {
    change_number(frame, tcp, 8, get32(frame, tcp + 8) - shift_);
  }
  if (write(tap_, frame.data(), frame.size()) < 0) std::perror("tap");
  collect(server_isn);
  read_sockets();
  collect(server_isn);  // the window has moved
}

void LinuxStack::collect(std::uint32_t server_isn) {
  std::array<std::uint8_t, 2048> buffer;
  ssize_t size = 0;
  while ((size = read(tap_, buffer.data(), buffer.size())) > 0) {
    Frame frame(buffer.begin(), buffer.begin() + size);
    const std::size_t address = kIp + (ipv6_ ? 36 : 16);
    if (frame.size() < address + 24 || get16(frame, 12) != (ipv6_ ? 0x86ddU : 0x0800U)) continue;
    if (get32(frame, address) != address_ || tcp_start(frame) == 0) continue;
    take_answer(frame, server_isn);
    outbox.push_back(std::move(frame));
  }
}

void LinuxStack::take_answer(Frame& frame, std::uint32_t server_isn) {
  const std::size_t tcp = tcp_start(frame);
  const std::uint32_t seq = get32(frame, tcp + 4);
  const std::uint8_t flags = frame[tcp + 13];
  if ((flags & kSyn) != 0 && (shift_ == 0 || seq != kernel_isn_)) {
    kernel_isn_ = seq;
    shift_ = server_isn - seq;
    client_isn_ = get32(frame, tcp + 8) - 1;
    server_isn_ = server_isn;
  }
  change_address(frame, false, ipv6_ ? kClient6 : kClient4, tcp);
  change_number(frame, tcp, 4, seq + shift_);
}

void LinuxStack::read_sockets() {
  int accepted = 0;
  while ((accepted = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
    sockets_.push_back({accepted, delivered.size()});
    delivered.push_back({client_isn_, server_isn_, {}});
  }
  std::array<char, 65536> buffer;
  for (const Socket& socket : sockets_) {
    ssize_t size = 0;
    while ((size = recv(socket.descriptor, buffer.data(), buffer.size(), 0)) > 0) {
      delivered[socket.record].bytes.append(buffer.data(), static_cast<std::size_t>(size));
    }
  }
}

void LinuxStack::send(std::string_view bytes) {
  if (sockets_.empty()) return;
  (void)!::send(sockets_.back().descriptor, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  collect(server_isn_);
}

void LinuxStack::finish() {
  if (sockets_.empty() || sockets_.back().finished) return;
  sockets_.back().finished = true;
  shutdown(sockets_.back().descriptor, SHUT_WR);
  collect(server_isn_);
}

}  // namespace sluice::sim
