#include "kvm/vcpu_thread.h"

#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <ctime>

#include "kvm/vcpu_signals.h"

namespace postcopy {
namespace {

double Now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

}  // namespace

VcpuThread::VcpuThread(std::shared_ptr<VmResource> vm, uint32_t index) : vm_(std::move(vm)), index_(index) {}

void VcpuThread::Start() {
  InstallVcpuSignals();
  thread_ = std::thread([this] { Main(); });
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return thread_id_ != 0; });
}

void VcpuThread::Main() {
  pthread_setname_np(pthread_self(), ("vcpu" + std::to_string(index_)).c_str());
  pthread_sigmask(SIG_SETMASK, &VcpuSignalMask(), nullptr);
  Begin();
  std::unique_lock lock(mutex_);
  thread_id_ = static_cast<pid_t>(syscall(SYS_gettid));
  changed_.notify_all();
  while (true) {
    changed_.wait(lock, [this] { return want_run_ || quit_; });
    if (quit_) break;
    parked_ = false;
    lock.unlock();
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

bool VcpuThread::HandlePort(ExitRecord record, uint8_t* data) {
  return SerialShadow::Has(record.address) ? HandleSerial(record, data) : HandleAccess(record, data);
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

void VcpuThread::ReportLostPage(uint32_t reason, uintptr_t address) {
  const auto base = reinterpret_cast<uintptr_t>(vm_->memslots.front().ram->Base());
  ReportStopped(reason, (address - base) / kPageSize);
}

void VcpuThread::Resume() {
  std::lock_guard lock(mutex_);
  if (quit_) return;
  pause_requested_ = false;
  PauseChanged(false);
  if (parked_) want_run_ = true;
  changed_.notify_all();
}

void VcpuThread::RequestPause() {
  std::lock_guard lock(mutex_);
  if (parked_ && !want_run_) return;
  pause_requested_ = true;
  // In this order: a vCPU about to enter sees the request, one that is in the guest gets the signal.
  PauseChanged(true);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  pthread_kill(thread_.native_handle(), KickSignal());
  changed_.notify_all();
}

void VcpuThread::Idle(uint32_t micros) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, std::chrono::microseconds(micros), [this] { return PauseRequested(); });
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
