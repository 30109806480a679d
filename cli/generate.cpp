#include "cli/commands.h"

#include <nlohmann/json.hpp>

namespace limbeck::cli {

int run_generate(const Globals& globals, const GenerateArgs& args) {
  const LanguageModel lm = load(globals);
  KvCache cache = lm.model.new_cache();
  std::vector<int32_t> prompt;
  if (args.raw) {
    prompt = lm.tokenizer.encode(args.prompt, {.add_special = true, .parse_special = true});
  } else {
    const ChatFrame frame = chat_frame(lm, args.system);
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
  if (!globals.json)
    o.on_text = [](std::string_view text) {
      fmt::print("{}", text);
      std::fflush(stdout);
      return true;
    };
  const GenerateResult r = generate(lm, cache, prompt, o);
  if (!globals.json) {
    fmt::print("\n");
    return 0;
  }
  nlohmann::ordered_json j;
  j["text"] = r.text;
  j["finish_reason"] = r.finish_reason;
  j["prompt_tokens"] = prompt.size();
  j["completion_tokens"] = r.tokens.size();
  j["seconds"] = {{"prefill", r.prefill_seconds}, {"decode", r.decode_seconds}};
  fmt::print("{}\n", j.dump(2));
  return 0;
}

}  // namespace limbeck::cli
