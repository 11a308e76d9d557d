#pragma once
#include <napi.h>

namespace postcopy {

// Clock, poll, event descriptors, locks and priorities of the calling thread or process.
void InitProcess(Napi::Env env, Napi::Object exports);

}  // namespace postcopy
