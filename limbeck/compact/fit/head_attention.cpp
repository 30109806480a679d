#include "limbeck/compact/fit/head_attention.h"

#include "limbeck/compact/fit/shapes.h"
#include "limbeck/compact/fit/tiles.h"
#include "limbeck/model/kernels/row_attention.h"
#include "limbeck/model/kernels/softmax_block.h"

#include <ATen/ATen.h>

namespace limbeck {
namespace {

/// Rows of a block: their logits and probabilities stay in the second-level cache.
constexpr int64_t kRows = 24;

at::Tensor part_of(const HeadRows& p, const at::Tensor& lse) {
  return p.elsewhere.defined() ? at::sigmoid(lse - p.elsewhere) : at::ones_like(lse);
}

HeadAttention tiled(const HeadRows& p) {
  const int64_t n = p.queries.size(0), dim = p.queries.size(1), slots = p.keys.size(0);
  const int64_t width = round_up(slots, 32);
  at::Tensor keys = at::zeros({width, dim}, at::kBFloat16), values = at::zeros_like(keys);
  keys.narrow(0, 0, slots).copy_(p.keys);
  values.narrow(0, 0, slots).copy_(p.values);
  const PackedMatrix k = pack_matrix(keys.t()), v = pack_matrix(values);

  HeadAttention out{at::empty({n, dim}, at::kFloat), at::empty({n}, at::kFloat), at::Tensor(),
                    at::zeros({slots}, at::kFloat), at::zeros({slots}, at::kInt)};
  at::Tensor logits = at::empty({kRows, width}, at::kFloat);
  at::Tensor weights = at::empty({kRows, width}, at::kBFloat16);
  std::vector<float> inverse(kRows);
  const auto* q = p.queries.const_data_ptr<at::BFloat16>();
  const at::Tensor bias = p.bias.defined() ? p.bias.contiguous() : at::Tensor();
  const at::Tensor elsewhere = p.elsewhere.defined() ? p.elsewhere.contiguous() : at::Tensor();
  for (int64_t i = 0; i < n; i += kRows) {
    const int64_t m = std::min(kRows, n - i);
    multiply_tiles(q + i * dim, m, k, logits.mutable_data_ptr<float>(), width);
    SoftmaxBlock block;
    block.rows = m;
    block.columns = slots;
    block.stride = width;
    block.logits = logits.mutable_data_ptr<float>();
    block.bias = bias.defined() ? bias.const_data_ptr<float>() : nullptr;
    block.scale = static_cast<float>(p.scale);
    block.elsewhere = elsewhere.defined() ? elsewhere.const_data_ptr<float>() + i : nullptr;
    block.weights = static_cast<Bf16*>(weights.mutable_data_ptr());
    block.inverse = inverse.data();
    block.lse = out.lse.mutable_data_ptr<float>() + i;
    block.best = out.coverage.mutable_data_ptr<float>();
    block.best_row = out.reader.mutable_data_ptr<int32_t>();
    block.first_row = i;
    softmax_block(block);
    float* y = out.outputs.mutable_data_ptr<float>() + i * dim;
    multiply_tiles(weights.const_data_ptr<at::BFloat16>(), m, v, y, dim);
    for (int64_t r = 0; r < m; ++r)
      for (int64_t d = 0; d < dim; ++d) y[r * dim + d] *= inverse[r];
  }
  tiles_release();
  out.part = part_of(p, out.lse);
  return out;
}

const Bf16* bf16(const at::Tensor& x) {
  return reinterpret_cast<const Bf16*>(x.const_data_ptr<at::BFloat16>());
}

/// The same in one kernel, which needs tile units.
HeadAttention fused(const HeadRows& p) {
  const int64_t n = p.queries.size(0), dim = p.queries.size(1), slots = p.keys.size(0);
  HeadAttention out{at::empty({n, dim}, at::kFloat), at::empty({n}, at::kFloat), at::Tensor(),
                    at::empty({slots}, at::kFloat), at::empty({slots}, at::kInt)};
  const at::Tensor bias = p.bias.defined() ? p.bias.contiguous() : at::Tensor();
  const at::Tensor elsewhere = p.elsewhere.defined() ? p.elsewhere.contiguous() : at::Tensor();
  RowAttention a;
  a.rows = n;
  a.slots = slots;
  a.dim = dim;
  a.queries = bf16(p.queries);
  a.keys = bf16(p.keys);
  a.values = bf16(p.values);
  a.bias = bias.defined() ? bias.const_data_ptr<float>() : nullptr;
  a.scale = static_cast<float>(p.scale);
  a.elsewhere = elsewhere.defined() ? elsewhere.const_data_ptr<float>() : nullptr;
  a.outputs = out.outputs.mutable_data_ptr<float>();
  a.lse = out.lse.mutable_data_ptr<float>();
  a.best = out.coverage.mutable_data_ptr<float>();
  a.best_row = out.reader.mutable_data_ptr<int32_t>();
  row_attention(a);
  out.part = part_of(p, out.lse);
  return out;
}

bool tiles_serve(const HeadRows& p) {
  return p.queries.scalar_type() == at::kBFloat16 && p.keys.scalar_type() == at::kBFloat16 &&
         p.queries.size(1) % 32 == 0 && tiles_available();
}

bool fused_serves(const HeadRows& p) {
  return p.keys.size(0) > 0 && p.scale > 0 && p.keys.is_contiguous() && p.values.is_contiguous() &&
         row_attention_serves(p.queries.size(1));
}

}  // namespace

HeadAttention head_attention(const HeadRows& rows) {
  if (!tiles_serve(rows)) return head_attention_plain(rows);
  return fused_serves(rows) ? fused(rows) : tiled(rows);
}

HeadAttention join_attention(const std::vector<HeadAttention>& parts) {
  HeadAttention out = parts.at(0);
  bool begun = false;
  std::vector<at::Tensor> outputs, lse, part;
  int64_t first = 0;
  for (const HeadAttention& p : parts) {
    outputs.push_back(p.outputs);
    lse.push_back(p.lse);
    part.push_back(p.part);
    if (begun) {
      const at::Tensor higher = p.coverage > out.coverage;
      out.coverage = at::where(higher, p.coverage, out.coverage);
      out.reader = at::where(higher, p.reader + static_cast<int32_t>(first), out.reader);
    }
    begun = true;
    first += p.lse.size(0);
  }
  out.outputs = at::cat(outputs);
  out.lse = at::cat(lse);
  out.part = at::cat(part);
  return out;
}

HeadAttention head_attention_plain(const HeadRows& p) {
  const int64_t n = p.queries.size(0), slots = p.keys.size(0);
  HeadAttention out{at::empty({n, p.values.size(1)}, at::kFloat), at::empty({n}, at::kFloat),
                    at::Tensor(), at::zeros({slots}, at::kFloat), at::zeros({slots}, at::kInt)};
  const at::Tensor q = p.queries.to(at::kFloat), k = p.keys.to(at::kFloat),
                   v = p.values.to(at::kFloat);
  constexpr int64_t kBlock = 256;
  for (int64_t i = 0; i < n; i += kBlock) {
    const int64_t m = std::min(kBlock, n - i);
    const Features f = softmax_features(attention_logits(q.narrow(0, i, m), k, p.bias, p.scale));
    out.outputs.narrow(0, i, m).copy_(at::mm(f.a, v));
    out.lse.narrow(0, i, m).copy_(f.lse);
    if (p.elsewhere.defined())
      f.a.mul_(at::sigmoid(f.lse - p.elsewhere.narrow(0, i, m)).unsqueeze(1));
    const auto [top, row] = f.a.max(0);
    const at::Tensor higher = top > out.coverage;
    out.coverage = at::where(higher, top, out.coverage);
    out.reader = at::where(higher, (row + i).to(at::kInt), out.reader);
  }
  out.part = part_of(p, out.lse);
  return out;
}

}  // namespace limbeck
