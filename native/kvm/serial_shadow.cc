#include "kvm/serial_shadow.h"

#include <algorithm>

namespace postcopy {
namespace {

// The same as in src/memory/layout.ts and src/devices/serial-registers.ts.
constexpr uint64_t kPort = 0x3f8;
constexpr uint64_t kPorts = 8;
constexpr uint64_t kTransmitter = kPort;
constexpr uint64_t kInterruptEnable = kPort + 1;
constexpr uint64_t kIdentification = kPort + 2;
constexpr uint64_t kLineStatus = kPort + 5;
constexpr uint64_t kModemStatus = kPort + 6;
constexpr uint8_t kEnableMask = 0x0f;
constexpr uint8_t kEnableTransmitterEmpty = 1 << 1;
constexpr uint8_t kFifosEnabled = 0xc0;
constexpr uint8_t kInterruptMask = 0x0f;
constexpr uint8_t kTransmitterEmpty = 0x2;
constexpr uint8_t kNoInterrupt = 0x1;

}  // namespace

bool SerialShadow::Has(uint64_t port) { return port >= kPort && port < kPort + kPorts; }

// As src/devices/bus.ts: where an access begins decides whose it is, and the device gets what is in its range.
void SerialShadow::Write(uint64_t port, uint32_t size, uint32_t value) {
  std::lock_guard lock(mutex_);
  const uint64_t end = std::min(port + size, kPort + kPorts);
  for (uint64_t at = port; at < end; at++, value >>= 8) WriteByte(at, static_cast<uint8_t>(value));
}

void SerialShadow::WriteByte(uint64_t port, uint8_t value) {
  if (port == kTransmitter) {
    events_++;
    transmitter_empty_ = true;
    return;
  }
  writes_++;
  if (port != kInterruptEnable) {
    shown_ = false;
    return;
  }
  const uint8_t enabled = value & ~registers_.interrupt_enable;
  if ((enabled & kEnableTransmitterEmpty) != 0) transmitter_empty_ = true;
  registers_.interrupt_enable = value & kEnableMask;
}

bool SerialShadow::Read(uint64_t port, uint32_t size, uint8_t& value, bool& tell) {
  tell = false;
  std::lock_guard lock(mutex_);
  if (!shown_ || size != 1) return false;
  switch (port) {
    case kLineStatus:
      value = registers_.line_status;
      return true;
    case kModemStatus:
      value = registers_.modem_status;
      return true;
    case kIdentification:
      tell = transmitter_empty_ && (registers_.interrupt_enable & kEnableTransmitterEmpty) != 0;
      value = (registers_.identification & kFifosEnabled) | (tell ? kTransmitterEmpty : kNoInterrupt);
      if (!tell) return true;
      events_++;
      transmitter_empty_ = false;
      return true;
    default:
      return false;
  }
}

void SerialShadow::Show(uint32_t writes, uint32_t events, const Registers& registers) {
  std::lock_guard lock(mutex_);
  // One that the device has not seen may have changed anything; it shows again when it has.
  if (writes != writes_) return;
  shown_ = true;
  registers_ = registers;
  // The last event decides: if the device has not seen it, what is known here is newer.
  if (events == events_) transmitter_empty_ = (registers.identification & kInterruptMask) == kTransmitterEmpty;
}

void SerialShadow::Hide() {
  std::lock_guard lock(mutex_);
  shown_ = false;
}

}  // namespace postcopy
