#pragma once
#include <napi.h>

#include <cstdint>
#include <memory>

#include "memory/ram.h"
#include "util/descriptor.h"
#include "util/shared_wrap.h"

namespace postcopy {

// An open userfaultfd and the RAM it serves.
struct FaultSource {
  Descriptor fd;
  std::shared_ptr<Ram> ram;
};

// JavaScript class Userfaultfd: missing-page faults of one GuestMemory, userfaultfd(2). See src/native.ts.
class Userfaultfd : public Napi::ObjectWrap<Userfaultfd> {
 public:
  static void Init(Napi::Env env, Napi::Object exports);
  explicit Userfaultfd(const Napi::CallbackInfo& info);

 private:
  Napi::Value Handle(const Napi::CallbackInfo& info);
  Napi::Value Fd(const Napi::CallbackInfo& info);
  Napi::Value Register(const Napi::CallbackInfo& info);
  Napi::Value Unregister(const Napi::CallbackInfo& info);
  Napi::Value ReadFaults(const Napi::CallbackInfo& info);
  Napi::Value Copy(const Napi::CallbackInfo& info);
  Napi::Value Zero(const Napi::CallbackInfo& info);
  Napi::Value Continue(const Napi::CallbackInfo& info);
  Napi::Value Poison(const Napi::CallbackInfo& info);
  Napi::Value Wake(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);

  struct PageRange {
    uint64_t first;
    uint64_t count;
  };
  PageRange RangeArgs(const Napi::CallbackInfo& info);

  SharedRef<FaultSource> ref_;
};

}  // namespace postcopy
