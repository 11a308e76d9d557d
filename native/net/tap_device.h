#pragma once
#include <napi.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "util/descriptor.h"

namespace postcopy {

// Frames of a TAP device of ours begin with struct virtio_net_hdr_v1 (<linux/virtio_net.h>, which is not for C++).
constexpr size_t kNetHeaderBytes = 12;
// A frame with segmentation offload, its header included, is shorter.
constexpr size_t kLongestFrame = 128 * 1024;

// An open TAP device; one that is not persistent goes away with its descriptor.
struct TapDevice {
  Descriptor fd;
  std::string name;
  // What a frame has beyond the buffers it is read into. Used by the one thread that receives.
  std::vector<uint8_t> overflow = std::vector<uint8_t>(kLongestFrame);
};

// Opens or makes the device, with no offloads, brings it up, and puts it into the bridge unless that is empty. An empty
// name lets the kernel pick one. Throws in JavaScript with nothing left behind; `syscall` tells the step.
std::shared_ptr<TapDevice> OpenTap(Napi::Env env, const std::string& name, const std::string& bridge);

// What the guest takes: frames without checksums, and larger than the MTU. Throws in JavaScript.
void SetTapOffloads(Napi::Env env, const TapDevice& tap, bool csum, bool tso4, bool tso6, bool ecn);

}  // namespace postcopy
