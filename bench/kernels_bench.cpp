// Speed of the decode kernels as a share of what this machine reads from memory.
//
// Ratios within one run are what counts: the bound is measured by the same threads in the same
// process. Every attention and linear case rotates over 30 layers' data, as decoding does, so that
// the data do not stay in a core's own cache. Medians of --runs passes (default 21).
#include "limbeck/base/error.h"
#include "limbeck/base/random.h"
#include "limbeck/base/timing.h"
#include "limbeck/model/kernels/attention.h"
#include "limbeck/model/kernels/linear.h"
#include "limbeck/model/kernels/rowwise.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <immintrin.h>
#include <omp.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace {

using namespace limbeck;

constexpr int64_t kLayers = 30;
constexpr int64_t kBandwidthBytes = 512LL << 20;

int g_runs = 21;

struct Timing {
  double median = 0, mad = 0, best = 0;  ///< seconds
};

double median_of(std::vector<double> x) {
  std::nth_element(x.begin(), x.begin() + static_cast<ptrdiff_t>(x.size() / 2), x.end());
  return x[x.size() / 2];
}

Timing time_of(const std::function<void()>& work) {
  work();  // warm-up
  std::vector<double> seconds;
  for (int i = 0; i < g_runs; ++i) {
    Stopwatch watch;
    work();
    seconds.push_back(watch.seconds());
  }
  Timing t{median_of(seconds), 0, *std::min_element(seconds.begin(), seconds.end())};
  for (double& s : seconds) s = std::abs(s - t.median);
  t.mad = median_of(seconds);
  return t;
}

/// Page-aligned memory, written once by the threads that will read it.
struct Memory {
  explicit Memory(int64_t bytes)
      : data(static_cast<char*>(std::aligned_alloc(2 << 20, static_cast<size_t>(round_up(bytes)))),
             &std::free) {
    // Small bfloat16 or float32 numbers, whichever way the bytes are read.
    auto* words = reinterpret_cast<uint32_t*>(data.get());
    const int64_t n = round_up(bytes) / 4;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < n; ++i) {
      const uint64_t r = splitmix64_at(1, static_cast<uint64_t>(i));
      words[i] = (static_cast<uint32_t>(r) & 0x807f807fU) | 0x3d803d80U;
    }
  }
  static int64_t round_up(int64_t bytes) { return (bytes + (2 << 20) - 1) / (2 << 20) * (2 << 20); }
  std::unique_ptr<char, decltype(&std::free)> data;
};

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

float sum_portable(const float* x, int64_t n) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += x[i];
  return sum;
}

/// Bytes per second that all threads together read from a buffer larger than the caches.
double read_bandwidth() {
  const Memory memory(kBandwidthBytes);
  const auto* x = reinterpret_cast<const float*>(memory.data.get());
  using Sum = float (*)(const float*, int64_t);
  std::vector<Sum> sums = {sum_portable};
  if (__builtin_cpu_supports("avx512f"))
    sums = {sum_avx512<4, 0>,    sum_avx512<8, 0>,    sum_avx512<16, 0>,
            sum_avx512<8, 1024>, sum_avx512<8, 4096>, sum_avx512<8, 8192>};
  double best = 0;
  volatile float sink = 0;
  for (Sum sum : sums) {
    const Timing t = time_of([&] {
      float total = 0;
#pragma omp parallel reduction(+ : total)
      {
        const int64_t share = kBandwidthBytes / 4 / omp_get_num_threads() / 64 * 64;
        total += sum(x + share * omp_get_thread_num(), share);
      }
      sink = total;
    });
    best = std::max(best, static_cast<double>(kBandwidthBytes) / t.median);
  }
  return best;
}

struct Row {
  std::string kind, name;
  Timing time;       ///< of one call
  double bytes = 0;  ///< read by one call; 0 = not a streaming kernel
  int64_t rows = 0;  ///< of row-wise operations
};

