#include "limbeck/eval/tasks/needle_grid.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/metrics/qa_scores.h"
#include "limbeck/eval/tasks/filled_task.h"
#include "limbeck/eval/tasks/needles.h"
#include "limbeck/eval/tasks/stream.h"
#include "limbeck/io/quote.h"

#include <algorithm>

namespace limbeck {
namespace {

constexpr const char* kName = "needle_grid";
constexpr NeedleKind kNumbers = NeedleKind::numbers;
constexpr int kTries = 100;

TaskInfo grid_info() {
  TaskInfo info;
  info.name = info.group = kName;
  info.metric = "contain";
  info.max_new = 64;
  info.round = kNeedleGridDepths;
  return info;
}

class NeedleGrid : public FilledTask {
 public:
  NeedleGrid(const TaskResources& resources, const NeedleGridOptions& options,
             PromptCounter counter)
      : FilledTask(grid_info(), kName, options.seed, std::move(counter)),
        resources_(resources),
        options_(options) {
    check();
    if (!resources_.words) resources_.words = std::make_shared<WordList>(WordList::syllables());
  }
  TaskScore score(const TaskQuestion& question, std::string_view prediction) const override;

 protected:
  FillSteps steps(int64_t length) const override;
  std::optional<TaskDocument> build(Random random, const SampleRequest& request,
                                    int64_t x) const override;

 private:
  void check() const;
  bool free() const { return !options_.needle.empty(); }
  int64_t place(const std::vector<std::string>& sentences, int64_t depth, bool exact) const;
  void draw(Random& random, std::vector<std::string>& needles,
            std::vector<TaskQuestion>& questions) const;

  TaskResources resources_;
  NeedleGridOptions options_;
};

void NeedleGrid::check() const {
  if (!resources_.prose) throw InvalidArgument("[{}] need prose for the text; found none", kName);
  const int given =
      !options_.needle.empty() + !options_.question.empty() + !options_.answer.empty();
  if (given % 3 != 0)
    throw InvalidArgument(
        "[{}] needle, question and answer must be given together; found {}, {} and {}", kName,
        quote(options_.needle), quote(options_.question), quote(options_.answer));
  if (free() && contain(options_.needle, options_.answer) == 0)
    throw InvalidArgument("[{}] needle must contain its answer; found {} without {}", kName,
                          quote(options_.needle), quote(options_.answer));
}

FillSteps NeedleGrid::steps(int64_t length) const {
  const int64_t words = std::max<int64_t>(10, length / 64), have = resources_.prose->words();
  if (have < words)
    throw InvalidArgument("[{}] prose must have at least {} words; found {}", kName, words, have);
  return {words, words, have};
}

/// Sentences in front of the needles: as many as have at most floor(depth * tokens) tokens
/// together. Without `exact` the same of bytes, which costs nothing and serves to fill a length.
int64_t NeedleGrid::place(const std::vector<std::string>& sentences, int64_t depth,
                          bool exact) const {
  const auto count = static_cast<int64_t>(sentences.size());
  if (depth == 0) return 0;
  if (depth == 100) return count;
  std::vector<int64_t> ends(1);  // bytes of the first i sentences
  for (const std::string& sentence : sentences)
    ends.push_back(ends.back() + static_cast<int64_t>(sentence.size()) + (ends.back() > 0));
  const auto by_bytes = [&](int64_t bytes) {
    return std::upper_bound(ends.begin(), ends.end(), bytes) - ends.begin() - 1;
  };
  if (!exact) return by_bytes(ends.back() * depth / 100);
  const std::string text = join_sentences(sentences);
  const int64_t frame = counter()("", "", "");
  const auto tokens = [&](int64_t i) {
    return counter()(std::string_view(text).substr(0, static_cast<size_t>(ends[i])), "", "") -
           frame;
  };
  int64_t low = 0, low_tokens = 0, high = count, high_tokens = tokens(count);
  const int64_t target = high_tokens * depth / 100;
  // Tokens are about proportional to bytes: guess by them, and bisect where that does not help.
  for (int turn = 0; high - low > 1; ++turn) {
    const int64_t span = std::max<int64_t>(high_tokens - low_tokens, 1);
    int64_t middle = by_bytes(ends[low] + (ends[high] - ends[low]) * (target - low_tokens) / span);
    // Next to the guess stands the other side of the border.
    if (turn % 2 == 1) ++middle;
    if (turn >= 6) middle = low + (high - low) / 2;
    middle = std::clamp(middle, low + 1, high - 1);
    const int64_t found = tokens(middle);
    if (found <= target) {
      low = middle;
      low_tokens = found;
    } else {
      high = middle;
      high_tokens = found;
    }
  }
  return low;
}

void NeedleGrid::draw(Random& random, std::vector<std::string>& needles,
                      std::vector<TaskQuestion>& questions) const {
  if (free()) {
    TaskQuestion question;
    question.text = options_.question;
    question.answer_prefix = options_.prefix;
    question.outputs = {options_.answer};
    needles = {options_.needle};
    questions.push_back(std::move(question));
    return;
  }
  NeedleDraw draws(random, *resources_.words);
  for (int64_t i = 0; i < options_.needles; ++i) {
    Needle needle;
    needle.key = draws.key(NeedleKind::words);
    needle.value = draws.value(kNumbers);
    needles.push_back(needle_sentence(resources_.templates, kNumbers, needle));
    const std::string keys[] = {needle.key};
    questions.push_back(needle_question(resources_.templates, kNumbers, true, keys));
    questions.back().outputs = {needle.value};
  }
}

std::optional<TaskDocument> NeedleGrid::build(Random random, const SampleRequest& request,
                                              int64_t x) const {
  const int64_t depth = 10 * (request.index % kNeedleGridDepths);
  const int64_t offset = options_.offset == "random" ? resources_.prose->draw_sentence(random) : 0;
  const auto sentences = resources_.prose->excerpt(offset, x);
  const int64_t before = place(sentences, depth, !request.probe);
  for (int tries = 0; tries < kTries; ++tries) {
    TaskDocument out;
    std::vector<std::string> needles;
    draw(random, needles, out.questions);
    const std::string haystack =
        insert_sentences(sentences, needles, std::vector<int64_t>(needles.size(), before));
    out.text = free()
                   ? fill_slots(resources_.templates.grid_free_document, {{"haystack", haystack}})
                   : needle_document(resources_.templates, kNumbers, needles.size() == 1, haystack);
    out.facts["depth"] = depth;
    out.facts["offset"] = offset;
    out.facts["sentences_before"] = before;
    if (free() ||
        std::all_of(out.questions.begin(), out.questions.end(), [&](const TaskQuestion& q) {
          return count_occurrences(out.text, q.outputs[0]) == 1;
        }))
      return out;
  }
  throw InvalidArgument(
      "[{}] values must occur once in their document; found none that do in {} "
      "draws, look at the templates and the prose",
      kName, kTries);
}

TaskScore NeedleGrid::score(const TaskQuestion& question, std::string_view prediction) const {
  TaskScore out;
  out.score = best_over_golds(contain, prediction, question.outputs);
  out.parsed = prediction;
  return out;
}

}  // namespace

std::unique_ptr<Task> make_needle_grid(const TaskResources& resources,
                                       const NeedleGridOptions& options, PromptCounter counter) {
  options_validate(kName, options);
  return std::make_unique<NeedleGrid>(resources, options, std::move(counter));
}

}  // namespace limbeck
