#pragma once
#include <linux/kvm.h>
#include <sys/types.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

#include "kvm/exit_queue.h"
#include "kvm/vm.h"
#include "util/descriptor.h"

namespace postcopy {

// A vCPU and the thread that runs it. The thread is either parked (its state can be read and set from anywhere) or in
// KVM_RUN; device accesses go through the VM's exit queue.
class VcpuThread {
 public:
  // Throws std::system_error.
  VcpuThread(std::shared_ptr<VmResource> vm, uint32_t index);
  ~VcpuThread();
  VcpuThread(const VcpuThread&) = delete;
  VcpuThread& operator=(const VcpuThread&) = delete;

  int Fd() const { return fd_.Get(); }
  uint32_t Index() const { return index_; }
  VmResource& Machine() const { return *vm_; }

  // Also takes back a pause that was asked for and has not come about.
  void Resume();
  // Asks the vCPU to park; returns at once. A vCPU that waits for a missing page parks when the page has come.
  void RequestPause();
  bool WaitParked(int timeout_ms);
  // Its thread's priority; it begins with its maker's. False if this process may not.
  bool SetNice(int nice);
  bool Parked();
  // CLOCK_MONOTONIC in microseconds when the vCPU last parked, and last entered the guest after being parked.
  double ParkedAt() const { return parked_at_; }
  double ResumedAt() const { return resumed_at_; }

  // Ends the thread. False if it did not within the time (then it must never be destroyed).
  bool Stop(int timeout_ms);

 private:
  void Main();
  bool RunUntilPaused();
  bool HandleExit();
  bool HandlePort();
  bool HandleSerial(ExitRecord record, uint8_t* data);
  bool HandleMmio();
  bool HandleAccess(ExitRecord record, uint8_t* data);
  void ReportStopped(uint32_t reason, uint64_t detail);

  std::shared_ptr<VmResource> vm_;
  uint32_t index_;
  Descriptor fd_;
  kvm_run* run_ = nullptr;
  size_t run_bytes_ = 0;

  std::mutex mutex_;
  std::condition_variable changed_;
  bool want_run_ = false;
  bool parked_ = true;
  bool quit_ = false;
  bool ended_ = false;
  pid_t thread_id_ = 0;  // set before the constructor returns
  std::atomic<bool> pause_requested_{false};
  std::atomic<double> parked_at_{0};
  std::atomic<double> resumed_at_{0};
  std::thread thread_;
};

}  // namespace postcopy
