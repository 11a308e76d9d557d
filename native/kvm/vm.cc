#include "kvm/vm.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "kvm/flexible_structs.h"
#include "memory/guest_memory.h"
#include "util/args.h"
#include "util/env_data.h"
#include "util/errors.h"

namespace postcopy {
namespace {

// State of the VM's in-kernel devices, as the kernel's own structures.
struct VmState {
  const char* name;
  size_t bytes;
  unsigned long get;
  unsigned long set;
  int irqchip;  // which chip, for KVM_GET_IRQCHIP; -1 otherwise
};

constexpr VmState kStates[] = {
    {"picMaster", sizeof(kvm_irqchip), KVM_GET_IRQCHIP, KVM_SET_IRQCHIP, KVM_IRQCHIP_PIC_MASTER},
    {"picSlave", sizeof(kvm_irqchip), KVM_GET_IRQCHIP, KVM_SET_IRQCHIP, KVM_IRQCHIP_PIC_SLAVE},
    {"ioapic", sizeof(kvm_irqchip), KVM_GET_IRQCHIP, KVM_SET_IRQCHIP, KVM_IRQCHIP_IOAPIC},
    {"pit", sizeof(kvm_pit_state2), KVM_GET_PIT2, KVM_SET_PIT2, -1},
    {"clock", sizeof(kvm_clock_data), KVM_GET_CLOCK, KVM_SET_CLOCK, -1},
};

const VmState& StateArg(const Napi::CallbackInfo& info) {
  std::string name = StringArg(info, 0, "name");
  for (const VmState& state : kStates) {
    if (name == state.name) return state;
  }
  throw Napi::RangeError::New(info.Env(), "no such VM state: " + name);
}

void Call(Napi::Env env, int fd, unsigned long request, const char* name, void* argument) {
  if (ioctl(fd, request, argument) < 0) throw SystemError(env, errno, name);
}

}  // namespace

const uint8_t* VmResource::RamAt(uint64_t guest_address) const {
  for (const Memslot& slot : memslots) {
    const uint64_t offset = guest_address - slot.guest_address;
    if (offset < slot.bytes) return slot.ram->Base() + slot.offset + offset;
  }
  return nullptr;
}

// new Vm(path = '/dev/kvm'), or new Vm('threads', memory)
Vm::Vm(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Vm>(info) {
  Napi::Env env = info.Env();
  if (IsAttach(info)) {
    ref_.Attach(env, UintArg(info, 1, "handle", UINT32_MAX));
    return;
  }
  auto vm = std::make_shared<VmResource>();
  if (info.Length() == 2 && StringArg(info, 0, "kind") == "threads") {
    std::shared_ptr<Ram> ram = GuestMemory::FromArg(info, 1);
    const size_t bytes = ram->Bytes();
    vm->memslots.push_back({std::move(ram), 0, bytes, 0, 0});
  } else {
    vm->fd = OpenKvm(info, *vm);
  }
  try {
    vm->exits = std::make_shared<ExitQueue>();
  } catch (const std::system_error& error) {
    throw SystemError(env, error.code().value(), "eventfd");
  }
  vm->exits_handle = SharedRegistry<ExitQueue>::Add(vm->exits);
  ref_.Own(std::move(vm));
}

Descriptor Vm::OpenKvm(const Napi::CallbackInfo& info, VmResource& vm) {
  Napi::Env env = info.Env();
  std::string path = info.Length() > 0 && !info[0].IsUndefined() ? StringArg(info, 0, "path") : "/dev/kvm";
  vm.kvm = Descriptor(open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!vm.kvm.Valid()) throw SystemError(env, errno, "open", path);
  int fd;
  do {
    fd = ioctl(vm.kvm.Get(), KVM_CREATE_VM, 0);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) throw SystemError(env, errno, "KVM_CREATE_VM");
  return Descriptor(fd);
}

int Vm::KvmFd(Napi::Env env) const {
  VmResource& vm = ref_.Get(env);
  if (!vm.IsKvm()) throw Napi::Error::New(env, "a VM of threads has no KVM");
  return vm.fd.Get();
}

std::shared_ptr<VmResource> Vm::FromArg(const Napi::CallbackInfo& info, size_t index) {
  Napi::Env env = info.Env();
  if (index >= info.Length() || !info[index].IsObject() ||
      !info[index].As<Napi::Object>().InstanceOf(EnvData::Of(env).vm.Value())) {
    throw Napi::TypeError::New(env, "vm must be a Vm");
  }
  Vm* vm = Unwrap(info[index].As<Napi::Object>());
  vm->ref_.Get(env);
  return vm->ref_.Shared();
}

Napi::Value Vm::Handle(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), ref_.Handle()); }

