/// Presets: the published names as rows of one table of scorer x allocator x builder.
#pragma once

#include "limbeck/compact/score/scorer.h"

#include <string>
#include <string_view>
#include <vector>

namespace limbeck {

/// One stage of a method. A later stage finds the slots that earlier ones chose already taken.
struct Stage {
  std::string scorer;
  OptionTexts options;
  std::string allocator = "uniform";
  double share = 1.0;  ///< of the budget that this stage hands out; the shares of a method sum to 1
  OptionTexts allocator_options = {};
};

/// What is read behind the text for the sake of its queries.
struct QuerySources {
  bool repeat = true;    ///< the text in its order (queries/repeat.h)
  int64_t excerpts = 0;  ///< the text in passages of so many tokens (queries/excerpts.h); 0 = none
  bool operator==(const QuerySources&) const = default;
};

/// Length of the passages where nothing else is asked for.
inline constexpr int64_t kExcerptTokens = 128;

/// Where little is kept the first stage's scores count times a power of the weights of their heads,
/// if the table of the weights names one: all of it up to a part `all` of the text, less and less
/// up to `none`.
struct SmallBudgets {
  double all = 0.0, none = 0.0;
  double head_power = 0.0;  ///< the table's
};

struct Preset {
  std::string name, summary, source;
  std::vector<Stage> stages;
  std::string builder = "copy";
  OptionTexts builder_options = {};
  QuerySources queries = {};
  /// Where more than the first of these parts is kept, the first stage's share rises, evenly, until
  /// it hands out everything at the second (two stages; not where the user names a share).
  double share_rises = 1.0, share_whole = 1.0;
  SmallBudgets small = {};
  double head_power = 0.0;  ///< of the first stage where more is kept
};

/// The first stage's share where so much is kept.
double first_share(const Preset& preset, double kept);
/// The power of the head weights by which its scores count there.
double head_power(const Preset& preset, double kept);

const std::vector<Preset>& preset_registry();
/// A preset, or a scorer under its own name: then every head keeps the same share. With "+fit"
/// behind either, its entries get fitted biases and values ("snapkv+fit"). Throws InvalidArgument
/// that lists the presets.
Preset find_preset(std::string_view name);
/// What `compact`, `demo` and the rest use when no method is named.
inline constexpr std::string_view kDefaultMethod = "limbeck";

}  // namespace limbeck
