#pragma once
#include <linux/kvm.h>

#include "kvm/vcpu_signals.h"
#include "kvm/vcpu_thread.h"
#include "util/descriptor.h"

namespace postcopy {

// A vCPU of KVM: its thread is in KVM_RUN.
class KvmVcpu : public VcpuThread {
 public:
  // Throws std::system_error.
  KvmVcpu(std::shared_ptr<VmResource> vm, uint32_t index);
  ~KvmVcpu() override;

  int Fd() const { return fd_.Get(); }

 private:
  void Begin() override { NoteLostPages(); }
  bool RunUntilPaused() override;
  void PauseChanged(bool requested) override { run_->immediate_exit = requested ? 1 : 0; }

  bool HandleExit();
  bool HandlePorts();
  bool HandleMmio();

  Descriptor fd_;
  kvm_run* run_ = nullptr;
  size_t run_bytes_ = 0;
};

}  // namespace postcopy
