#include "confine/confine.h"

#include <system_error>

#include "confine/call_filter.h"
#include "confine/capabilities.h"
#include "util/args.h"
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

}  // namespace

void InitConfine(Napi::Env env, Napi::Object exports) {
  exports.Set("refuseCalls", Napi::Function::New(env, RefuseCalls));
  exports.Set("keepCapabilities", Napi::Function::New(env, KeepCapabilities));
}

}  // namespace postcopy
