/// Scorers: how much each stored slot is worth to its head; higher is better.
///
/// A scorer sees one layer at a time and keeps nothing between layers. Adding one: a source file
/// with a subclass and an options struct, a test, and a line in registry.cpp.
#pragma once

#include "limbeck/base/options.h"
#include "limbeck/compact/fit/head_attention.h"
#include "limbeck/compact/queries/own_queries.h"
#include "limbeck/compact/queries/reference_queries.h"
#include "limbeck/compact/selection.h"
#include "limbeck/model/model.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace limbeck {

/// ScorerTraits::recent of scorers that always keep the newer half of what they may keep.
inline constexpr int64_t kRecentHalf = std::numeric_limits<int64_t>::max();

/// What scores have to do with how much is kept. With `none` they are the same for every budget;
/// with `prefix` those of a larger budget rank the same slots first, as far as a smaller one looks.
enum class BudgetUse { all, prefix, none };

/// What a scorer is and needs.
struct ScorerTraits {
  Comparable comparable = Comparable::none;
  bool needs_queries = false;  ///< ScoreInput::queries is given
  /// As a first stage it sees every reference row, layer by layer while the pass runs, instead of
  /// at most query_limit() rows afterwards.
  bool runs_in_pass = false;
  /// Last tokens of the span whose own queries it looks at (ScoreInput::own): 0 = none, kAllRows =
  /// the whole span's. The text is read again for them, layer by layer.
  int64_t own_rows = 0;
  /// Name of a side value that it keeps with the slots and goes on from: then own rows are only
  /// those behind the last segment of the span that has it. Empty = none.
  std::string_view carries = {};
  bool query_dependent = false;  ///< looks at recent tokens as a stand-in for the question
  int64_t sinks = 0;             ///< first slots of the span protected by default
  int64_t recent = 0;            ///< last slots protected by default
  /// First full layers that keep everything, beyond the budget of the others.
  int64_t whole_layers = 0;
  /// Whether the order survives a mean and a deviation: not that of scores on one scale some of
  /// which stand far above all others.
  bool normalizable = true;
  /// Whether scores may be taken over from a compaction with another budget (score_store.h).
  BudgetUse budget = BudgetUse::all;
};

/// One full layer's slots of the span.
struct ScoreInput {
  const Model* model = nullptr;
  const KvCache* cache = nullptr;
  int64_t layer = 0;
  const LayerSegment* slots = nullptr;  ///< packed by head, n slots in all
  PositionRange span;
  uint64_t seed = 0;
  /// Reference queries of the layer. A first stage sees all of them, a later one a subset.
  const LayerQueries* queries = nullptr;
  /// What all of these rows see in each head's slots [H]: left by the scorer that computes it, for
  /// later stages and the builder. Null when nobody asks for it, empty when nobody has been there.
  /// Coverage and readers may be missing.
  std::vector<HeadAttention>* seen = nullptr;
  double open_budget = 0;            ///< mean slots per head that this stage hands out
  std::span<const int64_t> budgets;  ///< [H] slots that each head keeps by its own share
  bool own_budgets = false;  ///< these are final: no other head's slots compete with a head's own
  std::span<const double> head_weights;  ///< [H] importance of the heads, or empty: all 1
  std::span<const uint8_t> forced;       ///< [n] 1 = kept already: protected or of an earlier stage
  std::span<const float> earlier;        ///< [n] scores of the stage before, or empty
  const OwnQueries* own = nullptr;       ///< as many last rows of the span as own_rows asks for
  at::Tensor* carried = nullptr;  ///< out [n] f32: new side values, for scorers that carry some
  /// Last positions of the span that this contest protects for the scorer: its traits' number, or
  /// fewer under a small budget.
  int64_t recent = 0;
};

/// Writes score(keys, values) [m] f32 of each head's slots that can be seen, in order: bias -inf
/// leaves before any statistic and scores 0.
void score_visible(
    const LayerSegment& slots, const at::Tensor& out,
    const std::function<at::Tensor(const at::Tensor& keys, const at::Tensor& values)>& score);

