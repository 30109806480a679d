#include "cli/commands.h"

#include "limbeck/base/error.h"

#include <unistd.h>

#include <algorithm>
#include <iostream>

namespace limbeck::cli {
namespace {

/// Brings the cache to the longest common prefix with `ids`, all but the last token at most;
/// returns what is left to feed.
std::vector<int32_t> reuse_prefix(KvCache& cache, const std::vector<int32_t>& ids) {
  const auto& held = cache.tokens();
  size_t same = 0;
  while (same < held.size() && same + 1 < ids.size() && held[same] == ids[same]) ++same;
  if (same < held.size()) {
    try {
      cache.truncate(static_cast<int64_t>(same));
    } catch (
        const InvalidArgument&) {  // a sliding window has forgotten what lies before: start again
      cache.clear();
      same = 0;
    }
  }
  return {ids.begin() + static_cast<int64_t>(same), ids.end()};
}

}  // namespace

int run_chat(const Globals& globals, const ChatArgs& args) {
  const LanguageModel lm = load(globals);
  if (!lm.chat_template)
    throw InvalidArgument("[chat] {} has no chat template; use `limbeck generate --raw`", lm.name);
  const bool terminal = isatty(fileno(stdin)) != 0;
  KvCache cache = lm.model.new_cache();
  std::vector<ChatMessage> messages;
  if (!args.system.empty()) messages.push_back({"system", args.system});
  if (terminal) fmt::print("{}: an empty line or Ctrl-D ends the chat\n", lm.name);
  for (std::string line;;) {
    if (terminal) {
      fmt::print("> ");
      std::fflush(stdout);
    }
    if (!std::getline(std::cin, line) || (terminal && line.empty())) break;
    if (line.empty()) continue;
    messages.push_back({"user", line});
    const auto ids = lm.tokenizer.encode(lm.chat_template->render(messages, chat_options(lm)));
    const auto fresh = reuse_prefix(cache, ids);
    GenerateOptions o;
    o.sampling = args.sampling.sampling;
    o.max_tokens = args.sampling.max_tokens;
    o.stop = args.sampling.stop;
    o.on_text = [](std::string_view text) {
      fmt::print("{}", text);
      std::fflush(stdout);
      return true;
    };
    const GenerateResult r = generate(lm, cache, fresh, o);
    fmt::print("\n");
    if (!globals.quiet)
      fmt::print(stderr, "[{} tokens in the cache, {} prefilled this turn, window {}]\n",
                 cache.logical_length(), fresh.size(), lm.model.spec().context_length);
    messages.push_back({"assistant", r.text});
  }
  return 0;
}

}  // namespace limbeck::cli
