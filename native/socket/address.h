#pragma once
#include <napi.h>

#include <string>

#include "util/descriptor.h"

namespace postcopy {

// A listening TCP socket on host:port (port 0: any free one). Throws in JavaScript.
Descriptor ListenOn(Napi::Env env, const std::string& host, uint16_t port);

// A connected TCP socket; tries every address of the host. Throws in JavaScript.
Descriptor ConnectTo(Napi::Env env, const std::string& host, uint16_t port, int timeout_ms);

// "host:port" of an end of the socket.
std::string PeerName(int fd);
int LocalPort(int fd);

}  // namespace postcopy
