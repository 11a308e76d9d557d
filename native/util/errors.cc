#include "util/errors.h"

#include <cstring>

namespace postcopy {

std::string ErrnoName(int error) {
  const char* name = strerrorname_np(error);
  return name != nullptr ? std::string(name) : std::string("E").append(std::to_string(error));
}

Napi::Error SystemError(Napi::Env env, int error, const char* syscall, const std::string& detail) {
  std::string message = std::string(syscall) + ": " + strerror(error);
  if (!detail.empty()) message += " (" + detail + ")";
  Napi::Error result = Napi::Error::New(env, message);
  result.Value().Set("code", ErrnoName(error));
  result.Value().Set("errno", error);
  result.Value().Set("syscall", syscall);
  return result;
}

}  // namespace postcopy
