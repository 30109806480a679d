/// Results of engine_bench and the two forms in which it prints them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace limbeck::bench {

/// One length and chunk size.
struct PrefillRow {
  int64_t tokens = 0, chunk = 0;
  std::vector<double> seconds;  ///< of whole texts
};

/// One cache.
struct DecodeRow {
  int64_t tokens = 0;              ///< logical length where decoding starts
  std::string cache;               ///< "full" or the method
  double slots = 0;                ///< per head and layer, mean
  double bytes = 0;                ///< read per token, half-way through the generation
  std::vector<double> seconds;     ///< of single tokens
  std::vector<int32_t> generated;  ///< by one run, to compare with other programs
};

/// What was measured, and with what.
struct EngineResults {
  std::string model, model_path, dtype;
  std::vector<int64_t> lengths;  ///< after cutting to the window
  int64_t generate = 0;
  double ratio = 0;  ///< of the compacted caches
  std::vector<PrefillRow> prefill;
  std::vector<DecodeRow> decode;
  double bandwidth = 0;          ///< bytes a second, large buffer
  double bandwidth_weights = 0;  ///< the same from a buffer of the weights' size
  double weight_bytes = 0;       ///< read per token
};

/// One JSON document with statistics and every sample, so that runs can be pooled.
void print_json(const EngineResults& results);
/// Markdown tables.
void print_tables(const EngineResults& results);

}  // namespace limbeck::bench
