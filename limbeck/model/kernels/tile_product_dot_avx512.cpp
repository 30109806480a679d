#include "limbeck/model/kernels/tile_product_loop.h"

namespace limbeck {

#ifdef __AVX512BF16__
namespace {

/// One instruction multiplies pairs and adds both products to f32.
struct Dot {
  static constexpr int kRows = 6;
  template <int M>
  static inline void run(const Bf16* a, int64_t stride, const Bf16* b, int64_t depth,
                         __m512 (&sum)[M][4]) {
    for (int64_t l = 0; l < depth; l += 2, b += 2 * kTilePanel) {
      __m512bh column[4];
      for (int j = 0; j < 4; ++j)
        column[j] = reinterpret_cast<__m512bh>(_mm512_loadu_si512(b + 32 * j));
      for (int i = 0; i < M; ++i) {
        const auto pair = reinterpret_cast<__m512bh>(pair_of(a + i * stride + l));
        for (int j = 0; j < 4; ++j) sum[i][j] = _mm512_dpbf16_ps(sum[i][j], pair, column[j]);
      }
    }
  }
};

void multiply(const TileProduct& p) { tile_loop<Dot>(p); }

}  // namespace

const TileKernel kTileBf16Dot = multiply;
#else
const TileKernel kTileBf16Dot = nullptr;
#endif

}  // namespace limbeck
