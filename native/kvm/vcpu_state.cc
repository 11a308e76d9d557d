#include "kvm/vcpu_state.h"

#include <linux/kvm.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "kvm/flexible_structs.h"
#include "util/errors.h"

namespace postcopy {
namespace {

struct VcpuState {
  const char* name;
  size_t bytes;
  unsigned long get;
  unsigned long set;
};

constexpr VcpuState kStates[] = {
    {"regs", sizeof(kvm_regs), KVM_GET_REGS, KVM_SET_REGS},
    {"sregs", sizeof(kvm_sregs), KVM_GET_SREGS, KVM_SET_SREGS},
    {"debugregs", sizeof(kvm_debugregs), KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS},
    {"xcrs", sizeof(kvm_xcrs), KVM_GET_XCRS, KVM_SET_XCRS},
    {"mpState", sizeof(kvm_mp_state), KVM_GET_MP_STATE, KVM_SET_MP_STATE},
    {"vcpuEvents", sizeof(kvm_vcpu_events), KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS},
    {"lapic", sizeof(kvm_lapic_state), KVM_GET_LAPIC, KVM_SET_LAPIC},
};

// The size of XSAVE state depends on the host where there is KVM_CAP_XSAVE2.
struct XsaveFormat {
  size_t bytes;
  int (*get)(int vcpu, void* xsave);
};

XsaveFormat Xsave(KvmVcpu& vcpu) {
  int bytes = ioctl(vcpu.Machine().fd.Get(), KVM_CHECK_EXTENSION, KVM_CAP_XSAVE2);
  if (bytes <= 0) return {kvm_xsave_bytes(), kvm_get_xsave};
  return {std::max<size_t>(static_cast<size_t>(bytes), kvm_xsave_bytes()), kvm_get_xsave2};
}

void Check(Napi::Env env, int result, const std::string& what) {
  if (result < 0) throw SystemError(env, errno, what.c_str());
}

void CheckSize(Napi::Env env, const std::string& name, size_t given, size_t wanted) {
  if (given == wanted) return;
  throw Napi::RangeError::New(env,
                              name + " must be " + std::to_string(wanted) + " bytes, not " + std::to_string(given));
}

const VcpuState& Find(Napi::Env env, const std::string& name) {
  for (const VcpuState& state : kStates) {
    if (name == state.name) return state;
  }
  throw Napi::RangeError::New(env, "no such vCPU state: " + name);
}

}  // namespace

Napi::Value GetVcpuState(Napi::Env env, KvmVcpu& vcpu, const std::string& name) {
  const bool is_xsave = name == "xsave";
  const VcpuState& state = is_xsave ? kStates[0] : Find(env, name);
  const XsaveFormat xsave = Xsave(vcpu);
  Napi::Uint8Array result = Napi::Uint8Array::New(env, is_xsave ? xsave.bytes : state.bytes);
  memset(result.Data(), 0, result.ByteLength());
  Check(env, is_xsave ? xsave.get(vcpu.Fd(), result.Data()) : ioctl(vcpu.Fd(), state.get, result.Data()),
        "get vCPU " + name);
  return result;
}

void SetVcpuState(Napi::Env env, KvmVcpu& vcpu, const std::string& name, const Napi::Uint8Array& bytes) {
  const bool is_xsave = name == "xsave";
  const VcpuState& state = is_xsave ? kStates[0] : Find(env, name);
  CheckSize(env, name, bytes.ByteLength(), is_xsave ? Xsave(vcpu).bytes : state.bytes);
  Check(env, is_xsave ? kvm_set_xsave(vcpu.Fd(), bytes.Data()) : ioctl(vcpu.Fd(), state.set, bytes.Data()),
        "set vCPU " + name);
}

Napi::Value GetMsrs(Napi::Env env, KvmVcpu& vcpu, const Napi::Uint32Array& indices) {
  return ReadMsrs(env, vcpu.Fd(), {indices.Data(), indices.Data() + indices.ElementLength()});
}

Napi::Value ReadMsrs(Napi::Env env, int fd, const std::vector<uint32_t>& indices) {
  std::vector<kvm_msr_entry> entries(indices.size());
  for (size_t i = 0; i < entries.size(); i++) entries[i].index = indices[i];
  std::vector<kvm_msr_entry> read;
  for (size_t at = 0; at < entries.size();) {
    int got = kvm_get_msrs(fd, &entries[at], static_cast<uint32_t>(entries.size() - at));
    if (got < 0) throw SystemError(env, errno, "KVM_GET_MSRS");
    read.insert(read.end(), entries.begin() + at, entries.begin() + at + got);
    at += static_cast<size_t>(got) + 1;  // KVM stops at the first MSR that is not there: pass over it
  }
  Napi::Uint8Array result = Napi::Uint8Array::New(env, read.size() * sizeof(kvm_msr_entry));
  if (!read.empty()) memcpy(result.Data(), read.data(), result.ByteLength());
  return result;
}

uint32_t SetMsrs(Napi::Env env, KvmVcpu& vcpu, const Napi::Uint8Array& entries) {
  size_t count = entries.ByteLength() / sizeof(kvm_msr_entry);
  CheckSize(env, "MSR entries", entries.ByteLength(), count * sizeof(kvm_msr_entry));
  int set = kvm_set_msrs(vcpu.Fd(), entries.Data(), static_cast<uint32_t>(count));
  if (set < 0) throw SystemError(env, errno, "KVM_SET_MSRS");
  return static_cast<uint32_t>(set);
}

void SetCpuid(Napi::Env env, KvmVcpu& vcpu, const Napi::Uint8Array& entries) {
  size_t count = entries.ByteLength() / sizeof(kvm_cpuid_entry2);
  CheckSize(env, "CPUID entries", entries.ByteLength(), count * sizeof(kvm_cpuid_entry2));
  if (kvm_set_cpuid(vcpu.Fd(), entries.Data(), static_cast<uint32_t>(count)) < 0) {
    throw SystemError(env, errno, "KVM_SET_CPUID2");
  }
}

}  // namespace postcopy
