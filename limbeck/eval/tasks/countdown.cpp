#include "limbeck/eval/tasks/countdown.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/metrics/longproc_scores.h"
#include "limbeck/eval/tasks/filled_task.h"
#include "limbeck/eval/tasks/stream.h"

#include <algorithm>

namespace limbeck {
namespace {

constexpr const char* kName = "countdown";
constexpr int64_t kLargestNumber = 30, kLeastTarget = 10, kLargestTarget = 99;
constexpr int64_t kLargestResult = 9999;
constexpr std::string_view kOpen = "<solution>\n", kClose = "\n</solution>";

struct Size {
  std::string_view name;
  int64_t least_lines, most_lines, max_new;
};
constexpr std::array<Size, 3> kSizes = {
    {{"small", 8, 30, 1024}, {"medium", 31, 120, 3072}, {"large", 121, 480, 10240}}};

struct Step {
  int64_t a = 0, b = 0, c = 0;
  char op = '+';
  std::string text() const { return fmt::format("{} {} {} = {}", a, op, b, c); }
};

/// What two numbers can become.
std::vector<Step> steps_of(int64_t x, int64_t y) {
  const int64_t a = std::max(x, y), b = std::min(x, y);
  std::vector<Step> out = {{a, b, a + b, '+'}};
  if (a > b) out.push_back({a, b, a - b, '-'});
  if (b > 1) out.push_back({a, b, a * b, '*'});
  if (b > 1 && a % b == 0) out.push_back({a, b, a / b, '/'});
  std::erase_if(out, [](const Step& step) { return step.c > kLargestResult; });
  return out;
}

class Search {
 public:
  Search(int64_t target, int64_t most_lines) : target_(target), most_(most_lines) {}

  /// True when the target was reached; false when it cannot be, or there are too many lines.
  bool run(const std::vector<int64_t>& numbers, const std::string& indent) {
    if (numbers.size() == 2) return last(numbers, indent);
    for (size_t i = 0; i < numbers.size(); ++i)
      for (size_t j = i + 1; j < numbers.size(); ++j)
        for (const Step& step : steps_of(numbers[i], numbers[j])) {
          std::vector<int64_t> left = numbers;
          left.erase(left.begin() + static_cast<int64_t>(j));
          left.erase(left.begin() + static_cast<int64_t>(i));
          left.push_back(step.c);
          add(fmt::format("{}{}, left {}", indent, step.text(), fmt::join(left, ", ")));
          solution_.push_back(step);
          if (run(left, indent + "  ")) return true;
          if (out.lines > most_) return false;
          solution_.pop_back();
        }
    return false;
  }

  CountdownSearch out;

 private:
  /// All results of the last two numbers take one line.
  bool last(const std::vector<int64_t>& numbers, const std::string& indent) {
    std::vector<int64_t> results;
    for (const Step& step : steps_of(numbers[0], numbers[1])) {
      if (step.c != target_) {
        results.push_back(step.c);
        continue;
      }
      solution_.push_back(step);
      add(fmt::format("{}{}, the target", indent, step.text()));
      for (const Step& done : solution_)
        out.solution += (out.solution.empty() ? "" : "\n") + done.text();
      return out.lines <= most_;
    }
    add(fmt::format("{}{} and {} give {}, no", indent, numbers[0], numbers[1],
                    fmt::join(results, ", ")));
    return false;
  }
  void add(const std::string& line) { out.trace += (out.lines++ == 0 ? "" : "\n") + line; }

  int64_t target_, most_;
  std::vector<Step> solution_;
};

struct Game {
  std::array<int64_t, 4> numbers{};
  int64_t target = 0;
  CountdownSearch search;
  std::string numbers_text() const { return fmt::format("{}", fmt::join(numbers, ", ")); }
};

Game draw_game(Random& random, const Size& size) {
  while (true) {
    Game out;
    for (int64_t& number : out.numbers) number = uniform_int(random, 1, kLargestNumber);
    out.target = uniform_int(random, kLeastTarget, kLargestTarget);
    auto found = countdown_search(out.numbers, out.target, size.most_lines);
    if (!found || found->lines < size.least_lines) continue;
    out.search = std::move(*found);
    return out;
  }
}

const Size& size_of(const CountdownOptions& options) {
  const auto found = std::find_if(kSizes.begin(), kSizes.end(),
                                  [&](const Size& size) { return size.name == options.size; });
  LIMBECK_CHECK(found != kSizes.end(), "size {}", options.size);
  return *found;
}

TaskInfo countdown_info(const CountdownOptions& options) {
  TaskInfo info;
  info.name = kName;
  info.group = "longproc";
  info.metric = "solved";
  info.max_new = size_of(options).max_new;
  return info;
}

class Countdown : public FilledTask {
 public:
  Countdown(const TaskResources& resources, const CountdownOptions& options, PromptCounter counter)
      : FilledTask(countdown_info(options), kName, options.seed, std::move(counter)),
        templates_(resources.templates),
        options_(options) {}

  TaskScore score(const TaskQuestion& question, std::string_view prediction) const override {
    TaskScore out;
    const auto numbers = question.facts.at("numbers").get<std::vector<int64_t>>();
    out.score = countdown_score(prediction, numbers, question.facts.at("target").get<int64_t>());
    const size_t at = prediction.rfind(kOpen.substr(0, kOpen.size() - 1));
    out.found = at != std::string_view::npos;
    if (out.found) out.parsed = prediction.substr(at);
    return out;
  }

 protected:
  FillSteps steps(int64_t /*length*/) const override { return {1, 1, options_.examples}; }
  std::optional<TaskDocument> build(Random random, const SampleRequest& /*request*/,
                                    int64_t x) const override {
    const Game asked = draw_game(random, size_of(options_));
    std::string examples;
    for (int64_t i = 0; i < x; ++i) {
      Game game;
      do game = draw_game(random, size_of(options_));
      while (game.numbers == asked.numbers);
      examples += fill_slots(templates_.countdown_example, {{"numbers", game.numbers_text()},
                                                            {"target", std::to_string(game.target)},
                                                            {"search", game.search.trace},
                                                            {"solution", game.search.solution}});
    }
    TaskDocument out;
    out.text = fill_slots(templates_.countdown_document, {{"examples", examples}});
    TaskQuestion question;
    question.text =
        fill_slots(templates_.countdown_question,
                   {{"numbers", asked.numbers_text()}, {"target", std::to_string(asked.target)}});
    question.answer_prefix = templates_.countdown_prefix;
    question.outputs = {fmt::format("{}{}{}", kOpen, asked.search.solution, kClose)};
    question.facts["numbers"] = asked.numbers;
    question.facts["target"] = asked.target;
    question.facts["search_lines"] = asked.search.lines;
    out.questions.push_back(std::move(question));
    return out;
  }

 private:
  TaskTemplates templates_;
  CountdownOptions options_;
};

}  // namespace

std::optional<CountdownSearch> countdown_search(const std::array<int64_t, 4>& numbers,
                                                int64_t target, int64_t most_lines) {
  Search search(target, most_lines);
  if (!search.run({numbers.begin(), numbers.end()}, "")) return {};
  return std::move(search.out);
}

std::unique_ptr<Task> make_countdown(const TaskResources& resources,
                                     const CountdownOptions& options, PromptCounter counter) {
  options_validate(kName, options);
  return std::make_unique<Countdown>(resources, options, std::move(counter));
}

}  // namespace limbeck
