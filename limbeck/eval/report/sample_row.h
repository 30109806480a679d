/// One question, answered once from one cache: the line of samples.jsonl.
#pragma once

#include "limbeck/base/timing.h"
#include "limbeck/footprint/meter.h"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace limbeck {

/// Labels of the bounds that every table has: the full cache, and the cache without the document.
inline constexpr std::string_view kFullLabel = "full";
inline constexpr std::string_view kNoneLabel = "none";
/// Methods that any other must beat: random eviction, and first + newest entries.
inline constexpr std::string_view kFloorMethods[] = {"random", "streaming"};

struct SampleRow {
  std::string task, group, doc_id, q_id;
  std::string question;  ///< as asked, for judges; empty in runs of versions without
  std::string source;    ///< TaskDocument::source
  std::string category;  ///< part of the benchmark with a mean of its own; may be empty
  int64_t ordinal = 0;   ///< of the document in its task and length
  int64_t length = 0;    ///< tokens asked for; 0 = as the file has it
  std::string method;    ///< label; "full", "none" (no document) for the bounds
  double budget = 1.0;   ///< ratio asked to be kept
  std::string mode = "agnostic";
  std::string prediction, parsed;
  std::vector<std::string> outputs;       ///< gold answers
  double score = 0;                       ///< of the task's metric, in [0, 1]
  std::map<std::string, double> metrics;  ///< others: "kl", "top1", "found" (0 or 1), ...
  std::string finish;                     ///< "stop", "length", "chosen", "error"
  std::string error;                      ///< what failed; such a row scores 0
  int64_t document_tokens = 0, prompt_tokens = 0, generated_tokens = 0;
  bool truncated = false;
  // Of the unit (document, method, budget); the same in all its rows.
  double kept = 0;                     ///< entries held after compaction, mean per head
  int64_t kept_min = 0, kept_max = 0;  ///< fewest and most of a head
  double kept_ratio = 1.0;             ///< of the document's entries
  int64_t kv_bytes = 0;                ///< allocated, metadata included
  double bytes_ratio = 1.0;            ///< to the uncompressed cache
  /// footprint.h; NaN when unknown.
  double footprint = 0, footprint_total = 0, footprint_after = 0, peak = 0;
  int64_t kv_bytes_peak = 0;
  int64_t rss_peak = 0;           ///< resident bytes of the process at their highest; 0 = unknown
  double compaction_seconds = 0;  ///< queries and all stages
  StageSeconds seconds;  ///< prefill, queries, scores ..., build; question, decode of this row
};

/// What the heads of one unit hold: the line of heads.jsonl. All is 0 of one that failed.
struct HeadsRow {
  std::string task, doc_id, method;
  int64_t length = 0;
  double budget = 1.0;
  int64_t layers = 0, kv_heads = 0;
  std::vector<int64_t> kept;  ///< [layers * kv_heads], after compaction
  /// Entries held over time, up to the end of the first answer; empty in runs of versions without.
  std::vector<HeldPoint> timeline = {};
};

nlohmann::ordered_json sample_to_json(const SampleRow& row);
/// Inverse. `what` stands for the place in errors: "[samples] samples.jsonl:12". Throws FormatError
/// naming the field.
SampleRow sample_from_json(const nlohmann::json& json, std::string_view what);
nlohmann::ordered_json heads_to_json(const HeadsRow& row);
HeadsRow heads_from_json(const nlohmann::json& json, std::string_view what);

}  // namespace limbeck
