/// Flags about what the cache may hold while a model reads and writes: budgets, chunks, head
/// patterns; and the footprint in reports.
#pragma once

#include "cli/common.h"
#include "limbeck/compact/bounded_prefill.h"
#include "limbeck/compact/rolling.h"
#include "limbeck/footprint/meter.h"

#include <optional>
#include <string>

namespace limbeck::cli {

/// A budget that holds during generation.
struct RollingFlags {
  std::string budget;  ///< slots a head, or bytes with a unit; empty = none
  double margin = 0.25;
  std::string overflow;  ///< empty = the command's default
  int64_t recent = 64;
  std::string method{kDefaultMethod};
  bool given() const { return !budget.empty() || !overflow.empty(); }
};

/// Compaction while the text is read.
struct BoundedFlags {
  std::string budget;  ///< as above
  std::string chunk;   ///< rows or "auto"; empty = not given
  std::string rule = "everything";
  std::string patch;
  bool given() const { return !budget.empty() || !chunk.empty() || !patch.empty(); }
};

struct PatternFlags {
  std::string file;
  double sparsity = -1;  ///< below 0 = not given
  int64_t sinks = -1, window = -1;
  std::string mask;
};

/// Slots a head: "2000", or what "512MiB" (KiB, MiB, GiB) has room for with the margin counted.
/// Throws InvalidArgument for anything else.
int64_t parse_kv_budget(const std::string& text, const CacheShape& shape, double margin);

/// Nothing when no flag was given. `first` positions are kept always.
std::optional<RollingOptions> rolling_options(const LanguageModel& lm, const RollingFlags& flags,
                                              Overflow fallback, const ChatFrame& frame,
                                              int64_t first);

/// Throws Mismatch for gates of another model.
HeadTable read_gates(const LanguageModel& lm, const std::string& file);
/// Nothing when no file was named. Mismatch when it was made for another model.
std::optional<HeadPattern> head_pattern(const LanguageModel& lm, const PatternFlags& flags);

ChunkRule chunk_rule(const std::string& name);
/// 0 for "auto".
int64_t parse_chunk(const std::string& text);

/// Fields of every report: footprints, peak, bytes, chunk, and the pattern where there is one.
nlohmann::ordered_json footprint_json(const KvCache& cache, int64_t chunk);
nlohmann::ordered_json events_json(const RollingBudget& budget);
/// One line for people.
std::string footprint_line(const FootprintReport& report);

}  // namespace limbeck::cli
