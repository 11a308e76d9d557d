#pragma once
#include <napi.h>

#include <string>

namespace postcopy {

// Settings of a network interface of this host, by name (netdevice(7)). Each throws in JavaScript. What is so already
// is left alone: a user without CAP_NET_ADMIN can use a TAP device that its administrator has made, joined and brought
// up.

void BringUp(Napi::Env env, const std::string& name);

// Puts it into a bridge; one that is in it already stays there. EBUSY: it is in another. ENODEV: there is no such
// bridge.
void JoinBridge(Napi::Env env, const std::string& name, const std::string& bridge);

// Bytes of the largest frame's payload.
int MtuOf(Napi::Env env, const std::string& name);

// Keeps a bridge as it was when the interface joins: it takes over the smallest MTU of its ports, and the lowest MAC.
void SuitBridge(Napi::Env env, const std::string& name, const std::string& bridge);

}  // namespace postcopy
