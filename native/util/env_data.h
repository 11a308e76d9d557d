#pragma once
#include <napi.h>

namespace postcopy {

// What one JavaScript environment (the main thread, or a worker) keeps: the constructors, for checks of arguments.
struct EnvData {
  Napi::FunctionReference guest_memory;
  Napi::FunctionReference vm;

  static EnvData& Of(Napi::Env env) { return *env.GetInstanceData<EnvData>(); }
};

}  // namespace postcopy
