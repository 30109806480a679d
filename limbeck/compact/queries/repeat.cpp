#include "limbeck/compact/queries/repeat.h"

#include "limbeck/base/error.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace limbeck {
namespace {

class RepeatProbe : public Probe {
 public:
  RepeatProbe(const KvCache& cache, PositionRange span, double scale, QueryObserver& observer)
      : cache_(cache),
        span_(span),
        scale_(scale),
        first_fed_(cache.logical_length()),
        observer_(observer) {}

  void set_chunk(PositionRange chunk) { chunk_ = chunk; }

  uint32_t needs(int64_t layer) const override {
    const bool full = cache_.layer(layer).kind.type == LayerKind::Type::full;
    return full ? static_cast<uint32_t>(kProbeQueries) : static_cast<uint32_t>(kProbeSkip);
  }

  void on_layer(const LayerSignals& s) override {
    const LayerTail& tail = s.cache->tail;
    const int64_t fed = s.first_position - first_fed_;
    at::Tensor keys = s.keys;
    if (fed > 0) keys = at::cat({tail.keys.narrow(1, tail.length - fed, fed), s.keys}, 1);
    observer_.on_queries(cache_, {s.layer, s.cache, span_, chunk_, s.queries, keys, scale_});
  }

 private:
  const KvCache& cache_;
  PositionRange span_, chunk_;
  double scale_;
  int64_t first_fed_;
  QueryObserver& observer_;
};

}  // namespace

RepeatPrompt repeat_prompt(const LanguageModel& lm, const ChatFrame& frame) {
  RepeatPrompt p;
  const auto text = [&](std::string_view words) { return lm.tokenizer.encode(words); };
  const auto close = [&](std::vector<int32_t> ids) {
    ids.insert(ids.end(), frame.after.begin(), frame.after.end());
    return ids;
  };
  p.first = close(text("\nRepeat the previous text exactly."));
  p.before_quote = text("\nRepeat the previous text exactly, from the place after these words: \"");
  p.after_quote = close(text("\""));
  return p;
}

void run_repeat(const Model& model, KvCache& cache, PositionRange span, const RepeatPrompt& prompt,
                int64_t chunk, QueryObserver& observer, const ProgressFn& progress) {
  const int64_t window = model.spec().context_length, length = cache.logical_length();
  const auto longest_prompt = static_cast<int64_t>(std::max(
      prompt.first.size(), prompt.before_quote.size() + kRepeatQuote + prompt.after_quote.size()));
  const int64_t room = window - length - longest_prompt;
  const int64_t size = std::min(chunk, room);
  const int64_t least = std::min({kRepeatChunkLeast, span.size(), chunk});
  if (size < least)
    throw InvalidArgument(
        "[compact] the repeat pass needs at least {} free positions in the model's window of {}; "
        "found {} after {} tokens and a prompt of {}",
        least, window, std::max<int64_t>(room, 0), length, longest_prompt);
  const KvCache::Mark start = cache.mark();
  const std::vector<int32_t> text(cache.tokens().begin() + span.begin,
                                  cache.tokens().begin() + span.end);
  RepeatProbe probe(cache, span, model.spec().softmax_scale, observer);
  try {
    for (int64_t at = 0; at < span.size(); at += size) {
      const int64_t n = std::min(size, span.size() - at);
      std::vector<int32_t> fed = prompt.first;
      if (at > 0) {
        fed = prompt.before_quote;
        const int64_t quote = std::min(kRepeatQuote, at);
        fed.insert(fed.end(), text.begin() + at - quote, text.begin() + at);
        fed.insert(fed.end(), prompt.after_quote.begin(), prompt.after_quote.end());
      }
      fed.insert(fed.end(), text.begin() + at, text.begin() + at + n);
      probe.set_chunk({span.begin + at, span.begin + at + n});
      PrefillOptions options;
      options.probe = &probe;
      options.logits = LogitsWanted::none;
      prefill(model, cache, fed, options);
      cache.rollback(start);
      report_progress(progress, {"repeat pass", "tokens", at + n, span.size()});
    }
  } catch (...) {
    cache.rollback(start);
    throw;
  }
}

}  // namespace limbeck
