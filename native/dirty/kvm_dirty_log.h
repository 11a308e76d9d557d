#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "dirty/dirty_log.h"
#include "kvm/vm.h"

namespace postcopy {

// A dirty log by KVM, with manual protection (Documentation/virt/kvm/api.rst, KVM_CLEAR_DIRTY_LOG): it has a bit for
// each page that a vCPU writes, or that KVM writes for the guest (its clock, stolen time, asynchronous page faults).
// What this process writes itself comes from the marks of RAM. Linux 5.2.
class KvmDirtyLog : public DirtyLog {
 public:
  // Throws std::system_error: EOPNOTSUPP if KVM has no manual protection, or there is no KVM.
  KvmDirtyLog(std::shared_ptr<Ram> ram, std::shared_ptr<VmResource> vm);
  ~KvmDirtyLog() override { Stop(); }

 protected:
  void Start() override;
  std::vector<Ram::Extent> Take() override;
  void Stop() override;

 private:
  // Bits of a slot's pages.
  using Words = std::vector<uint64_t>;

  int Call(unsigned long request, void* argument) const;
  // KVM keeps a bit a page of it, or does not.
  int KeepLog(const Memslot& slot, bool keep) const;
  Words Get(const Memslot& slot) const;
  // Clears those bits, and protects those pages, of which KVM has the bit set.
  void Clear(const Memslot& slot, Words& words) const;

  std::shared_ptr<Ram> ram_;
  std::shared_ptr<VmResource> vm_;
  bool begun_ = false;
};

}  // namespace postcopy