Napi::Value Vm::ExitQueueHandle(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), ref_.Get(info.Env()).exits_handle);
}

// createIrqchip(tssAddress, identityMapAddress): PIC, IOAPIC, LAPICs and PIT in the kernel, before any vCPU.
Napi::Value Vm::CreateIrqchip(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  int fd = KvmFd(env);
  uint64_t tss = UintArg(info, 0, "tssAddress", UINT32_MAX);
  uint64_t identity_map = UintArg(info, 1, "identityMapAddress", UINT32_MAX);
  Call(env, fd, KVM_SET_IDENTITY_MAP_ADDR, "KVM_SET_IDENTITY_MAP_ADDR", &identity_map);
  Call(env, fd, KVM_SET_TSS_ADDR, "KVM_SET_TSS_ADDR", reinterpret_cast<void*>(tss));
  Call(env, fd, KVM_CREATE_IRQCHIP, "KVM_CREATE_IRQCHIP", nullptr);
  kvm_pit_config pit{};
  pit.flags = KVM_PIT_SPEAKER_DUMMY;  // port 0x61 stays in the kernel as well
  Call(env, fd, KVM_CREATE_PIT2, "KVM_CREATE_PIT2", &pit);
  return env.Undefined();
}

// setMemory(slot, guestAddress, memory, offset, bytes)
Napi::Value Vm::SetMemory(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  VmResource& vm = ref_.Get(env);
  const int fd = KvmFd(env);
  kvm_userspace_memory_region region{};
  region.slot = static_cast<uint32_t>(UintArg(info, 0, "slot", 508));
  region.guest_phys_addr = UintArg(info, 1, "guestAddress");
  std::shared_ptr<Ram> ram = GuestMemory::FromArg(info, 2);
  uint64_t offset = UintArg(info, 3, "offset");
  region.memory_size = UintArg(info, 4, "bytes");
  if (!ram->HasBytes(offset, region.memory_size)) throw Napi::RangeError::New(env, "memslot outside of guest RAM");
  region.userspace_addr = reinterpret_cast<uint64_t>(ram->Base() + offset);
  Call(env, fd, KVM_SET_USER_MEMORY_REGION, "KVM_SET_USER_MEMORY_REGION", &region);
  vm.memslots.push_back({std::move(ram), offset, region.memory_size, region.slot, region.guest_phys_addr});
  return env.Undefined();
}

// setRouting(entries: packed struct kvm_irq_routing_entry): which pins of PIC and IOAPIC a GSI drives.
Napi::Value Vm::SetRouting(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Napi::Uint8Array entries = BytesArg(info, 0, "entries");
  size_t count = entries.ByteLength() / sizeof(kvm_irq_routing_entry);
  if (entries.ByteLength() != count * sizeof(kvm_irq_routing_entry)) {
    throw Napi::RangeError::New(env, "entries must be whole struct kvm_irq_routing_entry");
  }
  if (kvm_set_gsi_routing(KvmFd(env), entries.Data(), static_cast<uint32_t>(count)) < 0) {
    throw SystemError(env, errno, "KVM_SET_GSI_ROUTING");
  }
  return env.Undefined();
}

