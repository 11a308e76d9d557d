#pragma once
#include <napi.h>

#include <functional>
#include <system_error>
#include <vector>

#include "memory/ram.h"

namespace postcopy {

// A Uint32Array of [first page, pages] pairs.
Napi::Value ExtentPairs(Napi::Env env, const std::vector<Ram::Extent>& extents);
Napi::Error ExtentError(Napi::Env env, const std::system_error& error);

// Finds pages of RAM on a thread of Node's pool: with much RAM it takes seconds, in which the thread that asked must
// answer others.
class ExtentSearch : public Napi::AsyncWorker {
 public:
  // Throws std::system_error. It keeps what it needs until it is done.
  using Find = std::function<std::vector<Ram::Extent>()>;
  using ToError = Napi::Error (*)(Napi::Env env, const std::system_error& error);

  // Returns a promise of the pairs.
  static Napi::Value Start(Napi::Env env, Find find, ToError to_error);

 private:
  ExtentSearch(Napi::Env env, Find find, ToError to_error);

  void Execute() override;
  void OnOK() override;

  Napi::Promise::Deferred deferred_;
  Find find_;
  ToError to_error_;
  std::vector<Ram::Extent> extents_;
  std::system_error failure_{std::error_code()};
};

}  // namespace postcopy
