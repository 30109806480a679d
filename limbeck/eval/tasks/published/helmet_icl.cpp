#include "limbeck/base/error.h"
#include "limbeck/eval/metrics/helmet_scores.h"
#include "limbeck/eval/metrics/text_norm.h"
#include "limbeck/eval/tasks/published/helmet.h"
#include "limbeck/eval/tasks/published/jsonl_file.h"
#include "limbeck/eval/tasks/published/prompt_form.h"
#include "limbeck/eval/tasks/published/wording.h"
#include "limbeck/eval/tasks/stream.h"

#include <algorithm>
#include <map>
#include <optional>

namespace limbeck {
namespace {

constexpr std::string_view kForm =
    "Each text below has a label, which is a number that stands for its class. Learn from these "
    "examples which label a text gets.\n\n{context}\n\nGive the label of the next text. Reply with "
    "\"label:\" and the number.\n\n{question}";
constexpr std::string_view kPrefix = "label:";

class IclTask : public Task {
 public:
  IclTask(const std::filesystem::path& train, const std::filesystem::path& test,
          const HelmetIclOptions& options, std::vector<std::string>* broken)
      : train_(train),
        test_(test),
        options_(options),
        broken_(broken),
        form_("helmet", options.form.empty() ? kForm : std::string_view(options.form),
              {"question"}) {
    options_validate("helmet", options);
    info_.name = "icl_" + options.dataset + (options.questions > 1 ? "+mq" : "");
    info_.group = "helmet";
    info_.metric = "em";
    info_.max_new = 20;
    info_.truncation = Truncation::end;
    info_.prefix_scored = true;
    // Test items in an order of the whole file, so that documents share none.
    order_.resize(static_cast<size_t>(test_.size()));
    std::iota(order_.begin(), order_.end(), int64_t{0});
    Random random = task_stream(options.seed, info_.name, 0, "test");
    shuffle(random, order_);
  }

  const TaskInfo& info() const override { return info_; }
  int64_t size(int64_t /*length*/) const override {
    return (test_.size() + options_.questions - 1) / options_.questions;
  }

  TaskDocument document(int64_t length, int64_t index) override {
    check_document_index(info_.name, index, size(length));
    read_train();
    const int64_t shots =
        options_.shots > 0 ? options_.shots : helmet_units(options_.dataset, length);
    Random random = task_stream(options_.seed, info_.name, length, index);
    const std::map<std::string, int64_t> numbers = label_numbers(random);
    TaskDocument out;
    out.id = fmt::format("{}-{}", length, index);
    out.ordinal = index;
    out.length = length;
    std::string examples;
    for (const int64_t i : draw_examples(random, shots)) {
      const Example& example = train_examples_[static_cast<size_t>(i)];
      if (!examples.empty()) examples += "\n\n";
      examples += fmt::format("{}\n{} {}", example.text, kPrefix, numbers.at(example.label));
    }
    out.text = form_.document(examples);
    const int64_t first = index * options_.questions,
                  last = std::min(first + options_.questions, test_.size());
    for (int64_t i = first; i < last; ++i)
      out.questions.push_back(question(order_[static_cast<size_t>(i)], numbers));
    out.facts["shots"] = shots;
    return out;
  }

  /// Of the parsed answer alone: the raw one may hold the label of an example.
  TaskScore score(const TaskQuestion& question, std::string_view prediction) const override {
    TaskScore out;
    out.parsed = helmet_parse(prediction, kPrefix);
    out.found = !out.parsed.empty();
    out.score = best_over_golds(em, out.parsed, question.outputs);
    return out;
  }

 private:
  struct Example {
    std::string text, label;
  };

  static Example read(const JsonRecord& record) {
    return {text_strip(record.text("text")), record.name("label")};
  }

  /// All at once: classes are known only when every example was seen.
  void read_train() {
    if (!train_examples_.empty()) return;
    std::vector<Example> examples;
    std::vector<std::string> left_out;
    std::map<std::string, std::vector<int64_t>> classes;
    for (int64_t i = 0; i < train_.size(); ++i) try {
        Example example = read(train_.record(i));
        classes[example.label].push_back(static_cast<int64_t>(examples.size()));
        examples.push_back(std::move(example));
      } catch (const FormatError& e) {
        if (broken_ == nullptr) throw;
        left_out.emplace_back(e.what());
      }
    if (examples.empty()) throw FormatError("{}", left_out.front());  // a file has a record
    if (broken_ != nullptr) broken_->insert(broken_->end(), left_out.begin(), left_out.end());
    train_examples_ = std::move(examples);
    classes_ = std::move(classes);
  }

  std::map<std::string, int64_t> label_numbers(Random& random) const {
    std::vector<int64_t> numbers(classes_.size());
    std::iota(numbers.begin(), numbers.end(), int64_t{0});
    shuffle(random, numbers);
    std::map<std::string, int64_t> out;
    for (const auto& [label, members] : classes_) out[label] = numbers[out.size()];
    return out;
  }

  std::vector<int64_t> draw_examples(Random& random, int64_t shots) const {
    std::vector<std::vector<int64_t>> members;
    for (const auto& [label, of_class] : classes_) {
      members.push_back(of_class);
      shuffle(random, members.back());
    }
    std::vector<size_t> turns(members.size());
    std::iota(turns.begin(), turns.end(), size_t{0});
    std::vector<int64_t> out;
    for (size_t round = 0; static_cast<int64_t>(out.size()) < shots; ++round) {
      shuffle(random, turns);
      for (const size_t c : turns) {
        if (static_cast<int64_t>(out.size()) == shots) break;
        out.push_back(members[c][round % members[c].size()]);
      }
    }
    return out;
  }

  TaskQuestion question(int64_t number, const std::map<std::string, int64_t>& numbers) const {
    const JsonRecord record = test_.record(number);
    const Example item = read(record);
    const auto it = numbers.find(item.label);
    if (it == numbers.end()) record.fail("label", "must be a label of the examples' file");
    TaskQuestion out;
    out.id = std::to_string(number);
    out.text = form_.question({{"question", item.text}});
    out.answer_prefix = kPrefix;
    out.outputs = {std::to_string(it->second)};
    out.facts["label"] = item.label;
    return out;
  }

  JsonlFile train_, test_;
  HelmetIclOptions options_;
  std::vector<std::string>* broken_;
  PromptForm form_;
  TaskInfo info_;
  std::vector<int64_t> order_;
  std::vector<Example> train_examples_;
  std::map<std::string, std::vector<int64_t>> classes_;  ///< examples by label
};

}  // namespace

std::unique_ptr<Task> make_helmet_icl_task(const std::filesystem::path& train,
                                           const std::filesystem::path& test,
                                           const HelmetIclOptions& options,
                                           std::vector<std::string>* broken) {
  return std::make_unique<IclTask>(train, test, options, broken);
}

void add_helmet_icl_wording(WordingList& out) { out.emplace_back("helmet_icl", kForm); }

}  // namespace limbeck
