/// Frequent words: a coded text whose words are as frequent as 1 / rank^2; the commonest is shown
/// as dots, the next three are asked for.
#include "limbeck/base/error.h"
#include "limbeck/eval/tasks/ruler/fwe_counts.h"
#include "limbeck/eval/tasks/ruler/ruler_task.h"

#include <algorithm>
#include <set>

namespace limbeck {
namespace {

constexpr int64_t kLetters = 6;
constexpr std::string_view kDots = "...";

class FweTask : public RulerTask {
 public:
  FweTask(const RulerTaskFacts& facts, const TaskResources& resources, const RulerOptions& options,
          PromptCounter counter)
      : RulerTask(facts, resources, options, std::move(counter)) {}

 protected:
  FillSteps steps(int64_t length) const override;
  std::optional<TaskDocument> build(Random random, const SampleRequest& request,
                                    int64_t x) const override;
};

/// Coded words that there are to draw from at a length.
int64_t vocabulary(int64_t length) { return length / 50; }

FillSteps FweTask::steps(int64_t length) const {
  const FillSteps out = {length / 6, length / 32};
  const auto counts = fwe_counts(out.first, vocabulary(length));
  // Otherwise the third word asked for is no commoner than one that is not.
  if (counts.size() < 5 || counts[3] <= counts[4])
    throw InvalidArgument(
        "[{}] length must give the fourth word more places than the fifth; found {}", info().name,
        length);
  return out;
}

std::optional<TaskDocument> FweTask::build(Random random, const SampleRequest& request,
                                           int64_t x) const {
  std::vector<std::string> ranks;
  std::set<std::string> known;
  while (static_cast<int64_t>(ranks.size()) < vocabulary(request.length)) {
    std::string word;
    for (int64_t i = 0; i < kLetters; ++i) word += static_cast<char>('a' + random.below(26));
    if (known.insert(word).second) ranks.push_back(std::move(word));
  }
  shuffle_items(random, request.length, ranks);
  const auto counts = fwe_counts(x, static_cast<int64_t>(ranks.size()));
  if (counts[3] <= counts[4]) return {};
  std::vector<std::string> items;
  for (size_t k = 0; k < ranks.size(); ++k)
    items.insert(items.end(), static_cast<size_t>(counts[k]),
                 k == 0 ? std::string(kDots) : ranks[k]);
  shuffle_items(random, request.length, items);

  TaskDocument out;
  out.text =
      fill_slots(templates().fwe_document, {{"text", fmt::format("{}", fmt::join(items, " "))}});
  TaskQuestion question;
  question.text = templates().fwe_question;
  question.answer_prefix = templates().fwe_prefix;
  question.outputs.assign(ranks.begin() + 1, ranks.begin() + 4);
  out.questions.push_back(std::move(question));
  out.facts["counts"] = std::vector<int64_t>(counts.begin(), counts.begin() + 5);
  return out;
}

}  // namespace

std::vector<int64_t> fwe_counts(int64_t words, int64_t vocabulary) {
  constexpr double kSquaredPi = 9.869604401089358;
  std::vector<int64_t> out;
  for (int64_t k = 1; k <= vocabulary; ++k) {
    // words / (k^2 zeta(2)), zeta(2) = pi^2 / 6
    const double share = 6.0 * static_cast<double>(words) /
                         (static_cast<double>(k) * static_cast<double>(k) * kSquaredPi);
    out.push_back(static_cast<int64_t>(share));
  }
  return out;
}

std::unique_ptr<Task> make_fwe(const RulerTaskFacts& facts, const TaskResources& resources,
                               const RulerOptions& options, PromptCounter counter) {
  return std::make_unique<FweTask>(facts, resources, options, std::move(counter));
}

}  // namespace limbeck
