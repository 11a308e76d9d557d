#include "confine/confine.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <system_error>

#include "confine/call_filter.h"
#include "confine/capabilities.h"
#include "util/args.h"
#include "util/descriptor.h"
#include "util/errors.h"

namespace postcopy {
namespace {

constexpr int kCapabilities = 64;

// refuseCalls(): the filter of confine/call_filter.h, for every thread.
Napi::Value RefuseCalls(const Napi::CallbackInfo& info) {
  const int error = InstallCallFilter();
  if (error != 0) throw SystemError(info.Env(), error, "seccomp");
  return info.Env().Undefined();
}

// keepCapabilities(numbers: Uint32Array): threads that have others still; 0 when all have dropped them.
Napi::Value KeepCapabilities(const Napi::CallbackInfo& info) {
  Napi::Uint32Array numbers = Uint32sArg(info, 0, "numbers");
  uint64_t keep = 0;
  for (size_t i = 0; i < numbers.ElementLength(); i++) {
    if (numbers[i] >= kCapabilities) throw Napi::RangeError::New(info.Env(), "a capability's number is below 64");
    keep |= uint64_t{1} << numbers[i];
  }
  try {
    return Napi::Number::New(info.Env(), LimitCapabilities(keep));
  } catch (const std::system_error& error) {
    throw SystemError(info.Env(), error.code().value(), error.what());
  }
}

// loadTlsModule(): whether this kernel can encrypt TCP connections itself (kTLS). Asking loads the module, for which a
// process needs CAP_NET_ADMIN; a socket that is not connected is told ENOTCONN then.
Napi::Value LoadTlsModule(const Napi::CallbackInfo& info) {
  Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const bool failed = setsockopt(socket.Get(), IPPROTO_TCP, TCP_ULP, "tls", sizeof "tls" - 1) < 0;
  return Napi::Boolean::New(info.Env(), !failed || errno == ENOTCONN);
}

}  // namespace

void InitConfine(Napi::Env env, Napi::Object exports) {
  exports.Set("refuseCalls", Napi::Function::New(env, RefuseCalls));
  exports.Set("loadTlsModule", Napi::Function::New(env, LoadTlsModule));
  exports.Set("keepCapabilities", Napi::Function::New(env, KeepCapabilities));
}

}  // namespace postcopy
