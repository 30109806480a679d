/// Generation: a prompt into a cache, tokens out, text streamed.
#pragma once

#include "limbeck/model/language_model.h"
#include "limbeck/model/sampling.h"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace limbeck {

struct GenerateOptions {
  SamplingOptions sampling;
  int64_t max_tokens = 256;  ///< at most what the model's window leaves
  int64_t min_tokens = 0;    ///< no EOS before
  bool ignore_eos = false;
  std::vector<std::string> stop;  ///< up to 8; found across token borders, not returned
  bool stop_after_first = false;  ///< stop strings are looked for behind the first token only
  int64_t prefill_chunk = 512;
  ProgressFn progress;  ///< of the prompt
  /// Called before `rows` more tokens are fed; may compact or shorten the cache. False: no room,
  /// the generation ends with "length" (InvalidArgument when it was the prompt). With it the
  /// model's window is the caller's business.
  std::function<bool(KvCache& cache, int64_t rows)> make_room = {};
  /// Called with every piece of text that is certain; false stops the generation.
  std::function<bool(std::string_view)> on_text;
};

struct GenerateResult {
  std::vector<int32_t>
      tokens;        ///< generated, EOS excluded; a token that completed a stop string included
  std::string text;  ///< up to a stop string
  std::string finish_reason;  ///< "stop" (EOS, stop string), "length", "cancelled"
  double prefill_seconds = 0, decode_seconds = 0;
  int64_t fed = 0;  ///< of the generated tokens, those that have become part of the cache
};

/// Appends prompt and generated tokens to the cache (the last generated token is not fed back).
/// Throws InvalidArgument when prompt and max_tokens do not fit the window. An error while the
/// prompt is fed leaves the cache as it was.
GenerateResult generate(const LanguageModel& lm, KvCache& cache, std::span<const int32_t> prompt,
                        const GenerateOptions& options = {});

/// The same prompt behind each of several caches. They decode in groups, so that the weights are
/// read once for every kLinearRowsMax sequences; tokens and caches are those of generate() for each
/// cache alone, bit for bit. The seconds of a step are shared out evenly. Takes no on_text and no
/// make_room. Throws what generate() throws, and InvalidArgument when a cache is given twice; what
/// has been fed by then stays.
std::vector<GenerateResult> generate_together(const LanguageModel& lm,
                                              std::span<KvCache* const> caches,
                                              std::span<const int32_t> prompt,
                                              const GenerateOptions& options = {});

/// Searches streamed text for stop strings: push() returns what can no longer be part of one.
class StopFilter {
 public:
  explicit StopFilter(std::vector<std::string> stops);
  std::string push(std::string_view piece);
  std::string finish();  ///< what was held back
  bool stopped() const { return stopped_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool stopped_ = false;
};

/// Chat text around a user's words, as token ids: what stands before and after them.
struct ChatFrame {
  std::vector<int32_t> before;  ///< system turn and user header
  std::vector<int32_t> after;   ///< end of the user turn and the assistant's header
};
/// Renders the template with a placeholder as the user's message and splits there. Without a
/// template: BOS (where the model has one) and a line break.
ChatFrame chat_frame(const LanguageModel& lm, const std::string& system = {});
/// Options for rendering this model's template (bos, eos texts, fixed date).
ChatOptions chat_options(const LanguageModel& lm);

}  // namespace limbeck
