#pragma once
#include <napi.h>

#include "block/request_pool.h"
#include "util/shared_wrap.h"

namespace postcopy {

// JavaScript class Disk: a raw image or block device, and requests between it and guest RAM. See src/native.ts.
class Disk : public Napi::ObjectWrap<Disk> {
 public:
  static void Init(Napi::Env env, Napi::Object exports);
  explicit Disk(const Napi::CallbackInfo& info);

 private:
  Napi::Value Handle(const Napi::CallbackInfo& info);
  Napi::Value Fd(const Napi::CallbackInfo& info);
  Napi::Value Bytes(const Napi::CallbackInfo& info);
  Napi::Value LockAlso(const Napi::CallbackInfo& info);
  Napi::Value SampleAt(const Napi::CallbackInfo& info);
  Napi::Value SampleOffsets(const Napi::CallbackInfo& info);
  Napi::Value SampleContent(const Napi::CallbackInfo& info);
  Napi::Value Begin(const Napi::CallbackInfo& info);
  Napi::Value Ended(const Napi::CallbackInfo& info);
  Napi::Value Submit(const Napi::CallbackInfo& info);
  Napi::Value Completions(const Napi::CallbackInfo& info);
  Napi::Value WaitIdle(const Napi::CallbackInfo& info);
  Napi::Value Detach(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);

  SharedRef<RequestPool> ref_;
};

}  // namespace postcopy
