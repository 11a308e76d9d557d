#pragma once
#include <napi.h>

#include <memory>

#include "dirty/dirty_log.h"

namespace postcopy {

// JavaScript class DirtyLog. See src/native.ts.
class DirtyLogObject : public Napi::ObjectWrap<DirtyLogObject> {
 public:
  static void Init(Napi::Env env, Napi::Object exports);
  explicit DirtyLogObject(const Napi::CallbackInfo& info);

 private:
  Napi::Value Kind(const Napi::CallbackInfo& info);
  Napi::Value Begin(const Napi::CallbackInfo& info);
  Napi::Value Collect(const Napi::CallbackInfo& info);
  Napi::Value CollectNow(const Napi::CallbackInfo& info);
  Napi::Value End(const Napi::CallbackInfo& info);

  std::string kind_;
  std::shared_ptr<DirtyLog> log_;
};

}  // namespace postcopy
