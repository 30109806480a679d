/// One text in the full cache, and compact copies of it by any method and ratio.
///
/// The text is read once; reference queries are captured once for each kind that methods ask for.
/// Goals: every harness measures the same work in the same stages. Non-goals: questions, scores.
#pragma once

#include "limbeck/base/timing.h"
#include "limbeck/eval/method_entry.h"
#include "limbeck/eval/report/sample_row.h"
#include "limbeck/model/generate.h"

#include <list>
#include <map>
#include <string>
#include <vector>

namespace limbeck {

/// One row of the tables: a method at a ratio, or one of the bounds ("full", "none").
struct EvalUnit {
  std::string label;
  double ratio = 1.0;
  const MethodEntry* method = nullptr;  ///< nullptr for the bounds
  std::string fingerprint;              ///< of the method's options
};

struct CompactedDocument {
  KvCache cache;
  double kept = 1.0;  ///< stored entries / entries, over the span
  /// Work that all methods share: "prefill", and "queries" when this unit used them.
  StageSeconds shared;
  StageSeconds compaction;  ///< the method's own stages
  /// Entries of the span that each head of a full layer holds, layer by layer.
  std::vector<int64_t> heads;
  std::map<std::string, double> statistics;
  std::vector<std::string> notes;
};

class DocumentCache {
 public:
  /// Reads `prefix` (kept, not charged) and `span` (what methods compact). `lm` must outlive it.
  DocumentCache(const LanguageModel& lm, const ChatFrame& frame, std::span<const int32_t> prefix,
                std::span<const int32_t> span, int64_t seed);

  /// A cache of the same text with `tokens` behind it, as part of the span: what is asked is known
  /// when methods choose (query-aware). Reads these tokens alone. Meant for one unit.
  DocumentCache extended(std::span<const int32_t> tokens) const;

  /// Throws what compact() throws; the full cache is as before.
  CompactedDocument compacted(const EvalUnit& unit);

  const KvCache& full() const { return full_; }
  PositionRange span() const { return span_; }
  double text_loss() const { return text_loss_; }  ///< mean token loss of the span, nats
  /// Logits [1, vocabulary] f32 behind the last token.
  const at::Tensor& last_logits() const { return last_logits_; }

 private:
  /// What queries come from.
  struct QueryKind {
    QuerySources sources;
    bool self_study = false, prefill = false;
    int64_t sampled_tokens = 0;
    double sampled_weight = 0;
    bool operator==(const QueryKind&) const = default;
  };
  /// Queries of one kind and what they took.
  struct Captured {
    QueryKind kind;
    StoredQueries queries;
    double seconds = 0;
  };
  /// Conversations of the model about the text, and what they took.
  struct SelfStudied {
    std::vector<ReferenceSuffix> suffixes;
    double seconds = 0;
  };
  DocumentCache(const DocumentCache& text, std::span<const int32_t> tokens);
  const SelfStudied& self_studied();
  const Captured& captured(const MethodEntry& method);
  void read_streaming(const EvalUnit& unit, CompactedDocument& out);
  void compact_with(const EvalUnit& unit, CompactedDocument& out);
  void count_heads(CompactedDocument& out) const;

  const LanguageModel& lm_;
  PositionRange span_;
  ChatFrame frame_;
  CompactOptions options_;
  KvCache full_;
  StageSeconds shared_;
  double text_loss_ = 0;
  at::Tensor last_logits_;
  std::optional<SelfStudied> self_studied_;
  std::list<Captured> captured_;
  ScoreStore scores_;  ///< of the full cache
};

/// Keys, values and biases of the segments that lie in the span, and of streaming heads' entries.
int64_t bytes_of_span(const KvCache& cache, PositionRange span);

}  // namespace limbeck
