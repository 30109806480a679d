// Rows go in blocks of 32, two tiles high, slots in chunks of 256. Logits are in units of log 2, so
// that a scale folds into the exponential's argument.
#include "limbeck/model/kernels/row_attention.h"

#include "limbeck/model/kernels/amx_tiles.h"
#include "limbeck/model/kernels/avx512_ops.h"

namespace limbeck {
namespace {

constexpr int64_t kBlockRows = 2 * kSide;
/// Slots whose logits and weights lie in the first-level cache together.
constexpr int64_t kChunk = 256;
/// Rows of these arrays do not all begin in one set of the cache.
constexpr int64_t kLogitStride = kChunk + 16, kWeightStride = kChunk + 32;
/// A row keeps its shift until its mass is beyond: the highest of its first logits, which need not
/// be the highest of all, since f32 and bf16 hold far larger weights just as well.
constexpr float kMassMost = 0x1p60F;
/// Logits of slots that a row cannot see: finite, which saves the exponential a comparison.
constexpr float kUnseen = -1e30F;
constexpr float kMinusInf = -__builtin_inff(), kLn2 = 0.69314718F;

struct Work {
  alignas(64) float logits[kBlockRows][kLogitStride];
  alignas(64) Bf16 weights[kBlockRows][kWeightStride];
  alignas(64) float products[kBlockRows][2 * kSide];
  alignas(64) float sums[kBlockRows * kRowAttentionDimMax];
  alignas(64) float mass[kBlockRows][16];  // lanes are summed once, at the end
  alignas(64) Bf16 queries[kBlockRows * kRowAttentionDimMax];
  float shift[kBlockRows];  // subtracted from logits; kUnseen until there is one above
  float total[kBlockRows];  // log of all that a row attends to
};

/// Keys and values in tiles, padded with zeros to `width`, a multiple of 32; bias likewise.
struct Packed {
  int64_t width = 0, dim = 0;
  Tile* keys = nullptr;    ///< [width / 16][dim / 32]: pairs of dimensions by slot
  Tile* values = nullptr;  ///< [width / 32][dim / 16]: pairs of slots by dimension
  float* bias = nullptr;   ///< [width] in units of log 2, or null
  float* best = nullptr;   ///< [width] logs of the highest probabilities, without the bias

  const Tile* keys_of(int64_t group) const { return keys + group * (dim / 32); }
  const Tile* values_of(int64_t step) const { return values + step * (dim / 16); }
};

int64_t width_of(const RowAttention& a) { return (a.slots + 31) / 32 * 32; }

void pack_keys(const RowAttention& a, const Packed& p) {
  for (int64_t group = 0; group < p.width / kSide; ++group)
    for (int64_t d = 0; d < p.dim; d += 32) {
      __m512i row[kSide];
      for (int64_t i = 0; i < kSide; ++i) {
        const int64_t slot = group * kSide + i;
        row[i] =
            slot < a.slots ? _mm512_loadu_si512(a.keys + slot * p.dim + d) : _mm512_setzero_si512();
      }
      transpose16(row);
      Tile& to = p.keys[group * (p.dim / 32) + d / 32];
      for (int i = 0; i < kSide; ++i) _mm512_store_si512(to.row[i], row[i]);
    }
}

void pack_values(const RowAttention& a, const Packed& p) {
  const auto sixteen = [&](int64_t slot, int64_t d) {
    if (slot >= a.slots) return _mm512_setzero_si512();
    return _mm512_cvtepu16_epi32(
        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(a.values + slot * p.dim + d)));
  };
  for (int64_t slot = 0; slot < p.width; slot += 2)
    for (int64_t d = 0; d < p.dim; d += kSide) {
      Tile& to = p.values[slot / 32 * (p.dim / kSide) + d / kSide];
      _mm512_store_si512(
          to.row[slot % 32 / 2],
          _mm512_or_si512(sixteen(slot, d), _mm512_slli_epi32(sixteen(slot + 1, d), 16)));
    }
}

/// Logits of 32 rows: queries times keys.
class QueryTiles {
 public:
  QueryTiles(const Packed& p, const Bf16* queries) : p_(p), queries_(queries) {}

  /// Before multiply(), and again after other products: queries of 64 dimensions stay in tiles.
  void load() const {
    if (p_.dim != 64) return;
    _tile_loadd(4, queries_, 128);
    _tile_loadd(5, queries_ + 32, 128);
    _tile_loadd(6, queries_ + kSide * 64, 128);
    _tile_loadd(7, queries_ + kSide * 64 + 32, 128);
  }
  /// to [32, 32] f32, rows `stride` apart: with slots [first, first + 32).
  void multiply(int64_t first, float* to, int64_t stride) const {
    const Tile *left = p_.keys_of(first / kSide), *right = p_.keys_of(first / kSide + 1);
    if (p_.dim != 64) return multiply_any(left, right, to, stride);
    multiply_resident(left, to, stride);
    multiply_resident(right, to + kSide, stride);
  }

