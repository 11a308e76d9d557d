#include "net/interface.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "util/descriptor.h"
#include "util/errors.h"

namespace postcopy {
namespace {

ifreq RequestFor(const std::string& name) {
  ifreq request{};
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  return request;
}

// Any socket will do to talk to the interfaces of this network namespace.
Descriptor OpenControl(Napi::Env env) {
  Descriptor control(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!control.Valid()) control = Descriptor(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!control.Valid()) throw SystemError(env, errno, "socket");
  return control;
}

void Control(Napi::Env env, int control, unsigned long request, ifreq& argument, const char* what) {
  if (ioctl(control, request, &argument) < 0) throw SystemError(env, errno, what, argument.ifr_name);
}

// Not by sysfs, which may be another network namespace's.
bool IsBridge(int control, const std::string& name) {
  ethtool_drvinfo driver{};
  driver.cmd = ETHTOOL_GDRVINFO;
  ifreq request = RequestFor(name);
  request.ifr_data = reinterpret_cast<char*>(&driver);
  return ioctl(control, SIOCETHTOOL, &request) == 0 && strcmp(driver.driver, "bridge") == 0;
}

bool IsPortOf(const std::string& name, const std::string& bridge) {
  return access(("/sys/class/net/" + bridge + "/brif/" + name).c_str(), F_OK) == 0;
}

}  // namespace

void BringUp(Napi::Env env, const std::string& name) {
  Descriptor control = OpenControl(env);
  ifreq request = RequestFor(name);
  Control(env, control.Get(), SIOCGIFFLAGS, request, "SIOCGIFFLAGS");
  if ((request.ifr_flags & IFF_UP) != 0) return;
  request.ifr_flags |= IFF_UP;
  Control(env, control.Get(), SIOCSIFFLAGS, request, "SIOCSIFFLAGS");
}

void JoinBridge(Napi::Env env, const std::string& name, const std::string& bridge) {
  if (IsPortOf(name, bridge)) return;
  Descriptor control = OpenControl(env);
  ifreq request = RequestFor(name);
  Control(env, control.Get(), SIOCGIFINDEX, request, "SIOCGIFINDEX");
  int index = request.ifr_ifindex;
  request = RequestFor(bridge);
  request.ifr_ifindex = index;
  if (ioctl(control.Get(), SIOCBRADDIF, &request) < 0) throw SystemError(env, errno, "SIOCBRADDIF", bridge);
}

int MtuOf(Napi::Env env, const std::string& name) {
  Descriptor control = OpenControl(env);
  ifreq request = RequestFor(name);
  Control(env, control.Get(), SIOCGIFMTU, request, "SIOCGIFMTU");
  return request.ifr_mtu;
}

void SuitBridge(Napi::Env env, const std::string& name, const std::string& bridge) {
  constexpr unsigned char kHighestLocal = 0xfe;
  Descriptor control = OpenControl(env);
  if (!IsBridge(control.Get(), bridge)) return;  // JoinBridge tells
  ifreq request = RequestFor(name);
  request.ifr_mtu = MtuOf(env, bridge);
  Control(env, control.Get(), SIOCSIFMTU, request, "SIOCSIFMTU");

  request = RequestFor(name);
  Control(env, control.Get(), SIOCGIFHWADDR, request, "SIOCGIFHWADDR");
  request.ifr_hwaddr.sa_data[0] = static_cast<char>(kHighestLocal);
  Control(env, control.Get(), SIOCSIFHWADDR, request, "SIOCSIFHWADDR");
}

}  // namespace postcopy
