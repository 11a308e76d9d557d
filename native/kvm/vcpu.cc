#include "kvm/vcpu.h"

#include <linux/kvm.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "kvm/vcpu_state.h"
#include "threads/thread_state.h"
#include "util/args.h"
#include "util/errors.h"

namespace postcopy {
namespace {

// MCG_SER_P of IA32_MCG_CAP (Intel SDM vol. 3, 17.3.1.1).
constexpr uint64_t kSoftwareRecovery = 1 << 24;

// False where there is no such attribute: Linux before 5.16, or headers of that time.
bool TscOffset(int vcpu, unsigned long request, uint64_t& offset) {
#ifdef KVM_VCPU_TSC_CTRL
  kvm_device_attr attribute{};
  attribute.group = KVM_VCPU_TSC_CTRL;
  attribute.attr = KVM_VCPU_TSC_OFFSET;
  attribute.addr = reinterpret_cast<uintptr_t>(&offset);
  return ioctl(vcpu, request, &attribute) == 0;
#else
  return false;
#endif
}

}  // namespace

// new Vcpu(vm, index): its thread starts parked.
Vcpu::Vcpu(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Vcpu>(info) {
  std::shared_ptr<VmResource> vm = Vm::FromArg(info, 0);
  uint32_t index = static_cast<uint32_t>(UintArg(info, 1, "index", 4095));
  try {
    if (vm->IsKvm()) {
      thread_ = std::make_unique<KvmVcpu>(std::move(vm), index);
    } else {
      thread_ = std::make_unique<ThreadVcpu>(std::move(vm), index);
    }
  } catch (const std::system_error& error) {
    throw SystemError(info.Env(), error.code().value(), "KVM_CREATE_VCPU", error.what());
  }
}

// At the end of the process the thread may still be in the guest, or wait for a page that will never come: it goes when
// the process goes, and must find its memory until then.
Vcpu::~Vcpu() { static_cast<void>(thread_.release()); }

VcpuThread& Vcpu::Open(Napi::Env env) {
  if (!thread_) throw Napi::Error::New(env, "vCPU used after close()");
  return *thread_;
}

VcpuThread& Vcpu::Parked(Napi::Env env) {
  VcpuThread& vcpu = Open(env);
  if (!vcpu.Parked()) throw Napi::Error::New(env, "the vCPU runs: pause it before its state is read or set");
  return vcpu;
}

KvmVcpu& Vcpu::ParkedKvm(Napi::Env env) {
  auto* vcpu = dynamic_cast<KvmVcpu*>(&Parked(env));
  if (vcpu == nullptr) throw Napi::Error::New(env, "a vCPU of threads has no KVM");
  return *vcpu;
}

Napi::Value Vcpu::Resume(const Napi::CallbackInfo& info) {
  Open(info.Env()).Resume();
  return info.Env().Undefined();
}

Napi::Value Vcpu::RequestPause(const Napi::CallbackInfo& info) {
  Open(info.Env()).RequestPause();
  return info.Env().Undefined();
}

// waitParked(timeoutMs): true when it is parked.
Napi::Value Vcpu::WaitParked(const Napi::CallbackInfo& info) {
  int timeout_ms = static_cast<int>(UintArg(info, 0, "timeoutMs", 60'000));
  return Napi::Boolean::New(info.Env(), Open(info.Env()).WaitParked(timeout_ms));
}

// setNice(nice): priority of the vCPU's thread. False if it is not permitted.
Napi::Value Vcpu::SetNice(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), Open(info.Env()).SetNice(NiceArg(info, 0, "nice")));
}

Napi::Value Vcpu::ParkedAt(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), Open(info.Env()).ParkedAt());
}

Napi::Value Vcpu::GetState(const Napi::CallbackInfo& info) {
  const std::string name = StringArg(info, 0, "name");
  auto* thread = dynamic_cast<ThreadVcpu*>(&Parked(info.Env()));
  if (thread != nullptr) return GetThreadState(info.Env(), thread->Context(), name);
  return GetVcpuState(info.Env(), ParkedKvm(info.Env()), name);
}

Napi::Value Vcpu::SetState(const Napi::CallbackInfo& info) {
  const std::string name = StringArg(info, 0, "name");
  const Napi::Uint8Array bytes = BytesArg(info, 1, "bytes");
  auto* thread = dynamic_cast<ThreadVcpu*>(&Parked(info.Env()));
  if (thread != nullptr) {
    SetThreadState(info.Env(), thread->Context(), name, bytes);
  } else {
    SetVcpuState(info.Env(), ParkedKvm(info.Env()), name, bytes);
  }
  return info.Env().Undefined();
}

Napi::Value Vcpu::GetMsrs(const Napi::CallbackInfo& info) {
  return postcopy::GetMsrs(info.Env(), ParkedKvm(info.Env()), Uint32sArg(info, 0, "indices"));
}

Napi::Value Vcpu::SetMsrs(const Napi::CallbackInfo& info) {
  uint32_t set = postcopy::SetMsrs(info.Env(), ParkedKvm(info.Env()), BytesArg(info, 0, "entries"));
  return Napi::Number::New(info.Env(), set);
}

Napi::Value Vcpu::SetCpuid(const Napi::CallbackInfo& info) {
  postcopy::SetCpuid(info.Env(), ParkedKvm(info.Env()), BytesArg(info, 0, "entries"));
  return info.Env().Undefined();
}

// getTscKhz(): the guest's TSC frequency; 0 if KVM does not say.
Napi::Value Vcpu::GetTscKhz(const Napi::CallbackInfo& info) {
  auto* vcpu = dynamic_cast<KvmVcpu*>(&Open(info.Env()));
  int khz = vcpu == nullptr ? 0 : ioctl(vcpu->Fd(), KVM_GET_TSC_KHZ, 0);
  return Napi::Number::New(info.Env(), khz > 0 ? khz : 0);
}