 private:
  static void multiply_resident(const Tile* keys, float* to, int64_t stride) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_loadd(2, keys[0].row, kRow);
    _tile_loadd(3, keys[1].row, kRow);
    _tile_dpbf16ps(0, 4, 2);
    _tile_dpbf16ps(1, 6, 2);
    _tile_dpbf16ps(0, 5, 3);
    _tile_dpbf16ps(1, 7, 3);
    _tile_stored(0, to, stride * 4);
    _tile_stored(1, to + kSide * stride, stride * 4);
  }
  void multiply_any(const Tile* left, const Tile* right, float* to, int64_t stride) const {
    const int64_t bytes = p_.dim * 2;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int64_t s = 0; s < p_.dim / 32; ++s) {
      _tile_loadd(6, left[s].row, kRow);
      _tile_loadd(4, queries_ + 32 * s, bytes);
      _tile_dpbf16ps(0, 4, 6);
      _tile_loadd(7, right[s].row, kRow);
      _tile_dpbf16ps(1, 4, 7);
      _tile_loadd(5, queries_ + kSide * p_.dim + 32 * s, bytes);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, to, stride * 4);
    _tile_stored(1, to + kSide, stride * 4);
    _tile_stored(2, to + kSide * stride, stride * 4);
    _tile_stored(3, to + kSide * stride + kSide, stride * 4);
  }

  const Packed& p_;
  const Bf16* queries_;
};

/// sums [32, dim] += weights [32, slots] times values from slot `first` on.
void add_values(Work& w, const Packed& p, int64_t first, int64_t slots) {
  const int64_t bytes = p.dim * 4;
  for (int64_t t = 0; t < p.dim / kSide; t += 2) {
    float* upper = w.sums + t * kSide;
    float* lower = upper + kSide * p.dim;
    _tile_loadd(0, upper, bytes);
    _tile_loadd(1, upper + kSide, bytes);
    _tile_loadd(2, lower, bytes);
    _tile_loadd(3, lower + kSide, bytes);
    for (int64_t s = 0; s < slots; s += 32) {
      const Tile* v = p.values_of((first + s) / 32) + t;
      _tile_loadd(6, v[0].row, kRow);
      _tile_loadd(4, w.weights[0] + s, kWeightStride * 2);
      _tile_dpbf16ps(0, 4, 6);
      _tile_loadd(7, v[1].row, kRow);
      _tile_dpbf16ps(1, 4, 7);
      _tile_loadd(5, w.weights[kSide] + s, kWeightStride * 2);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, upper, bytes);
    _tile_stored(1, upper + kSide, bytes);
    _tile_stored(2, lower, bytes);
    _tile_stored(3, lower + kSide, bytes);
  }
}

/// 2^x for finite x, relative error below 3e-6, a hundredth of what rounding to bf16 adds: a least
/// maximum fit of degree 4 on [0, 1), which spares instructions that the loop waits for.
inline __m512 weight_ps(__m512 x) {
  constexpr float kPoly[] = {1.00000259F, 0.693003845F, 0.24144275F, 0.0520114711F, 0.0135341698F};
  const __m512 r = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF);  // x less its floor
  __m512 p = _mm512_set1_ps(kPoly[4]);
  for (int i = 3; i >= 0; --i) p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(kPoly[i]));
  return _mm512_scalef_ps(p, x);  // which takes the floor itself
}

