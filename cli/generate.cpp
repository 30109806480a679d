#include "cli/commands.h"

#include "limbeck/base/error.h"

#include <nlohmann/json.hpp>

namespace limbeck::cli {

int run_generate(const Globals& globals, const GenerateArgs& args) {
  const LanguageModel lm = load(globals);
  KvCache cache = lm.model.new_cache();
  if (const auto pattern = head_pattern(lm, args.pattern)) cache.set_head_pattern(*pattern);
  std::vector<int32_t> prompt;
  ChatFrame frame;
  if (args.raw) {
    prompt = lm.tokenizer.encode(args.prompt, {.add_special = true, .parse_special = true});
  } else {
    frame = chat_frame(lm, args.system);
    prompt = frame.before;
    const auto body = lm.tokenizer.encode(args.prompt);
    prompt.insert(prompt.end(), body.begin(), body.end());
    prompt.insert(prompt.end(), frame.after.begin(), frame.after.end());
  }
  GenerateOptions o;
  o.sampling = args.sampling.sampling;
  o.max_tokens = args.sampling.max_tokens;
  o.stop = args.sampling.stop;
  o.progress = progress(globals);
  if (const int64_t rows = parse_chunk(args.chunk); !args.chunk.empty())
    o.prefill_chunk = rows > 0 ? rows : auto_chunk(static_cast<int64_t>(prompt.size()));
  const auto first = std::max<int64_t>(4, static_cast<int64_t>(frame.before.size()));
  std::optional<RollingBudget> budget;
  if (auto rolling = rolling_options(lm, args.rolling, Overflow::compact, frame, first)) {
    budget.emplace(lm.model, std::move(*rolling));
    o.prefill_chunk = budget->chunk(o.prefill_chunk);
    o.make_room = [&](KvCache& c, int64_t rows) { return budget->make_room(c, rows); };
  }
  if (!globals.json)
    o.on_text = [](std::string_view text) {
      fmt::print("{}", text);
      std::fflush(stdout);
      return true;
    };
  const GenerateResult r = generate(lm, cache, prompt, o);
  if (!globals.json) {
    fmt::print("\n");
    if (!globals.quiet) {
      if (budget)
        for (const RollingEvent& e : budget->events()) fmt::print(stderr, "[{}]\n", e.text());
      fmt::print(stderr, "[{}]\n", footprint_line(cache.meter().report()));
    }
    return 0;
  }
  nlohmann::ordered_json j;
  j["text"] = r.text;
  j["finish_reason"] = r.finish_reason;
  j["prompt_tokens"] = prompt.size();
  j["completion_tokens"] = r.tokens.size();
  j["seconds"] = {{"prefill", r.prefill_seconds}, {"decode", r.decode_seconds}};
  j["footprint"] = footprint_json(cache, o.prefill_chunk);
  if (budget) j["events"] = events_json(*budget);
  fmt::print("{}\n", j.dump(2));
  return 0;
}

}  // namespace limbeck::cli
