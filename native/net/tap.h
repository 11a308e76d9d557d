#pragma once
#include <napi.h>

#include "net/tap_device.h"
#include "util/shared_wrap.h"

namespace postcopy {

// JavaScript class Tap: the host's end of a guest's network interface. See src/native.ts.
class Tap : public Napi::ObjectWrap<Tap> {
 public:
  static void Init(Napi::Env env, Napi::Object exports);
  explicit Tap(const Napi::CallbackInfo& info);

 private:
  Napi::Value Handle(const Napi::CallbackInfo& info);
  Napi::Value Fd(const Napi::CallbackInfo& info);
  Napi::Value Name(const Napi::CallbackInfo& info);
  Napi::Value Mtu(const Napi::CallbackInfo& info);
  Napi::Value SetOffloads(const Napi::CallbackInfo& info);
  Napi::Value Send(const Napi::CallbackInfo& info);
  Napi::Value Receive(const Napi::CallbackInfo& info);
  Napi::Value Write(const Napi::CallbackInfo& info);
  Napi::Value Discard(const Napi::CallbackInfo& info);
  Napi::Value Detach(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);

  SharedRef<TapDevice> ref_;
};

}  // namespace postcopy
