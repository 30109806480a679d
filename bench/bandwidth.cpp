#include "bench/bandwidth.h"

#include "bench/measure.h"
#include "limbeck/base/random.h"

#include <omp.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <algorithm>
#include <vector>

namespace limbeck::bench {
namespace {

constexpr int64_t kPage = 2 << 20;

int64_t round_up(int64_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

using Sum = float (*)(const float*, int64_t);

float sum_portable(const float* x, int64_t n) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += x[i];
  return sum;
}

#if defined(__x86_64__)
template <int Unroll, int PrefetchBytes>
__attribute__((target("avx512f"))) float sum_avx512(const float* x, int64_t n) {
  __m512 sum[Unroll];
  for (auto& s : sum) s = _mm512_setzero_ps();
  for (int64_t i = 0; i + 16 * Unroll <= n; i += 16 * Unroll)
    for (int u = 0; u < Unroll; ++u) {
      if (PrefetchBytes > 0)
        _mm_prefetch(reinterpret_cast<const char*>(x + i + 16 * u) + PrefetchBytes, _MM_HINT_T0);
      sum[u] = _mm512_add_ps(sum[u], _mm512_loadu_ps(x + i + 16 * u));
    }
  float total[16], all = 0;
  for (auto& s : sum) {
    _mm512_storeu_ps(total, s);
    for (float t : total) all += t;
  }
  return all;
}

std::vector<Sum> sums() {
  if (__builtin_cpu_supports("avx512f"))
    return {sum_avx512<4, 0>,    sum_avx512<8, 0>,    sum_avx512<16, 0>,
            sum_avx512<8, 1024>, sum_avx512<8, 4096>, sum_avx512<8, 8192>};
  return {sum_portable};
}
#else
std::vector<Sum> sums() { return {sum_portable}; }
#endif

}  // namespace

PageMemory::PageMemory(int64_t bytes)
    : data_(static_cast<char*>(std::aligned_alloc(kPage, static_cast<size_t>(round_up(bytes)))),
            &std::free) {
  // Small bfloat16 or float32 numbers, whichever way the bytes are read.
  auto* words = reinterpret_cast<uint32_t*>(data_.get());
  const int64_t n = round_up(bytes) / 4;
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < n; ++i) {
    const uint64_t r = splitmix64_at(1, static_cast<uint64_t>(i));
    words[i] = (static_cast<uint32_t>(r) & 0x807f807fU) | 0x3d803d80U;
  }
}

double read_bandwidth(int64_t bytes, int runs) {
  const PageMemory memory(bytes);
  const auto* x = reinterpret_cast<const float*>(memory.get());
  // Equal shares of whole loop steps; what is left over is neither read nor counted.
  const int threads = omp_get_max_threads();
  const int64_t share = bytes / 4 / threads / 256 * 256;
  double best = 0;
  volatile float sink = 0;
  for (Sum sum : sums()) {
    const Timing t = time_of(runs, [&] {
      float total = 0;
#pragma omp parallel num_threads(threads) reduction(+ : total)
      total += sum(x + share * omp_get_thread_num(), share);
      sink = total;
    });
    best = std::max(best, static_cast<double>(4 * share * threads) / t.median);
  }
  return best;
}

}  // namespace limbeck::bench