// setIrq(gsi, level: boolean). A VM of threads has no interrupts: its guest looks at its devices.
Napi::Value Vm::SetIrq(const Napi::CallbackInfo& info) {
  kvm_irq_level irq{};
  irq.irq = static_cast<uint32_t>(UintArg(info, 0, "gsi", 1023));
  irq.level = BoolArg(info, 1, "level") ? 1 : 0;
  if (ref_.Get(info.Env()).IsKvm()) Call(info.Env(), KvmFd(info.Env()), KVM_IRQ_LINE, "KVM_IRQ_LINE", &irq);
  return info.Env().Undefined();
}

// addVirtio(address, gsi, notifyFd): the registers of a virtio-mmio device at `address` that need no device worker. A
// write to QueueNotify signals the eventfd, and the vCPU goes on. Its index.
Napi::Value Vm::AddVirtio(const Napi::CallbackInfo& info) {
  constexpr uint64_t kQueueNotify = 0x050;
  Napi::Env env = info.Env();
  VmResource& vm = ref_.Get(env);
  uint64_t address = UintArg(info, 0, "address");
  uint32_t gsi = static_cast<uint32_t>(UintArg(info, 1, "gsi", 1023));
  kvm_ioeventfd notify{};
  notify.addr = address + kQueueNotify;
  notify.len = sizeof(uint32_t);
  notify.fd = FdArg(info, 2, "notifyFd");
  if (vm.virtio.Count() == VirtioInterrupts::kMaxDevices) {
    throw Napi::RangeError::New(
        env, "a VM has at most " + std::to_string(VirtioInterrupts::kMaxDevices) + " virtio devices");
  }
  if (vm.IsKvm()) Call(env, vm.fd.Get(), KVM_IOEVENTFD, "KVM_IOEVENTFD", &notify);
  return Napi::Number::New(env, vm.virtio.Add(address, gsi));
}

size_t Vm::VirtioArg(const Napi::CallbackInfo& info) {
  size_t index = UintArg(info, 0, "index", VirtioInterrupts::kMaxDevices);
  if (index >= ref_.Get(info.Env()).virtio.Count()) throw Napi::RangeError::New(info.Env(), "no such virtio device");
  return index;
}

// raiseVirtio(index, bits): sets bits of InterruptStatus and interrupts the guest, once.
Napi::Value Vm::RaiseVirtio(const Napi::CallbackInfo& info) {
  VmResource& vm = ref_.Get(info.Env());
  const size_t index = VirtioArg(info);
  vm.virtio.Status(index).fetch_or(static_cast<uint32_t>(UintArg(info, 1, "bits", UINT32_MAX)));
  if (!vm.IsKvm()) return info.Env().Undefined();
  kvm_irq_level edge{};
  edge.irq = vm.virtio.Gsi(index);
  for (uint32_t level : {1u, 0u}) {
    edge.level = level;
    Call(info.Env(), vm.fd.Get(), KVM_IRQ_LINE, "KVM_IRQ_LINE", &edge);
  }
  return info.Env().Undefined();
}

Napi::Value Vm::GetVirtioInterrupts(const Napi::CallbackInfo& info) {
  VmResource& vm = ref_.Get(info.Env());
  return Napi::Number::New(info.Env(), vm.virtio.Status(VirtioArg(info)).load());
}

// setVirtioInterrupts(index, bits): InterruptStatus, without an interrupt.
Napi::Value Vm::SetVirtioInterrupts(const Napi::CallbackInfo& info) {
  VmResource& vm = ref_.Get(info.Env());
  vm.virtio.Status(VirtioArg(info)).store(static_cast<uint32_t>(UintArg(info, 1, "bits", UINT32_MAX)));
  return info.Env().Undefined();
}

