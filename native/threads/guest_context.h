#pragma once
#include <ucontext.h>

#include <cstddef>
#include <cstdint>
#include <memory>

namespace postcopy {

// The registers of a guest that runs as a thread of this process, and the way into it and out again.
//
//   Enter()  writes a signal frame with the guest's registers and returns from it, rt_sigreturn(2): the kernel loads
//            general, x87, vector and mask registers at once, and unblocks the kick, so that none is missed.
//   Leave()  is called by the handler of the signal that took the thread out of the guest: it keeps the registers of
//            the frame that the kernel wrote, and has the handler return to where Enter() was called.
//
// So the kernel saves and loads, in the format of XSAVE, whatever registers this CPU has; and a guest can be left at
// any instruction. FS and GS base stay the host thread's, and are no part of the guest.
class GuestContext {
 public:
  // In the order of struct kvm_regs.
  struct Registers {
    uint64_t rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp, r8, r9, r10, r11, r12, r13, r14, r15, rip, rflags;
  };
  // Why the guest was left: the signal, and of an exception its vector and the address of a page fault.
  struct Exit {
    int signal;
    int vector;
    uint64_t address;
  };

  GuestContext();
  ~GuestContext();
  GuestContext(const GuestContext&) = delete;
  GuestContext& operator=(const GuestContext&) = delete;

  // On the thread that will run the guest, once: its signal stack, and what a signal frame looks like here.
  void Begin();

  // Until a signal.
  Exit Enter();
  void Leave(int signal, ucontext_t* frame);
  // The guest that this thread is in; nullptr if it is in none.
  static GuestContext* Running();

  // Only while the guest does not run.
  Registers& General() { return general_; }
  size_t XsaveBytes() const { return xsave_bytes_; }
  // The XSAVE area in the standard format (Intel SDM vol. 1, 13.4), the bytes that are software's zero.
  void GetXsave(uint8_t* into) const;
  // False if the processor would not load it.
  bool SetXsave(const uint8_t* from);

 private:
  void Capture(const ucontext_t* frame);

  Registers general_{};
  Exit exit_{};
  // A signal frame's: with the kernel's magic numbers behind and in it.
  uint8_t* xsave_ = nullptr;
  size_t xsave_bytes_ = 0;
  uint64_t xfeatures_ = 0;
  uint32_t mxcsr_mask_ = 0;
  // The stack pointer within Enter().
  void* host_stack_ = nullptr;
  sigset_t host_mask_{};
  bool capturing_ = false;
  std::unique_ptr<uint8_t[]> signal_stack_;
};

}  // namespace postcopy
