#include "kvm/flexible_structs.h"

#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

int kvm_get_supported_cpuid(int kvm, void* entries, uint32_t* count) {
  struct kvm_cpuid2* list = calloc(1, sizeof *list + *count * sizeof list->entries[0]);
  if (list == NULL) return -1;
  list->nent = *count;
  int result = ioctl(kvm, KVM_GET_SUPPORTED_CPUID, list);
  if (result >= 0) {
    *count = list->nent;
    memcpy(entries, list->entries, list->nent * sizeof list->entries[0]);
  }
  free(list);
  return result;
}

int kvm_set_cpuid(int vcpu, const void* entries, uint32_t count) {
  struct kvm_cpuid2* list = calloc(1, sizeof *list + count * sizeof list->entries[0]);
  if (list == NULL) return -1;
  list->nent = count;
  memcpy(list->entries, entries, count * sizeof list->entries[0]);
  int result = ioctl(vcpu, KVM_SET_CPUID2, list);
  free(list);
  return result;
}

static int get_indices(int kvm, unsigned long request, uint32_t* indices, uint32_t* count) {
  struct kvm_msr_list* list = calloc(1, sizeof *list + *count * sizeof list->indices[0]);
  if (list == NULL) return -1;
  list->nmsrs = *count;
  int result = ioctl(kvm, request, list);
  if (result >= 0) memcpy(indices, list->indices, list->nmsrs * sizeof list->indices[0]);
  *count = list->nmsrs;
  free(list);
  return result;
}

int kvm_get_msr_indices(int kvm, uint32_t* indices, uint32_t* count) {
  return get_indices(kvm, KVM_GET_MSR_INDEX_LIST, indices, count);
}

int kvm_get_msr_feature_indices(int kvm, uint32_t* indices, uint32_t* count) {
  return get_indices(kvm, KVM_GET_MSR_FEATURE_INDEX_LIST, indices, count);
}

static int call_msrs(int vcpu, unsigned long request, void* entries, uint32_t count) {
  struct kvm_msrs* list = calloc(1, sizeof *list + count * sizeof list->entries[0]);
  if (list == NULL) return -1;
  list->nmsrs = count;
  memcpy(list->entries, entries, count * sizeof list->entries[0]);
  int result = ioctl(vcpu, request, list);
  if (result > 0 && request == KVM_GET_MSRS) memcpy(entries, list->entries, result * sizeof list->entries[0]);
  free(list);
  return result;
}

int kvm_get_msrs(int fd, void* entries, uint32_t count) { return call_msrs(fd, KVM_GET_MSRS, entries, count); }

int kvm_set_msrs(int vcpu, const void* entries, uint32_t count) {
  return call_msrs(vcpu, KVM_SET_MSRS, (void*)entries, count);
}

int kvm_set_gsi_routing(int vm, const void* entries, uint32_t count) {
  struct kvm_irq_routing* list = calloc(1, sizeof *list + count * sizeof list->entries[0]);
  if (list == NULL) return -1;
  list->nr = count;
  memcpy(list->entries, entries, count * sizeof list->entries[0]);
  int result = ioctl(vm, KVM_SET_GSI_ROUTING, list);
  free(list);
  return result;
}

uint32_t kvm_xsave_bytes(void) { return sizeof(struct kvm_xsave); }

int kvm_get_xsave(int vcpu, void* xsave) { return ioctl(vcpu, KVM_GET_XSAVE, xsave); }

int kvm_get_xsave2(int vcpu, void* xsave) { return ioctl(vcpu, KVM_GET_XSAVE2, xsave); }

int kvm_set_xsave(int vcpu, const void* xsave) { return ioctl(vcpu, KVM_SET_XSAVE, xsave); }
