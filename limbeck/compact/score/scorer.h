/// Scorers: how much each stored slot is worth to its head; higher is better.
///
/// A scorer is made for one request and may keep state between layers. Adding one: a source file
/// with a subclass and an options struct, a test, and a line in registry.cpp.
#pragma once

#include "limbeck/base/options.h"
#include "limbeck/compact/queries/query_block.h"
#include "limbeck/compact/selection.h"
#include "limbeck/model/model.h"

#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace limbeck {

/// What a scorer is and needs.
struct ScorerTraits {
  Comparable comparable = Comparable::none;
  bool needs_queries = false;    ///< reference queries: QueryObserver is fed before score()
  bool query_dependent = false;  ///< looks at recent tokens as a stand-in for the question
  int64_t sinks = 0;             ///< first slots of the span protected by default
  int64_t recent = 0;            ///< last slots protected by default
};

/// One full layer's slots of the span.
struct ScoreInput {
  const Model* model = nullptr;
  int64_t layer = 0;
  const LayerSegment* slots = nullptr;  ///< packed by head, n slots in all
  PositionRange span;
  uint64_t seed = 0;
};

class Scorer : public QueryObserver {
 public:
  virtual ScorerTraits traits() const = 0;
  /// Called once before anything else.
  virtual void begin(const KvCache& cache, PositionRange span) {}
  void on_queries(const KvCache& cache, const QueryBlock& block) override {}
  /// Writes scores into out [n] f32.
  virtual void score(const ScoreInput& in, const at::Tensor& out) = 0;
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
std::vector<FieldInfo> describe_random_scorer();
std::vector<FieldInfo> describe_streaming_scorer();
std::vector<FieldInfo> describe_knorm_scorer();
std::vector<FieldInfo> describe_keydiff_scorer();
std::vector<FieldInfo> describe_kvzip_scorer();

}  // namespace limbeck
