#include "bench/engine_report.h"

#include "bench/measure.h"
#include "limbeck/model/kernels/attention.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/version.h>
#include <nlohmann/json.hpp>

namespace limbeck::bench {
namespace {

nlohmann::ordered_json timing_json(const std::vector<double>& seconds) {
  const Timing t = timing_of(seconds);
  return {{"median", t.median}, {"mad", t.mad}, {"min", t.best}, {"samples", t.samples}};
}

}  // namespace

void print_json(const EngineResults& r) {
  nlohmann::ordered_json out = {{"program", "limbeck"},
                                {"model", r.model},
                                {"model_path", r.model_path},
                                {"dtype", r.dtype},
                                {"threads", at::get_num_threads()},
                                {"kernel_path", attention_decode_path()},
                                {"torch", TORCH_VERSION},
                                {"lengths", r.lengths},
                                {"generate", r.generate},
                                {"ratio", r.ratio},
                                {"read_bandwidth", r.bandwidth},
                                {"read_bandwidth_weights_size", r.bandwidth_weights},
                                {"weight_bytes_per_token", r.weight_bytes}};
  for (const PrefillRow& row : r.prefill) {
    const double median = median_of(row.seconds);
    out["prefill"].push_back({{"tokens", row.tokens},
                              {"chunk", row.chunk},
                              {"tokens_per_second", static_cast<double>(row.tokens) / median},
                              {"seconds", timing_json(row.seconds)},
                              {"samples", row.seconds}});
  }
  for (const DecodeRow& row : r.decode) {
    const double median = median_of(row.seconds), limit = r.bandwidth / row.bytes;
    out["decode"].push_back({{"tokens", row.tokens},
                             {"cache", row.cache},
                             {"mean_slots", row.slots},
                             {"tokens_per_second", 1 / median},
                             {"bytes_per_token", row.bytes},
                             {"limit_tokens_per_second", limit},
                             {"limit_fraction", 1 / median / limit},
                             {"generated", row.generated},
                             {"seconds", timing_json(row.seconds)},
                             {"samples", row.seconds}});
  }
  fmt::print("{}\n", out.dump(1));
}

void print_tables(const EngineResults& r) {
  fmt::print("{} {}, {} threads, path {}, torch {}\n", r.model, r.dtype, at::get_num_threads(),
             attention_decode_path(), TORCH_VERSION);
  fmt::print("read bandwidth {:.1f} GB/s ({:.1f} GB/s from a buffer of the weights' size)\n\n",
             r.bandwidth / 1e9, r.bandwidth_weights / 1e9);
  fmt::print("| prefill tokens | chunk | tokens/s | MAD % | best tokens/s | samples |\n");
  fmt::print("|---|---|---|---|---|---|\n");
  for (const PrefillRow& row : r.prefill) {
    const Timing t = timing_of(row.seconds);
    const auto n = static_cast<double>(row.tokens);
    fmt::print("| {} | {} | {:.0f} | {:.1f} | {:.0f} | {} |\n", row.tokens, row.chunk, n / t.median,
               100 * t.mad / t.median, n / t.best, t.samples);
  }
  fmt::print(
      "\n| decode at | cache | slots | tokens/s | MAD % | best tokens/s | samples | "
      "MB/token | limit tokens/s | of limit |\n|---|---|---|---|---|---|---|---|---|---|\n");
  for (const DecodeRow& row : r.decode) {
    const Timing t = timing_of(row.seconds);
    const double limit = r.bandwidth / row.bytes;
    fmt::print("| {} | {} | {:.0f} | {:.1f} | {:.1f} | {:.1f} | {} | {:.1f} | {:.1f} | {:.2f} |\n",
               row.tokens, row.cache, row.slots, 1 / t.median, 100 * t.mad / t.median, 1 / t.best,
               t.samples, row.bytes / 1e6, limit, 1 / t.median / limit);
  }
}

}  // namespace limbeck::bench