/// Logits of row r in a chunk to weights; adds to the row's mass. `bias` of the chunk, or null.
template <bool Biased>
void weigh_row(Work& w, int64_t r, int64_t dim, int64_t slots, float scale, const float* bias) {
  const __m512 factor = _mm512_set1_ps(scale);
  const float* s = w.logits[r];
  const auto logit = [&](int64_t j) {
    const __m512 x = _mm512_load_ps(s + j);
    return Biased ? _mm512_fmadd_ps(x, factor, _mm512_loadu_ps(bias + j)) : x;
  };
  const auto shift_to_highest = [&] {
    __m512 a = logit(0), b = logit(16);
    for (int64_t j = 32; j < slots; j += 32) {
      a = _mm512_max_ps(a, logit(j));
      b = _mm512_max_ps(b, logit(j + 16));
    }
    float top = _mm512_reduce_max_ps(_mm512_max_ps(a, b));
    if (!Biased) top *= scale;
    if (!(top > w.shift[r])) return;
    const __m512 shrink = exp2_finite_ps(_mm512_set1_ps(w.shift[r] - top));
    _mm512_store_ps(w.mass[r], _mm512_mul_ps(_mm512_load_ps(w.mass[r]), shrink));
    for (int64_t d = 0; d < dim; d += 16) {
      float* sum = w.sums + r * dim + d;
      _mm512_store_ps(sum, _mm512_mul_ps(_mm512_load_ps(sum), shrink));
    }
    w.shift[r] = top;
  };
  const auto weigh = [&] {
    // Without a logit above kUnseen there is no mass, rather than one of equals.
    const __m512 shift = _mm512_set1_ps(w.shift[r] > kUnseen ? w.shift[r] : 0.0F);
    const auto power = [&](int64_t j) {
      return weight_ps(Biased ? _mm512_sub_ps(logit(j), shift)
                              : _mm512_fmsub_ps(logit(j), factor, shift));
    };
    __m512 mass = _mm512_load_ps(w.mass[r]), more = _mm512_setzero_ps();
    for (int64_t j = 0; j < slots; j += 32) {
      const __m512 x = power(j), y = power(j + 16);
      mass = _mm512_add_ps(mass, x);
      more = _mm512_add_ps(more, y);
      _mm512_store_si512(w.weights[r] + j, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(y, x)));
    }
    return _mm512_add_ps(mass, more);
  };
  if (w.shift[r] == kUnseen) shift_to_highest();
  __m512 mass = weigh();
  if (_mm512_cmp_ps_mask(mass, _mm512_set1_ps(kMassMost), _CMP_GT_OQ) != 0) {
    shift_to_highest();
    mass = weigh();
  }
  _mm512_store_ps(w.mass[r], mass);
}

/// The online softmax of 32 rows: sums, masses and shifts.
void weigh_rows(Work& w, const Packed& p, const QueryTiles& queries, int64_t slots, float scale) {
  __builtin_memset(w.sums, 0, static_cast<size_t>(kBlockRows * p.dim) * sizeof(float));
  __builtin_memset(w.mass, 0, sizeof w.mass);
  for (float& shift : w.shift) shift = kUnseen;
  for (int64_t at = 0; at < p.width; at += kChunk) {
    const int64_t n = p.width - at < kChunk ? p.width - at : kChunk;
    order_memory();
    queries.load();
    for (int64_t j = 0; j < n; j += 32) queries.multiply(at + j, w.logits[0] + j, kLogitStride);
    order_memory();
    if (at + n > slots)
      for (auto& row : w.logits)
        for (int64_t j = slots - at; j < n; ++j) row[j] = kUnseen;
    for (int64_t r = 0; r < kBlockRows; ++r)
      p.bias != nullptr ? weigh_row<true>(w, r, p.dim, n, scale, p.bias + at)
                        : weigh_row<false>(w, r, p.dim, n, scale, nullptr);
    order_memory();
    add_values(w, p, at, n);
    order_memory();
  }
}

/// Raises the logs of the highest probabilities of 32 slots by 32 rows' products. Without a branch:
/// whether one of so many rises is hard to foretell.
inline void raise_best(const Work& w, __m512 factor, int64_t first_row, float* best,
                       int32_t* best_row, __mmask32 inside) {
  constexpr int kChains = 2;  // rows apart, so that comparisons need not wait for one another
  __m512 top[2][kChains];
  __m512i row[2][kChains];
  for (auto& t : top)
    for (auto& x : t) x = _mm512_set1_ps(kMinusInf);
  for (auto& t : row)
    for (auto& x : t) x = _mm512_setzero_si512();
  __m512i now[kChains];
  for (int i = 0; i < kChains; ++i) now[i] = _mm512_set1_epi32(static_cast<int>(first_row) + i);
  for (int64_t r = 0; r < kBlockRows; r += kChains)
    for (int i = 0; i < kChains; ++i) {
      const __m512 total = _mm512_set1_ps(w.total[r + i]);
      for (int c = 0; c < 2; ++c) {
        const __m512 x =
            _mm512_fmsub_ps(_mm512_load_ps(w.products[r + i] + c * kSide), factor, total);
        const __mmask16 higher = _mm512_cmp_ps_mask(x, top[c][i], _CMP_GT_OQ);
        top[c][i] = _mm512_max_ps(x, top[c][i]);  // in this order NaN goes
        row[c][i] = _mm512_mask_mov_epi32(row[c][i], higher, now[i]);
      }
      now[i] = _mm512_add_epi32(now[i], _mm512_set1_epi32(kChains));
    }
  for (int c = 0; c < 2; ++c) {
    // Of equals the first row, whichever chain has it.
    const __mmask16 second = _mm512_cmp_ps_mask(top[c][1], top[c][0], _CMP_GT_OQ) |
                             (_mm512_cmp_ps_mask(top[c][1], top[c][0], _CMP_EQ_OQ) &
                              _mm512_cmplt_epi32_mask(row[c][1], row[c][0]));
    const __m512 x = _mm512_mask_mov_ps(top[c][0], second, top[c][1]);
    const __mmask16 raised = _mm512_mask_cmp_ps_mask(static_cast<__mmask16>(inside >> (16 * c)), x,
                                                     _mm512_load_ps(best + 16 * c), _CMP_GT_OQ);
    _mm512_mask_store_ps(best + 16 * c, raised, x);
    _mm512_mask_storeu_epi32(best_row + 16 * c, raised,
                             _mm512_mask_mov_epi32(row[c][0], second, row[c][1]));
  }
}

