#include "limbeck/eval/tasks/published/longbench_v2.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/metrics/multiple_choice.h"
#include "limbeck/eval/metrics/text_norm.h"
#include "limbeck/eval/tasks/published/jsonl_file.h"
#include "limbeck/eval/tasks/published/prompt_form.h"
#include "limbeck/eval/tasks/published/wording.h"
#include "limbeck/io/quote.h"

#include <fmt/ranges.h>

#include <algorithm>

namespace limbeck {
namespace {

constexpr std::string_view kForm =
    "Read the text below with care; a question about it with four options follows.\n\n<text>\n"
    "{context}\n</text>\n\nWhich option answers the question about the text?\n\nQuestion: "
    "{question}\n(A) {a}\n(B) {b}\n(C) {c}\n(D) {d}\n\nEnd your reply with this sentence, with the "
    "letter of one option in place of X: \"The correct answer is (X)\".";

class LongBenchV2Task : public Task {
 public:
  LongBenchV2Task(const std::filesystem::path& path, const LongBenchV2Options& options)
      : file_(path),
        form_("longbench_v2", options.form.empty() ? kForm : std::string_view(options.form),
              {"question", "a", "b", "c", "d"}) {
    info_.name = "longbench_v2";
    info_.group = "longbench-v2";
    info_.sized = false;
    info_.metric = "accuracy";
    info_.max_new = 128;
    info_.truncation = Truncation::middle;
  }

  const TaskInfo& info() const override { return info_; }
  int64_t size(int64_t /*length*/) const override { return file_.size(); }

  TaskDocument document(int64_t /*length*/, int64_t index) override {
    const JsonRecord record = file_.record(index);
    TaskDocument out;
    out.id = file_document_id(index);
    out.ordinal = index;
    out.text = form_.document(text_strip(record.text("context")));
    TaskQuestion question;
    question.id = "0";
    for (const char* field : {"choice_A", "choice_B", "choice_C", "choice_D"})
      question.options.push_back(text_strip(record.text(field)));
    const std::vector<std::string>& o = question.options;
    question.text = form_.question({{"question", text_strip(record.text("question"))},
                                    {"a", o[0]},
                                    {"b", o[1]},
                                    {"c", o[2]},
                                    {"d", o[3]}});
    const std::string answer = text_strip(record.text("answer"));
    if (answer.size() != 1 || answer[0] < 'A' || answer[0] > 'D')
      record.fail("answer", "must be a letter from A to D");
    question.outputs = {answer};
    for (const char* field : {"_id", "domain", "sub_domain"})
      if (record.has(field)) question.facts[field] = record.name(field);
    add_part(record, "difficulty", {"easy", "hard"}, question);
    add_part(record, "length", {"short", "medium", "long"}, question);
    out.questions.push_back(std::move(question));
    return out;
  }

  TaskScore score(const TaskQuestion& question, std::string_view prediction) const override {
    TaskScore out;
    const auto letter = longbench_v2_letter(prediction);
    out.found = letter.has_value();
    if (letter) out.parsed = std::string(1, *letter);
    out.score = letter && !question.outputs.empty() && out.parsed == question.outputs[0] ? 1 : 0;
    out.more["compensated"] = letter ? out.score : 0.25;
    // Their means are the accuracies of these parts.
    for (const char* part : {"difficulty", "length"})
      if (question.facts.is_object() && question.facts.contains(part))
        out.more[question.facts.at(part).get<std::string>()] = out.score;
    return out;
  }

 private:
  /// A part of the benchmark that the question belongs to, unless the record leaves it out.
  static void add_part(const JsonRecord& record, const char* field,
                       std::initializer_list<std::string_view> names, TaskQuestion& question) {
    if (!record.has(field)) return;
    const std::string& name = record.text(field);
    if (std::find(names.begin(), names.end(), name) == names.end())
      record.fail(field,
                  fmt::format("must be one of {}; found {}", fmt::join(names, ", "), quote(name)));
    question.facts[field] = name;
  }

  JsonlFile file_;
  PromptForm form_;
  TaskInfo info_;
};

}  // namespace

std::unique_ptr<Task> make_longbench_v2_task(const std::filesystem::path& path,
                                             const LongBenchV2Options& options) {
  return std::make_unique<LongBenchV2Task>(path, options);
}

void add_longbench_v2_wording(WordingList& out) { out.emplace_back("longbench_v2", kForm); }

}  // namespace limbeck
