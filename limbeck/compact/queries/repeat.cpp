#include "limbeck/compact/queries/repeat.h"

#include "limbeck/base/error.h"

#include <algorithm>

namespace limbeck {
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
  p.excerpts = close(text("\nQuote passages of the previous text exactly, in any order."));
  p.open = text("\"");
  p.close = text("\"\n");
  return p;
}

int64_t repeat_room(const Model& model, const KvCache& cache, PositionRange span,
                    const RepeatPrompt& prompt, int64_t chunk) {
  if (prompt.first.empty())
    throw InvalidArgument(
        "[compact] this method learns from a repeat pass; give the repeat prompt's token ids");
  const int64_t window = model.spec().context_length, length = cache.logical_length();
  const auto longest_prompt = static_cast<int64_t>(
      std::max({prompt.first.size(), prompt.excerpts.size(),
                prompt.before_quote.size() + kRepeatQuote + prompt.after_quote.size()}));
  const int64_t room = window - length - longest_prompt;
  const int64_t size = std::min(chunk, room);
  const int64_t least = std::min({kRepeatChunkLeast, span.size(), chunk});
  if (size < least)
    throw InvalidArgument(
        "[compact] the repeat pass needs at least {} free positions in the model's window of {}; "
        "found {} after {} tokens and a prompt of {}",
        least, window, std::max<int64_t>(room, 0), length, longest_prompt);
  return size;
}

std::vector<ReferenceSuffix> repeat_suffixes(const Model& model, const KvCache& cache,
                                             PositionRange span, const RepeatPrompt& prompt,
                                             int64_t chunk) {
  const int64_t size = repeat_room(model, cache, span, prompt, chunk);
  const auto text = std::span<const int32_t>(cache.tokens()).subspan(span.begin, span.size());
  std::vector<ReferenceSuffix> out;
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
    out.push_back({std::move(fed), {span.begin + at, span.begin + at + n}});
  }
  return out;
}

}  // namespace limbeck
