/// Questions over documents: those that answer a question stand among others of the same corpus.
#include "limbeck/base/error.h"
#include "limbeck/eval/tasks/qa_corpus.h"
#include "limbeck/eval/tasks/ruler/ruler_task.h"

#include <algorithm>
#include <set>

namespace limbeck {
namespace {

/// RULER adds ten documents at a time (arXiv 2404.06654); in texts below kShortBelow tokens ten may
/// not fit.
constexpr int64_t kStep = 10, kShortStep = 2;

using Indices = std::vector<int64_t>;
using Question = QaCorpus::Question;

class QaTask : public RulerTask {
 public:
  QaTask(std::shared_ptr<const QaCorpus> corpus, const RulerTaskFacts& facts,
         const TaskResources& resources, const RulerOptions& options, PromptCounter counter)
      : RulerTask(facts, resources, options, std::move(counter)), corpus_(std::move(corpus)) {
    check();
  }
  int64_t size(int64_t /*length*/) const override {
    return static_cast<int64_t>(corpus_->questions.size());
  }

 protected:
  FillSteps steps(int64_t length) const override {
    const int64_t step = length < kShortBelow ? kShortStep : kStep;
    // The last step takes all documents, however few it adds.
    const auto have = static_cast<int64_t>(corpus_->documents.size());
    return {step, step, (have + step - 1) / step * step};
  }
  std::optional<TaskDocument> build(Random random, const SampleRequest& request,
                                    int64_t x) const override;

 private:
  void check() const;
  Indices choose(Random& random, const Question& question, int64_t x) const;
  std::vector<const Question*> more_questions(Random& random, const Question& first,
                                              const Indices& documents) const;
  TaskQuestion ask(const Question& question, const Indices& documents) const;

