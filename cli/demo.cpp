#include "cli/commands.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/fidelity.h"

#include <nlohmann/json.hpp>

namespace limbeck::cli {
namespace {

struct Question {
  std::string question, answer_prefix, answer;
};

struct Story {
  std::string text, continuation;
  std::vector<Question> questions;
};

constexpr const char* kInstruction =
    "Some special magic numbers are hidden within the following text. Make sure to memorize them. "
    "I will quiz you "
    "about the numbers afterwards.\n";

Story read_story(const std::string& folder) {
  if (!std::filesystem::exists(folder + "/text.txt"))
    throw ResourceError(
        "[demo] {} has no text.txt; --assets names the folder assets/demo of the source tree",
        folder);
  Story s{read_file(folder + "/text.txt"), read_file(folder + "/continuation.txt"), {}};
  try {
    for (const auto& q : nlohmann::json::parse(read_file(folder + "/questions.json")))
      s.questions.push_back({q.at("question"), q.at("answer_prefix"), q.at("answer")});
  } catch (const nlohmann::json::exception& e) {
    throw FormatError("[demo] {}/questions.json: {}", folder, e.what());
  }
  return s;
}

struct Answer {
  Fidelity fidelity;
  std::string full, compact;
};

std::string answer_with(const LanguageModel& lm, KvCache& cache,
                        const std::vector<int32_t>& prompt) {
  const KvCache::Mark mark = cache.mark();
  GenerateOptions o;
  o.max_tokens = 12;
  o.stop = {".", "\n"};
  std::string text = generate(lm, cache, prompt, o).text;
  cache.rollback(mark);
  const size_t first = text.find_first_not_of(' ');
  return first == std::string::npos ? "" : text.substr(first);
}

Answer ask(const LanguageModel& lm, const ChatFrame& frame, KvCache& full, KvCache& compact,
           const Question& q) {
  std::vector<int32_t> prompt = question_tokens(lm, frame, q.question, false);
  const auto prefix = lm.tokenizer.encode(q.answer_prefix), gold = lm.tokenizer.encode(q.answer);
  prompt.insert(prompt.end(), prefix.begin(), prefix.end());
  return {compare_caches(lm.model, full, compact, prompt, gold), answer_with(lm, full, prompt),
          answer_with(lm, compact, prompt)};
}

}  // namespace

int run_demo(const Globals& globals, const DemoArgs& args) {
  StageSeconds seconds;
  Stopwatch watch;
  const Story story = read_story(args.assets);
  const LanguageModel lm = load(globals);
  seconds.emplace_back("load", watch.restart());
  const ProgressFn show = progress(globals);

  // The frame, then the instruction: kept whatever happens to the text, and not charged to its
  // budget.
  const ChatFrame frame = chat_frame(lm);
  PreparedText text{lm.model.new_cache(), {}, frame, 0};
  std::vector<int32_t> tokens = frame.before;
  for (const std::string& part : {std::string(kInstruction), story.text}) {
    text.span.begin = static_cast<int64_t>(tokens.size());
    const auto ids = lm.tokenizer.encode(part);
    tokens.insert(tokens.end(), ids.begin(), ids.end());
  }
  text.span.end = static_cast<int64_t>(tokens.size());
  PrefillOptions prefill_options;
  prefill_options.progress = show;
  prefill_options.logits = LogitsWanted::none;
  watch.restart();
  prefill(lm.model, text.cache, tokens, prefill_options);
  seconds.emplace_back("prefill", watch.restart());

  text.cache.seal();  // both caches share what is not compacted
  KvCache compacted = text.cache.clone();
  const CompactReport report =
      compact(lm.model, compacted, compact_options(lm, args.compact, text, show));
  for (const auto& s : report.seconds) seconds.push_back(s);

  watch.restart();
  const auto continuation = lm.tokenizer.encode("\n\n" + story.continuation);
  const Fidelity flow = compare_caches(lm.model, text.cache, compacted, {}, continuation);
  std::vector<Answer> answers;
  std::vector<Fidelity> on_answers;
  for (const Question& q : story.questions) {
    answers.push_back(ask(lm, frame, text.cache, compacted, q));
    on_answers.push_back(answers.back().fidelity);
  }
  seconds.emplace_back("answers", watch.restart());
  const Fidelity recall = mean_fidelity(on_answers);
  const double factor =
      static_cast<double>(report.bytes_before) / static_cast<double>(report.bytes_after);

  if (globals.json) {
    nlohmann::ordered_json j;
    j["model"] = lm.name;
    j["tokens"] = text.span.size();
    j["compaction"] = report_json(report);
    j["factor"] = factor;
    j["kl"] = {{"answers", recall.kl}, {"continuation", flow.kl}};
    j["top1_continuation"] = flow.top1;
    for (size_t i = 0; i < answers.size(); ++i)
      j["answers"].push_back({{"question", story.questions[i].question},
                              {"expected", story.questions[i].answer},
                              {"full", answers[i].full},
                              {"compact", answers[i].compact},
                              {"kl", answers[i].fidelity.kl}});
    for (const auto& [stage, s] : seconds) j["seconds"][stage] = s;
    fmt::print("{}\n", j.dump(2));
    return 0;
  }
  fmt::print("model      {} ({} layers, {} query and {} KV heads, {})\n", lm.name,
             lm.model.spec().layer_count(), lm.model.spec().query_heads, lm.model.spec().kv_heads,
             dtype_name(lm.model.dtype()));
  fmt::print("read       {} tokens: \"{}...\"\n", text.span.size(),
             story.text.substr(0, story.text.find(' ', 50)));
  fmt::print(
      "cache      {} -> {} ({:.1f}x smaller; method {}, {:.3f} of the text's entries kept)\n",
      human_bytes(report.bytes_before), human_bytes(report.bytes_after), factor, report.method,
      report.achieved_ratio);
  fmt::print(
      "quality    KL against the full cache: {:.4f} on answers, {:.4f} on {} tokens of "
      "continuation "
      "({:.0f} % same likeliest token)\n\n",
      recall.kl, flow.kl, flow.tokens, 100 * flow.top1);
  fmt::print("{:<74} {:>7} {:>11} {:>13}\n", "question", "text", "full cache", "compact cache");
  for (size_t i = 0; i < answers.size(); ++i)
    fmt::print("{:<74} {:>7} {:>11} {:>13}\n", story.questions[i].question,
               story.questions[i].answer.substr(story.questions[i].answer.find_first_not_of(' ')),
               answers[i].full, answers[i].compact);
  fmt::print("\nseconds    {}\n", seconds_line(seconds));
  return 0;
}

}  // namespace limbeck::cli
