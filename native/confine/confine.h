#pragma once
#include <napi.h>

namespace postcopy {

// What the process gives up for good.
void InitConfine(Napi::Env env, Napi::Object exports);

}  // namespace postcopy
