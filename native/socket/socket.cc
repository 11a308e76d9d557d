#include "socket/socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <vector>

#include "memory/guest_memory.h"
#include "socket/address.h"
#include "socket/stream.h"
#include "util/args.h"
#include "util/errors.h"

namespace postcopy {
namespace {

constexpr int kMaxTimeoutMs = 3'600'000;

void SetOption(Napi::Env env, int fd, int level, int name, int value, const char* what) {
  if (setsockopt(fd, level, name, &value, sizeof value) < 0) throw SystemError(env, errno, "setsockopt", what);
}

void SetIfGiven(Napi::Env env, Napi::Object options, const char* key, int fd, int level, int name) {
  Napi::Value value = options.Get(key);
  if (value.IsUndefined()) return;
  if (!value.IsNumber()) throw Napi::TypeError::New(env, std::string(key) + " must be a number");
  double number = value.As<Napi::Number>().DoubleValue();
  if (!(number >= 0 && number <= INT32_MAX)) throw Napi::RangeError::New(env, std::string(key) + " is out of range");
  SetOption(env, fd, level, name, static_cast<int>(number), key);
}

// One end of a socket pair has nothing of TCP: whoever relays what goes through it sets up the connection behind it.
bool IsLocal(int fd) {
  int domain = AF_UNSPEC;
  socklen_t size = sizeof domain;
  return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX;
}

}  // namespace

// new Socket('listen', host, port) | new Socket('connect', host, port, timeoutMs) | new Socket('adopt', fd)
Socket::Socket(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Socket>(info) {
  Napi::Env env = info.Env();
  if (IsAttach(info)) {
    ref_.Attach(env, UintArg(info, 1, "handle", UINT32_MAX));
    return;
  }
  std::string how = StringArg(info, 0, "how");
  if (how == "adopt") {
    ref_.Own(std::make_shared<Descriptor>(FdArg(info, 1, "fd")));
    return;
  }
  std::string host = StringArg(info, 1, "host");
  uint16_t port = static_cast<uint16_t>(UintArg(info, 2, "port", 65535));
  if (how == "listen") {
    ref_.Own(std::make_shared<Descriptor>(ListenOn(env, host, port)));
  } else if (how == "connect") {
    int timeout_ms = static_cast<int>(UintArg(info, 3, "timeoutMs", kMaxTimeoutMs));
    ref_.Own(std::make_shared<Descriptor>(ConnectTo(env, host, port, timeout_ms)));
  } else {
    throw Napi::RangeError::New(env, "how must be 'listen', 'connect' or 'adopt'");
  }
}

Napi::Value Socket::Handle(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), ref_.Handle()); }

Napi::Value Socket::Fd(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), ref_.Get(info.Env()).Get());
}

Napi::Value Socket::Port(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), LocalPort(ref_.Get(info.Env()).Get()));
}

Napi::Value Socket::Peer(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), PeerName(ref_.Get(info.Env()).Get()));
}

// accept(): descriptor of a new connection, -1 if none waits.
Napi::Value Socket::Accept(const Napi::CallbackInfo& info) {
  int fd = accept4(ref_.Get(info.Env()).Get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
    throw SystemError(info.Env(), errno, "accept4");
  }
  return Napi::Number::New(info.Env(), fd);
}

// configure({noDelay, sendBuffer, userTimeoutMs, congestion}): TCP options, those given; none of a local socket's.
Napi::Value Socket::Configure(const Napi::CallbackInfo& info) {
  if (info.Length() < 1 || !info[0].IsObject()) throw Napi::TypeError::New(info.Env(), "options must be an object");
  Napi::Object options = info[0].As<Napi::Object>();
  int fd = ref_.Get(info.Env()).Get();
  if (IsLocal(fd)) return info.Env().Undefined();
  SetIfGiven(info.Env(), options, "noDelay", fd, IPPROTO_TCP, TCP_NODELAY);
  SetIfGiven(info.Env(), options, "sendBuffer", fd, SOL_SOCKET, SO_SNDBUF);
  SetIfGiven(info.Env(), options, "userTimeoutMs", fd, IPPROTO_TCP, TCP_USER_TIMEOUT);
  Napi::Value congestion = options.Get("congestion");
  if (!congestion.IsUndefined()) {
    if (!congestion.IsString()) throw Napi::TypeError::New(info.Env(), "congestion must be a string");
    std::string name = congestion.As<Napi::String>().Utf8Value();
    if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name.data(), name.size()) < 0) {
      throw SystemError(info.Env(), errno, "setsockopt", "congestion " + name);
    }
  }
  return info.Env().Undefined();
}

