#pragma once
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace postcopy {

// InterruptStatus and InterruptACK of every virtio-mmio device (virtio 1.2, 4.2.2), answered on the vCPU's own thread:
// a guest uses both for every interrupt, and a turn to the device worker and back costs more than the rest of it. The
// device worker sets bits, vCPUs clear them; interrupts are edges, so there is no line to lower.
class VirtioInterrupts {
 public:
  static constexpr size_t kMaxDevices = 16;

  // Before any vCPU runs. The device's index; kMaxDevices if there is no more room.
  size_t Add(uint64_t address, uint32_t gsi) {
    const size_t index = count_.load();
    if (index == kMaxDevices) return index;
    devices_[index].address = address;
    devices_[index].gsi = gsi;
    count_.store(index + 1);
    return index;
  }

  size_t Count() const { return count_.load(); }
  uint32_t Gsi(size_t index) const { return devices_[index].gsi; }
  std::atomic<uint32_t>& Status(size_t index) { return devices_[index].status; }

  // vCPU thread. True if that was one of the two registers: `data` has been read or written.
  bool Access(uint64_t address, bool is_write, uint32_t size, uint8_t* data);

 private:
  struct Device {
    uint64_t address = 0;
    uint32_t gsi = 0;
    std::atomic<uint32_t> status{0};
  };

  std::array<Device, kMaxDevices> devices_;
  std::atomic<size_t> count_{0};
};

}  // namespace postcopy
