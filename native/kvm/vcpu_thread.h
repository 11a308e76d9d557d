#pragma once
#include <sys/types.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

#include "kvm/exit_queue.h"
#include "kvm/vm.h"

namespace postcopy {

// A vCPU and the thread that runs it. The thread is either parked (its state can be read and set from anywhere) or in
// the guest; device accesses go through the VM's exit queue. How the guest is run is the kind's business: KvmVcpu,
// ThreadVcpu.
class VcpuThread {
 public:
  // Exit reasons beside KVM's own (src/machine/vcpu-stop.ts): a page of guest RAM is lost to a memory error of this
  // host; the detail is its number. The vCPU is about to touch it, or KVM is in the middle of an instruction that does.
  static constexpr uint32_t kLostPage = 0xfffffffd;
  static constexpr uint32_t kLostPageEmulated = 0xfffffffc;

  virtual ~VcpuThread() = default;
  VcpuThread(const VcpuThread&) = delete;
  VcpuThread& operator=(const VcpuThread&) = delete;

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
  // CLOCK_MONOTONIC in microseconds when the vCPU last parked.
  double ParkedAt() const { return parked_at_; }

  // Ends the thread. False if it did not within the time (then it must never be destroyed).
  bool Stop(int timeout_ms);

 protected:
  VcpuThread(std::shared_ptr<VmResource> vm, uint32_t index);

  // The kind calls it as the last thing in its constructor: the thread calls what the kind overrides.
  void Start();
  bool PauseRequested() const { return pause_requested_; }
  // vCPU thread: gives its core away for so long, or until it is to park.
  void Idle(uint32_t micros);
  // vCPU thread: an access to a port or to memory that is no RAM. `data`: the bytes of a write, or room for those of a
  // read. False when the queue was closed.
  bool HandlePort(ExitRecord record, uint8_t* data);
  bool HandleAccess(ExitRecord record, uint8_t* data);
  void ReportStopped(uint32_t reason, uint64_t detail);
  // The same for one of the reasons above; `address`: where the page is in this process.
  void ReportLostPage(uint32_t reason, uintptr_t address);

 private:
  // vCPU thread, once: before anything else.
  virtual void Begin() {}
  // vCPU thread: runs the guest until a pause is requested. False when the vCPU cannot go on.
  virtual bool RunUntilPaused() = 0;
  // Any thread, under the lock: a pause is requested, or taken back. The kick signal follows a request.
  virtual void PauseChanged(bool requested) {}

  void Main();
  bool HandleSerial(ExitRecord record, uint8_t* data);

  std::shared_ptr<VmResource> vm_;
  uint32_t index_;

  std::mutex mutex_;
  std::condition_variable changed_;
  bool want_run_ = false;
  bool parked_ = true;
  bool quit_ = false;
  bool ended_ = false;
  pid_t thread_id_ = 0;  // set before Start() returns
  std::atomic<bool> pause_requested_{false};
  std::atomic<double> parked_at_{0};
  std::thread thread_;
};

}  // namespace postcopy
