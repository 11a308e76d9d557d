#pragma once
#include <napi.h>

#include <cmath>
#include <cstdint>
#include <string>

// Argument checks: a wrong argument is a TypeError or RangeError in JavaScript and never reaches a system call.
namespace postcopy {

inline double NumberArg(const Napi::CallbackInfo& info, size_t index, const char* name) {
  if (index >= info.Length() || !info[index].IsNumber()) {
    throw Napi::TypeError::New(info.Env(), std::string(name) + " must be a number");
  }
  return info[index].As<Napi::Number>().DoubleValue();
}

// A whole number in [0, max]; max up to 2^53 - 1.
inline uint64_t UintArg(const Napi::CallbackInfo& info, size_t index, const char* name,
                        uint64_t max = 9007199254740991ULL) {
  double value = NumberArg(info, index, name);
  if (!(value >= 0) || value > static_cast<double>(max) || value != std::floor(value)) {
    throw Napi::RangeError::New(info.Env(),
                                std::string(name) + " must be a whole number from 0 to " + std::to_string(max));
  }
  return static_cast<uint64_t>(value);
}

// A bigint that fits into 64 bits, with its sign.
inline int64_t Int64Arg(const Napi::CallbackInfo& info, size_t index, const char* name) {
  if (index >= info.Length() || !info[index].IsBigInt()) {
    throw Napi::TypeError::New(info.Env(), std::string(name) + " must be a bigint");
  }
  bool fits = false;
  const int64_t value = info[index].As<Napi::BigInt>().Int64Value(&fits);
  if (!fits) throw Napi::RangeError::New(info.Env(), std::string(name) + " must be of 64 bits");
  return value;
}

// Milliseconds to wait, also parts of one; -1 for ever.
inline double TimeoutArg(const Napi::CallbackInfo& info, size_t index, const char* name) {
  constexpr double kMost = 0x7fffffff;
  double value = NumberArg(info, index, name);
  if (value == -1 || (value >= 0 && value <= kMost)) return value;
  throw Napi::RangeError::New(info.Env(), std::string(name) + " must be -1 or a number of milliseconds");
}

inline int NiceArg(const Napi::CallbackInfo& info, size_t index, const char* name) {
  double value = NumberArg(info, index, name);
  if (value >= -20 && value <= 19 && value == std::floor(value)) return static_cast<int>(value);
  throw Napi::RangeError::New(info.Env(), std::string(name) + " must be a whole number from -20 to 19");
}

inline int FdArg(const Napi::CallbackInfo& info, size_t index, const char* name) {
  return static_cast<int>(UintArg(info, index, name, 0x7fffffff));
}

inline std::string StringArg(const Napi::CallbackInfo& info, size_t index, const char* name) {
  if (index >= info.Length() || !info[index].IsString()) {
    throw Napi::TypeError::New(info.Env(), std::string(name) + " must be a string");
  }
  return info[index].As<Napi::String>().Utf8Value();
}

inline Napi::Uint8Array BytesArg(const Napi::CallbackInfo& info, size_t index, const char* name) {
  if (index >= info.Length() || !info[index].IsTypedArray() ||
      info[index].As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
    throw Napi::TypeError::New(info.Env(), std::string(name) + " must be a Uint8Array");
  }
  return info[index].As<Napi::Uint8Array>();
}

template <typename T, napi_typedarray_type Type>
inline Napi::TypedArrayOf<T> TypedArg(const Napi::CallbackInfo& info, size_t index, const char* name) {
  if (index >= info.Length() || !info[index].IsTypedArray() ||
      info[index].As<Napi::TypedArray>().TypedArrayType() != Type) {
    throw Napi::TypeError::New(info.Env(), std::string(name) + " must be a typed array of the documented kind");
  }
  return info[index].As<Napi::TypedArrayOf<T>>();
}

inline Napi::Uint32Array Uint32sArg(const Napi::CallbackInfo& info, size_t index, const char* name) {
  return TypedArg<uint32_t, napi_uint32_array>(info, index, name);
}

inline Napi::Int32Array Int32sArg(const Napi::CallbackInfo& info, size_t index, const char* name) {
  return TypedArg<int32_t, napi_int32_array>(info, index, name);
}

inline Napi::Float64Array DoublesArg(const Napi::CallbackInfo& info, size_t index, const char* name) {
  return TypedArg<double, napi_float64_array>(info, index, name);
}

inline bool BoolArg(const Napi::CallbackInfo& info, size_t index, const char* name) {
  if (index >= info.Length() || !info[index].IsBoolean()) {
    throw Napi::TypeError::New(info.Env(), std::string(name) + " must be a boolean");
  }
  return info[index].As<Napi::Boolean>().Value();
}

}  // namespace postcopy
