#include "limbeck/model/kernels/linear_block.h"
#include "limbeck/model/kernels/micro_avx2.h"

namespace limbeck {
namespace {

constexpr int64_t kGroups = kLinearBlockOutputs / kMicroColumns;

/// Weights of outputs [begin, end) and inputs [from, from + depth) as f32 by groups of
/// kMicroColumns outputs, [group][depth rounded up to 8][kMicroColumns], zeros where there are
/// none.
template <class T>
void pack(const LinearBlock& a, int64_t begin, int64_t end, int64_t from, int64_t depth,
          float* to) {
  const int64_t padded = (depth + 7) / 8 * 8;
  for (int64_t g = 0; begin + g * kMicroColumns < end; ++g)
    for (int half = 0; half < kMicroColumns; half += 8) {
      const int64_t o = begin + g * kMicroColumns + half;
      for (int64_t l = 0; l < padded; l += 8) {
        __m256 r[8];
        for (int i = 0; i < 8; ++i) {
          const T* row = static_cast<const T*>(a.weight) + (o + i) * a.in_features + from + l;
          r[i] = o + i < end ? load_first(row, depth - l) : _mm256_setzero_ps();
        }
        transpose8(r);
        for (int i = 0; i < 8; ++i)
          _mm256_storeu_ps(to + (g * padded + l + i) * kMicroColumns + half, r[i]);
      }
    }
}

/// Rows of sums plus bias into the results.
template <class T, class Out>
void finish(const LinearBlock& a, int64_t begin, int64_t end, int64_t row, int64_t rows,
            const float* sums) {
  const T* bias = static_cast<const T*>(a.bias);
  for (int64_t r = 0; r < rows; ++r) {
    const float* from = sums + r * kLinearBlockOutputs;
    Out* to = static_cast<Out*>(a.out) + (row + r) * a.out_features + begin;
    if (bias != nullptr)
      for (int64_t o = 0; o < end - begin; ++o) store(to + o, from[o] + to_float(bias[begin + o]));
    else
      for (int64_t o = 0; o < end - begin; ++o) store(to + o, from[o]);
  }
}

template <class T>
void block(const LinearBlock& a, int64_t begin, int64_t end, float* work) {
  // Equal parts of the depth, so that none is short.
  const int64_t parts = (a.in_features + kLinearBlockDepth - 1) / kLinearBlockDepth;
  const int64_t part = parts > 0 ? ((a.in_features + parts - 1) / parts + 7) / 8 * 8 : 0;
  float* sums = work + kLinearBlockDepth * kLinearBlockOutputs;
  if (part < kLinearBlockDepth) sums = work + part * kLinearBlockOutputs;
  for (int64_t row = 0; row < a.rows; row += kLinearBlockRows) {
    const int64_t rows = a.rows - row < kLinearBlockRows ? a.rows - row : kLinearBlockRows;
    if (part == 0)
      for (int64_t i = 0; i < rows * kLinearBlockOutputs; ++i) sums[i] = 0;
    for (int64_t from = 0; from < a.in_features; from += part) {
      const int64_t depth = a.in_features - from < part ? a.in_features - from : part;
      const int64_t padded = (depth + 7) / 8 * 8;
      pack<T>(a, begin, end, from, depth, work);
      for (int64_t i = 0; i < rows; i += kMicroRows)
        for (int64_t g = 0; g < kGroups && begin + g * kMicroColumns < end; ++g)
          micro_product(rows - i, a.x + (row + i) * a.in_features + from, a.in_features,
                        work + g * padded * kMicroColumns, depth,
                        sums + i * kLinearBlockOutputs + g * kMicroColumns, kLinearBlockOutputs,
                        kMicroColumns, from > 0);
    }
    if (a.out_dtype == DType::bf16)
      finish<T, Bf16>(a, begin, end, row, rows, sums);
    else
      finish<T, float>(a, begin, end, row, rows, sums);
  }
}

}  // namespace

const LinearBlockKernels kLinearBlockAvx2{block<Bf16>, block<float>};

}  // namespace limbeck
