/// What every command needs: the model, the output, the files.
#pragma once

#include "limbeck/base/progress.h"
#include "limbeck/cache/container.h"
#include "limbeck/compact/compact.h"
#include "limbeck/heads/head_pattern.h"
#include "limbeck/model/generate.h"

#include <nlohmann/json_fwd.hpp>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace limbeck::cli {

/// The default model's name in the model directory.
inline constexpr const char* kDefaultModel = "smollm2-135m";

/// Flags that all commands share.
struct Globals {
  std::string model = kDefaultModel;
  std::string model_directory;  ///< empty: $LIMBECK_MODELS, else ~/.cache/limbeck/models
  std::string dtype = "bf16";
  int threads = 0;     ///< 0 = one per processor
  bool json = false;   ///< results as one JSON document on standard output
  bool quiet = false;  ///< no progress
};

struct SamplingFlags {
  SamplingOptions sampling;
  int64_t max_tokens = 256;
  std::vector<std::string> stop;
};

struct CompactFlags {
  std::string method{kDefaultMethod};
  std::string scorer, allocator, builder, normalize;
  std::vector<std::string> options;  ///< scorer options "name=value"
  std::vector<std::string> allocator_options;
  std::vector<std::string> builder_options;
  std::string coverage, coverage_allocator;  ///< of the first of two stages
  std::vector<std::string> coverage_options, coverage_allocator_options;
  std::string head_weights, head_shares;  ///< files; weights are found by the model when not given
  std::string queries;                    ///< sources of reference queries; "" = the method's own
  double head_power = -1;                 ///< below 0 = the table's
  double first_share = -1;                ///< below 0 = the preset's
  bool on_policy = false;
  int64_t polish = 0;
  double ratio = 0;    ///< 0 = not given
  double quality = 0;  ///< 0 = not given
  bool conservative = false;
  std::string quality_file;  ///< found by the model when not given
  int64_t budget = 0;
  int64_t chunk = 0;
  int64_t seed = 0;
  std::vector<std::string> protect;  ///< "begin:end" token ranges of the text
};

LanguageModel load(const Globals& globals);
ProgressFn progress(const Globals& globals);
/// The same, and throws Cancelled at the next step once somebody has pressed Ctrl-C.
ProgressFn cancellable(ProgressFn show);

/// A whole file or standard input ("-"); ResourceError names it.
std::string read_file(const std::string& path);

/// A text in the model's cache: chat prefix (kept), the text itself (the span), nothing after it.
struct PreparedText {
  KvCache cache;
  PositionRange span;
  ChatFrame frame;
  double seconds = 0;
  std::optional<TextLoss> loss;         ///< measured when a quality asks for it
  std::optional<QualityChoice> choice;  ///< what the quality came to
};
/// Token ids of frame and text for an empty cache: cache and seconds stay as they are made.
PreparedText frame_text(const LanguageModel& lm, const std::string& text, const std::string& system,
                        bool raw, std::vector<int32_t>& tokens);
/// Reads tokens behind what the cache holds; `out.span` lies among them. `with_loss` measures the
/// loss of the span.
void read_tokens(const LanguageModel& lm, std::span<const int32_t> tokens, bool with_loss,
                 const ProgressFn& progress, PreparedText& out);
/// raw: the text as it is, special tokens parsed, no frame.
PreparedText read_text(const LanguageModel& lm, const std::string& text, const std::string& system,
                       bool raw, const ProgressFn& progress, bool with_loss = false,
                       const std::optional<HeadPattern>& heads = std::nullopt);

/// Calibrated head weights: the file that was named, else what lies beside the model or ships for
/// it (found by the model's fingerprint), else an empty table.
HeadTable head_weights(const LanguageModel& lm, const std::string& file);
/// A table for --head-shares; the authors' schedules have no budget for layers with a window.
HeadTable read_head_shares(const LanguageModel& lm, const std::string& file);

CompactOptions compact_options(const LanguageModel& lm, const CompactFlags& flags,
                               PreparedText& text, const ProgressFn& progress);

/// Identity and header of caches made by this model.
ModelIdentity identity(const LanguageModel& lm);
ContainerHeader container_header(const LanguageModel& lm);
/// A note that `compact` left in a cache's file; empty where it left none.
std::string header_note(const ContainerHeader& header, const std::string& key);
/// A cache of this very model. Throws Mismatch, FormatError, ResourceError.
LoadedCache load_cache(const LanguageModel& lm, const std::string& path);

/// Prompt tokens of a question behind a cached text.
std::vector<int32_t> question_tokens(const LanguageModel& lm, const ChatFrame& frame,
                                     const std::string& question, bool raw);

nlohmann::ordered_json report_json(const CompactReport& report);
nlohmann::ordered_json cache_json(const KvCache& cache);
std::string human_bytes(int64_t bytes);
std::string seconds_line(const StageSeconds& seconds);

}  // namespace limbeck::cli
