#include "net/tap_device.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include <cerrno>

#include "net/interface.h"
#include "util/errors.h"

namespace postcopy {
namespace {

constexpr char kDevice[] = "/dev/net/tun";
constexpr char kNamePattern[] = "postcopy%d";

// Opens the device by name; `name` becomes what the kernel calls it.
Descriptor Attach(Napi::Env env, std::string& name) {
  Descriptor fd(open(kDevice, O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (!fd.Valid()) throw SystemError(env, errno, "open", kDevice);
  ifreq request{};
  (name.empty() ? std::string(kNamePattern) : name).copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  if (ioctl(fd.Get(), TUNSETIFF, &request) < 0) throw SystemError(env, errno, "TUNSETIFF", name);
  name = request.ifr_name;
  return fd;
}

bool IsPersistent(Napi::Env env, int fd) {
  ifreq request{};
  if (ioctl(fd, TUNGETIFF, &request) < 0) throw SystemError(env, errno, "TUNGETIFF");
  return (request.ifr_flags & IFF_PERSIST) != 0;
}

}  // namespace

std::shared_ptr<TapDevice> OpenTap(Napi::Env env, const std::string& name, const std::string& bridge) {
  auto tap = std::make_shared<TapDevice>();
  tap->name = name;
  tap->fd = Attach(env, tap->name);
  int header_bytes = kNetHeaderBytes;
  if (ioctl(tap->fd.Get(), TUNSETVNETHDRSZ, &header_bytes) < 0) throw SystemError(env, errno, "TUNSETVNETHDRSZ");
  SetTapOffloads(env, *tap, false, false, false, false);
  if (!bridge.empty()) {
    // A persistent one is as its administrator wants it.
    if (!IsPersistent(env, tap->fd.Get())) SuitBridge(env, tap->name, bridge);
    JoinBridge(env, tap->name, bridge);
  }
  BringUp(env, tap->name);
  return tap;
}

void SetTapOffloads(Napi::Env env, const TapDevice& tap, bool csum, bool tso4, bool tso6, bool ecn) {
  unsigned offloads =
      (csum ? TUN_F_CSUM : 0) | (tso4 ? TUN_F_TSO4 : 0) | (tso6 ? TUN_F_TSO6 : 0) | (ecn ? TUN_F_TSO_ECN : 0);
  if (ioctl(tap.fd.Get(), TUNSETOFFLOAD, offloads) < 0) throw SystemError(env, errno, "TUNSETOFFLOAD", tap.name);
}

}  // namespace postcopy
