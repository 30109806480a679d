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

/// One compact cache and what it cost.
struct Row {
  std::string method;
  CompactReport report;
  double seconds = 0;
  Fidelity recall, flow;
  std::vector<std::string> answers;
  int64_t right = 0;
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

std::vector<int32_t> prompt_of(const LanguageModel& lm, const ChatFrame& frame, const Question& q) {
  std::vector<int32_t> prompt = question_tokens(lm, frame, q.question, false);
  const auto prefix = lm.tokenizer.encode(q.answer_prefix);
  prompt.insert(prompt.end(), prefix.begin(), prefix.end());
  return prompt;
}

bool is_right(const std::string& answer, const Question& q) {
  return answer.find(q.answer.substr(q.answer.find_first_not_of(' '))) != std::string::npos;
}

/// Everything about one method; the caches are as before.
Row measure(const LanguageModel& lm, const Story& story, PreparedText& text,
            const CompactOptions& options) {
  KvCache compacted = text.cache.clone();
  Row row;
  row.method = options.method;
  Stopwatch watch;
  row.report = compact(lm.model, compacted, options);
  row.seconds = watch.seconds();
  const auto continuation = lm.tokenizer.encode("\n\n" + story.continuation);
  row.flow = compare_caches(lm.model, text.cache, compacted, {}, continuation);
  std::vector<Fidelity> parts;
  for (const Question& q : story.questions) {
    const std::vector<int32_t> prompt = prompt_of(lm, text.frame, q);
    const auto gold = lm.tokenizer.encode(q.answer);
    parts.push_back(compare_caches(lm.model, text.cache, compacted, prompt, gold));
    row.answers.push_back(answer_with(lm, compacted, prompt));
    row.right += is_right(row.answers.back(), q) ? 1 : 0;
  }
  row.recall = mean_fidelity(parts);
  return row;
}

nlohmann::ordered_json row_json(const Row& r) {
  return {{"method", r.method},
          {"compaction", report_json(r.report)},
          {"seconds", r.seconds},
          {"factor",
           static_cast<double>(r.report.bytes_before) / static_cast<double>(r.report.bytes_after)},
          {"kl", {{"answers", r.recall.kl}, {"continuation", r.flow.kl}}},
          {"top1_continuation", r.flow.top1},
          {"answers", r.answers},
          {"right", r.right}};
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
  PreparedText text{lm.model.new_cache(), {}, frame, 0, {}, {}};
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
  std::optional<TextLossMeter> meter;
  if (args.compact.quality != 0)
    prefill_options.on_hidden = meter.emplace(lm.model, tokens, 0, text.span).listener();
  watch.restart();
  prefill(lm.model, text.cache, tokens, prefill_options);
  if (meter) text.loss = meter->result();
  seconds.emplace_back("prefill", watch.restart());

  text.cache.seal();  // all caches share what is not compacted
  std::vector<std::string> full;
  int64_t full_right = 0;
  for (const Question& q : story.questions) {
    full.push_back(answer_with(lm, text.cache, prompt_of(lm, frame, q)));
    full_right += is_right(full.back(), q) ? 1 : 0;
  }

  // The method that was asked for makes its own pass over the text; the others share a repeat.
  watch.restart();
  CompactOptions options = compact_options(lm, args.compact, text, show);
  std::vector<Row> rows = {measure(lm, story, text, options)};
  for (const auto& s : rows[0].report.seconds) seconds.push_back(s);
  if (args.compare) {
    CompactOptions repeat;
    repeat.span = options.span;
    repeat.repeat = repeat_prompt(lm, text.frame);
    repeat.sources = QuerySources{};
    repeat.progress = show;
    const StoredQueries queries = capture_queries(lm.model, text.cache, repeat);
    for (const char* other : {"kvzip", "am-omp-fast"}) {
      if (options.method == other) continue;
      CompactOptions o;
      o.method = other;
      o.ratio = options.ratio;
      o.budget = options.budget;
      o.span = options.span;
      o.queries = &queries;
      o.progress = show;
      rows.push_back(measure(lm, story, text, o));
    }
  }

  const Row& own = rows[0];
  const CompactReport& report = own.report;
  const double factor =
      static_cast<double>(report.bytes_before) / static_cast<double>(report.bytes_after);
  if (globals.json) {
    nlohmann::ordered_json j;
    j["model"] = lm.name;
    j["tokens"] = text.span.size();
    j["compaction"] = report_json(report);
    j["factor"] = factor;
    j["kl"] = {{"answers", own.recall.kl}, {"continuation", own.flow.kl}};
    j["top1_continuation"] = own.flow.top1;
    for (size_t i = 0; i < story.questions.size(); ++i)
      j["answers"].push_back({{"question", story.questions[i].question},
                              {"expected", story.questions[i].answer},
                              {"full", full[i]},
                              {"compact", own.answers[i]}});
    for (const Row& r : rows) j["methods"].push_back(row_json(r));
    for (const auto& [stage, s] : seconds) j["seconds"][stage] = s;
    fmt::print("{}\n", j.dump(2));
    return 0;
  }
  fmt::print("model      {} ({} layers, {} query and {} KV heads, {})\n", lm.name,
             lm.model.spec().layer_count(), lm.model.spec().query_heads, lm.model.spec().kv_heads,
             dtype_name(lm.model.dtype()));
  fmt::print("read       {} tokens: \"{}...\"\n", text.span.size(),
             story.text.substr(0, story.text.find(' ', 50)));
  fmt::print("cache      {} -> {} ({:.1f}x smaller; {:.3f} of the text's entries kept)\n\n",
             human_bytes(report.bytes_before), human_bytes(report.bytes_after), factor,
             report.achieved_ratio);
  fmt::print("{:<74} {:>7} {:>11} {:>13}\n", "question", "text", "full cache", "compact cache");
  for (size_t i = 0; i < story.questions.size(); ++i)
    fmt::print("{:<74} {:>7} {:>11} {:>13}\n", story.questions[i].question,
               story.questions[i].answer.substr(story.questions[i].answer.find_first_not_of(' ')),
               full[i], own.answers[i]);
  fmt::print("\n{:<12} {:>9} {:>13} {:>17} {:>15} {:>9}\n", "method", "answers", "KL on answers",
             "KL on what follows", "same next token", "smaller");
  fmt::print("{:<12} {:>9}\n", "full cache",
             fmt::format("{} of {}", full_right, story.questions.size()));
  for (const Row& r : rows)
    fmt::print(
        "{:<12} {:>9} {:>13.3f} {:>18.3f} {:>13.0f} % {:>8.1f}x\n", r.method,
        fmt::format("{} of {}", r.right, story.questions.size()), r.recall.kl, r.flow.kl,
        100 * r.flow.top1,
        static_cast<double>(r.report.bytes_before) / static_cast<double>(r.report.bytes_after));
  fmt::print("\nseconds    {}\n", seconds_line(seconds));
  return 0;
}

}  // namespace limbeck::cli
