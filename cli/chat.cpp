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

/// A conversation with a budget: every turn is fed behind what the cache still holds. Nothing is
/// rendered or read again, because compacted tokens cannot be compared and dropped ones are gone.
class RollingChat {
 public:
  RollingChat(const LanguageModel& lm, const ChatArgs& args, RollingOptions options, bool quiet)
      : lm_(lm),
        args_(args),
        budget_(lm.model, std::move(options)),
        cache_(lm.model.new_cache()),
        quiet_(quiet) {}

  void turn(const std::string& line, GenerateOptions o) {
    std::vector<int32_t> prompt = std::exchange(unfed_, {});
    const std::vector<int32_t> ids = begun_ ? next_turn(line) : first_turn(line);
    prompt.insert(prompt.end(), ids.begin(), ids.end());
    begun_ = true;
    o.prefill_chunk = budget_.chunk(o.prefill_chunk);
    o.make_room = [&](KvCache& c, int64_t rows) { return budget_.make_room(c, rows); };
    const size_t before = budget_.events().size();
    const GenerateResult r = generate(lm_, cache_, prompt, o);
    fmt::print("\n");
    std::fflush(stdout);
    unfed_.assign(r.tokens.begin() + r.fed, r.tokens.end());
    for (size_t i = before; i < budget_.events().size(); ++i)
      fmt::print(stderr, "[{}]\n", budget_.events()[i].text());
    if (r.finish_reason == "length" && static_cast<int64_t>(r.tokens.size()) < o.max_tokens)
      fmt::print(stderr, "[no room for more: the overflow policy ends the answer here]\n");
    if (quiet_) return;
    fmt::print(stderr, "[{} tokens seen, {} dropped, {:.0f} slots a head of at most {}, {}]\n",
               cache_.logical_length() + budget_.dropped(), budget_.dropped(), cache_.mean_slots(),
               budget_.high_mark(), human_bytes(cache_.bytes().total()));
  }

 private:
  std::vector<int32_t> first_turn(const std::string& line) const {
    std::vector<ChatMessage> messages;
    if (!args_.system.empty()) messages.push_back({"system", args_.system});
    messages.push_back({"user", line});
    return lm_.tokenizer.encode(lm_.chat_template->render(messages, chat_options(lm_)));
  }

  /// What the template prints behind an assistant's words: their end, and the new user turn.
  std::vector<int32_t> next_turn(const std::string& line) const {
    // Private-use characters: no template prints them.
    const std::string mark = "\xEE\x80\x80\xEE\x80\x81";
    std::vector<TextPart> after;
    bool found = false;
    for (const TextPart& part : lm_.chat_template->render(
             {{"user", "-"}, {"assistant", mark}, {"user", line}}, chat_options(lm_))) {
      const size_t at = found ? std::string::npos : part.text.find(mark);
      if (found) after.push_back(part);
      if (at == std::string::npos) continue;
      found = true;
      after.push_back({part.text.substr(at + mark.size()), part.parse_special});
    }
    if (!found)
      throw FormatError("[chat] {}: the template does not print the assistant's message", lm_.name);
    return lm_.tokenizer.encode(after);
  }

  const LanguageModel& lm_;
  const ChatArgs& args_;
  RollingBudget budget_;
  KvCache cache_;
  std::vector<int32_t> unfed_;  ///< the end of the last answer, which was not fed back
  bool begun_ = false, quiet_ = false;
};

}  // namespace

int run_chat(const Globals& globals, const ChatArgs& args) {
  const LanguageModel lm = load(globals);
  if (!lm.chat_template)
    throw InvalidArgument("[chat] {} has no chat template; use `limbeck generate --raw`", lm.name);
  const bool terminal = isatty(fileno(stdin)) != 0;
  KvCache cache = lm.model.new_cache();
  std::optional<RollingChat> rolling;
  if (args.rolling.given()) {
    const ChatFrame frame = chat_frame(lm, args.system);
    auto options = rolling_options(lm, args.rolling, Overflow::compact_shift, frame,
                                   static_cast<int64_t>(frame.before.size()));
    rolling.emplace(lm, args, std::move(*options), globals.quiet);
  }
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
    GenerateOptions o;
    o.sampling = args.sampling.sampling;
    o.max_tokens = args.sampling.max_tokens;
    o.stop = args.sampling.stop;
    o.on_text = [](std::string_view text) {
      fmt::print("{}", text);
      std::fflush(stdout);
      return true;
    };
    if (rolling) {
      rolling->turn(line, std::move(o));
      continue;
    }
    messages.push_back({"user", line});
    const auto ids = lm.tokenizer.encode(lm.chat_template->render(messages, chat_options(lm)));
    const auto fresh = reuse_prefix(cache, ids);
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
