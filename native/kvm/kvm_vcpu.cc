#include "kvm/kvm_vcpu.h"

#include <sys/ioctl.h>
#include <sys/mman.h>

#include <cerrno>
#include <system_error>

namespace postcopy {
namespace {

[[noreturn]] void Fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

}  // namespace

KvmVcpu::KvmVcpu(std::shared_ptr<VmResource> vm, uint32_t index) : VcpuThread(std::move(vm), index) {
  int run_bytes = ioctl(Machine().kvm.Get(), KVM_GET_VCPU_MMAP_SIZE, 0);
  if (run_bytes < static_cast<int>(sizeof(kvm_run))) Fail("KVM_GET_VCPU_MMAP_SIZE");
  run_bytes_ = static_cast<size_t>(run_bytes);
  fd_ = Descriptor(ioctl(Machine().fd.Get(), KVM_CREATE_VCPU, static_cast<unsigned long>(index)));
  if (!fd_.Valid()) Fail("KVM_CREATE_VCPU");
  void* run = mmap(nullptr, run_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.Get(), 0);
  if (run == MAP_FAILED) Fail("mmap kvm_run");
  run_ = static_cast<kvm_run*>(run);
  Start();
}

KvmVcpu::~KvmVcpu() {
  if (run_ != nullptr) munmap(run_, run_bytes_);
}

bool KvmVcpu::RunUntilPaused() {
  while (true) {
    int result = ioctl(fd_.Get(), KVM_RUN, 0);
    if (result < 0) {
      // EINTR: the kick. KVM completes a pending port or MMIO access before it looks at immediate_exit, so here, and
      // only here, the vCPU's state is whole. EAGAIN: a vCPU that waits for INIT was woken.
      if (errno == EINTR || errno == EAGAIN) {
        const uintptr_t lost = TakeLostPage();
        if (PauseRequested()) return true;  // it comes to a lost page again
        if (lost == 0) continue;
        ReportLostPage(kLostPage, lost);
        return false;
      }
      ReportStopped(UINT32_MAX, static_cast<uint64_t>(errno));
      return false;
    }
    if (!HandleExit()) return false;
  }
}

// False when the vCPU cannot go on.
bool KvmVcpu::HandleExit() {
  switch (run_->exit_reason) {
    case KVM_EXIT_IO:
      return HandlePorts();
    case KVM_EXIT_MMIO:
      return HandleMmio();
    case KVM_EXIT_INTR:
    case KVM_EXIT_IRQ_WINDOW_OPEN:
    case KVM_EXIT_HLT:
      return true;
    case KVM_EXIT_FAIL_ENTRY:
      ReportStopped(run_->exit_reason, run_->fail_entry.hardware_entry_failure_reason);
      return false;
    case KVM_EXIT_INTERNAL_ERROR:
      ReportStopped(run_->exit_reason, run_->internal.suberror);
      return false;
    case KVM_EXIT_SYSTEM_EVENT:
      ReportStopped(run_->exit_reason, run_->system_event.type);
      return false;
    default:  // KVM_EXIT_SHUTDOWN (triple fault) and whatever we never asked for
      ReportStopped(run_->exit_reason, 0);
      return false;
  }
}

bool KvmVcpu::HandlePorts() {
  auto* data = reinterpret_cast<uint8_t*>(run_) + run_->io.data_offset;
  const bool is_write = run_->io.direction == KVM_EXIT_IO_OUT;
  for (uint32_t i = 0; i < run_->io.count; i++, data += run_->io.size) {
    if (!HandlePort({Index(), ExitKind::kPort, is_write, run_->io.size, run_->io.port, 0}, data)) return false;
  }
  return true;
}

bool KvmVcpu::HandleMmio() {
  if (Machine().virtio.Access(run_->mmio.phys_addr, run_->mmio.is_write, run_->mmio.len, run_->mmio.data)) return true;
  // KVM carries out the instruction itself, and takes RAM for a device when it cannot get at it.
  if (const uint8_t* lost = Machine().RamAt(run_->mmio.phys_addr)) {
    ReportLostPage(kLostPageEmulated, reinterpret_cast<uintptr_t>(lost));
    return false;
  }
  return HandleAccess({Index(), ExitKind::kMmio, run_->mmio.is_write, run_->mmio.len, run_->mmio.phys_addr, 0},
                      run_->mmio.data);
}

}  // namespace postcopy
