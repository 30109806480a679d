#include "cli/commands.h"

#include "limbeck/base/error.h"
#include "limbeck/model/attach.h"

#include <nlohmann/json.hpp>

namespace limbeck::cli {
namespace {

/// The first cache, with the texts (not the chat prefixes) of the others behind it.
LoadedCache load_caches(const LanguageModel& lm, const std::vector<std::string>& paths) {
  LoadedCache first = load_cache(lm, paths.front());
  for (size_t i = 1; i < paths.size(); ++i) {
    const LoadedCache next = load_cache(lm, paths[i]);
    const std::string noted = header_note(next.header, "text_begin");
    const int64_t begin = noted.empty() ? 0 : detail::parse_int("text_begin", noted);
    cache_attach(lm.model, first.cache, next.cache,
                 PositionRange{begin, next.cache.logical_length()});
  }
  return first;
}

}  // namespace

int run_ask(const Globals& globals, const AskArgs& args) {
  const LanguageModel lm = load(globals);
  LoadedCache loaded = load_caches(lm, args.caches);
  const bool raw = header_note(loaded.header, "raw") == "true";
  const ChatFrame frame = raw ? ChatFrame{} : chat_frame(lm, header_note(loaded.header, "system"));
  GenerateOptions o;
  o.sampling = args.sampling.sampling;
  o.max_tokens = args.sampling.max_tokens;
  o.stop = args.sampling.stop;
  // What is kept always are the first tokens; the frame of the text was not charged either.
  auto rolling = rolling_options(lm, args.rolling, Overflow::compact, frame, 4);
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const std::string& question : args.questions) {
    // Every question sees the cache as it was loaded; what a budget does to it is not undone.
    KvCache cache = loaded.cache.clone();
    std::optional<RollingBudget> budget;
    if (rolling) {
      budget.emplace(lm.model, *rolling);
      o.prefill_chunk = budget->chunk(GenerateOptions{}.prefill_chunk);
      o.make_room = [&](KvCache& c, int64_t rows) { return budget->make_room(c, rows); };
    }
    const auto prompt = question_tokens(lm, frame, question, raw);
    if (!globals.json) {
      if (args.questions.size() > 1) fmt::print("> {}\n", question);
      o.on_text = [](std::string_view text) {
        fmt::print("{}", text);
        std::fflush(stdout);
        return true;
      };
    }
    const GenerateResult r = generate(lm, cache, prompt, o);
    if (!globals.json) {
      fmt::print("\n");
      if (budget && !globals.quiet)
        for (const RollingEvent& e : budget->events()) fmt::print(stderr, "[{}]\n", e.text());
      continue;
    }
    nlohmann::ordered_json j;
    j["question"] = question;
    j["answer"] = r.text;
    j["finish_reason"] = r.finish_reason;
    j["usage"] = {
        {"prompt_tokens", loaded.cache.logical_length() + static_cast<int64_t>(prompt.size())},
        {"cached_tokens", loaded.cache.logical_length()},
        {"completion_tokens", r.tokens.size()}};
    j["cache"] = cache_json(loaded.cache);
    j["footprint"] = footprint_json(cache, o.prefill_chunk);
    if (budget) j["events"] = events_json(*budget);
    j["seconds"] = {{"prefill", r.prefill_seconds}, {"decode", r.decode_seconds}};
    all.push_back(std::move(j));
  }
  if (globals.json) fmt::print("{}\n", all.dump(2));
  return 0;
}

}  // namespace limbeck::cli
