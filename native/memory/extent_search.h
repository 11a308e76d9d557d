#pragma once
#include <napi.h>

#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "memory/ram.h"

namespace postcopy {

// A Uint32Array of [first page, pages] pairs.
Napi::Value ExtentPairs(Napi::Env env, const std::vector<Ram::Extent>& extents);
Napi::Error ExtentError(Napi::Env env, const std::system_error& error);

// Finds which pages of RAM hold data on a thread of Node's pool: with much RAM it takes seconds, in which the thread
// that asked must answer others. Keeps the RAM until it is done.
class ExtentSearch : public Napi::AsyncWorker {
 public:
  // Returns a promise of the pairs.
  static Napi::Value Start(Napi::Env env, std::shared_ptr<Ram> ram);

 private:
  ExtentSearch(Napi::Env env, std::shared_ptr<Ram> ram);

  void Execute() override;
  void OnOK() override;

  Napi::Promise::Deferred deferred_;
  std::shared_ptr<Ram> ram_;
  std::vector<Ram::Extent> extents_;
  std::system_error failure_{std::error_code()};
};

}  // namespace postcopy