class Scorer {
 public:
  virtual ~Scorer() = default;
  virtual ScorerTraits traits() const = 0;
  /// Most reference rows per KV head that are worth having, given the mean budget of a head.
  virtual int64_t query_limit(int64_t mean_budget) const {
    return std::max<int64_t>(4096, 8 * mean_budget);
  }
  /// Writes scores into out [n] f32. Layers may be scored by several threads at once.
  virtual void score(const ScoreInput& in, const at::Tensor& out) const = 0;
};

using OptionTexts = std::map<std::string, std::string>;

struct ScorerEntry {
  std::string name, summary, source;  ///< source: arXiv id
  std::unique_ptr<Scorer> (*make)(const OptionTexts& options);
  std::vector<FieldInfo> (*describe)();
};
const std::vector<ScorerEntry>& scorer_registry();
/// Throws InvalidArgument for an unknown name (lists the known ones) or bad options.
std::unique_ptr<Scorer> make_scorer(std::string_view name, const OptionTexts& options = {});

// One maker and one description per scorer; registry.cpp lists them.
std::unique_ptr<Scorer> make_random_scorer(const OptionTexts& options);
std::unique_ptr<Scorer> make_streaming_scorer(const OptionTexts& options);
std::unique_ptr<Scorer> make_knorm_scorer(const OptionTexts& options);
std::unique_ptr<Scorer> make_keydiff_scorer(const OptionTexts& options);
std::unique_ptr<Scorer> make_kvzip_scorer(const OptionTexts& options);
std::unique_ptr<Scorer> make_attention_scorer(const OptionTexts& options);
std::unique_ptr<Scorer> make_omp_scorer(const OptionTexts& options);
std::unique_ptr<Scorer> make_wpc_scorer(const OptionTexts& options);
std::unique_ptr<Scorer> make_compactor_scorer(const OptionTexts& options);
std::unique_ptr<Scorer> make_critical_scorer(const OptionTexts& options);
std::unique_ptr<Scorer> make_cur_scorer(const OptionTexts& options);
std::unique_ptr<Scorer> make_expected_scorer(const OptionTexts& options);
std::unique_ptr<Scorer> make_finch_scorer(const OptionTexts& options);
std::unique_ptr<Scorer> make_h2o_scorer(const OptionTexts& options);
std::unique_ptr<Scorer> make_lagkv_scorer(const OptionTexts& options);
std::unique_ptr<Scorer> make_leverage_scorer(const OptionTexts& options);
std::unique_ptr<Scorer> make_noncausal_scorer(const OptionTexts& options);
std::unique_ptr<Scorer> make_sage_scorer(const OptionTexts& options);
std::unique_ptr<Scorer> make_snapkv_scorer(const OptionTexts& options);
std::unique_ptr<Scorer> make_tova_scorer(const OptionTexts& options);
std::vector<FieldInfo> describe_random_scorer();
std::vector<FieldInfo> describe_streaming_scorer();
std::vector<FieldInfo> describe_knorm_scorer();
std::vector<FieldInfo> describe_keydiff_scorer();
std::vector<FieldInfo> describe_kvzip_scorer();
std::vector<FieldInfo> describe_attention_scorer();
std::vector<FieldInfo> describe_omp_scorer();
std::vector<FieldInfo> describe_wpc_scorer();
std::vector<FieldInfo> describe_compactor_scorer();
std::vector<FieldInfo> describe_critical_scorer();
std::vector<FieldInfo> describe_cur_scorer();
std::vector<FieldInfo> describe_expected_scorer();
std::vector<FieldInfo> describe_finch_scorer();
std::vector<FieldInfo> describe_h2o_scorer();
std::vector<FieldInfo> describe_lagkv_scorer();
std::vector<FieldInfo> describe_leverage_scorer();
std::vector<FieldInfo> describe_noncausal_scorer();
std::vector<FieldInfo> describe_sage_scorer();
std::vector<FieldInfo> describe_snapkv_scorer();
std::vector<FieldInfo> describe_tova_scorer();

}  // namespace limbeck
