#pragma once
#include <atomic>
#include <cstdint>

namespace postcopy {

// LSR and MSR of the serial port (PC16550D, 8.6) while reading them changes nothing, answered on the vCPU's own thread: a
// guest reads LSR for every byte it sends by polling, and both for every 16 it sends by interrupt, with interrupts off. A
// turn to the device worker and back for each keeps a vCPU in its interrupt handler for seconds where cores are scarce.
//
// The device worker shows both values, with the number of writes it has seen. A write that has been posted since hides
// them, but for one to the transmitter: sending takes no time and alters neither.
class SerialStatus {
 public:
  // vCPU thread, before a write is posted.
  void NoteWrite(uint64_t port, uint32_t size);
  // vCPU thread. True if `value` is the answer.
  bool Read(uint64_t port, uint32_t size, uint8_t& value) const;

  // Device worker. `writes`: those it has seen to any register but the first, byte by byte, modulo 2^32.
  void Show(uint32_t writes, uint8_t line_status, uint8_t modem_status);
  void Hide();

 private:
  std::atomic<uint32_t> writes_{0};
  // From bit 0: LSR, MSR, whether they are shown; from bit 32: writes.
  std::atomic<uint64_t> shown_{0};
};

}  // namespace postcopy