  std::shared_ptr<const QaCorpus> corpus_;
};

void QaTask::check() const {
  if (!corpus_ || corpus_->questions.empty())
    throw InvalidArgument("[{}] need a corpus with questions; found {}", info().name,
                          corpus_ ? "no questions" : "none");
  const auto documents = static_cast<int64_t>(corpus_->documents.size());
  for (const Question& question : corpus_->questions)
    for (const Indices* list : {&question.gold, &question.needed, &question.preferred})
      for (const int64_t i : *list)
        if (i < 0 || i >= documents)
          throw InvalidArgument("[{}] documents of a question must be in [0, {}); found {}",
                                info().name, documents, i);
  for (const Question& question : corpus_->questions)
    if (question.needed.empty() != question.gold.empty() ||
        !std::all_of(question.needed.begin(), question.needed.end(), [&](int64_t i) {
          return std::find(question.gold.begin(), question.gold.end(), i) != question.gold.end();
        }))
      throw InvalidArgument(
          "[{}] a question's needed documents must be some of its own; found {} of {}", info().name,
          question.needed.size(), question.gold.size());
  if (documents == 0)
    throw InvalidArgument("[{}] corpus must have documents; found 0", info().name);
}

/// The documents of a question: its own (where there is no room for all of them those that hold the
/// answer and some of the others), then preferred distractors, then any others.
Indices QaTask::choose(Random& random, const Question& question, int64_t x) const {
  const auto have = static_cast<int64_t>(corpus_->documents.size());
  Indices out, preferred, others;
  if (x >= have) {
    for (int64_t i = 0; i < have; ++i) out.push_back(i);
    return out;
  }
  std::set<int64_t> taken;
  const bool all_own = x >= static_cast<int64_t>(question.gold.size());
  for (const int64_t i : all_own ? question.gold : question.needed)
    if (taken.insert(i).second) out.push_back(i);
  if (!all_own)
    for (const int64_t i : question.gold)
      if (taken.insert(i).second) preferred.push_back(i);
  for (const int64_t i : question.preferred)
    if (taken.insert(i).second) preferred.push_back(i);
  const auto room = std::max<int64_t>(0, x - static_cast<int64_t>(out.size()));
  const auto add = [&](const Indices& from, int64_t count) {
    for (const int64_t i : sample_indices(random, static_cast<int64_t>(from.size()), count))
      out.push_back(from[static_cast<size_t>(i)]);
  };
  const auto wished = static_cast<int64_t>(preferred.size());
  if (room <= wished) {
    add(preferred, room);
    return out;
  }
  out.insert(out.end(), preferred.begin(), preferred.end());
  for (int64_t i = 0; i < have; ++i)
    if (!taken.contains(i)) others.push_back(i);
  add(others, room - wished);
  return out;
}

/// Others whose documents are all there, or those that hold the answer where there are fewer
/// documents than their own; in random order.
std::vector<const Question*> QaTask::more_questions(Random& random, const Question& first,
                                                    const Indices& documents) const {
  const std::set<int64_t> there(documents.begin(), documents.end());
  std::vector<const Question*> out;
  for (const Question& question : corpus_->questions) {
    const Indices& own = documents.size() < question.gold.size() ? question.needed : question.gold;
    if (question.text != first.text && !own.empty() &&
        std::all_of(own.begin(), own.end(), [&](int64_t i) { return there.contains(i); }))
      out.push_back(&question);
  }
  const auto count = std::min(static_cast<int64_t>(out.size()), options_.questions - 1);
  std::vector<const Question*> drawn;
  for (const int64_t i : sample_indices(random, static_cast<int64_t>(out.size()), count))
    drawn.push_back(out[static_cast<size_t>(i)]);
  return drawn;
}

TaskQuestion QaTask::ask(const Question& question, const Indices& documents) const {
  TaskQuestion out;
  out.text = fill_slots(templates().qa_question, {{"question", question.text}});
  out.answer_prefix = templates().qa_prefix;
  out.outputs = question.answers;
  Indices gold;  // numbers, from 1, under which they stand
  for (size_t i = 0; i < documents.size(); ++i)
    if (std::find(question.gold.begin(), question.gold.end(), documents[i]) != question.gold.end())
      gold.push_back(static_cast<int64_t>(i) + 1);
  out.facts["gold"] = gold;
  return out;
}

std::optional<TaskDocument> QaTask::build(Random random, const SampleRequest& request,
                                          int64_t x) const {
  const Question& first = corpus_->questions[static_cast<size_t>(request.index)];
  Indices documents = choose(random, first, x);
  shuffle_items(random, request.length, documents);
  std::vector<std::string> items;
  for (size_t i = 0; i < documents.size(); ++i)
    items.push_back(fill_slots(templates().qa_item,
                               {{"number", std::to_string(i + 1)},
                                {"text", corpus_->documents[static_cast<size_t>(documents[i])]}}));
  TaskDocument out;
  out.text = fill_slots(templates().qa_document,
                        {{"documents", fmt::format("{}", fmt::join(items, "\n\n"))}});
  out.questions.push_back(ask(first, documents));
  if (options_.questions > 1)
    for (const Question* question : more_questions(random, first, documents))
      out.questions.push_back(ask(*question, documents));
  out.facts["documents"] = documents.size();
  return out;
}

}  // namespace

std::unique_ptr<Task> make_ruler_qa(const RulerTaskFacts& facts, const TaskResources& resources,
                                    const RulerOptions& options, PromptCounter counter) {
  const auto& corpus = facts.name == "qa_1" ? resources.squad : resources.hotpot;
  return std::make_unique<QaTask>(corpus, facts, resources, options, std::move(counter));
}

std::unique_ptr<Task> make_corpus_task(std::string_view name,
                                       std::shared_ptr<const QaCorpus> corpus,
                                       const TaskResources& resources, const CorpusOptions& options,
                                       PromptCounter counter) {
  options_validate(name, options);
  RulerOptions of_ruler;
  of_ruler.questions = options.questions;
  of_ruler.seed = options.seed;
  of_ruler.shuffle = options.shuffle;
  const RulerTaskFacts facts{name, "", "part", 32, true, name};
  return std::make_unique<QaTask>(std::move(corpus), facts, resources, of_ruler,
                                  std::move(counter));
}

}  // namespace limbeck
