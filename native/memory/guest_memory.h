#pragma once
#include <napi.h>

#include "memory/ram.h"
#include "util/shared_wrap.h"

namespace postcopy {

// JavaScript class GuestMemory: guest RAM by RAM offset and page number. See src/native.ts.
class GuestMemory : public Napi::ObjectWrap<GuestMemory> {
 public:
  static void Init(Napi::Env env, Napi::Object exports);
  explicit GuestMemory(const Napi::CallbackInfo& info);

  const std::shared_ptr<Ram>& Shared() const { return ref_.Shared(); }

  // The RAM behind an argument that must be an open GuestMemory.
  static std::shared_ptr<Ram> FromArg(const Napi::CallbackInfo& info, size_t index);

 private:
  Napi::Value Handle(const Napi::CallbackInfo& info);
  Napi::Value Bytes(const Napi::CallbackInfo& info);
  Napi::Value BackingName(const Napi::CallbackInfo& info);
  Napi::Value Read(const Napi::CallbackInfo& info);
  Napi::Value Write(const Napi::CallbackInfo& info);
  Napi::Value DataExtents(const Napi::CallbackInfo& info);
  Napi::Value DataExtentsOutside(const Napi::CallbackInfo& info);
  Napi::Value FindDataExtents(const Napi::CallbackInfo& info);
  Napi::Value Release(const Napi::CallbackInfo& info);
  Napi::Value ZeroRun(const Napi::CallbackInfo& info);
  Napi::Value Collapse(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);

  void OwnAt(const Napi::CallbackInfo& info, uint64_t bytes);

  SharedRef<Ram> ref_;
};

}  // namespace postcopy
