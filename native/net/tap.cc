#include "net/tap.h"

#include <net/if.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

#include "net/guest_parts.h"
#include "net/interface.h"
#include "util/errors.h"

namespace postcopy {
namespace {

constexpr int kNothingNow = -1;
constexpr int kGone = -2;

std::string NameArg(const Napi::CallbackInfo& info, size_t index, const char* what) {
  std::string name = StringArg(info, index, what);
  // '%' would have the kernel count through names.
  if (name.size() >= IFNAMSIZ || name.find_first_of(std::string("/%\0", 3)) != std::string::npos) {
    throw Napi::RangeError::New(info.Env(), std::string(what) + " must be a name of at most 15 bytes");
  }
  return name;
}

// The result of writing a frame: its bytes, 0 if the kernel does not take this one, -1 when there is no room now.
int WriteFrame(int fd, const iovec* parts, int count) {
  ssize_t put;
  do {
    put = writev(fd, parts, count);
  } while (put < 0 && errno == EINTR);
  if (put >= 0) return static_cast<int>(put);
  return errno == EAGAIN ? kNothingNow : 0;
}

// The result of reading a frame: its bytes, -1 when there is none, -2 when there is no device any more (EBADFD).
int ReadFrame(int fd, const iovec* parts, int count) {
  ssize_t got;
  do {
    got = readv(fd, parts, count);
  } while (got < 0 && errno == EINTR);
  if (got >= 0) return static_cast<int>(got);
  return errno == EAGAIN ? kNothingNow : kGone;
}

}  // namespace

// new Tap(name, bridge): an empty name lets the kernel pick one, an empty bridge is none.
Tap::Tap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Tap>(info) {
  if (IsAttach(info)) {
    ref_.Attach(info.Env(), UintArg(info, 1, "handle", UINT32_MAX));
    return;
  }
  std::string name = NameArg(info, 0, "name");
  ref_.Own(OpenTap(info.Env(), name, NameArg(info, 1, "bridge")));
}

Napi::Value Tap::Handle(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), ref_.Handle()); }

Napi::Value Tap::Fd(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), ref_.Get(info.Env()).fd.Get());
}

Napi::Value Tap::Name(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), ref_.Get(info.Env()).name);
}

Napi::Value Tap::Mtu(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), MtuOf(info.Env(), ref_.Get(info.Env()).name));
}

// setOffloads(csum, tso4, tso6, ecn): what the guest takes from now on.
Napi::Value Tap::SetOffloads(const Napi::CallbackInfo& info) {
  SetTapOffloads(info.Env(), ref_.Get(info.Env()), BoolArg(info, 0, "csum"), BoolArg(info, 1, "tso4"),
                 BoolArg(info, 2, "tso6"), BoolArg(info, 3, "ecn"));
  return info.Env().Undefined();
}

// send(memory, header, segments, count): a frame of the host's header and the guest's bytes.
Napi::Value Tap::Send(const Napi::CallbackInfo& info) {
  GuestParts parts(info, 2);
  Napi::Uint8Array header = BytesArg(info, 1, "header");
  if (header.ByteLength() != kNetHeaderBytes) throw Napi::RangeError::New(info.Env(), "header must have 12 bytes");
  const iovec* frame = parts.Before(header.Data(), kNetHeaderBytes);
  return Napi::Number::New(info.Env(), WriteFrame(ref_.Get(info.Env()).fd.Get(), frame, parts.Count()));
}

// receive(memory, segments, count): bytes of a frame with its header, more than the segments have if it does not fit.
Napi::Value Tap::Receive(const Napi::CallbackInfo& info) {
  GuestParts parts(info, 1);
  TapDevice& tap = ref_.Get(info.Env());
  const iovec* frame = parts.Behind(tap.overflow.data(), tap.overflow.size());
  const int bytes = ReadFrame(tap.fd.Get(), frame, parts.Count());
  if (bytes > 0) parts.Written(static_cast<size_t>(bytes));
  return Napi::Number::New(info.Env(), bytes);
}

// write(bytes): a frame of the host's, with its header.
Napi::Value Tap::Write(const Napi::CallbackInfo& info) {
  Napi::Uint8Array bytes = BytesArg(info, 0, "bytes");
  iovec frame{bytes.Data(), bytes.ByteLength()};
  return Napi::Number::New(info.Env(), WriteFrame(ref_.Get(info.Env()).fd.Get(), &frame, 1));
}

// discard(most): throws frames away that wait; their number.
Napi::Value Tap::Discard(const Napi::CallbackInfo& info) {
  uint64_t most = UintArg(info, 0, "most", UINT32_MAX);
  TapDevice& tap = ref_.Get(info.Env());
  iovec start{tap.overflow.data(), kNetHeaderBytes};  // the kernel drops what does not fit
  uint64_t count = 0;
  while (count < most && ReadFrame(tap.fd.Get(), &start, 1) >= 0) count++;
  return Napi::Number::New(info.Env(), static_cast<double>(count));
}

Napi::Value Tap::Detach(const Napi::CallbackInfo& info) {
  ref_.Detach();
  return info.Env().Undefined();
}

Napi::Value Tap::Close(const Napi::CallbackInfo& info) {
  ref_.Close();
  return info.Env().Undefined();
}

void Tap::Init(Napi::Env env, Napi::Object exports) {
  exports.Set("Tap", DefineClass(env, "Tap",
                                 {InstanceAccessor<&Tap::Handle>("handle"), InstanceAccessor<&Tap::Fd>("fd"),
                                  InstanceAccessor<&Tap::Name>("name"), InstanceAccessor<&Tap::Mtu>("mtu"),
                                  InstanceMethod<&Tap::SetOffloads>("setOffloads"), InstanceMethod<&Tap::Send>("send"),
                                  InstanceMethod<&Tap::Receive>("receive"), InstanceMethod<&Tap::Write>("write"),
                                  InstanceMethod<&Tap::Discard>("discard"), InstanceMethod<&Tap::Detach>("detach"),
                                  InstanceMethod<&Tap::Close>("close")}));
}

}  // namespace postcopy
