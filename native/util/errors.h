#pragma once
#include <napi.h>

#include <string>

namespace postcopy {

// A failed system call as a JavaScript Error: message, `code` ("EEXIST"), `errno` and `syscall`, as Node's own have.
Napi::Error SystemError(Napi::Env env, int error, const char* syscall, const std::string& detail = "");

// The symbolic name of an errno value, "E<number>" if it has none here.
std::string ErrnoName(int error);

}  // namespace postcopy
