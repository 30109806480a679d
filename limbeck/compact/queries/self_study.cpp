#include "limbeck/compact/queries/self_study.h"

#include "limbeck/base/error.h"
#include "limbeck/base/random.h"

#include <algorithm>
#include <cctype>

namespace limbeck {
namespace {

constexpr int64_t kLeastAnswer = 64;
constexpr const char* kAskForQuestions =
    "\nWrite three test questions about the text above, each with four answer options. Number the "
    "questions.";
constexpr const char* kTasks[] = {
    "\nWhat are the main points of the text above?",
    "\nList all key facts of the text above.",
    "\nGive the facts of the text above as JSON, with all names, dates and numbers.",
};

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    out.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

std::string_view trimmed(std::string_view s) {
  const auto space = [](char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; };
  while (!s.empty() && space(s.front())) s.remove_prefix(1);
  while (!s.empty() && space(s.back())) s.remove_suffix(1);
  return s;
}

bool is_rule(std::string_view line) {
  line = trimmed(line);
  return line.size() >= 3 && std::string_view("-=*").find(line[0]) != std::string_view::npos &&
         line.find_first_not_of(line[0]) == std::string_view::npos;
}

/// Characters of a number with its point or bracket at the start of the line; 0 without one.
size_t number_length(std::string_view line) {
  size_t digits = 0;
  while (digits < line.size() && std::isdigit(static_cast<unsigned char>(line[digits])) != 0)
    ++digits;
  const bool marked = digits < line.size() && (line[digits] == '.' || line[digits] == ')');
  return digits > 0 && digits <= 3 && marked ? digits + 1 : 0;
}

/// One text per line for which `starts` gives the characters to skip; what comes
/// before the first is dropped too.
template <class Starts>
std::vector<std::string> split(const std::vector<std::string_view>& lines, const Starts& starts) {
  std::vector<std::string> out;
  for (const std::string_view line : lines) {
    if (const size_t skip = starts(line); skip > 0) {
      out.emplace_back();
      out.back() += line.substr(std::min(skip, line.size()));
    } else if (!out.empty()) {
      out.back() += out.back().empty() ? "" : "\n";
      out.back() += line;
    }
  }
  return out;
}

constexpr std::string_view kThinks = "<think>", kThought = "</think>";

class Study {
 public:
  Study(const LanguageModel& lm, const KvCache& cache, PositionRange span, const ChatFrame& frame,
        const SelfStudyOptions& options)
      : lm_(lm), cache_(cache), span_(span), frame_(frame), options_(options) {}

  SelfStudy run() {
    SelfStudy out;
    for (int64_t i = 0; i < options_.tries && out.questions.empty(); ++i) {
      const GenerateResult asked = say(prompt_of(kAskForQuestions), options_.question_tokens);
      if (still_thinks(asked.text)) continue;
      out.questions = list_items(said_aloud(asked.text));
      if (static_cast<int64_t>(out.questions.size()) > options_.most_questions)
        out.questions.clear();
    }
    const auto total = static_cast<int64_t>(out.questions.size() + std::size(kTasks));
    int64_t conversations = 0;
    const auto converse = [&](const std::string& words, int64_t tokens) {
      std::vector<int32_t> fed = prompt_of(words);
      const GenerateResult answer = say(fed, tokens);
      fed.insert(fed.end(), answer.tokens.begin(), answer.tokens.end());
      if (!still_thinks(answer.text)) out.suffixes.push_back({std::move(fed), span_});
      report_progress(options_.progress, {"self-study", "conversations", ++conversations, total});
    };
    for (const std::string& q : out.questions) converse("\n" + q, options_.answer_tokens);
    for (const char* task : kTasks) converse(task, options_.task_tokens);
    return out;
  }

 private:
  std::vector<int32_t> prompt_of(const std::string& words) const {
    std::vector<int32_t> ids = lm_.tokenizer.encode(words);
    ids.insert(ids.end(), frame_.after.begin(), frame_.after.end());
    return ids;
  }

  GenerateResult say(const std::vector<int32_t>& prompt, int64_t tokens) {
    const int64_t window = lm_.model.spec().context_length, length = cache_.logical_length();
    const int64_t room = window - length - static_cast<int64_t>(prompt.size());
    if (room < kLeastAnswer)
      throw InvalidArgument(
          "[self-study] an answer needs {} free positions in the model's window of {}; found {} "
          "after {} tokens and a question of {}",
          kLeastAnswer, window, std::max<int64_t>(room, 0), length, prompt.size());
    GenerateOptions o;
    o.max_tokens = std::min(tokens, room);
    o.sampling.temperature = options_.temperature;
    o.sampling.top_p = options_.top_p;
    o.sampling.top_k = options_.top_k;
    o.sampling.seed = static_cast<int64_t>(
        splitmix64_at(static_cast<uint64_t>(options_.seed), static_cast<uint64_t>(said_++)) >> 1);
    KvCache copy = cache_.clone();
    return generate(lm_, copy, prompt, o);
  }

  const LanguageModel& lm_;
  const KvCache& cache_;
  PositionRange span_;
  const ChatFrame& frame_;
  const SelfStudyOptions& options_;
  int64_t said_ = 0;
};

}  // namespace

bool still_thinks(std::string_view answer) {
  const size_t begin = answer.rfind(kThinks);
  return begin != std::string_view::npos && answer.find(kThought, begin) == std::string_view::npos;
}

std::string_view said_aloud(std::string_view answer) {
  const size_t end = answer.rfind(kThought);
  return end == std::string_view::npos ? answer : answer.substr(end + kThought.size());
}

std::vector<std::string> list_items(std::string_view text) {
  const std::vector<std::string_view> lines = lines_of(text);
  std::vector<std::string> items;
  if (std::any_of(lines.begin(), lines.end(), is_rule)) {
    // What precedes the first rule is an item as well: rules stand between.
    std::vector<std::string_view> ruled = {"---"};
    ruled.insert(ruled.end(), lines.begin(), lines.end());
    items = split(ruled, [](std::string_view line) { return is_rule(line) ? line.size() : 0; });
  } else {
    items = split(lines, number_length);
    if (items.empty()) {
      std::vector<std::string_view> parted = {" "};
      parted.insert(parted.end(), lines.begin(), lines.end());
      items = split(parted, [](std::string_view line) {
        return trimmed(line).empty() ? line.size() + 1 : 0;
      });
    }
  }
  std::vector<std::string> out;
  for (const std::string& item : items)
    if (!trimmed(item).empty()) out.emplace_back(trimmed(item));
  return out;
}

SelfStudy self_study(const LanguageModel& lm, const KvCache& cache, PositionRange span,
                     const ChatFrame& frame, const SelfStudyOptions& options) {
  return Study(lm, cache, span, frame, options).run();
}

}  // namespace limbeck
