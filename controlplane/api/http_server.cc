// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/api/http_server.h"

#include <httplib.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <thread>

#include "controlplane/publish/bundle.h"

namespace sluice::api {
namespace {

constexpr std::size_t kBodyBytesMax = publish::kBundleBytesMax;

/// Somebody answers on the socket.
bool is_alive(const std::string& path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  const bool connected =
      fd >= 0 && ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  if (fd >= 0) ::close(fd);
  return connected;
}

}  // namespace

std::string actor_text(int pid) {
  struct stat info {};
  if (::stat(("/proc/" + std::to_string(pid)).c_str(), &info) != 0) {
    return "pid " + std::to_string(pid);
  }
  std::string text = "uid " + std::to_string(info.st_uid);
  passwd entry{};
  passwd* found = nullptr;
  char buffer[4096];
  if (::getpwuid_r(info.st_uid, &entry, buffer, sizeof buffer, &found) == 0 && found != nullptr) {
    text += " (" + std::string(found->pw_name) + ")";
  }
  return text + " pid " + std::to_string(pid);
}

struct HttpServer::Inside {
  httplib::Server server;
  Handler handler;
  std::thread thread;
  std::string socket_path;
  bool unix_socket = false;

  void answer(const httplib::Request& from, httplib::Response& to) {
    Request request;
    request.method = from.method;
    request.path = from.path;
    request.body = from.body;
    for (const auto& [name, value] : from.params) request.parameters[name] = value;
    // On a Unix socket httplib gives the peer's process (SO_PEERCRED) as its port.
    request.actor = unix_socket ? actor_text(from.remote_port) : from.remote_addr;
    const Response response = handler(request);
    to.status = response.status;
    to.set_content(response.body, response.type);
  }

  base::Status wait_until_running() {
    for (int i = 0; i < 500 && !server.is_running(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    if (!server.is_running()) return base::Error{"the HTTP server did not start"};
    return base::ok_status();
  }
};

HttpServer::HttpServer(Handler handler) : inside_(std::make_unique<Inside>()) {
  inside_->handler = std::move(handler);
  inside_->server.set_payload_max_length(kBodyBytesMax);
  inside_->server.set_keep_alive_max_count(1000);
  const auto route = [this](const httplib::Request& from, httplib::Response& to) {
    inside_->answer(from, to);
  };
  inside_->server.Get(".*", route);
  inside_->server.Post(".*", route);
}

HttpServer::~HttpServer() { stop(); }

base::Status HttpServer::listen_unix(const std::string& path) {
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    return base::Error{"the socket path " + path + " is too long: set paths.run"};
  }
  if (is_alive(path)) return base::Error{"another sluiced answers on " + path};
  ::unlink(path.c_str());
  inside_->unix_socket = true;
  inside_->socket_path = path;
  inside_->server.set_address_family(AF_UNIX);
  const mode_t before = ::umask(0117);
  // The port has no meaning on a Unix socket, but 0 would ask for any.
  const bool bound = inside_->server.bind_to_port(path, 80);
  ::umask(before);
  if (!bound) return base::Error{"cannot listen on " + path + ": " + std::strerror(errno)};
  inside_->thread = std::thread([this] { inside_->server.listen_after_bind(); });
  return inside_->wait_until_running();
}

base::Status HttpServer::listen_tcp(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string::npos) return base::Error{"no port in " + address};
  std::string host = address.substr(0, colon);
  if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
  const int port = std::atoi(address.c_str() + colon + 1);
  if (port <= 0 || port > 65535 || !inside_->server.bind_to_port(host, port)) {
    return base::Error{"cannot listen on " + address +
                       ": is another instance there? Set metrics.listen"};
  }
  inside_->thread = std::thread([this] { inside_->server.listen_after_bind(); });
  return inside_->wait_until_running();
}

void HttpServer::stop() {
  inside_->server.stop();
  if (inside_->thread.joinable()) inside_->thread.join();
  if (!inside_->socket_path.empty()) ::unlink(inside_->socket_path.c_str());
  inside_->socket_path.clear();
}

}  // namespace sluice::api