// setTscKhz(khz): false if KVM refuses it.
Napi::Value Vcpu::SetTscKhz(const Napi::CallbackInfo& info) {
  unsigned long khz = UintArg(info, 0, "khz", INT32_MAX);
  return Napi::Boolean::New(info.Env(), ioctl(ParkedKvm(info.Env()).Fd(), KVM_SET_TSC_KHZ, khz) == 0);
}

// getTscOffset(): what KVM adds to the host's TSC, scaled, for this vCPU's; undefined if it does not say.
Napi::Value Vcpu::GetTscOffset(const Napi::CallbackInfo& info) {
  uint64_t offset = 0;
  if (!TscOffset(ParkedKvm(info.Env()).Fd(), KVM_GET_DEVICE_ATTR, offset)) return info.Env().Undefined();
  return Napi::BigInt::New(info.Env(), static_cast<int64_t>(offset));
}

// setTscOffset(offset: bigint): false if KVM takes none.
Napi::Value Vcpu::SetTscOffset(const Napi::CallbackInfo& info) {
  uint64_t offset = static_cast<uint64_t>(Int64Arg(info, 0, "offset"));
  return Napi::Boolean::New(info.Env(), TscOffset(ParkedKvm(info.Env()).Fd(), KVM_SET_DEVICE_ATTR, offset));
}

// notePaused(): tells a guest with a kvmclock that it was stopped (KVM_KVMCLOCK_CTRL), so that its watchdogs do not
// bark. False if the guest has none.
Napi::Value Vcpu::NotePaused(const Napi::CallbackInfo& info) {
  auto* vcpu = dynamic_cast<KvmVcpu*>(&Parked(info.Env()));
  return Napi::Boolean::New(info.Env(), vcpu != nullptr && ioctl(vcpu->Fd(), KVM_KVMCLOCK_CTRL, 0) == 0);
}

// setUpMachineChecks(): banks for errors from which software may recover, before any state. False if KVM has none.
Napi::Value Vcpu::SetUpMachineChecks(const Napi::CallbackInfo& info) {
  KvmVcpu& vcpu = ParkedKvm(info.Env());
  const int kvm = vcpu.Machine().kvm.Get();
  const int banks = ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_MCE);
  uint64_t supported = 0;
  if (banks <= 0 || ioctl(kvm, KVM_X86_GET_MCE_CAP_SUPPORTED, &supported) < 0) {
    return Napi::Boolean::New(info.Env(), false);
  }
  uint64_t wanted = static_cast<uint64_t>(banks) | (supported & kSoftwareRecovery);
  return Napi::Boolean::New(info.Env(), ioctl(vcpu.Fd(), KVM_X86_SETUP_MCE, &wanted) == 0);
}

// machineCheck(error: Uint8Array): struct kvm_x86_mce; the guest takes the exception when it goes on. False if KVM
// refuses it.
Napi::Value Vcpu::MachineCheck(const Napi::CallbackInfo& info) {
  KvmVcpu& vcpu = ParkedKvm(info.Env());
  const Napi::Uint8Array bytes = BytesArg(info, 0, "error");
  kvm_x86_mce error{};
  if (bytes.ByteLength() != sizeof error) throw Napi::RangeError::New(info.Env(), "error must be a kvm_x86_mce");
  memcpy(&error, bytes.Data(), sizeof error);
  return Napi::Boolean::New(info.Env(), ioctl(vcpu.Fd(), KVM_X86_SET_MCE, &error) == 0);
}

// close(timeoutMs): stops the thread; false if the vCPU still waits in the kernel for a page. Then nothing is freed.
Napi::Value Vcpu::Close(const Napi::CallbackInfo& info) {
  int timeout_ms = static_cast<int>(UintArg(info, 0, "timeoutMs", 60'000));
  if (!thread_) return Napi::Boolean::New(info.Env(), true);
  if (!thread_->Stop(timeout_ms)) return Napi::Boolean::New(info.Env(), false);
  thread_.reset();
  return Napi::Boolean::New(info.Env(), true);
}

void Vcpu::Init(Napi::Env env, Napi::Object exports) {
  exports.Set(
      "Vcpu",
      DefineClass(env, "Vcpu",
                  {InstanceMethod<&Vcpu::Resume>("resume"), InstanceMethod<&Vcpu::RequestPause>("requestPause"),
                   InstanceMethod<&Vcpu::WaitParked>("waitParked"), InstanceMethod<&Vcpu::SetNice>("setNice"),
                   InstanceAccessor<&Vcpu::ParkedAt>("parkedAt"), InstanceMethod<&Vcpu::GetState>("getState"),
                   InstanceMethod<&Vcpu::SetState>("setState"), InstanceMethod<&Vcpu::GetMsrs>("getMsrs"),
                   InstanceMethod<&Vcpu::SetMsrs>("setMsrs"), InstanceMethod<&Vcpu::SetCpuid>("setCpuid"),
                   InstanceMethod<&Vcpu::GetTscKhz>("getTscKhz"), InstanceMethod<&Vcpu::SetTscKhz>("setTscKhz"),
                   InstanceMethod<&Vcpu::GetTscOffset>("getTscOffset"),
                   InstanceMethod<&Vcpu::SetTscOffset>("setTscOffset"), InstanceMethod<&Vcpu::NotePaused>("notePaused"),
                   InstanceMethod<&Vcpu::SetUpMachineChecks>("setUpMachineChecks"),
                   InstanceMethod<&Vcpu::MachineCheck>("machineCheck"), InstanceMethod<&Vcpu::Close>("close")}));
}

}  // namespace postcopy
