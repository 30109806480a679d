/// AMX tiles as the kernels use them: eight of 16 rows of 64 bytes.
///
/// Included by *_amx.cpp only. All of it is in an anonymous namespace (see bf16.h).
#pragma once

#include "limbeck/model/kernels/bf16.h"

#include <immintrin.h>

#include <cstdint>

namespace limbeck {
namespace {

constexpr int kSide = 16;     ///< rows of a tile, each of 64 bytes
constexpr int64_t kRow = 64;  ///< bytes from row to row of tiles that lie in memory by themselves

/// A tile of bf16 in memory: 16 rows of 32, or as a right operand 16 pairs of rows of 16.
struct alignas(64) Tile {
  Bf16 row[kSide][2 * kSide];
};

/// The palette of ldtilecfg.
struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

/// Tile instructions do not tell the compiler which memory they read and write.
inline void order_memory() { __asm__ volatile("" ::: "memory"); }

}  // namespace
}  // namespace limbeck
