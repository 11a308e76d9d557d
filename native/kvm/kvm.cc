#include "kvm/kvm.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "kvm/flexible_structs.h"
#include "kvm/vcpu_state.h"
#include "util/args.h"
#include "util/descriptor.h"
#include "util/errors.h"

namespace postcopy {
namespace {

// KVM_MAX_CPUID_ENTRIES of the kernel is 256 today.
constexpr uint32_t kMaxCpuidEntries = 4096;

struct Capability {
  const char* name;
  int number;
};

constexpr Capability kCapabilities[] = {
    {"irqchip", KVM_CAP_IRQCHIP},
    {"userMemory", KVM_CAP_USER_MEMORY},
    {"setTssAddress", KVM_CAP_SET_TSS_ADDR},
    {"extCpuid", KVM_CAP_EXT_CPUID},
    {"pit2", KVM_CAP_PIT2},
    {"pitState2", KVM_CAP_PIT_STATE2},
    {"vcpuEvents", KVM_CAP_VCPU_EVENTS},
    {"debugregs", KVM_CAP_DEBUGREGS},
    {"xcrs", KVM_CAP_XCRS},
    {"xsave", KVM_CAP_XSAVE},
    {"xsave2", KVM_CAP_XSAVE2},
    {"mpState", KVM_CAP_MP_STATE},
    {"adjustClock", KVM_CAP_ADJUST_CLOCK},
    {"tscControl", KVM_CAP_TSC_CONTROL},
    {"getTscKhz", KVM_CAP_GET_TSC_KHZ},
    {"tscDeadlineTimer", KVM_CAP_TSC_DEADLINE_TIMER},
    {"immediateExit", KVM_CAP_IMMEDIATE_EXIT},
    {"maxVcpus", KVM_CAP_MAX_VCPUS},
    {"nrVcpus", KVM_CAP_NR_VCPUS},
    {"nrMemslots", KVM_CAP_NR_MEMSLOTS},
    {"asyncPageFault", KVM_CAP_ASYNC_PF},
    {"asyncPageFaultInt", KVM_CAP_ASYNC_PF_INT},
    {"kvmclockCtrl", KVM_CAP_KVMCLOCK_CTRL},
    {"ioeventfd", KVM_CAP_IOEVENTFD},
    {"irqfd", KVM_CAP_IRQFD},
};

Descriptor OpenKvm(const Napi::CallbackInfo& info, size_t index) {
  std::string path = info.Length() > index && !info[index].IsUndefined() ? StringArg(info, index, "path") : "/dev/kvm";
  Descriptor kvm(open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!kvm.Valid()) throw SystemError(info.Env(), errno, "open", path);
  return kvm;
}

// kvmProbe(path = '/dev/kvm'): {apiVersion, capabilities}.
Napi::Value Probe(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Descriptor kvm = OpenKvm(info, 0);
  int version = ioctl(kvm.Get(), KVM_GET_API_VERSION, 0);
  if (version < 0) throw SystemError(env, errno, "KVM_GET_API_VERSION");
  Napi::Object capabilities = Napi::Object::New(env);
  for (const Capability& capability : kCapabilities) {
    capabilities.Set(capability.name, ioctl(kvm.Get(), KVM_CHECK_EXTENSION, capability.number));
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("apiVersion", version);
  result.Set("capabilities", capabilities);
  return result;
}

// kvmSupportedCpuid(): packed struct kvm_cpuid_entry2, 40 bytes each.
Napi::Value SupportedCpuid(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Descriptor kvm = OpenKvm(info, 0);
  for (uint32_t room = 128; room <= kMaxCpuidEntries; room *= 2) {
    std::vector<kvm_cpuid_entry2> entries(room);
    uint32_t count = room;
    if (kvm_get_supported_cpuid(kvm.Get(), entries.data(), &count) >= 0) {
      Napi::Uint8Array result = Napi::Uint8Array::New(env, count * sizeof(kvm_cpuid_entry2));
      memcpy(result.Data(), entries.data(), result.ByteLength());
      return result;
    }
    if (errno != E2BIG) break;
  }
  throw SystemError(env, errno, "KVM_GET_SUPPORTED_CPUID");
}

using ListMsrs = int (*)(int kvm, uint32_t* indices, uint32_t* count);

std::vector<uint32_t> IndicesOf(Napi::Env env, const Descriptor& kvm, ListMsrs list, const char* call) {
  uint32_t count = 0;
  uint32_t none = 0;
  if (list(kvm.Get(), &none, &count) < 0 && errno != E2BIG) throw SystemError(env, errno, call);
  std::vector<uint32_t> indices(count);
  if (count > 0 && list(kvm.Get(), indices.data(), &count) < 0) throw SystemError(env, errno, call);
  return indices;
}

// kvmMsrIndices(): Uint32Array of the MSRs whose state makes up a vCPU (KVM_GET_MSR_INDEX_LIST).
Napi::Value MsrIndices(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Descriptor kvm = OpenKvm(info, 0);
  const std::vector<uint32_t> indices = IndicesOf(env, kvm, kvm_get_msr_indices, "KVM_GET_MSR_INDEX_LIST");
  Napi::Uint32Array result = Napi::Uint32Array::New(env, indices.size());
  std::copy(indices.begin(), indices.end(), result.Data());
  return result;
}

// kvmFeatureMsrs(): packed struct kvm_msr_entry, 16 bytes each: what the MSRs that tell features would tell a guest
// here.
Napi::Value FeatureMsrs(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Descriptor kvm = OpenKvm(info, 0);
  return ReadMsrs(env, kvm.Get(), IndicesOf(env, kvm, kvm_get_msr_feature_indices, "KVM_GET_MSR_FEATURE_INDEX_LIST"));
}

}  // namespace

void InitKvm(Napi::Env env, Napi::Object exports) {
  exports.Set("kvmProbe", Napi::Function::New(env, Probe));
  exports.Set("kvmSupportedCpuid", Napi::Function::New(env, SupportedCpuid));
  exports.Set("kvmMsrIndices", Napi::Function::New(env, MsrIndices));
  exports.Set("kvmFeatureMsrs", Napi::Function::New(env, FeatureMsrs));
}

}  // namespace postcopy
