#pragma once
#include <napi.h>

#include <string>
#include <vector>

#include "kvm/kvm_vcpu.h"

namespace postcopy {

// KVM_GET_* and KVM_SET_* of a parked vCPU, by name, as the kernel's structures.
Napi::Value GetVcpuState(Napi::Env env, KvmVcpu& vcpu, const std::string& name);
void SetVcpuState(Napi::Env env, KvmVcpu& vcpu, const std::string& name, const Napi::Uint8Array& bytes);

// Packed struct kvm_msr_entry (16 bytes: index, reserved, value) of those indices that can be read.
Napi::Value GetMsrs(Napi::Env env, KvmVcpu& vcpu, const Napi::Uint32Array& indices);
// The same of any descriptor that has MSRs: /dev/kvm for those that tell features.
Napi::Value ReadMsrs(Napi::Env env, int fd, const std::vector<uint32_t>& indices);
// Sets packed entries in order; returns the number set: fewer than given when one was refused.
uint32_t SetMsrs(Napi::Env env, KvmVcpu& vcpu, const Napi::Uint8Array& entries);

// CPUID as packed struct kvm_cpuid_entry2.
void SetCpuid(Napi::Env env, KvmVcpu& vcpu, const Napi::Uint8Array& entries);

}  // namespace postcopy
