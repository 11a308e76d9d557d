#pragma once
#include <napi.h>

#include "util/args.h"
#include "util/shared_registry.h"

namespace postcopy {

// A JavaScript object that refers to a shared resource. In another thread `new X(null, handle)` makes another one for
// it; `close()` on the owner drops it from the registry, and it is destroyed when the last object has let go of it.
template <typename Resource>
class SharedRef {
 public:
  void Own(std::shared_ptr<Resource> resource) {
    resource_ = std::move(resource);
    handle_ = SharedRegistry<Resource>::Add(resource_);
  }

  void Attach(Napi::Env env, uint32_t handle) {
    resource_ = SharedRegistry<Resource>::Find(handle);
    if (!resource_) throw Napi::Error::New(env, "no such handle: " + std::to_string(handle) + " (closed already?)");
    handle_ = handle;
  }

  // The resource; throws in JavaScript when this object was closed.
  Resource& Get(Napi::Env env) const {
    if (!resource_) throw Napi::Error::New(env, "used after close()");
    return *resource_;
  }

  const std::shared_ptr<Resource>& Shared() const { return resource_; }
  uint32_t Handle() const { return handle_; }

  void Close() {
    SharedRegistry<Resource>::Remove(handle_);
    resource_.reset();
  }

  void Detach() { resource_.reset(); }

 private:
  std::shared_ptr<Resource> resource_;
  uint32_t handle_ = 0;
};

// True when a constructor was called as `new X(null, handle)`: for a resource that another thread has made.
inline bool IsAttach(const Napi::CallbackInfo& info) {
  return info.Length() == 2 && info[0].IsNull() && info[1].IsNumber();
}

}  // namespace postcopy
