/// Sizes of matrices that products run over.
#pragma once

#include <cstdint>

namespace limbeck {

constexpr int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

/// Heads have all kinds of sizes, and every new shape of a product costs the library that
/// multiplies a new kernel: what may have more rows or columns than it needs comes in multiples of
/// this.
inline constexpr int64_t kProductShape = 64;
constexpr int64_t product_size(int64_t n) { return round_up(n, kProductShape); }

}  // namespace limbeck