/// Outputs and log masses of rows [first, first + count), and what their logits lose to become logs
/// of probabilities.
void finish_rows(const RowAttention& a, Work& w, int64_t first, int64_t count) {
  for (int64_t r = 0; r < kBlockRows; ++r) {
    const float mass = _mm512_reduce_add_ps(_mm512_load_ps(w.mass[r]));
    w.total[r] = __builtin_inff();  // nobody's highest
    if (r >= count) continue;
    const float lse = mass == 0 ? kMinusInf : (w.shift[r] + __builtin_log2f(mass)) * kLn2;
    const __m512 inverse = _mm512_set1_ps(mass == 0 ? 0.0F : 1.0F / mass);
    float* y = a.outputs + (first + r) * a.dim;
    for (int64_t d = 0; d < a.dim; d += 16)
      _mm512_storeu_ps(y + d, _mm512_mul_ps(_mm512_load_ps(w.sums + r * a.dim + d), inverse));
    a.lse[first + r] = lse;
    if (mass == 0) continue;
    w.total[r] = w.shift[r] + __builtin_log2f(mass);
    if (a.elsewhere == nullptr || a.elsewhere[first + r] == kMinusInf) continue;
    const float other = a.elsewhere[first + r] * kLog2E, here = w.total[r];
    const float above = other > here ? other : here, below = other > here ? here : other;
    w.total[r] = above + __builtin_log2f(1.0F + __builtin_exp2f(below - above));
  }
}

int64_t space_of(const RowAttention& a) {
  const int64_t width = width_of(a);
  return static_cast<int64_t>(sizeof(Work)) +
         2 * width * a.dim * static_cast<int64_t>(sizeof(Bf16)) +
         2 * width * static_cast<int64_t>(sizeof(float));
}

Packed pack(const RowAttention& a, char* space) {
  Packed p;
  p.width = width_of(a);
  p.dim = a.dim;
  p.keys = reinterpret_cast<Tile*>(space);
  p.values = p.keys + p.width / kSide * (p.dim / 32);
  p.best = reinterpret_cast<float*>(p.values + p.width / 32 * (p.dim / kSide));
  pack_keys(a, p);
  pack_values(a, p);
  for (int64_t j = 0; j < p.width; ++j) p.best[j] = kMinusInf;
  if (a.bias == nullptr) return p;
  p.bias = p.best + p.width;
  for (int64_t j = 0; j < p.width; ++j) {
    const float b = j < a.slots ? a.bias[j] * kLog2E : kUnseen;
    p.bias[j] = b < kUnseen ? kUnseen : b;  // in this order NaN stays
  }
  return p;
}

void attend(const RowAttention& a, char* space) {
  Work& w = *reinterpret_cast<Work*>(space);
  const Packed p = pack(a, space + sizeof(Work));
  const float scale = a.scale * kLog2E;
  const __m512 factor = _mm512_set1_ps(scale);
  for (int64_t j = 0; j < a.slots; ++j) a.best_row[j] = 0;
  const TileConfig config;
  order_memory();
  _tile_loadconfig(&config);
  for (int64_t first = 0; first < a.rows; first += kBlockRows) {
    const int64_t left = a.rows - first, count = left < kBlockRows ? left : kBlockRows;
    const Bf16* queries = a.queries + first * a.dim;
    if (count < kBlockRows) {
      __builtin_memset(w.queries, 0, sizeof w.queries);
      __builtin_memcpy(w.queries, queries, static_cast<size_t>(count * a.dim) * sizeof(Bf16));
      queries = w.queries;
    }
    const QueryTiles tiles(p, queries);
    weigh_rows(w, p, tiles, a.slots, scale);
    finish_rows(a, w, first, count);
    order_memory();
    tiles.load();
    for (int64_t j = 0; j < p.width; j += 32) {
      tiles.multiply(j, w.products[0], 2 * kSide);
      order_memory();
      raise_best(w, factor, first, p.best + j, a.best_row + j, first_bits(a.slots - j));
      order_memory();
    }
  }
  _tile_release();
  for (int64_t j = 0; j < a.slots; ++j) {
    a.best[j] = __builtin_exp2f(p.best[j] + (p.bias != nullptr ? p.bias[j] : 0.0F));
    if (a.best[j] == 0) a.best_row[j] = 0;
  }
}

}  // namespace

const RowAttentionKernel kRowAttentionAmx = {space_of, attend};

}  // namespace limbeck