// path(): {segmentBytes, mtu}, what TCP knows of the way to the other end; undefined of a local socket.
Napi::Value Socket::Path(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  int fd = ref_.Get(env).Get();
  if (IsLocal(fd)) return env.Undefined();
  tcp_info tcp{};
  socklen_t size = sizeof tcp;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &tcp, &size) < 0) throw SystemError(env, errno, "getsockopt", "TCP_INFO");
  Napi::Object path = Napi::Object::New(env);
  path.Set("segmentBytes", tcp.tcpi_snd_mss);
  path.Set("mtu", tcp.tcpi_pmtu);
  return path;
}

// send(bytes, offset, length): all of it.
Napi::Value Socket::Send(const Napi::CallbackInfo& info) {
  Napi::Uint8Array bytes = BytesArg(info, 0, "bytes");
  uint64_t offset = UintArg(info, 1, "offset");
  uint64_t length = UintArg(info, 2, "length");
  if (offset > bytes.ByteLength() || length > bytes.ByteLength() - offset) {
    throw Napi::RangeError::New(info.Env(), "bytes outside of the buffer");
  }
  iovec part{bytes.Data() + offset, length};
  int error = SendAll(ref_.Get(info.Env()).Get(), &part, 1);
  if (error != 0) throw SystemError(info.Env(), error, "sendmsg");
  return info.Env().Undefined();
}

// The extents of a call as parts for sendmsg: each header, then its pages where they are in guest RAM.
class PageParts {
 public:
  static constexpr uint64_t kMaxExtents = 1024;

  // Arguments from `memory` on: memory, headers: Uint8Array, headerBytes, extents: Uint32Array of [first, pages],
  // count.
  explicit PageParts(const Napi::CallbackInfo& info) : ram_(GuestMemory::FromArg(info, 0)) {
    Napi::Uint8Array headers = BytesArg(info, 1, "headers");
    uint64_t header_bytes = UintArg(info, 2, "headerBytes", 4096);
    Napi::Uint32Array extents = Uint32sArg(info, 3, "extents");
    count_ = UintArg(info, 4, "count", kMaxExtents);
    if (headers.ByteLength() < header_bytes * count_ || extents.ElementLength() < count_ * 2) {
      throw Napi::RangeError::New(info.Env(), "headers or extents are shorter than count");
    }
    for (uint64_t i = 0; i < count_; i++) {
      uint64_t first = extents[i * 2];
      uint64_t pages = extents[i * 2 + 1];
      if (!ram_->HasPages(first, pages)) throw Napi::RangeError::New(info.Env(), "pages outside of guest RAM");
      parts_[i * 2] = {headers.Data() + i * header_bytes, header_bytes};
      parts_[i * 2 + 1] = {ram_->Page(first), pages * kPageSize};
    }
  }

  iovec* Data() { return parts_; }
  size_t Count() const { return count_ * 2; }

 private:
  std::shared_ptr<Ram> ram_;
  uint64_t count_ = 0;
  iovec parts_[kMaxExtents * 2];
};

// sendPages(memory, headers, headerBytes, extents, count): all of it, in as few system calls as it takes.
Napi::Value Socket::SendPages(const Napi::CallbackInfo& info) {
  PageParts parts(info);
  int error = SendAll(ref_.Get(info.Env()).Get(), parts.Data(), parts.Count());
  if (error != 0) throw SystemError(info.Env(), error, "sendmsg", "guest pages");
  return info.Env().Undefined();
}

