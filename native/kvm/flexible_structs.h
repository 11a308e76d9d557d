#pragma once
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// The KVM calls whose structures end in a flexible array, written in C: in C++ the flexible arrays of <linux/kvm.h>
// make these structures larger than the kernel's, and with them the numbers of the calls. All return what ioctl(2)
// returns; -1 with errno ENOMEM as well.

// `entries`: packed struct kvm_cpuid_entry2; `count`: room in, entries out.
int kvm_get_supported_cpuid(int kvm, void* entries, uint32_t* count);
int kvm_set_cpuid(int vcpu, const void* entries, uint32_t count);
// `indices`: room for *count in; *count is the number there are, also with E2BIG.
int kvm_get_msr_indices(int kvm, uint32_t* indices, uint32_t* count);
int kvm_get_msr_feature_indices(int kvm, uint32_t* indices, uint32_t* count);
// `entries`: packed struct kvm_msr_entry. Return the number of MSRs done. `fd`: a vCPU, or /dev/kvm for MSRs of
// features.
int kvm_get_msrs(int fd, void* entries, uint32_t count);
int kvm_set_msrs(int vcpu, const void* entries, uint32_t count);

// `entries`: packed struct kvm_irq_routing_entry.
int kvm_set_gsi_routing(int vm, const void* entries, uint32_t count);

// sizeof(struct kvm_xsave); with KVM_CAP_XSAVE2 the state can be larger, and only kvm_get_xsave2 reads it whole.
uint32_t kvm_xsave_bytes(void);
int kvm_get_xsave(int vcpu, void* xsave);
int kvm_get_xsave2(int vcpu, void* xsave);
int kvm_set_xsave(int vcpu, const void* xsave);

#ifdef __cplusplus
}
#endif
