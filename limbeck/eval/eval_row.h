/// What one compaction of one context came to. One JSON object a line in result files.
#pragma once

#include "limbeck/base/timing.h"
#include "limbeck/eval/fidelity.h"

#include <nlohmann/json_fwd.hpp>

#include <compare>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace limbeck {

/// One unit of work.
struct EvalKey {
  int64_t length = 0;  ///< tokens of the span
  int64_t context = 0;
  std::string method;  ///< label
  double ratio = 1.0;  ///< asked to be kept; 1 for "full", 0 for "none"
  auto operator<=>(const EvalKey&) const = default;
};

inline constexpr double kNoFootprint = std::numeric_limits<double>::quiet_NaN();

struct EvalRow {
  EvalKey key;
  std::string fingerprint;         ///< of the method's options; empty for "full" and "none"
  std::string engine;              ///< version of the program that measured it; may be empty
  std::string source;              ///< book
  int64_t offset = 0;              ///< bytes into it
  Fidelity answers, continuation;  ///< against the full cache
  int64_t needles = 0, needles_right = 0;
  std::vector<std::string> outputs;  ///< generated answers, in the order of the questions
  double kept = 1.0;                 ///< stored entries / entries, over the span
  int64_t bytes = 0;                 ///< of the whole cache, as allocated
  int64_t span_bytes = 0;            ///< keys, values and biases of the span
  /// KV footprint of context, question and answer as if asked alone, a mean over the questions
  /// (footprint/meter.h). NaN in records of earlier versions.
  double footprint = kNoFootprint, footprint_total = kNoFootprint, footprint_after = kNoFootprint;
  double peak = kNoFootprint;
  double text_loss = kNoFootprint;  ///< mean token loss of the text, nats; NaN in older records
  int64_t chunk = 0;                ///< rows of a prefill call
  int64_t bytes_peak = 0;  ///< high-water mark of the cache's memory, transient copies included
  /// Work that all methods of a context share: "prefill", "queries" (captured once; 0 when nothing
  /// of this context needed them).
  StageSeconds shared;
  StageSeconds compaction;  ///< the method's own stages
  std::map<std::string, double> statistics;
  std::vector<std::string> notes;

  double needle_accuracy() const;
  /// The method's stages, and the shared queries when it used them.
  double compaction_seconds() const;
};

nlohmann::ordered_json row_to_json(const EvalRow& row);
/// Inverse of row_to_json. `what` stands for the place in errors. Throws FormatError naming the
/// field.
EvalRow row_from_json(const nlohmann::json& json, std::string_view what);

}  // namespace limbeck
