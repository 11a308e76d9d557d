#pragma once
#include <cstdint>
#include <optional>

namespace postcopy {

// An `in` or `out` of a general register (Intel SDM vol. 2): no string, no repetition.
struct PortInstruction {
  bool is_write;
  // The size of the operand: 1, 2 or 4.
  uint32_t size;
  // The port; without one it is in DX.
  std::optional<uint8_t> port;
  // The length of the instruction.
  uint32_t bytes;
};

// `code` has at most `length` bytes of the instruction; no value if they are none.
inline std::optional<PortInstruction> DecodePortInstruction(const uint8_t* code, uint64_t length) {
  constexpr uint8_t kOperandSize = 0x66;
  constexpr uint8_t kImmediate = 0xe4;
  constexpr uint8_t kDx = 0xec;
  constexpr uint8_t kWide = 1;
  constexpr uint8_t kOut = 2;
  uint32_t at = 0;
  const bool is_short = length > 0 && code[0] == kOperandSize;
  if (is_short) at++;
  if (at >= length) return std::nullopt;
  const uint8_t opcode = code[at++];
  const uint8_t form = opcode & ~(kWide | kOut);
  if (form != kImmediate && form != kDx) return std::nullopt;
  const uint32_t wide = is_short ? 2 : 4;
  PortInstruction instruction{(opcode & kOut) != 0, (opcode & kWide) != 0 ? wide : 1, std::nullopt, 0};
  if (form == kImmediate) {
    if (at >= length) return std::nullopt;
    instruction.port = code[at++];
  }
  instruction.bytes = at;
  return instruction;
}

}  // namespace postcopy
