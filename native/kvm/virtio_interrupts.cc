#include "kvm/virtio_interrupts.h"

#include <cstring>

namespace postcopy {
namespace {

// The same as in src/devices/virtio/mmio-registers.ts.
constexpr uint64_t kInterruptStatus = 0x060;
constexpr uint64_t kInterruptAck = 0x064;

}  // namespace

bool VirtioInterrupts::Access(uint64_t address, bool is_write, uint32_t size, uint8_t* data) {
  if (size != sizeof(uint32_t)) return false;
  const size_t count = count_.load(std::memory_order_relaxed);
  for (size_t i = 0; i < count; i++) {
    Device& device = devices_[i];
    if (!is_write && address == device.address + kInterruptStatus) {
      const uint32_t status = device.status.load();
      memcpy(data, &status, sizeof status);
      return true;
    }
    if (is_write && address == device.address + kInterruptAck) {
      uint32_t acknowledged;
      memcpy(&acknowledged, data, sizeof acknowledged);
      device.status.fetch_and(~acknowledged);
      return true;
    }
  }
  return false;
}

}  // namespace postcopy
