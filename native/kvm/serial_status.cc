#include "kvm/serial_status.h"

#include <algorithm>

namespace postcopy {
namespace {

// The same as in src/memory/layout.ts and src/devices/serial-registers.ts.
constexpr uint64_t kPort = 0x3f8;
constexpr uint64_t kPorts = 8;
constexpr uint64_t kLineStatus = kPort + 5;
constexpr uint64_t kModemStatus = kPort + 6;

constexpr uint64_t kShown = 1 << 16;
constexpr int kModemStatusShift = 8;
constexpr int kWritesShift = 32;

}  // namespace

// As src/devices/bus.ts: where an access begins decides whose it is, and the device gets what is in its range.
void SerialStatus::NoteWrite(uint64_t port, uint32_t size) {
  if (port < kPort || port >= kPort + kPorts) return;
  const uint64_t end = std::min(port + size, kPort + kPorts);
  writes_.fetch_add(static_cast<uint32_t>(end - std::max(port, kPort + 1)));
}

bool SerialStatus::Read(uint64_t port, uint32_t size, uint8_t& value) const {
  if (size != 1 || (port != kLineStatus && port != kModemStatus)) return false;
  const uint64_t shown = shown_.load();
  if ((shown & kShown) == 0 || shown >> kWritesShift != writes_.load()) return false;
  value = static_cast<uint8_t>(port == kLineStatus ? shown : shown >> kModemStatusShift);
  return true;
}

void SerialStatus::Show(uint32_t writes, uint8_t line_status, uint8_t modem_status) {
  shown_.store(static_cast<uint64_t>(writes) << kWritesShift | kShown |
               static_cast<uint64_t>(modem_status) << kModemStatusShift | line_status);
}

void SerialStatus::Hide() { shown_.store(0); }

}  // namespace postcopy
