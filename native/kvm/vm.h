#pragma once
#include <napi.h>

#include <memory>
#include <vector>

#include "kvm/exit_queue.h"
#include "kvm/serial_shadow.h"
#include "kvm/virtio_interrupts.h"
#include "memory/ram.h"
#include "util/descriptor.h"
#include "util/shared_wrap.h"

namespace postcopy {

// Guest-physical addresses that are RAM, from a place in it on. Of a VM of threads there is one, of all of its RAM.
struct Memslot {
  std::shared_ptr<Ram> ram;
  uint64_t offset;
  uint64_t bytes;
  uint32_t slot;
  uint64_t guest_address;
};

// A VM: the RAM that its guest has (kept alive as long as the VM), its exit queue, and what the guest reads of its
// devices without the device worker. One of KVM has descriptors besides; one of threads has none.
struct VmResource {
  Descriptor kvm;
  Descriptor fd;
  std::vector<Memslot> memslots;
  std::shared_ptr<ExitQueue> exits;

  bool IsKvm() const { return fd.Valid(); }
  // Null for an address that is no RAM.
  const uint8_t* RamAt(uint64_t guest_address) const;

  uint32_t exits_handle = 0;
  VirtioInterrupts virtio;
  SerialShadow serial;
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
  Napi::Value AddVirtio(const Napi::CallbackInfo& info);
  Napi::Value RaiseVirtio(const Napi::CallbackInfo& info);
  Napi::Value GetVirtioInterrupts(const Napi::CallbackInfo& info);
  Napi::Value SetVirtioInterrupts(const Napi::CallbackInfo& info);
  Napi::Value ShowSerial(const Napi::CallbackInfo& info);
  Napi::Value HideSerial(const Napi::CallbackInfo& info);
  Napi::Value GetState(const Napi::CallbackInfo& info);
  Napi::Value SetState(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);

  static Descriptor OpenKvm(const Napi::CallbackInfo& info, VmResource& vm);
  int KvmFd(Napi::Env env) const;
  size_t VirtioArg(const Napi::CallbackInfo& info);

  SharedRef<VmResource> ref_;
};

}  // namespace postcopy