Row bench_attention(int64_t hq, int64_t hkv, int64_t dim, DType dtype, int64_t slots) {
  const int64_t rows = slots * hkv, half = rows * dim * dtype_size(dtype);
  const Memory memory(2 * half * kLayers);
  std::vector<int64_t> begin, length(static_cast<size_t>(hkv), slots);
  for (int64_t h = 0; h < hkv; ++h) begin.push_back(h * slots);
  std::vector<float> query(static_cast<size_t>(hq * dim), 0.5F), out(query.size()),
      lse(static_cast<size_t>(hq));
  const Timing t = time_of([&] {
    for (int64_t layer = 0; layer < kLayers; ++layer) {
      const char* keys = memory.data.get() + 2 * half * layer;
      const KvPart part{keys, keys + half, nullptr, begin.data(), length.data()};
      attention_decode({.dtype = dtype,
                        .query_heads = hq,
                        .kv_heads = hkv,
                        .head_dim = dim,
                        .scale = 0.125F,
                        .softcap = 0,
                        .query = query.data(),
                        .parts = {&part, 1},
                        .output = out.data(),
                        .lse = lse.data()});
    }
  });
  return {"attention_decode",
          fmt::format("{}/{}/{} {} {} slots", hq, hkv, dim, dtype_name(dtype), slots),
          {t.median / kLayers, t.mad / kLayers, t.best / kLayers},
          2.0 * static_cast<double>(half),
          0};
}

Row bench_linear(int64_t out_features, int64_t in, int64_t rows, DType dtype, bool gated) {
  const int64_t bytes = out_features * in * dtype_size(dtype) * (gated ? 2 : 1);
  const int64_t layers = std::min(kLayers, std::max<int64_t>(2, (2LL << 30) / bytes));
  const Memory memory(bytes * layers);
  std::vector<float> x(static_cast<size_t>(rows * in), 0.5F),
      out(static_cast<size_t>(rows * out_features));
  const Timing t = time_of([&] {
    for (int64_t layer = 0; layer < layers; ++layer) {
      const LinearRows a{.dtype = dtype,
                         .weight = memory.data.get() + bytes * layer,
                         .bias = nullptr,
                         .in_features = in,
                         .out_features = out_features,
                         .rows = rows,
                         .x = x.data(),
                         .out = out.data(),
                         .accumulate = false};
      if (gated) {
        gated_rows(a, Activation::silu);
      } else {
        linear_rows(a);
      }
    }
  });
  const auto n = static_cast<double>(layers);
  return {gated ? "gated_rows" : "linear_rows",
          fmt::format("{}{}x{} {} {} rows", gated ? "2x" : "", out_features, in, dtype_name(dtype),
                      rows),
          {t.median / n, t.mad / n, t.best / n},
          static_cast<double>(bytes),
          0};
}

/// Row-wise operations on data of a prefill chunk, or of one row as in decoding.
std::vector<Row> bench_rowwise(int64_t rows, DType dtype) {
  constexpr int64_t kWidth = 576, kF = 1536, kHq = 9, kHkv = 3, kDim = 64;
  const int repeat = rows == 1 ? 1000 : 1;
  const Memory in(rows * 2 * kF * 4), out(rows * 2 * kF * 4), residual(rows * kWidth * 4),
      table(rows * 4096);
  const auto* numbers = reinterpret_cast<const float*>(table.data.get());
  std::vector<float> weight(static_cast<size_t>(kWidth), 1.0F),
      lse(static_cast<size_t>(rows * kHq), 0.0F), lse2(lse);
  const AddNorm norm{.rows = rows,
                     .width = kWidth,
                     .residual = reinterpret_cast<float*>(residual.data.get()),
                     .delta = in.data.get(),
                     .weight = weight.data(),
                     .weight_offset = 0,
                     .eps = 1e-5F,
                     .dtype = dtype,
                     .out = out.data.get()};
  SplitRope rope{.rows = rows,
                 .query_heads = kHq,
                 .kv_heads = kHkv,
                 .head_dim = kDim,
                 .dtype = dtype,
                 .qkv = in.data.get(),
                 .cos = numbers,
                 .sin = numbers,
                 .q_norm = nullptr,
                 .k_norm = nullptr,
                 .norm_offset = 0};
  rope.q_head_stride = rope.kv_head_stride = rows * kDim;
  rope.q_row_stride = rope.kv_row_stride = kDim;
  rope.q = out.data.get();
  rope.k = out.data.get() + rows * kHq * kDim * 4;
  rope.v = out.data.get() + rows * (kHq + kHkv) * kDim * 4;
  const GatedActivation gate{.rows = rows,
                             .width = kF,
                             .dtype = dtype,
                             .gate_up = in.data.get(),
                             .out = out.data.get(),
                             .activation = Activation::silu};
  const auto row = [&](const char* name, const std::function<void()>& f) {
    const Timing t = time_of([&] {
      for (int i = 0; i < repeat; ++i) f();
    });
    return Row{name,
               fmt::format("{} rows {}", rows, dtype_name(dtype)),
               {t.median / repeat, t.mad / repeat, t.best / repeat},
               0,
               rows};
  };
  return {row("add_norm 576", [&] { add_norm(norm); }),
          row("split_rope 9+3 x 64", [&] { split_rope(rope); }),
          row("gated_activation 1536", [&] { gated_activation(gate); }),
          row("merge_attention 9 x 64", [&] {
            merge_attention(rows * kHq, kDim, reinterpret_cast<float*>(out.data.get()), lse.data(),
                            in.data.get(), dtype, lse2.data());
          })};
}

