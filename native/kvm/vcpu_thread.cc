#include "kvm/vcpu_thread.h"

#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <ctime>
#include <system_error>

namespace postcopy {
namespace {

[[noreturn]] void Fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

double Now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

int KickSignal() { return SIGRTMIN + 5; }

// The kick does nothing but interrupt KVM_RUN.
void InstallKickHandler() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    sigemptyset(&action.sa_mask);
    sigaction(KickSignal(), &action, nullptr);
  });
}

// vCPU threads take no signal but the kick; the process's own are the main thread's.
void BlockOtherSignals() {
  sigset_t set;
  sigfillset(&set);
  sigdelset(&set, KickSignal());
  sigdelset(&set, SIGSEGV);
  sigdelset(&set, SIGBUS);
  pthread_sigmask(SIG_SETMASK, &set, nullptr);
}

}  // namespace

VcpuThread::VcpuThread(std::shared_ptr<VmResource> vm, uint32_t index) : vm_(std::move(vm)), index_(index) {
  int run_bytes = ioctl(vm_->kvm.Get(), KVM_GET_VCPU_MMAP_SIZE, 0);
  if (run_bytes < static_cast<int>(sizeof(kvm_run))) Fail("KVM_GET_VCPU_MMAP_SIZE");
  run_bytes_ = static_cast<size_t>(run_bytes);
  fd_ = Descriptor(ioctl(vm_->fd.Get(), KVM_CREATE_VCPU, static_cast<unsigned long>(index)));
  if (!fd_.Valid()) Fail("KVM_CREATE_VCPU");
  void* run = mmap(nullptr, run_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.Get(), 0);
  if (run == MAP_FAILED) Fail("mmap kvm_run");
  run_ = static_cast<kvm_run*>(run);
  InstallKickHandler();
  thread_ = std::thread([this] { Main(); });
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return thread_id_ != 0; });
}

VcpuThread::~VcpuThread() {
  if (run_ != nullptr) munmap(run_, run_bytes_);
}

void VcpuThread::Main() {
  pthread_setname_np(pthread_self(), ("vcpu" + std::to_string(index_)).c_str());
  BlockOtherSignals();
  std::unique_lock lock(mutex_);
  thread_id_ = static_cast<pid_t>(syscall(SYS_gettid));
  changed_.notify_all();
  while (true) {
    changed_.wait(lock, [this] { return want_run_ || quit_; });
    if (quit_) break;
    parked_ = false;
    lock.unlock();
    resumed_at_ = Now();
    const bool can_go_on = RunUntilPaused();
    parked_at_ = Now();
    lock.lock();
    // The pause may have been taken back while this thread was on its way here.
    want_run_ = can_go_on && !pause_requested_;
    parked_ = true;
    changed_.notify_all();
  }
  ended_ = true;
  changed_.notify_all();
}

// False when the vCPU cannot go on.
bool VcpuThread::RunUntilPaused() {
  while (true) {
    int result = ioctl(fd_.Get(), KVM_RUN, 0);
    if (result < 0) {
      // EINTR: the kick. KVM completes a pending port or MMIO access before it looks at immediate_exit, so here, and
      // only here, the vCPU's state is whole. EAGAIN: a vCPU that waits for INIT was woken.
      if (errno == EINTR || errno == EAGAIN) {
        if (pause_requested_.load()) return true;
        continue;
      }
      ReportStopped(UINT32_MAX, static_cast<uint64_t>(errno));
      return false;
    }
    if (!HandleExit()) return false;
  }
}

// False when the vCPU cannot go on.
bool VcpuThread::HandleExit() {
  switch (run_->exit_reason) {
    case KVM_EXIT_IO:
      return HandlePort();
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

bool VcpuThread::HandlePort() {
  auto* data = reinterpret_cast<uint8_t*>(run_) + run_->io.data_offset;
  const bool is_write = run_->io.direction == KVM_EXIT_IO_OUT;
  for (uint32_t i = 0; i < run_->io.count; i++, data += run_->io.size) {
    const ExitRecord record{index_, ExitKind::kPort, is_write, run_->io.size, run_->io.port, 0};
    const bool is_serial = SerialShadow::Has(record.address);
    if (!(is_serial ? HandleSerial(record, data) : HandleAccess(record, data))) return false;
  }
  return true;
}

// As HandleAccess().
bool VcpuThread::HandleSerial(ExitRecord record, uint8_t* data) {
  SerialShadow& serial = vm_->serial;
  std::unique_lock order(serial.Order());
  if (record.is_write) {
    uint32_t value = 0;
    memcpy(&value, data, std::min<size_t>(record.size, sizeof value));
    serial.Write(record.address, record.size, value);
    return HandleAccess(record, data);
  }
  bool tell = false;
  if (!serial.Read(record.address, record.size, *data, tell)) {
    order.unlock();
    return HandleAccess(record, data);
  }
  if (!tell) return true;
  record.kind = ExitKind::kPortAnswered;
  record.data = *data;
  return vm_->exits->Write(record);
}

bool VcpuThread::HandleMmio() {
  if (vm_->virtio.Access(run_->mmio.phys_addr, run_->mmio.is_write, run_->mmio.len, run_->mmio.data)) return true;
  return HandleAccess({index_, ExitKind::kMmio, run_->mmio.is_write, run_->mmio.len, run_->mmio.phys_addr, 0},
                      run_->mmio.data);
}

// `data`: where KVM has the bytes of a write, and wants those of a read. False when the queue was closed.
bool VcpuThread::HandleAccess(ExitRecord record, uint8_t* data) {
  const size_t bytes = std::min<size_t>(record.size, sizeof record.data);
  if (record.is_write) {
    memcpy(&record.data, data, bytes);
    return vm_->exits->Write(record);
  }
  uint64_t answer = 0;
  if (!vm_->exits->Read(record, answer)) return false;
  memcpy(data, &answer, bytes);
  return true;
}

void VcpuThread::ReportStopped(uint32_t reason, uint64_t detail) {
  vm_->exits->Report({index_, ExitKind::kStopped, 0, 0, reason, detail});
}

void VcpuThread::Resume() {
  std::lock_guard lock(mutex_);
  if (quit_) return;
  pause_requested_ = false;
  run_->immediate_exit = 0;
  if (parked_) want_run_ = true;
  changed_.notify_all();
}

void VcpuThread::RequestPause() {
  std::lock_guard lock(mutex_);
  if (parked_ && !want_run_) return;
  pause_requested_ = true;
  // In this order: a vCPU about to enter sees immediate_exit, one that is in the guest gets the signal.
  run_->immediate_exit = 1;
  std::atomic_thread_fence(std::memory_order_seq_cst);
  pthread_kill(thread_.native_handle(), KickSignal());
}

bool VcpuThread::WaitParked(int timeout_ms) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::milliseconds(timeout_ms), [this] { return parked_ && !want_run_; });
}

bool VcpuThread::SetNice(int nice) { return setpriority(PRIO_PROCESS, static_cast<id_t>(thread_id_), nice) == 0; }

bool VcpuThread::Parked() {
  std::lock_guard lock(mutex_);
  return parked_ && !want_run_;
}

bool VcpuThread::Stop(int timeout_ms) {
  RequestPause();
  {
    std::unique_lock lock(mutex_);
    quit_ = true;
    changed_.notify_all();
    if (!changed_.wait_for(lock, std::chrono::milliseconds(timeout_ms), [this] { return ended_; })) return false;
  }
  if (thread_.joinable()) thread_.join();
  return true;
}

}  // namespace postcopy
