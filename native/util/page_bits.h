#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>

// Sets of pages as 64-bit words, a bit a page, as KVM has them.
namespace postcopy {

constexpr uint64_t kWordBits = 64;

inline size_t WordsFor(uint64_t pages) { return (pages + kWordBits - 1) / kWordBits; }

// Calls act(word, bits) for each word that has bits of these pages.
template <typename Act>
void ForWords(uint64_t first, uint64_t count, const Act& act) {
  for (const uint64_t end = first + count; first < end;) {
    const uint64_t from = first % kWordBits;
    const uint64_t length = kWordBits - from < end - first ? kWordBits - from : end - first;
    act(static_cast<size_t>(first / kWordBits), (~uint64_t{0} >> (kWordBits - length)) << from);
    first += length;
  }
}

// Calls act(first, count) for each run of bits that are set in a word; a run ends with its word.
template <typename Act>
void ForRuns(uint64_t word, const Act& act) {
  for (int at = 0; word != 0;) {
    const int gap = std::countr_zero(word);
    word >>= gap;
    const int length = std::countr_one(word);
    act(at + gap, length);
    at += gap + length;
    word = length == kWordBits ? 0 : word >> length;
  }
}

}  // namespace postcopy
