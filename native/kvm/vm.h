#pragma once
#include <napi.h>

#include <memory>
#include <vector>

#include "kvm/exit_queue.h"
#include "memory/ram.h"
#include "util/descriptor.h"
#include "util/shared_wrap.h"

namespace postcopy {

// A KVM VM: its descriptor, the RAM its memslots refer to (kept alive as long as the VM), and its exit queue.
struct VmResource {
  Descriptor kvm;
  Descriptor fd;
  std::vector<std::shared_ptr<Ram>> memslots;
  std::shared_ptr<ExitQueue> exits;
  uint32_t exits_handle = 0;
};

// JavaScript class Vm. See src/native.ts.
class Vm : public Napi::ObjectWrap<Vm> {
 public:
  static void Init(Napi::Env env, Napi::Object exports);
  explicit Vm(const Napi::CallbackInfo& info);

  static std::shared_ptr<VmResource> FromArg(const Napi::CallbackInfo& info, size_t index);

 private:
  Napi::Value Handle(const Napi::CallbackInfo& info);
  Napi::Value ExitQueueHandle(const Napi::CallbackInfo& info);
  Napi::Value CreateIrqchip(const Napi::CallbackInfo& info);
  Napi::Value SetMemory(const Napi::CallbackInfo& info);
  Napi::Value SetRouting(const Napi::CallbackInfo& info);
  Napi::Value SetIrq(const Napi::CallbackInfo& info);
  Napi::Value GetState(const Napi::CallbackInfo& info);
  Napi::Value SetState(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);

  SharedRef<VmResource> ref_;
};

}  // namespace postcopy
