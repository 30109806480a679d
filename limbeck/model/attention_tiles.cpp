#include "limbeck/model/attention_tiles.h"

#include "limbeck/model/kernels/cpu_path.h"
#include "limbeck/model/kernels/softmax_block.h"
#include "limbeck/model/kernels/tile_product.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

namespace limbeck {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
/// Rows and slots of a block: its logits and weights stay in the second-level cache.
constexpr int64_t kRows = 24, kSlots = 2048;

const Bf16* bf16(const at::Tensor& x) {
  return reinterpret_cast<const Bf16*>(x.const_data_ptr<at::BFloat16>());
}

/// Memory that is written before it is read: filling it first would take longer than what it is
/// for.
template <class T>
std::unique_ptr<T[]> unfilled(int64_t size) {
  return std::make_unique_for_overwrite<T[]>(static_cast<size_t>(size));
}

/// One KV head's keys and values packed for the products, by chunks of slots.
struct PackedHead {
  std::unique_ptr<Bf16[]> keys, values;
  int64_t value_size = 0;  ///< of a whole chunk

  PackedHead(const TileAttentionInput& in, int64_t h) {
    const at::Tensor k = in.keys.select(0, h), v = in.values.select(0, h);
    const int64_t slots = k.size(0), dim = k.size(1);
    value_size = tile_pack_size(kSlots, dim);
    keys = unfilled<Bf16>(tile_pack_size(dim, slots));
    // Whole chunks, and one of as many slots as are left, rounded up to the products' depth.
    values = unfilled<Bf16>(slots / kSlots * value_size +
                            tile_pack_size((slots % kSlots + 31) / 32 * 32, dim));
    tile_pack(bf16(k), dim, slots, 1, k.stride(0), keys.get());
    for (int64_t at = 0; at < slots; at += kSlots) {
      const int64_t n = std::min(kSlots, slots - at);
      Bf16* to = values.get() + at / kSlots * value_size;
      const int64_t depth = (n + 31) / 32 * 32;
      if (depth == n) {
        tile_pack(bf16(v) + at * v.stride(0), n, dim, v.stride(0), 1, to);
        continue;
      }
      // Weights beyond the last slot are zero, but what they multiply must be finite.
      std::vector<Bf16> padded(static_cast<size_t>(depth * dim), Bf16{0});
      for (int64_t i = 0; i < n; ++i)
        std::copy_n(bf16(v) + (at + i) * v.stride(0), dim, padded.data() + i * dim);
      tile_pack(padded.data(), depth, dim, dim, 1, to);
    }
  }
};

/// Working memory of a thread.
struct Block {
  explicit Block(int64_t dim)
      : logits(unfilled<float>(kRows * kSlots)),
        weights(unfilled<Bf16>(kRows * kSlots)),
        sum(kRows * dim),
        part(kRows * dim) {}
  std::unique_ptr<float[]> logits;
  std::unique_ptr<Bf16[]> weights;
  std::vector<float> sum, part;
  float mass[kRows], lse[kRows], inverse[kRows];
  int64_t visible[kRows];
};

/// Rows [first, first + m) of head h.
void attend_block(const TileAttentionInput& in, const PackedHead& packed, int64_t h, int64_t first,
                  int64_t m, Block& b, Bf16* out, float* lse) {
  const int64_t dim = in.queries.size(2), slots = in.keys.size(1);
  const auto seen_by = [&](int64_t r) {
    return in.causal > 0 ? (first + r) % in.causal + 1 : slots;
  };
  int64_t most = 0;
  for (int64_t r = 0; r < m; ++r) most = std::max(most, seen_by(r));
  std::fill(b.sum.begin(), b.sum.end(), 0.0F);
  std::fill(b.mass, b.mass + kRows, kMinusInfinity);
  const float* bias = in.bias.defined() ? in.bias.const_data_ptr<float>() + h * slots : nullptr;
  for (int64_t at = 0; at < most; at += kSlots) {
    const int64_t n = std::min(kSlots, most - at), width = (n + 31) / 32 * 32;
    tile_product({bf16(in.queries) + (h * in.queries.size(1) + first) * dim, m, dim, dim,
                  packed.keys.get() + tile_pack_size(dim, at), dim, n, b.logits.get(), width});
    for (int64_t r = 0; r < m; ++r) b.visible[r] = std::clamp<int64_t>(seen_by(r) - at, 0, n);
    SoftmaxBlock block;
    block.rows = m;
    block.columns = n;
    block.stride = width;
    block.visible = in.causal > 0 ? b.visible : nullptr;
    block.logits = b.logits.get();
    block.bias = bias != nullptr ? bias + at : nullptr;
    block.scale = static_cast<float>(in.scale);
    block.weights = b.weights.get();
    block.inverse = b.inverse;
    block.lse = b.lse;
    softmax_block(block);
    tile_product({b.weights.get(), m, width, width,
                  packed.values.get() + at / kSlots * packed.value_size,
                  (std::min(kSlots, slots - at) + 31) / 32 * 32, dim, b.part.data(), dim});
    for (int64_t r = 0; r < m; ++r) {
      if (b.lse[r] == kMinusInfinity) continue;
      const float top = std::max(b.mass[r], b.lse[r]);
      const float total = top + std::log(std::exp(b.mass[r] - top) + std::exp(b.lse[r] - top));
      const float old = std::exp(b.mass[r] - total),
                  add = std::exp(b.lse[r] - total) * b.inverse[r];
      for (int64_t d = 0; d < dim; ++d)
        b.sum[r * dim + d] = b.sum[r * dim + d] * old + b.part[r * dim + d] * add;
      b.mass[r] = total;
    }
  }
  for (int64_t r = 0; r < m; ++r) {
    lse[r] = b.mass[r];
    for (int64_t d = 0; d < dim; ++d) out[r * dim + d] = to_bf16(b.sum[r * dim + d]);
  }
}

}  // namespace

bool tile_attention_serves(const TileAttentionInput& in) {
  const CpuPath path = cpu_path();
  return (path == CpuPath::avx512_bf16 || path == CpuPath::avx2) &&
         in.queries.scalar_type() == at::kBFloat16 && in.keys.scalar_type() == at::kBFloat16 &&
         in.queries.size(2) % 2 == 0 && in.keys.stride(2) == 1 && in.values.stride(2) == 1;
}

TileAttention tile_attention(const TileAttentionInput& in) {
  const int64_t heads = in.queries.size(0), rows = in.queries.size(1), dim = in.queries.size(2);
  TileAttention out{at::empty_like(in.queries), at::empty({heads, rows}, at::kFloat)};
  auto* to = reinterpret_cast<Bf16*>(out.out.mutable_data_ptr<at::BFloat16>());
  auto* lse = out.lse.mutable_data_ptr<float>();
  std::vector<std::unique_ptr<PackedHead>> packed(static_cast<size_t>(heads));
  at::parallel_for(0, heads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t h = begin; h < end; ++h) packed[h] = std::make_unique<PackedHead>(in, h);
  });
  const int64_t blocks = (rows + kRows - 1) / kRows;
  at::parallel_for(0, heads * blocks, 1, [&](int64_t begin, int64_t end) {
    Block block(dim);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t h = i / blocks, first = i % blocks * kRows;
      attend_block(in, *packed[h], h, first, std::min(kRows, rows - first), block,
                   to + (h * rows + first) * dim, lse + h * rows + first);
    }
  });
  return out;
}

}  // namespace limbeck
