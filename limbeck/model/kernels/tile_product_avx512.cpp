#include "limbeck/model/kernels/tile_product_loop.h"

namespace limbeck {
namespace {

/// The even and the odd halves of pairs as f32.
inline __m512 even(__m512i pairs) { return _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16)); }
inline __m512 odd(__m512i pairs) {
  return _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(-65536)));
}

struct Multiply {
  static constexpr int kRows = 4;
  template <int M>
  static inline void run(const Bf16* a, int64_t stride, const Bf16* b, int64_t depth,
                         __m512 (&sum)[M][4]) {
    for (int64_t l = 0; l < depth; l += 2, b += 2 * kTilePanel) {
      __m512 low[4], high[4];
      for (int j = 0; j < 4; ++j) {
        const __m512i pairs = _mm512_loadu_si512(b + 32 * j);
        low[j] = even(pairs);
        high[j] = odd(pairs);
      }
      for (int i = 0; i < M; ++i) {
        const __m512i pair = pair_of(a + i * stride + l);
        const __m512 x = even(pair), y = odd(pair);
        for (int j = 0; j < 4; ++j)
          sum[i][j] = _mm512_fmadd_ps(y, high[j], _mm512_fmadd_ps(x, low[j], sum[i][j]));
      }
    }
  }
};

void multiply(const TileProduct& p) { tile_loop<Multiply>(p); }

}  // namespace

const TileKernel kTileAvx512 = multiply;

}  // namespace limbeck
