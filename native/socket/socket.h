#pragma once
#include <napi.h>

#include <memory>

#include "util/descriptor.h"
#include "util/shared_wrap.h"

namespace postcopy {

// JavaScript class Socket: a TCP socket used synchronously by a page worker. See src/native.ts.
class Socket : public Napi::ObjectWrap<Socket> {
 public:
  static void Init(Napi::Env env, Napi::Object exports);
  explicit Socket(const Napi::CallbackInfo& info);

 private:
  Napi::Value Handle(const Napi::CallbackInfo& info);
  Napi::Value Fd(const Napi::CallbackInfo& info);
  Napi::Value Port(const Napi::CallbackInfo& info);
  Napi::Value Peer(const Napi::CallbackInfo& info);
  Napi::Value Accept(const Napi::CallbackInfo& info);
  Napi::Value Configure(const Napi::CallbackInfo& info);
  Napi::Value Path(const Napi::CallbackInfo& info);
  Napi::Value Send(const Napi::CallbackInfo& info);
  Napi::Value SendPages(const Napi::CallbackInfo& info);
  Napi::Value TrySendPages(const Napi::CallbackInfo& info);
  Napi::Value Receive(const Napi::CallbackInfo& info);
  Napi::Value Shutdown(const Napi::CallbackInfo& info);
  Napi::Value DetachFd(const Napi::CallbackInfo& info);
  Napi::Value Detach(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);

  SharedRef<Descriptor> ref_;
};

}  // namespace postcopy