// showSerial(writes, events, lineStatus, modemStatus, identification, interruptEnable)
Napi::Value Vm::ShowSerial(const Napi::CallbackInfo& info) {
  auto byte = [&](size_t index, const char* name) {
    return static_cast<uint8_t>(UintArg(info, index, name, UINT8_MAX));
  };
  uint32_t writes = static_cast<uint32_t>(UintArg(info, 0, "writes", UINT32_MAX));
  uint32_t events = static_cast<uint32_t>(UintArg(info, 1, "events", UINT32_MAX));
  ref_.Get(info.Env())
      .serial.Show(
          writes, events,
          {byte(2, "lineStatus"), byte(3, "modemStatus"), byte(4, "identification"), byte(5, "interruptEnable")});
  return info.Env().Undefined();
}

// hideSerial(): vCPUs ask the device worker.
Napi::Value Vm::HideSerial(const Napi::CallbackInfo& info) {
  ref_.Get(info.Env()).serial.Hide();
  return info.Env().Undefined();
}

// getState(name): Uint8Array, the kernel's structure.
Napi::Value Vm::GetState(const Napi::CallbackInfo& info) {
  const VmState& state = StateArg(info);
  Napi::Uint8Array result = Napi::Uint8Array::New(info.Env(), state.bytes);
  memset(result.Data(), 0, state.bytes);
  if (state.irqchip >= 0) reinterpret_cast<kvm_irqchip*>(result.Data())->chip_id = state.irqchip;
  Call(info.Env(), KvmFd(info.Env()), state.get, state.name, result.Data());
  return result;
}

// setState(name, bytes)
Napi::Value Vm::SetState(const Napi::CallbackInfo& info) {
  const VmState& state = StateArg(info);
  Napi::Uint8Array bytes = BytesArg(info, 1, "bytes");
  if (bytes.ByteLength() != state.bytes) {
    throw Napi::RangeError::New(info.Env(), std::string(state.name) + " must be " + std::to_string(state.bytes) +
                                                " bytes, not " + std::to_string(bytes.ByteLength()));
  }
  std::vector<uint8_t> copy(bytes.Data(), bytes.Data() + state.bytes);
  if (state.irqchip >= 0) reinterpret_cast<kvm_irqchip*>(copy.data())->chip_id = state.irqchip;
  Call(info.Env(), KvmFd(info.Env()), state.set, state.name, copy.data());
  return info.Env().Undefined();
}

// close(): after all vCPUs were closed.
Napi::Value Vm::Close(const Napi::CallbackInfo& info) {
  if (ref_.Shared()) {
    ref_.Shared()->exits->Close();
    SharedRegistry<ExitQueue>::Remove(ref_.Shared()->exits_handle);
  }
  ref_.Close();
  return info.Env().Undefined();
}

void Vm::Init(Napi::Env env, Napi::Object exports) {
  Napi::Function constructor = DefineClass(
      env, "Vm",
      {InstanceAccessor<&Vm::Handle>("handle"), InstanceAccessor<&Vm::ExitQueueHandle>("exitQueueHandle"),
       InstanceMethod<&Vm::CreateIrqchip>("createIrqchip"), InstanceMethod<&Vm::SetMemory>("setMemory"),
       InstanceMethod<&Vm::SetRouting>("setRouting"), InstanceMethod<&Vm::SetIrq>("setIrq"),
       InstanceMethod<&Vm::AddVirtio>("addVirtio"), InstanceMethod<&Vm::RaiseVirtio>("raiseVirtio"),
       InstanceMethod<&Vm::GetVirtioInterrupts>("getVirtioInterrupts"),
       InstanceMethod<&Vm::SetVirtioInterrupts>("setVirtioInterrupts"), InstanceMethod<&Vm::ShowSerial>("showSerial"),
       InstanceMethod<&Vm::HideSerial>("hideSerial"), InstanceMethod<&Vm::GetState>("getState"),
       InstanceMethod<&Vm::SetState>("setState"), InstanceMethod<&Vm::Close>("close")});
  EnvData::Of(env).vm = Napi::Persistent(constructor);
  exports.Set("Vm", constructor);
}

}  // namespace postcopy
