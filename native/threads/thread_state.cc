#include "threads/thread_state.h"

#include <linux/kvm.h>

#include <cstring>

namespace postcopy {
namespace {

static_assert(sizeof(GuestContext::Registers) == sizeof(kvm_regs));

bool IsXsave(Napi::Env env, const std::string& name) {
  if (name != "regs" && name != "xsave")
    throw Napi::RangeError::New(env, "a vCPU of threads has no such state: " + name);
  return name == "xsave";
}

}  // namespace

Napi::Value GetThreadState(Napi::Env env, GuestContext& context, const std::string& name) {
  const bool is_xsave = IsXsave(env, name);
  Napi::Uint8Array result = Napi::Uint8Array::New(env, is_xsave ? context.XsaveBytes() : sizeof(kvm_regs));
  if (is_xsave) {
    context.GetXsave(result.Data());
  } else {
    memcpy(result.Data(), &context.General(), sizeof(kvm_regs));
  }
  return result;
}

void SetThreadState(Napi::Env env, GuestContext& context, const std::string& name, const Napi::Uint8Array& bytes) {
  const bool is_xsave = IsXsave(env, name);
  const size_t wanted = is_xsave ? context.XsaveBytes() : sizeof(kvm_regs);
  if (bytes.ByteLength() != wanted) {
    throw Napi::RangeError::New(
        env, name + " must be " + std::to_string(wanted) + " bytes, not " + std::to_string(bytes.ByteLength()));
  }
  if (!is_xsave) {
    memcpy(&context.General(), bytes.Data(), wanted);
  } else if (!context.SetXsave(bytes.Data())) {
    throw Napi::RangeError::New(env, "xsave has bits that this CPU does not take");
  }
}

}  // namespace postcopy
