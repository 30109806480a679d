#include "limbeck/model/kernels/attention.h"

#include "limbeck/base/error.h"
#include "limbeck/model/kernels/attention_slice.h"
#include "limbeck/model/kernels/cpu_path.h"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

namespace limbeck {
namespace {

constexpr float kMinusInf = -std::numeric_limits<float>::infinity();
/// Below this many bytes of keys and values starting the team costs more than it saves.
constexpr int64_t kSerialBytes = 96 << 10;
/// Slots of a slice: long enough to stream (nothing fetches its first block ahead), short enough to
/// balance.
constexpr int64_t kSliceMin = 64, kSliceMax = 1024;
/// Bounds the partial results of very long caches.
constexpr int64_t kSlicesPerThreadMax = 64;

/// A run of slots of one KV head; partial results of a KV head's slices are consecutive.
struct Slice {
  int64_t part, kv_head, row, slots;
};

/// Reused from call to call by each calling thread, so that a decode step allocates nothing.
struct Workspace {
  std::vector<Slice> slices;
  std::vector<int64_t> first;    ///< [kv_heads + 1] first slice of each KV head
  std::vector<float> query;      ///< [query_heads, stride], scaled
  std::vector<float> sum;        ///< [slices, group, stride]
  std::vector<float> top, mass;  ///< [slices, group]
};

void check(const DecodeAttention& a) {
  if (a.kv_heads < 1 || a.query_heads < 1 || a.query_heads % a.kv_heads != 0)
    throw InvalidArgument(
        "[attention_decode] query heads must be a multiple of KV heads; found {} and {}",
        a.query_heads, a.kv_heads);
  if (a.head_dim < 2 || a.head_dim > 512 || a.head_dim % 2 != 0)
    throw InvalidArgument("[attention_decode] head_dim must be even and in [2, 512]; found {}",
                          a.head_dim);
  if (a.dtype != DType::bf16 && a.dtype != DType::f32)
    throw InvalidArgument("[attention_decode] keys and values must be BF16 or F32; found {}",
                          dtype_name(a.dtype));
}

int64_t total_slots(const DecodeAttention& a) {
  int64_t n = 0;
  for (const KvPart& part : a.parts)
    for (int64_t h = 0; h < a.kv_heads; ++h) n += part.length[h];
  return n;
}

/// Cuts every (part, KV head) into slices of nearly equal length. Depends on lengths and the thread
/// count only, so results do not depend on which thread takes which slice.
void plan(const DecodeAttention& a, int64_t slots, int64_t threads, Workspace& w) {
  int64_t size = std::clamp((slots / (threads * 4) + 63) / 64 * 64, kSliceMin, kSliceMax);
  size = std::max(size, (slots / (threads * kSlicesPerThreadMax) + 63) / 64 * 64);
  w.slices.clear();
  w.first.clear();
  for (int64_t h = 0; h < a.kv_heads; ++h) {
    w.first.push_back(static_cast<int64_t>(w.slices.size()));
    for (size_t p = 0; p < a.parts.size(); ++p) {
      const int64_t n = a.parts[p].length[h], begin = a.parts[p].begin[h];
      for (int64_t at = 0; at < n; at += size)
        w.slices.push_back({static_cast<int64_t>(p), h, begin + at, std::min(size, n - at)});
    }
  }
  w.first.push_back(static_cast<int64_t>(w.slices.size()));
}

void scale_queries(const DecodeAttention& a, int64_t stride, std::vector<float>& query) {
  query.resize(static_cast<size_t>(a.query_heads * stride));
  for (int64_t h = 0; h < a.query_heads; ++h) {
    float* to = query.data() + h * stride;
    for (int64_t i = 0; i < a.head_dim; ++i) to[i] = a.query[h * a.head_dim + i] * a.scale;
    std::fill(to + a.head_dim, to + stride, 0.0F);
  }
}

SliceKernel slice_kernel(DType dtype) {
  const CpuPath path = cpu_path();
  if (path == CpuPath::amx && dtype == DType::bf16) return kSliceAmxBf16;
  const SliceKernels& kernels = path == CpuPath::portable ? kSlicePortable
                                : path == CpuPath::avx2   ? kSliceAvx2
                                                          : kSliceAvx512;
  return dtype == DType::bf16 ? kernels.bf16 : kernels.f32;
}

void run_slice(const DecodeAttention& a, int64_t stride, SliceKernel kernel, Workspace& w,
               int64_t index) {
  const Slice& s = w.slices[static_cast<size_t>(index)];
  const KvPart& part = a.parts[static_cast<size_t>(s.part)];
  const int64_t group = a.query_heads / a.kv_heads;
  const int64_t offset = s.row * a.head_dim * dtype_size(a.dtype);
  for (int64_t g = 0; g < group; g += kSliceHeadsMax) {
    const int64_t at = index * group + g;
    kernel({.keys = static_cast<const char*>(part.keys) + offset,
            .values = static_cast<const char*>(part.values) + offset,
            .bias = part.bias ? part.bias + s.row : nullptr,
            .slots = s.slots,
            .head_dim = a.head_dim,
            .stride = stride,
            .heads = std::min(kSliceHeadsMax, group - g),
            .query = w.query.data() + (s.kv_head * group + g) * stride,
            .softcap = a.softcap,
            .sum = w.sum.data() + at * stride,
            .top = w.top.data() + at,
            .mass = w.mass.data() + at});
  }
}

/// Merges the slices of one query head by log-sum-exp, in slice order.
void merge_head(const DecodeAttention& a, int64_t stride, const Workspace& w, int64_t head) {
  const int64_t group = a.query_heads / a.kv_heads, kv_head = head / group, g = head % group;
  const int64_t begin = w.first[static_cast<size_t>(kv_head)];
  const int64_t end = w.first[static_cast<size_t>(kv_head + 1)];
  float* out = a.output + head * a.head_dim;
  float top = kMinusInf, mass = 0, total = 0;
  for (int64_t s = begin; s < end; ++s) {
    top = std::max(top, w.top[static_cast<size_t>(s * group + g)]);
    total += w.mass[static_cast<size_t>(s * group + g)];
  }
  // Without a finite logit the masses are 0, or NaN when the query is: that must not be hidden.
  std::fill_n(out, a.head_dim, top > kMinusInf ? 0.0F : total);
  for (int64_t s = begin; s < end && top > kMinusInf; ++s) {
    const auto at = static_cast<size_t>(s * group + g);
    const float factor = std::exp(w.top[at] - top);
    if (factor == 0.0F) continue;
    mass += factor * w.mass[at];
    const float* sum = w.sum.data() + static_cast<int64_t>(at) * stride;
    for (int64_t i = 0; i < a.head_dim; ++i) out[i] += factor * sum[i];
  }
  if (top > kMinusInf) {
    const float inverse = 1.0F / mass;
    for (int64_t i = 0; i < a.head_dim; ++i) out[i] *= inverse;
  }
  if (a.lse) a.lse[head] = top > kMinusInf ? top + std::log(mass) : kMinusInf;
}

}  // namespace

void attention_decode(const DecodeAttention& a) {
  check(a);
  static thread_local Workspace workspace;
  Workspace& w = workspace;  // the team shares the caller's
  const int64_t slots = total_slots(a), group = a.query_heads / a.kv_heads;
  const int64_t stride = (a.head_dim + kHeadDimStep - 1) / kHeadDimStep * kHeadDimStep;
  const bool serial = 2 * slots * a.head_dim * dtype_size(a.dtype) < kSerialBytes;
  const int threads = serial || omp_in_parallel() ? 1 : omp_get_max_threads();
  plan(a, slots, threads, w);
  scale_queries(a, stride, w.query);
  const auto count = static_cast<int64_t>(w.slices.size());
  w.sum.resize(std::max(w.sum.size(), static_cast<size_t>(count * group * stride)));
  w.top.resize(std::max(w.top.size(), static_cast<size_t>(count * group)));
  w.mass.resize(w.top.size());

  const SliceKernel kernel = slice_kernel(a.dtype);
  if (threads == 1) {
    for (int64_t i = 0; i < count; ++i) run_slice(a, stride, kernel, w, i);
    for (int64_t h = 0; h < a.query_heads; ++h) merge_head(a, stride, w, h);
    return;
  }
#pragma omp parallel num_threads(threads)
  {
#pragma omp for schedule(dynamic, 1)
    for (int64_t i = 0; i < count; ++i) run_slice(a, stride, kernel, w, i);
#pragma omp for schedule(static)
    for (int64_t h = 0; h < a.query_heads; ++h) merge_head(a, stride, w, h);
  }
}

const char* attention_decode_path() { return cpu_path_name(cpu_path()); }

}  // namespace limbeck
