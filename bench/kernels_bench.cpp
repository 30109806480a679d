// Speed of the decode kernels as a share of what this machine reads from memory.
//
// Ratios within one run are what counts: the bound is measured by the same threads in the same
// process. Every attention and linear case rotates over 30 layers' data, as decoding does, so that
// the data do not stay in a core's own cache. Medians of --runs passes (default 21).
#include "bench/bandwidth.h"
#include "bench/measure.h"
#include "limbeck/model/kernels/attention.h"
#include "limbeck/model/kernels/linear.h"
#include "limbeck/model/kernels/rowwise.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <omp.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

namespace {

using namespace limbeck;
using bench::PageMemory;
using bench::Timing;

constexpr int64_t kLayers = 30;
int g_runs = 21;

Timing time_of(const std::function<void()>& work) { return bench::time_of(g_runs, work); }

struct Row {
  std::string kind, name;
  Timing time;       ///< of one call
  double bytes = 0;  ///< read by one call; 0 = not a streaming kernel
  int64_t rows = 0;  ///< of row-wise operations
};

Row bench_attention(int64_t hq, int64_t hkv, int64_t dim, DType dtype, int64_t slots) {
  const int64_t rows = slots * hkv, half = rows * dim * dtype_size(dtype);
  const PageMemory memory(2 * half * kLayers);
  std::vector<int64_t> begin, length(static_cast<size_t>(hkv), slots);
  for (int64_t h = 0; h < hkv; ++h) begin.push_back(h * slots);
  std::vector<float> query(static_cast<size_t>(hq * dim), 0.5F), out(query.size()),
      lse(static_cast<size_t>(hq));
  const Timing t = time_of([&] {
    for (int64_t layer = 0; layer < kLayers; ++layer) {
      const char* keys = memory.get() + 2 * half * layer;
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
  const PageMemory memory(bytes * layers);
  std::vector<float> x(static_cast<size_t>(rows * in), 0.5F),
      out(static_cast<size_t>(rows * out_features));
  const Timing t = time_of([&] {
    for (int64_t layer = 0; layer < layers; ++layer) {
      const LinearRows a{.dtype = dtype,
                         .weight = memory.get() + bytes * layer,
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
  const PageMemory in(rows * 2 * kF * 4), out(rows * 2 * kF * 4), residual(rows * kWidth * 4),
      table(rows * 4096);
  const auto* numbers = reinterpret_cast<const float*>(table.get());
  std::vector<float> weight(static_cast<size_t>(kWidth), 1.0F),
      lse(static_cast<size_t>(rows * kHq), 0.0F), lse2(lse);
  const AddNorm norm{.rows = rows,
                     .width = kWidth,
                     .residual = reinterpret_cast<float*>(residual.get()),
                     .delta = in.get(),
                     .weight = weight.data(),
                     .weight_offset = 0,
                     .eps = 1e-5F,
                     .dtype = dtype,
                     .out = out.get()};
  SplitRope rope{.rows = rows,
                 .query_heads = kHq,
                 .kv_heads = kHkv,
                 .head_dim = kDim,
                 .dtype = dtype,
                 .qkv = in.get(),
                 .cos = numbers,
                 .sin = numbers,
                 .q_norm = nullptr,
                 .k_norm = nullptr,
                 .norm_offset = 0};
  rope.q_head_stride = rope.kv_head_stride = rows * kDim;
  rope.q_row_stride = rope.kv_row_stride = kDim;
  rope.q = out.get();
  rope.k = out.get() + rows * kHq * kDim * 4;
  rope.v = out.get() + rows * (kHq + kHkv) * kDim * 4;
  const GatedActivation gate{.rows = rows,
                             .width = kF,
                             .dtype = dtype,
                             .gate_up = in.get(),
                             .out = out.get(),
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
            merge_attention(rows * kHq, kDim, reinterpret_cast<float*>(out.get()), lse.data(),
                            in.get(), dtype, lse2.data());
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
  const double bandwidth = bench::read_bandwidth(bench::kBandwidthBytes, g_runs);
  const std::vector<Row> rows = all_rows(only);
  json ? print_json(bandwidth, rows) : print_table(bandwidth, rows);
  return 0;
}
