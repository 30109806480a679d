#include "limbeck/compact/queries/excerpts.h"

#include "limbeck/base/error.h"
#include "limbeck/base/random.h"

#include <algorithm>

namespace limbeck {

std::vector<ReferenceSuffix> excerpt_suffixes(const Model& model, const KvCache& cache,
                                              PositionRange span, const RepeatPrompt& prompt,
                                              int64_t length, int64_t chunk, int64_t seed) {
  if (length < 1)
    throw InvalidArgument("[compact] excerpts must be at least 1 token long; found {}", length);
  const auto around = static_cast<int64_t>(prompt.open.size() + prompt.close.size()) + kExcerptLead;
  const int64_t room = repeat_room(model, cache, span, prompt, chunk);
  const int64_t passage = std::clamp<int64_t>(std::min(length, room - around), 1, span.size());
  Random random(static_cast<uint64_t>(seed));
  std::vector<int64_t> starts;
  for (int64_t at = 0; at < span.size(); at += passage) starts.push_back(at);
  for (size_t i = starts.size(); i > 1; --i) std::swap(starts[i - 1], starts[random.below(i)]);

  const auto text = std::span<const int32_t>(cache.tokens()).subspan(span.begin, span.size());
  std::vector<ReferenceSuffix> out;
  int64_t taken = room;
  for (const int64_t at : starts) {
    const int64_t first = std::max<int64_t>(0, at - kExcerptLead);
    const int64_t end = std::min(span.size(), at + passage);
    if (taken + end - first + around - kExcerptLead > room) {
      out.push_back({prompt.excerpts, span});
      taken = 0;
    }
    std::vector<int32_t>& fed = out.back().tokens;
    const size_t before = fed.size();
    fed.insert(fed.end(), prompt.open.begin(), prompt.open.end());
    fed.insert(fed.end(), text.begin() + first, text.begin() + end);
    fed.insert(fed.end(), prompt.close.begin(), prompt.close.end());
    taken += static_cast<int64_t>(fed.size() - before);
  }
  return out;
}

}  // namespace limbeck
