#pragma once
#include <cstdint>
#include <mutex>

namespace postcopy {

// The serial port's LSR, MSR and IIR (PC16550D, 8.4 and 8.6), answered on the vCPU's own thread while nothing waits for
// the guest: it reads LSR for every byte it sends by polling, and all three for every 16 it sends by interrupt, with
// interrupts off. A turn to the device worker and back for each keeps a vCPU in its interrupt handler for seconds where
// cores are scarce.
//
// The device worker shows the registers as they are after the accesses it has seen; vCPUs may have posted more
// meanwhile. Of these, writes to IER and the transmitter and reads of IIR that find the transmitter empty are followed
// here; one to any other register makes the shadow void until the device has seen it. What is read of IIR here is
// posted to the device.
class SerialShadow {
 public:
  struct Registers {
    uint8_t line_status = 0;
    uint8_t modem_status = 0;
    uint8_t identification = 0;
    uint8_t interrupt_enable = 0;
  };

  static bool Has(uint64_t port);

  // vCPU threads hold this from Write() or Read() until the access is posted: the device must see them in this order.
  // Never the device worker, which they may have to wait for.
  std::mutex& Order() { return order_; }

  // vCPU thread, before a write is posted.
  void Write(uint64_t port, uint32_t size, uint32_t value);
  // vCPU thread. True if `value` is the answer; `tell`: the device must be told.
  bool Read(uint64_t port, uint32_t size, uint8_t& value, bool& tell);

  // Device worker. `writes`: those it has seen to any register but the first, byte by byte; `events`: those to the
  // first, and the reads of IIR it was told of; both modulo 2^32.
  void Show(uint32_t writes, uint32_t events, const Registers& registers);
  void Hide();

 private:
  void WriteByte(uint64_t port, uint8_t value);

  std::mutex order_;
  std::mutex mutex_;
  bool shown_ = false;
  Registers registers_;
  uint32_t writes_ = 0;
  uint32_t events_ = 0;
  // Of no account while IER does not enable its interrupt: enabling it sets this.
  bool transmitter_empty_ = false;
};

}  // namespace postcopy
