#include "threads/thread_vcpu.h"

#include <algorithm>
#include <cstring>

#include "kvm/vcpu_signals.h"
#include "threads/port_instruction.h"

namespace postcopy {
namespace {

constexpr int kGeneralProtection = 13;
constexpr int kPageFault = 14;
constexpr uint32_t kLongestIdleMicros = 10'000;
constexpr uint64_t kLongestInstruction = 15;

}  // namespace

ThreadVcpu::ThreadVcpu(std::shared_ptr<VmResource> vm, uint32_t index) : VcpuThread(std::move(vm), index) { Start(); }

// An access to a port is whole before the vCPU parks, as with KVM: the device has seen it.
bool ThreadVcpu::RunUntilPaused() {
  while (!PauseRequested()) {
    if (!HandleExit(context_.Enter())) return false;
  }
  return true;
}

// False when the vCPU cannot go on.
bool ThreadVcpu::HandleExit(const GuestContext::Exit& exit) {
  if (exit.signal == KickSignal()) return true;
  if (exit.signal == SIGSEGV && exit.vector == kGeneralProtection) {
    if (const auto done = HandlePortInstruction()) return *done;
  }
  if (exit.signal == SIGBUS && exit.vector == kPageFault && InRam(exit.address)) {
    ReportLostPage(kLostPage, exit.address);
    return false;
  }
  ReportStopped(kException, static_cast<uint64_t>(exit.vector));
  return false;
}

bool ThreadVcpu::InRam(uint64_t address) const {
  const Ram& ram = *Machine().memslots.front().ram;
  return address - reinterpret_cast<uint64_t>(ram.Base()) < ram.Bytes();
}

// No value if it is none; false when the queue was closed. The page that it is on is there: the instruction has just
// been fetched from it.
std::optional<bool> ThreadVcpu::HandlePortInstruction() {
  GuestContext::Registers& registers = context_.General();
  const Ram& ram = *Machine().memslots.front().ram;
  const uint64_t offset = registers.rip - reinterpret_cast<uint64_t>(ram.Base());
  if (offset >= ram.Bytes()) return std::nullopt;
  const auto instruction =
      DecodePortInstruction(ram.Base() + offset, std::min<uint64_t>(kLongestInstruction, ram.Bytes() - offset));
  if (!instruction) return std::nullopt;
  registers.rip += instruction->bytes;
  const uint16_t port = instruction->port ? *instruction->port : static_cast<uint16_t>(registers.rdx);
  if (port == kIdlePort && instruction->is_write) {
    Idle(std::clamp<uint32_t>(static_cast<uint32_t>(registers.rax), 1, kLongestIdleMicros));
    return true;
  }
  // x86 is little-endian, so the register's low bytes are its first. Reading 32 bits clears the upper half.
  uint64_t value = registers.rax;
  const ExitRecord record{Index(), ExitKind::kPort, instruction->is_write, instruction->size, port, 0};
  if (!HandlePort(record, reinterpret_cast<uint8_t*>(&value))) return false;
  if (!instruction->is_write) registers.rax = instruction->size == 4 ? static_cast<uint32_t>(value) : value;
  return true;
}

}  // namespace postcopy
