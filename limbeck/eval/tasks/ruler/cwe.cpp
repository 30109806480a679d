/// Common words: a long numbered list that repeats ten words more often than the others.
#include "limbeck/base/error.h"
#include "limbeck/eval/tasks/ruler/ruler_task.h"

#include <algorithm>
#include <span>

namespace limbeck {
namespace {

constexpr int64_t kCommon = 10;

/// How often words appear, and in lists of how many words.
struct Counts {
  int64_t common, rare;
  int64_t demonstration_words, demonstration_common, demonstration_rare;
};
Counts counts_of(int64_t length) {
  return length < kShortBelow ? Counts{6, 1, 20, 3, 1} : Counts{30, 3, 40, 10, 3};
}

/// "1. one 2. two".
std::string numbered(const std::vector<std::string>& items) {
  std::string out;
  for (size_t i = 0; i < items.size(); ++i)
    out += fmt::format("{}{}. {}", i == 0 ? "" : " ", i + 1, items[i]);
  return out;
}

bool has_part(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

class CweTask : public RulerTask {
 public:
  CweTask(const RulerTaskFacts& facts, const TaskResources& resources, const RulerOptions& options,
          PromptCounter counter)
      : RulerTask(facts, resources, options, std::move(counter)) {}

 protected:
  FillSteps steps(int64_t length) const override {
    return {kCommon, kCommon, words().size() - counts_of(length).demonstration_words};
  }
  std::optional<TaskDocument> build(Random random, const SampleRequest& request,
                                    int64_t x) const override;

 private:
  std::vector<std::string> choose(std::span<const int64_t> order, int64_t x) const;
  std::string list(Random& random, int64_t length, const std::vector<std::string>& chosen,
                   int64_t common, int64_t rare) const;
  std::string demonstration(Random& random, int64_t length,
                            const std::vector<std::string>& chosen) const;
};

/// The first x words of a random order that the guard lets pass, the common ones in front. Fewer
/// when there are no more. A prediction is searched for the common words: one that is a part of
/// another listed word would be found in it.
std::vector<std::string> CweTask::choose(std::span<const int64_t> order, int64_t x) const {
  std::vector<std::string> out;
  const auto passes = [&](const std::string& word) {
    if (!options_.guard) return true;
    const auto common = std::min(out.size(), static_cast<size_t>(kCommon));
    return std::none_of(out.begin(), out.begin() + static_cast<int64_t>(common),
                        [&](const std::string& other) {
                          return has_part(word, other) ||
                                 (common < static_cast<size_t>(kCommon) && has_part(other, word));
                        });
  };
  for (const int64_t index : order) {
    if (static_cast<int64_t>(out.size()) == x) break;
    if (passes(words().word(index))) out.push_back(words().word(index));
  }
  return out;
}

std::string CweTask::list(Random& random, int64_t length, const std::vector<std::string>& chosen,
                          int64_t common, int64_t rare) const {
  std::vector<std::string> items;
  for (size_t i = 0; i < chosen.size(); ++i)
    items.insert(items.end(), static_cast<size_t>(i < kCommon ? common : rare), chosen[i]);
  shuffle_items(random, length, items);
  return numbered(items);
}

std::string CweTask::demonstration(Random& random, int64_t length,
                                   const std::vector<std::string>& chosen) const {
  const Counts counts = counts_of(length);
  const std::string count = std::to_string(kCommon);
  const std::vector<std::string> answer(chosen.begin(), chosen.begin() + kCommon);
  const std::string document = fill_slots(
      templates().cwe_document, {{"demonstration", ""},
                                 {"list", list(random, length, chosen, counts.demonstration_common,
                                               counts.demonstration_rare)}});
  return fill_slots(templates().demonstration,
                    {{"document", document},
                     {"question", fill_slots(templates().cwe_question, {{"count", count}})},
                     {"prefix", fill_slots(templates().cwe_prefix, {{"count", count}})},
                     {"answer", numbered(answer)}});
}

std::optional<TaskDocument> CweTask::build(Random random, const SampleRequest& request,
                                           int64_t x) const {
  const Counts counts = counts_of(request.length);
  const auto order = sample_indices(random, words().size(), words().size());
  // Words of the demonstration are no words of the list, whose counts they would change.
  const auto shown = static_cast<size_t>(counts.demonstration_words);
  std::vector<std::string> shown_words;
  for (size_t i = 0; i < shown; ++i) shown_words.push_back(words().word(order[i]));
  const auto chosen = choose(std::span(order).subspan(shown), x);
  if (static_cast<int64_t>(chosen.size()) < x) return {};

  const std::string example = demonstration(random, request.length, shown_words);
  const std::string count = std::to_string(kCommon);
  TaskDocument out;
  out.text =
      fill_slots(templates().cwe_document,
                 {{"demonstration", example},
                  {"list", list(random, request.length, chosen, counts.common, counts.rare)}});
  TaskQuestion question;
  question.text = fill_slots(templates().cwe_question, {{"count", count}});
  question.answer_prefix = fill_slots(templates().cwe_prefix, {{"count", count}});
  question.outputs.assign(chosen.begin(), chosen.begin() + kCommon);
  out.questions.push_back(std::move(question));
  out.facts["counts"] = {counts.common, counts.rare};
  return out;
}

}  // namespace

std::unique_ptr<Task> make_cwe(const RulerTaskFacts& facts, const TaskResources& resources,
                               const RulerOptions& options, PromptCounter counter) {
  return std::make_unique<CweTask>(facts, resources, options, std::move(counter));
}

}  // namespace limbeck
