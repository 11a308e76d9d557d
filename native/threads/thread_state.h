#pragma once
#include <napi.h>

#include <string>

#include "threads/guest_context.h"

namespace postcopy {

// The state of a parked vCPU that is a thread, by KVM's names: `regs` as struct kvm_regs, `xsave` as the XSAVE area of
// this CPU's user mode.
Napi::Value GetThreadState(Napi::Env env, GuestContext& context, const std::string& name);
void SetThreadState(Napi::Env env, GuestContext& context, const std::string& name, const Napi::Uint8Array& bytes);

}  // namespace postcopy
