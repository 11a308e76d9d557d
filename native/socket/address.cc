#include "socket/address.h"

#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <memory>

#include "socket/stream.h"
#include "util/errors.h"

namespace postcopy {
namespace {

using AddressList = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

AddressList Resolve(Napi::Env env, const std::string& host, uint16_t port, int flags) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  int result = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (result != 0) {
    Napi::Error error = Napi::Error::New(env, "getaddrinfo: " + std::string(gai_strerror(result)) + " (" + host + ")");
    error.Value().Set("code", "ENOTFOUND");
    throw error;
  }
  return AddressList(found, freeaddrinfo);
}

// As it can be given to a command: an IPv6 address in brackets.
std::string FormatAddress(const std::string& host, const std::string& port) {
  return (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + port;
}

// 0 or an errno value.
int ConnectOne(int fd, const addrinfo& address, int timeout_ms) {
  if (connect(fd, address.ai_addr, address.ai_addrlen) == 0) return 0;
  if (errno != EINPROGRESS) return errno;
  int error = WaitFor(fd, POLLOUT, timeout_ms);
  if (error != 0) return error;
  socklen_t length = sizeof error;
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
  return error;
}

}  // namespace

Descriptor ListenOn(Napi::Env env, const std::string& host, uint16_t port) {
  constexpr int kBacklog = 16;
  AddressList addresses = Resolve(env, host, port, AI_PASSIVE);
  Descriptor fd(socket(addresses->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.Valid()) throw SystemError(env, errno, "socket");
  int yes = 1;
  setsockopt(fd.Get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (bind(fd.Get(), addresses->ai_addr, addresses->ai_addrlen) < 0) throw SystemError(env, errno, "bind", host);
  if (listen(fd.Get(), kBacklog) < 0) throw SystemError(env, errno, "listen", host);
  return fd;
}

Descriptor ConnectTo(Napi::Env env, const std::string& host, uint16_t port, int timeout_ms) {
  AddressList addresses = Resolve(env, host, port, 0);
  int error = 0;
  for (const addrinfo* address = addresses.get(); address != nullptr; address = address->ai_next) {
    Descriptor fd(socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd.Valid()) throw SystemError(env, errno, "socket");
    error = ConnectOne(fd.Get(), *address, timeout_ms);
    if (error == 0) return fd;
  }
  throw SystemError(env, error, "connect", FormatAddress(host, std::to_string(port)));
}

std::string PeerName(int fd) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  char host[NI_MAXHOST];
  char port[NI_MAXSERV];
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&address), &length) < 0 ||
      getnameinfo(reinterpret_cast<sockaddr*>(&address), length, host, sizeof host, port, sizeof port,
                  NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return "unknown";
  }
  return FormatAddress(host, port);
}

int LocalPort(int fd) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) < 0) return 0;
  if (address.ss_family == AF_INET6) return ntohs(reinterpret_cast<sockaddr_in6*>(&address)->sin6_port);
  return ntohs(reinterpret_cast<sockaddr_in*>(&address)->sin_port);
}

}  // namespace postcopy
