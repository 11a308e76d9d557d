#pragma once
#include <napi.h>

namespace postcopy {

// kvmProbe() and what can be asked of /dev/kvm without a VM.
void InitKvm(Napi::Env env, Napi::Object exports);

}  // namespace postcopy