std::vector<Row> all_rows(const std::string& only) {
  std::vector<Row> rows;
  const auto wanted = [&](const char* kind) { return only.empty() || only == kind; };
  if (wanted("attention"))
    for (DType dtype : {DType::bf16, DType::f32})
      for (auto [hq, hkv, dim] : {std::array<int64_t, 3>{9, 3, 64}, {16, 8, 128}, {14, 2, 64}})
        for (int64_t slots : {256, 1024, 4096, 8192})
          rows.push_back(bench_attention(hq, hkv, dim, dtype, slots));
  if (wanted("linear"))
    for (int64_t r : {1, 4, 8}) {
      rows.push_back(bench_linear(576, 576, r, DType::bf16, false));
      rows.push_back(bench_linear(1536, 576, r, DType::bf16, true));
      rows.push_back(bench_linear(576, 1536, r, DType::bf16, false));
      rows.push_back(bench_linear(49152, 576, r, DType::bf16, false));
      if (r == 1) rows.push_back(bench_linear(1536, 576, r, DType::f32, true));
    }
  if (wanted("rowwise"))
    for (DType dtype : {DType::bf16, DType::f32})
      for (int64_t n : {1, 512})
        for (Row& r : bench_rowwise(n, dtype)) rows.push_back(std::move(r));
  return rows;
}

void print_table(double bandwidth, const std::vector<Row>& rows) {
  fmt::print("{} threads, path {}, read bandwidth {:.1f} GB/s, medians of {} runs\n\n",
             omp_get_max_threads(), attention_decode_path(), bandwidth / 1e9, g_runs);
  fmt::print("| kernel | case | us | MAD % | GB/s | of bandwidth | ns/row |\n");
  fmt::print("|---|---|---|---|---|---|---|\n");
  for (const Row& r : rows) {
    const double rate = r.bytes / r.time.median;
    fmt::print("| {} | {} | {:.2f} | {:.1f} | {} | {} | {} |\n", r.kind, r.name,
               r.time.median * 1e6, 100 * r.time.mad / r.time.median,
               r.bytes > 0 ? fmt::format("{:.1f}", rate / 1e9) : "",
               r.bytes > 0 ? fmt::format("{:.2f}", rate / bandwidth) : "",
               r.rows > 0 ? fmt::format("{:.0f}", r.time.median * 1e9 / double(r.rows)) : "");
  }
}

void print_json(double bandwidth, const std::vector<Row>& rows) {
  nlohmann::json out = {{"threads", omp_get_max_threads()},
                        {"path", attention_decode_path()},
                        {"runs", g_runs},
                        {"read_bandwidth", bandwidth},
                        {"rows", nlohmann::json::array()}};
  for (const Row& r : rows)
    out["rows"].push_back({{"kernel", r.kind},
                           {"case", r.name},
                           {"median_ns", r.time.median * 1e9},
                           {"mad_ns", r.time.mad * 1e9},
                           {"min_ns", r.time.best * 1e9},
                           {"bytes", r.bytes},
                           {"roofline_fraction", r.bytes / r.time.median / bandwidth},
                           {"rows", r.rows}});
  fmt::print("{}\n", out.dump(1));
}

}  // namespace

int main(int argc, char** argv) {
  bool json = false;
  std::string only;
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    if (arg == "--json") {
      json = true;
    } else if (arg == "--runs" && i + 1 < argc) {
      g_runs = std::max(1, std::atoi(argv[++i]));
    } else if (arg == "--only" && i + 1 < argc) {
      only = argv[++i];
    } else {
      fmt::print(stderr,
                 "usage: kernels_bench [--json] [--runs n] "
                 "[--only attention|linear|rowwise]\n");
      return 2;
    }
  }
  const double bandwidth = read_bandwidth();
  const std::vector<Row> rows = all_rows(only);
  json ? print_json(bandwidth, rows) : print_table(bandwidth, rows);
  return 0;
}
