#pragma once
#include <optional>

#include "kvm/vcpu_thread.h"
#include "threads/guest_context.h"

namespace postcopy {

// A vCPU of the machine of threads: its thread runs the guest's ring-3 code itself, in guest RAM. There is no ring 0
// and no interrupt; `in` and `out`, which the processor refuses here, are done as KVM does them.
class ThreadVcpu : public VcpuThread {
 public:
  // Port for a guest that has nothing to do: `out %eax` gives the core away for so many microseconds at most.
  static constexpr uint16_t kIdlePort = 0xed;
  // The exit reason of an exception, beside KVM's own (src/machine/vcpu-stop.ts); the detail is its vector.
  static constexpr uint32_t kException = 0xfffffffe;

  // Throws std::system_error.
  ThreadVcpu(std::shared_ptr<VmResource> vm, uint32_t index);

  // Of a parked one.
  GuestContext& Context() { return context_; }

 private:
  void Begin() override { context_.Begin(); }
  bool RunUntilPaused() override;
  bool HandleExit(const GuestContext::Exit& exit);
  bool InRam(uint64_t address) const;
  std::optional<bool> HandlePortInstruction();

  GuestContext context_;
};

}  // namespace postcopy