// trySendPages(memory, headers, headerBytes, extents, count, skip): what fits now of all but the first `skip` bytes,
// without waiting; returns the bytes sent, 0 when nothing fits.
Napi::Value Socket::TrySendPages(const Napi::CallbackInfo& info) {
  PageParts parts(info);
  uint64_t skip = UintArg(info, 5, "skip");
  size_t sent = 0;
  int error = SendWhatFits(ref_.Get(info.Env()).Get(), parts.Data(), parts.Count(), skip, sent);
  if (error != 0) throw SystemError(info.Env(), error, "sendmsg", "guest pages");
  return Napi::Number::New(info.Env(), static_cast<double>(sent));
}

// receive(into, offset, minimum, maximum, timeoutMs): bytes received, at least minimum; fewer: the peer closed.
// minimum 0 takes what is there without waiting, -1 when nothing is. timeoutMs -1 waits for ever; code ETIMEDOUT.
Napi::Value Socket::Receive(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Napi::Uint8Array into = BytesArg(info, 0, "into");
  uint64_t offset = UintArg(info, 1, "offset");
  uint64_t minimum = UintArg(info, 2, "minimum");
  uint64_t maximum = UintArg(info, 3, "maximum");
  double timeout_ms = TimeoutArg(info, 4, "timeoutMs");
  if (minimum > maximum || offset > into.ByteLength() || maximum > into.ByteLength() - offset) {
    throw Napi::RangeError::New(env, "bytes outside of the buffer");
  }
  size_t received = 0;
  int error = ReceiveSome(ref_.Get(env).Get(), into.Data() + offset, minimum, maximum,
                          timeout_ms < 0 ? -1 : static_cast<int>(timeout_ms), received);
  if (error == EAGAIN) return Napi::Number::New(env, -1);
  if (error != 0) throw SystemError(env, error, "recv");
  return Napi::Number::New(env, static_cast<double>(received));
}

// shutdown(): ends both directions; a thread that waits in send or receive returns.
Napi::Value Socket::Shutdown(const Napi::CallbackInfo& info) {
  ::shutdown(ref_.Get(info.Env()).Get(), SHUT_RDWR);
  return info.Env().Undefined();
}

// detachFd(): the descriptor, now the caller's to close; this object is closed.
Napi::Value Socket::DetachFd(const Napi::CallbackInfo& info) {
  int fd = ref_.Get(info.Env()).Release();
  ref_.Close();
  return Napi::Number::New(info.Env(), fd);
}

// detach(): this object lets go of the socket; others, and the handle, keep it.
Napi::Value Socket::Detach(const Napi::CallbackInfo& info) {
  ref_.Detach();
  return info.Env().Undefined();
}

Napi::Value Socket::Close(const Napi::CallbackInfo& info) {
  ref_.Close();
  return info.Env().Undefined();
}

void Socket::Init(Napi::Env env, Napi::Object exports) {
  exports.Set(
      "Socket",
      DefineClass(env, "Socket",
                  {InstanceAccessor<&Socket::Handle>("handle"), InstanceAccessor<&Socket::Fd>("fd"),
                   InstanceAccessor<&Socket::Port>("port"), InstanceAccessor<&Socket::Peer>("peer"),
                   InstanceMethod<&Socket::Accept>("accept"), InstanceMethod<&Socket::Configure>("configure"),
                   InstanceMethod<&Socket::Path>("path"), InstanceMethod<&Socket::Send>("send"),
                   InstanceMethod<&Socket::SendPages>("sendPages"),
                   InstanceMethod<&Socket::TrySendPages>("trySendPages"), InstanceMethod<&Socket::Receive>("receive"),
                   InstanceMethod<&Socket::Shutdown>("shutdown"), InstanceMethod<&Socket::DetachFd>("detachFd"),
                   InstanceMethod<&Socket::Detach>("detach"), InstanceMethod<&Socket::Close>("close")}));
}

}  // namespace postcopy
